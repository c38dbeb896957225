/* The same in both versions. */
#include "../../../aml/utils/bitmap.h"
