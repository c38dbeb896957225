/*
 * Every documented error of every call about areas, and that NULL and nonsense crash nothing:
 * docs/be-errors.md says which test is whose. What limits forbid is in limits.c, teams that may not
 * be read in unreadable.c, teams and threads in companions.c.
 */
#include <OS.h>
#include <syscalls.h>

#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define ABSENT ((area_id)0x7fffffff)
/* Behind all addresses, and not the cookie of a walk that has ended. */
#define PAGE_OF_COOKIES ((ssize_t)PAGE)
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Ids that no process has, and numbers that are no ids. */
static const area_id absent[] = { ABSENT, 0, -1, INT32_MIN, 1 << 19 };
/* 3 is B_CLONE_ADDRESS, 4 B_ANY_KERNEL_ADDRESS, 5 the kernel's, too. */
static const uint32 unknown_specs[] = { B_ANY_KERNEL_ADDRESS, 5, 8, 9, 0xffffffffu };
static const uint32 kernel_specs[] = { B_ANY_KERNEL_ADDRESS, 5 };
static const uint32 unknown_protections[] = { 0x10, 0x20, 0x40, 0x80, 0x200, 0x2000, 0x4000, 0x80000000u };
/* Where no process has addresses, below the middle; and from the middle on, where the kernel has
 * them. */
static const uintptr_t outside[] = { 0, 0x1, 0x800000000000, 0x7ffffffff000 };
static const uintptr_t the_kernels[] = { (uintptr_t)1 << 63, 0xffff800000000000, 0xffffff0000000000, UINTPTR_MAX - 0xfff,
	UINTPTR_MAX };

