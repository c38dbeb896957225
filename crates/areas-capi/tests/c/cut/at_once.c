/*
 * With libareas-cut.so, what the program unmaps, maps over or moves is cut from its areas at once:
 * area_for and get_area_info say so with the very next call, and delete_area unmaps what is left
 * and nothing else. Calls that fail cut nothing; errno is the kernel's.
 *
 * Not under valgrind: version 3.19 knows neither MREMAP_DONTUNMAP nor SHM_REMAP.
 */
#include <OS.h>

#include <sys/ipc.h>
#include <sys/shm.h>

#include "cut/left.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define PAGES 8

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* An area whose pages have their numbers in them. */
static area_id made(const char *name, char **at)
{
	void *address = NULL;
	area_id area = create_area(name, &address, B_ANY_ADDRESS, PAGES * PAGE, B_NO_LOCK, RW);
	int i;
	CHECK(area > 0);
	*at = address;
	for (i = 0; i < PAGES; i++)
		(*at)[(size_t)i * PAGE] = (char)('a' + i);
	return area;
}

/* An area is that many pages from that one of `at` on, with what was written there. */
static void is(area_id area, const char *at, int from, int pages)
{
	area_info info;
	int i;
	CHECK_EQ(get_area_info(area, &info), B_OK);
	CHECK_EQ((uintptr_t)info.address, (uintptr_t)at + (size_t)from * PAGE);
	CHECK_EQ(info.size, (size_t)pages * PAGE);
	for (i = from; i < from + pages; i++) {
		CHECK_EQ(area_for((char *)at + (size_t)i * PAGE), area);
		CHECK_EQ(area_for((char *)at + (size_t)i * PAGE + PAGE - 1), area);
		CHECK_EQ(at[(size_t)i * PAGE], 'a' + i);
	}
}

static void is_no_area(const char *at, int from, int to)
{
	for (; from < to; from++)
		CHECK_EQ(area_for((char *)at + (size_t)from * PAGE), B_ERROR);
}

static void is_gone(area_id area)
{
	area_info info;
	CHECK_EQ(get_area_info(area, &info), B_BAD_VALUE);
	CHECK_EQ(delete_area(area), B_BAD_VALUE);
}

static void unmapped(void)
{
	char *at;
	area_info info;
	area_id area = made("unmapped", &at), second;
	errno = 77;
	CHECK_EQ(munmap(at, 2 * PAGE), 0);
	CHECK_EQ(errno, 77);
	is_no_area(at, 0, 2);
	is(area, at, 2, 6);
	CHECK_EQ(munmap(at + 7 * PAGE, PAGE), 0);
	is_no_area(at, 7, 8);
	is(area, at, 2, 5);
	/* Out of the middle, by a length that is not in whole pages. */
	CHECK_EQ(munmap(at + 4 * PAGE, PAGE - 1), 0);
	is_no_area(at, 4, 5);
	is(area, at, 2, 2);
	second = area_for(at + 5 * PAGE);
	CHECK(second > 0 && second != area);
	is(second, at, 5, 2);
	CHECK_EQ(get_area_info(second, &info), B_OK);
	CHECK_STR(info.name, "unmapped");
	CHECK_EQ(munmap(at + 5 * PAGE, 2 * PAGE), 0);
	is_no_area(at, 4, 8);
	is_gone(second);
	is(area, at, 2, 2);
	CHECK_EQ(delete_area(area), B_OK);
	nothing_is_left();
}

