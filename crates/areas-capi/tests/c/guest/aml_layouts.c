// AML's areas on other machines than the default one: three nodes of unequal size, eight small
// ones, and a node whose memory is added while the program runs. What is there is moved from
// each node to each; weights hold.
// vm: --nodes "2:512 0:128 0:256" -- from_each to_all weights_hold sets_of
// vm: --nodes "2:384 1:96 0:64 0:64 0:64 0:64 0:64 0:64" -- from_each to_all weights_hold sets_of
// vm: --nodes "1:512 1:0 0:160" --append memhp_default_state=offline --qemu=-m --qemu=slots=2,maxmem=2G --qemu=-object --qemu=memory-backend-ram,id=hot,size=256M --qemu=-device --qemu=pc-dimm,id=added,memdev=hot,node=1 -- a_node_that_is_added

#include "aml/sets.h"

#include <aml/area/linux.h>

#include "guest/tests.h"

#define PAGES 72
#define MAX_NODES 16

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

static void counted(const void *ptr, int counts[MAX_NODES])
{
	int found[PAGES];

	raw_nodes(ptr, PAGES, found);
	memset(counts, 0, MAX_NODES * sizeof *counts);
	for (int at = 0; at < PAGES; at++) {
		if (found[at] < 0 || found[at] >= MAX_NODES)
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
			int counts[MAX_NODES];

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
		unsigned long others = ((1UL << nodes) - 1) & ~(1UL << from), reported;
		struct aml_area *area = area_over(1UL << from, AML_AREA_LINUX_POLICY_BIND), *other;
		char *ptr = (char *)aml_area_mmap(area, PAGES * PAGE, NULL);
		int counts[MAX_NODES], moved = 0;

		CHECK(ptr != NULL);
		touch(ptr, PAGES);
		other = area_over(others, AML_AREA_LINUX_POLICY_INTERLEAVE);
		CHECK_EQ(aml_area_linux_mbind((struct aml_area_linux_data *)other->data, ptr, PAGES * PAGE), AML_SUCCESS);
		CHECK_EQ(raw_policy(ptr, &reported), RAW_INTERLEAVE);
		CHECK_EQ(reported, others);
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
	int counts[MAX_NODES], nodes = nodes_here();
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
		int counts[MAX_NODES];
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

/* Brings the memory of a node in; how many parts of it there were. */
static int brought_in(int node)
{
	char folder[64], file[512];
	struct dirent *entry;
	int count = 0;
	DIR *parts;

	snprintf(folder, sizeof folder, "/sys/devices/system/node/node%d", node);
	parts = opendir(folder);
	CHECK(parts != NULL);
	while ((entry = readdir(parts)) != NULL) {
		unsigned number;

		if (sscanf(entry->d_name, "memory%u", &number) != 1)
			continue;
		snprintf(file, sizeof file, "%s/memory%u/state", folder, number);
		setting(file, "online_movable");
		count++;
	}
	closedir(parts);
	return count;
}

/* Node 1 has no memory at first, and is refused; then it has, and what is there moves to it, while
 * an area of "all" has it by itself. */
static void a_node_that_is_added(void)
{
	struct hwloc_bitmap_s set = set_of(2);
	struct aml_bitmap mask;
	struct aml_area *area, *all;
	int counts[MAX_NODES];
	char *ptr;

	aml_bitmap_zero(&mask);
	aml_bitmap_set(&mask, 1);
	CHECK_EQ(aml_area_linux_create(&area, &mask, AML_AREA_LINUX_POLICY_BIND), -AML_EDOM);
	CHECK_EQ(aml_area_hwloc_create(&area, &set, HWLOC_MEMBIND_BIND), -AML_EDOM);
	CHECK_EQ(aml_area_hwloc_create(&all, NULL, HWLOC_MEMBIND_INTERLEAVE), AML_SUCCESS);
	ptr = (char *)aml_area_mmap(all, PAGES * PAGE, NULL);
	CHECK(ptr != NULL);
	touch(ptr, PAGES);
	counted(ptr, counts);
	CHECK_EQ(counts[0], PAGES / 2);
	CHECK_EQ(counts[2], PAGES / 2);
	CHECK(brought_in(1) > 0);
	area = area_over(2, AML_AREA_LINUX_POLICY_BIND);
	CHECK_EQ(aml_area_linux_mbind((struct aml_area_linux_data *)area->data, ptr, PAGES * PAGE), AML_SUCCESS);
	counted(ptr, counts);
	CHECK_EQ(counts[1], PAGES);
	CHECK_EQ(aml_area_linux_check_binding((struct aml_area_linux_data *)area->data, ptr, PAGES * PAGE), 1);
	CHECK_EQ(aml_area_munmap(all, ptr, PAGES * PAGE), AML_SUCCESS);
	/* All are what they are now. */
	ptr = (char *)aml_area_mmap(all, PAGES * PAGE, NULL);
	CHECK(ptr != NULL);
	touch(ptr, PAGES);
	counted(ptr, counts);
	for (int node = 0; node < 3; node++)
		CHECK_EQ(counts[node], PAGES / 3);
	CHECK_EQ(aml_area_munmap(all, ptr, PAGES * PAGE), AML_SUCCESS);
	aml_area_hwloc_destroy(&all);
	aml_area_linux_destroy(&area);
	from_each_node_to_each();
	to_all_others();
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "from_each_node_to_each", from_each_node_to_each },
		{ "to_all_others", to_all_others },
		{ "weights_hold", weights_hold },
		{ "sets_of_hwlocs", sets_of_hwlocs },
		{ "a_node_that_is_added", a_node_that_is_added },
	};

	return run_tests(tests, sizeof tests / sizeof *tests, argc, argv);
}
