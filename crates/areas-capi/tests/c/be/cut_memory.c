/*
 * Where the memory goes of what the program unmaps of an area: back to the kernel at once, if no
 * other process has the area; and to its other holders, as it is, if a process has. The kernel says
 * how many blocks the object has.
 */
#include <OS.h>
#include <syscalls.h>

#include "check.h"

#include <dirent.h>
#include <sys/uio.h>

/* As areas.h has it, whose other names are not BeOS's. */
extern int areas_forget_range(void *start, size_t length);

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define PAGES 64
#define SIZE (PAGES * PAGE)

/* What stat says of the object behind an address of this process. */
static struct stat object_at(const void *address)
{
	char line[512], path[64];
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, to, inode = 0, found;
	struct dirent *entry;
	struct stat status;
	DIR *folder;
	CHECK(maps != NULL);
	while (fgets(line, sizeof line, maps) != NULL)
		if (sscanf(line, "%lx-%lx %*s %*x %*s %lu", &from, &to, &found) == 3 && from <= (uintptr_t)address && (uintptr_t)address < to)
			inode = found;
	fclose(maps);
	CHECK(inode != 0);
	folder = opendir("/proc/self/fd");
	CHECK(folder != NULL);
	while ((entry = readdir(folder)) != NULL) {
		snprintf(path, sizeof path, "/proc/self/fd/%.20s", entry->d_name);
		if (stat(path, &status) == 0 && status.st_ino == inode && S_ISREG(status.st_mode)) {
			closedir(folder);
			return status;
		}
	}
	check_failed(__FILE__, __LINE__, "no descriptor of inode %lu", inode);
}

static size_t pages_of(const void *address)
{
	return (size_t)object_at(address).st_blocks * 512 / PAGE;
}

/* Whether a byte can be read, as the kernel says. */
static int is_there(const char *at)
{
	char byte;
	struct iovec here = { &byte, 1 }, there = { (void *)(uintptr_t)at, 1 };
	return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1;
}

static area_id make(char **base)
{
	area_id id = create_area("memory of what is cut", (void **)base, B_ANY_ADDRESS, SIZE, B_NO_LOCK, RW);
	size_t i;
	CHECK(id > 0);
	for (i = 0; i < PAGES; i++)
		(*base)[i * PAGE] = (char)(i + 1);
	CHECK_EQ(pages_of(*base), PAGES);
	return id;
}

/* No other process has it: each part that goes is released, and what comes again is zeros. */
static void no_other_process_has_it(void)
{
	char *base;
	area_info info;
	area_id id = make(&base), second;
	size_t i;
	CHECK_EQ(munmap(base, 8 * PAGE), 0);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.ram_size, (PAGES - 8) * PAGE);
	CHECK_EQ(pages_of(base + 8 * PAGE), PAGES - 8);
	CHECK_EQ(munmap(base + (PAGES - 8) * PAGE, 8 * PAGE), 0);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.ram_size, (PAGES - 16) * PAGE);
	CHECK_EQ(pages_of(base + 8 * PAGE), PAGES - 16);
	CHECK_EQ(object_at(base + 8 * PAGE).st_size, (PAGES - 8) * PAGE);
	CHECK_EQ(munmap(base + 20 * PAGE, 10 * PAGE), 0);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.ram_size, 12 * PAGE);
	second = area_for(base + 30 * PAGE);
	CHECK(second > 0 && second != id);
	CHECK_EQ(get_area_info(second, &info), B_OK);
	CHECK_EQ(info.ram_size, (PAGES - 8 - 30) * PAGE);
	CHECK_EQ(pages_of(base + 8 * PAGE), PAGES - 16 - 10);
	/* Into the hole it grows, up to the other part and no further. */
	CHECK_EQ(resize_area(id, 22 * PAGE), B_OK);
	for (i = 20 * PAGE; i < 30 * PAGE; i++)
		CHECK_EQ(base[i], 0);
	memset(base + 20 * PAGE, 'g', 10 * PAGE);
	CHECK_EQ(resize_area(id, 23 * PAGE), B_ERROR);
	CHECK_EQ(base[30 * PAGE], 31);
	/* The other part goes, its memory with it; and there is room. */
	CHECK_EQ(delete_area(second), B_OK);
	CHECK_EQ(pages_of(base + 8 * PAGE), 22);
	CHECK_EQ(resize_area(id, 32 * PAGE), B_OK);
	for (i = 30 * PAGE; i < 40 * PAGE; i++)
		CHECK_EQ(base[i], 0);
	CHECK_EQ(base[29 * PAGE], 'g');
	CHECK_EQ(base[8 * PAGE], 9);
	CHECK_EQ(delete_area(id), B_OK);
}

