/*
 * malloc over areas, in the manner of Haiku's own: runs of pages come from an area that grows by
 * resize_area; where it cannot, a new one is made; what alignment leaves over and what is freed is
 * cut off by munmap: heads, tails, middles, whole areas. Four threads allocate, free, make larger
 * and smaller and hand blocks to each other; each block's content is checked. Between rounds every
 * page of every area has to be one that the allocator knows of, and each block lies in the area
 * that area_for returns. At the end nothing is left.
 *
 * Here the library is not notified of what is unmapped: it sees that at the next call that looks at
 * the area. So where area_for is asked behind a hole, it may still name the area before the hole,
 * until get_area_info has looked. ../cut/pages_allocator.c is the same with libareas-cut.so, where
 * that is not so.
 *
 * AREAS_ALLOCATOR_SECONDS=600: ten minutes instead of two seconds.
 *
 * Not under valgrind: it runs one thread at a time, and each munmap makes it forget translations:
 * minutes.
 */
#include <OS.h>

#include <dirent.h>
#include <pthread.h>
#include <time.h>

#include "check.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define THREADS 4
/* Runs of pages begin at multiples of this, so that a block's header is found from its address. */
#define ALIGNED ((size_t)16 * 1024)
#define MOST_CACHED 16
#define SLOTS 160
#define EXCHANGED 64
#define ENOUGH 100

/* --- Runs of pages --- */

struct run {
	char *start;
	size_t size;
};

struct arena {
	pthread_mutex_t lock;
	/* Where the area ends that grows, and from where on it has no hole; NULL if there is none. Its
	 * id is asked for: a cut may give it another one. */
	char *floor, *end;
	/* Freed, and still mapped. */
	struct run cached[MOST_CACHED];
	int cached_count;
	/* All pages that it has, the cached ones with them. */
	size_t mapped;
	unsigned long created, resized, cut;
	/* Small blocks: a run with room for each size. */
	struct header *partial[8];
};

static struct arena arenas[THREADS];

static char *up(char *address, size_t alignment)
{
	return (char *)(((uintptr_t)address + alignment - 1) & ~(uintptr_t)(alignment - 1));
}

static void cut(struct arena *arena, char *from, char *to)
{
	if (from == to)
		return;
	CHECK_EQ(munmap(from, (size_t)(to - from)), 0);
	arena->mapped -= (size_t)(to - from);
	arena->cut++;
	/* What is behind a hole is not ours: another arena may have it by now. */
	if (arena->end == to)
		arena->end = from > arena->floor ? from : NULL;
	else if (arena->floor < to && to < arena->end)
		arena->floor = to;
}

/* Makes the area that grows larger, by exactly so much. */
static int grow(struct arena *arena, size_t more)
{
	area_id area;
	area_info info;
	if (arena->end == NULL)
		return 0;
	area = area_for(arena->end - 1);
#ifndef AT_ONCE
	if (get_area_info(area, &info) != B_OK || (char *)info.address + info.size != arena->end)
		area = area_for(arena->end - 1);
#endif
	if (area < 0)
		check_failed(__FILE__, __LINE__, "area_for(%p) is %d, where an area ends that begins at or below %p", (void *)(arena->end - 1),
			(int)area, (void *)arena->floor);
	CHECK_EQ(get_area_info(area, &info), B_OK);
	if ((char *)info.address + info.size != arena->end)
		check_failed(__FILE__, __LINE__, "area %d is %p, %zu bytes; it should end at %p", (int)area, info.address, info.size,
			(void *)arena->end);
	if (resize_area(area, info.size + more) != B_OK)
		return 0;
	arena->resized++;
	arena->mapped += more;
	arena->end += more;
	return 1;
}

