/*
 * Areas that are stacks (B_STACK_AREA): the lowest page cannot be touched, whatever the others
 * allow, so that a stack that grows too far ends in a fault, and not in what lies below.
 *
 * Not under valgrind: it has stacks of its own.
 */
#include <OS.h>
#include <syscalls.h>

#include "check.h"

#include <pthread.h>

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define STACK (RW | B_STACK_AREA)
#define PAGES 64

static area_id stack(char **address, uint32 lock, size_t pages)
{
	area_id id;
	*address = NULL;
	id = create_area("stack", (void **)address, B_ANY_ADDRESS, pages * PAGE, lock, STACK);
	if (id == B_NO_MEMORY && lock != B_NO_LOCK)
		SKIP("nothing may be locked here");
	CHECK(id > 0);
	return id;
}

/* The lowest page is a guard, and the only one: as the kernel has them, and as an access finds
 * them. */
static void is_guarded(char *address, size_t pages, const char *others)
{
	CHECK_STR(check_maps(address), "---s");
	CHECK_STR(check_maps(address + PAGE - 1), "---s");
	CHECK_STR(check_maps(address + PAGE), others);
	CHECK_STR(check_maps(address + pages * PAGE - 1), others);
	CHECK_EQ(check_touch(address, 0), SIGSEGV);
	CHECK_EQ(check_touch(address + PAGE - 1, 1), SIGSEGV);
	if (others[0] == 'r') {
		CHECK_EQ(check_touch(address + PAGE, 0), 0);
		CHECK_EQ(check_touch(address + pages * PAGE - 1, 0), 0);
	}
}

/* What is done with an area leaves its guard where it is. */
static void guards_stay(void)
{
	char *address;
	area_info info;
	area_id moved, id = stack(&address, B_NO_LOCK, 4);
	void *there = NULL;
	is_guarded(address, 4, "rw-s");
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.protection, STACK);
	CHECK_EQ(info.size, 4 * PAGE);
	CHECK(info.address == address);
	CHECK_EQ(area_for(address), id);
	CHECK_EQ(set_area_protection(id, B_READ_AREA), B_OK);
	is_guarded(address, 4, "r--s");
	CHECK_EQ(set_area_protection(id, 0), B_OK);
	is_guarded(address, 4, "---s");
	CHECK_EQ(set_area_protection(id, STACK), B_OK);
	is_guarded(address, 4, "rw-s");
	CHECK_EQ(resize_area(id, 128 * PAGE), B_OK);
	is_guarded(address, 128, "rw-s");
	CHECK_EQ(resize_area(id, 2 * PAGE), B_OK);
	is_guarded(address, 2, "rw-s");
	moved = _kern_transfer_area(id, &there, B_ANY_ADDRESS, getpid());
	CHECK(moved > 0 && there != address);
	is_guarded(there, 2, "rw-s");
	CHECK_EQ(delete_area(moved), B_OK);
	CHECK_STR(check_maps(there), "");
}

/* A clone is a stack if it is asked for as one. */
static void clones(void)
{
	char *address;
	void *plain = NULL, *too = NULL;
	area_id clone, other, id = stack(&address, B_NO_LOCK, 4);
	clone = clone_area("plain", &plain, B_ANY_ADDRESS, RW, id);
	other = clone_area("a stack, too", &too, B_ANY_ADDRESS, STACK, id);
	CHECK(clone > 0 && other > 0);
	CHECK_STR(check_maps(plain), "rw-s");
	*(char *)plain = 'x';
	is_guarded(too, 4, "rw-s");
	CHECK_EQ(delete_area(id), B_OK);
	CHECK_EQ(delete_area(clone), B_OK);
	CHECK_EQ(delete_area(other), B_OK);
}

/* There would be nothing left of one page. */
static void one_page(void)
{
	char *address;
	area_id id = stack(&address, B_NO_LOCK, 1);
	CHECK_STR(check_maps(address), "rw-s");
	address[0] = address[PAGE - 1] = 'x';
	CHECK_EQ(delete_area(id), B_OK);
}

