// Areas of transparent huge pages on several nodes: blocks of 2 MiB go round the nodes, weights
// hold by the block, what moves moves as a whole, and what cannot be had on its node is
// reported. Where each page is, is asked of the kernel here (move_pages), page by page, and
// whether a block is a huge page, of its page frames (pagemap).
// vm: -- blocks_go whoever policies folios what_is_filled stripes_stay what_was collapsed_blocks what_is_out what_cannot
// vm: --nodes "1:512 1:320 0:224" -- blocks_go whoever policies folios what_is_filled stripes_stay what_was collapsed_blocks what_is_out what_cannot
// vm: --nodes "1:400 0:112 0:112 0:112 0:112 0:112 0:112 0:112" -- blocks_go whoever policies folios what_is_filled stripes_stay what_was collapsed_blocks what_is_out what_cannot
// vm: --nodes "1:512 1:0 0:256" --append memhp_default_state=offline --qemu=-m --qemu=slots=2,maxmem=2G --qemu=-object --qemu=memory-backend-ram,id=hot,size=256M --qemu=-device --qemu=pc-dimm,id=added,memdev=hot,node=1
// vm: --kernel linux-image-cloud-amd64 -- blocks_go policies what_is_filled stripes_stay what_was collapsed_blocks what_is_out what_cannot

#include "guest/areas.h"

/*
 * Brings the pages of a block that is in memory back into this process's page table: one that
 * compaction is moving at this moment is in none for a while, and one that a collapse has tried to
 * take stays in none until it is touched. None is made by that: mincore(2) knows of pages that no
 * process has mapped.
 */
static void map_again(const char *at, int tries)
{
	unsigned char in_memory[IN_BLOCK];

	CHECK(tries < 200);
	usleep(10 * 1000);
	CHECK_EQ(mincore((void *)(uintptr_t)at, HUGE_PAGE, in_memory), 0);
	for (size_t page = 0; page < IN_BLOCK; page++) {
		CHECK_EQ(in_memory[page] & 1, 1);
		(void)((const volatile char *)at)[page * PAGE];
	}
}

/* The nodes of the pages of a block that is in memory. */
static void block_nodes(const char *at, int *on)
{
	for (int tries = 0;; tries++) {
		int absent = 0;

		raw_nodes(at, IN_BLOCK, on);
		for (size_t page = 0; page < IN_BLOCK; page++)
			absent += on[page] == -ENOENT;
		if (absent == 0)
			return;
		map_again(at, tries);
	}
}

/* What pagemap says of a block that is in memory. */
static void block_words(int table, const char *at, uint64_t *words)
{
	for (int tries = 0;; tries++) {
		size_t present = 0;

		CHECK_EQ(pread(table, words, IN_BLOCK * sizeof *words, (off_t)((uintptr_t)at / PAGE * 8)),
			 (ssize_t)(IN_BLOCK * sizeof *words));
		for (size_t page = 0; page < IN_BLOCK; page++)
			present += words[page] >> 63;
		if (present == IN_BLOCK)
			return;
		map_again(at, tries);
	}
}

/* The node of each block whose pages are all on one, or -1; and how many of the blocks are huge
 * pages, by their page frames. */
static int look(const char *start, int blocks, int *found)
{
	static uint64_t words[IN_BLOCK];
	static int on[IN_BLOCK];
	int table = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), huge = 0;

	CHECK(table >= 0);
	for (int block = 0; block < blocks; block++) {
		const char *at = start + (size_t)block * HUGE_PAGE;
		int whole = 1;

		block_nodes(at, on);
		found[block] = on[0];
		for (size_t page = 1; page < IN_BLOCK; page++)
			if (on[page] != on[0])
				found[block] = -1;
		block_words(table, at, words);
		for (size_t page = 0; page < IN_BLOCK; page++) {
			CHECK(words[page] >> 63);
			whole &= (words[page] << 9) == ((words[0] << 9) + ((uint64_t)page << 9));
		}
		huge += whole && (words[0] & (IN_BLOCK - 1)) == 0;
	}
	close(table);
	return huge;
}

