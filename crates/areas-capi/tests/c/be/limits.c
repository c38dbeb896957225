/*
 * What a limit forbids is B_NO_MEMORY when the area is made or grown, and nothing is left of it.
 *
 * Not under valgrind: the limits would be valgrind's as well.
 */
#include <OS.h>

#include "check.h"

#include <sys/resource.h>

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)

static void limit(int what, rlim_t most)
{
	struct rlimit to = { most, most };
	CHECK_EQ(setrlimit((__rlimit_resource_t)what, &to), 0);
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
	FILE *statm = fopen("/proc/self/statm", "re");
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
	/* A clone does without a reserve. */
	clone = clone_area("too", &before, B_ANY_ADDRESS, RW, id);
	CHECK(clone > 0);
	((char *)before)[(6 << 20) - 1] = 'y';
	CHECK_EQ(((char *)address)[(6 << 20) - 1], 'y');
	CHECK_EQ(delete_area(clone), B_OK);
	CHECK_EQ(delete_area(id), B_OK);
}

/* Limits are a process's: each in a child of its own. */
static void in_a_child(void (*test)(void))
{
	pid_t child = check_fork();
	if (child == 0) {
		test();
		_exit(0);
	}
	check_child(child, 0);
}

int main(void)
{
	in_a_child(file_size);
	in_a_child(open_files);
	in_a_child(locked_memory);
	in_a_child(page_frames);
	in_a_child(address_space);
	return 0;
}
