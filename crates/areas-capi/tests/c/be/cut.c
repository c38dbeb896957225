/*
 * Memory of an area that the program takes away itself: by munmap, by mmap over it, by mremap to
 * elsewhere, by shmat over it. Its head, its tail, a piece out of its middle, or all of it. Each
 * call that follows changes what is left of the area, and never what is another process's by now: a
 * mapping of a stranger's lies in each hole, and must be there afterwards, byte for byte, as the
 * kernel shows it.
 */
#include <OS.h>

#include "check.h"

#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/uio.h>

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define PAGES 16
#define SIZE (PAGES * PAGE)

/* How the program takes addresses away, and what comes to lie there. */
enum way { UNMAPPED, MAPPED_OVER, MOVED, SHARED_OVER, WAYS };
static const char *const way_names[WAYS] = { "munmap", "mmap", "mremap", "shmat" };

/* What is taken, in pages. */
struct part {
	const char *name;
	size_t from, to;
};
static const struct part parts[] = { { "head", 0, 5 }, { "tail", 11, PAGES }, { "middle", 6, 9 }, { "whole", 0, PAGES } };
#define PARTS (sizeof parts / sizeof *parts)
enum { HEAD, TAIL, MIDDLE, WHOLE };

/* A stranger's mapping: its bytes, and what the kernel says of it. */
struct stranger {
	char *at;
	size_t size;
	char line[512];
	/* Where the area's pages went, if they were moved. */
	char *moved;
};

/* The line of /proc/self/maps that has an address; "" if nothing is mapped there. */
static void line_of(const void *address, char line[512])
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, to;
	int found = 0;
	CHECK(maps != NULL);
	while (!found && fgets(line, 512, maps) != NULL)
		found = sscanf(line, "%lx-%lx", &from, &to) == 2 && from <= (uintptr_t)address && (uintptr_t)address < to;
	if (!found)
		line[0] = '\0';
	fclose(maps);
}

/* Whether a byte can be read, as the kernel says: no child is made for it, since a process that has
 * forked may not be alone with its areas. */
static int is_there(const char *at)
{
	char byte;
	struct iovec here = { &byte, 1 }, there = { (void *)(uintptr_t)at, 1 };
	return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1;
}

static char canary(size_t at)
{
	return (char)(at * 7 + at / PAGE + 3);
}

