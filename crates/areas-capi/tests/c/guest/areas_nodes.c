// areas.h on a machine with several nodes: what is asked of a place is where pages are, what is
// elsewhere is named, what moves has moved.
// vm:
// vm: --kernel linux-image-cloud-amd64

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "guest/areas.h"

#define PAGES 48

static areas_area *area_over(uint32_t policy, uint64_t nodes, const areas_provider *provider, uint32_t kind)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;

	wanted.size = PAGES * PAGE;
	wanted.kind = kind;
	wanted.provider = provider;
	wanted.placement.policy = policy;
	wanted.placement.nodes.words[0] = nodes;
	area = areas_create(&wanted);
	if (area == NULL)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	return area;
}

/* How many pages are on each of the four nodes. */
static void counted(const areas_area *area, int counts[4])
{
	int found[PAGES];

	raw_nodes(areas_address(area), PAGES, found);
	memset(counts, 0, 4 * sizeof *counts);
	for (int at = 0; at < PAGES; at++) {
		CHECK(found[at] >= 0 && found[at] < 4);
		counts[found[at]]++;
	}
}

static void pages_are_where_they_were_asked_to_be(void)
{
	for (uint64_t nodes = 1; nodes < 16; nodes++) {
		for (uint32_t kind = AREAS_SHARED; kind <= AREAS_PRIVATE; kind++) {
			areas_area *area = area_over(AREAS_INTERLEAVE, nodes, NULL, kind);
			areas_residency residency = AREAS_RESIDENCY;
			areas_verification found = AREAS_VERIFICATION;
			uint64_t on_node[4];
			int counts[4];

			populate(area);
			counted(area, counts);
			residency.on_node = on_node;
			residency.nodes = 4;
			CHECK_EQ(areas_measure(area, &residency, NULL, NULL), 0);
			for (int node = 0; node < 4; node++) {
				CHECK_EQ(counts[node] > 0, nodes >> node & 1);
				CHECK_EQ(on_node[node], counts[node] * PAGE);
			}
			CHECK_EQ(areas_verify(area, &found, NULL, NULL), 0);
			CHECK(found.holds && found.in_place == PAGES * PAGE);
			areas_release(area);
		}
	}
}

static int misplaced(const areas_misplaced *part, void *context)
{
	CHECK_EQ(part->offset, 5 * PAGE);
	CHECK_EQ(part->size, PAGE);
	CHECK_EQ(part->node, 3);
	CHECK_EQ(part->asked.words[0], 2);
	++*(int *)context;
	return 0;
}

static void a_page_that_is_elsewhere_is_named_and_moved(void)
{
	areas_area *area = area_over(AREAS_BIND, 2, NULL, AREAS_SHARED);
	areas_verification found = AREAS_VERIFICATION;
	areas_migration moved = AREAS_MIGRATION;
	areas_placement placement;
	int parts = 0, counts[4];

	populate(area);
	raw_move((char *)areas_address(area) + 5 * PAGE, 3);
	CHECK_EQ(areas_verify(area, &found, misplaced, &parts), 0);
	CHECK_EQ(parts, 1);
	CHECK_EQ(found.holds, 0);
	CHECK_EQ(found.elsewhere, PAGE);
	memset(&placement, 0, sizeof placement);
	placement.policy = AREAS_BIND;
	placement.nodes.words[0] = 4;
	CHECK_EQ(areas_migrate(area, &placement, &moved, NULL, NULL, NULL), 0);
	CHECK_EQ(moved.moved, PAGES * PAGE);
	CHECK_EQ(moved.stayed, 0);
	CHECK_EQ(moved.holds, 1);
	counted(area, counts);
	CHECK_EQ(counts[2], PAGES);
	areas_release(area);
}

static void a_part_is_placed_for_itself(void)
{
	areas_area *area = area_over(AREAS_BIND, 1, NULL, AREAS_SHARED);
	areas_placement placement;
	int counts[4];

	memset(&placement, 0, sizeof placement);
	placement.policy = AREAS_BIND;
	placement.nodes.words[0] = 8;
	CHECK_EQ(areas_place(area, 16 * PAGE, 16 * PAGE, &placement), 0);
	touch(areas_address(area), PAGES);
	counted(area, counts);
	CHECK_EQ(counts[0], 32);
	CHECK_EQ(counts[3], 16);
	areas_release(area);
}

