/*
 * The allocator of be/pages_allocator.c, whose munmap is interposed: area_for and get_area_info are
 * right at the first time.
 *
 * Not under valgrind: as that one.
 */
#define AT_ONCE
#include "../be/pages_allocator.c"