/* A clone that fails does not count. */
static void no_process_got_it(void)
{
	char *base;
	void *address;
	area_info info;
	area_id id = make(&base);
	address = base;
	CHECK_EQ(clone_area("clone", &address, B_EXACT_ADDRESS, RW, id), B_BAD_VALUE);
	CHECK_EQ(clone_area("clone", &address, B_CLONE_ADDRESS, RW, id), B_BAD_VALUE);
	CHECK_EQ(munmap(base + (PAGES - 8) * PAGE, 8 * PAGE), 0);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.ram_size, (PAGES - 8) * PAGE);
	CHECK_EQ(pages_of(base), PAGES - 8);
	CHECK_EQ(resize_area(id, SIZE), B_OK);
	CHECK_EQ(base[(PAGES - 8) * PAGE], 0);
	CHECK_EQ(delete_area(id), B_OK);
}

/* Another team has it: whatever the maker unmaps, its clone has all of it, and goes on to have
 * it. */
static void another_process_has_it(void)
{
	char *base;
	area_info info;
	area_id id = make(&base);
	int asked[2], answered[2];
	pid_t child;
	CHECK_EQ(pipe(asked), 0);
	CHECK_EQ(pipe(answered), 0);
	child = check_fork();
	if (child == 0) {
		char *copy, *again;
		size_t i;
		area_id clone = clone_area("clone", (void **)&copy, B_ANY_ADDRESS, RW, id), of_rest;
		CHECK(clone > 0);
		check_send(answered[1], 'c');
		CHECK_EQ(check_hear(asked[0]), 'u');
		CHECK_EQ(get_area_info(clone, &info), B_OK);
		CHECK_EQ(info.size, SIZE);
		for (i = 0; i < PAGES; i++)
			CHECK_EQ(copy[i * PAGE], (char)(i + 1));
		/* Who clones it from now on has what is left. */
		CHECK_EQ(get_area_info(id, &info), B_OK);
		CHECK_EQ(info.size, 4 * PAGE);
		of_rest = clone_area("clone of the rest", (void **)&again, B_ANY_ADDRESS, RW, id);
		CHECK(of_rest > 0);
		CHECK_EQ(get_area_info(of_rest, &info), B_OK);
		CHECK_EQ(info.size, 4 * PAGE);
		for (i = 0; i < 4; i++)
			CHECK_EQ(again[i * PAGE], (char)(8 + i + 1));
		again[1] = 'w';
		CHECK_EQ(copy[8 * PAGE + 1], 'w');
		/* The whole grows and shrinks as ever; what was cut off it does not follow. */
		CHECK_EQ(resize_area(clone, (PAGES + 8) * PAGE), B_OK);
		CHECK_EQ(get_area_info(id, &info), B_OK);
		CHECK_EQ(info.size, 4 * PAGE);
		CHECK_EQ(delete_area(of_rest), B_OK);
		CHECK_EQ(delete_area(clone), B_OK);
		_exit(7);
	}
	CHECK_EQ(check_hear(answered[0]), 'c');
	CHECK_EQ(munmap(base, 8 * PAGE), 0);
	CHECK_EQ(munmap(base + 12 * PAGE, (PAGES - 12) * PAGE), 0);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK(info.address == base + 8 * PAGE);
	CHECK_EQ(info.size, 4 * PAGE);
	CHECK_EQ(info.ram_size, 4 * PAGE);
	CHECK_EQ(pages_of(base + 8 * PAGE), PAGES);
	/* What is behind is the clone's: it does not grow over it. */
	CHECK_EQ(resize_area(id, 5 * PAGE), B_ERROR);
	CHECK_EQ(resize_area(id, 4 * PAGE), B_OK);
	check_send(asked[1], 'u');
	check_child(child, 7);
	CHECK_EQ(base[8 * PAGE + 1], 'w');
	CHECK_EQ(delete_area(id), B_OK);
	close(asked[0]), close(asked[1]), close(answered[0]), close(answered[1]);
}

