// AML's areas on a machine with several nodes: every set of nodes under every policy, each
// page's node asked of the kernel.
// vm:
// vm: --kernel linux-image-cloud-amd64

#include <aml.h>
#include <aml/area/linux.h>
#include <aml/higher/allocator/buddy.h>

#include "guest/tests.h"

#define PAGES 48

static struct aml_area *area_over(unsigned long nodes, enum aml_area_linux_policy policy)
{
	struct aml_bitmap mask;
	struct aml_area *area;

	aml_bitmap_copy_from_ulong(&mask, &nodes, 64);
	CHECK_EQ(aml_area_linux_create(&area, &mask, policy), AML_SUCCESS);
	return area;
}

static int holds(const struct aml_area *area, void *ptr, size_t pages)
{
	return aml_area_linux_check_binding((struct aml_area_linux_data *)area->data, ptr, pages * PAGE);
}

/* All pages are in RAM, on these nodes; how many on each. */
static void on_nodes(const void *ptr, unsigned long nodes, int counts[4])
{
	int found[PAGES];

	raw_nodes(ptr, PAGES, found);
	memset(counts, 0, 4 * sizeof *counts);
	for (int at = 0; at < PAGES; at++) {
		if (found[at] < 0 || found[at] > 3 || !(nodes >> found[at] & 1))
			check_failed(__FILE__, __LINE__, "page %d is on node %d, of a mask %#lx", at, found[at], nodes);
		counts[found[at]]++;
	}
}

/* The nodes of the mask, and no other: the last one, too. */
static void a_mask_binds_exactly_its_nodes(void)
{
	for (unsigned long nodes = 1; nodes < 16; nodes++) {
		struct aml_area *area = area_over(nodes, AML_AREA_LINUX_POLICY_BIND);
		void *ptr = aml_area_mmap(area, PAGES * PAGE, NULL);
		unsigned long reported;
		int counts[4];

		CHECK(ptr != NULL);
		CHECK_EQ(raw_policy(ptr, &reported), RAW_BIND);
		CHECK_EQ(reported, nodes);
		CHECK_EQ(holds(area, ptr, PAGES), 1);
		touch(ptr, PAGES);
		on_nodes(ptr, nodes, counts);
		CHECK_EQ(holds(area, ptr, PAGES), 1);
		/* It is this area's binding, and no other's, whatever the pages are. */
		for (unsigned long others = 1; others < 16; others++) {
			struct aml_area *other = area_over(others, AML_AREA_LINUX_POLICY_BIND);

			CHECK_EQ(holds(other, ptr, PAGES), others == nodes);
			aml_area_linux_destroy(&other);
			other = area_over(others, AML_AREA_LINUX_POLICY_INTERLEAVE);
			CHECK_EQ(holds(other, ptr, PAGES), 0);
			aml_area_linux_destroy(&other);
		}
		CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
		aml_area_linux_destroy(&area);
	}
}

static void interleaving_goes_round_its_nodes(void)
{
	for (unsigned long nodes = 1; nodes < 16; nodes++) {
		struct aml_area *area = area_over(nodes, AML_AREA_LINUX_POLICY_INTERLEAVE);
		void *ptr = aml_area_mmap(area, PAGES * PAGE, NULL);
		int counts[4], found[PAGES], each = PAGES / __builtin_popcountl(nodes);

		CHECK(ptr != NULL);
		touch(ptr, PAGES);
		on_nodes(ptr, nodes, counts);
		for (int node = 0; node < 4; node++)
			CHECK_EQ(counts[node], nodes >> node & 1 ? each : 0);
		/* In turn, wherever the round begins. */
		raw_nodes(ptr, PAGES, found);
		for (int at = __builtin_popcountl(nodes); at < PAGES; at++)
			CHECK_EQ(found[at], found[at - __builtin_popcountl(nodes)]);
		CHECK_EQ(holds(area, ptr, PAGES), 1);
		CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
		aml_area_linux_destroy(&area);
	}
}

