/*
 * One program with all three interfaces: it binds with AML, names with Be, and looks with areas.h.
 * Another process finds what was made, by each of the interfaces that have names.
 *
 * Not under valgrind: it does not know pidfd_getfd.
 */
#include <OS.h>
#include <aml.h>
#include <aml/area/linux.h>
#include <areas.h>

#include "check.h"

#define SIZE ((size_t)16 * B_PAGE_SIZE)

static int on_node_0(const areas_run *run, void *context)
{
	CHECK_EQ(run->node, 0);
	*(size_t *)context += run->size;
	return 0;
}

int main(void)
{
	struct aml_bitmap nodes;
	struct aml_area *bound = NULL;
	const struct aml_area_linux_data *data;
	areas_info info = AREAS_INFO;
	areas_residency residency = AREAS_RESIDENCY;
	areas_cloning how = AREAS_CLONING;
	areas_area *ours;
	area_info be;
	void *address = NULL, *private_memory;
	size_t looked_at = 0;
	pid_t child;
	area_id id;

	/* Bind with AML: memory of its own, and an area of Be's, before it is touched. */
	CHECK_EQ(aml_bitmap_from_string(&nodes, "0"), AML_SUCCESS);
	CHECK_EQ(aml_area_linux_create(&bound, &nodes, AML_AREA_LINUX_POLICY_BIND), AML_SUCCESS);
	data = (const struct aml_area_linux_data *)bound->data;
	private_memory = aml_area_mmap(bound, SIZE, NULL);
	CHECK(private_memory != NULL);
	id = create_area("mixed", &address, B_ANY_ADDRESS, SIZE, B_NO_LOCK, B_READ_AREA | B_WRITE_AREA);
	CHECK(id > 0);
	CHECK_EQ(aml_area_linux_mbind(data, address, SIZE), AML_SUCCESS);
	memset(address, 1, SIZE);
	memset(private_memory, 1, SIZE);
	CHECK_EQ(aml_area_linux_check_binding(data, address, SIZE), 1);

	/* Look with areas.h: the same area, by id, by name, by address; and memory that is not an
	 * area. */
	CHECK_EQ(areas_find("mixed"), id);
	CHECK_EQ(areas_at(address), id);
	CHECK_EQ(areas_get(id, &info), 0);
	CHECK(info.address == address);
	CHECK_EQ(info.kind, AREAS_RESIZABLE);
	CHECK_EQ(info.size, SIZE);
	CHECK_EQ(get_area_info(id, &be), B_OK);
	CHECK_EQ(be.size, info.size);
	CHECK_STR(be.name, info.name);
	CHECK_EQ(areas_measure_id(id, &residency, on_node_0, &looked_at), 0);
	CHECK_EQ(residency.resident, SIZE);
	CHECK_EQ(areas_measure_range(private_memory, SIZE, &residency, on_node_0, &looked_at), 0);
	CHECK_EQ(looked_at, 2 * SIZE);

	/* What areas.h makes, Be's calls see, here and in another process; and the other way round. */
	how.name = "a clone";
	ours = areas_clone(id, &how);
	CHECK(ours != NULL);
	CHECK_EQ(find_area("a clone"), areas_id(ours));
	CHECK_EQ(area_for(areas_address(ours)), areas_id(ours));
	/* It is areas.h's handle that owns it: Be's calls do not take it away. */
	CHECK_EQ(delete_area(areas_id(ours)), B_NOT_ALLOWED);
	child = check_fork();
	if (child == 0) {
		areas_area *seen = areas_clone_named("a clone", NULL);
		void *there = NULL;
		CHECK(seen != NULL);
		CHECK_EQ(((char *)areas_address(seen))[SIZE - 1], 1);
		((char *)areas_address(seen))[0] = 2;
		CHECK(clone_area("again", &there, B_ANY_ADDRESS, B_READ_AREA, areas_id(seen) > 0 ? areas_id(seen) : id) > 0);
		CHECK_EQ(*(char *)there, 2);
		areas_release(seen);
		_exit(0);
	}
	check_child(child, 0);
	CHECK_EQ(*(char *)address, 2);
	/* Be resizes: the clone of areas.h has the size at once. */
	CHECK_EQ(resize_area(id, SIZE / 2), B_OK);
	CHECK_EQ(areas_size(ours), SIZE / 2);
	CHECK_EQ(delete_area(id), B_OK);
	CHECK_EQ(areas_find("mixed"), AREAS_ERROR_NO_SUCH_AREA);
	CHECK_EQ(*(char *)areas_address(ours), 2);
	areas_release(ours);
	CHECK_EQ(aml_area_munmap(bound, private_memory, SIZE), AML_SUCCESS);
	aml_area_linux_destroy(&bound);
	return 0;
}