static void take(char *base, const struct part *part, enum way way, struct stranger *stranger)
{
	char *at = base + part->from * PAGE;
	size_t size = (part->to - part->from) * PAGE, i;
	stranger->at = at;
	stranger->size = size;
	stranger->moved = NULL;
	if (way == MOVED) {
		stranger->moved = mremap(at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
			mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		CHECK(stranger->moved != MAP_FAILED);
	}
	if (way == UNMAPPED)
		CHECK_EQ(munmap(at, size), 0);
	if (way == SHARED_OVER) {
		int segment = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
		if (segment < 0)
			SKIP("no System V shared memory here");
		CHECK(shmat(segment, at, SHM_REMAP) == at);
		CHECK_EQ(shmctl(segment, IPC_RMID, NULL), 0);
	} else {
		int flags = MAP_PRIVATE | MAP_ANONYMOUS | (way == MAPPED_OVER ? MAP_FIXED : MAP_FIXED_NOREPLACE);
		CHECK(mmap(at, size, PROT_READ | PROT_WRITE, flags, -1, 0) == at);
	}
	for (i = 0; i < size; i++)
		at[i] = canary(i);
	line_of(at, stranger->line);
	CHECK(stranger->line[0] != '\0');
}

/* It is there as it was. */
static void is_well(const struct stranger *stranger)
{
	char line[512];
	size_t i;
	line_of(stranger->at, line);
	/* A neighbour of the same kind can only be merged with private memory: the first numbers differ
	 * then. */
	CHECK_STR(strchr(line, ' '), strchr(stranger->line, ' '));
	for (i = 0; i < stranger->size; i++)
		if (stranger->at[i] != canary(i))
			check_failed(__FILE__, __LINE__, "byte %zu of the stranger's mapping has changed", i);
}

static void dismiss(struct stranger *stranger)
{
	is_well(stranger);
	CHECK_EQ(munmap(stranger->at, stranger->size), 0);
	if (stranger->moved != NULL)
		CHECK_EQ(munmap(stranger->moved, stranger->size), 0);
}

/* An area of PAGES pages, the first byte of each of which says which one it is. */
static area_id make(char **base)
{
	area_id id = create_area("cut", (void **)base, B_ANY_ADDRESS, SIZE, B_NO_LOCK, RW);
	size_t i;
	CHECK(id > 0);
	for (i = 0; i < PAGES; i++)
		(*base)[i * PAGE] = (char)(i + 1);
	return id;
}

/* The pages from `from` to `to` are an area, with this id or (if `id` is 0) any, and have what they
 * had. Its id. */
static area_id is_area(char *base, size_t from, size_t to, area_id id)
{
	area_info info;
	area_id found = area_for(base + from * PAGE);
	size_t i;
	CHECK(found > 0);
	if (id > 0)
		CHECK_EQ(found, id);
	CHECK_EQ(get_area_info(found, &info), B_OK);
	CHECK(info.address == base + from * PAGE);
	CHECK_EQ(info.size, (to - from) * PAGE);
	CHECK_STR(info.name, "cut");
	CHECK_EQ(info.team, getpid());
	for (i = from; i < to; i++) {
		CHECK_EQ(area_for(base + i * PAGE), found);
		CHECK_EQ(area_for(base + (i + 1) * PAGE - 1), found);
		CHECK_EQ(base[i * PAGE], (char)(i + 1));
	}
	return found;
}

/* What is left of it after a call that has looked. Puts the ids of the parts into `left`, and gives
 * their number. */
static int what_is_left(char *base, const struct part *part, area_id id, area_id left[2])
{
	area_info info;
	size_t i;
	int count = 0;
	for (i = part->from; i < part->to; i++)
		CHECK_EQ(area_for(base + i * PAGE), B_ERROR);
	if (part->from > 0)
		left[count++] = is_area(base, 0, part->from, id);
	if (part->to < PAGES) {
		left[count] = is_area(base, part->to, PAGES, count == 0 ? id : 0);
		count++;
	}
	if (count == 2)
		CHECK(left[0] != left[1]);
	if (count == 0)
		CHECK_EQ(get_area_info(id, &info), B_BAD_VALUE);
	return count;
}

static int areas_of_this_team(void)
{
	ssize_t cookie = 0;
	area_info info;
	int count = 0;
	while (get_next_area_info(0, &cookie, &info) == B_OK)
		count++;
	return count;
}

/* get_area_info is the first call behind it. */
static void reported(const struct part *part, enum way way)
{
	struct stranger stranger;
	char *base;
	area_id left[2], id = make(&base);
	area_info info;
	int count;
	take(base, part, way, &stranger);
	if (part == &parts[WHOLE]) {
		CHECK_EQ(get_area_info(id, &info), B_BAD_VALUE);
	} else {
		CHECK_EQ(get_area_info(id, &info), B_OK);
		CHECK(info.address == base + (part->from == 0 ? part->to * PAGE : 0));
		CHECK_EQ(info.size, (part->from == 0 ? PAGES - part->to : part->from) * PAGE);
	}
	count = what_is_left(base, part, id, left);
	CHECK_EQ(areas_of_this_team(), count);
	while (count-- > 0)
		CHECK_EQ(delete_area(left[count]), B_OK);
	dismiss(&stranger);
	CHECK_EQ(areas_of_this_team(), 0);
}

/* delete_area is. */
static void deleted(const struct part *part, enum way way)
{
	struct stranger stranger;
	char *base;
	area_id id = make(&base);
	size_t i;
	take(base, part, way, &stranger);
	CHECK_EQ(delete_area(id), part == &parts[WHOLE] ? B_BAD_VALUE : B_OK);
	is_well(&stranger);
	if (part == &parts[MIDDLE]) {
		/* As on Haiku, what lies behind the hole is an area of its own. */
		area_id behind = is_area(base, part->to, PAGES, 0);
		CHECK(behind != id);
		CHECK_EQ(areas_of_this_team(), 1);
		CHECK_EQ(delete_area(behind), B_OK);
	}
	CHECK_EQ(areas_of_this_team(), 0);
	for (i = 0; i < PAGES; i++)
		if (i < part->from || i >= part->to)
			CHECK_STR(check_maps(base + i * PAGE), "");
	dismiss(&stranger);
}

/* set_area_protection is. */
static void protected(const struct part *part, enum way way)
{
	struct stranger stranger;
	char *base;
	area_id left[2], id = make(&base);
	size_t i;
	int count;
	take(base, part, way, &stranger);
	CHECK_EQ(set_area_protection(id, B_READ_AREA), part == &parts[WHOLE] ? B_BAD_VALUE : B_OK);
	is_well(&stranger);
	count = what_is_left(base, part, id, left);
	for (i = 0; i < PAGES; i++) {
		if (i >= part->from && i < part->to)
			continue;
		/* The part behind a hole is another area by now, and has what it had. */
		CHECK_STR(check_maps(base + i * PAGE), part == &parts[MIDDLE] && i >= part->to ? "rw-s" : "r--s");
	}
	while (count-- > 0)
		CHECK_EQ(delete_area(left[count]), B_OK);
	dismiss(&stranger);
}

/* resize_area is: smaller by a page, then as large as it was, then larger. */
static void resized(const struct part *part, enum way way)
{
	struct stranger stranger;
	char *base, *at;
	area_info info;
	area_id left[2], id = make(&base);
	size_t pages = part->from == 0 ? PAGES - part->to : part->from, i;
	status_t grown;
	int count;
	take(base, part, way, &stranger);
	at = base + (part->from == 0 ? part->to * PAGE : 0);
	if (part == &parts[WHOLE]) {
		CHECK_EQ(resize_area(id, SIZE), B_BAD_VALUE);
		dismiss(&stranger);
		return;
	}
	CHECK_EQ(resize_area(id, (pages - 1) * PAGE), B_OK);
	is_well(&stranger);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK(info.address == at);
	CHECK_EQ(info.size, (pages - 1) * PAGE);
	CHECK(!is_there(at + (pages - 1) * PAGE));
	CHECK_EQ(resize_area(id, pages * PAGE), B_OK);
	if (part != &parts[HEAD] && !check_knows_holders()) {
		printf("SKIPPED a part of it: this kernel does not report who else has a memory object (before Linux 6.0)\n");
		CHECK_EQ(delete_area(id), B_OK);
		if (part == &parts[MIDDLE])
			CHECK_EQ(delete_area(area_for(base + part->to * PAGE)), B_OK);
		dismiss(&stranger);
		return;
	}
	/* What comes again is zeros. */
	for (i = 0; i < PAGE; i++)
		CHECK_EQ(at[(pages - 1) * PAGE + i], 0);
	at[(pages - 1) * PAGE] = (char)(part->from == 0 ? PAGES : pages);
	/* Over the stranger it does not grow; what has nothing behind it does. */
	grown = resize_area(id, (pages + 2) * PAGE);
	is_well(&stranger);
	if (part == &parts[HEAD]) {
		CHECK_EQ(grown, B_OK);
		for (i = 0; i < 2 * PAGE; i++)
			CHECK_EQ(at[pages * PAGE + i], 0);
		CHECK_EQ(resize_area(id, pages * PAGE), B_OK);
	} else {
		CHECK_EQ(grown, B_ERROR);
	}
	count = what_is_left(base, part, id, left);
	while (count-- > 0)
		CHECK_EQ(delete_area(left[count]), B_OK);
	dismiss(&stranger);
	CHECK_EQ(areas_of_this_team(), 0);
}

/* clone_area is: the clone is one of what is left. */
static void cloned(const struct part *part, enum way way)
{
	struct stranger stranger;
	char *base, *copy;
	area_info info;
	area_id left[2], clone, id = make(&base);
	size_t pages = part->from == 0 ? PAGES - part->to : part->from, first = part->from == 0 ? part->to : 0, i;
	int count;
	take(base, part, way, &stranger);
	clone = clone_area("clone", (void **)&copy, B_ANY_ADDRESS, RW, id);
	is_well(&stranger);
	if (part == &parts[WHOLE]) {
		CHECK_EQ(clone, B_BAD_VALUE);
		dismiss(&stranger);
		return;
	}
	CHECK(clone > 0);
	CHECK_EQ(get_area_info(clone, &info), B_OK);
	CHECK_EQ(info.size, pages * PAGE);
	for (i = 0; i < pages; i++)
		CHECK_EQ(copy[i * PAGE], (char)(first + i + 1));
	/* One memory. */
	copy[1] = 'c';
	CHECK_EQ(base[first * PAGE + 1], 'c');
	count = what_is_left(base, part, id, left);
	if (count == 2) {
		/* The other part, too. */
		char *second;
		area_id of_second = clone_area("clone of the second", (void **)&second, B_ANY_ADDRESS, B_READ_AREA, left[1]);
		CHECK(of_second > 0);
		CHECK_EQ(get_area_info(of_second, &info), B_OK);
		CHECK_EQ(info.size, (PAGES - part->to) * PAGE);
		CHECK_EQ(second[0], (char)(part->to + 1));
		CHECK_EQ(delete_area(of_second), B_OK);
	}
	while (count-- > 0)
		CHECK_EQ(delete_area(left[count]), B_OK);
	/* It outlives what it was cloned from. */
	CHECK_EQ(copy[1], 'c');
	CHECK_EQ(copy[(pages - 1) * PAGE], (char)(first + pages));
	CHECK_EQ(delete_area(clone), B_OK);
	dismiss(&stranger);
}

/* A child has what was left when it was forked: known before, or not. */
static void forked(const struct part *part, enum way way, int known)
{
	struct stranger stranger;
	char *base;
	area_info info;
	area_id left[2], id = make(&base);
	pid_t child;
	int count;
	take(base, part, way, &stranger);
	if (known)
		CHECK_EQ(get_area_info(id, &info), part == &parts[WHOLE] ? B_BAD_VALUE : B_OK);
	child = check_fork();
	if (child == 0) {
		/* Whatever has an address here, once it was looked at, is what is left. */
		size_t at = part->from == 0 ? part->to : 0;
		area_id mine = at < PAGES ? area_for(base + at * PAGE) : area_for(base);
		if (part == &parts[WHOLE]) {
			CHECK(known ? mine == B_ERROR : get_area_info(mine, &info) == B_BAD_VALUE);
			CHECK_EQ(areas_of_this_team(), 0);
		} else {
			CHECK(mine > 0 && mine != id);
			CHECK_EQ(get_area_info(mine, &info), B_OK);
			count = what_is_left(base, part, mine, left);
			is_well(&stranger);
			base[at * PAGE + 2] = 'f';
			while (count-- > 0)
				CHECK_EQ(delete_area(left[count]), B_OK);
			is_well(&stranger);
		}
		_exit(7);
	}
	check_child(child, 7);
	is_well(&stranger);
	if (part != &parts[WHOLE])
		CHECK_EQ(base[(part->from == 0 ? part->to : 0) * PAGE + 2], 'f');
	CHECK_EQ(get_area_info(id, &info), part == &parts[WHOLE] ? B_BAD_VALUE : B_OK);
	count = what_is_left(base, part, id, left);
	while (count-- > 0)
		CHECK_EQ(delete_area(left[count]), B_OK);
	dismiss(&stranger);
}

/* A new area that comes to lie in the hole is known by its own id at once. */
static void taken_by_an_area(void)
{
	char *base, *there;
	area_id left[2], id = make(&base), other;
	CHECK_EQ(munmap(base + 6 * PAGE, 3 * PAGE), 0);
	there = base + 6 * PAGE;
	other = create_area("in the hole", (void **)&there, B_EXACT_ADDRESS, 3 * PAGE, B_NO_LOCK, RW);
	CHECK(other > 0);
	CHECK_EQ(area_for(base + 7 * PAGE), other);
	strcpy(there, "in the hole");
	is_area(base, 0, 6, id);
	left[1] = is_area(base, 9, PAGES, 0);
	CHECK_EQ(delete_area(id), B_OK);
	CHECK_EQ(delete_area(left[1]), B_OK);
	CHECK_STR(there, "in the hole");
	CHECK_EQ(areas_of_this_team(), 1);
	CHECK_EQ(delete_area(other), B_OK);
}

/* A reserve that is no longer the area's is not grown into, and not released either. */
static void reserve_taken(void)
{
	struct stranger stranger;
	struct part behind = { "reserve", PAGES + 4, PAGES + 8 };
	char *base;
	area_id id = make(&base);
	area_info info;
	take(base, &behind, MAPPED_OVER, &stranger);
	CHECK_EQ(resize_area(id, (PAGES + 4) * PAGE), B_OK);
	CHECK_EQ(resize_area(id, (PAGES + 6) * PAGE), B_ERROR);
	is_well(&stranger);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.size, (PAGES + 4) * PAGE);
	CHECK_EQ(area_for(stranger.at), B_ERROR);
	CHECK_EQ(delete_area(id), B_OK);
	dismiss(&stranger);
}