static areas_area *area_of(uint32_t kind, int blocks, uint32_t policy, uint64_t mask, uint32_t lock,
			   const areas_provider *provider)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;

	wanted.size = (size_t)blocks * HUGE_PAGE;
	wanted.kind = kind;
	if (kind == AREAS_GROWABLE || kind == AREAS_RESIZABLE)
		wanted.max = 2 * wanted.size;
	wanted.pages = AREAS_PAGES_AUTO;
	wanted.lock = lock;
	wanted.provider = provider;
	wanted.placement.policy = policy;
	wanted.placement.nodes.words[0] = mask;
	area = areas_create(&wanted);
	if (area == NULL)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	return area;
}

/* What areas_measure says of huge pages, where the kernel reports them. */
static void huge_bytes_are(const areas_area *area, size_t bytes)
{
	areas_residency residency = AREAS_RESIDENCY;

	if (areas_measure(area, &residency, NULL, NULL) < 0)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	/* Before Linux 6.7 it does not where other memory is beside the area's. */
	CHECK(!residency.knows_huge || residency.huge == bytes);
}

static void all_go_round(areas_area *area, int blocks, const int *order, int length, const char *what)
{
	int found[MOST_BLOCKS];
	areas_verification verification;

	CHECK_EQ(look(areas_address(area), blocks, found), blocks);
	goes_round(found, blocks, order, length, what);
	huge_bytes_are(area, (size_t)blocks * HUGE_PAGE);
	verification = verified(area);
	CHECK(verification.holds);
	CHECK_EQ(verification.in_place, (uint64_t)blocks * HUGE_PAGE);
}

static void blocks_go_round(void)
{
	static const uint32_t kinds[] = { AREAS_SHARED, AREAS_PRIVATE, AREAS_GROWABLE, AREAS_RESIZABLE };
	int order[MOST_BLOCKS], ends[2];

	know_the_nodes();
	ends[0] = nodes[0];
	ends[1] = nodes[node_count - 1];
	for (int weighted = 0; weighted < 2; weighted++) {
		if (weighted && !weights_are_set())
			break;
		for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
			const int *list = kind == 2 ? ends : nodes;
			int count = kind == 2 ? 2 : node_count;
			int length = round_of(list, count, weighted, order);
			/* Two rounds but for a block, so that no share is right by chance. */
			int blocks = 2 * length - 1;
			uint32_t policy = weighted ? AREAS_WEIGHTED_INTERLEAVE : AREAS_INTERLEAVE;
			areas_area *area = area_of(kinds[kind], blocks, policy, mask_of(list, count), AREAS_LOCK_NONE, NULL);

			populate(area);
			all_go_round(area, blocks, order, length, weighted ? "weighted" : "interleaved");
			/* Once more: nothing moves. */
			populate(area);
			all_go_round(area, blocks, order, length, "populated twice");
			areas_release(area);
		}
	}
}

/* The memory of node 1 is added while the program runs: from then on the node takes its turn. (The
 * tests behind this one have it.) */
static void a_node_that_comes_while_we_run_takes_its_turn(void)
{
	static const int added = 1;
	int order[MOST_BLOCKS], length;
	areas_area *area;

	for (int comes = 0; comes < 2; comes++) {
		if (comes)
			CHECK(change_memory_of(added, "online_movable") > 0);
		know_the_nodes();
		CHECK_EQ(mask_of(nodes, node_count) >> added & 1, (uint64_t)comes);
		length = round_of(nodes, node_count, 0, order);
		area = area_of(AREAS_SHARED, 2 * length, AREAS_INTERLEAVE, mask_of(nodes, node_count), AREAS_LOCK_NONE, NULL);
		populate(area);
		all_go_round(area, 2 * length, order, length, comes ? "with the node" : "without the node");
		areas_release(area);
	}
}

/* The word in brackets of a setting: `always [madvise] never`. */
static void chosen(const char *file, char word[32])
{
	char text[128] = "";
	FILE *from = fopen(file, "re");

	CHECK(from != NULL && fgets(text, sizeof text, from) != NULL && strchr(text, '[') != NULL);
	fclose(from);
	CHECK_EQ(sscanf(strchr(text, '[') + 1, "%31[^]]", word), 1);
}

/* Huge pages that the kernel made at a touch and those that were collapsed go round together, and
 * private ones that it would not make. */
