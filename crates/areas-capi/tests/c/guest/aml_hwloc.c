// AML's hwloc areas on a machine with several nodes: each page's node is asked of the kernel.
// Node 3 is the fastest for node 0, node 2 the largest and the farthest (the default machine of
// `cargo xtask vm`).
// vm:

#include "aml/sets.h"

#include <sched.h>

#include "guest/tests.h"

#define PAGES 48

static struct aml_area *area_over(unsigned long nodes, hwloc_membind_policy_t policy)
{
	struct hwloc_bitmap_s set = set_of(nodes);
	struct aml_area *area;

	CHECK_EQ(aml_area_hwloc_create(&area, &set, policy), AML_SUCCESS);
	return area;
}

/* How many pages are on each node; all of them are in RAM. */
static void counted(const void *ptr, int counts[4])
{
	int found[PAGES];

	raw_nodes(ptr, PAGES, found);
	memset(counts, 0, 4 * sizeof *counts);
	for (int at = 0; at < PAGES; at++) {
		if (found[at] < 0 || found[at] > 3)
			check_failed(__FILE__, __LINE__, "page %d is on node %d", at, found[at]);
		counts[found[at]]++;
	}
}

/* This thread runs on a CPU of that node from now on: CPUs 0 and 1 are on node 0, CPU 2 is on node
 * 1. */
static void run_on(int node)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(node == 0 ? 0 : 2, &cpus);
	CHECK_EQ(sched_setaffinity(0, sizeof cpus, &cpus), 0);
}

static void sets_bind_and_interleave_exactly_their_nodes(void)
{
	for (unsigned long nodes = 1; nodes < 16; nodes++) {
		for (int interleave = 0; interleave < 2; interleave++) {
			struct aml_area *area = area_over(nodes, interleave ? HWLOC_MEMBIND_INTERLEAVE : HWLOC_MEMBIND_BIND);
			char *ptr = (char *)aml_area_mmap(area, PAGES * PAGE, NULL);
			unsigned long mask;
			int counts[4];

			CHECK(ptr != NULL);
			CHECK_EQ(raw_policy(ptr, &mask), interleave ? RAW_INTERLEAVE : RAW_BIND);
			CHECK_EQ(mask, nodes);
			touch(ptr, PAGES);
			counted(ptr, counts);
			for (int node = 0; node < 4; node++) {
				if (!(nodes >> node & 1))
					CHECK_EQ(counts[node], 0);
				else if (interleave)
					CHECK_EQ(counts[node], PAGES / __builtin_popcountl(nodes));
			}
			for (unsigned long others = 1; others < 16; others++) {
				struct aml_area *other = area_over(others, interleave ? HWLOC_MEMBIND_INTERLEAVE : HWLOC_MEMBIND_BIND);

				CHECK_EQ(aml_area_hwloc_check_binding(other, ptr, PAGES * PAGE), others == nodes);
				aml_area_hwloc_destroy(&other);
			}
			raw_move(ptr + 7 * PAGE, nodes == 1 ? 1 : 0);
			CHECK_EQ(aml_area_hwloc_check_binding(area, ptr, PAGES * PAGE), nodes > 1 && nodes & 1);
			CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
			aml_area_hwloc_destroy(&area);
		}
	}
}

/* A page is where it was touched; where that node is none of the area's, on one of those. */
static void first_touch_is_by_the_thread(void)
{
	for (int node = 0; node < 2; node++) {
		static const unsigned long sets[] = { 15, 1, 2, 1 | 4, 2 | 8, 4, 4 | 8 };

		run_on(node);
		for (size_t at = 0; at < sizeof sets / sizeof *sets; at++) {
			struct aml_area *area = area_over(sets[at], HWLOC_MEMBIND_FIRSTTOUCH);
			char *ptr = (char *)aml_area_mmap(area, PAGES * PAGE, NULL);
			int counts[4], all = 0;

			CHECK(ptr != NULL);
			touch(ptr, PAGES);
			counted(ptr, counts);
			if (sets[at] >> node & 1)
				CHECK_EQ(counts[node], PAGES);
			for (int other = 0; other < 4; other++)
				all += sets[at] >> other & 1 ? counts[other] : 0;
			CHECK_EQ(all, PAGES);
			CHECK_EQ(aml_area_hwloc_check_binding(area, ptr, PAGES * PAGE), 1);
			CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
			aml_area_hwloc_destroy(&area);
		}
	}
}

