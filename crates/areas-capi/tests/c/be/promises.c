/*
 * The promises of the overview, each measured: contiguous ranges, ids and names, clones, locks, and
 * what is left when teams die.
 *
 * Not under valgrind: version 3.19 lacks mlock2, and turns the SIGBUS beyond an end into a SIGSEGV.
 */
#include <OS.h>

#include "check.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)

/* 1: start, whole pages, at least one; zero-filled. */
static void ranges(void)
{
	char *address;
	area_info info;
	area_id id = create_area("range", (void **)&address, B_ANY_ADDRESS, 2 * PAGE + 1, B_NO_LOCK, RW);
	size_t i;
	CHECK(id > 0);
	CHECK_EQ((uintptr_t)address % PAGE, 0);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.size, 3 * PAGE);
	CHECK(info.address == address);
	CHECK_EQ(info.team, getpid());
	CHECK_EQ(info.lock, B_NO_LOCK);
	CHECK_EQ(info.protection, RW);
	CHECK_EQ(info.ram_size, 0);
	CHECK_EQ(info.copy_count, 0);
	for (i = 0; i < 3 * PAGE; i++)
		CHECK_EQ(address[i], 0);
	memset(address, 'x', 3 * PAGE);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.ram_size, 3 * PAGE);
	CHECK_EQ(area_for(address), id);
	CHECK_EQ(area_for(address + 3 * PAGE - 1), id);
	/* Not the reserve behind. */
	CHECK_EQ(area_for(address + 3 * PAGE), B_ERROR);
	/* Also where nothing may be touched. */
	CHECK_EQ(set_area_protection(id, 0), B_OK);
	CHECK_EQ(check_touch(address, 0), SIGSEGV);
	CHECK_EQ(area_for(address + PAGE), id);
	CHECK_EQ(delete_area(id), B_OK);
	CHECK_STR(check_maps(address), "");
	CHECK_EQ(area_for(address), B_ERROR);
}