static void whoever_makes_them_they_go_round(void)
{
	static const char by_touch[] = "/sys/kernel/mm/transparent_hugepage/enabled";
	static const char of_objects[] = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
	int order[MOST_BLOCKS], found[MOST_BLOCKS], length, blocks;
	char before[32];
	areas_area *area;

	know_the_nodes();
	length = round_of(nodes, node_count, 0, order);
	blocks = 2 * length + 1;
	chosen(of_objects, before);
	setting(of_objects, "always");
	area = area_of(AREAS_SHARED, blocks, AREAS_INTERLEAVE, mask_of(nodes, node_count), AREAS_LOCK_NONE, NULL);
	touch(areas_address(area), (size_t)length * IN_BLOCK);
	setting(of_objects, before);
	CHECK_EQ(look(areas_address(area), length, found), length);
	goes_round(found, length, order, length, "the kernel's own");
	populate(area);
	all_go_round(area, blocks, order, length, "the kernel's own, and collapsed ones");
	areas_release(area);

	chosen(by_touch, before);
	setting(by_touch, "never");
	area = area_of(AREAS_PRIVATE, blocks, AREAS_INTERLEAVE, mask_of(nodes, node_count), AREAS_LOCK_NONE, NULL);
	populate(area);
	setting(by_touch, before);
	all_go_round(area, blocks, order, length, "private, collapsed");
	areas_release(area);
}

/* What another holder has placed again, and what the thread's own policy places, goes round as
 * well. */
static void policies_of_others_and_of_the_thread_count(void)
{
	int order[MOST_BLOCKS], found[MOST_BLOCKS], length, blocks;
	unsigned long mask;
	areas_placement placement = { .policy = AREAS_INTERLEAVE };
	areas_area *area, *clone;
	areas_cloning how = AREAS_CLONING;

	know_the_nodes();
	CHECK_EQ(setenv("AREAS_DIR", "/tmp/areas-collapsed", 1), 0);
	area = area_of(AREAS_SHARED, 6, AREAS_BIND, mask_of(nodes, 1), AREAS_LOCK_NONE, NULL);
	if (areas_publish(area, "placed") < 0)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	clone = areas_clone_named("placed", &how);
	CHECK(clone != NULL);
	placement.nodes.words[0] = mask_of(nodes + node_count - 2, 2);
	CHECK_EQ(areas_place(clone, 0, 6 * HUGE_PAGE, &placement), 0);
	populate(area);
	length = round_of(nodes + node_count - 2, 2, 0, order);
	CHECK_EQ(look(areas_address(area), 6, found), 6);
	goes_round(found, 6, order, length, "placed by a clone");
	areas_release(clone);
	areas_release(area);

	mask = mask_of(nodes, node_count);
	CHECK_EQ(syscall(SYS_set_mempolicy, RAW_INTERLEAVE, &mask, 64UL), 0);
	length = round_of(nodes, node_count, 0, order);
	blocks = 2 * length;
	area = area_of(AREAS_SHARED, blocks, AREAS_DEFAULT, 0, AREAS_LOCK_NONE, NULL);
	populate(area);
	CHECK_EQ(look(areas_address(area), blocks, found), blocks);
	goes_round(found, blocks, order, length, "by the thread's policy");
	areas_release(area);
}

/* Where base pages are brought in by 64 KiB, they go round so. */
static void folios_of_several_pages_go_round_by_themselves(void)
{
	static const char of_64k[] = "/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled";
	static const char of_2m[] = "/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/enabled";
	enum { IN_FOLIO = 16 };
	areas_attributes wanted = AREAS_ATTRIBUTES;
	int order[MOST_BLOCKS], found[MOST_BLOCKS], on[IN_FOLIO], length, folios;
	char before[32], before_2m[32];
	areas_area *area;

	know_the_nodes();
	length = round_of(nodes, node_count, 0, order);
	folios = 4 * length;
	wanted.size = (size_t)folios * IN_FOLIO * PAGE;
	wanted.kind = AREAS_PRIVATE;
	/* Whole folios only: where they do not begin at a folio there would be base pages beside
	 * them. */
	wanted.address_form = AREAS_EXACTLY;
	wanted.address = (void *)(uintptr_t)0x600000000000;
	wanted.placement.policy = AREAS_INTERLEAVE;
	wanted.placement.nodes.words[0] = mask_of(nodes, node_count);
	chosen(of_64k, before);
	setting(of_64k, "always");
	chosen(of_2m, before_2m);
	setting(of_2m, "never");
	area = areas_create(&wanted);
	CHECK(area != NULL);
	touch(areas_address(area), (size_t)folios * IN_FOLIO);
	for (int folio = 0; folio < folios; folio++) {
		raw_nodes((char *)areas_address(area) + (size_t)folio * IN_FOLIO * PAGE, IN_FOLIO, on);
		found[folio] = on[0];
		for (int page = 1; page < IN_FOLIO; page++)
			CHECK_EQ(on[page], on[0]);
	}
	goes_round(found, folios, order, length, "folios");
	CHECK(verified(area).holds);
	setting(of_64k, before);
	setting(of_2m, before_2m);
	/* As base pages they would be out of turn. */
	CHECK(!verified(area).holds);
	areas_release(area);
}