static area_id made(const char *name, void **address)
{
	area_id id = create_area(name, address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(id > 0);
	return id;
}

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

static void create_arguments(void)
{
	static char mark;
	void *const before = &mark;
	void *address = before;
	static const uint32 bad_locks[] = { 7, 8, 0xffffffffu };
	size_t i;

	CHECK_EQ(create_area(NULL, &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW), B_BAD_ADDRESS);
	CHECK_EQ(create_area("a", NULL, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW), B_BAD_ADDRESS);
	CHECK_EQ(create_area(NULL, NULL, 99, 0, 99, RW), B_BAD_ADDRESS);
	/* What the kernel itself only may ask for is refused before any pointer is looked at. */
	CHECK_EQ(create_area(NULL, NULL, 99, 0, 99, 0xffffffffu), B_BAD_VALUE);
	for (i = 0; i < COUNT(kernel_specs); i++) {
		CHECK_EQ(create_area(NULL, &address, kernel_specs[i], PAGE, B_NO_LOCK, RW), B_BAD_VALUE);
		CHECK_EQ(create_area("a", NULL, kernel_specs[i], PAGE, B_NO_LOCK, RW), B_BAD_VALUE);
	}
	for (i = 0; i < COUNT(unknown_protections); i++) {
		CHECK_EQ(create_area(NULL, &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, unknown_protections[i]), B_BAD_VALUE);
		CHECK_EQ(create_area("a", NULL, B_ANY_ADDRESS, PAGE, B_NO_LOCK, unknown_protections[i]), B_BAD_VALUE);
	}
	/* The pointers come before the size. */
	CHECK_EQ(create_area(NULL, &address, B_ANY_ADDRESS, 0, B_NO_LOCK, RW), B_BAD_ADDRESS);
	/* All arguments come before the memory. */
	CHECK_EQ(create_area("a", &address, 8, (size_t)1 << 60, B_NO_LOCK, RW), B_BAD_VALUE);
	CHECK_EQ(create_area("a", &address, B_ANY_ADDRESS, (size_t)1 << 60, 7, RW), B_BAD_VALUE);
	CHECK_EQ(create_area("a", &address, B_ANY_ADDRESS, 0, B_NO_LOCK, RW), B_BAD_VALUE);
	CHECK_EQ(create_area("a", &address, B_ANY_ADDRESS, SIZE_MAX, B_NO_LOCK, RW), B_BAD_VALUE);
	CHECK_EQ(create_area("a", &address, B_CLONE_ADDRESS, PAGE, B_NO_LOCK, RW), B_BAD_VALUE);
	for (i = 0; i < COUNT(unknown_specs); i++)
		CHECK_EQ(create_area("a", &address, unknown_specs[i], PAGE, B_NO_LOCK, RW), B_BAD_VALUE);
	for (i = 0; i < COUNT(bad_locks); i++)
		CHECK_EQ(create_area("a", &address, B_ANY_ADDRESS, PAGE, bad_locks[i], RW), B_BAD_VALUE);
	for (i = 0; i < COUNT(unknown_protections); i++)
		CHECK_EQ(create_area("a", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, unknown_protections[i]), B_BAD_VALUE);
	/* The address is written on success only. */
	CHECK(address == before);
	CHECK_EQ(find_area("a"), B_NAME_NOT_FOUND);
}

/* More than any machine has: no memory, whatever the lock. */
static void create_too_large(void)
{
	static const uint32 locks[] = { B_NO_LOCK, B_LAZY_LOCK, B_FULL_LOCK, B_CONTIGUOUS, B_LOMEM, B_32_BIT_FULL_LOCK,
		B_32_BIT_CONTIGUOUS };
	void *address = NULL;
	size_t i;
	for (i = 0; i < COUNT(locks); i++) {
		CHECK_EQ(create_area("a", &address, B_ANY_ADDRESS, SIZE_MAX - PAGE + 1, locks[i], RW), B_NO_MEMORY);
		CHECK_EQ(create_area("a", &address, B_ANY_ADDRESS, (size_t)1 << 46, locks[i], RW), B_NO_MEMORY);
		CHECK(address == NULL);
	}
	CHECK_EQ(find_area("a"), B_NAME_NOT_FOUND);
}

/* Exact addresses, of an area and of a clone: occupied, unaligned, outside. */
static void exact_addresses(void)
{
	void *taken, *address;
	area_id id = made("exact", &taken);
	size_t i;
	address = taken;
	CHECK_EQ(create_area("a", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, RW), B_BAD_VALUE);
	CHECK_EQ(clone_area("c", &address, B_EXACT_ADDRESS, RW, id), B_BAD_VALUE);
	CHECK(address == taken);
	/* By something else than an area. */
	address = (void *)((uintptr_t)&address & ~(PAGE - 1));
	CHECK_EQ(create_area("a", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, RW), B_BAD_VALUE);
	CHECK_EQ(clone_area("c", &address, B_EXACT_ADDRESS, RW, id), B_BAD_VALUE);
	address = (void *)(uintptr_t)0x10000001;
	CHECK_EQ(create_area("a", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, RW), B_BAD_VALUE);
	CHECK_EQ(clone_area("c", &address, B_EXACT_ADDRESS, RW, id), B_BAD_VALUE);
	for (i = 0; i < COUNT(outside); i++) {
		address = (void *)outside[i];
		CHECK_EQ(create_area("a", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, RW), B_BAD_ADDRESS);
		CHECK_EQ(clone_area("c", &address, B_EXACT_ADDRESS, RW, id), B_BAD_ADDRESS);
		CHECK((uintptr_t)address == outside[i]);
	}
	for (i = 0; i < COUNT(the_kernels); i++) {
		address = (void *)the_kernels[i];
		CHECK_EQ(create_area("a", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, RW), B_BAD_VALUE);
		CHECK_EQ(clone_area("c", &address, B_EXACT_ADDRESS, RW, id), B_BAD_VALUE);
		CHECK((uintptr_t)address == the_kernels[i]);
	}
	CHECK_EQ(find_area("a"), B_NAME_NOT_FOUND);
	CHECK_EQ(find_area("c"), B_NAME_NOT_FOUND);
	CHECK_EQ(delete_area(id), B_OK);
}

/* A base is a wish: none is an error. */
static void any_base_will_do(void)
{
	static const uintptr_t bases[] = { 0, 1, 0x10000001, 0x7ffffffff000, 0x800000000000, UINTPTR_MAX };
	size_t i;
	for (i = 0; i < COUNT(bases); i++) {
		void *based = (void *)bases[i], *random = (void *)bases[i];
		area_id one = create_area("base", &based, B_BASE_ADDRESS, PAGE, B_NO_LOCK, RW);
		area_id two = create_area("base", &random, B_RANDOMIZED_BASE_ADDRESS, PAGE, B_NO_LOCK, RW);
		CHECK(one > 0 && two > 0);
		CHECK_EQ((uintptr_t)based % PAGE, 0);
		CHECK_EQ((uintptr_t)random % PAGE, 0);
		memset(based, 'x', PAGE);
		memset(random, 'x', PAGE);
		CHECK_EQ(delete_area(one), B_OK);
		CHECK_EQ(delete_area(two), B_OK);
	}
}

static void clone_arguments(void)
{
	static char mark;
	void *source_address, *address = &mark;
	area_id id = made("source", &source_address);
	size_t i;
	for (i = 0; i < COUNT(absent); i++)
		CHECK_EQ(clone_area("c", &address, B_ANY_ADDRESS, RW, absent[i]), B_BAD_VALUE);
	CHECK_EQ(clone_area(NULL, &address, B_ANY_ADDRESS, RW, id), B_BAD_ADDRESS);
	CHECK_EQ(clone_area("c", NULL, B_ANY_ADDRESS, RW, id), B_BAD_ADDRESS);
	CHECK_EQ(clone_area(NULL, NULL, 99, RW, -1), B_BAD_ADDRESS);
	CHECK_EQ(clone_area(NULL, NULL, 99, 0xffffffffu, -1), B_BAD_VALUE);
	for (i = 0; i < COUNT(kernel_specs); i++)
		CHECK_EQ(clone_area(NULL, NULL, kernel_specs[i], RW, id), B_BAD_VALUE);
	for (i = 0; i < COUNT(unknown_protections); i++)
		CHECK_EQ(clone_area(NULL, NULL, B_ANY_ADDRESS, unknown_protections[i], id), B_BAD_VALUE);
	for (i = 0; i < COUNT(unknown_specs); i++)
		CHECK_EQ(clone_area("c", &address, unknown_specs[i], RW, id), B_BAD_VALUE);
	for (i = 0; i < COUNT(unknown_protections); i++)
		CHECK_EQ(clone_area("c", &address, B_ANY_ADDRESS, unknown_protections[i], id), B_BAD_VALUE);
	/* The source's address is taken: by the source. */
	CHECK_EQ(clone_area("c", &address, B_CLONE_ADDRESS, RW, id), B_BAD_VALUE);
	CHECK(address == &mark);
	CHECK_EQ(find_area("c"), B_NAME_NOT_FOUND);
	CHECK_EQ(delete_area(id), B_OK);
	/* It is gone. */
	CHECK_EQ(clone_area("c", &address, B_ANY_ADDRESS, RW, id), B_BAD_VALUE);
}

static void find_and_area_for(void)
{
	void *address;
	area_id id = made("found", &address);
	CHECK_EQ(find_area(NULL), B_BAD_ADDRESS);
	CHECK_EQ(find_area(""), B_NAME_NOT_FOUND);
	CHECK_EQ(find_area("no such area"), B_NAME_NOT_FOUND);
	CHECK_EQ(find_area("foun"), B_NAME_NOT_FOUND);
	CHECK_EQ(find_area("found "), B_NAME_NOT_FOUND);
	CHECK_EQ(area_for(NULL), B_ERROR);
	CHECK_EQ(area_for(&address), B_ERROR);
	CHECK_EQ(area_for((void *)UINTPTR_MAX), B_ERROR);
	CHECK_EQ(area_for((char *)address - 1), B_ERROR);
	/* The reserve behind it. */
	CHECK_EQ(area_for((char *)address + PAGE), B_ERROR);
	CHECK_EQ(delete_area(id), B_OK);
	CHECK_EQ(find_area("found"), B_NAME_NOT_FOUND);
	CHECK_EQ(area_for(address), B_ERROR);
}

static void info_arguments(void)
{
	void *address;
	area_info info;
	area_id id = made("described", &address);
	size_t i;
	memset(&info, 0x55, sizeof info);
	for (i = 0; i < COUNT(absent); i++)
		CHECK_EQ(get_area_info(absent[i], &info), B_BAD_VALUE);
	CHECK_EQ(get_area_info(id, (area_info *)NULL), B_BAD_ADDRESS);
	CHECK_EQ(_get_area_info(id, &info, 0), B_BAD_VALUE);
	CHECK_EQ(_get_area_info(id, &info, sizeof info - 1), B_BAD_VALUE);
	CHECK_EQ(_get_area_info(id, &info, sizeof info + 1), B_BAD_VALUE);
	CHECK_EQ(_get_area_info(id, &info, SIZE_MAX), B_BAD_VALUE);
	/* Nothing is written. */
	CHECK_EQ(info.area, 0x55555555);
	CHECK_EQ(delete_area(id), B_OK);
	CHECK_EQ(get_area_info(id, &info), B_BAD_VALUE);
}

static void *waits(void *number)
{
	atomic_store((atomic_int *)number, find_thread(NULL));
	pause();
	return NULL;
}

static void next_info_arguments(void)
{
	area_info info;
	ssize_t cookie = 0;
	void *address;
	area_id id = made("walked", &address);
	pid_t child = check_fork();
	if (child == 0)
		_exit(0);
	memset(&info, 0x55, sizeof info);
	CHECK_EQ(get_next_area_info(0, NULL, &info), B_BAD_ADDRESS);
	CHECK_EQ(get_next_area_info(0, &cookie, (area_info *)NULL), B_BAD_ADDRESS);
	CHECK_EQ(_get_next_area_info(0, &cookie, &info, 0), B_BAD_VALUE);
	CHECK_EQ(_get_next_area_info(0, &cookie, &info, 1), B_BAD_VALUE);
	CHECK_EQ(_get_next_area_info(0, &cookie, &info, sizeof info + 1), B_BAD_VALUE);
	CHECK_EQ(get_next_area_info(-1, &cookie, &info), B_BAD_TEAM_ID);
	CHECK_EQ(get_next_area_info(INT32_MIN, &cookie, &info), B_BAD_TEAM_ID);
	CHECK_EQ(get_next_area_info(INT32_MAX, &cookie, &info), B_BAD_TEAM_ID);
	/* One that has ended. */
	check_child(child, 0);
	CHECK_EQ(get_next_area_info(child, &cookie, &info), B_BAD_TEAM_ID);
	/* A live team without areas is at its end at once. */
	CHECK_EQ(get_next_area_info(1, &cookie, &info), B_ENTRY_NOT_FOUND);
	CHECK_EQ(cookie, 0);
	CHECK_EQ(info.area, 0x55555555);
	/* Whatever the cookie is: what comes behind it, or the end, again and again. */
	cookie = -1;
	CHECK_EQ(get_next_area_info(0, &cookie, &info), B_ENTRY_NOT_FOUND);
	CHECK_EQ(get_next_area_info(0, &cookie, &info), B_ENTRY_NOT_FOUND);
	/* Before the team is looked for, and after the pointers. */
	CHECK_EQ(get_next_area_info(INT32_MAX, &cookie, &info), B_ENTRY_NOT_FOUND);
	CHECK_EQ(get_next_area_info(INT32_MAX, &cookie, (area_info *)NULL), B_BAD_ADDRESS);
	CHECK_EQ(cookie, -1);
	cookie = -PAGE_OF_COOKIES;
	CHECK_EQ(get_next_area_info(0, &cookie, &info), B_ENTRY_NOT_FOUND);
	CHECK_EQ(get_next_area_info(INT32_MAX, &cookie, &info), B_BAD_TEAM_ID);
	CHECK_EQ(cookie, -PAGE_OF_COOKIES);
	cookie = (ssize_t)(uintptr_t)address - 1;
	CHECK_EQ(get_next_area_info(0, &cookie, &info), B_OK);
	CHECK_EQ(info.area, id);
	CHECK_EQ(delete_area(id), B_OK);
}

/* In a child of its own, which its thread ends with. */
static void threads_are_no_teams(void)
{
	pid_t child = check_fork();
	if (child == 0) {
		pthread_t thread;
		static atomic_int number;
		ssize_t cookie = 0;
		area_info info;
		team_info team;
		CHECK_EQ(pthread_create(&thread, NULL, waits, &number), 0);
		while (atomic_load(&number) == 0)
			sched_yield();
		CHECK_EQ(get_next_area_info(atomic_load(&number), &cookie, &info), B_BAD_TEAM_ID);
		CHECK_EQ(get_team_info(atomic_load(&number), &team), B_BAD_TEAM_ID);
		_exit(0);
	}
	check_child(child, 0);
}

static void resize_arguments(void)
{
	void *address;
	area_info info;
	area_id behind, id = made("resized", &address);
	size_t i;
	for (i = 0; i < COUNT(absent); i++)
		CHECK_EQ(resize_area(absent[i], PAGE), B_BAD_VALUE);
	CHECK_EQ(resize_area(id, 0), B_BAD_VALUE);
	CHECK_EQ(resize_area(id, 1), B_BAD_VALUE);
	CHECK_EQ(resize_area(id, PAGE + 1), B_BAD_VALUE);
	CHECK_EQ(resize_area(id, SIZE_MAX), B_BAD_VALUE);
	/* Beyond the addresses of a process. */
	CHECK_EQ(resize_area(id, (size_t)1 << 62), B_ERROR);
	CHECK_EQ(resize_area(id, ~(PAGE - 1)), B_ERROR);
	CHECK_EQ(resize_area(id, ((uintptr_t)1 << 47) - (uintptr_t)address), B_ERROR);
	/* The id comes before that, and what is no size before the id. */
	CHECK_EQ(resize_area(ABSENT, ~(PAGE - 1)), B_BAD_VALUE);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.size, PAGE);
	CHECK_EQ(delete_area(id), B_OK);
	CHECK_EQ(resize_area(id, PAGE), B_BAD_VALUE);
	/* One that is low has addresses for more than any machine has memory: no address would do. */
	address = (void *)(uintptr_t)0x300000000000;
	id = create_area("low", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(id > 0);
	CHECK_EQ(resize_area(id, (size_t)1 << 46), B_NO_MEMORY);
	/* Whatever is behind it. */
	address = (char *)address + PAGE;
	behind = create_area("behind", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(behind > 0);
	CHECK_EQ(resize_area(id, (size_t)1 << 46), B_NO_MEMORY);
	CHECK_EQ(resize_area(id, 2 * PAGE), B_ERROR);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.size, PAGE);
	CHECK_EQ(delete_area(behind), B_OK);
	CHECK_EQ(delete_area(id), B_OK);
}

static void protection_and_delete_arguments(void)
{
	void *address;
	area_info info;
	area_id id = made("protected", &address);
	size_t i;
	for (i = 0; i < COUNT(absent); i++) {
		CHECK_EQ(set_area_protection(absent[i], B_READ_AREA), B_BAD_VALUE);
		CHECK_EQ(delete_area(absent[i]), B_BAD_VALUE);
	}
	for (i = 0; i < COUNT(unknown_protections); i++)
		CHECK_EQ(set_area_protection(id, unknown_protections[i]), B_BAD_VALUE);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.protection, RW);
	CHECK_STR(check_maps(address), "rw-s");
	CHECK_EQ(delete_area(id), B_OK);
	CHECK_EQ(delete_area(id), B_BAD_VALUE);
	CHECK_EQ(set_area_protection(id, B_READ_AREA), B_BAD_VALUE);
}