static void preferring_takes_all_of_its_nodes(void)
{
	for (unsigned long nodes = 1; nodes < 16; nodes++) {
		struct aml_area *area = area_over(nodes, AML_AREA_LINUX_POLICY_PREFERRED);
		void *ptr = aml_area_mmap(area, PAGES * PAGE, NULL);
		unsigned long reported;
		int counts[4], many = __builtin_popcountl(nodes) > 1;

		CHECK(ptr != NULL);
		CHECK_EQ(raw_policy(ptr, &reported), many ? RAW_PREFERRED_MANY : RAW_PREFERRED);
		CHECK_EQ(reported, nodes);
		touch(ptr, PAGES);
		on_nodes(ptr, nodes, counts);
		CHECK_EQ(holds(area, ptr, PAGES), 1);
		CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
		aml_area_linux_destroy(&area);
	}
}

/* One page of many is elsewhere: its policy says nothing of that. */
static void a_page_that_was_moved_is_seen(void)
{
	struct aml_area *area = area_over(6, AML_AREA_LINUX_POLICY_BIND);
	char *ptr = (char *)aml_area_mmap(area, PAGES * PAGE, NULL);
	unsigned long reported;

	CHECK(ptr != NULL);
	/* The last page is not there, which is nowhere wrong. */
	touch(ptr, PAGES - 1);
	for (int at = 0; at < PAGES - 1; at += 23) {
		CHECK_EQ(holds(area, ptr, PAGES), 1);
		raw_move(ptr + (size_t)at * PAGE, 3);
		CHECK_EQ(raw_policy(ptr + (size_t)at * PAGE, &reported), RAW_BIND);
		CHECK_EQ(reported, 6);
		CHECK_EQ(holds(area, ptr, PAGES), 0);
		/* A part that does not have it is in place. */
		CHECK_EQ(holds(area, ptr + (size_t)(at + 1) * PAGE, (size_t)(PAGES - at - 1)), 1);
		raw_move(ptr + (size_t)at * PAGE, 2);
	}
	CHECK_EQ(holds(area, ptr, PAGES), 1);
	CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
	aml_area_linux_destroy(&area);
}

/* How many of the pages are on nodes of a mask. */
static int inside(const void *ptr, unsigned long nodes)
{
	int found[PAGES], count = 0;

	raw_nodes(ptr, PAGES, found);
	for (int at = 0; at < PAGES; at++) {
		CHECK(found[at] >= 0 && found[at] < 4);
		count += nodes >> found[at] & 1;
	}
	return count;
}

/* Each page of its own content. */
static void filled(char *ptr)
{
	for (int at = 0; at < PAGES; at++)
		memset(ptr + (size_t)at * PAGE, at + 1, PAGE);
}

static void is_filled(const char *ptr)
{
	for (size_t at = 0; at < PAGES * PAGE; at++)
		CHECK_EQ(ptr[at], at / PAGE + 1);
}

/* Pages that are there go to the nodes of the area, whatever its policy, and keep what is in
 * them. */
static void what_is_there_is_moved(void)
{
	for (int policy = AML_AREA_LINUX_POLICY_BIND; policy <= AML_AREA_LINUX_POLICY_INTERLEAVE; policy++) {
		for (unsigned long nodes = 1; nodes < 16; nodes++) {
			unsigned long from = ~nodes & 15 ? ~nodes & 15 : 1, reported;
			struct aml_area *area = area_over(nodes, (enum aml_area_linux_policy)policy), *other;
			char *ptr;

			other = area_over(from, AML_AREA_LINUX_POLICY_BIND);
			ptr = (char *)aml_area_mmap(other, PAGES * PAGE, NULL);
			CHECK(ptr != NULL);
			filled(ptr);
			CHECK_EQ(inside(ptr, from), PAGES);
			CHECK_EQ(aml_area_linux_mbind((struct aml_area_linux_data *)area->data, ptr, PAGES * PAGE), AML_SUCCESS);
			CHECK_EQ(inside(ptr, nodes), PAGES);
			raw_policy(ptr, &reported);
			CHECK_EQ(reported, nodes);
			CHECK_EQ(holds(area, ptr, PAGES), 1);
			is_filled(ptr);
			CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
			aml_area_linux_destroy(&area);
			aml_area_linux_destroy(&other);
		}
	}
}