/* A part of which there is a clone has a size of its own, and so has the clone: one resize would
 * not be one of both, so that it is refused. */
static void a_clone_of_a_part(void)
{
	char *base, *copy;
	area_info info;
	area_id id = make(&base), clone, second;
	int round, to[2], from[2];
	CHECK(pipe(to) == 0 && pipe(from) == 0);
	CHECK_EQ(munmap(base + 6 * PAGE, 3 * PAGE), 0);
	for (round = 0; round < 2; round++) {
		pid_t child = 0;
		if (round == 0) {
			clone = clone_area("clone", (void **)&copy, B_ANY_ADDRESS, RW, id);
		} else {
			child = check_fork();
			if (child == 0) {
				clone = clone_area("clone", (void **)&copy, B_ANY_ADDRESS, RW, id);
				CHECK(clone > 0);
				/* But for what was inherited. */
				CHECK_EQ(delete_area(area_for(base)), B_OK);
				check_send(from[1], 'c');
				check_hear(to[0]);
				CHECK_EQ(resize_area(clone, 2 * PAGE), B_ERROR);
				CHECK_EQ(get_area_info(clone, &info), B_OK);
				CHECK_EQ(info.size, 6 * PAGE);
				CHECK_EQ(copy[5 * PAGE], 6);
				_exit(0);
			}
			clone = check_hear(from[0]);
		}
		CHECK(clone > 0);
		CHECK_EQ(resize_area(id, 2 * PAGE), B_ERROR);
		CHECK_EQ(resize_area(id, 7 * PAGE), B_ERROR);
		CHECK_EQ(get_area_info(id, &info), B_OK);
		CHECK_EQ(info.size, 6 * PAGE);
		CHECK_EQ(base[5 * PAGE], 6);
		if (round == 0) {
			CHECK_EQ(resize_area(clone, 2 * PAGE), B_ERROR);
			CHECK_EQ(copy[5 * PAGE], 6);
			CHECK_EQ(delete_area(clone), B_OK);
		} else {
			check_send(to[1], 'e');
			check_child(child, 0);
		}
	}
	/* Alone again. The other part is not touched by that. */
	second = area_for(base + 9 * PAGE);
	CHECK(second > 0 && second != id);
	CHECK_EQ(resize_area(id, 2 * PAGE), B_OK);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.size, 2 * PAGE);
	CHECK_EQ(base[9 * PAGE], 10);
	CHECK_EQ(get_area_info(second, &info), B_OK);
	CHECK_EQ(info.size, (PAGES - 9) * PAGE);
	CHECK_EQ(delete_area(second), B_OK);
	CHECK_EQ(delete_area(id), B_OK);
	CHECK(close(to[0]) == 0 && close(to[1]) == 0 && close(from[0]) == 0 && close(from[1]) == 0);
}

/* A holder of the whole makes it smaller for all, also for what lies behind a gap, whether its
 * maker knows of that or not; and larger again. */
