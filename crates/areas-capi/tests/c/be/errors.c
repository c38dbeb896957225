/*
 * Every documented error of every call, and that NULL and nonsense crash nothing.
 */
#include <OS.h>
#include <syscalls.h>

#include "check.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define NOBODY ((area_id)0x7fffffff)

static void numbers(void)
{
	CHECK_EQ((uint32)B_NO_MEMORY, 0x80000000u);
	CHECK_EQ((uint32)B_BAD_VALUE, 0x80000005u);
	CHECK_EQ((uint32)B_NAME_NOT_FOUND, 0x80000007u);
	CHECK_EQ((uint32)B_NOT_ALLOWED, 0x8000000fu);
	CHECK_EQ((uint32)B_BAD_TEAM_ID, 0x80001103u);
	CHECK_EQ((uint32)B_BAD_ADDRESS, 0x80001301u);
	CHECK_EQ((uint32)B_ENTRY_NOT_FOUND, 0x80006003u);
	CHECK_EQ(B_ERROR, -1);
	CHECK_EQ(B_OK, 0);
}

static void create(void)
{
	static char mark;
	void *const before = &mark;
	void *address = before;
	static const uint32 bad_specs[] = { B_CLONE_ADDRESS, B_ANY_KERNEL_ADDRESS, 5, 8, 9, 0xffffffffu };
	static const uint32 bad_locks[] = { 7, 8, 0xffffffffu };
	static const uint32 bad_protections[] = { 0x10, 0x20, 0x200, 0x80000000u };
	size_t i;

	CHECK_EQ(create_area(NULL, &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, B_READ_AREA), B_BAD_ADDRESS);
	CHECK_EQ(create_area("a", NULL, B_ANY_ADDRESS, PAGE, B_NO_LOCK, B_READ_AREA), B_BAD_ADDRESS);
	CHECK_EQ(create_area("a", &address, B_ANY_ADDRESS, 0, B_NO_LOCK, B_READ_AREA), B_BAD_VALUE);
	CHECK_EQ(create_area("a", &address, B_ANY_ADDRESS, SIZE_MAX, B_NO_LOCK, B_READ_AREA), B_BAD_VALUE);
	CHECK_EQ(create_area("a", &address, B_ANY_ADDRESS, SIZE_MAX - PAGE + 1, B_NO_LOCK, B_READ_AREA), B_NO_MEMORY);
	CHECK_EQ(create_area("a", &address, B_ANY_ADDRESS, (size_t)1 << 46, B_NO_LOCK, B_READ_AREA), B_NO_MEMORY);
	for (i = 0; i < sizeof bad_specs / sizeof *bad_specs; i++)
		CHECK_EQ(create_area("a", &address, bad_specs[i], PAGE, B_NO_LOCK, B_READ_AREA), B_BAD_VALUE);
	for (i = 0; i < sizeof bad_locks / sizeof *bad_locks; i++)
		CHECK_EQ(create_area("a", &address, B_ANY_ADDRESS, PAGE, bad_locks[i], B_READ_AREA), B_BAD_VALUE);
	for (i = 0; i < sizeof bad_protections / sizeof *bad_protections; i++)
		CHECK_EQ(create_area("a", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, bad_protections[i]), B_BAD_VALUE);
	/* The address is written on success only. */
	CHECK(address == before);

	/* Exact: occupied, unaligned, outside. */
	address = (void *)((uintptr_t)&address & ~(PAGE - 1));
	CHECK_EQ(create_area("a", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, B_READ_AREA), B_BAD_VALUE);
	address = (void *)(uintptr_t)0x10000001;
	CHECK_EQ(create_area("a", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, B_READ_AREA), B_BAD_VALUE);
	address = (void *)(uintptr_t)0x800000000000;
	CHECK_EQ(create_area("a", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, B_READ_AREA), B_BAD_ADDRESS);
	address = (void *)UINTPTR_MAX;
	CHECK_EQ(create_area("a", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, B_READ_AREA), B_BAD_ADDRESS);
	address = NULL;
	CHECK_EQ(create_area("a", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, B_READ_AREA), B_BAD_ADDRESS);
	CHECK(address == NULL);
	CHECK_EQ(find_area("a"), B_NAME_NOT_FOUND);
}

