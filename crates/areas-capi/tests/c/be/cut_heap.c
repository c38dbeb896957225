/*
 * A heap in the manner of Haiku's pages allocator: areas in a reserved range that grow by
 * resize_area, and blocks that go by munmap, wherever in an area they are. Four threads take blocks
 * and let them go; each block has what was written into it, as long as it is there, and the heap
 * has no more memory than its blocks. Once with areas_forget_range before each munmap, as who
 * interposes munmap calls it, and once without.
 */
#include <OS.h>
#include <syscalls.h>

#include "check.h"

#include <pthread.h>
#include <time.h>

/* As areas.h has it, whose other names are not BeOS's. */
extern int areas_forget_range(void *start, size_t length);

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define RANGE (64 << 20)
#define THREADS 4
#define BLOCKS 48
#define MAX_BLOCK 24

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *range;
/* Which pages of the range are a block's. */
static unsigned char used[RANGE / 4096];
/* The area at whose end the heap grows. */
static char *last;
static size_t in_use, areas_made, grown, refused;
static int reports;

struct block {
	size_t *at;
	size_t pages, tag;
};

/* The area that has an address, and where it ends; 0 if none has. */
static area_id area_of(char *at, char **end)
{
	area_info info;
	area_id id = area_for(at);
	/* A call that looks; the part that has the address may be another one behind it. */
	if (id < 0 || get_area_info(id, &info) != B_OK)
		return 0;
	if (at < (char *)info.address || at >= (char *)info.address + info.size) {
		id = area_for(at);
		if (id < 0 || get_area_info(id, &info) != B_OK)
			return 0;
	}
	*end = (char *)info.address + info.size;
	return id;
}

/* A place in the range with so many free pages. */
static char *free_place(size_t pages)
{
	size_t at, run = 0, count = RANGE / PAGE;
	for (at = 0; at < count; at++) {
		run = used[at] ? 0 : run + 1;
		if (run == pages)
			return range + (at + 1 - pages) * PAGE;
	}
	check_failed(__FILE__, __LINE__, "no room for %zu pages", pages);
}

static struct block take(size_t pages)
{
	struct block block = { NULL, pages, 0 };
	char *at = NULL, *end = NULL;
	size_t i;
	area_id id;
	CHECK_EQ(pthread_mutex_lock(&lock), 0);
	id = last == NULL ? 0 : area_of(last, &end);
	if (id > 0) {
		area_info info;
		int free_behind = (size_t)(end - range) + pages * PAGE <= RANGE;
		for (i = 0; free_behind && i < pages; i++)
			free_behind = !used[(size_t)(end - range) / PAGE + i];
		CHECK_EQ(get_area_info(id, &info), B_OK);
		if (free_behind && resize_area(id, info.size + pages * PAGE) == B_OK) {
			at = end;
			grown++;
		} else {
			refused++;
		}
	}
	if (at == NULL) {
		at = free_place(pages);
		id = create_area("heap", (void **)&at, B_EXACT_ADDRESS, pages * PAGE, B_NO_LOCK, RW);
		if (id < 0)
			check_failed(__FILE__, __LINE__, "create_area of %zu pages at %p: %#x", pages, (void *)at, (unsigned)id);
		areas_made++;
	}
	for (i = 0; i < pages; i++) {
		CHECK(!used[(size_t)(at - range) / PAGE + i]);
		used[(size_t)(at - range) / PAGE + i] = 1;
	}
	last = at;
	in_use += pages;
	CHECK_EQ(pthread_mutex_unlock(&lock), 0);
	/* New pages are zeros. */
	for (i = 0; i < pages * PAGE / sizeof(size_t); i += 64)
		CHECK_EQ(((size_t *)(void *)at)[i], 0);
	block.at = (size_t *)(void *)at;
	return block;
}

static void give(const struct block *block)
{
	char *at = (char *)block->at;
	size_t i;
	CHECK_EQ(pthread_mutex_lock(&lock), 0);
	if (reports)
		CHECK_EQ(areas_forget_range(at, block->pages * PAGE), 0);
	CHECK_EQ(munmap(at, block->pages * PAGE), 0);
	for (i = 0; i < block->pages; i++)
		used[(size_t)(at - range) / PAGE + i] = 0;
	in_use -= block->pages;
	if (last >= at && last < at + block->pages * PAGE)
		/* What lies before it is what the heap goes on with, if there is something. */
		last = at > range && used[(size_t)(at - range) / PAGE - 1] ? at - PAGE : NULL;
	CHECK_EQ(pthread_mutex_unlock(&lock), 0);
}

static void fill(struct block *block, size_t tag)
{
	size_t i;
	block->tag = tag;
	for (i = 0; i < block->pages * PAGE / sizeof(size_t); i += 64)
		block->at[i] = tag + i;
}

