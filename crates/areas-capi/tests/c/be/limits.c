/*
 * What a limit forbids is B_NO_MEMORY when the area is made or grown, and nothing is left of it.
 *
 * Not under valgrind: the limits would be valgrind's as well.
 */
#include <OS.h>
#include <syscalls.h>

#include "check.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)

static void limit(int what, rlim_t most)
{
	struct rlimit to = { most, most };
	CHECK_EQ(setrlimit((__rlimit_resource_t)what, &to), 0);
}

/* From here on, this process may lock no more than its limit: not even the superuser. */
static void no_lock_right(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct rights[2];
	CHECK_EQ(syscall(SYS_capget, &header, rights), 0);
	rights[0].effective &= ~(1u << CAP_IPC_LOCK);
	CHECK_EQ(syscall(SYS_capset, &header, rights), 0);
}

static void file_size(void)
{
	void *address;
	area_id id = create_area("small", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	area_info info;
	CHECK(id > 0);
	limit(RLIMIT_FSIZE, 1 << 16);
	/* Not killed by SIGXFSZ either. */
	CHECK_EQ(resize_area(id, 1 << 18), B_NO_MEMORY);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.size, PAGE);
	CHECK_EQ(create_area("large", &address, B_ANY_ADDRESS, 1 << 18, B_NO_LOCK, RW), B_NO_MEMORY);
	CHECK_EQ(find_area("large"), B_NAME_NOT_FOUND);
}

