/*
 * A malloc that has none: what the calls that need some of it say, and that they leave nothing
 * behind. It refuses one size, that of the block that a call asks for.
 *
 * Not under valgrind: it has a malloc of its own.
 */
#define AML_WITHOUT_HWLOC_H
#include <aml.h>
#include <aml/area/hwloc.h>
#include <aml/area/linux.h>

#include "check.h"

static size_t refused;
static int refusals;

#ifndef __SANITIZE_ADDRESS__
/* The C library's own, under their other names. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);

void *calloc(size_t count, size_t size)
{
	if (refused != 0 && count * size == refused) {
		refusals++;
		errno = ENOMEM;
		return NULL;
	}
	return __libc_calloc(count, size);
}

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

/* While malloc refuses that size, the call fails with that number, and it was malloc that
 * refused. */
#define WITHOUT(size, call, code) \
	do { \
		aml_errno = AML_SUCCESS; \
		refusals = 0; \
		refused = (size); \
		CHECK_EQ(call, -(code)); \
		refused = 0; \
		CHECK(refusals > 0); \
		CHECK_EQ(aml_errno, code); \
	} while (0)

static void areas(void)
{
	struct aml_area *area = &aml_area_linux;
	struct aml_bitmap nodes;
	size_t block;

	aml_bitmap_zero(&nodes);
	aml_bitmap_set(&nodes, 0);
	/* The area, its data, its bitmask and the words of that lie in one block. */
	block = sizeof(struct aml_area) + sizeof(struct aml_area_linux_data) + sizeof(struct bitmask) + 1024 / 8;
	WITHOUT(block, aml_area_linux_create(&area, &nodes, AML_AREA_LINUX_POLICY_BIND), AML_ENOMEM);
	CHECK(area == NULL);
	CHECK_EQ(aml_area_linux_create(&area, &nodes, AML_AREA_LINUX_POLICY_BIND), AML_SUCCESS);
	aml_area_linux_destroy(&area);
}

static void hwloc_areas(void)
{
	struct aml_area *area = &aml_area_hwloc_default;
	size_t block = sizeof(struct aml_area) + sizeof(struct aml_area_hwloc_data);
	unsigned nodes;

	WITHOUT(block, aml_area_hwloc_create(&area, NULL, HWLOC_MEMBIND_BIND), AML_ENOMEM);
	CHECK(area == NULL);
	CHECK_EQ(aml_area_hwloc_ranked_create(&area, NULL, AML_AREA_HWLOC_RANK_DISTANCE), AML_SUCCESS);
	nodes = ((struct aml_area_hwloc_preferred_data *)area->data)->num_nodes;
	CHECK_EQ(aml_area_hwloc_preferred_destroy(&area), AML_SUCCESS);
	/* An object and a number for each node. */
	block = sizeof(struct aml_area) + sizeof(struct aml_area_hwloc_preferred_data) + nodes * (sizeof(void *) + sizeof(unsigned));
	area = &aml_area_hwloc_default;
	WITHOUT(block, aml_area_hwloc_ranked_create(&area, NULL, AML_AREA_HWLOC_RANK_DISTANCE), AML_ENOMEM);
	CHECK(area == NULL);
}

static void bitmaps(void)
{
	struct aml_bitmap map, *made = &map;

	aml_bitmap_fill(&map);
	WITHOUT(sizeof map, aml_bitmap_create(&made), AML_ENOMEM);
	CHECK(made == NULL);
	made = &map;
	WITHOUT(sizeof map, aml_bitmap_dup(&made, &map), AML_ENOMEM);
	CHECK(made == NULL);
	/* A bit each, two brackets, and the end. */
	WITHOUT(AML_BITMAP_MAX + 3, aml_bitmap_to_string(&map) == NULL ? -aml_errno : 0, AML_ENOMEM);
}

int main(void)
{
#ifdef __SANITIZE_ADDRESS__
	SKIP("the sanitizer has a malloc of its own");
#endif
	areas();
	hwloc_areas();
	bitmaps();
	return 0;
}
