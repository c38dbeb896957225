/* The same in both versions. */
#include "../../../aml/utils/inner-malloc.h"