/* Some pages, aligned. */
static char *take_pages(struct arena *arena, size_t size, size_t alignment)
{
	char *start, *old_end;
	void *address = NULL;
	int i, best = -1;
	for (i = 0; i < arena->cached_count; i++) {
		struct run *run = &arena->cached[i];
		if (run->size >= size && run->start == up(run->start, alignment)
			&& (best < 0 || run->size < arena->cached[best].size))
			best = i;
	}
	if (best >= 0) {
		struct run run = arena->cached[best];
		arena->cached[best] = arena->cached[--arena->cached_count];
		cut(arena, run.start + size, run.start + run.size);
		return run.start;
	}
	old_end = arena->end;
	if (old_end != NULL) {
		start = up(old_end, alignment);
		if (grow(arena, (size_t)(start - old_end) + size)) {
			/* In the middle, as there is something on both sides. */
			cut(arena, old_end, start);
			return start;
		}
	}
	if (create_area("heap", &address, B_RANDOMIZED_ANY_ADDRESS, size + alignment, B_NO_LOCK, RW) < 0)
		return NULL;
	arena->created++;
	arena->mapped += size + alignment;
	arena->floor = address;
	arena->end = (char *)address + size + alignment;
	start = up(address, alignment);
	cut(arena, address, start);
	cut(arena, start + size, arena->end);
	return start;
}

static void give_pages(struct arena *arena, char *start, size_t size, int keep)
{
	if (keep && arena->cached_count < MOST_CACHED) {
		arena->cached[arena->cached_count].start = start;
		arena->cached[arena->cached_count++].size = size;
		return;
	}
	cut(arena, start, start + size);
}

/* --- Blocks --- */

struct header {
	/* Of its own address: whoever writes over it is found. */
	uintptr_t canary;
	struct arena *arena;
	size_t size;
	/* Of small ones: which size they have, which are in use; and the next run with room. */
	int kind;
	unsigned used;
	uint64_t taken[16];
	struct header *next;
};

#define LARGE (-1)
#define HEADER (sizeof(struct header))
#define CANARY 0x9e3779b97f4a7c15u

static size_t small_size(int kind)
{
	return (size_t)16 << kind;
}

static unsigned small_count(int kind)
{
	return (unsigned)((ALIGNED - HEADER) / small_size(kind));
}

static struct header *header_of(void *block)
{
	struct header *header = (struct header *)(void *)((uintptr_t)block & ~(uintptr_t)(ALIGNED - 1));
	CHECK_EQ(header->canary, (uintptr_t)header ^ CANARY);
	return header;
}

static struct header *new_run(struct arena *arena, size_t size, size_t alignment, int kind)
{
	struct header *header = (struct header *)(void *)take_pages(arena, size, alignment);
	if (header == NULL)
		return NULL;
	memset(header, 0, HEADER);
	header->canary = (uintptr_t)header ^ CANARY;
	header->arena = arena;
	header->size = size;
	header->kind = kind;
	return header;
}

static void *small_block(struct arena *arena, int kind)
{
	struct header *header = arena->partial[kind];
	unsigned i, count = small_count(kind);
	if (header == NULL) {
		header = new_run(arena, ALIGNED, ALIGNED, kind);
		if (header == NULL)
			return NULL;
		arena->partial[kind] = header;
	}
	for (i = 0; i < count; i++)
		if (!(header->taken[i / 64] >> i % 64 & 1))
			break;
	CHECK(i < count);
	header->taken[i / 64] |= (uint64_t)1 << i % 64;
	if (++header->used == count) {
		arena->partial[kind] = header->next;
		header->next = NULL;
	}
	return (char *)header + HEADER + i * small_size(kind);
}

static void free_small(struct arena *arena, struct header *header, void *block)
{
	size_t offset = (size_t)((char *)block - (char *)header) - HEADER;
	unsigned i = (unsigned)(offset / small_size(header->kind));
	struct header **place = &arena->partial[header->kind];
	CHECK_EQ(offset % small_size(header->kind), 0);
	CHECK(header->taken[i / 64] >> i % 64 & 1);
	header->taken[i / 64] &= ~((uint64_t)1 << i % 64);
	if (header->used-- == small_count(header->kind)) {
		header->next = *place;
		*place = header;
	}
	if (header->used > 0)
		return;
	while (*place != header)
		place = &(*place)->next;
	*place = header->next;
	header->canary = 0;
	give_pages(arena, (char *)header, ALIGNED, 0);
}

