// Areas that are split: contiguous parts in order, each on its node, as large as its weight
// says, on nodes of unequal size. Where each page is, is asked of the kernel here (move_pages),
// page by page; how large each part is to be, is computed here.
// vm: --nodes "1:512 1:320 0:224"
// vm: --kernel linux-image-cloud-amd64 --nodes "1:512 1:320 0:224"

#include "guest/areas.h"

#define PARTS 3
/* Pages of an area of base pages: not a multiple of the sum of the weights. */
#define PAGES ((size_t)445)

/* The last node most, and not in the order of the nodes; the sum of the weights is 9. */
static void parts_of(areas_part parts[PARTS])
{
	static const uint32_t weights[PARTS] = { 5, 1, 3 };

	know_the_nodes();
	CHECK_EQ(node_count, PARTS);
	for (int at = 0; at < PARTS; at++)
		parts[at] = (areas_part){ .node = (uint32_t)nodes[PARTS - 1 - at], .weight = weights[at] };
}

/* The page with which a part ends, of so many: the nearest to where its weight ends. */
static size_t end_of(const areas_part *parts, int part, size_t pages)
{
	size_t sum = 0, upto = 0;

	for (int at = 0; at < PARTS; at++) {
		sum += parts[at].weight;
		upto += at <= part ? parts[at].weight : 0;
	}
	return (2 * pages * upto + sum) / (2 * sum);
}

/* Fails unless so many pages, of that size each, are split so; `total` is how many the whole was
 * divided into. */
static void is_split(const void *start, size_t pages, size_t page, size_t total, const areas_part *parts)
{
	size_t at = 0;

	for (int part = 0; part < PARTS; part++) {
		for (; at < end_of(parts, part, total) && at < pages; at++) {
			int node = -1;

			raw_nodes((const char *)start + at * page, 1, &node);
			if (node != (int)parts[part].node)
				check_failed(__FILE__, __LINE__, "page %zu of %zu is on node %d, not %u", at, total, node,
					     parts[part].node);
		}
	}
	CHECK_EQ(at, pages);
}

static areas_area *made(uint32_t kind, size_t size, size_t max, uint32_t pages, const areas_part *parts)
{
	areas_provider *split = areas_provider_split(NULL, parts, PARTS);
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;

	CHECK(split != NULL);
	wanted.size = size;
	wanted.kind = kind;
	wanted.max = max;
	wanted.pages = pages;
	wanted.provider = split;
	area = areas_create(&wanted);
	if (area == NULL)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	areas_provider_release(split);
	return area;
}

static void base_pages_are_split(void)
{
	static const uint32_t kinds[] = { AREAS_PRIVATE, AREAS_SHARED };
	areas_part parts[PARTS];

	parts_of(parts);
	for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
		for (int touched = 0; touched < 2; touched++) {
			areas_area *area = made(kinds[kind], PAGES * PAGE, 0, AREAS_PAGES_BASE, parts);

			if (touched)
				touch(areas_address(area), PAGES);
			else
				populate(area);
			is_split(areas_address(area), PAGES, PAGE, PAGES, parts);
			CHECK(verified(area).holds);
			CHECK_EQ(verified(area).in_place, PAGES * PAGE);
			areas_release(area);
		}
	}
}

/* All addresses are divided: what grows comes to be on the nodes of the reserve's parts. */
static void what_may_grow_is_split_to_its_end(void)
{
	static const uint32_t kinds[] = { AREAS_GROWABLE, AREAS_RESIZABLE };
	areas_part parts[PARTS];

	parts_of(parts);
	for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
		areas_area *area = made(kinds[kind], 64 * PAGE, PAGES * PAGE, AREAS_PAGES_BASE, parts);

		populate(area);
		is_split(areas_address(area), 64, PAGE, PAGES, parts);
		CHECK(verified(area).holds);
		CHECK_EQ(areas_resize(area, PAGES * PAGE), 0);
		populate(area);
		is_split(areas_address(area), PAGES, PAGE, PAGES, parts);
		CHECK(verified(area).holds);
		CHECK_EQ(verified(area).in_place, PAGES * PAGE);
		areas_release(area);
	}
}

