/*
 * Heaps that grow by resize_area, as programs for BeOS have them: made at any address, not locked,
 * lazily and fully locked, several in turn, hundreds at once, with clones in another team, until
 * memory or addresses end. What ends is memory (B_NO_MEMORY), and never the room (B_ERROR).
 *
 * Not under valgrind: version 3.19 lacks mlock2, and limits would be valgrind's as well.
 */
#include <OS.h>

#include "check.h"

#include <sys/resource.h>

#define PAGE ((size_t)B_PAGE_SIZE)
#define MIB ((size_t)1 << 20)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* An area, and how much of it is given out. */
typedef struct heap {
	area_id id;
	char *start;
	size_t used, size;
} heap;

static heap heap_new(const char *name, uint32 spec, size_t size, uint32 lock)
{
	void *address = NULL;
	heap made = { 0, NULL, 0, size };
	made.id = create_area(name, &address, spec, size, lock, RW);
	made.start = address;
	return made;
}

/* Bytes of the heap, which becomes as much larger as it has to be; NULL with what resize_area
 * said. */
static char *heap_take(heap *from, size_t bytes, status_t *status)
{
	size_t end = from->used + bytes, size = from->size;
	char *taken = from->start + from->used;
	while (size < end)
		size *= 2;
	if (size > from->size) {
		*status = resize_area(from->id, size);
		if (*status != B_OK)
			return NULL;
		CHECK_EQ(from->start[size - 1], 0);
		from->size = size;
	}
	from->used = end;
	return taken;
}

static size_t size_of(area_id id)
{
	area_info info;
	CHECK_EQ(get_area_info(id, &info), B_OK);
	return info.size;
}

static int is_limited(int what)
{
	struct rlimit limit;
	CHECK_EQ(getrlimit((__rlimit_resource_t)what, &limit), 0);
	return limit.rlim_cur != RLIM_INFINITY;
}

/* Several in turn, each with blocks of its own, to a quarter of a GiB in all. */
static void in_turn(uint32 spec)
{
	heap heaps[4];
	char *first[COUNT(heaps)] = { NULL };
	size_t i, round;
	status_t status = B_OK;
	for (i = 0; i < COUNT(heaps); i++) {
		heaps[i] = heap_new("in turn", spec, 32 * PAGE, B_NO_LOCK);
		CHECK(heaps[i].id > 0);
	}
	for (round = 0; round < 640; round++)
		for (i = 0; i < COUNT(heaps); i++) {
			char *block = heap_take(&heaps[i], 100000, &status);
			CHECK(block != NULL);
			memset(block, (int)(i + 1), 1000);
			block[99999] = (char)round;
			if (round == 0)
				first[i] = block;
			CHECK_EQ(area_for(block + 99999), heaps[i].id);
		}
	for (i = 0; i < COUNT(heaps); i++) {
		/* It is where it was. */
		CHECK_EQ(first[i][999], (int)(i + 1));
		CHECK_EQ(heaps[i].size, 64 * MIB);
		CHECK_EQ(size_of(heaps[i].id), 64 * MIB);
		CHECK_EQ(delete_area(heaps[i].id), B_OK);
	}
}

/* Until memory ends. Nothing of it is touched but the ends. */
static void until_memory_ends(uint32 spec)
{
	size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * PAGE;
	heap grows = heap_new("until memory ends", spec, PAGE, B_NO_LOCK), beside = heap_new("beside", spec, PAGE, B_NO_LOCK);
	status_t status = B_OK;
	CHECK(grows.id > 0 && beside.id > 0);
	beside.start[0] = 'b';
	while (heap_take(&grows, grows.size, &status) != NULL)
		continue;
	CHECK_EQ(status, B_NO_MEMORY);
	CHECK(grows.size > memory / 4);
	CHECK_EQ(size_of(grows.id), grows.size);
	grows.start[grows.size - 1] = 'e';
	CHECK_EQ(beside.start[0], 'b');
	CHECK_EQ(delete_area(grows.id), B_OK);
	CHECK_EQ(delete_area(beside.id), B_OK);
}