static void what_is_filled_or_locked_goes_round(void)
{
	int order[MOST_BLOCKS], length, blocks, file;
	areas_area *area;
	char *bytes;

	know_the_nodes();
	length = round_of(nodes, node_count, 0, order);
	blocks = length + 1;
	file = open("/tmp/contents", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(file >= 0);
	for (int block = 0; block < blocks; block++)
		CHECK_EQ(pwrite(file, &block, sizeof block, (off_t)block * (off_t)HUGE_PAGE + 12345), (ssize_t)sizeof block);
	CHECK_EQ(ftruncate(file, (off_t)blocks * (off_t)HUGE_PAGE), 0);
	area = area_of(AREAS_SHARED, blocks, AREAS_INTERLEAVE, mask_of(nodes, node_count), AREAS_LOCK_NONE, NULL);
	if (areas_fill(area, file, NULL, NULL) < 0)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	bytes = areas_address(area);
	for (int block = 0; block < blocks; block++) {
		int held;

		memcpy(&held, bytes + (size_t)block * HUGE_PAGE + 12345, sizeof held);
		CHECK_EQ(held, block);
		/* Into our page tables, where move_pages looks. */
		for (size_t page = 0; page < IN_BLOCK; page++)
			CHECK(((volatile char *)bytes)[(size_t)block * HUGE_PAGE + page * PAGE] == 0);
	}
	all_go_round(area, blocks, order, length, "filled");
	areas_release(area);
	close(file);
	unlink("/tmp/contents");

	area = area_of(AREAS_SHARED, blocks, AREAS_INTERLEAVE, mask_of(nodes, node_count), AREAS_LOCK_FULL, NULL);
	all_go_round(area, blocks, order, length, "locked");
	areas_release(area);
}

static void counted(const char *asked, const char *given, const char *because, void *context)
{
	(void)given;
	(void)because;
	*(int *)context += strstr(asked, "transparent") != NULL;
}

/* How often it is reported that transparent huge pages could not be had. */
static int reported_of_base_pages(const areas_area *area)
{
	areas_grant grant = AREAS_GRANT;
	int times = 0;

	CHECK_EQ(areas_granted(area, &grant, counted, &times), 0);
	return times;
}

static void stripes_stay_where_they_were_cut(void)
{
	static const size_t widths[] = { IN_BLOCK, 2 * IN_BLOCK, 8, IN_BLOCK + 256 };
	int order[MOST_BLOCKS], length, on[IN_BLOCK];

	know_the_nodes();
	length = round_of(nodes, node_count, 0, order);
	for (size_t which = 0; which < sizeof widths / sizeof *widths; which++) {
		int blocks = 2 * length, huge, whole = widths[which] % IN_BLOCK == 0;
		areas_nodeset set = { { mask_of(nodes, node_count) } };
		areas_provider *striped = areas_provider_striped(NULL, &set, widths[which]);
		areas_area *area = area_of(AREAS_SHARED, blocks, AREAS_DEFAULT, 0, AREAS_LOCK_NONE, striped);
		int found[MOST_BLOCKS];
		areas_verification verification;

		areas_provider_release(striped);
		populate(area);
		huge = look(areas_address(area), blocks, found);
		for (int block = 0; block < blocks; block++) {
			block_nodes((char *)areas_address(area) + (size_t)block * HUGE_PAGE, on);
			for (size_t page = 0; page < IN_BLOCK; page++)
				CHECK_EQ(on[page], order[((size_t)block * IN_BLOCK + page) / widths[which] % (size_t)length]);
		}
		/* Of stripes of a block and a half, every third block is whole, and of narrow ones none. */
		CHECK_EQ(huge > 0, widths[which] >= IN_BLOCK);
		CHECK_EQ(huge == blocks, whole);
		CHECK_EQ(reported_of_base_pages(area), !whole);
		huge_bytes_are(area, (size_t)huge * HUGE_PAGE);
		verification = verified(area);
		CHECK(verification.holds);
		areas_release(area);
	}
}

/* Pages that a process has touched before are moved to where their block is to be. */
static void what_was_there_before_goes_round(void)
{
	int order[MOST_BLOCKS], length, blocks;
	areas_area *area;
	volatile char *bytes;

	know_the_nodes();
	length = round_of(nodes, node_count, 0, order);
	blocks = length + 1;
	area = area_of(AREAS_SHARED, blocks, AREAS_INTERLEAVE, mask_of(nodes, node_count), AREAS_LOCK_NONE, NULL);
	bytes = areas_address(area);
	/* All of some blocks, some pages of others, nothing of the rest. */
	for (int block = 0; block < blocks; block++)
		for (size_t page = 0; page < IN_BLOCK; page++)
			if (block % 3 == 0 || (block % 3 == 1 && page % 7 == 2))
				bytes[(size_t)block * HUGE_PAGE + page * PAGE] = (char)(block + 1);
	populate(area);
	all_go_round(area, blocks, order, length, "touched before");
	for (int block = 0; block < blocks; block++)
		CHECK_EQ(bytes[(size_t)block * HUGE_PAGE + 2 * PAGE], block % 3 == 2 ? 0 : block + 1);
	areas_release(area);
}

/* The number in the line of a node's meminfo that has this word, in bytes. */
static size_t memory_on(int node, const char *word)
{
	char file[64], line[128];
	long kilobytes = 0;
	FILE *from;

	snprintf(file, sizeof file, "/sys/devices/system/node/node%d/meminfo", node);
	from = fopen(file, "re");
	CHECK(from != NULL);
	while (fgets(line, sizeof line, from) != NULL)
		if (strstr(line, word) != NULL)
			CHECK_EQ(sscanf(strstr(line, word) + strlen(word), "%ld", &kilobytes), 1);
	fclose(from);
	CHECK(kilobytes > 0);
	return (size_t)kilobytes * 1024;
}

/* Takes the memory of a node and gives half of it back, page by page, so that no huge page is left
 * on it. */
static void scatter(int node)
{
	unsigned long mask = 1ul << node;
	size_t most = memory_on(node, "MemTotal:") / HUGE_PAGE * HUGE_PAGE, size = 0;
	int on[IN_BLOCK], full = 0;
	char *start;

	/* No compaction: it would move other pages (those of files in tmpfs) into the holes, and find
	 * huge pages where they were. */
	setting("/proc/sys/vm/extfrag_threshold", "1000");
	setting("/proc/sys/vm/compaction_proactiveness", "0");
	/*
	 * Each CPU keeps pages that it has freed for itself, tens of MiB of them: MemFree does not
	 * count them, and on another CPU the node seems to be full. So the CPUs are to keep as few as
	 * they can.
	 */
	setting("/proc/sys/vm/percpu_pagelist_high_fraction", "1000000");
	start = mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(start != MAP_FAILED);
	CHECK_EQ(madvise(start, most, MADV_NOHUGEPAGE), 0);
	CHECK_EQ(syscall(SYS_mbind, start, most, RAW_PREFERRED, &mask, 64UL, 0UL), 0);
	/* Until the kernel takes another node. */
	while (!full && size < most) {
		CHECK_EQ(mlock(start + size, HUGE_PAGE), 0);
		raw_nodes(start + size, IN_BLOCK, on);
		for (size_t page = 0; page < IN_BLOCK; page++)
			full |= on[page] != node;
		size += HUGE_PAGE;
	}
	CHECK(full);
	for (size_t at = 0; at < size; at += 2 * PAGE) {
		CHECK_EQ(munlock(start + at, PAGE), 0);
		CHECK_EQ(madvise(start + at, PAGE, MADV_DONTNEED), 0);
	}
}

static void what_cannot_be_had_on_its_node_is_base_pages(void)
{
	/* A few huge pages may be left in what the kernel keeps free. */
	const int rounds = 12;
	int length, blocks, huge, order[MOST_BLOCKS], found[MOST_BLOCKS], last, on[IN_BLOCK], share = 0, whole = 0;
	areas_area *area;

	know_the_nodes();
	last = nodes[node_count - 1];
	scatter(last);
	/* As base pages or as huge ones, the node's share has room, and 8 MiB are above it, below which
	 * the kernel takes another node. */
	CHECK(memory_on(last, "MemFree:") >= (rounds + 4) * HUGE_PAGE);
	length = round_of(nodes, node_count, 0, order);
	blocks = rounds * length;
	area = area_of(AREAS_SHARED, blocks, AREAS_INTERLEAVE, mask_of(nodes, node_count), AREAS_LOCK_NONE, NULL);
	populate(area);
	huge = look(areas_address(area), blocks, found);
	CHECK_EQ(reported_of_base_pages(area), 1);
	huge_bytes_are(area, (size_t)huge * HUGE_PAGE);
	for (int block = 0; block < blocks; block++) {
		whole += found[block] == last;
		if (found[block] >= 0)
			continue;
		/* Its pages go round by themselves. */
		block_nodes((char *)areas_address(area) + (size_t)block * HUGE_PAGE, on);
		for (size_t page = 0; page + (size_t)length < IN_BLOCK; page++)
			CHECK_EQ(on[page], on[page + (size_t)length]);
		for (size_t page = 0; page < IN_BLOCK; page++)
			share += on[page] == last;
	}
	/* All blocks of the other nodes are huge pages, on their nodes, and none of the last one's is
	 * on another node. */
	CHECK(whole < rounds && share > 0);
	CHECK_EQ(huge - whole, blocks - rounds);
	for (int node = 0; node + 1 < node_count; node++) {
		int times = 0;

		for (int block = 0; block < blocks; block++)
			times += found[block] == nodes[node];
		CHECK_EQ(times, rounds);
	}
	CHECK(verified(area).holds);
	areas_release(area);
}

/* Moves an area: here, or by a process that has found it and holds nothing of it. */
static void move(areas_area *area, const areas_placement *placement, uint64_t expected, int by_another)
{
	areas_migration moved = AREAS_MIGRATION;
	pid_t child = by_another ? check_fork() : 0;

	if (child == 0) {
		int status = by_another ? areas_migrate_id(areas_find("moved"), placement, &moved, NULL, NULL, NULL)
					: areas_migrate(area, placement, &moved, NULL, NULL, NULL);

		if (status < 0)
			check_failed(__FILE__, __LINE__, "%s", areas_error_help());
		CHECK_EQ(moved.moved, expected);
		CHECK_EQ(moved.stayed, 0);
		CHECK_EQ(moved.holds, 1);
		CHECK_EQ(moved.placed, 1);
		if (by_another)
			_exit(0);
		return;
	}
	check_child(child, 0);
}

/* What is reported of an area's placement, whoever has placed it. */
static void placed_as(const areas_area *area, uint32_t policy, uint64_t mask)
{
	areas_info info = AREAS_INFO;

	CHECK_EQ(areas_look(area, &info), 0);
	CHECK_EQ(info.placement.policy, policy);
	CHECK_EQ(info.placement.nodes.words[0], mask);
}

/* Each huge page moves once, and as one. */
static void collapsed_blocks_move_whole(void)
{
	static const uint32_t kinds[] = { AREAS_SHARED, AREAS_PRIVATE, AREAS_SHARED };

	know_the_nodes();
	CHECK_EQ(setenv("AREAS_DIR", "/tmp/areas-collapsed", 1), 0);
	for (int kind = 0; kind < 3; kind++) {
		int order[MOST_BLOCKS], found[MOST_BLOCKS], length, blocks;
		areas_placement placement = { .policy = AREAS_INTERLEAVE };
		int by_another = kind == 2;
		areas_area *area;

		length = round_of(nodes, node_count, 0, order);
		blocks = 2 * length;
		area = area_of(kinds[kind], blocks, AREAS_BIND, mask_of(nodes, 1), AREAS_LOCK_NONE, NULL);
		populate(area);
		CHECK_EQ(look(areas_address(area), blocks, found), blocks);
		if (by_another && areas_publish(area, "moved") < 0)
			check_failed(__FILE__, __LINE__, "%s", areas_error_help());
		placement.nodes.words[0] = mask_of(nodes, node_count);
		move(area, &placement, (uint64_t)(blocks - 2) * HUGE_PAGE, by_another);
		touch(areas_address(area), (size_t)blocks * IN_BLOCK);
		CHECK_EQ(look(areas_address(area), blocks, found), blocks);
		goes_round(found, blocks, order, length, by_another ? "moved by another process" : "moved");
		CHECK(verified(area).holds);
		placed_as(area, AREAS_INTERLEAVE, mask_of(nodes, node_count));
		placement.policy = AREAS_BIND;
		placement.nodes.words[0] = mask_of(nodes + 1, 1);
		move(area, &placement, (uint64_t)(blocks - 2) * HUGE_PAGE, by_another);
		touch(areas_address(area), (size_t)blocks * IN_BLOCK);
		CHECK_EQ(look(areas_address(area), blocks, found), blocks);
		for (int block = 0; block < blocks; block++)
			CHECK_EQ(found[block], nodes[1]);
		CHECK(verified(area).holds);
		placed_as(area, AREAS_BIND, mask_of(nodes + 1, 1));
		areas_release(area);
	}
}

/* On allowed nodes, and yet not where the policy says. */
static void what_is_out_of_turn_is_found(void)
{
	int order[MOST_BLOCKS], length, blocks, on[IN_BLOCK];
	areas_verification found;
	areas_area *area;
	char *bytes;

	know_the_nodes();
	length = round_of(nodes, node_count, 0, order);
	blocks = 2 * length;
	area = area_of(AREAS_SHARED, blocks, AREAS_INTERLEAVE, mask_of(nodes, node_count), AREAS_LOCK_NONE, NULL);
	populate(area);
	CHECK(verified(area).holds);
	bytes = areas_address(area);
	raw_nodes(bytes + HUGE_PAGE, 1, on);
	raw_move(bytes + HUGE_PAGE, on[0] == nodes[0] ? nodes[1] : nodes[0]);
	found = verified(area);
	CHECK_EQ(found.holds, 0);
	CHECK_EQ(found.elsewhere, HUGE_PAGE);
	/* All on one node, as collapsing by the majority left them. */
	for (int block = 0; block < blocks; block++)
		raw_move(bytes + (size_t)block * HUGE_PAGE, nodes[0]);
	found = verified(area);
	CHECK_EQ(found.holds, 0);
	CHECK_EQ(found.elsewhere, (uint64_t)(blocks - 2) * HUGE_PAGE);
	areas_release(area);
}

int main(int count, char **words)
{
	static const struct test tests[] = {
		{ "a_node_that_comes_while_we_run_takes_its_turn", a_node_that_comes_while_we_run_takes_its_turn },
		{ "blocks_go_round", blocks_go_round },
		{ "whoever_makes_them_they_go_round", whoever_makes_them_they_go_round },
		{ "policies_of_others_and_of_the_thread_count", policies_of_others_and_of_the_thread_count },
		{ "folios_of_several_pages_go_round_by_themselves", folios_of_several_pages_go_round_by_themselves },
		{ "what_is_filled_or_locked_goes_round", what_is_filled_or_locked_goes_round },
		{ "stripes_stay_where_they_were_cut", stripes_stay_where_they_were_cut },
		{ "what_was_there_before_goes_round", what_was_there_before_goes_round },
		{ "collapsed_blocks_move_whole", collapsed_blocks_move_whole },
		{ "what_is_out_of_turn_is_found", what_is_out_of_turn_is_found },
		{ "what_cannot_be_had_on_its_node_is_base_pages", what_cannot_be_had_on_its_node_is_base_pages },
	};

	return run_tests(tests, sizeof tests / sizeof *tests, count, words);
}