static void everything_else(void)
{
	void *address, *clone_address;
	area_info info;
	team_info team;
	thread_info thread;
	ssize_t cookie = 0;
	int32 team_cookie = INT32_MAX;
	addr_t range = 0;
	status_t value;
	static const area_id nobody[] = { NOBODY, 0, -1, INT32_MIN, 1 << 19 };
	size_t i;
	area_id id = create_area("errors", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, B_READ_AREA | B_WRITE_AREA);
	CHECK(id > 0);

	for (i = 0; i < sizeof nobody / sizeof *nobody; i++) {
		CHECK_EQ(clone_area("c", &clone_address, B_ANY_ADDRESS, B_READ_AREA, nobody[i]), B_BAD_VALUE);
		CHECK_EQ(delete_area(nobody[i]), B_BAD_VALUE);
		CHECK_EQ(resize_area(nobody[i], PAGE), B_BAD_VALUE);
		CHECK_EQ(set_area_protection(nobody[i], B_READ_AREA), B_BAD_VALUE);
		CHECK_EQ(get_area_info(nobody[i], &info), B_BAD_VALUE);
		CHECK_EQ(_kern_transfer_area(nobody[i], &clone_address, B_ANY_ADDRESS, getpid()), B_BAD_VALUE);
	}
	CHECK_EQ(clone_area(NULL, &clone_address, B_ANY_ADDRESS, B_READ_AREA, id), B_BAD_ADDRESS);
	CHECK_EQ(clone_area("c", NULL, B_ANY_ADDRESS, B_READ_AREA, id), B_BAD_ADDRESS);
	CHECK_EQ(clone_area("c", &clone_address, 5, B_READ_AREA, id), B_BAD_VALUE);
	CHECK_EQ(clone_area("c", &clone_address, B_ANY_ADDRESS, 0x40, id), B_BAD_VALUE);
	/* The source's address is taken: by the source. */
	CHECK_EQ(clone_area("c", &clone_address, B_CLONE_ADDRESS, B_READ_AREA, id), B_BAD_VALUE);
	CHECK_EQ(find_area("c"), B_NAME_NOT_FOUND);

	CHECK_EQ(find_area(NULL), B_BAD_ADDRESS);
	CHECK_EQ(find_area(""), B_NAME_NOT_FOUND);
	CHECK_EQ(find_area("nobody has this"), B_NAME_NOT_FOUND);
	CHECK_EQ(area_for(NULL), B_ERROR);
	CHECK_EQ(area_for(&address), B_ERROR);
	CHECK_EQ(area_for((void *)UINTPTR_MAX), B_ERROR);
	CHECK_EQ(area_for((char *)address + PAGE), B_ERROR);

	CHECK_EQ(get_area_info(id, (area_info *)NULL), B_BAD_ADDRESS);
	CHECK_EQ(_get_area_info(id, &info, sizeof info - 1), B_BAD_VALUE);
	CHECK_EQ(_get_area_info(id, &info, SIZE_MAX), B_BAD_VALUE);
	CHECK_EQ(get_next_area_info(0, NULL, &info), B_BAD_ADDRESS);
	CHECK_EQ(get_next_area_info(0, &cookie, (area_info *)NULL), B_BAD_ADDRESS);
	CHECK_EQ(_get_next_area_info(0, &cookie, &info, 1), B_BAD_VALUE);
	CHECK_EQ(get_next_area_info(-1, &cookie, &info), B_BAD_TEAM_ID);
	CHECK_EQ(get_next_area_info(INT32_MAX, &cookie, &info), B_BAD_TEAM_ID);
	CHECK_EQ(cookie, 0);
	/* A live team without areas is at its end at once. */
	CHECK_EQ(get_next_area_info(1, &cookie, &info), B_BAD_VALUE);
	cookie = -1;
	CHECK_EQ(get_next_area_info(0, &cookie, &info), B_BAD_VALUE);

	CHECK_EQ(resize_area(id, 0), B_BAD_VALUE);
	CHECK_EQ(resize_area(id, PAGE + 1), B_BAD_VALUE);
	CHECK_EQ(resize_area(id, (size_t)1 << 46), B_NO_MEMORY);
	CHECK_EQ(resize_area(id, ~(PAGE - 1)), B_NO_MEMORY);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.size, PAGE);
	CHECK_EQ(set_area_protection(id, 0x1000), B_BAD_VALUE);

	CHECK_EQ(_kern_transfer_area(id, NULL, B_ANY_ADDRESS, getpid()), B_BAD_ADDRESS);
	CHECK_EQ(_kern_transfer_area(id, &clone_address, 5, getpid()), B_BAD_VALUE);
	CHECK_EQ(_kern_transfer_area(id, &clone_address, B_ANY_ADDRESS, INT32_MAX), B_BAD_TEAM_ID);
	CHECK_EQ(_kern_transfer_area(id, &clone_address, B_ANY_ADDRESS, -1), B_BAD_TEAM_ID);
	CHECK_EQ(get_area_info(id, &info), B_OK);

	CHECK_EQ(_kern_reserve_address_range(NULL, B_ANY_ADDRESS, PAGE), B_BAD_ADDRESS);
	CHECK_EQ(_kern_reserve_address_range(&range, B_ANY_ADDRESS, 0), B_BAD_VALUE);
	CHECK_EQ(_kern_reserve_address_range(&range, 5, PAGE), B_BAD_VALUE);
	range = (addr_t)address;
	CHECK_EQ(_kern_reserve_address_range(&range, B_EXACT_ADDRESS, PAGE), B_BAD_VALUE);
	CHECK_EQ(_kern_unreserve_address_range(range, PAGE), B_BAD_VALUE);

	CHECK_EQ(get_team_info(-1, &team), B_BAD_TEAM_ID);
	CHECK_EQ(get_team_info(INT32_MAX, &team), B_BAD_TEAM_ID);
	CHECK_EQ(_get_team_info(0, NULL, sizeof team), B_BAD_ADDRESS);
	CHECK_EQ(_get_team_info(0, &team, sizeof team + 1), B_BAD_VALUE);
	CHECK_EQ(get_next_team_info(&team_cookie, &team), B_BAD_TEAM_ID);
	CHECK_EQ(get_next_team_info(NULL, &team), B_BAD_ADDRESS);
	CHECK_EQ(get_thread_info(-1, &thread), B_BAD_THREAD_ID);
	CHECK_EQ(get_thread_info(INT32_MAX, &thread), B_BAD_THREAD_ID);
	CHECK_EQ(get_thread_info(1, (thread_info *)NULL), B_BAD_ADDRESS);
	CHECK_EQ(wait_for_thread(INT32_MAX, &value), B_BAD_THREAD_ID);
	CHECK_EQ(wait_for_thread(-1, &value), B_BAD_THREAD_ID);
	CHECK_EQ(wait_for_thread(find_thread(NULL), NULL), B_BAD_THREAD_ID);
	CHECK_EQ(find_thread("no thread is called so"), B_NAME_NOT_FOUND);
	CHECK_EQ(get_system_info(NULL), B_BAD_ADDRESS);
	CHECK_EQ(snooze(-1), B_OK);

	CHECK_EQ(delete_area(id), B_OK);
	CHECK_EQ(delete_area(id), B_BAD_VALUE);
	CHECK_EQ(get_area_info(id, &info), B_BAD_VALUE);
}