static void areas_to_begin_with(void)
{
	char *ptr = (char *)aml_area_mmap(&aml_area_hwloc_interleave, PAGES * PAGE, NULL);
	int counts[4];

	CHECK(ptr != NULL);
	touch(ptr, PAGES);
	counted(ptr, counts);
	for (int node = 0; node < 4; node++)
		CHECK_EQ(counts[node], PAGES / 4);
	CHECK_EQ(aml_area_hwloc_check_binding(&aml_area_hwloc_interleave, ptr, PAGES * PAGE), 1);
	CHECK_EQ(aml_area_munmap(&aml_area_hwloc_interleave, ptr, PAGES * PAGE), AML_SUCCESS);
	for (int node = 0; node < 2; node++) {
		run_on(node);
		ptr = (char *)aml_area_mmap(node ? &aml_area_hwloc_firsttouch : &aml_area_hwloc_default, PAGES * PAGE, NULL);
		CHECK(ptr != NULL);
		touch(ptr, PAGES);
		counted(ptr, counts);
		CHECK_EQ(counts[node], PAGES);
		CHECK_EQ(aml_area_munmap(&aml_area_hwloc_default, ptr, PAGES * PAGE), AML_SUCCESS);
	}
}

static void refused(void)
{
	struct hwloc_bitmap_s outside = set_of(1 | 4), inside = set_of(2 | 8);
	struct aml_area *area;
	unsigned long mask;
	char *ptr;

	CHECK_EQ(aml_area_hwloc_create(&area, &outside, HWLOC_MEMBIND_BIND), -AML_EDOM);
	CHECK(area == NULL);
	CHECK_EQ(aml_area_hwloc_create(&area, &inside, HWLOC_MEMBIND_FIRSTTOUCH), AML_SUCCESS);
	ptr = (char *)aml_area_mmap(area, PAGE, NULL);
	/* All that are allowed. */
	CHECK(ptr != NULL);
	CHECK_EQ(raw_policy(ptr, &mask), 4);
	aml_area_hwloc_destroy(&area);
	CHECK_EQ(aml_area_hwloc_ranked_create(&area, NULL, AML_AREA_HWLOC_RANK_FREE), AML_SUCCESS);
	CHECK_EQ(((struct aml_area_hwloc_preferred_data *)area->data)->num_nodes, 2);
	CHECK_EQ(aml_area_hwloc_preferred_destroy(&area), AML_SUCCESS);
}

static void nodes_that_are_not_allowed_are_refused(void)
{
	in_a_cpuset("1,3", refused);
}

/* All that can be mapped begins on the best node; the whole order is as said. */
static void begins_on(struct aml_area *area, const unsigned order[4])
{
	const struct aml_area_hwloc_preferred_data *data = (struct aml_area_hwloc_preferred_data *)area->data;
	char *ptr = (char *)aml_area_mmap(area, PAGES * PAGE, NULL);
	int counts[4];

	CHECK_EQ(data->num_nodes, 4);
	for (int at = 0; at < 4; at++) {
		if (data->os_indexes[at] != order[at])
			check_failed(__FILE__, __LINE__, "node %u is at %d instead of %u", data->os_indexes[at], at, order[at]);
	}
	CHECK(ptr != NULL);
	touch(ptr, PAGES);
	counted(ptr, counts);
	CHECK_EQ(counts[order[0]], PAGES);
	CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
	CHECK_EQ(aml_area_hwloc_preferred_destroy(&area), AML_SUCCESS);
}

/* What the machine says: distances, and the firmware's table, in which only a node's best
 * initiators are. */
