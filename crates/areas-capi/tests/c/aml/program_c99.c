/* A program in C99, as AML's users have them: areas, an allocator, and blocks for several things,
 * aligned as in C11. */
#include <aml.h>
#include <aml/area/linux.h>
#include <aml/higher/allocator/buddy.h>

#include "check.h"

struct head {
	char c;
	long double d;
};

int main(void)
{
	struct aml_allocator *allocator;
	struct head *head = AML_INNER_MALLOC_EXTRA(3, double, 5, struct head, char, short);
	char *c = AML_INNER_MALLOC_GET_FIELD(head, 2, struct head, char, short);
	short *s = AML_INNER_MALLOC_GET_FIELD(head, 3, struct head, char, short);
	double *d = AML_INNER_MALLOC_GET_ARRAY(head, double, struct head, char, short);
	char *extra = AML_INNER_MALLOC_GET_EXTRA(head, 3, double, struct head, char, short);
	void *ptr = aml_area_mmap(&aml_area_linux, 4096, NULL);

#if __STDC_VERSION__ != 199901L
#error "this is to be C99"
#endif
	CHECK(head != NULL && ptr != NULL);
	CHECK_EQ((char *)c - (char *)head, sizeof(struct head));
	CHECK_EQ((uintptr_t)s % sizeof *s, 0);
	CHECK_EQ((uintptr_t)d % sizeof *d, 0);
	CHECK_EQ((char *)d - (char *)head, 40);
	CHECK_EQ((uintptr_t)extra % 16, 0);
	CHECK(extra >= (char *)(d + 3) && extra < (char *)(d + 3) + 16);
	extra[4] = 1;
	free(head);
	CHECK_EQ(aml_allocator_buddy_create(&allocator, &aml_area_linux, NULL), AML_SUCCESS);
	CHECK_EQ(aml_free(allocator, aml_alloc(allocator, 100)), AML_SUCCESS);
	CHECK_EQ(aml_allocator_buddy_destroy(&allocator), AML_SUCCESS);
	CHECK_EQ(aml_area_munmap(&aml_area_linux, ptr, 4096), AML_SUCCESS);
	return 0;
}
