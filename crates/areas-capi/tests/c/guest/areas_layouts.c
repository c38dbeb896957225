// Areas on other machines than the default one: three nodes of unequal size, eight small ones,
// and a node whose memory is added while the program runs. Base pages and blocks of 2 MiB, dealt
// out by turns and by the weights 1, 3 and 5; moved by another process of an ordinary user;
// errors about pools; totals in a sandbox. Where each page is, is asked of the kernel here
// (move_pages), page by page.
// vm: --nodes "1:512 1:320 0:224" -- base_pages an_ordinary what_would errors_name totals
// vm: --nodes "1:400 0:112 0:112 0:112 0:112 0:112 0:112 0:112" -- base_pages an_ordinary what_would errors_name totals
// vm: --nodes "1:512 1:0 0:160" --append memhp_default_state=offline --qemu=-m --qemu=slots=2,maxmem=2G --qemu=-object --qemu=memory-backend-ram,id=hot,size=256M --qemu=-device --qemu=pc-dimm,id=added,memdev=hot,node=1

#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include "guest/areas.h"

/* Pages of an area of base pages: not a multiple of a round of any of the machines. */
#define PAGES ((size_t)397)
#define BLOCKS 3
#define ABSENT 65534

static areas_area *area_of(uint32_t kind, size_t size, uint32_t pages, uint32_t policy, uint64_t mask)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;

	wanted.kind = kind;
	wanted.size = size;
	wanted.max = kind == AREAS_GROWABLE || kind == AREAS_RESIZABLE ? 2 * size : 0;
	wanted.pages = pages;
	wanted.placement.policy = policy;
	wanted.placement.nodes.words[0] = mask;
	area = areas_create(&wanted);
	if (area == NULL)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	return area;
}

static uint64_t mask_of_all(void)
{
	return mask_of(nodes, node_count);
}

/* The node of each page, all of which are in memory: brought into our page table, and none made. */
static void nodes_of(const areas_area *area, size_t pages, int *found)
{
	const volatile char *start = areas_address(area);

	for (size_t at = 0; at < pages; at++) {
		(void)start[at * PAGE];
		raw_nodes((const char *)areas_address(area) + at * PAGE, 1, &found[at]);
		if (found[at] < 0)
			check_failed(__FILE__, __LINE__, "page %zu: %d", at, found[at]);
	}
}

/* Fails unless the pages go round so, in groups of `group` pages. */
static void pages_go_round(const areas_area *area, size_t pages, size_t group, const int *order, int length, const char *what)
{
	static int found[MOST_BLOCKS * IN_BLOCK];

	CHECK(pages <= sizeof found / sizeof *found);
	nodes_of(area, pages, found);
	for (size_t at = 0; at < pages; at++) {
		if (found[at] != found[at / group * group])
			check_failed(__FILE__, __LINE__, "%s: page %zu is on node %d, beside %d", what, at, found[at],
				     found[at / group * group]);
		found[at / group] = found[at];
	}
	goes_round(found, (int)((pages + group - 1) / group), order, length, what);
}

static void base_pages_go_round_by_turns_and_by_weight(void)
{
	static const uint32_t kinds[] = { AREAS_SHARED, AREAS_PRIVATE, AREAS_GROWABLE, AREAS_RESIZABLE };
	int order[MOST_BLOCKS];

	know_the_nodes();
	for (int weighted = 0; weighted <= weights_are_set(); weighted++) {
		int length = round_of(nodes, node_count, weighted, order);

		for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
			areas_area *area = area_of(kinds[kind], PAGES * PAGE, AREAS_PAGES_BASE,
						   weighted ? AREAS_WEIGHTED_INTERLEAVE : AREAS_INTERLEAVE, mask_of_all());
			areas_verification found;

			populate(area);
			pages_go_round(area, PAGES, 1, order, length, weighted ? "weighted" : "interleaved");
			found = verified(area);
			CHECK(found.holds);
			CHECK_EQ(found.in_place, PAGES * PAGE);
			/* One page out of its turn, on a node of the policy though it is. */
			raw_move((char *)areas_address(area) + PAGE, nodes[0]);
			raw_move((char *)areas_address(area) + 2 * PAGE, nodes[0]);
			raw_move((char *)areas_address(area) + 3 * PAGE, nodes[0]);
			found = verified(area);
			CHECK(!found.holds && found.elsewhere > 0 && found.elsewhere <= 3 * PAGE);
			areas_release(area);
		}
	}
}