/* Pages of 2 MiB in a node's pool; none again at the end. */
static void pools_have(const areas_part *parts, const size_t *pages)
{
	char file[96], number[24];

	for (int at = 0; at < PARTS; at++) {
		snprintf(file, sizeof file, "/sys/devices/system/node/node%u/hugepages/hugepages-2048kB/nr_hugepages",
			 parts[at].node);
		snprintf(number, sizeof number, "%zu", pages[at]);
		setting(file, number);
		CHECK_EQ(number_in(file), (long)pages[at]);
	}
}

/* Each pool has just what the part takes: not one page is taken of another one. */
static void pages_of_the_pool_are_split(void)
{
	static const uint32_t kinds[] = { AREAS_PRIVATE, AREAS_SHARED };
	static const size_t none[PARTS];
	const size_t total = 18;
	size_t pages[PARTS];
	areas_part parts[PARTS];

	parts_of(parts);
	for (int part = 0; part < PARTS; part++)
		pages[part] = end_of(parts, part, total) - (part ? end_of(parts, part - 1, total) : 0);
	pools_have(parts, pages);
	for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
		areas_area *area = made(kinds[kind], total * HUGE_PAGE, 0, AREAS_PAGES_POOL, parts);

		is_split(areas_address(area), total, HUGE_PAGE, total, parts);
		CHECK(verified(area).holds);
		areas_release(area);
	}
	pools_have(parts, none);
}

/* Transparent huge pages: no part begins within one. */
static void collapsed_pages_are_split(void)
{
	const size_t blocks = 18;
	areas_part parts[PARTS];
	areas_area *area;

	parts_of(parts);
	area = made(AREAS_GROWABLE, blocks * HUGE_PAGE, blocks * HUGE_PAGE, AREAS_PAGES_AUTO, parts);
	populate(area);
	is_split(areas_address(area), blocks * IN_BLOCK, PAGE, blocks * IN_BLOCK, parts);
	CHECK(verified(area).holds);
	areas_release(area);
}

/* A part of an area is divided, and its pages are moved there. */
static void a_part_of_an_area_is_split(void)
{
	const size_t before = 40, rest = PAGES - 40;
	areas_migration moved = AREAS_MIGRATION;
	areas_placement placement = { .policy = AREAS_BIND };
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_part parts[PARTS];
	areas_area *area;
	int found[40];

	parts_of(parts);
	placement.nodes.words[0] = (uint64_t)1 << nodes[1];
	wanted.size = PAGES * PAGE;
	wanted.placement = placement;
	area = areas_create(&wanted);
	CHECK(area != NULL);
	CHECK_EQ(areas_place_split(area, before * PAGE, rest * PAGE, parts, PARTS), 0);
	touch(areas_address(area), PAGES);
	raw_nodes(areas_address(area), before, found);
	for (size_t at = 0; at < before; at++)
		CHECK_EQ(found[at], nodes[1]);
	is_split((char *)areas_address(area) + before * PAGE, rest, PAGE, rest, parts);
	CHECK(verified(area).holds);
	/* Out of its part, and seen. */
	raw_move((char *)areas_address(area) + before * PAGE, nodes[1]);
	CHECK_EQ(verified(area).elsewhere, PAGE);
	/* All on one node again. */
	CHECK_EQ(areas_migrate(area, &placement, &moved, NULL, NULL, NULL), 0);
	CHECK(moved.holds && moved.stayed == 0);
	CHECK(verified(area).holds);
	areas_release(area);
}

int main(int count, char **words)
{
	static const struct test tests[] = {
		{ "base_pages_are_split", base_pages_are_split },
		{ "what_may_grow_is_split_to_its_end", what_may_grow_is_split_to_its_end },
		{ "pages_of_the_pool_are_split", pages_of_the_pool_are_split },
		{ "collapsed_pages_are_split", collapsed_pages_are_split },
		{ "a_part_of_an_area_is_split", a_part_of_an_area_is_split },
	};

	return run_tests(tests, sizeof tests / sizeof *tests, count, words);
}
