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
	return 0;
}
