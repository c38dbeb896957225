/* A program without hwloc: all of it works but for sets, which no process can have then. */
#define AML_WITHOUT_HWLOC_H
#include <aml/area/hwloc.h>

#include "check.h"

static void no_sets(void)
{
	struct aml_area *area = &aml_area_hwloc_default;
	long no_set[2] = { 0, 0 };
	struct aml_area_hwloc_data own = { (hwloc_bitmap_t)(void *)no_set, HWLOC_MEMBIND_BIND };

	aml_errno = AML_SUCCESS;
	CHECK_EQ(aml_area_hwloc_create(&area, own.nodeset, HWLOC_MEMBIND_BIND), -AML_ENOTSUP);
	CHECK_EQ(aml_errno, AML_ENOTSUP);
	CHECK(area == NULL);
	CHECK(aml_area_hwloc_mmap((struct aml_area_data *)&own, 1, NULL) == NULL);
	CHECK_EQ(aml_errno, AML_ENOTSUP);
	CHECK_EQ(aml_area_hwloc_ranked_create(&area, own.nodeset, AML_AREA_HWLOC_RANK_FREE), -AML_ENOTSUP);
	/* The set is not looked at. */
	CHECK_EQ(no_set[0] | no_set[1], 0);
}

int main(void)
{
	struct aml_area *area;
	void *ptr;

	no_sets();
	CHECK_EQ(aml_area_hwloc_create(&area, NULL, HWLOC_MEMBIND_INTERLEAVE), AML_SUCCESS);
	ptr = aml_area_mmap(area, 100, NULL);
	CHECK(ptr != NULL);
	CHECK_EQ(aml_area_hwloc_check_binding(area, ptr, 100), 1);
	CHECK_EQ(aml_area_munmap(area, ptr, 100), AML_SUCCESS);
	aml_area_hwloc_destroy(&area);
	CHECK_EQ(aml_area_hwloc_ranked_create(&area, NULL, AML_AREA_HWLOC_RANK_BANDWIDTH), AML_SUCCESS);
	CHECK_EQ(aml_area_hwloc_preferred_destroy(&area), AML_SUCCESS);
	return 0;
}
