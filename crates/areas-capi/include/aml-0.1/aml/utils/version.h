/* The same in both versions. */
#include "../../../aml/utils/version.h"
