// AML 0.1's areas on a machine with several nodes: its page's first example, measured; and pages
// that only a child has mapped.
// vm:

#include <aml.h>
#include <aml/area/linux.h>

#include "guest/tests.h"

#define PAGES 64

static void children_spread_shared_memory_over_all_nodes(void)
{
	struct aml_area *area;
	int found[PAGES], counts[4] = { 0 };
	pid_t children[4];
	char *ptr;

	CHECK_EQ(aml_area_linux_create(&area, AML_AREA_LINUX_MMAP_FLAG_SHARED, NULL,
	                               AML_AREA_LINUX_BINDING_FLAG_INTERLEAVE),
	         AML_SUCCESS);
	ptr = (char *)aml_area_mmap(area, NULL, PAGES * PAGE);
	CHECK(ptr != NULL);
	for (int at = 0; at < 4; at++) {
		children[at] = check_fork();
		if (children[at] == 0) {
			touch(ptr + (size_t)at * PAGES / 4 * PAGE, PAGES / 4);
			_exit(0);
		}
	}
	for (int at = 0; at < 4; at++)
		check_child(children[at], 0);
	CHECK_EQ(aml_area_linux_check_binding((struct aml_area_linux_data *)area->data, ptr, PAGES * PAGE), 1);
	touch(ptr, PAGES);
	raw_nodes(ptr, PAGES, found);
	for (int at = 0; at < PAGES; at++) {
		CHECK(found[at] >= 0 && found[at] < 4);
		counts[found[at]]++;
	}
	for (int node = 0; node < 4; node++)
		CHECK_EQ(counts[node], PAGES / 4);
	CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
	aml_area_linux_destroy(&area);
}

static void a_page_that_a_child_moved_is_seen(void)
{
	struct aml_bitmap nodes;
	struct aml_area *area;
	unsigned long reported;
	pid_t child;
	char *ptr;

	aml_bitmap_zero(&nodes);
	aml_bitmap_set_range(&nodes, 1, 2);
	CHECK_EQ(aml_area_linux_create(&area, AML_AREA_LINUX_MMAP_FLAG_SHARED, &nodes,
	                               AML_AREA_LINUX_BINDING_FLAG_BIND),
	         AML_SUCCESS);
	ptr = (char *)aml_area_mmap(area, NULL, PAGES * PAGE);
	CHECK(ptr != NULL);
	CHECK_EQ(raw_policy(ptr, &reported), RAW_BIND);
	CHECK_EQ(reported, 6);
	/* This process has no page of it mapped when the child ends. */
	child = check_fork();
	if (child == 0) {
		touch(ptr, PAGES);
		raw_move(ptr + 40 * PAGE, 3);
		_exit(0);
	}
	check_child(child, 0);
	CHECK_EQ(aml_area_linux_check_binding((struct aml_area_linux_data *)area->data, ptr, PAGES * PAGE), 0);
	CHECK_EQ(aml_area_linux_check_binding((struct aml_area_linux_data *)area->data, ptr, 40 * PAGE), 1);
	CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
	aml_area_linux_destroy(&area);
}

/* As AML 0.1 did it: pages that are there move, private ones and shared ones that this process
 * alone has mapped. */
static void what_is_there_is_moved(void)
{
	for (int shared = 0; shared < 2; shared++) {
		AML_AREA_LINUX_DECL(area);
		struct aml_bitmap nodes;
		char *ptr = (char *)mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
		                         MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);
		int found[PAGES];

		CHECK(ptr != MAP_FAILED);
		touch(ptr, PAGES);
		for (unsigned to = 0; to < 4; to++) {
			aml_bitmap_zero(&nodes);
			aml_bitmap_set(&nodes, to);
			CHECK_EQ(aml_area_linux_init(&area, AML_AREA_LINUX_MMAP_FLAG_PRIVATE, &nodes, AML_AREA_LINUX_BINDING_FLAG_BIND),
			         AML_SUCCESS);
			CHECK_EQ(aml_area_linux_mbind((struct aml_area_linux_data *)area.data, ptr, PAGES * PAGE), AML_SUCCESS);
			raw_nodes(ptr, PAGES, found);
			for (int at = 0; at < PAGES; at++)
				CHECK_EQ(found[at], to);
			CHECK_EQ(aml_area_linux_check_binding((struct aml_area_linux_data *)area.data, ptr, PAGES * PAGE), 1);
			aml_area_linux_fini(&area);
		}
		CHECK_EQ(munmap(ptr, PAGES * PAGE), 0);
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "children_spread_shared_memory_over_all_nodes", children_spread_shared_memory_over_all_nodes },
		{ "a_page_that_a_child_moved_is_seen", a_page_that_a_child_moved_is_seen },
		{ "what_is_there_is_moved", what_is_there_is_moved },
	};

	return run_tests(tests, sizeof tests / sizeof *tests, argc, argv);
}