/* Two holes at once, one of them beside the end; then one more in what was left. */
static void again_and_again(void)
{
	char *base;
	area_id id = make(&base), second, third;
	CHECK_EQ(munmap(base + 2 * PAGE, PAGE), 0);
	CHECK_EQ(munmap(base + 8 * PAGE, 2 * PAGE), 0);
	CHECK_EQ(set_area_protection(id, RW), B_OK);
	is_area(base, 0, 2, id);
	second = is_area(base, 3, 8, 0);
	third = is_area(base, 10, PAGES, 0);
	CHECK_EQ(areas_of_this_team(), 3);
	CHECK_EQ(munmap(base + 5 * PAGE, PAGE), 0);
	CHECK_EQ(munmap(base + 10 * PAGE, 2 * PAGE), 0);
	CHECK_EQ(set_area_protection(second, RW), B_OK);
	CHECK_EQ(set_area_protection(third, RW), B_OK);
	is_area(base, 3, 5, second);
	is_area(base, 6, 8, 0);
	is_area(base, 12, PAGES, third);
	CHECK_EQ(areas_of_this_team(), 4);
	CHECK_EQ(delete_area(third), B_OK);
	CHECK_EQ(delete_area(second), B_OK);
	CHECK_EQ(delete_area(area_for(base + 6 * PAGE)), B_OK);
	is_area(base, 0, 2, id);
	CHECK_EQ(delete_area(id), B_OK);
	CHECK_EQ(areas_of_this_team(), 0);
}

int main(int argc, char **argv)
{
	size_t part;
	int way;
	(void)argc;
	(void)argv;
	for (part = 0; part < PARTS; part++)
		for (way = UNMAPPED; way < WAYS; way++) {
			printf("%s by %s\n", parts[part].name, way_names[way]);
			fflush(stdout);
			reported(&parts[part], (enum way)way);
			deleted(&parts[part], (enum way)way);
			protected(&parts[part], (enum way)way);
			resized(&parts[part], (enum way)way);
			cloned(&parts[part], (enum way)way);
			forked(&parts[part], (enum way)way, 0);
			forked(&parts[part], (enum way)way, 1);
		}
	taken_by_an_area();
	reserve_taken();
	again_and_again();
	return 0;
}
