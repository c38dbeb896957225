/*
 * Nodes by what they are good at, on any machine: node 0 is there, and what is not known is said.
 * Machines with several nodes are tried in the guest (tests/c/guest/areas_nodes.c).
 */
#include <areas.h>

#include <string.h>

#include "check.h"

static int nodes_reported, stop_after;
static areas_ranked last;

static int takes(const areas_ranked *ranked, void *context)
{
	CHECK(context == &nodes_reported);
	/* Best first: nearer, or more free. */
	if (nodes_reported > 0 && ranked->source == last.source) {
		if (ranked->source == AREAS_BY_FREE)
			CHECK(ranked->value <= last.value);
		if (ranked->source == AREAS_BY_DISTANCE)
			CHECK(ranked->value >= last.value);
	}
	last = *ranked;
	nodes_reported++;
	return nodes_reported == stop_after;
}

static int rank(const areas_targets *wanted)
{
	nodes_reported = 0;
	return areas_rank(wanted, takes, &nodes_reported);
}

static int count(const areas_node *node, void *context)
{
	*(int *)context += node->total > 0;
	return 0;
}

static void answers(void)
{
	areas_targets wanted = AREAS_TARGETS;
	int nodes = 0;
	CHECK(areas_nodes(count, &nodes) > 0);
	CHECK_EQ(rank(&wanted), nodes);
	CHECK_EQ(nodes_reported, nodes);
	CHECK_EQ(last.source, AREAS_BY_DISTANCE);
	CHECK(last.value >= 10);
	wanted.by = AREAS_MOST_FREE;
	CHECK_EQ(rank(&wanted), nodes);
	CHECK_EQ(last.source, AREAS_BY_FREE);
	CHECK(last.value > 0);
	wanted.by = AREAS_HIGHEST_CAPACITY;
	CHECK_EQ(rank(&wanted), nodes);
	CHECK_EQ(last.source, AREAS_BY_CAPACITY);
	wanted.from = AREAS_FROM_CPU;
	CHECK_EQ(rank(&wanted), nodes);
	wanted.from = AREAS_FROM_NODE;
	wanted.by = AREAS_NEAREST;
	stop_after = 1;
	CHECK_EQ(rank(&wanted), 1);
	stop_after = 0;
	/* A node is nearest to itself. */
	CHECK_EQ(last.node, 0);
	CHECK_EQ(last.value, 10);
	wanted.within.words[0] = 1;
	CHECK_EQ(rank(&wanted), 1);
	/* Where the firmware reports no speeds, distance may do instead, or is an error. */
	wanted.from = AREAS_FROM_ANYWHERE;
	for (wanted.by = AREAS_HIGHEST_BANDWIDTH; wanted.by <= AREAS_LOWEST_LATENCY; wanted.by++) {
		int reported;
		wanted.or_distance = 0;
		reported = rank(&wanted);
		CHECK(reported == AREAS_ERROR_UNSUPPORTED || (reported == 1 && last.source == AREAS_BY_HMAT));
		wanted.or_distance = 1;
		CHECK_EQ(rank(&wanted), 1);
		CHECK_EQ(last.source, reported == 1 ? AREAS_BY_HMAT : AREAS_BY_DISTANCE);
	}
}

static void errors(void)
{
	areas_targets wanted = AREAS_TARGETS, none = AREAS_TARGETS;
	CHECK_EQ(areas_rank(NULL, takes, NULL), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_rank(&wanted, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	none.struct_size = 0;
	CHECK_EQ(rank(&none), AREAS_ERROR_INVALID_INPUT);
	wanted.by = AREAS_ALL_NODES;
	CHECK_EQ(rank(&wanted), AREAS_ERROR_INVALID_INPUT);
	wanted.by = 6;
	CHECK_EQ(rank(&wanted), AREAS_ERROR_INVALID_INPUT);
	wanted.by = AREAS_NEAREST;
	wanted.from = 3;
	CHECK_EQ(rank(&wanted), AREAS_ERROR_INVALID_INPUT);
	wanted.from = AREAS_FROM_CPU;
	wanted.origin = 999999;
	CHECK_EQ(rank(&wanted), AREAS_ERROR_INVALID_INPUT);
	wanted.from = AREAS_FROM_NODE;
	wanted.origin = 1000;
	CHECK_EQ(rank(&wanted), AREAS_ERROR_NODE_NOT_ALLOWED);
	wanted.origin = 5000;
	CHECK(rank(&wanted) < 0);
	wanted.from = AREAS_FROM_ANYWHERE;
	wanted.or_distance = 2;
	CHECK_EQ(rank(&wanted), AREAS_ERROR_INVALID_INPUT);
	wanted.or_distance = 0;
	wanted.within.words[15] = 1;
	CHECK_EQ(rank(&wanted), AREAS_ERROR_NODE_NOT_ALLOWED);
	CHECK_EQ(nodes_reported, 0);
}

static int bits(const areas_nodeset *set)
{
	int count = 0;
	for (int word = 0; word < 16; word++)
		count += __builtin_popcountll(set->words[word]);
	return count;
}

/* The spaces of the machine that there is: what is not known is an error, and no guess. */
static void spaces(void)
{
	areas_targets wanted = AREAS_TARGETS;
	areas_nodeset nodes, unknown, before;
	int all = 0, found;
	CHECK(areas_nodes(count, &all) > 0);
	wanted.by = AREAS_ALL_NODES;
	CHECK_EQ(areas_space(&wanted, &nodes, NULL), all);
	CHECK_EQ(bits(&nodes), all);
	wanted.by = AREAS_HIGHEST_CAPACITY;
	found = areas_space(&wanted, &nodes, &unknown);
	CHECK(found >= 1 && found <= all);
	CHECK_EQ(bits(&nodes), found);
	CHECK_EQ(bits(&unknown), 0);
	before = nodes;
	for (wanted.by = AREAS_HIGHEST_BANDWIDTH; wanted.by <= AREAS_LOWEST_LATENCY; wanted.by++) {
		wanted.or_distance = 0;
		found = areas_space(&wanted, &nodes, &unknown);
		if (found == AREAS_ERROR_UNSUPPORTED) {
			CHECK(memcmp(&nodes, &before, sizeof nodes) == 0);
			CHECK(strstr(areas_error_text(), "does not report") != NULL);
		} else {
			CHECK(found >= 1 && bits(&unknown) + found >= 1);
		}
		wanted.or_distance = 1;
		CHECK(areas_space(&wanted, &nodes, &unknown) >= 1);
		before = nodes;
	}
	wanted.by = AREAS_NEAREST;
	CHECK_EQ(areas_space(&wanted, &nodes, NULL), AREAS_ERROR_INVALID_INPUT);
	wanted.by = AREAS_ALL_NODES;
	CHECK_EQ(areas_space(&wanted, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_space(NULL, &nodes, NULL), AREAS_ERROR_INVALID_INPUT);
	wanted.from = AREAS_FROM_CPU;
	wanted.origin = 999999;
	CHECK_EQ(areas_space(&wanted, &nodes, NULL), AREAS_ERROR_INVALID_INPUT);
	CHECK(memcmp(&nodes, &before, sizeof nodes) == 0);
}

int main(void)
{
	answers();
	spaces();
	errors();
	return 0;
}