static size_t whole_pages(size_t size)
{
	return (size + HEADER + PAGE - 1) & ~(PAGE - 1);
}

static void *allocate(struct arena *arena, size_t size, size_t alignment)
{
	void *block;
	int kind = 0;
	pthread_mutex_lock(&arena->lock);
	while (kind < 7 && small_size(kind) < size)
		kind++;
	if (small_size(kind) >= size)
		block = small_block(arena, kind);
	else {
		struct header *header = new_run(arena, whole_pages(size), alignment, LARGE);
		block = header == NULL ? NULL : (char *)header + HEADER;
	}
	pthread_mutex_unlock(&arena->lock);
	return block;
}

static void release(void *block, int keep)
{
	struct header *header = header_of(block);
	struct arena *arena = header->arena;
	pthread_mutex_lock(&arena->lock);
	if (header->kind != LARGE)
		free_small(arena, header, block);
	else {
		header->canary = 0;
		give_pages(arena, (char *)header, header->size, keep);
	}
	pthread_mutex_unlock(&arena->lock);
}

/* In place, or not at all: a tail is cut off; at the end of an area, it grows. */
static int resize(void *block, size_t size)
{
	struct header *header = header_of(block);
	struct arena *arena = header->arena;
	size_t wanted = whole_pages(size);
	int done = 0;
	if (header->kind == LARGE) {
		pthread_mutex_lock(&arena->lock);
		if (wanted <= header->size) {
			cut(arena, (char *)header + wanted, (char *)header + header->size);
			done = 1;
		} else if (arena->end == (char *)header + header->size)
			done = grow(arena, wanted - header->size);
		if (done)
			header->size = wanted;
		pthread_mutex_unlock(&arena->lock);
	}
	return done;
}

/* --- What the program does with them --- */

struct block {
	unsigned char *at;
	size_t size;
	uint64_t seed;
};

static struct block slots[THREADS][SLOTS];
static struct block *exchanged[EXCHANGED];
static struct block boxes[THREADS][EXCHANGED];
static unsigned long operations[THREADS];
static volatile int stop;

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Each byte of the first and last 256, and one in each page. */
static void mark(const struct block *block, int check)
{
	size_t i, size = block->size;
	for (i = 0; i < size; i++) {
		unsigned char expected;
		if (i == 256 && size > 512)
			i = size - 256;
		expected = (unsigned char)(block->seed >> i % 8 * 8) ^ (unsigned char)i;
		if (!check)
			block->at[i] = expected;
		else if (block->at[i] != expected)
			check_failed(__FILE__, __LINE__, "byte %zu of %zu at %p is %d instead of %d", i, size, (void *)block->at,
				block->at[i], expected);
	}
	for (i = 1024; i + 256 < size; i += PAGE) {
		unsigned char expected = (unsigned char)(block->seed >> 7) ^ (unsigned char)(i / PAGE);
		if (!check)
			block->at[i] = expected;
		else
			CHECK_EQ(block->at[i], expected);
	}
}

static size_t random_size(uint64_t *state)
{
	uint64_t kind = next_random(state) % 10;
	if (kind < 5)
		return 1 + next_random(state) % 2000;
	if (kind < 9)
		return PAGE + next_random(state) % (32 * PAGE);
	return 32 * PAGE + next_random(state) % (224 * PAGE);
}

static void fill(int thread, struct block *block, uint64_t *state)
{
	size_t alignment = ALIGNED << (next_random(state) % 8 == 0 ? next_random(state) % 5 : 0);
	block->size = random_size(state);
	block->seed = next_random(state);
	block->at = allocate(&arenas[thread], block->size, alignment);
	CHECK(block->at != NULL);
	mark(block, 0);
}

static void drop(struct block *block, uint64_t *state)
{
	mark(block, 1);
	release(block->at, next_random(state) % 4 == 0);
	block->at = NULL;
}

static void change(struct block *block, uint64_t *state)
{
	size_t size = random_size(state);
	mark(block, 1);
	if (resize(block->at, size)) {
		block->size = size;
		mark(block, 0);
	}
}