/* With a limit of addresses: no room is mapped in advance that would take them from others, and
 * they are used to the end. */
static void until_addresses_end(void)
{
	unsigned long pages = 0;
	struct rlimit most;
	heap grows;
	void *malloced;
	status_t status = B_OK;
	FILE *statm = fopen("/proc/self/statm", "re");
	CHECK(statm != NULL && fscanf(statm, "%lu", &pages) == 1);
	fclose(statm);
	/* The registry takes some for itself. */
	most.rlim_cur = most.rlim_max = pages * PAGE + 640 * MIB;
	CHECK_EQ(setrlimit(RLIMIT_AS, &most), 0);
	grows = heap_new("until addresses end", B_ANY_ADDRESS, PAGE, B_NO_LOCK);
	CHECK(grows.id > 0);
	while (heap_take(&grows, grows.size, &status) != NULL)
		continue;
	CHECK_EQ(status, B_NO_MEMORY);
	CHECK_EQ(grows.size, 512 * MIB);
	CHECK_EQ(resize_area(grows.id, PAGE), B_OK);
	/* What it has had is a reserve, which no process asked for: it gives way to another area. */
	CHECK(heap_new("another", B_ANY_ADDRESS, 256 * MIB, B_NO_LOCK).id > 0);
	malloced = malloc(64 * MIB);
	CHECK(malloced != NULL);
	free(malloced);
}

/* Locked ones have no reserve, and grow all the same, with all they have locked. */
static void locked(uint32 lock, uint32 spec)
{
	struct rlimit allowed;
	size_t most = 32 * MIB;
	heap grows[2];
	size_t i;
	area_info info;
	status_t status = B_OK;
	CHECK_EQ(getrlimit(RLIMIT_MEMLOCK, &allowed), 0);
	for (i = 0; i < 2; i++) {
		grows[i] = heap_new("locked", spec, 16 * PAGE, lock);
		if (grows[i].id == B_NO_MEMORY)
			SKIP("nothing may be locked here");
		CHECK(grows[i].id > 0);
	}
	if (geteuid() != 0 && allowed.rlim_cur != RLIM_INFINITY && allowed.rlim_cur / 4 < most)
		most = allowed.rlim_cur / 4;
	while (grows[0].size * 2 <= most)
		for (i = 0; i < 2; i++) {
			char *block = heap_take(&grows[i], grows[i].size + 1 - grows[i].used, &status);
			CHECK_EQ(status, B_OK);
			*block = (char)i;
			grows[i].start[grows[i].size - 1] = 'e';
			CHECK(check_smaps(grows[i].start + grows[i].size - 1, "Locked") > 0);
		}
	for (i = 0; i < 2; i++) {
		CHECK_EQ(get_area_info(grows[i].id, &info), B_OK);
		CHECK_EQ(info.size, grows[i].size);
		CHECK(lock != B_FULL_LOCK || info.ram_size == info.size);
		CHECK_EQ(grows[i].start[grows[i].size - 1], 'e');
		CHECK_EQ(delete_area(grows[i].id), B_OK);
	}
}

/* A clone in another team has as much room: whoever grows it, both use it, the other one without a
 * call. */