static void the_best_node_comes_first(void)
{
	static const unsigned from_0[4] = { 0, 3, 1, 2 }, from_1[4] = { 1, 0, 3, 2 };
	struct hwloc_bitmap_s cpu_0 = set_of(1), cpu_2 = set_of(4);
	const struct aml_area_hwloc_preferred_data *data;
	struct aml_area *area;

	CHECK_EQ(aml_area_hwloc_ranked_create(&area, &cpu_0, AML_AREA_HWLOC_RANK_DISTANCE), AML_SUCCESS);
	begins_on(area, from_0);
	CHECK_EQ(aml_area_hwloc_ranked_create(&area, &cpu_2, AML_AREA_HWLOC_RANK_DISTANCE), AML_SUCCESS);
	begins_on(area, from_1);
	/* Node 3 is by far the fastest for node 0, and node 2 the largest. */
	CHECK_EQ(aml_area_hwloc_ranked_create(&area, &cpu_0, AML_AREA_HWLOC_RANK_BANDWIDTH), AML_SUCCESS);
	data = (struct aml_area_hwloc_preferred_data *)area->data;
	CHECK_EQ(data->os_indexes[0], 3);
	CHECK_EQ(data->os_indexes[1], 0);
	CHECK_EQ(aml_area_hwloc_preferred_destroy(&area), AML_SUCCESS);
	CHECK_EQ(aml_area_hwloc_ranked_create(&area, &cpu_0, AML_AREA_HWLOC_RANK_LATENCY), AML_SUCCESS);
	data = (struct aml_area_hwloc_preferred_data *)area->data;
	CHECK_EQ(data->os_indexes[0], 3);
	CHECK_EQ(aml_area_hwloc_preferred_destroy(&area), AML_SUCCESS);
	CHECK_EQ(aml_area_hwloc_ranked_create(&area, NULL, AML_AREA_HWLOC_RANK_FREE), AML_SUCCESS);
	data = (struct aml_area_hwloc_preferred_data *)area->data;
	CHECK_EQ(data->os_indexes[0], 2);
	CHECK_EQ(aml_area_hwloc_preferred_destroy(&area), AML_SUCCESS);
	/* Of both nodes with CPUs, each node counts by the better of the two. */
	cpu_0 = set_of(1 | 4);
	CHECK_EQ(aml_area_hwloc_ranked_create(&area, &cpu_0, AML_AREA_HWLOC_RANK_DISTANCE), AML_SUCCESS);
	data = (struct aml_area_hwloc_preferred_data *)area->data;
	CHECK_EQ(data->os_indexes[0], 0);
	CHECK_EQ(data->os_indexes[1], 1);
	CHECK_EQ(data->os_indexes[2], 3);
	CHECK_EQ(data->os_indexes[3], 2);
	CHECK_EQ(aml_area_hwloc_preferred_destroy(&area), AML_SUCCESS);
	/* As seen from the thread, if that is on one node. */
	run_on(1);
	CHECK_EQ(aml_area_hwloc_preferred_local_create(&area, HWLOC_DISTANCES_KIND_FROM_OS), AML_SUCCESS);
	begins_on(area, from_1);
}

static void unbound_thread(void)
{
	struct aml_area *area = &aml_area_hwloc_default;

	CHECK_EQ(aml_area_hwloc_preferred_local_create(&area, HWLOC_DISTANCES_KIND_FROM_OS), -AML_FAILURE);
	CHECK(area == NULL && aml_errno == AML_FAILURE);
}

/* More than the first node has free goes on the second: each part has a policy of its own. */
static void the_next_node_has_the_rest(void)
{
	struct hwloc_bitmap_s cpu_0 = set_of(1);
	struct aml_area *area;
	size_t size = (size_t)400 << 20, part = 0;
	unsigned long mask;
	int first = -1, second = -1;
	char *ptr;

	CHECK_EQ(aml_area_hwloc_ranked_create(&area, &cpu_0, AML_AREA_HWLOC_RANK_BANDWIDTH), AML_SUCCESS);
	ptr = (char *)aml_area_mmap(area, size, NULL);
	CHECK(ptr != NULL);
	CHECK_EQ(raw_policy(ptr, &mask), RAW_PREFERRED);
	CHECK_EQ(mask, 1 << 3);
	for (part = PAGE; part < size; part += PAGE) {
		CHECK_EQ(raw_policy(ptr + part, &mask), RAW_PREFERRED);
		if (mask != 1 << 3)
			break;
	}
	/* Node 3 has 256 MiB, of which the kernel has some. */
	CHECK(part > (size_t)150 << 20 && part < (size_t)256 << 20);
	CHECK_EQ(mask, 1 << 0);
	CHECK_EQ(raw_policy(ptr + size - PAGE, &mask), RAW_PREFERRED);
	/* Where the parts meet, so do the pages. */
	ptr[part - 1] = 1;
	ptr[part] = 1;
	raw_nodes(ptr + part - PAGE, 1, &first);
	raw_nodes(ptr + part, 1, &second);
	CHECK_EQ(first, 3);
	CHECK_EQ(second, 0);
	CHECK_EQ(aml_area_munmap(area, ptr, size), AML_SUCCESS);
	CHECK_EQ(aml_area_hwloc_preferred_destroy(&area), AML_SUCCESS);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "sets_bind_and_interleave_exactly_their_nodes", sets_bind_and_interleave_exactly_their_nodes },
		{ "first_touch_is_by_the_thread", first_touch_is_by_the_thread },
		{ "areas_to_begin_with", areas_to_begin_with },
		{ "nodes_that_are_not_allowed_are_refused", nodes_that_are_not_allowed_are_refused },
		{ "the_best_node_comes_first", the_best_node_comes_first },
		{ "unbound_thread", unbound_thread },
		{ "the_next_node_has_the_rest", the_next_node_has_the_rest },
	};

	return run_tests(tests, sizeof tests / sizeof *tests, argc, argv);
}
