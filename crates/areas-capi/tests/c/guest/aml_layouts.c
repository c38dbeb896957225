// AML's areas on other machines than the default one: three nodes of unequal size, and eight small ones. What is there is moved from each node to
// each, by linux and by hwloc areas; weights hold.
// vm: --nodes "2:512 0:128 0:256"
// vm: --nodes "2:384 1:96 0:64 0:64 0:64 0:64 0:64 0:64"

#include "aml/sets.h"

#include <aml/area/linux.h>

#include "guest/tests.h"

#define PAGES 72
#define MOST 16

/* How many nodes there are: 0 and those behind it, all with memory. */
static int nodes_here(void)
{
	int count = 0;
	char name[64];

	do
		snprintf(name, sizeof name, "/sys/devices/system/node/node%d", ++count);
	while (access(name, F_OK) == 0);
	CHECK(count == 3 || count == 8);
	return count;
}

static void counted(const void *ptr, int counts[MOST])
{
	int found[PAGES];

	raw_nodes(ptr, PAGES, found);
	memset(counts, 0, MOST * sizeof *counts);
	for (int at = 0; at < PAGES; at++) {
		if (found[at] < 0 || found[at] >= MOST)
			check_failed(__FILE__, __LINE__, "page %d is on node %d", at, found[at]);
		counts[found[at]]++;
	}
}

static struct aml_area *area_over(unsigned long nodes, enum aml_area_linux_policy policy)
{
	struct aml_bitmap mask;
	struct aml_area *area;

	aml_bitmap_copy_from_ulong(&mask, &nodes, 64);
	CHECK_EQ(aml_area_linux_create(&area, &mask, policy), AML_SUCCESS);
	return area;
}

static void from_each_node_to_each(void)
{
	int nodes = nodes_here();

	for (int from = 0; from < nodes; from++) {
		for (int to = 0; to < nodes; to++) {
			struct aml_area *area = area_over(1UL << from, AML_AREA_LINUX_POLICY_BIND), *other;
			char *ptr = (char *)aml_area_mmap(area, PAGES * PAGE, NULL);
			int counts[MOST];

			CHECK(ptr != NULL);
			for (int at = 0; at < PAGES; at++)
				memset(ptr + (size_t)at * PAGE, from + at, PAGE);
			counted(ptr, counts);
			CHECK_EQ(counts[from], PAGES);
			other = area_over(1UL << to, to % 2 ? AML_AREA_LINUX_POLICY_BIND : AML_AREA_LINUX_POLICY_PREFERRED);
			CHECK_EQ(aml_area_linux_check_binding((struct aml_area_linux_data *)other->data, ptr, PAGES * PAGE), to % 2 && to == from);
			CHECK_EQ(aml_area_linux_mbind((struct aml_area_linux_data *)other->data, ptr, PAGES * PAGE), AML_SUCCESS);
			counted(ptr, counts);
			CHECK_EQ(counts[to], PAGES);
			CHECK_EQ(aml_area_linux_check_binding((struct aml_area_linux_data *)other->data, ptr, PAGES * PAGE), 1);
			for (size_t at = 0; at < PAGES * PAGE; at++)
				CHECK_EQ(ptr[at], from + (int)(at / PAGE));
			CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
			aml_area_linux_destroy(&area);
			aml_area_linux_destroy(&other);
		}
	}
}