/* An ordinary user's process, which others of that user may look into. */
static void as_nobody(const char *registry)
{
	CHECK_EQ(setgroups(0, NULL), 0);
	CHECK_EQ(setresgid(ABSENT, ABSENT, ABSENT), 0);
	CHECK_EQ(setresuid(ABSENT, ABSENT, ABSENT), 0);
	CHECK_EQ(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
	CHECK_EQ(setenv("AREAS_DIR", registry, 1), 0);
}

static void publish(areas_area *area, const char *name)
{
	if (areas_publish(area, name) < 0)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
}

static int on_stayed(const areas_unmoved *stayed, void *context)
{
	CHECK_EQ(stayed->why, AREAS_UNMOVED_MAPPED_BY_OTHERS);
	*(size_t *)context += stayed->size;
	return 0;
}

/* What `areas move` does: a process that holds nothing moves what another one holds. All of it, or
 * nothing. */
static void move_by_another(const char *name, uint32_t policy, uint64_t mask, size_t stays)
{
	pid_t child = check_fork();

	if (child == 0) {
		areas_placement placement = { .policy = policy, .nodes = { { mask } } };
		areas_migration moved = AREAS_MIGRATION;
		size_t stayed = 0;

		if (areas_migrate_id(areas_find(name), &placement, &moved, on_stayed, NULL, &stayed) < 0)
			check_failed(__FILE__, __LINE__, "%s: %s", name, areas_error_help());
		CHECK_EQ(moved.stayed, stays);
		CHECK_EQ(stayed, stays);
		CHECK_EQ(moved.placed, stays == 0);
		CHECK_EQ(moved.holds, stays == 0);
		CHECK_EQ(moved.moved > 0, stays == 0);
		_exit(0);
	}
	check_child(child, 0);
}

/* What is reported to the holder of the place, and what the kernel says of it. */
static void placed_as(const areas_area *area, uint32_t policy, int raw, uint64_t mask)
{
	areas_info info = AREAS_INFO;
	unsigned long reported;

	CHECK_EQ(areas_look(area, &info), 0);
	CHECK_EQ(info.placement.policy, policy);
	CHECK_EQ(info.placement.nodes.words[0], mask);
	CHECK_EQ(raw_policy(areas_address(area), &reported), raw);
	CHECK_EQ(reported, mask);
}

/* linux/mempolicy.h, since 6.9. */
enum { RAW_WEIGHTED = 6 };

/* To the last node, to all in turn, to all by weight, and back: what each page comes to, and what
 * is reported of it. */
static void moved_about(const areas_area *area, const char *name, size_t pages, size_t group, int weights)
{
	int order[MOST_BLOCKS], length = round_of(nodes, node_count, 0, order);
	const int *last = nodes + node_count - 1;

	move_by_another(name, AREAS_BIND, mask_of(last, 1), 0);
	pages_go_round(area, pages, group, last, 1, name);
	placed_as(area, AREAS_BIND, RAW_BIND, mask_of(last, 1));
	move_by_another(name, AREAS_INTERLEAVE, mask_of_all(), 0);
	pages_go_round(area, pages, group, order, length, name);
	placed_as(area, AREAS_INTERLEAVE, RAW_INTERLEAVE, mask_of_all());
	CHECK(verified(area).holds);
	if (weights) {
		length = round_of(nodes, node_count, 1, order);
		move_by_another(name, AREAS_WEIGHTED_INTERLEAVE, mask_of_all(), 0);
		pages_go_round(area, pages, group, order, length, name);
		placed_as(area, AREAS_WEIGHTED_INTERLEAVE, RAW_WEIGHTED, mask_of_all());
		CHECK(verified(area).holds);
	}
	move_by_another(name, AREAS_BIND, mask_of(nodes + 1, 1), 0);
	pages_go_round(area, pages, group, nodes + 1, 1, name);
	CHECK(verified(area).holds);
}

static void an_ordinary_user_moves_what_only_he_holds(void)
{
	int weights;
	areas_area *base, *written, *blocks;

	know_the_nodes();
	weights = weights_are_set();
	as_nobody("/tmp/areas-own");
	base = area_of(AREAS_SHARED, PAGES * PAGE, AREAS_PAGES_BASE, AREAS_BIND, mask_of(nodes, 1));
	populate(base);
	publish(base, "base");
	moved_about(base, "base", PAGES, 1, weights);
	/* In no process's page table. */
	written = area_of(AREAS_SHARED, PAGES * PAGE, AREAS_PAGES_BASE, AREAS_BIND, mask_of(nodes, 1));
	for (size_t at = 0; at < PAGES; at++)
		CHECK_EQ(pwrite(areas_descriptor(written), &at, sizeof at, (off_t)(at * PAGE)), (ssize_t)sizeof at);
	publish(written, "written");
	moved_about(written, "written", PAGES, 1, weights);
	for (size_t at = 0; at < PAGES; at++)
		CHECK(memcmp((char *)areas_address(written) + at * PAGE, &at, sizeof at) == 0);
	/* Collapsed ones move whole: more blocks than a round has, but for weights, of which it has
	 * many. */
	blocks = area_of(AREAS_GROWABLE, (size_t)(node_count + BLOCKS) * HUGE_PAGE, AREAS_PAGES_AUTO, AREAS_BIND, mask_of(nodes, 1));
	populate(blocks);
	publish(blocks, "blocks");
	moved_about(blocks, "blocks", (size_t)(node_count + BLOCKS) * IN_BLOCK, IN_BLOCK, weights);
	areas_release(blocks);
	areas_release(written);
	areas_release(base);
}

/* What two processes have mapped takes a privilege: it stays, is reported, and the policy is as it
 * was. */
static void what_would_not_move_leaves_the_policy(void)
{
	const size_t pages = 8;
	int to_child[2], to_parent[2];
	areas_area *area;
	pid_t other;

	know_the_nodes();
	as_nobody("/tmp/areas-stays");
	area = area_of(AREAS_SHARED, pages * PAGE, AREAS_PAGES_BASE, AREAS_BIND, mask_of(nodes, 1));
	touch(areas_address(area), pages);
	publish(area, "stays");
	CHECK(pipe(to_child) == 0 && pipe(to_parent) == 0);
	other = check_fork();
	if (other == 0) {
		touch(areas_address(area), pages);
		check_send(to_parent[1], 'x');
		check_hear(to_child[0]);
		_exit(0);
	}
	check_hear(to_parent[0]);
	move_by_another("stays", AREAS_INTERLEAVE, mask_of(nodes + 1, node_count - 1), pages * PAGE);
	pages_go_round(area, pages, 1, nodes, 1, "stays");
	placed_as(area, AREAS_BIND, RAW_BIND, mask_of(nodes, 1));
	CHECK(verified(area).holds);
	check_send(to_child[1], 'x');
	check_child(other, 0);
	move_by_another("stays", AREAS_BIND, mask_of(nodes + node_count - 1, 1), 0);
	pages_go_round(area, pages, 1, nodes + node_count - 1, 1, "moves");
	placed_as(area, AREAS_BIND, RAW_BIND, mask_of(nodes + node_count - 1, 1));
	areas_release(area);
}

static void pool_file(int node, char file[96])
{
	snprintf(file, 96, "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/nr_hugepages", node);
}

static void pool_has(int node, long pages)
{
	char file[96], number[24];

	pool_file(node, file);
	snprintf(number, sizeof number, "%ld", pages);
	setting(file, number);
	CHECK_EQ(number_in(file), pages);
}

static areas_area *in_the_pool_of(int node, uint32_t kind, size_t pages)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;

	wanted.kind = kind;
	wanted.size = pages * HUGE_PAGE;
	wanted.pages = AREAS_PAGES_POOL;
	wanted.placement.policy = AREAS_BIND;
	wanted.placement.nodes.words[0] = mask_of(&node, 1);
	return areas_create(&wanted);
}

