/* BeOS's and Haiku's interface, under the name that programs include. */
#include "support/Errors.h"