static void layers_place(void)
{
	areas_nodeset nodes;
	areas_provider *striped;
	areas_area *area;
	int found[PAGES];

	memset(&nodes, 0, sizeof nodes);
	nodes.words[0] = 10;
	striped = areas_provider_striped(NULL, &nodes, 8);
	CHECK(striped != NULL);
	area = area_over(AREAS_DEFAULT, 0, striped, AREAS_SHARED);
	areas_provider_release(striped);
	touch(areas_address(area), PAGES);
	raw_nodes(areas_address(area), PAGES, found);
	for (int at = 0; at < PAGES; at++)
		CHECK_EQ(found[at], at / 8 % 2 ? 3 : 1);
	areas_release(area);
}

/* A part of an area, divided: pages that come in later are where they belong. */
static void a_part_is_split(void)
{
	const areas_part parts[] = { { 3, 1 }, { 1, 3 } };
	areas_area *area = area_over(AREAS_DEFAULT, 0, NULL, AREAS_SHARED);
	areas_verification verified = AREAS_VERIFICATION;
	int found[PAGES];

	CHECK_EQ(areas_place_split(area, 16 * PAGE, 16 * PAGE, parts, 2), 0);
	touch(areas_address(area), PAGES);
	raw_nodes(areas_address(area), PAGES, found);
	for (int at = 16; at < 32; at++)
		CHECK_EQ(found[at], at < 20 ? 3 : 1);
	CHECK_EQ(areas_verify(area, &verified, NULL, NULL), 0);
	CHECK(verified.holds);
	areas_release(area);
}

/* The default machine: node 2 is large and slow, node 3 small and fast. */
static void spaces_are_reported(void)
{
	areas_targets wanted = AREAS_TARGETS;
	areas_nodeset nodes, unknown;
	areas_attributes asked = AREAS_ATTRIBUTES;
	areas_area *area;
	int found[PAGES];

	wanted.by = AREAS_ALL_NODES;
	CHECK_EQ(areas_space(&wanted, &nodes, &unknown), 4);
	CHECK_EQ(nodes.words[0], 15);
	CHECK_EQ(unknown.words[0], 0);
	wanted.by = AREAS_HIGHEST_CAPACITY;
	CHECK_EQ(areas_space(&wanted, &nodes, &unknown), 1);
	CHECK_EQ(nodes.words[0], 4);
	wanted.from = AREAS_FROM_NODE;
	for (wanted.by = AREAS_HIGHEST_BANDWIDTH; wanted.by <= AREAS_LOWEST_LATENCY; wanted.by++) {
		CHECK_EQ(areas_space(&wanted, &nodes, &unknown), 1);
		CHECK_EQ(nodes.words[0], 8);
	}
	asked.size = PAGES * PAGE;
	asked.placement.policy = AREAS_BIND;
	asked.placement.nodes = nodes;
	area = areas_create(&asked);
	CHECK(area != NULL);
	touch(areas_address(area), PAGES);
	raw_nodes(areas_address(area), PAGES, found);
	for (int at = 0; at < PAGES; at++)
		CHECK_EQ(found[at], 3);
	areas_release(area);
}

/* From now on move_pages is EPERM in this process, as podman's profile has it. */
static void contain(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_move_pages, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), 0);
}

static int unknown(const areas_run *run, void *context)
{
	CHECK_EQ(run->node, AREAS_NODE_UNKNOWN);
	CHECK_EQ(run->page_size, PAGE);
	*(size_t *)context += run->size;
	return 0;
}

/* Totals are reported and single pages are not, which is not a place and no node; and of areas that
 * are on one node all is known. */