/* The node's own numbers, and the line to type: it is typed, one fewer is too few, and all pages
 * are there. */
static void errors_name_the_pool_of_each_node(void)
{
	static const uint32_t kinds[] = { AREAS_PRIVATE, AREAS_SHARED };
	const size_t wanted = 4;

	know_the_nodes();
	for (int at = 0; at < node_count; at++) {
		int node = nodes[at], next = nodes[(at + 1) % node_count];

		/* As a whole the machine has enough. */
		pool_has(next, 8);
		for (int there = 0; there < 4; there += 2) {
			char file[96], expected[160], numbers[96];
			const char *help;
			areas_area *area;

			pool_has(node, there);
			CHECK(in_the_pool_of(node, kinds[there / 2], wanted) == NULL);
			CHECK_EQ(areas_error_number(), AREAS_ERROR_NO_MEMORY);
			help = areas_error_help();
			pool_file(node, file);
			snprintf(expected, sizeof expected, "`echo %zu > %s`", wanted, file);
			snprintf(numbers, sizeof numbers, "node %d's pool of 2 MiB pages has %d, ", node, there);
			/* The machine's number would be spread over all nodes. */
			if (strstr(help, expected) == NULL || strstr(help, numbers) == NULL
			    || strstr(help, "/sys/kernel/mm/hugepages/") != NULL)
				check_failed(__FILE__, __LINE__, "node %d, %d there: %s", node, there, help);
			pool_has(node, (long)wanted - 1);
			CHECK(in_the_pool_of(node, kinds[there / 2], wanted) == NULL);
			/* What it says. */
			pool_has(node, (long)wanted);
			area = in_the_pool_of(node, kinds[there / 2], wanted);
			if (area == NULL)
				check_failed(__FILE__, __LINE__, "%s", areas_error_help());
			touch(areas_address(area), wanted * IN_BLOCK);
			pages_go_round(area, wanted * IN_BLOCK, IN_BLOCK, &node, 1, "of the pool");
			CHECK(verified(area).holds);
			areas_release(area);
		}
		pool_has(node, 0);
		pool_has(next, 0);
	}
}

