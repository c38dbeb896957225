/*
 * A malloc that has none for the nodeset of an area: what the older initialiser says then, and that
 * it leaves nothing behind.
 *
 * Not under valgrind: it has a malloc of its own.
 */
#include <aml.h>
#include <aml/area/linux.h>

#include "check.h"

static size_t refused;
static int refusals;

#ifndef __SANITIZE_ADDRESS__
/* The C library's own, under its other name. */
void *__libc_malloc(size_t size);

void *malloc(size_t size)
{
	if (size != 0 && size == refused) {
		refusals++;
		errno = ENOMEM;
		return NULL;
	}
	return __libc_malloc(size);
}
#endif

static void initialiser(void)
{
	AML_AREA_LINUX_DECL(area);
	int status;

	refused = sizeof(struct bitmask) + 1024 / 8;
	status = aml_area_linux_init(&area, AML_AREA_LINUX_MMAP_FLAG_SHARED, NULL, AML_AREA_LINUX_BINDING_FLAG_BIND);
	refused = 0;
	CHECK_EQ(status, -AML_ENOMEM);
	CHECK_EQ(aml_errno, AML_ENOMEM);
	CHECK_EQ(refusals, 1);
	CHECK(((struct aml_area_linux_data *)area.data)->nodeset == NULL);
	CHECK(aml_area_mmap(&area, NULL, 1) == NULL);
	aml_area_linux_fini(&area);
	CHECK_EQ(aml_area_linux_init(&area, AML_AREA_LINUX_MMAP_FLAG_SHARED, NULL, AML_AREA_LINUX_BINDING_FLAG_BIND), AML_SUCCESS);
	aml_area_linux_fini(&area);
}

int main(void)
{
#ifdef __SANITIZE_ADDRESS__
	SKIP("the sanitizer has a malloc of its own");
#endif
	initialiser();
	return 0;
}