static void who_has_the_whole_resizes_it(int known)
{
	char *base;
	area_info info;
	area_id id = make(&base), second;
	int to[2], from[2];
	pid_t child;
	CHECK(pipe(to) == 0 && pipe(from) == 0);
	child = check_fork();
	if (child == 0) {
		area_id own = area_for(base);
		check_send(from[1], 'r');
		check_hear(to[0]);
		CHECK_EQ(resize_area(own, 4 * PAGE), B_OK);
		check_send(from[1], 's');
		check_hear(to[0]);
		CHECK_EQ(resize_area(own, PAGES * PAGE), B_OK);
		CHECK_EQ(base[3 * PAGE], 4);
		CHECK_EQ(base[12 * PAGE], 0);
		base[12 * PAGE] = 'n';
		check_send(from[1], 'g');
		check_hear(to[0]);
		_exit(0);
	}
	check_hear(from[0]);
	CHECK_EQ(munmap(base + 6 * PAGE, 3 * PAGE), 0);
	if (known)
		CHECK_EQ(get_area_info(id, &info), B_OK);
	check_send(to[1], 's');
	check_hear(from[0]);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.size, 4 * PAGE);
	CHECK_EQ(base[3 * PAGE], 4);
	CHECK(!is_there(base + 4 * PAGE));
	CHECK(!is_there(base + 9 * PAGE));
	check_send(to[1], 'g');
	check_hear(from[0]);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.size, 6 * PAGE);
	CHECK_EQ(base[12 * PAGE], 'n');
	second = area_for(base + 12 * PAGE);
	CHECK(second > 0 && second != id);
	CHECK_EQ(get_area_info(second, &info), B_OK);
	CHECK(info.address == base + 9 * PAGE);
	CHECK_EQ(info.size, (PAGES - 9) * PAGE);
	check_send(to[1], 'e');
	check_child(child, 0);
	CHECK_EQ(delete_area(second), B_OK);
	CHECK_EQ(delete_area(id), B_OK);
	CHECK(close(to[0]) == 0 && close(to[1]) == 0 && close(from[0]) == 0 && close(from[1]) == 0);
}

/* A part that is handed to another team goes with what it has, and nothing else of it. */
static void handed_over(void)
{
	char *base;
	area_info info;
	area_id id = make(&base), given;
	int ready[2], go[2];
	void *anywhere = NULL;
	pid_t child;
	CHECK_EQ(pipe(ready), 0);
	CHECK_EQ(pipe(go), 0);
	CHECK_EQ(munmap(base + 4 * PAGE, 4 * PAGE), 0);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	given = area_for(base + 8 * PAGE);
	child = check_fork();
	if (child == 0) {
		ssize_t cookie = 0;
		int found = 0;
		void *own;
		CHECK(create_area("makes it a team", &own, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW) > 0);
		check_send(ready[1], 'r');
		CHECK_EQ(check_hear(go[0]), 'g');
		/* It has inherited both parts, and one of them came once more. */
		while (get_next_area_info(0, &cookie, &info) == B_OK)
			if (info.size == (PAGES - 8) * PAGE) {
				const char *bytes = info.address;
				CHECK_EQ(bytes[0], 9);
				CHECK_EQ(bytes[(PAGES - 9) * PAGE], PAGES);
				CHECK_STR(info.name, "memory of what is cut");
				found++;
			}
		CHECK_EQ(found, 2);
		_exit(7);
	}
	CHECK_EQ(check_hear(ready[0]), 'r');
	CHECK(_kern_transfer_area(given, &anywhere, B_ANY_ADDRESS, child) >= 0);
	CHECK_EQ(area_for(base + 8 * PAGE), B_ERROR);
	CHECK_STR(check_maps(base + 8 * PAGE), "");
	check_send(go[1], 'g');
	check_child(child, 7);
	CHECK_EQ(base[0], 1);
	/* Within this team the other part moves. */
	given = _kern_transfer_area(id, &anywhere, B_ANY_ADDRESS, getpid());
	CHECK(given > 0 && given != id);
	CHECK_EQ(get_area_info(given, &info), B_OK);
	CHECK(info.address == anywhere && anywhere != (void *)base);
	CHECK_EQ(info.size, 4 * PAGE);
	CHECK_EQ(((char *)anywhere)[3 * PAGE], 4);
	CHECK_EQ(delete_area(given), B_OK);
	close(ready[0]), close(ready[1]), close(go[0]), close(go[1]);
}