/* 2: names are cut, need not be unique, may be empty. */
static void names(void)
{
	void *one, *two;
	area_info info;
	area_id first = create_area("0123456789012345678901234567890123456789", &one, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	area_id second = create_area("0123456789012345678901234567890", &two, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	area_id empty;
	CHECK(first > 0 && second > 0 && first != second);
	CHECK_EQ(get_area_info(first, &info), B_OK);
	CHECK_STR(info.name, "0123456789012345678901234567890");
	/* The oldest. */
	CHECK_EQ(find_area("0123456789012345678901234567890"), first);
	CHECK_EQ(find_area("0123456789012345678901234567890 and more"), first);
	CHECK_EQ(delete_area(first), B_OK);
	CHECK_EQ(find_area("0123456789012345678901234567890"), second);
	CHECK_EQ(delete_area(second), B_OK);
	empty = create_area("", &one, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW | B_CLONEABLE_AREA);
	CHECK(empty > 0);
	CHECK_EQ(find_area(""), empty);
	CHECK_EQ(get_area_info(empty, &info), B_OK);
	CHECK_STR(info.name, "");
	CHECK_EQ(info.protection, RW | B_CLONEABLE_AREA);
	CHECK_EQ(set_area_protection(empty, B_READ_AREA | B_STACK_AREA), B_OK);
	CHECK_EQ(get_area_info(empty, &info), B_OK);
	CHECK_EQ(info.protection, B_READ_AREA | B_STACK_AREA);
	CHECK_STR(check_maps(one), "r--s");
	CHECK_EQ(delete_area(empty), B_OK);
}

/* 3, 4, 7: clones share; a clone of a clone; the original goes; own names, protections,
 * addresses. */
static void clones(void)
{
	char *one, *two, *three;
	area_info info;
	area_id first = create_area("original", (void **)&one, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	area_id second = clone_area("clone", (void **)&two, B_ANY_ADDRESS, RW, first);
	area_id third = clone_area("clone of it", (void **)&three, B_ANY_ADDRESS, B_READ_AREA, second);
	CHECK(first > 0 && second > 0 && third > 0);
	CHECK(one != two && two != three);
	strcpy(one, "through one");
	CHECK_STR(two, "through one");
	CHECK_STR(three, "through one");
	CHECK_EQ(check_touch(three, 1), SIGSEGV);
	/* Within a team more may be granted later. */
	CHECK_EQ(set_area_protection(third, RW), B_OK);
	strcpy(three, "through three");
	CHECK_STR(one, "through three");
	CHECK_EQ(set_area_protection(first, B_READ_AREA), B_OK);
	CHECK_STR(check_maps(one), "r--s");
	CHECK_STR(check_maps(two), "rw-s");
	CHECK_EQ(delete_area(first), B_OK);
	CHECK_STR(two, "through three");
	CHECK_EQ(get_area_info(third, &info), B_OK);
	CHECK_STR(info.name, "clone of it");
	CHECK_EQ(delete_area(second), B_OK);
	CHECK_STR(three, "through three");
	CHECK_EQ(delete_area(third), B_OK);
}

/* Resized in place, for all clones; the tail is freed and comes back as zeros. */
static void sizes(void)
{
	char *one, *two;
	area_info info;
	area_id first = create_area("size", (void **)&one, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	area_id second = clone_area("size too", (void **)&two, B_ANY_ADDRESS, RW, first);
	CHECK(first > 0 && second > 0);
	CHECK_EQ(resize_area(first, 64 * PAGE), B_OK);
	memset(two, 'x', 64 * PAGE);
	CHECK_EQ(one[64 * PAGE - 1], 'x');
	CHECK_EQ(get_area_info(second, &info), B_OK);
	CHECK_EQ(info.size, 64 * PAGE);
	CHECK_EQ(info.ram_size, 64 * PAGE);
	CHECK_EQ(resize_area(second, PAGE), B_OK);
	CHECK_EQ(get_area_info(first, &info), B_OK);
	CHECK_EQ(info.size, PAGE);
	CHECK_EQ(info.ram_size, PAGE);
	CHECK_EQ(check_touch(one + PAGE, 0), SIGBUS);
	CHECK_EQ(resize_area(first, 2 * PAGE), B_OK);
	CHECK_EQ(one[PAGE], 0);
	CHECK_EQ(one[0], 'x');
	CHECK_EQ(delete_area(first), B_OK);
	CHECK_EQ(delete_area(second), B_OK);
}

/* 5: locks are inherited, and real: the kernel counts the locked bytes. */
static void locks(void)
{
	char *lazy, *full, *clone;
	area_info info;
	area_id third, second, first = create_area("lazy", (void **)&lazy, B_ANY_ADDRESS, 8 * PAGE, B_LAZY_LOCK, RW);
	CHECK(first > 0);
	CHECK_EQ(check_smaps(lazy, "Locked"), 0);
	lazy[0] = 1;
	CHECK_EQ(check_smaps(lazy, "Locked"), (long)PAGE / 1024);
	second = create_area("full", (void **)&full, B_ANY_ADDRESS, 8 * PAGE, B_FULL_LOCK, RW);
	CHECK(second > 0);
	CHECK_EQ(check_smaps(full, "Locked"), (long)(8 * PAGE) / 1024);
	CHECK_EQ(get_area_info(second, &info), B_OK);
	CHECK_EQ(info.lock, B_FULL_LOCK);
	CHECK_EQ(info.ram_size, 8 * PAGE);
	third = clone_area("full too", (void **)&clone, B_ANY_ADDRESS, RW, second);
	CHECK(third > 0);
	CHECK_EQ(get_area_info(third, &info), B_OK);
	CHECK_EQ(info.lock, B_FULL_LOCK);
	/* Proportional: two mappings of the same locked pages. */
	CHECK(check_smaps(clone, "Locked") > 0);
	CHECK_EQ(check_smaps(clone, "Rss"), (long)(8 * PAGE) / 1024);
	CHECK_EQ(delete_area(first), B_OK);
	CHECK_EQ(delete_area(second), B_OK);
	CHECK_EQ(delete_area(third), B_OK);
}

/* 6, 7: a team's ids die with it; its memory only with the last clone. */
static void deaths(void)
{
	int ready[2];
	char *address;
	area_info info;
	area_id theirs, ours;
	void *there = NULL;
	pid_t child;
	CHECK_EQ(pipe(ready), 0);
	child = check_fork();
	if (child == 0) {
		CHECK(create_area("victim", &there, B_ANY_ADDRESS, 4 * PAGE, B_NO_LOCK, RW) > 0);
		strcpy(there, "last words");
		check_send(ready[1], 'r');
		for (;;)
			pause();
	}
	check_hear(ready[0]);
	theirs = find_area("victim");
	CHECK(theirs > 0);
	ours = clone_area("heir", (void **)&address, B_ANY_ADDRESS, RW, theirs);
	CHECK(ours > 0);
	CHECK_EQ(kill(child, SIGKILL), 0);
	check_killed(child, SIGKILL);
	CHECK_EQ(get_area_info(theirs, &info), B_BAD_VALUE);
	CHECK_EQ(find_area("victim"), B_NAME_NOT_FOUND);
	CHECK_STR(address, "last words");
	CHECK_EQ(find_area("heir"), ours);
	CHECK_EQ(delete_area(ours), B_OK);
	close(ready[0]);
	close(ready[1]);
}

int main(void)
{
	ranges();
	names();
	clones();
	sizes();
	locks();
	deaths();
	return 0;
}
