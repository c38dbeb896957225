// Locks that demand something of page frames, through BeOS's calls, on a machine whose kernel
// left 4 MiB from 8 MiB on alone.
// vm: --nodes "1:512 0:256" --append "memmap=4M$8M"
//
// Where pages are is asked of the kernel: pagemap, /proc/self/maps for memory that it does not
// manage, smaps, /dev/mem.
#include <OS.h>

#include "tests.h"

/* Of areas.h: the words behind an error. */
const char *areas_error_help(void);

#define RW (B_READ_AREA | B_WRITE_AREA)
#define SIZE (64 * PAGE)
#define LOW_END ((uint64_t)16 << 20)
#define END_32 ((uint64_t)4 << 30)

/* The physical address of a page that is in RAM. */
static uint64_t physical(const char *address)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	CHECK(fd >= 0);
	CHECK_EQ(pread(fd, &entry, sizeof entry, (off_t)((uintptr_t)address / PAGE * sizeof entry)), sizeof entry);
	close(fd);
	CHECK(entry >> 63 == 1);
	CHECK((entry & 0x7fffffffffffff) != 0);
	return (entry & 0x7fffffffffffff) * PAGE;
}

/* Where in /dev/mem a mapping begins. */
static uint64_t device_offset(const char *address)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned long from, to, offset = 0;

	CHECK(maps != NULL);
	while (fgets(line, sizeof line, maps) != NULL)
		if (sscanf(line, "%lx-%lx %*s %lx", &from, &to, &offset) == 3 && from == (uintptr_t)address) {
			CHECK(strstr(line, "/dev/mem") != NULL);
			break;
		}
	fclose(maps);
	CHECK(offset != 0);
	return offset;
}

/* An area with that lock, zero-filled, described and writable; its address. */
static char *locked(uint32 lock, area_id *id)
{
	void *address = NULL;
	area_info info;

	*id = create_area("locked", &address, B_ANY_ADDRESS, SIZE, lock, RW);
	if (*id <= 0)
		check_failed(__FILE__, __LINE__, "lock %u: %#x, %s", (unsigned)lock, (unsigned)*id, areas_error_help());
	CHECK_EQ(get_area_info(*id, &info), B_OK);
	CHECK_EQ(info.lock, lock);
	CHECK_EQ(info.size, SIZE);
	for (size_t at = 0; at < SIZE; at++)
		CHECK_EQ(((char *)address)[at], 0);
	memset(address, 0x5a, SIZE);
	return (char *)address;
}

/* A clone has the lock, and the memory. */
static void cloned(area_id id, uint32 lock, const char *bytes)
{
	void *address;
	area_info info;
	area_id clone = clone_area("clone", &address, B_ANY_ADDRESS, B_READ_AREA, id);

	CHECK(clone > 0);
	CHECK_EQ(get_area_info(clone, &info), B_OK);
	CHECK_EQ(info.lock, lock);
	CHECK(memcmp(address, bytes, SIZE) == 0);
	/* Frames next to it cannot be had for the asking. */
	CHECK_EQ(resize_area(clone, SIZE + PAGE), B_ERROR);
	CHECK_EQ(delete_area(clone), B_OK);
}

static void contiguous_frames(uint32 lock, uint64_t end)
{
	area_id id;
	char *bytes = locked(lock, &id);
	uint64_t first = physical(bytes);

	for (size_t at = 0; at < SIZE; at += PAGE)
		CHECK_EQ(physical(bytes + at), first + at);
	CHECK(first + SIZE <= end);
	CHECK(check_smaps(bytes, "Locked") >= (long)(SIZE / 1024));
	cloned(id, lock, bytes);
	CHECK_EQ(delete_area(id), B_OK);
	CHECK_STR(check_maps(bytes), "");
}

static void contiguous(void)
{
	contiguous_frames(B_CONTIGUOUS, UINT64_MAX);
}

static void contiguous_32_bit(void)
{
	contiguous_frames(B_32_BIT_CONTIGUOUS, END_32);
}

static void full_32_bit(void)
{
	area_id id;
	char *bytes = locked(B_32_BIT_FULL_LOCK, &id);

	for (size_t at = 0; at < SIZE; at += PAGE)
		CHECK(physical(bytes + at) < END_32);
	CHECK(check_smaps(bytes, "Locked") >= (long)(SIZE / 1024));
	cloned(id, B_32_BIT_FULL_LOCK, bytes);
	CHECK_EQ(delete_area(id), B_OK);
}

static void low_memory(void)
{
	area_id id, rest[64];
	char *bytes = locked(B_LOMEM, &id);
	uint64_t start = device_offset(bytes);
	int fd = open("/dev/mem", O_RDONLY), count = 0;
	void *address = NULL;
	char there[PAGE];

	CHECK(start >= 8 << 20 && start + SIZE <= LOW_END);
	/* What is at those physical addresses, by another way. */
	CHECK(fd >= 0);
	CHECK_EQ(pread(fd, there, PAGE, (off_t)start), PAGE);
	CHECK(memcmp(there, bytes, PAGE) == 0);
	close(fd);
	cloned(id, B_LOMEM, bytes);
	/* All of it is given out once; then there is none, and one that was deleted comes back. */
	while (count < 64 && (rest[count] = create_area("rest", &address, B_ANY_ADDRESS, SIZE, B_LOMEM, RW)) > 0)
		count++;
	CHECK_EQ(count, (4 << 20) / SIZE - 1);
	CHECK_EQ(rest[count], B_NO_MEMORY);
	CHECK_EQ(delete_area(id), B_OK);
	bytes = locked(B_LOMEM, &id);
	CHECK_EQ(device_offset(bytes), start);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "contiguous_is_page_after_page", contiguous },
		{ "contiguous_below_4_gib", contiguous_32_bit },
		{ "full_below_4_gib", full_32_bit },
		{ "low_is_below_16_mib_and_nobody_elses", low_memory },
	};

	return run_tests(tests, sizeof tests / sizeof *tests, argc, argv);
}