/* Reported before the program unmaps: at once. */
static void reported_before(void)
{
	char *base, *elsewhere;
	area_info info;
	area_id id = make(&base), second;
	size_t i;
	/* Of no area: nothing happens. */
	elsewhere = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(elsewhere != MAP_FAILED);
	CHECK_EQ(areas_forget_range(elsewhere, SIZE), 0);
	CHECK_EQ(munmap(elsewhere, SIZE), 0);
	CHECK_EQ(areas_forget_range(NULL, 0), 0);
	CHECK_EQ(areas_forget_range(base, 0), 0);
	CHECK(areas_forget_range(base + 1, PAGE) < 0);
	CHECK(areas_forget_range(base, SIZE_MAX) < 0);
	CHECK_EQ(area_for(base), id);
	/* The middle, not in whole pages. */
	CHECK_EQ(areas_forget_range(base + 4 * PAGE, 2 * PAGE - 7), 0);
	for (i = 4; i < 6; i++)
		CHECK_EQ(area_for(base + i * PAGE), B_ERROR);
	/* Nothing is unmapped. */
	CHECK_EQ(munmap(base + 4 * PAGE, 2 * PAGE), 0);
	CHECK_EQ(area_for(base), id);
	second = area_for(base + 6 * PAGE);
	CHECK(second > 0 && second != id);
	CHECK_EQ(pages_of(base), PAGES - 2);
	/* Both at once. */
	CHECK_EQ(areas_forget_range(base + 2 * PAGE, 8 * PAGE), 0);
	CHECK_EQ(munmap(base + 2 * PAGE, 8 * PAGE), 0);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.size, 2 * PAGE);
	CHECK_EQ(get_area_info(second, &info), B_OK);
	CHECK(info.address == base + 10 * PAGE);
	CHECK_EQ(area_for(base + 10 * PAGE), second);
	CHECK_EQ(areas_forget_range(base, SIZE), 0);
	CHECK_EQ(munmap(base, SIZE), 0);
	CHECK_EQ(get_area_info(id, &info), B_BAD_VALUE);
	CHECK_EQ(get_area_info(second, &info), B_BAD_VALUE);
	CHECK_EQ(area_for(base), B_ERROR);
}

/* Of an area that was unmapped whole, with no call since, nothing is in the way of an exact
 * address: what was reserved behind it neither. */
static void its_reserve_is_in_no_areas_way(void)
{
	char *base;
	void *address;
	area_info info;
	area_id id = make(&base), other;
	CHECK_EQ(munmap(base, SIZE), 0);
	address = base;
	other = create_area("other", &address, B_EXACT_ADDRESS, SIZE + PAGE, B_NO_LOCK, RW);
	CHECK(other > 0);
	CHECK(address == base);
	base[SIZE] = 'o';
	CHECK_EQ(get_area_info(id, &info), B_BAD_VALUE);
	CHECK_EQ(area_for(base + SIZE), other);
	CHECK_EQ(delete_area(other), B_OK);
}

int main(void)
{
	another_process_has_it();
	its_reserve_is_in_no_areas_way();
	handed_over();
	a_clone_of_a_part();
	who_has_the_whole_resizes_it(0);
	who_has_the_whole_resizes_it(1);
	if (!check_knows_holders())
		SKIP("this kernel has no flags of memory objects (before Linux 6.0): what is unmapped keeps its memory");
	no_other_process_has_it();
	no_process_got_it();
	reported_before();
	return 0;
}