static void with_a_clone_of_another_team(uint32 spec)
{
	int to[2], from[2];
	heap server;
	pid_t child;
	CHECK(pipe(to) == 0 && pipe(from) == 0);
	child = check_fork();
	if (child == 0) {
		void *address = NULL;
		volatile char *bytes;
		area_id clone;
		check_hear(to[0]);
		clone = clone_area("client", &address, spec, RW, find_area("server"));
		CHECK(clone > 0);
		bytes = address;
		check_send(from[1], 'c');
		check_hear(to[0]);
		/* No call since. */
		CHECK_EQ(bytes[256 * MIB - 1], 's');
		CHECK_EQ(resize_area(clone, 512 * MIB), B_OK);
		bytes[512 * MIB - 1] = 'c';
		check_send(from[1], 'g');
		check_hear(to[0]);
		_exit(0);
	}
	server = heap_new("server", B_ANY_ADDRESS, 32 * PAGE, B_NO_LOCK);
	CHECK(server.id > 0);
	check_send(to[1], 'r');
	CHECK_EQ(check_hear(from[0]), 'c');
	CHECK_EQ(resize_area(server.id, 256 * MIB), B_OK);
	server.start[256 * MIB - 1] = 's';
	check_send(to[1], 'g');
	CHECK_EQ(check_hear(from[0]), 'g');
	CHECK_EQ(server.start[512 * MIB - 1], 'c');
	CHECK_EQ(size_of(server.id), 512 * MIB);
	check_send(to[1], 'e');
	check_child(child, 0);
	CHECK_EQ(delete_area(server.id), B_OK);
}

/* Hundreds, each of which grows by more than a modest reserve; while they come and go. */
static void many(void)
{
	enum { MANY = 800 };
	static heap all[MANY];
	struct rlimit files;
	size_t i, count = MANY, round;
	status_t status = B_OK;
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
	if (files.rlim_cur < MANY + 100)
		count = files.rlim_cur / 2;
	for (i = 0; i < count; i++) {
		all[i] = heap_new("many", B_ANY_ADDRESS, PAGE, B_NO_LOCK);
		CHECK(all[i].id > 0);
	}
	for (round = 0; round < 3; round++) {
		for (i = 0; i < count; i++) {
			char *block = heap_take(&all[i], 2 * MIB, &status);
			CHECK_EQ(status, B_OK);
			block[2 * MIB - 1] = (char)i;
		}
		for (i = round; i < count; i += 3) {
			CHECK_EQ(delete_area(all[i].id), B_OK);
			all[i] = heap_new("many again", B_ANY_ADDRESS, PAGE, B_NO_LOCK);
			CHECK(all[i].id > 0);
		}
	}
	for (i = 0; i < count; i++)
		CHECK_EQ(delete_area(all[i].id), B_OK);
}

/* A forked child has what its parent has, at the same addresses, and grows it as its parent
 * would. */
static void forked(void)
{
	heap grows = heap_new("forked", B_ANY_ADDRESS, PAGE, B_NO_LOCK);
	pid_t child;
	CHECK(grows.id > 0);
	child = check_fork();
	if (child == 0) {
		heap own = heap_new("the child's", B_ANY_ADDRESS, PAGE, B_NO_LOCK);
		CHECK(own.id > 0);
		CHECK_EQ(resize_area(area_for(grows.start), 128 * MIB), B_OK);
		grows.start[128 * MIB - 1] = 'f';
		CHECK_EQ(resize_area(own.id, 128 * MIB), B_OK);
		_exit(0);
	}
	check_child(child, 0);
	CHECK_EQ(grows.start[128 * MIB - 1], 'f');
	CHECK_EQ(resize_area(grows.id, 256 * MIB), B_OK);
	CHECK_EQ(delete_area(grows.id), B_OK);
}

int main(void)
{
	static const uint32 specs[] = { B_ANY_ADDRESS, B_RANDOMIZED_ANY_ADDRESS };
	size_t i;
	pid_t child = check_fork();
	if (child == 0) {
		until_addresses_end();
		_exit(0);
	}
	check_child(child, 0);
	for (i = 0; i < COUNT(specs); i++) {
		in_turn(specs[i]);
		until_memory_ends(specs[i]);
		if (!is_limited(RLIMIT_AS))
			with_a_clone_of_another_team(specs[i]);
	}
	if (!is_limited(RLIMIT_AS))
		with_a_clone_of_another_team(B_CLONE_ADDRESS);
	many();
	forked();
	for (i = 0; i < COUNT(specs); i++) {
		locked(B_LAZY_LOCK, specs[i]);
		locked(B_FULL_LOCK, specs[i]);
	}
	return 0;
}
