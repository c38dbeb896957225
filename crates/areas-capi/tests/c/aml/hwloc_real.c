/*
 * AML's hwloc areas by hwloc itself, where it is installed: its sets, its topology, its objects.
 *
 * Linked with: hwloc
 */
#include <aml/area/hwloc.h>

#include "check.h"

#ifndef HWLOC_H
int main(void)
{
	SKIP("hwloc.h is not installed");
}
#else

static void by_sets(hwloc_topology_t topology)
{
	static const hwloc_membind_policy_t policies[] = { HWLOC_MEMBIND_BIND, HWLOC_MEMBIND_INTERLEAVE, HWLOC_MEMBIND_FIRSTTOUCH };
	hwloc_bitmap_t nodes = hwloc_bitmap_dup(hwloc_topology_get_allowed_nodeset(topology)), full = hwloc_bitmap_alloc_full();
	struct aml_area *area;

	for (size_t at = 0; at < sizeof policies / sizeof *policies; at++) {
		char *ptr;

		CHECK_EQ(aml_area_hwloc_create(&area, nodes, policies[at]), AML_SUCCESS);
		CHECK(hwloc_bitmap_isequal(((struct aml_area_hwloc_data *)area->data)->nodeset, nodes));
		ptr = (char *)aml_area_mmap(area, 123456, NULL);
		CHECK(ptr != NULL);
		memset(ptr, 1, 123456);
		CHECK_EQ(aml_area_hwloc_check_binding(area, ptr, 123456), 1);
		CHECK_EQ(aml_area_munmap(area, ptr, 123456), AML_SUCCESS);
		aml_area_hwloc_destroy(&area);
	}
	CHECK_EQ(aml_area_hwloc_create(&area, full, HWLOC_MEMBIND_BIND), -AML_EDOM);
	hwloc_bitmap_zero(full);
	CHECK_EQ(aml_area_hwloc_create(&area, full, HWLOC_MEMBIND_BIND), -AML_EINVAL);
	hwloc_bitmap_free(full);
	hwloc_bitmap_free(nodes);
}

static void by_objects(hwloc_topology_t topology)
{
	static const enum hwloc_distances_kind_e kinds[] = { HWLOC_DISTANCES_KIND_FROM_OS, HWLOC_DISTANCES_KIND_MEANS_LATENCY,
		HWLOC_DISTANCES_KIND_MEANS_BANDWIDTH };
	hwloc_obj_t initiators[3];
	struct aml_area *area = &aml_area_hwloc_default;

	initiators[0] = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PU, 0);
	initiators[1] = hwloc_get_obj_by_type(topology, HWLOC_OBJ_NUMANODE, 0);
	initiators[2] = hwloc_get_root_obj(topology);
	for (int at = 0; at < 9; at++) {
		const struct aml_area_hwloc_preferred_data *data;
		char *ptr;

		CHECK_EQ(aml_area_hwloc_preferred_create(&area, initiators[at / 3], kinds[at % 3]), AML_SUCCESS);
		data = (struct aml_area_hwloc_preferred_data *)area->data;
		CHECK_EQ(data->num_nodes, hwloc_bitmap_weight(hwloc_topology_get_allowed_nodeset(topology)));
		for (unsigned node = 0; node < data->num_nodes; node++) {
			CHECK(data->numanodes[node] != NULL);
			CHECK_EQ(data->numanodes[node]->type, HWLOC_OBJ_NUMANODE);
			CHECK_EQ(data->numanodes[node]->os_index, data->os_indexes[node]);
		}
		ptr = (char *)aml_area_mmap(area, 123456, NULL);
		CHECK(ptr != NULL);
		memset(ptr, 1, 123456);
		CHECK_EQ(aml_area_munmap(area, ptr, 123456), AML_SUCCESS);
		CHECK_EQ(aml_area_hwloc_preferred_destroy(&area), AML_SUCCESS);
	}
	area = &aml_area_hwloc_default;
	CHECK_EQ(aml_area_hwloc_preferred_create(&area, NULL, kinds[0]), -AML_EINVAL);
	CHECK(area == NULL && aml_errno == AML_EINVAL);
	CHECK_EQ(aml_area_hwloc_preferred_create(NULL, initiators[0], kinds[0]), -AML_EINVAL);
}

int main(void)
{
	hwloc_topology_t topology;

	CHECK_EQ(hwloc_topology_init(&topology), 0);
	CHECK_EQ(hwloc_topology_load(topology), 0);
	by_sets(topology);
	by_objects(topology);
	hwloc_topology_destroy(topology);
	return 0;
}
#endif