/* A transfer that is refused leaves the area what and where it was. */
static void transfer_arguments(void)
{
	void *own, *address, *unchanged;
	area_info info;
	area_id id = made("kept", &own);
	pid_t child;
	size_t i;
	memset(own, 'k', PAGE);
	address = unchanged = &info;
	for (i = 0; i < COUNT(absent); i++)
		CHECK_EQ(_kern_transfer_area(absent[i], &address, B_ANY_ADDRESS, getpid()), B_BAD_VALUE);
	CHECK_EQ(_kern_transfer_area(id, NULL, B_ANY_ADDRESS, getpid()), B_BAD_ADDRESS);
	for (i = 0; i < COUNT(unknown_specs); i++)
		CHECK_EQ(_kern_transfer_area(id, &address, unknown_specs[i], getpid()), B_BAD_VALUE);
	CHECK_EQ(_kern_transfer_area(id, &address, B_ANY_ADDRESS, INT32_MAX), B_BAD_TEAM_ID);
	CHECK_EQ(_kern_transfer_area(id, &address, B_ANY_ADDRESS, -1), B_BAD_TEAM_ID);
	/* Not this team: 0 is its number in other calls only. */
	CHECK_EQ(_kern_transfer_area(id, &address, B_ANY_ADDRESS, 0), B_BAD_TEAM_ID);
	/* In the order of the arguments' checks. */
	CHECK_EQ(_kern_transfer_area(ABSENT, NULL, B_ANY_KERNEL_ADDRESS, 0), B_BAD_VALUE);
	CHECK_EQ(_kern_transfer_area(ABSENT, NULL, B_ANY_ADDRESS, 0), B_BAD_ADDRESS);
	CHECK_EQ(_kern_transfer_area(ABSENT, &address, B_ANY_ADDRESS, 0), B_BAD_VALUE);
	/* A team that holds nothing has nowhere to get it; one that has ended even less. */
	CHECK_EQ(_kern_transfer_area(id, &address, B_ANY_ADDRESS, 1), B_BAD_TEAM_ID);
	child = check_fork();
	if (child == 0)
		_exit(0);
	check_child(child, 0);
	CHECK_EQ(_kern_transfer_area(id, &address, B_ANY_ADDRESS, child), B_BAD_TEAM_ID);
	CHECK(address == unchanged);
	/* Where something else is, where it is itself, between pages, outside. */
	address = (void *)((uintptr_t)&info & ~(PAGE - 1));
	CHECK_EQ(_kern_transfer_area(id, &address, B_EXACT_ADDRESS, getpid()), B_BAD_VALUE);
	CHECK_EQ(_kern_transfer_area(id, &address, B_CLONE_ADDRESS, getpid()), B_BAD_VALUE);
	address = (void *)(uintptr_t)0x10000001;
	CHECK_EQ(_kern_transfer_area(id, &address, B_EXACT_ADDRESS, getpid()), B_BAD_VALUE);
	for (i = 0; i < COUNT(outside); i++) {
		address = (void *)outside[i];
		CHECK_EQ(_kern_transfer_area(id, &address, B_EXACT_ADDRESS, getpid()), B_BAD_ADDRESS);
	}
	for (i = 0; i < COUNT(the_kernels); i++) {
		address = (void *)the_kernels[i];
		CHECK_EQ(_kern_transfer_area(id, &address, B_EXACT_ADDRESS, getpid()), B_BAD_VALUE);
	}
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK(info.address == own);
	CHECK_EQ(area_for(own), id);
	CHECK_EQ(((char *)own)[PAGE - 1], 'k');
	CHECK_EQ(resize_area(id, 2 * PAGE), B_OK);
	CHECK_EQ(delete_area(id), B_OK);
}