static void open_files(void)
{
	void *address;
	area_id id;
	CHECK(create_area("joined", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW) > 0);
	limit(RLIMIT_NOFILE, 32);
	do
		id = create_area("many", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	while (id > 0);
	CHECK_EQ(id, B_NO_MEMORY);
}

static void locked_memory(void)
{
	void *address = NULL;
	limit(RLIMIT_MEMLOCK, 0);
	/* The superuser may exceed it. */
	if (geteuid() == 0)
		CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	CHECK_EQ(create_area("locked", &address, B_ANY_ADDRESS, PAGE, B_FULL_LOCK, RW), B_NO_MEMORY);
	CHECK_EQ(create_area("locked", &address, B_ANY_ADDRESS, PAGE, B_LAZY_LOCK, RW), B_NO_MEMORY);
	CHECK_STR(check_maps(address), "");
}

/* A clone is locked as its source is, in the team that clones: that takes an allowance, and so does
 * a tail. */
static void locked_clones_and_tails(void)
{
	/* Nothing is mapped behind these. */
	void *address = (void *)(uintptr_t)0x300000000000, *before = &address;
	area_info info;
	area_id lazy, full = create_area("locked", &address, B_EXACT_ADDRESS, PAGE, B_FULL_LOCK, RW);
	if (full == B_NO_MEMORY)
		_exit(77);
	CHECK(full > 0);
	address = (void *)(uintptr_t)0x310000000000;
	lazy = create_area("lazy", &address, B_EXACT_ADDRESS, PAGE, B_LAZY_LOCK, RW);
	CHECK(lazy > 0);
	limit(RLIMIT_MEMLOCK, 2 * PAGE);
	no_lock_right();
	CHECK_EQ(clone_area("clone", &before, B_ANY_ADDRESS, RW, full), B_NO_MEMORY);
	CHECK_EQ(clone_area("clone", &before, B_ANY_ADDRESS, RW, lazy), B_NO_MEMORY);
	CHECK(before == &address);
	CHECK_EQ(find_area("clone"), B_NAME_NOT_FOUND);
	CHECK_EQ(resize_area(full, 2 * PAGE), B_NO_MEMORY);
	CHECK_EQ(resize_area(lazy, 2 * PAGE), B_NO_MEMORY);
	CHECK_EQ(get_area_info(full, &info), B_OK);
	CHECK_EQ(info.size, PAGE);
	CHECK_EQ(get_area_info(lazy, &info), B_OK);
	CHECK_EQ(info.size, PAGE);
	/* What is released can be used again. */
	CHECK_EQ(delete_area(lazy), B_OK);
	CHECK_EQ(resize_area(full, 2 * PAGE), B_OK);
}

/* A clone in the same team grows with it, and is locked as well: where that may not be, nothing has
 * changed. */
static void locked_with_a_clone(void)
{
	static const uint32 locks[] = { B_LAZY_LOCK, B_FULL_LOCK };
	area_info info;
	size_t i;
	for (i = 0; i < 2; i++) {
		char *address, *other;
		area_id clone, id = create_area("locked", (void **)&address, B_ANY_ADDRESS, 4 * PAGE, locks[i], RW);
		if (id == B_NO_MEMORY)
			_exit(77);
		CHECK(id > 0);
		clone = clone_area("clone", (void **)&other, B_ANY_ADDRESS, RW, id);
		CHECK(clone > 0);
		if (i == 0) {
			/* For four pages twice, and three more. */
			limit(RLIMIT_MEMLOCK, 11 * PAGE);
			no_lock_right();
		}
		CHECK_EQ(resize_area(id, 6 * PAGE), B_NO_MEMORY);
		CHECK_EQ(get_area_info(clone, &info), B_OK);
		CHECK_EQ(info.size, 4 * PAGE);
		CHECK_EQ(get_area_info(id, &info), B_OK);
		CHECK_EQ(info.size, 4 * PAGE);
		CHECK_STR(check_maps(address + 4 * PAGE), "");
		CHECK_STR(check_maps(other + 4 * PAGE), "");
		CHECK_EQ(resize_area(id, 5 * PAGE), B_OK);
		CHECK_EQ(get_area_info(clone, &info), B_OK);
		CHECK_EQ(info.size, 5 * PAGE);
		CHECK_EQ(delete_area(clone), B_OK);
		CHECK_EQ(delete_area(id), B_OK);
	}
}

/* Clones in the same team have what addresses the limit leaves, and grow with it. */
static void clones_under_a_limit(void)
{
	char *address, *other[3];
	area_id id;
	size_t size, i;
	limit(RLIMIT_AS, (rlim_t)1 << 46);
	id = create_area("grows", (void **)&address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(id > 0);
	for (i = 0; i < 3; i++)
		CHECK(clone_area("clone", (void **)&other[i], B_ANY_ADDRESS, RW, id) > 0);
	for (size = 2 * PAGE; size <= 1 << 28; size *= 2) {
		CHECK_EQ(resize_area(id, size), B_OK);
		address[size - 1] = (char)(size / PAGE);
		for (i = 0; i < 3; i++)
			CHECK_EQ(other[i][size - 1], (char)(size / PAGE));
	}
}

/* How many mappings a process can have: the last sixteenth is left to the rest of the program. */
static void mappings(void)
{
	void *address;
	area_id id;
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	long most = 0, made;
	CHECK(file != NULL && fscanf(file, "%ld", &most) == 1);
	fclose(file);
	/* Half of that sixteenth stays free: malloc lives on mappings, too. */
	for (made = 0; made < most - most / 32; made++)
		if (mmap(NULL, PAGE, made % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			break;
	/* The kernel is not asked for the first few hundred areas. */
	for (made = 0; made < 1000; made++) {
		address = NULL;
		id = create_area("one more", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
		if (id < 0)
			break;
		CHECK_EQ(delete_area(id), B_OK);
	}
	CHECK_EQ(id, B_NO_MEMORY);
	CHECK(address == NULL);
	CHECK_EQ(find_area("one more"), B_NAME_NOT_FOUND);
}

/* Page frames: an ordinary user cannot choose them, and for so many there is no pool. */
static void page_frames(void)
{
	static const uint32 locks[] = { B_CONTIGUOUS, B_LOMEM, B_32_BIT_FULL_LOCK, B_32_BIT_CONTIGUOUS };
	void *address = NULL;
	size_t i;
	limit(RLIMIT_MEMLOCK, 0);
	if (geteuid() == 0)
		CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	for (i = 0; i < sizeof locks / sizeof *locks; i++) {
		CHECK_EQ(create_area("frames", &address, B_ANY_ADDRESS, 8 << 20, locks[i], RW), B_NO_MEMORY);
		CHECK(address == NULL);
	}
}

/* Addresses: the modest reserve gives way, memory does not. */
static void address_space(void)
{
	void *address, *before;
	unsigned long pages = 0;
	area_id id, clone;
	area_info info;
	addr_t range = 0;
	FILE *statm = fopen("/proc/self/statm", "re");
	/* Where addresses are limited from the start, reserves are modest. */
	limit(RLIMIT_AS, (rlim_t)1 << 46);
	CHECK(create_area("joined", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW) > 0);
	CHECK(statm != NULL && fscanf(statm, "%lu", &pages) == 1);
	fclose(statm);
	limit(RLIMIT_AS, (rlim_t)pages * PAGE + (40 << 20));
	address = before = &id;
	CHECK_EQ(create_area("large", &address, B_ANY_ADDRESS, 64 << 20, B_NO_LOCK, RW), B_NO_MEMORY);
	CHECK(address == before);
	CHECK_EQ(find_area("large"), B_NAME_NOT_FOUND);
	/* With three times its size behind it, it would not fit. */
	id = create_area("fits", &address, B_ANY_ADDRESS, 16 << 20, B_NO_LOCK, RW);
	CHECK(id > 0);
	memset(address, 'x', 16 << 20);
	CHECK_EQ(delete_area(id), B_OK);
	/* Nothing is mapped above this one. */
	address = (void *)(uintptr_t)0x300000000000;
	id = create_area("fits", &address, B_EXACT_ADDRESS, 6 << 20, B_NO_LOCK, RW);
	CHECK(id > 0);
	CHECK_EQ(resize_area(id, 64 << 20), B_NO_MEMORY);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.size, 6 << 20);
	/* Reserved addresses count as well. */
	CHECK_EQ(_kern_reserve_address_range(&range, B_ANY_ADDRESS, 64 << 20), B_NO_MEMORY);
	CHECK_EQ(range, 0);
	/* A clone does without a reserve. */
	clone = clone_area("too", &before, B_ANY_ADDRESS, RW, id);
	CHECK(clone > 0);
	((char *)before)[(6 << 20) - 1] = 'y';
	CHECK_EQ(((char *)address)[(6 << 20) - 1], 'y');
	CHECK_EQ(delete_area(clone), B_OK);
	CHECK_EQ(delete_area(id), B_OK);
}

/* No process asked for the reserves behind areas: they give way to what is asked for, as long as
 * there are any. */
static void reserves_give_way(void)
{
	char *keeper, *grown, *made;
	unsigned long pages = 0;
	area_id kept, grows, id;
	FILE *statm;
	limit(RLIMIT_AS, (rlim_t)1 << 46);
	kept = create_area("keeper", (void **)&keeper, B_ANY_ADDRESS, 8 << 20, B_NO_LOCK, RW);
	grown = (char *)(uintptr_t)0x300000000000;
	grows = create_area("grows", (void **)&grown, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(kept > 0 && grows > 0);
	memset(keeper, 'k', 8 << 20);
	statm = fopen("/proc/self/statm", "re");
	CHECK(statm != NULL && fscanf(statm, "%lu", &pages) == 1);
	fclose(statm);
	/* Too little for what follows, but for the 24 MiB behind the keeper. */
	CHECK_STR(check_maps(keeper + (8 << 20)), "rw-s");
	limit(RLIMIT_AS, (rlim_t)pages * PAGE + (2 << 20));
	id = create_area("made", (void **)&made, B_ANY_ADDRESS, 16 << 20, B_NO_LOCK, RW);
	CHECK(id > 0);
	memset(made, 'm', 16 << 20);
	CHECK_EQ(keeper[0], 'k');
	CHECK_EQ(keeper[(8 << 20) - 1], 'k');
	/* What it has grown to is not given away, and it grows as far as there is room. */
	CHECK_EQ(create_area("more", (void **)&made, B_ANY_ADDRESS, 16 << 20, B_NO_LOCK, RW), B_NO_MEMORY);
	CHECK_EQ(resize_area(grows, 16 << 20), B_NO_MEMORY);
	CHECK_EQ(delete_area(id), B_OK);
	CHECK_EQ(resize_area(grows, 16 << 20), B_OK);
	grown[(16 << 20) - 1] = 'g';
	CHECK_EQ(resize_area(kept, 64 << 20) == B_OK, 0);
	CHECK_EQ(keeper[(8 << 20) - 1], 'k');
}

#ifndef __SANITIZE_ADDRESS__
/* A limit that is set once areas have much more room than it allows: that is released as soon as an
 * area is wanted. */
static void a_late_limit(void)
{
	unsigned long pages = 0;
	char *kept[4], *made;
	size_t i;
	FILE *statm = fopen("/proc/self/statm", "re");
	CHECK(statm != NULL && fscanf(statm, "%lu", &pages) == 1);
	fclose(statm);
	for (i = 0; i < 4; i++) {
		CHECK(create_area("kept", (void **)&kept[i], B_ANY_ADDRESS, 1 << 20, B_NO_LOCK, RW) > 0);
		kept[i][0] = 'k';
	}
	limit(RLIMIT_AS, (rlim_t)pages * PAGE + (128 << 20));
	CHECK(create_area("made", (void **)&made, B_ANY_ADDRESS, 32 << 20, B_NO_LOCK, RW) > 0);
	memset(made, 'm', 32 << 20);
	CHECK_EQ(create_area("more", (void **)&made, B_ANY_ADDRESS, 128 << 20, B_NO_LOCK, RW), B_NO_MEMORY);
	for (i = 0; i < 4; i++)
		CHECK_EQ(kept[i][0], 'k');
	/* There is room for the rest of the program again. */
	made = malloc(16 << 20);
	CHECK(made != NULL);
	free(made);
}
#endif

/* Limits are a process's: each in a child of its own. Whether it could run there. */
static int in_a_child(void (*test)(void))
{
	pid_t child = check_fork();
	int status = 0;
	if (child == 0) {
		test();
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77));
	return WEXITSTATUS(status) == 0;
}

int main(void)
{
	in_a_child(file_size);
	in_a_child(open_files);
	in_a_child(locked_memory);
	in_a_child(mappings);
	in_a_child(page_frames);
	in_a_child(address_space);
	in_a_child(reserves_give_way);
	in_a_child(clones_under_a_limit);
#ifndef __SANITIZE_ADDRESS__
	/* The sanitizer's own memory would have no room between the limit and the next area. */
	in_a_child(a_late_limit);
#endif
	in_a_child(locked_with_a_clone);
	if (!in_a_child(locked_clones_and_tails))
		SKIP("nothing may be locked here");
	return 0;
}