/* One call over two areas, with something else between them. */
static void over_two(void)
{
	char *range = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *between;
	void *first_at = range, *second_at = range + 5 * PAGE;
	area_id first, second;
	area_info info;
	CHECK(range != MAP_FAILED);
	CHECK_EQ(munmap(range, 64 * PAGE), 0);
	second = create_area("second", &second_at, B_EXACT_ADDRESS, 4 * PAGE, B_NO_LOCK, RW);
	between = mmap(range + 4 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(between == range + 4 * PAGE);
	first = create_area("first", &first_at, B_EXACT_ADDRESS, 4 * PAGE, B_NO_LOCK, RW);
	CHECK(first > 0 && second > 0);
	CHECK_EQ(munmap(range + 3 * PAGE, 4 * PAGE), 0);
	is_no_area(range, 3, 7);
	CHECK_EQ(get_area_info(first, &info), B_OK);
	CHECK_EQ(info.size, 3 * PAGE);
	CHECK_EQ(get_area_info(second, &info), B_OK);
	CHECK_EQ((uintptr_t)info.address, (uintptr_t)range + 7 * PAGE);
	CHECK_EQ(info.size, 2 * PAGE);
	CHECK_EQ(delete_area(first), B_OK);
	CHECK_EQ(delete_area(second), B_OK);
	CHECK_STR(check_maps(range + 3 * PAGE), "");
	nothing_is_left();
}

typedef void *(*mapper)(void *, size_t, int, int, int, off_t);

static void mapped_over(mapper map)
{
	char *at, *mine;
	area_id area = made("mapped over", &at), second;
	errno = 77;
	mine = map(at + 2 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(mine == at + 2 * PAGE);
	CHECK_EQ(errno, 77);
	strcpy(mine, "mine");
	is_no_area(at, 2, 4);
	is(area, at, 0, 2);
	second = area_for(at + 4 * PAGE);
	is(second, at, 4, 4);
	CHECK_EQ(resize_area(area, PAGES * PAGE), B_ERROR);
	CHECK_EQ(set_area_protection(area, B_READ_AREA), B_OK);
	CHECK_STR(check_maps(mine), "rw-p");
	CHECK_EQ(delete_area(area), B_OK);
	CHECK_EQ(delete_area(second), B_OK);
	CHECK_STR(mine, "mine");
	CHECK_EQ(munmap(mine, 2 * PAGE), 0);

	/* All of it, and more. */
	area = made("mapped over", &at);
	mine = map(at, 2 * PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	strcpy(mine, "mine, too");
	is_no_area(at, 0, PAGES);
	is_gone(area);
	CHECK_STR(mine, "mine, too");
	CHECK_EQ(munmap(mine, 2 * PAGES * PAGE), 0);
	nothing_is_left();
}

static void refused(void)
{
	char *at;
	area_id area = made("refused", &at);
	errno = 0;
	CHECK_EQ(munmap(at + 1, PAGE), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(munmap(at, 0), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK(mmap(at, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, 987654, 0) == MAP_FAILED);
	CHECK_EQ(errno, EBADF);
	CHECK(mmap(at + 7, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	CHECK(mmap(at, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED);
	CHECK_EQ(errno, EEXIST);
	CHECK(mmap(at, (size_t)1 << 62, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
	CHECK_EQ(errno, ENOMEM);
	CHECK(mremap(at, PAGE, 4 * PAGE, 0) == MAP_FAILED);
	CHECK_EQ(errno, ENOMEM);
	CHECK(mremap(at + 1, PAGE, PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	CHECK(shmat(-1, at, SHM_REMAP) == (void *)-1);
	CHECK_EQ(errno, EINVAL);
	/* Not over it, as that is not asked. */
	CHECK(mmap(at, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != (void *)at);
	is(area, at, 0, PAGES);
	CHECK_EQ(delete_area(area), B_OK);
	nothing_is_left();
}

static void moved(void)
{
	char *at, *other, *elsewhere = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	area_id area, over;
	void *got;
	CHECK(elsewhere != MAP_FAILED);

	/* Shorter: its tail is gone. */
	area = made("shorter", &at);
	CHECK(mremap(at, PAGES * PAGE, 5 * PAGE, 0) == at);
	is_no_area(at, 5, PAGES);
	is(area, at, 0, 5);
	CHECK_EQ(delete_area(area), B_OK);
	nothing_is_left();

	/* Away: it is the program's, there. */
	area = made("away", &at);
	errno = 77;
	got = mremap(at, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere);
	CHECK(got == elsewhere);
	CHECK_EQ(errno, 77);
	is_no_area(at, 0, PAGES);
	is_gone(area);
	CHECK_EQ(elsewhere[3 * PAGE], 'd');
	CHECK_EQ(area_for(elsewhere), B_ERROR);
	CHECK_EQ(munmap(elsewhere, PAGES * PAGE), 0);
	nothing_is_left();

	/* Over an area. */
	over = made("over", &at);
	other = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(other != MAP_FAILED);
	strcpy(other, "moved over");
	CHECK(mremap(other, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at);
	is_no_area(at, 0, 2);
	is(over, at, 2, PAGES - 2);
	CHECK_EQ(delete_area(over), B_OK);
	CHECK_STR(at, "moved over");
	CHECK_EQ(munmap(at, 2 * PAGE), 0);

	/* A second mapping of the same: nothing of the area is gone. */
	area = made("doubled", &at);
	got = mremap(at, 0, 2 * PAGE, MREMAP_MAYMOVE);
	CHECK(got != MAP_FAILED && got != (void *)at);
	CHECK_EQ(*(char *)got, 'a');
	is(area, at, 0, PAGES);
	CHECK_EQ(munmap(got, 2 * PAGE), 0);
	got = mremap(at, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	if (got != MAP_FAILED) {
		is(area, at, 0, PAGES);
		CHECK_EQ(munmap(got, 2 * PAGE), 0);
	}
	is(area, at, 0, PAGES);
	CHECK_EQ(delete_area(area), B_OK);
	nothing_is_left();
	CHECK_EQ(munmap(elsewhere + PAGES * PAGE, (64 - PAGES) * PAGE), 0);
}

static void attached_over(void)
{
	char *at;
	int segment = shmget(IPC_PRIVATE, 2 * PAGE, IPC_CREAT | 0600);
	area_id area;
	if (segment < 0) {
		/* A kernel without System V's memory. */
		CHECK_EQ(errno, ENOSYS);
		return;
	}
	area = made("attached over", &at);
	CHECK(shmat(segment, at + 6 * PAGE + 5, SHM_REMAP | SHM_RND) == (void *)(at + 6 * PAGE));
	CHECK_EQ(shmctl(segment, IPC_RMID, NULL), 0);
	strcpy(at + 6 * PAGE, "segment");
	is_no_area(at, 6, 8);
	is(area, at, 0, 6);
	CHECK_EQ(delete_area(area), B_OK);
	CHECK_STR(at + 6 * PAGE, "segment");
	CHECK_EQ(shmdt(at + 6 * PAGE), 0);
	nothing_is_left();
}

/* A child cuts what it inherited, and its parent's is whole; also one that has made no call
 * before. */
static void inherited(void)
{
	char *at;
	area_id area = made("inherited", &at);
	int first;
	for (first = 0; first < 2; first++) {
		pid_t child = check_fork();
		if (child == 0) {
			area_id own;
			if (first)
				CHECK(area_for(at) > 0);
			CHECK_EQ(munmap(at, 2 * PAGE), 0);
			is_no_area(at, 0, 2);
			own = area_for(at + 2 * PAGE);
			CHECK(own > 0 && own != area);
			is(own, at, 2, PAGES - 2);
			CHECK_EQ(delete_area(own), B_OK);
			CHECK_STR(check_maps(at + 2 * PAGE), "");
			_exit(0);
		}
		check_child(child, 0);
		is(area, at, 0, PAGES);
	}
	CHECK_EQ(delete_area(area), B_OK);
	nothing_is_left();
}

/* A clone is cut for itself: its source is whole. */
static void clones(void)
{
	char *at;
	void *clone_at = NULL;
	area_id area = made("source", &at), clone = clone_area("clone", &clone_at, B_ANY_ADDRESS, RW, area);
	CHECK(clone > 0);
	CHECK_EQ(munmap((char *)clone_at + 3 * PAGE, PAGE), 0);
	is(clone, clone_at, 0, 3);
	is(area_for((char *)clone_at + 4 * PAGE), clone_at, 4, 4);
	is(area, at, 0, PAGES);
	/* One memory, as before. */
	at[5 * PAGE + 1] = 'x';
	CHECK_EQ(((char *)clone_at)[5 * PAGE + 1], 'x');
	CHECK_EQ(delete_area(area_for((char *)clone_at + 4 * PAGE)), B_OK);
	CHECK_EQ(delete_area(clone), B_OK);
	is(area, at, 0, PAGES);
	CHECK_EQ(delete_area(area), B_OK);
	nothing_is_left();
}

/* Before the first constructor of any library, the interposer's own among them. */
static void before_all(void)
{
	char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		_exit(3);
	*at = 1;
	if (mremap(at, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED || munmap((void *)1, PAGE) != -1 || errno != EINVAL)
		_exit(4);
}

#ifndef __SANITIZE_ADDRESS__
__attribute__((section(".preinit_array"), used)) static void (*const first_of_all)(void) = before_all;
#endif

int main(void)
{
	before_all();
	unmapped();
	over_two();
	mapped_over((mapper)mmap);
	mapped_over((mapper)mmap64);
	refused();
	moved();
	attached_over();
	inherited();
	clones();
	return 0;
}