static void reservation_arguments(void)
{
	void *taken;
	area_id id = made("in the way", &taken);
	addr_t range = 0;
	size_t i;
	CHECK_EQ(_kern_reserve_address_range(NULL, B_ANY_ADDRESS, PAGE), B_BAD_ADDRESS);
	CHECK_EQ(_kern_reserve_address_range(NULL, B_ANY_KERNEL_ADDRESS, PAGE), B_BAD_VALUE);
	CHECK_EQ(_kern_reserve_address_range(&range, B_ANY_ADDRESS, 0), B_BAD_VALUE);
	CHECK_EQ(_kern_reserve_address_range(&range, B_ANY_ADDRESS, SIZE_MAX), B_BAD_VALUE);
	CHECK_EQ(_kern_reserve_address_range(&range, B_CLONE_ADDRESS, PAGE), B_BAD_VALUE);
	for (i = 0; i < COUNT(unknown_specs); i++)
		CHECK_EQ(_kern_reserve_address_range(&range, unknown_specs[i], PAGE), B_BAD_VALUE);
	/* More than a process has. */
	CHECK_EQ(_kern_reserve_address_range(&range, B_ANY_ADDRESS, (size_t)1 << 47), B_NO_MEMORY);
	CHECK_EQ(_kern_reserve_address_range(&range, B_ANY_ADDRESS, (size_t)1 << 62), B_NO_MEMORY);
	CHECK_EQ(range, 0);
	CHECK_EQ(_kern_reserve_address_range(&range, B_EXACT_ADDRESS, PAGE), B_BAD_ADDRESS);
	range = 0x800000000000;
	CHECK_EQ(_kern_reserve_address_range(&range, B_EXACT_ADDRESS, PAGE), B_BAD_ADDRESS);
	range = 0xffffff0000000000;
	CHECK_EQ(_kern_reserve_address_range(&range, B_EXACT_ADDRESS, PAGE), B_BAD_VALUE);
	range = 0x10000001;
	CHECK_EQ(_kern_reserve_address_range(&range, B_EXACT_ADDRESS, PAGE), B_BAD_VALUE);
	range = (addr_t)taken;
	CHECK_EQ(_kern_reserve_address_range(&range, B_EXACT_ADDRESS, PAGE), B_BAD_VALUE);
	/* An area is no reserved range: nothing is released, and that is not an error. */
	CHECK_EQ(_kern_unreserve_address_range(range, PAGE), B_OK);
	CHECK_EQ(area_for(taken), id);
	CHECK_STR(check_maps(taken), "rw-s");
	CHECK_EQ(_kern_reserve_address_range(&range, B_ANY_ADDRESS, 4 * PAGE), B_OK);
	CHECK_EQ(_kern_unreserve_address_range(range, SIZE_MAX), B_BAD_VALUE);
	CHECK_EQ(_kern_unreserve_address_range(range, SIZE_MAX - range), B_BAD_VALUE);
	CHECK_EQ(_kern_unreserve_address_range(range, 0), B_OK);
	/* Not a whole page of it. */
	CHECK_EQ(_kern_unreserve_address_range(range + 1, PAGE - 1), B_OK);
	CHECK_STR(check_maps((void *)range), "---p");
	CHECK_EQ(_kern_unreserve_address_range(range + PAGE, 2 * PAGE + 1), B_OK);
	CHECK_STR(check_maps((void *)range), "---p");
	CHECK_STR(check_maps((void *)(range + PAGE)), "");
	CHECK_STR(check_maps((void *)(range + 3 * PAGE)), "");
	CHECK_EQ(_kern_unreserve_address_range(range, 4 * PAGE), B_OK);
	CHECK_STR(check_maps((void *)range), "");
	CHECK_EQ(_kern_unreserve_address_range(range, 4 * PAGE), B_OK);
	CHECK_EQ(_kern_unreserve_address_range(0, PAGE), B_OK);
	CHECK_EQ(delete_area(id), B_OK);
}