/* A part of a range moves, the rest stays; the default policy moves nothing; pages that are not
 * there are not brought in. */
static void what_is_not_asked_for_stays(void)
{
	struct aml_area *area = area_over(2, AML_AREA_LINUX_POLICY_BIND), *other = area_over(8, AML_AREA_LINUX_POLICY_BIND);
	struct aml_area_linux_data plain = aml_area_linux_data_default;
	char *ptr = (char *)aml_area_mmap(other, PAGES * PAGE, NULL);
	int found[PAGES];
	unsigned long reported;

	CHECK(ptr != NULL);
	touch(ptr, PAGES - 8);
	CHECK_EQ(aml_area_linux_mbind((struct aml_area_linux_data *)area->data, ptr + 10 * PAGE, (PAGES - 10) * PAGE),
	         AML_SUCCESS);
	raw_nodes(ptr, PAGES, found);
	/* Of what is not there, kernels say ENOENT or EFAULT. */
	for (int at = 0; at < PAGES; at++)
		CHECK_EQ(found[at] < 0 ? -1 : found[at], at < 10 ? 3 : at < PAGES - 8 ? 1 : -1);
	CHECK_EQ(raw_policy(ptr, &reported), RAW_BIND);
	CHECK_EQ(reported, 8);
	CHECK_EQ(aml_area_linux_mbind(&plain, ptr, PAGES * PAGE), AML_SUCCESS);
	raw_nodes(ptr, PAGES, found);
	/* Of what is not there, kernels say ENOENT or EFAULT. */
	for (int at = 0; at < PAGES; at++)
		CHECK_EQ(found[at] < 0 ? -1 : found[at], at < 10 ? 3 : at < PAGES - 8 ? 1 : -1);
	CHECK_EQ(raw_policy(ptr, &reported), RAW_DEFAULT);
	CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
	aml_area_linux_destroy(&area);
	aml_area_linux_destroy(&other);
}

/* What another process has mapped too does not move, as in AML: the policy is set, that is not an
 * error, and the check reports it. */