static void *work(void *argument)
{
	int thread = (int)(intptr_t)argument;
	uint64_t state = (uint64_t)(thread + 1) * CANARY ^ (uint64_t)time(NULL);
	while (!stop) {
		uint64_t what = next_random(&state) % 16;
		struct block *block = &slots[thread][next_random(&state) % SLOTS];
		operations[thread]++;
		if (block->at == NULL)
			fill(thread, block, &state);
		else if (what < 7)
			drop(block, &state);
		else if (what < 12)
			change(block, &state);
		else if (what < 14)
			mark(block, 1);
		else {
			/* What another thread has put there is ours, and is freed by us; ours goes there. */
			unsigned at = (unsigned)(next_random(&state) % EXCHANGED);
			struct block *box = &boxes[thread][at], *there;
			if (__atomic_load_n(&box->at, __ATOMIC_ACQUIRE) == NULL) {
				*box = *block;
				block->at = NULL;
			} else
				box = NULL;
			there = __atomic_exchange_n(&exchanged[at], box, __ATOMIC_ACQ_REL);
			if (there != NULL) {
				struct block taken = *there;
				__atomic_store_n(&there->at, NULL, __ATOMIC_RELEASE);
				drop(&taken, &state);
			}
		}
	}
	return NULL;
}

/* --- Looking at it while no process works --- */

struct seen {
	int areas, mappings, memory_mappings, descriptors;
};

/* Of the process: areas are memory objects, and so is the team's table, which is not counted. */
static struct seen look(void)
{
	struct seen seen = { 0, 0, 0, 0 };
	ssize_t cookie = 0;
	area_info info;
	char line[512];
	DIR *folder = opendir("/proc/self/fd");
	FILE *file = fopen("/proc/self/maps", "re");
	CHECK(folder != NULL && file != NULL);
	while (get_next_area_info(B_CURRENT_TEAM, &cookie, &info) == B_OK)
		seen.areas++;
	while (fgets(line, sizeof line, file) != NULL) {
		seen.mappings++;
		seen.memory_mappings += strstr(line, "/memfd:") != NULL && strstr(line, "areas table") == NULL;
	}
	while (readdir(folder) != NULL)
		seen.descriptors++;
	fclose(file);
	closedir(folder);
	return seen;
}

static void check_block(const struct block *block)
{
	area_info info;
	char *start, *end;
	struct header *header;
	if (block->at == NULL)
		return;
	mark(block, 1);
	header = header_of(block->at);
	start = (char *)header, end = start + header->size;
	CHECK_EQ(get_area_info(area_for(block->at + block->size - 1), &info), B_OK);
	if (start < (char *)info.address || end > (char *)info.address + info.size)
		check_failed(__FILE__, __LINE__, "a run from %p to %p is not all in area %d: %p, %zu bytes", (void *)start, (void *)end,
			(int)info.area, info.address, info.size);
}

/* Every page of every area is one that the allocator knows of, and no other. */
static void check_areas(void)
{
	ssize_t cookie = 0;
	area_info info;
	size_t sum = 0, mapped = 0;
	char *end = NULL;
	int i, j;
	while (get_next_area_info(B_CURRENT_TEAM, &cookie, &info) == B_OK) {
		CHECK((char *)info.address >= end);
		end = (char *)info.address + info.size;
		sum += info.size;
		CHECK_EQ(area_for(info.address), info.area);
		CHECK_EQ(area_for(end - 1), info.area);
		CHECK_STR(check_maps(end - 1), "rw-s");
	}
	for (i = 0; i < THREADS; i++)
		mapped += arenas[i].mapped;
	CHECK_EQ(sum, mapped);
	for (i = 0; i < THREADS; i++) {
		for (j = 0; j < SLOTS; j++)
			check_block(&slots[i][j]);
		for (j = 0; j < EXCHANGED; j++)
			check_block(&boxes[i][j]);
	}
}