static void look(const struct block *block)
{
	size_t i;
	for (i = 0; i < block->pages * PAGE / sizeof(size_t); i += 64)
		CHECK_EQ(block->at[i], block->tag + i);
}

static double seconds(void)
{
	struct timespec now;
	CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double until;

static void *works(void *which)
{
	struct block blocks[BLOCKS] = { { NULL, 0, 0 } };
	unsigned random = 17 + *(unsigned *)which;
	size_t tag = 0, turn, i;
	for (turn = 0; turn < 400 || seconds() < until; turn++) {
		struct block *block = &blocks[(random >> 8) % BLOCKS];
		random = random * 1103515245 + 12345;
		if (block->at == NULL) {
			*block = take(1 + (random >> 16) % MAX_BLOCK);
			fill(block, ++tag * 1000003 + *(unsigned *)which);
		} else {
			look(block);
			give(block);
			block->at = NULL;
		}
	}
	for (i = 0; i < BLOCKS; i++)
		if (blocks[i].at != NULL) {
			look(&blocks[i]);
			give(&blocks[i]);
		}
	return NULL;
}

/* The areas of this team, and their bytes in RAM; each is looked at. */
static size_t areas_now(size_t *resident)
{
	ssize_t cookie = 0;
	area_info info;
	size_t count = 0;
	*resident = 0;
	while (get_next_area_info(0, &cookie, &info) == B_OK) {
		count++;
		*resident += info.ram_size;
	}
	return count;
}

static void run(int with_reports, double time)
{
	pthread_t threads[THREADS];
	unsigned numbers[THREADS], i;
	size_t resident, count;
	addr_t address = 0;
	reports = with_reports;
	last = NULL;
	in_use = areas_made = grown = refused = 0;
	CHECK_EQ(_kern_reserve_address_range(&address, B_RANDOMIZED_ANY_ADDRESS, RANGE), B_OK);
	range = (char *)address;
	memset(used, 0, sizeof used);
	until = seconds() + time;
	for (i = 0; i < THREADS; i++) {
		numbers[i] = i;
		CHECK_EQ(pthread_create(&threads[i], NULL, works, &numbers[i]), 0);
	}
	while (seconds() < until) {
		snooze(20000);
		CHECK_EQ(pthread_mutex_lock(&lock), 0);
		count = areas_now(&resident);
		if (resident > in_use * PAGE)
			check_failed(__FILE__, __LINE__, "%zu bytes in RAM for %zu pages in %zu areas", resident, in_use, count);
		CHECK_EQ(pthread_mutex_unlock(&lock), 0);
	}
	for (i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	printf("%s: %zu areas made, grown %zu times, refused %zu times\n", with_reports ? "reported" : "not reported", areas_made, grown, refused);
	fflush(stdout);
	CHECK(grown > areas_made / 8);
	count = areas_now(&resident);
	if (count != 0)
		check_failed(__FILE__, __LINE__, "%zu areas are left", count);
	CHECK_EQ(_kern_unreserve_address_range(address, RANGE), B_OK);
}

/* As the case of a head that goes and a tail that grows has it. */
static void head_then_tail(void)
{
	addr_t address = 0;
	area_info info;
	area_id id;
	char *base;
	int turn;
	CHECK_EQ(_kern_reserve_address_range(&address, B_RANDOMIZED_ANY_ADDRESS, RANGE), B_OK);
	base = (char *)address;
	id = create_area("window", (void **)&base, B_EXACT_ADDRESS, 8 * PAGE, B_NO_LOCK, RW);
	CHECK(id > 0);
	for (turn = 0; turn < 200; turn++) {
		memset(base + 2 * PAGE, turn + 1, 6 * PAGE);
		CHECK_EQ(munmap(base, 2 * PAGE), 0);
		base += 2 * PAGE;
		CHECK_EQ(resize_area(id, 8 * PAGE), B_OK);
		CHECK_EQ(get_area_info(id, &info), B_OK);
		CHECK(info.address == base);
		CHECK_EQ(info.size, 8 * PAGE);
		CHECK_EQ(info.ram_size, 6 * PAGE);
		CHECK_EQ(base[0], (char)(turn + 1));
		CHECK_EQ(base[6 * PAGE - 1], (char)(turn + 1));
		CHECK_EQ(base[6 * PAGE], 0);
		CHECK_EQ(base[8 * PAGE - 1], 0);
	}
	CHECK_EQ(delete_area(id), B_OK);
	CHECK_EQ(_kern_unreserve_address_range(address, RANGE), B_OK);
}

int main(int argc, char **argv)
{
	double time = argc > 1 ? strtod(argv[1], NULL) : 1.5;
	head_then_tail();
	run(1, time);
	run(0, time);
	return 0;
}
