/*
 * Locked areas that change their size. Linux locks addresses, so a locked area has none in reserve:
 * alone it grows where there is room behind it, and with its clones in the same team; with one of
 * another team it grows back to what both have had, and no further, as no process can change
 * another's address space.
 *
 * Not under valgrind: version 3.19 lacks mlock2.
 */
#include <OS.h>

#include "check.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)

static const uint32 locks[] = { B_LAZY_LOCK, B_FULL_LOCK };

/* Nothing is mapped behind it. */
static area_id locked(uint32 lock, size_t size, char **address)
{
	area_id id;
	*address = (char *)(uintptr_t)0x300000000000;
	id = create_area("locked", (void **)address, B_EXACT_ADDRESS, size, lock, RW);
	if (id == B_NO_MEMORY)
		SKIP("nothing may be locked here");
	CHECK(id > 0);
	return id;
}

static size_t size_of(area_id id)
{
	area_info info;
	CHECK_EQ(get_area_info(id, &info), B_OK);
	return info.size;
}

static void alone(uint32 lock)
{
	char *address;
	area_id id = locked(lock, PAGE, &address);
	size_t at;
	CHECK_STR(check_maps(address + PAGE), "");
	CHECK_EQ(resize_area(id, 8 * PAGE), B_OK);
	/* The tail is locked as the rest is: full at once, lazily page by page. */
	for (at = 0; at < 8; at++) {
		if (lock == B_LAZY_LOCK)
			address[at * PAGE] = 1;
		CHECK(check_smaps(address + at * PAGE, "Locked") > 0);
	}
	/* Something is behind it. */
	CHECK(mmap(address + 8 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0)
		== address + 8 * PAGE);
	CHECK_EQ(resize_area(id, 9 * PAGE), B_ERROR);
	CHECK_EQ(size_of(id), 8 * PAGE);
	CHECK_EQ(munmap(address + 8 * PAGE, PAGE), 0);
	CHECK_EQ(resize_area(id, 9 * PAGE), B_OK);
	CHECK_EQ(delete_area(id), B_OK);
}

static void with_a_clone(uint32 lock)
{
	char *address, *other = NULL, *behind;
	area_id clone, id = locked(lock, 4 * PAGE, &address);
	size_t at;
	clone = clone_area("clone", (void **)&other, B_ANY_ADDRESS, RW, id);
	CHECK(clone > 0);
	/* Either one grows, and the other one with it, locked as it is. */
	CHECK_EQ(resize_area(id, 5 * PAGE), B_OK);
	CHECK_EQ(size_of(clone), 5 * PAGE);
	CHECK_EQ(resize_area(clone, 16 * PAGE), B_OK);
	CHECK_EQ(size_of(id), 16 * PAGE);
	for (at = 0; at < 16; at++)
		address[at * PAGE] = other[at * PAGE + 1] = (char)at;
	CHECK_EQ(other[15 * PAGE], 15);
	CHECK_EQ(address[15 * PAGE + 1], 15);
	CHECK_EQ(check_smaps(address + 15 * PAGE, "Locked"), check_smaps(other + 15 * PAGE, "Locked"));
	CHECK_EQ(check_smaps(address + 15 * PAGE, "Locked") > 0, lock != B_NO_LOCK);
	/* Smaller, and back. */
	CHECK_EQ(resize_area(id, PAGE), B_OK);
	CHECK_EQ(size_of(clone), PAGE);
	CHECK_EQ(resize_area(clone, 4 * PAGE), B_OK);
	address[4 * PAGE - 1] = 'x';
	CHECK_EQ(other[4 * PAGE - 1], 'x');
	/* Where something is behind the other one both stay as they are. */
	behind = mmap(other + 16 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(behind == other + 16 * PAGE);
	CHECK_EQ(resize_area(id, 17 * PAGE), B_ERROR);
	CHECK_EQ(size_of(id), 4 * PAGE);
	CHECK_STR(check_maps(address + 16 * PAGE), "");
	CHECK_STR(check_maps(behind), "r--p");
	CHECK_EQ(munmap(behind, PAGE), 0);
	/* Once the clone is gone, there is room. */
	CHECK_EQ(delete_area(clone), B_OK);
	CHECK_EQ(resize_area(id, 17 * PAGE), B_OK);
	CHECK_EQ(delete_area(id), B_OK);
}

/* The same with a clone in another team: a tail that is grown there is locked here as it is
 * touched. */
static void with_a_clone_of_another_team(uint32 lock)
{
	int to[2], from[2];
	char *address;
	size_t at;
	area_id id;
	pid_t child;
	CHECK(pipe(to) == 0 && pipe(from) == 0);
	id = locked(lock, 4 * PAGE, &address);
	child = check_fork();
	if (child == 0) {
		void *there = NULL;
		area_id clone;
		/* Locks are not inherited by fork: what is cloned is. */
		CHECK_EQ(delete_area(area_for(address)), B_OK);
		clone = clone_area("clone", &there, B_ANY_ADDRESS, RW, find_area("locked"));
		CHECK(clone > 0);
		CHECK_EQ(resize_area(clone, 5 * PAGE), B_ERROR);
		CHECK_EQ(resize_area(clone, PAGE), B_OK);
		CHECK_EQ(resize_area(clone, 4 * PAGE), B_OK);
		if (lock == B_FULL_LOCK)
			CHECK_EQ(check_smaps(there, "Rss"), (long)(4 * PAGE) / 1024);
		check_send(from[1], 'g');
		check_hear(to[0]);
		_exit(0);
	}
	CHECK_EQ(check_hear(from[0]), 'g');
	CHECK_EQ(size_of(id), 4 * PAGE);
	CHECK_EQ(resize_area(id, 5 * PAGE), B_ERROR);
	CHECK_EQ(size_of(id), 4 * PAGE);
	for (at = 0; at < 4; at++)
		address[at * PAGE] = 1;
	CHECK_EQ(check_smaps(address, "Rss"), (long)(4 * PAGE) / 1024);
	CHECK(check_smaps(address, "Locked") > 0);
	check_send(to[1], 'e');
	check_child(child, 0);
	CHECK_EQ(resize_area(id, 5 * PAGE), B_OK);
	CHECK_EQ(delete_area(id), B_OK);
}

int main(void)
{
	size_t i;
	for (i = 0; i < sizeof locks / sizeof *locks; i++) {
		alone(locks[i]);
		with_a_clone(locks[i]);
		with_a_clone_of_another_team(locks[i]);
	}
	return 0;
}