/* What belongs to another team may be looked at and cloned, and nothing else. */
static void foreign_areas(void)
{
	int to[2], from[2];
	area_id id, clone;
	pid_t child;
	void *address;
	area_info info;
	CHECK(pipe(to) == 0 && pipe(from) == 0);
	child = check_fork();
	if (child == 0) {
		id = create_area("foreign", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, B_READ_AREA);
		CHECK(id > 0);
		check_send(from[1], 'r');
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
	CHECK_EQ(clone_area("c", &address, B_ANY_ADDRESS, RW, id), B_NOT_ALLOWED);
	clone = clone_area("c", &address, B_ANY_ADDRESS, B_READ_AREA, id);
	CHECK(clone > 0);
	/* Never above what it was granted, by way of another clone neither; its size is not ours to
	 * change. */
	CHECK_EQ(set_area_protection(clone, RW), B_NOT_ALLOWED);
	CHECK_EQ(clone_area("again", &address, B_ANY_ADDRESS, RW, clone), B_NOT_ALLOWED);
	CHECK_EQ(resize_area(clone, 2 * PAGE), B_NOT_ALLOWED);
	CHECK_STR(check_maps(address), "r--s");
	CHECK_EQ(check_touch(address, 1), SIGSEGV);
	CHECK_EQ(delete_area(clone), B_OK);
	check_send(to[1], 'e');
	check_child(child, 0);
	/* Its team has ended. */
	CHECK_EQ(delete_area(id), B_BAD_VALUE);
	CHECK_EQ(clone_area("c", &address, B_ANY_ADDRESS, B_READ_AREA, id), B_BAD_VALUE);
}

/* A clone of another team's has no room behind it: B_ERROR, and nothing has changed for anybody. */
static void a_clone_in_the_way(void)
{
	int to[2], from[2];
	char *address;
	area_info info;
	area_id id, theirs;
	pid_t child;
	CHECK(pipe(to) == 0 && pipe(from) == 0);
	id = made("grows", (void **)&address);
	child = check_fork();
	if (child == 0) {
		void *there = (void *)(uintptr_t)0x300000000000, *behind = (void *)(uintptr_t)(0x300000000000 + PAGE);
		/* What was inherited has room; this clone has a neighbour. */
		CHECK_EQ(delete_area(area_for(address)), B_OK);
		CHECK(clone_area("in the way", &there, B_EXACT_ADDRESS, RW, find_area("grows")) > 0);
		CHECK(create_area("behind", &behind, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, RW) > 0);
		check_send(from[1], 'r');
		check_hear(to[0]);
		_exit(0);
	}
	check_hear(from[0]);
	theirs = find_area("in the way");
	CHECK(theirs > 0);
	CHECK_EQ(resize_area(id, 2 * PAGE), B_ERROR);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.size, PAGE);
	CHECK_EQ(get_area_info(theirs, &info), B_OK);
	CHECK_EQ(info.size, PAGE);
	CHECK_EQ(check_touch(address + PAGE, 0), SIGBUS);
	check_send(to[1], 'e');
	check_child(child, 0);
	/* Once it is gone, there is room. */
	CHECK_EQ(resize_area(id, 2 * PAGE), B_OK);
	CHECK_EQ(delete_area(id), B_OK);
}

