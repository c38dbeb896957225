/*
 * Areas that are moved to exact addresses, in this team or another one: those must be free for
 * their bytes. What an area has reserved to grow into needs no room there, and what others have
 * reserved there gives way.
 */
#include <OS.h>
#include <syscalls.h>

#include "check.h"

#include <sys/resource.h>

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define PAGES 4
#define SIZE (PAGES * PAGE)

/*
 * Free addresses of so many pages, with something mapped before and behind: where nothing else is,
 * so that neither the C library nor the kernel puts anything there.
 */
static char *hole(size_t pages)
{
	/* The second for who may not have the first (valgrind). */
	static uintptr_t places[] = { 0x200000000000, 0x1000000000 };
	size_t size = (pages + 2) * PAGE, i;
	for (i = 0; i < sizeof places / sizeof *places; i++) {
		char *wanted = (char *)places[i];
		char *all = mmap(wanted, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		CHECK(all != MAP_FAILED);
		if (all == wanted) {
			places[i] += 1 << 30;
			CHECK_EQ(munmap(all + PAGE, pages * PAGE), 0);
			return all + PAGE;
		}
		CHECK_EQ(munmap(all, size), 0);
	}
	SKIP("no addresses of one's choice here");
}

static area_id make(char **base)
{
	void *address;
	area_id id = create_area("moved", &address, B_ANY_ADDRESS, SIZE, B_NO_LOCK, RW);
	CHECK(id > 0);
	*base = address;
	strcpy(*base, "first");
	strcpy(*base + SIZE - PAGE, "last");
	return id;
}

static area_id move(area_id id, char *to)
{
	void *address = to;
	area_id moved = _kern_transfer_area(id, &address, B_EXACT_ADDRESS, getpid());
	if (moved > 0)
		CHECK(address == to);
	return moved;
}

/* It is there, whole, and nowhere else. */
#define is_there(id, at, size) is_there_at(__LINE__, id, at, size)
static void is_there_at(int line, area_id id, const char *at, size_t size)
{
	area_info info;
	if (id <= 0)
		check_failed(__FILE__, line, "%#x is no id", (unsigned)id);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK(info.address == at);
	CHECK_EQ(info.size, size);
	CHECK_STR(at, "first");
	CHECK_STR(at + SIZE - PAGE, "last");
	CHECK_EQ(area_for((void *)(uintptr_t)at), id);
	CHECK_STR(check_maps(at + SIZE - 1), "rw-s");
}

/* Room for the bytes and nothing more; for some of the reserve. */
static void where_its_reserve_has_no_room(void)
{
	size_t more;
	for (more = 0; more < 4; more++) {
		char *base, *to = hole(PAGES + more);
		area_id id = make(&base), moved = move(id, to);
		area_info info;
		is_there(moved, to, SIZE);
		CHECK_STR(check_maps(base), "");
		CHECK_EQ(get_area_info(id, &info), B_BAD_VALUE);
		/* What is behind is as it was. */
		CHECK_STR(check_maps(to + SIZE + more * PAGE), "---p");
		CHECK_EQ(resize_area(moved, SIZE + (more + 1) * PAGE), B_ERROR);
		is_there(moved, to, SIZE);
		if (more > 0) {
			CHECK_EQ(resize_area(moved, SIZE + more * PAGE), B_OK);
			to[SIZE + more * PAGE - 1] = 1;
			is_there(moved, to, SIZE + more * PAGE);
		}
		CHECK_EQ(delete_area(moved), B_OK);
		CHECK_STR(check_maps(to), "");
	}
}

/* With a clone that has more: who grows gets an error, and both stay as they are. */
static void with_a_clone(void)
{
	char *base, *to = hole(PAGES + 1);
	void *address;
	area_id id = make(&base), clone, moved;
	area_info info;
	clone = clone_area("clone", &address, B_ANY_ADDRESS, RW, id);
	CHECK(clone > 0);
	moved = move(id, to);
	is_there(moved, to, SIZE);
	CHECK_EQ(resize_area(clone, SIZE + 2 * PAGE), B_ERROR);
	CHECK_EQ(resize_area(clone, SIZE + PAGE), B_OK);
	to[SIZE] = 7;
	CHECK_EQ(((char *)address)[SIZE], 7);
	CHECK_EQ(get_area_info(moved, &info), B_OK);
	CHECK_EQ(info.size, SIZE + PAGE);
	CHECK_EQ(delete_area(clone), B_OK);
	CHECK_EQ(delete_area(moved), B_OK);
}

/* What another area has reserved there gives way, and what this one has. */
static void where_a_reserve_is(void)
{
	char *base, *to = hole(3 * PAGES);
	void *address = to;
	area_id id = make(&base), moved;
	area_id other = create_area("before", &address, B_EXACT_ADDRESS, SIZE, B_NO_LOCK, RW);
	CHECK(other > 0 && address == to);
	CHECK_STR(check_maps(to + SIZE), "rw-s");
	moved = move(id, to + 2 * SIZE);
	is_there(moved, to + 2 * SIZE, SIZE);
	CHECK_EQ(resize_area(other, 2 * SIZE), B_OK);
	CHECK_EQ(resize_area(other, 2 * SIZE + PAGE), B_ERROR);
	CHECK_EQ(resize_area(other, SIZE), B_OK);
	CHECK_EQ(delete_area(other), B_OK);
	CHECK_EQ(delete_area(moved), B_OK);
	/* Into its own. */
	address = to;
	id = create_area("moved", &address, B_EXACT_ADDRESS, SIZE, B_NO_LOCK, RW);
	CHECK(id > 0 && address == to);
	strcpy(to, "first");
	strcpy(to + SIZE - PAGE, "last");
	CHECK_STR(check_maps(to + SIZE), "rw-s");
	moved = move(id, to + SIZE);
	is_there(moved, to + SIZE, SIZE);
	CHECK_STR(check_maps(to), "");
	CHECK_EQ(resize_area(moved, 2 * SIZE), B_OK);
	CHECK_EQ(delete_area(moved), B_OK);
}

/* What is refused is as it was, with all that it had reserved. */
static void where_something_is(void)
{
	char *base, *to = hole(PAGES - 1);
	area_id id = make(&base), other;
	void *address;
	CHECK_EQ(move(id, to), B_BAD_VALUE);
	is_there(id, base, SIZE);
	CHECK_STR(check_maps(to), "");
	CHECK_EQ(move(id, base), B_BAD_VALUE);
	CHECK_EQ(move(id, base + PAGE), B_BAD_VALUE);
	is_there(id, base, SIZE);
	other = clone_area("other", &address, B_ANY_ADDRESS, RW, id);
	CHECK(other > 0);
	CHECK_EQ(move(id, address), B_BAD_VALUE);
	is_there(id, base, SIZE);
	CHECK_EQ(resize_area(id, 200 * PAGE), B_OK);
	base[200 * PAGE - 1] = 1;
	((char *)address)[200 * PAGE - 1] = 2;
	CHECK_EQ(base[200 * PAGE - 1], 2);
	CHECK_EQ(delete_area(other), B_OK);
	CHECK_EQ(delete_area(id), B_OK);
}

/* Where the program has unmapped an area nothing is. */
static void where_one_was_unmapped(void)
{
	char *base, *gone;
	area_id id = make(&base), other = make(&gone), moved;
	area_info info;
	CHECK_EQ(munmap(gone, SIZE), 0);
	moved = move(id, gone);
	is_there(moved, gone, SIZE);
	CHECK_EQ(get_area_info(other, &info), B_BAD_VALUE);
	CHECK_EQ(delete_area(other), B_BAD_VALUE);
	is_there(moved, gone, SIZE);
	CHECK_EQ(delete_area(moved), B_OK);
}

/* In addresses that were reserved, which are so again when it goes. */
static void in_a_reserved_range(void)
{
	addr_t range = 0;
	char *base, *to;
	area_id id, moved;
	void *address;
	CHECK_EQ(_kern_reserve_address_range(&range, B_ANY_ADDRESS, 4 * SIZE), B_OK);
	to = (char *)range + SIZE;
	id = make(&base);
	moved = move(id, to);
	is_there(moved, to, SIZE);
	CHECK_EQ(resize_area(moved, 2 * SIZE), B_OK);
	is_there(moved, to, 2 * SIZE);
	CHECK_EQ(delete_area(moved), B_OK);
	CHECK_STR(check_maps(to), "---p");
	/* At its end there is room for the bytes alone; and not for more than there is. */
	id = make(&base);
	CHECK_EQ(move(id, (char *)range + 3 * SIZE + PAGE), B_BAD_VALUE);
	is_there(id, base, SIZE);
	moved = move(id, (char *)range + 3 * SIZE);
	is_there(moved, (char *)range + 3 * SIZE, SIZE);
	/* At or above: the first place of it that is free. */
	address = (char *)range + PAGE;
	id = _kern_transfer_area(moved, &address, B_BASE_ADDRESS, getpid());
	CHECK(id > 0);
	CHECK(address == (char *)range + PAGE);
	is_there(id, address, SIZE);
	CHECK_EQ(delete_area(id), B_OK);
}

static area_id hear_id(int from)
{
	area_id id = 0;
	CHECK_EQ(read(from, &id, sizeof id), (ssize_t)sizeof id);
	return id;
}

/* A team that is given an area at these addresses, and has `limit` bytes of addresses beside what
 * it has now. */
static int receiver(const char *at, size_t grows, size_t limit, int from, int to)
{
	area_info info;
	area_id id;
	char *there;
	if (limit > 0) {
		struct rlimit addresses;
		size_t pages = 0;
		FILE *statm = fopen("/proc/self/statm", "re");
		CHECK(statm != NULL && fscanf(statm, "%zu", &pages) == 1);
		fclose(statm);
		addresses.rlim_cur = addresses.rlim_max = pages * PAGE + limit;
		CHECK_EQ(setrlimit(RLIMIT_AS, &addresses), 0);
	}
	CHECK_EQ(find_area("no area has this name"), B_NAME_NOT_FOUND);
	check_send(to, 'r');
	id = hear_id(from);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	there = info.address;
	CHECK(at == NULL || there == at);
	is_there(id, there, SIZE);
	CHECK_EQ(resize_area(id, SIZE + grows), B_OK);
	is_there(id, there, SIZE + grows);
	CHECK_EQ(resize_area(id, SIZE + grows + PAGE), at == NULL ? B_OK : B_ERROR);
	/* And the rest of the program has addresses. */
	free(malloc(4 << 20));
	CHECK_EQ(delete_area(id), B_OK);
	return 0;
}

static void to_another_team(size_t room, size_t limit)
{
	int to[2], from[2];
	char *base, *there = room > 0 ? hole(PAGES + room - 1) : NULL;
	void *address = there;
	area_id id, given;
	pid_t child;
	CHECK(pipe(to) == 0 && pipe(from) == 0);
	child = check_fork();
	if (child == 0)
		_exit(receiver(there, room > 0 ? (room - 1) * PAGE : PAGE, limit, to[0], from[1]));
	CHECK_EQ(check_hear(from[0]), 'r');
	id = make(&base);
	if (there != NULL) {
		/* Not where something is, in that team. */
		address = there + (room - 1) * PAGE + PAGE;
		CHECK_EQ(_kern_transfer_area(id, &address, B_EXACT_ADDRESS, child), B_BAD_VALUE);
		is_there(id, base, SIZE);
		address = there;
	}
	given = _kern_transfer_area(id, &address, there != NULL ? B_EXACT_ADDRESS : B_ANY_ADDRESS, child);
	CHECK(given > 0);
	CHECK_EQ(write(to[1], &given, sizeof given), (ssize_t)sizeof given);
	check_child(child, 0);
	CHECK(close(to[0]) == 0 && close(to[1]) == 0 && close(from[0]) == 0 && close(from[1]) == 0);
}

int main(void)
{
	where_its_reserve_has_no_room();
	with_a_clone();
	where_a_reserve_is();
	where_something_is();
	where_one_was_unmapped();
	in_a_reserved_range();
	to_another_team(1, 0);
	to_another_team(4, 0);
	to_another_team(0, 256 << 20);
	return 0;
}