/* From one node to all others: none stays, and those that took them are the mask's. */
static void to_all_others(void)
{
	int nodes = nodes_here();

	for (int from = 0; from < nodes; from++) {
		unsigned long others = ((1UL << nodes) - 1) & ~(1UL << from), told;
		struct aml_area *area = area_over(1UL << from, AML_AREA_LINUX_POLICY_BIND), *other;
		char *ptr = (char *)aml_area_mmap(area, PAGES * PAGE, NULL);
		int counts[MOST], moved = 0;

		CHECK(ptr != NULL);
		touch(ptr, PAGES);
		other = area_over(others, AML_AREA_LINUX_POLICY_INTERLEAVE);
		CHECK_EQ(aml_area_linux_mbind((struct aml_area_linux_data *)other->data, ptr, PAGES * PAGE), AML_SUCCESS);
		CHECK_EQ(raw_policy(ptr, &told), RAW_INTERLEAVE);
		CHECK_EQ(told, others);
		counted(ptr, counts);
		for (int node = 0; node < nodes; node++)
			moved += node == from ? 0 : counts[node];
		CHECK_EQ(moved, PAGES);
		CHECK_EQ(aml_area_linux_check_binding((struct aml_area_linux_data *)other->data, ptr, PAGES * PAGE), 1);
		CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
		aml_area_linux_destroy(&area);
		aml_area_linux_destroy(&other);
	}
}

/* HWLOC_MEMBIND_WEIGHTED_INTERLEAVE of hwloc 2.11, by the kernel's weights. */
static void weights_hold(void)
{
	static const int weights[] = { 1, 3, 5, 0, 0, 0, 0, 0 };
	struct hwloc_bitmap_s set = set_of(7);
	struct aml_area *area;
	int counts[MOST], nodes = nodes_here();
	char file[96], *ptr;

	for (int node = 0; node < nodes; node++) {
		char text[8];

		snprintf(file, sizeof file, "/sys/kernel/mm/mempolicy/weighted_interleave/node%d", node);
		snprintf(text, sizeof text, "%d", weights[node] == 0 ? 2 : weights[node]);
		setting(file, text);
	}
	CHECK_EQ(aml_area_hwloc_create(&area, &set, (hwloc_membind_policy_t)5), AML_SUCCESS);
	ptr = (char *)aml_area_mmap(area, PAGES * PAGE, NULL);
	CHECK(ptr != NULL);
	touch(ptr, PAGES);
	counted(ptr, counts);
	for (int node = 0; node < nodes; node++)
		CHECK_EQ(counts[node], weights[node] * PAGES / 9);
	CHECK_EQ(aml_area_hwloc_check_binding(area, ptr, PAGES * PAGE), 1);
	CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
	aml_area_hwloc_destroy(&area);
	for (int node = 0; node < nodes; node++) {
		snprintf(file, sizeof file, "/sys/kernel/mm/mempolicy/weighted_interleave/node%d", node);
		setting(file, "1");
	}
}

/* Each node in turn, and each alone. */
static void sets_of_hwlocs(void)
{
	int nodes = nodes_here();

	for (int node = 0; node <= nodes; node++) {
		struct hwloc_bitmap_s set = set_of(node < nodes ? 1UL << node : (1UL << nodes) - 1);
		struct aml_area *area;
		int counts[MOST];
		char *ptr;

		CHECK_EQ(aml_area_hwloc_create(&area, &set, node < nodes ? HWLOC_MEMBIND_BIND : HWLOC_MEMBIND_INTERLEAVE), AML_SUCCESS);
		ptr = (char *)aml_area_mmap(area, PAGES * PAGE, NULL);
		CHECK(ptr != NULL);
		touch(ptr, PAGES);
		counted(ptr, counts);
		for (int at = 0; at < nodes; at++)
			CHECK_EQ(counts[at], node == nodes ? PAGES / nodes : at == node ? PAGES : 0);
		CHECK_EQ(aml_area_hwloc_check_binding(area, ptr, PAGES * PAGE), 1);
		CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
		aml_area_hwloc_destroy(&area);
		set = set_of(1UL << nodes);
		CHECK_EQ(aml_area_hwloc_create(&area, &set, HWLOC_MEMBIND_BIND), -AML_EDOM);
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "from_each_node_to_each", from_each_node_to_each },
		{ "to_all_others", to_all_others },
		{ "weights_hold", weights_hold },
		{ "sets_of_hwlocs", sets_of_hwlocs },
	};

	return run_tests(tests, sizeof tests / sizeof *tests, argc, argv);
}