/* A registry that is none: an error for who needs it, and a name that is not found. */
static void a_registry_that_is_none(void)
{
	pid_t child = check_fork();
	if (child == 0) {
		void *address = NULL;
		area_info info;
		ssize_t cookie = 0;
		CHECK_EQ(setenv("AREAS_DIR", "/proc/self/exe", 1), 0);
		CHECK_EQ(create_area("a", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW), B_ERROR);
		CHECK(address == NULL);
		CHECK_EQ(clone_area("c", &address, B_ANY_ADDRESS, RW, 1 << 19), B_BAD_VALUE);
		CHECK_EQ(get_area_info(1 << 19, &info), B_BAD_VALUE);
		CHECK_EQ(get_next_area_info(getppid(), &cookie, &info), B_ERROR);
		CHECK_EQ(find_area("a"), B_NAME_NOT_FOUND);
		CHECK_EQ(area_for(&address), B_ERROR);
		_exit(0);
	}
	check_child(child, 0);
}

int main(void)
{
	/* Before anything is published: a process reads once where its registry is. */
	a_registry_that_is_none();
	numbers();
	create_arguments();
	create_too_large();
	exact_addresses();
	any_base_will_do();
	clone_arguments();
	find_and_area_for();
	info_arguments();
	next_info_arguments();
	threads_are_no_teams();
	resize_arguments();
	protection_and_delete_arguments();
	transfer_arguments();
	reservation_arguments();
	foreign_areas();
	a_clone_in_the_way();
	return 0;
}