/* Locked ones: the rest is locked, also after it has grown. */
static void locked(uint32 lock)
{
	char *address = (char *)(uintptr_t)0x310000000000;
	size_t at;
	area_id id = create_area("locked", (void **)&address, B_EXACT_ADDRESS, 4 * PAGE, lock, STACK);
	if (id == B_NO_MEMORY)
		SKIP("nothing may be locked here");
	CHECK(id > 0);
	is_guarded(address, 4, "rw-s");
	CHECK_EQ(resize_area(id, 8 * PAGE), B_OK);
	is_guarded(address, 8, "rw-s");
	for (at = 1; at < 8; at++) {
		if (lock == B_LAZY_LOCK)
			address[at * PAGE] = 1;
		CHECK(check_smaps(address + at * PAGE, "Locked") > 0);
	}
	CHECK_EQ(delete_area(id), B_OK);
}

/* Given to another team, and inherited: it is a stack there as well. */
static void in_other_teams(void)
{
	int to[2], from[2];
	char *address;
	void *there = NULL;
	area_id id;
	pid_t child;
	CHECK(pipe(to) == 0 && pipe(from) == 0);
	child = check_fork();
	if (child == 0) {
		area_info info;
		/* A team with an area can be given another one. */
		CHECK(create_area("own", &there, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW) > 0);
		check_send(from[1], 'r');
		check_hear(to[0]);
		CHECK_EQ(get_area_info(find_area("stack"), &info), B_OK);
		CHECK_EQ(info.team, getpid());
		CHECK_EQ(info.protection, STACK);
		/* The next call about it takes it in. */
		CHECK_EQ(set_area_protection(info.area, STACK), B_OK);
		is_guarded(info.address, 4, "rw-s");
		_exit(0);
	}
	check_hear(from[0]);
	id = stack(&address, B_NO_LOCK, 4);
	CHECK(_kern_transfer_area(id, &there, B_ANY_ADDRESS, child) >= B_OK);
	check_send(to[1], 'g');
	check_child(child, 0);

	id = stack(&address, B_NO_LOCK, 4);
	child = check_fork();
	if (child == 0) {
		is_guarded(address, 4, "rw-s");
		CHECK_EQ(set_area_protection(area_for(address), RW), B_OK);
		is_guarded(address, 4, "rw-s");
		_exit(0);
	}
	check_child(child, 0);
	CHECK_EQ(delete_area(id), B_OK);
}

static volatile int goes_on = 1;

/* Deeper and deeper. */
static int __attribute__((noinline)) deep(volatile char *above)
{
	volatile char here[256];
	here[0] = above[0];
	return goes_on ? deep(here) + here[0] : 0;
}

static void *runs(void *nothing)
{
	char first = 1;
	signal(SIGSEGV, SIG_DFL);
	(void)nothing;
	return (void *)(intptr_t)deep(&first);
}

/* A thread that runs on one. */
static void overflows(void)
{
	char *address, *below;
	size_t at;
	area_id low, id = stack(&address, B_NO_LOCK, PAGES);
	pid_t child;
	below = address - 16 * PAGE;
	low = create_area("below", (void **)&below, B_EXACT_ADDRESS, 16 * PAGE, B_NO_LOCK, RW);
	if (low < 0) {
		/* Something else is there: it is as good. */
		below = NULL;
	} else {
		memset(below, 'b', 16 * PAGE);
	}
	child = check_fork();
	if (child == 0) {
		pthread_attr_t attributes;
		pthread_t thread;
		CHECK_EQ(pthread_attr_init(&attributes), 0);
		CHECK_EQ(pthread_attr_setstack(&attributes, address, PAGES * PAGE), 0);
		CHECK_EQ(pthread_create(&thread, &attributes, runs, NULL), 0);
		pthread_join(thread, NULL);
		_exit(0);
	}
	check_killed(child, SIGSEGV);
	/* All of it was used but the guard, and nothing below. */
	for (at = PAGE; address[at] == 0; at++)
		CHECK(at < 2 * PAGE);
	for (at = 0; below != NULL && at < 16 * PAGE; at++)
		CHECK_EQ(below[at], 'b');
	CHECK_EQ(delete_area(id), B_OK);
	if (low > 0)
		CHECK_EQ(delete_area(low), B_OK);
}

int main(void)
{
	guards_stay();
	clones();
	one_page();
	locked(B_LAZY_LOCK);
	locked(B_FULL_LOCK);
	in_other_teams();
	overflows();
	return 0;
}