#define REFUSED(number) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

/* What the profiles of containers do. */
static void contain(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, nr)), REFUSED(SYS_move_pages),
		REFUSED(SYS_get_mempolicy), REFUSED(SYS_mbind), REFUSED(SYS_set_mempolicy),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof filter / sizeof *filter, filter };

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* Where move_pages is forbidden, how much is on each node is reported all the same, and that single
 * pages are unknown. */
static void totals_are_reported_where_a_sandbox_forbids_to_ask(void)
{
	know_the_nodes();
	for (int weighted = 0; weighted <= weights_are_set(); weighted++) {
		areas_area *area = area_of(AREAS_SHARED, PAGES * PAGE, AREAS_PAGES_BASE,
					   weighted ? AREAS_WEIGHTED_INTERLEAVE : AREAS_INTERLEAVE, mask_of_all());
		uint64_t truth[MOST_NODES] = { 0 };
		int found[PAGES];
		pid_t child;

		populate(area);
		nodes_of(area, PAGES, found);
		for (size_t at = 0; at < PAGES; at++)
			truth[found[at]] += PAGE;
		child = check_fork();
		if (child == 0) {
			areas_residency residency = AREAS_RESIDENCY;
			uint64_t reported[MOST_NODES] = { 0 };

			contain();
			residency.on_node = reported;
			residency.nodes = MOST_NODES;
			if (areas_measure(area, &residency, NULL, NULL) < 0)
				check_failed(__FILE__, __LINE__, "%s", areas_error_help());
			for (int node = 0; node < MOST_NODES; node++)
				CHECK_EQ(reported[node], truth[node]);
			CHECK_EQ(residency.resident, PAGES * PAGE);
			CHECK_EQ(residency.node_unknown, 0);
			CHECK_EQ(residency.knows_pages, 0);
			_exit(0);
		}
		check_child(child, 0);
		areas_release(area);
	}
}

/* The memory of node 1 is added while the program runs: no area is there before, and then it is a
 * node like the others. (The tests behind
   this one have it.) */
static void a_node_that_comes_has_areas(void)
{
	static const int added = 1;
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;

	know_the_nodes();
	CHECK_EQ(mask_of_all() >> added & 1, 0);
	wanted.size = PAGES * PAGE;
	wanted.placement.policy = AREAS_BIND;
	wanted.placement.nodes.words[0] = mask_of(&added, 1);
	CHECK(areas_create(&wanted) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_NODE_NOT_ALLOWED);
	CHECK(change_memory_of(added, "online_movable") > 0);
	know_the_nodes();
	CHECK_EQ(mask_of_all() >> added & 1, 1);
	area = areas_create(&wanted);
	if (area == NULL)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	populate(area);
	pages_go_round(area, PAGES, 1, &added, 1, "added");
	CHECK(verified(area).holds);
	areas_release(area);
}

int main(int count, char **words)
{
	static const struct test tests[] = {
		{ "a_node_that_comes_has_areas", a_node_that_comes_has_areas },
		{ "base_pages_go_round_by_turns_and_by_weight", base_pages_go_round_by_turns_and_by_weight },
		{ "an_ordinary_user_moves_what_only_he_holds", an_ordinary_user_moves_what_only_he_holds },
		{ "what_would_not_move_leaves_the_policy", what_would_not_move_leaves_the_policy },
		{ "errors_name_the_pool_of_each_node", errors_name_the_pool_of_each_node },
		{ "totals_are_reported_where_a_sandbox_forbids_to_ask", totals_are_reported_where_a_sandbox_forbids_to_ask },
	};

	return run_tests(tests, sizeof tests / sizeof *tests, count, words);
}