static void run_threads(unsigned milliseconds)
{
	pthread_t threads[THREADS];
	struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000L };
	intptr_t i;
	stop = 0;
	for (i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, work, (void *)i), 0);
	nanosleep(&time, NULL);
	stop = 1;
	for (i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

static void drop_all(void)
{
	uint64_t state = 1;
	int i, j;
	for (i = 0; i < THREADS; i++) {
		for (j = 0; j < SLOTS; j++)
			if (slots[i][j].at != NULL)
				drop(&slots[i][j], &state);
		for (j = 0; j < EXCHANGED; j++)
			if (boxes[i][j].at != NULL)
				drop(&boxes[i][j], &state);
	}
	memset(exchanged, 0, sizeof exchanged);
	for (i = 0; i < THREADS; i++) {
		struct arena *arena = &arenas[i];
		while (arena->cached_count > 0) {
			struct run run = arena->cached[--arena->cached_count];
			cut(arena, run.start, run.start + run.size);
		}
		CHECK(arena->end == NULL);
		CHECK_EQ(arena->mapped, 0);
	}
}

int main(void)
{
	const char *asked = getenv("AREAS_ALLOCATOR_SECONDS");
	long seconds = asked != NULL ? atol(asked) : 2, passed, last = 0;
	unsigned long done = 0, created = 0, resized = 0, cuts = 0;
	struct timespec begin, now;
	struct seen first, most, at_end;
	int i, round = 0;
	for (i = 0; i < THREADS; i++)
		pthread_mutex_init(&arenas[i].lock, NULL);
	/* Once, so that what is made once is there: stacks, malloc's own, the table. */
	run_threads(100);
	check_areas();
	drop_all();
	first = look();
	CHECK_EQ(first.areas, 0);
	CHECK_EQ(first.memory_mappings, 0);
	most = first;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		struct seen seen;
		run_threads(400);
		check_areas();
		seen = look();
		if (seen.areas > most.areas)
			most = seen;
		/* From nothing to much, again and again. */
		if (++round % 4 == 0)
			drop_all();
		clock_gettime(CLOCK_MONOTONIC, &now);
		passed = now.tv_sec - begin.tv_sec;
		if (passed / 60 != last / 60) {
			for (done = 0, i = 0; i < THREADS; i++)
				done += operations[i];
			printf("%ld s: %lu operations; %d areas, %d mappings, %d descriptors\n", passed, done, seen.areas, seen.mappings,
				seen.descriptors);
			fflush(stdout);
		}
		last = passed;
		for (cuts = 0, i = 0; i < THREADS; i++)
			cuts += arenas[i].cut;
		/* As much as it takes, however slow the machine is. */
	} while (passed < seconds || cuts <= ENOUGH);
	drop_all();
	at_end = look();
	for (done = 0, i = 0; i < THREADS; i++) {
		done += operations[i];
		created += arenas[i].created;
		resized += arenas[i].resized;
	}
	printf("%lu operations: %lu areas made, %lu times grown, %lu times cut\n", done, created, resized, cuts);
	printf("%-8s %8s %10s %10s %12s\n", "", "areas", "mappings", "of areas", "descriptors");
	printf("%-8s %8d %10d %10d %12d\n", "before", first.areas, first.mappings, first.memory_mappings, first.descriptors);
	printf("%-8s %8d %10d %10d %12d\n", "at most", most.areas, most.mappings, most.memory_mappings, most.descriptors);
	printf("%-8s %8d %10d %10d %12d\n", "at end", at_end.areas, at_end.mappings, at_end.memory_mappings, at_end.descriptors);
	CHECK_EQ(at_end.areas, 0);
	CHECK_EQ(at_end.memory_mappings, 0);
	CHECK_EQ(at_end.descriptors, first.descriptors);
	/* The C library may have taken another heap for a thread, and a sanitizer takes regions of its
	 * own; areas leave none. */
#ifndef __SANITIZE_ADDRESS__
	CHECK(at_end.mappings <= first.mappings + 2 * THREADS);
#else
	CHECK(at_end.mappings <= first.mappings + 16 * THREADS);
#endif
	return 0;
}
