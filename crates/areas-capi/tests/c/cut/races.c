/*
 * Threads that make areas, cut them by munmap, map over them, move memory over them and delete
 * them, all at once, so that what one has unmapped is another one's the next moment: areas, and
 * memory that is no area's. No process's bytes are touched, every area is at each moment what its
 * own thread has made of it, and at the end nothing is left. Children that are forked in between
 * cut what they inherited. Without libareas-cut.so that is not so.
 *
 * AREAS_HUNT_SECONDS: how long, instead of two seconds.
 *
 * Not under valgrind: it runs one thread at a time, so that there are no races.
 */
#include <OS.h>

#include <dirent.h>
#include <pthread.h>
#include <time.h>

#include "cut/left.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define THREADS 4
#define HELD 24
#define MOST_PAGES 12

/* Some pages of this thread's, of an area or not; each page has `sign` and its number in it. */
struct piece {
	char *at;
	size_t pages;
	uint64_t sign;
	int is_area;
};

/* Of areas.h, which is not among the headers here. */
const char *areas_error_help(void);

static volatile int stop;
static unsigned long rounds[THREADS], created[THREADS];

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void sign(const struct piece *piece)
{
	size_t i;
	for (i = 0; i < piece->pages; i++)
		*(uint64_t *)(void *)(piece->at + i * PAGE) = piece->sign;
}

/* What is in it, and whose it is. */
static void verify(const struct piece *piece)
{
	size_t i;
	area_id area = area_for(piece->at);
	area_info info;
	if (piece->is_area && area < B_OK)
		check_failed(__FILE__, __LINE__, "area_for(%p): %s", (void *)piece->at, areas_error_help());
	for (i = 0; i < piece->pages; i++) {
		uint64_t found = *(uint64_t *)(void *)(piece->at + i * PAGE);
		if (found != piece->sign)
			check_failed(__FILE__, __LINE__, "page %zu of %zu at %p has %llx instead of %llx", i, piece->pages,
				(void *)piece->at, (unsigned long long)found, (unsigned long long)piece->sign);
		CHECK_EQ(area_for(piece->at + i * PAGE + 8), area);
	}
	if (!piece->is_area) {
		CHECK_EQ(area, B_ERROR);
		return;
	}
	CHECK_EQ(get_area_info(area, &info), B_OK);
	CHECK_EQ((uintptr_t)info.address, (uintptr_t)piece->at);
	CHECK_EQ(info.size, piece->pages * PAGE);
}