static void a_sandbox_hides_which_pages_are_where(void)
{
	areas_area *spread = area_over(AREAS_INTERLEAVE, 11, NULL, AREAS_SHARED);
	areas_area *bound = area_over(AREAS_BIND, 4, NULL, AREAS_SHARED);
	areas_residency residency = AREAS_RESIDENCY;
	areas_verification found = AREAS_VERIFICATION;
	uint64_t on_node[4];
	size_t bytes = 0;
	int counts[4];

	populate(spread);
	populate(bound);
	counted(spread, counts);
	contain();
	residency.on_node = on_node;
	residency.nodes = 4;
	CHECK_EQ(areas_measure(spread, &residency, unknown, &bytes), 0);
	CHECK_EQ(bytes, PAGES * PAGE);
	CHECK_EQ(residency.knows_pages, 0);
	CHECK_EQ(residency.node_unknown, 0);
	for (int node = 0; node < 4; node++)
		CHECK_EQ(on_node[node], counts[node] * PAGE);
	CHECK_EQ(areas_verify(spread, &found, NULL, NULL), AREAS_ERROR_NOT_PERMITTED);
	CHECK_EQ(areas_measure(bound, &residency, NULL, NULL), 0);
	CHECK_EQ(residency.knows_pages, 1);
	CHECK_EQ(on_node[2], PAGES * PAGE);
	CHECK_EQ(areas_verify(bound, &found, NULL, NULL), 0);
	CHECK(found.holds);
}

/* What is asked beside the policy: the kernel has the flag, or says that it does not know it, and
 * it is no flag of other policies. */
static void balancing_is_asked_for(void)
{
	const int balanced = 1 << 13;
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_info info = AREAS_INFO;
	areas_area *area;
	unsigned long nodes_of;

	wanted.size = PAGE;
	wanted.placement.policy = AREAS_BIND;
	wanted.placement.nodes.words[0] = 3;
	wanted.placement.flags = AREAS_BALANCED;
	area = areas_create(&wanted);
	CHECK(area != NULL);
	CHECK_EQ(raw_policy(areas_address(area), &nodes_of), RAW_BIND | balanced);
	CHECK_EQ(nodes_of, 3);
	CHECK_EQ(areas_look(area, &info), 0);
	CHECK_EQ(info.placement.flags, AREAS_BALANCED);
	areas_release(area);
	wanted.placement.policy = AREAS_INTERLEAVE;
	CHECK(areas_create(&wanted) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_INVALID_INPUT);
	wanted.placement.policy = AREAS_PREFERRED_MANY;
	area = areas_create(&wanted);
	if (area == NULL) {
		CHECK_EQ(areas_error_number(), AREAS_ERROR_UNSUPPORTED);
	} else {
		CHECK_EQ(raw_policy(areas_address(area), &nodes_of), RAW_PREFERRED_MANY | balanced);
		areas_release(area);
	}
}

static int seen(const areas_node *node, void *context)
{
	CHECK_EQ(node->node, (uint32_t)*(int *)context);
	CHECK(node->allowed && node->total > 0 && node->online && node->has_memory);
	/* Kernels before 6.9 know no weights. */
	int weighted = access("/sys/kernel/mm/mempolicy/weighted_interleave", F_OK) == 0;
	CHECK_EQ(node->known, AREAS_KNOWS_TOTAL | AREAS_KNOWS_FREE | AREAS_KNOWS_AVAILABLE | AREAS_KNOWS_HAS_MEMORY |
				      AREAS_KNOWS_CPUS | AREAS_KNOWS_TIER | (weighted ? AREAS_KNOWS_WEIGHT : 0));
	CHECK(node->weight >= 1 || !weighted);
	CHECK(node->cache_count == 0 && node->caches == NULL);
	++*(int *)context;
	return 0;
}

static void the_machine_is_reported(void)
{
	int next = 0;

	CHECK_EQ(areas_nodes(seen, &next), 4);
	CHECK_EQ(next, 4);
	CHECK_EQ(areas_distance(2, 2), 10);
	CHECK(areas_distance(0, 1) > 10);
}

int main(int count, char **words)
{
	static const struct test tests[] = {
		{ "pages_are_where_they_were_asked_to_be", pages_are_where_they_were_asked_to_be },
		{ "a_page_that_is_elsewhere_is_named_and_moved", a_page_that_is_elsewhere_is_named_and_moved },
		{ "a_part_is_placed_for_itself", a_part_is_placed_for_itself },
		{ "layers_place", layers_place },
		{ "a_part_is_split", a_part_is_split },
		{ "spaces_are_reported", spaces_are_reported },
		{ "a_sandbox_hides_which_pages_are_where", a_sandbox_hides_which_pages_are_where },
		{ "balancing_is_asked_for", balancing_is_asked_for },
		{ "the_machine_is_reported", the_machine_is_reported },
	};

	return run_tests(tests, sizeof tests / sizeof *tests, count, words);
}