/* What belongs to another team may be looked at and cloned, and nothing else. */
static void foreign(void)
{
	int to[2], from[2];
	area_id id;
	pid_t child;
	void *address;
	area_info info;
	CHECK(pipe(to) == 0 && pipe(from) == 0);
	child = check_fork();
	if (child == 0) {
		id = create_area("foreign", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, B_READ_AREA);
		CHECK(id > 0);
		check_tell(from[1], 'r');
		check_hear(to[0]);
		_exit(0);
	}
	check_hear(from[0]);
	id = find_area("foreign");
	CHECK(id > 0);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.team, child);
	CHECK_EQ(delete_area(id), B_NOT_ALLOWED);
	CHECK_EQ(resize_area(id, 2 * PAGE), B_NOT_ALLOWED);
	CHECK_EQ(set_area_protection(id, B_READ_AREA), B_NOT_ALLOWED);
	CHECK_EQ(_kern_transfer_area(id, &address, B_ANY_ADDRESS, getpid()), B_NOT_ALLOWED);
	/* Its owner may not write it. */
	CHECK_EQ(clone_area("c", &address, B_ANY_ADDRESS, B_READ_AREA | B_WRITE_AREA, id), B_NOT_ALLOWED);
	id = clone_area("c", &address, B_ANY_ADDRESS, B_READ_AREA, id);
	CHECK(id > 0);
	/* Never above what it was granted. */
	CHECK_EQ(set_area_protection(id, B_READ_AREA | B_WRITE_AREA), B_NOT_ALLOWED);
	CHECK_STR(check_maps(address), "r--s");
	CHECK_EQ(check_touch(address, 1), SIGSEGV);
	CHECK_EQ(delete_area(id), B_OK);
	check_tell(to[1], 'e');
	check_child(child, 0);
}

int main(void)
{
	numbers();
	create();
	everything_else();
	foreign();
	return 0;
}