static void make(struct piece *piece, int thread, uint64_t *state)
{
	piece->pages = 1 + next_random(state) % MOST_PAGES;
	piece->sign = next_random(state) << 8 | (unsigned)thread;
	piece->is_area = next_random(state) % 4 != 0;
	if (piece->is_area) {
		void *address = NULL;
		uint32 where = next_random(state) % 4 == 0 ? B_RANDOMIZED_ANY_ADDRESS : B_ANY_ADDRESS;
		CHECK(create_area("race", &address, where, piece->pages * PAGE, B_NO_LOCK, RW) > 0);
		piece->at = address;
		created[thread]++;
	} else {
		piece->at = mmap(NULL, piece->pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(piece->at != MAP_FAILED);
	}
	sign(piece);
}

/* A hole, or an end less: what lies behind a hole is another piece, for which there has to be a
 * place. */
static void cut(struct piece *piece, struct piece *free_place, uint64_t *state)
{
	size_t from = next_random(state) % piece->pages, count = 1 + next_random(state) % (piece->pages - from);
	struct piece behind = *piece;
	behind.at += (from + count) * PAGE;
	behind.pages -= from + count;
	if (from > 0 && behind.pages > 0 && free_place == NULL)
		return;
	CHECK_EQ(munmap(piece->at + from * PAGE, count * PAGE), 0);
	piece->pages = from;
	if (from == 0)
		*piece = behind;
	else if (behind.pages > 0)
		*free_place = behind;
	if (piece->pages == 0)
		piece->at = NULL;
	else
		verify(piece);
}

/* Memory that is no area's comes to lie over some pages, which are a piece from then on. */
static void replace(struct piece *piece, struct piece *free_place, uint64_t *state)
{
	size_t count = 1 + next_random(state) % piece->pages;
	struct piece over = { piece->at, count, next_random(state), 0 };
	if (free_place == NULL)
		return;
	if (next_random(state) % 2 == 0) {
		CHECK(mmap(over.at, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == over.at);
		sign(&over);
	} else {
		struct piece elsewhere = over;
		elsewhere.at = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(elsewhere.at != MAP_FAILED);
		sign(&elsewhere);
		CHECK(mremap(elsewhere.at, count * PAGE, count * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, over.at) == over.at);
	}
	piece->at += count * PAGE;
	piece->pages -= count;
	if (piece->pages == 0)
		*piece = over;
	else
		*free_place = over;
	verify(piece);
	verify(&over);
}

static void drop(struct piece *piece, uint64_t *state)
{
	verify(piece);
	if (piece->is_area && next_random(state) % 2 == 0) {
		area_id area = area_for(piece->at);
		area_info info;
		CHECK_EQ(delete_area(area), B_OK);
		CHECK_EQ(get_area_info(area, &info), B_BAD_VALUE);
	} else if (piece->is_area) {
		area_id area = area_for(piece->at);
		area_info info;
		CHECK_EQ(munmap(piece->at, piece->pages * PAGE), 0);
		CHECK_EQ(get_area_info(area, &info), B_BAD_VALUE);
	} else
		CHECK_EQ(munmap(piece->at, piece->pages * PAGE), 0);
	piece->at = NULL;
}

static void *work(void *argument)
{
	int thread = (int)(intptr_t)argument, i;
	uint64_t state = (uint64_t)(thread + 1) * 0x9e3779b97f4a7c15u ^ (uint64_t)time(NULL);
	struct piece pieces[HELD];
	memset(pieces, 0, sizeof pieces);
	while (!stop) {
		struct piece *piece = &pieces[next_random(&state) % HELD], *free_place = NULL;
		rounds[thread]++;
		for (i = 0; i < HELD; i++)
			if (pieces[i].at == NULL && &pieces[i] != piece)
				free_place = &pieces[i];
		if (piece->at == NULL) {
			make(piece, thread, &state);
			continue;
		}
		verify(piece);
		switch (next_random(&state) % 4) {
		case 0:
			cut(piece, free_place, &state);
			break;
		case 1:
			replace(piece, free_place, &state);
			break;
		case 2:
			if (piece->is_area && resize_area(area_for(piece->at), (piece->pages + 1) * PAGE) == B_OK) {
				piece->pages++;
				sign(piece);
			}
			break;
		default:
			drop(piece, &state);
		}
	}
	for (i = 0; i < HELD; i++)
		if (pieces[i].at != NULL)
			drop(&pieces[i], &state);
	return NULL;
}

/* --- One area, deleted by one thread and unmapped by another at the same time --- */

static pthread_barrier_t both;
static char *contended;
static area_id contended_area;

static void *unmaps(void *argument)
{
	(void)argument;
	for (;;) {
		pthread_barrier_wait(&both);
		if (contended == NULL)
			return NULL;
		CHECK_EQ(munmap(contended + PAGE, 2 * PAGE), 0);
		pthread_barrier_wait(&both);
	}
}

static void deleted_and_unmapped(void)
{
	pthread_t thread;
	int i;
	CHECK_EQ(pthread_barrier_init(&both, NULL, 2), 0);
	CHECK_EQ(pthread_create(&thread, NULL, unmaps, NULL), 0);
	for (i = 0; i < 300; i++) {
		void *address = NULL;
		status_t deleted;
		area_id rest;
		contended_area = create_area("contended", &address, B_ANY_ADDRESS, 4 * PAGE, B_NO_LOCK, RW);
		CHECK(contended_area > 0);
		contended = address;
		pthread_barrier_wait(&both);
		deleted = delete_area(contended_area);
		pthread_barrier_wait(&both);
		CHECK_EQ(deleted, B_OK);
		/* Cut before it was deleted, what lay behind is an area of its own. */
		rest = area_for(contended + 3 * PAGE);
		if (rest > 0)
			CHECK_EQ(delete_area(rest), B_OK);
		CHECK_EQ(area_for(contended), B_ERROR);
		CHECK_STR(check_maps(contended), "");
		CHECK_STR(check_maps(contended + 3 * PAGE), "");
	}
	contended = NULL;
	pthread_barrier_wait(&both);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* A child that is forked while others are in the middle of all that: it cuts what it inherited, at
 * once, and its parent's stays whole. */
static void fork_and_cut(const struct piece *kept)
{
	pid_t child = check_fork();
	if (child == 0) {
		struct piece own = *kept;
		CHECK_EQ(munmap(own.at + 2 * PAGE, PAGE), 0);
		CHECK_EQ(area_for(own.at + 2 * PAGE), B_ERROR);
		own.pages = 2;
		verify(&own);
		own.at = kept->at + 3 * PAGE;
		own.pages = kept->pages - 3;
		verify(&own);
		_exit(0);
	}
	check_child(child, 0);
	verify(kept);
}

/* Open ones, but for tables of teams: who looks at a team, as for an id that is not there, has its
 * table open until it is seen that the team is dead; here these are children. */
static int descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	int count = 0;
	CHECK(folder != NULL);
	while ((entry = readdir(folder)) != NULL) {
		char target[64] = "";
		ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);
		target[length < 0 ? 0 : length] = '\0';
		count += strstr(target, "areas table") == NULL;
	}
	closedir(folder);
	return count;
}

int main(void)
{
	const char *asked = getenv("AREAS_HUNT_SECONDS");
	struct timespec pause = { 0, 20 * 1000 * 1000 };
	time_t end;
	pthread_t threads[THREADS];
	unsigned long all = 0, areas = 0, forks = 0;
	struct piece kept = { NULL, 8, 0x5eed, 1 };
	void *address = NULL;
	area_id area;
	int before;
	intptr_t i;
	deleted_and_unmapped();
	nothing_is_left();
	before = descriptors();
	for (i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, work, (void *)i), 0);
	area = create_area("kept", &address, B_ANY_ADDRESS, kept.pages * PAGE, B_NO_LOCK, RW);
	CHECK(area > 0);
	kept.at = address;
	sign(&kept);
	for (end = time(NULL) + (asked != NULL ? atol(asked) : 2); time(NULL) <= end; forks++) {
		nanosleep(&pause, NULL);
		fork_and_cut(&kept);
	}
	CHECK_EQ(delete_area(area), B_OK);
	stop = 1;
	for (i = 0; i < THREADS; i++) {
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
		all += rounds[i];
		areas += created[i];
	}
	printf("%lu rounds, %lu areas made, %lu children\n", all, areas, forks);
	nothing_is_left();
	CHECK_EQ(descriptors(), before);
	CHECK(areas > 100);
	return 0;
}
