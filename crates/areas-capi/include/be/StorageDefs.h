/* BeOS's and Haiku's interface, under the name that programs include. */
#include "storage/StorageDefs.h"
