/* The same in both versions. */
#include "../../../aml/utils/error.h"