static void what_others_have_mapped_stays(void)
{
	struct aml_area *area = area_over(2, AML_AREA_LINUX_POLICY_BIND), *other = area_over(8, AML_AREA_LINUX_POLICY_BIND);
	char *ptr = (char *)aml_area_mmap(other, PAGES * PAGE, NULL);
	unsigned long reported;
	int ends[2];
	pid_t child;
	char byte = 0;

	CHECK(ptr != NULL);
	filled(ptr);
	CHECK_EQ(pipe(ends), 0);
	child = check_fork();
	if (child == 0) {
		close(ends[1]);
		/* Until the parent has looked. */
		_exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(ends[0]);
	CHECK_EQ(aml_area_linux_mbind((struct aml_area_linux_data *)area->data, ptr, PAGES * PAGE), AML_SUCCESS);
	CHECK_EQ(inside(ptr, 8), PAGES);
	CHECK_EQ(raw_policy(ptr, &reported), RAW_BIND);
	CHECK_EQ(reported, 2);
	CHECK_EQ(holds(area, ptr, PAGES), 0);
	close(ends[1]);
	check_child(child, 0);
	/* Now it has them alone. */
	CHECK_EQ(aml_area_linux_mbind((struct aml_area_linux_data *)area->data, ptr, PAGES * PAGE), AML_SUCCESS);
	CHECK_EQ(inside(ptr, 2), PAGES);
	CHECK_EQ(holds(area, ptr, PAGES), 1);
	is_filled(ptr);
	CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
	aml_area_linux_destroy(&area);
	aml_area_linux_destroy(&other);
}

static void refused(unsigned long nodes)
{
	unsigned long words[16] = { nodes };
	struct bitmask set = { 1024, words };
	struct aml_bitmap mask;
	struct aml_area *area;
	char *ptr = (char *)aml_area_mmap(&aml_area_linux, PAGE, NULL);

	aml_bitmap_copy_from_ulong(&mask, &nodes, 64);
	for (int policy = AML_AREA_LINUX_POLICY_BIND; policy <= AML_AREA_LINUX_POLICY_INTERLEAVE; policy++) {
		struct aml_area_linux_data data = { &set, (enum aml_area_linux_policy)policy };
		unsigned long reported;

		CHECK_EQ(aml_area_linux_create(&area, &mask, (enum aml_area_linux_policy)policy), -AML_EDOM);
		CHECK(area == NULL);
		/* The kernel would take the nodes that it allows, and say nothing. */
		CHECK_EQ(aml_area_linux_mbind(&data, ptr, PAGE), -AML_EDOM);
		CHECK_EQ(raw_policy(ptr, &reported), RAW_DEFAULT);
		CHECK(aml_area_linux_mmap_mbind((struct aml_area_data *)&data, PAGE, NULL) == NULL);
		CHECK_EQ(aml_errno, AML_EDOM);
	}
	CHECK_EQ(aml_area_munmap(&aml_area_linux, ptr, PAGE), AML_SUCCESS);
}

static void on_one_and_three(void)
{
	struct aml_area *area;
	struct aml_area_linux_data all = { NULL, AML_AREA_LINUX_POLICY_BIND };
	unsigned long reported;
	void *ptr;

	refused(1);
	refused(2 | 4);
	refused(1 | 2 | 8);
	area = area_over(2 | 8, AML_AREA_LINUX_POLICY_BIND);
	aml_area_linux_destroy(&area);
	/* All that are allowed are these two, when an area is made and when data of one's own is
	 * used. */
	CHECK_EQ(aml_area_linux_create(&area, NULL, AML_AREA_LINUX_POLICY_INTERLEAVE), AML_SUCCESS);
	ptr = aml_area_mmap(area, PAGES * PAGE, NULL);
	CHECK_EQ(raw_policy(ptr, &reported), RAW_INTERLEAVE);
	CHECK_EQ(reported, 2 | 8);
	CHECK_EQ(aml_area_linux_mbind(&all, ptr, PAGES * PAGE), AML_SUCCESS);
	CHECK_EQ(raw_policy(ptr, &reported), RAW_BIND);
	CHECK_EQ(reported, 2 | 8);
	CHECK_EQ(aml_area_linux_check_binding(&all, ptr, PAGES * PAGE), 1);
	aml_area_linux_destroy(&area);
}

static void nodes_that_are_not_allowed_are_refused(void)
{
	refused(16);
	refused(1 | 1UL << 40);
	in_a_cpuset("1,3", on_one_and_three);
}

/* The cpuset changed since the area was made: a set that is not allowed any more is reported as
 * that. */
static void shrinks(void)
{
	for (int policy = AML_AREA_LINUX_POLICY_BIND; policy <= AML_AREA_LINUX_POLICY_INTERLEAVE; policy++) {
		struct aml_area *area;

		setting("/sys/fs/cgroup/aml/cpuset.mems", "0-3");
		area = area_over(4 | 8, (enum aml_area_linux_policy)policy);
		setting("/sys/fs/cgroup/aml/cpuset.mems", "0");
		aml_errno = AML_SUCCESS;
		CHECK(aml_area_mmap(area, PAGE, NULL) == NULL);
		CHECK_EQ(aml_errno, AML_EDOM);
		aml_area_linux_destroy(&area);
	}
}

static void a_set_that_is_no_longer_allowed_is_refused(void)
{
	in_a_cpuset("0-3", shrinks);
}

/* Flags that bring pages in do so on the nodes of the area. */
static void populated_pages_are_placed(void)
{
	static const int flags[] = { MAP_POPULATE, MAP_LOCKED };

	for (int at = 0; at < 2; at++) {
		struct aml_area_linux_mmap_options options = { NULL, MAP_PRIVATE | MAP_ANONYMOUS | flags[at],
			PROT_READ | PROT_WRITE, -1, 0 };
		struct aml_area *area = area_over(4, AML_AREA_LINUX_POLICY_BIND);
		void *ptr = aml_area_mmap(area, PAGES * PAGE, (struct aml_area_mmap_options *)&options);
		int counts[4];

		CHECK(ptr != NULL);
		on_nodes(ptr, 4, counts);
		CHECK_EQ(holds(area, ptr, PAGES), 1);
		CHECK_EQ(aml_area_munmap(area, ptr, PAGES * PAGE), AML_SUCCESS);
		aml_area_linux_destroy(&area);
	}
}

#define POOL "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/"

/* A hugetlb page is larger than what was asked for: it is placed as a whole, and none stays
 * behind. */
static void huge_pages_are_placed_and_given_back(void)
{
	struct aml_area_linux_mmap_options options = { NULL, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
		PROT_READ | PROT_WRITE, -1, 0 };
	struct aml_area *area = area_over(2, AML_AREA_LINUX_POLICY_BIND);
	size_t size = ((size_t)2 << 20) + 100;
	int node = -1;
	char *ptr;

	setting(POOL "nr_hugepages", "3");
	CHECK_EQ(number_in(POOL "free_hugepages"), 3);
	ptr = (char *)aml_area_mmap(area, size, (struct aml_area_mmap_options *)&options);
	CHECK(ptr != NULL);
	memset(ptr, 1, size);
	raw_nodes(ptr + ((size_t)2 << 20), 1, &node);
	CHECK_EQ(node, 1);
	CHECK_EQ(number_in(POOL "free_hugepages"), 1);
	CHECK_EQ(aml_area_linux_check_binding((struct aml_area_linux_data *)area->data, ptr, size), 1);
	CHECK_EQ(aml_area_munmap(area, ptr, size), AML_SUCCESS);
	CHECK_EQ(number_in(POOL "free_hugepages"), 3);
	setting(POOL "nr_hugepages", "0");
	aml_area_linux_destroy(&area);
}

static void allocators_give_placed_memory(void)
{
	struct aml_area *area = area_over(8, AML_AREA_LINUX_POLICY_BIND);
	struct aml_allocator *allocator;
	int counts[4];
	char *ptr;

	CHECK_EQ(aml_allocator_buddy_create(&allocator, area, NULL), AML_SUCCESS);
	ptr = (char *)aml_alloc(allocator, PAGES * PAGE);
	CHECK(ptr != NULL);
	touch(ptr, PAGES);
	on_nodes(ptr, 8, counts);
	CHECK_EQ(aml_free(allocator, ptr), AML_SUCCESS);
	CHECK_EQ(aml_allocator_buddy_destroy(&allocator), AML_SUCCESS);
	aml_area_linux_destroy(&area);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "a_mask_binds_exactly_its_nodes", a_mask_binds_exactly_its_nodes },
		{ "interleaving_goes_round_its_nodes", interleaving_goes_round_its_nodes },
		{ "preferring_takes_all_of_its_nodes", preferring_takes_all_of_its_nodes },
		{ "a_page_that_was_moved_is_seen", a_page_that_was_moved_is_seen },
		{ "what_is_there_is_moved", what_is_there_is_moved },
		{ "what_is_not_asked_for_stays", what_is_not_asked_for_stays },
		{ "what_others_have_mapped_stays", what_others_have_mapped_stays },
		{ "nodes_that_are_not_allowed_are_refused", nodes_that_are_not_allowed_are_refused },
		{ "a_set_that_is_no_longer_allowed_is_refused", a_set_that_is_no_longer_allowed_is_refused },
		{ "populated_pages_are_placed", populated_pages_are_placed },
		{ "huge_pages_are_placed_and_given_back", huge_pages_are_placed_and_given_back },
		{ "allocators_give_placed_memory", allocators_give_placed_memory },
	};

	return run_tests(tests, sizeof tests / sizeof *tests, argc, argv);
}
