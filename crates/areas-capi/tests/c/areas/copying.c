/*
 * Bytes in and out of areas of each kind, from one to another, from a file; and reserves that are
 * taken and released. What cannot be is an error, and never a fault.
 */
#include <areas.h>

#include "check.h"

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

static areas_area *made(uint32_t kind, size_t size)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;
	wanted.size = size;
	wanted.kind = kind;
	wanted.max = kind == AREAS_GROWABLE || kind == AREAS_RESIZABLE ? 4 * size : 0;
	area = areas_create(&wanted);
	CHECK(area != NULL);
	return area;
}

static areas_area *frozen(size_t size, char byte)
{
	areas_area *area = made(AREAS_SHARED, size);
	memset(areas_address(area), byte, size);
	CHECK_EQ(areas_freeze(area, AREAS_DEFAULT_TIMEOUT), 0);
	return area;
}

static const uint32_t kinds[] = { AREAS_SHARED, AREAS_PRIVATE, AREAS_GROWABLE, AREAS_RESIZABLE };
#define KINDS (sizeof kinds / sizeof *kinds)

static void in_and_out(void)
{
	char bytes[16], found[16];
	size_t kind, size = PAGE;
	memcpy(bytes, "sixteen of them", 16);
	for (kind = 0; kind < KINDS; kind++) {
		areas_area *area = made(kinds[kind], size);
		CHECK_EQ(areas_write_at(area, 5, bytes, sizeof bytes), 0);
		CHECK_STR((char *)areas_address(area) + 5, "sixteen of them");
		CHECK_EQ(areas_read_at(area, 5, found, sizeof found), 0);
		CHECK_STR(found, bytes);
		/* To the last byte, and nothing anywhere. */
		CHECK_EQ(areas_write_at(area, size - 16, bytes, 16), 0);
		CHECK_EQ(areas_read_at(area, size, NULL, 0), 0);
		CHECK_EQ(areas_write_at(area, 0, NULL, 0), 0);
		/* Beyond. */
		CHECK_EQ(areas_read_at(area, size - 15, found, 16), AREAS_ERROR_OUT_OF_RANGE);
		CHECK_EQ(areas_write_at(area, size - 15, bytes, 16), AREAS_ERROR_OUT_OF_RANGE);
		CHECK_EQ(areas_read_at(area, SIZE_MAX - 3, found, 16), AREAS_ERROR_OUT_OF_RANGE);
		CHECK_EQ(areas_write_at(area, SIZE_MAX - 3, bytes, 16), AREAS_ERROR_OUT_OF_RANGE);
		CHECK_EQ(areas_read_at(area, 0, NULL, 1), AREAS_ERROR_INVALID_INPUT);
		CHECK_EQ(areas_write_at(area, 0, NULL, 1), AREAS_ERROR_INVALID_INPUT);
		CHECK_EQ(areas_read_at(area, 0, found, SIZE_MAX), AREAS_ERROR_INVALID_INPUT);
		CHECK_EQ(areas_write_at(area, 0, bytes, SIZE_MAX), AREAS_ERROR_INVALID_INPUT);
		/* Where it may not. */
		CHECK_EQ(areas_protect(area, AREAS_READ), 0);
		CHECK_EQ(areas_write_at(area, 0, bytes, 1), AREAS_ERROR_READ_ONLY);
		CHECK_EQ(areas_read_at(area, 5, found, 16), 0);
		CHECK_EQ(areas_protect(area, AREAS_NOTHING), 0);
		CHECK_EQ(areas_read_at(area, 0, found, 1), AREAS_ERROR_READ_ONLY);
		areas_release(area);
	}
	CHECK_EQ(areas_read_at(NULL, 0, found, 1), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_write_at(NULL, 0, bytes, 1), AREAS_ERROR_INVALID_INPUT);
	{
		areas_area *area = frozen(size, 'f');
		CHECK_EQ(areas_read_at(area, size - 1, found, 1), 0);
		CHECK_EQ(found[0], 'f');
		CHECK_EQ(areas_read_at(area, size, found, 1), AREAS_ERROR_OUT_OF_RANGE);
		CHECK_EQ(areas_write_at(area, 0, bytes, 1), AREAS_ERROR_FROZEN);
		/* Nor may every holder read it. */
		CHECK_EQ(areas_protect(area, AREAS_NOTHING), 0);
		CHECK_EQ(areas_read_at(area, size - 1, found, 1), AREAS_ERROR_READ_ONLY);
		{
			areas_area *target = made(AREAS_SHARED, size);
			CHECK_EQ(areas_copy(area, 0, target, 0, 1), AREAS_ERROR_READ_ONLY);
			areas_release(target);
		}
		CHECK_EQ(areas_protect(area, AREAS_READ), 0);
		CHECK_EQ(areas_read_at(area, size - 1, found, 1), 0);
		areas_release(area);
	}
}

/* What was cut off is an error to the copies, where it is a SIGBUS to a load. */
static void what_was_cut_off(void)
{
	areas_area *area = made(AREAS_RESIZABLE, 4 * PAGE);
	char byte = 'x';
	CHECK_EQ(areas_write_at(area, 4 * PAGE - 1, &byte, 1), 0);
	CHECK_EQ(areas_resize(area, PAGE), 0);
	CHECK_EQ(areas_read_at(area, 4 * PAGE - 1, &byte, 1), AREAS_ERROR_OUT_OF_RANGE);
	CHECK_EQ(areas_write_at(area, 4 * PAGE - 1, &byte, 1), AREAS_ERROR_OUT_OF_RANGE);
	CHECK_EQ(areas_size(area), PAGE);
	CHECK_EQ(check_touch((char *)areas_address(area) + 4 * PAGE - 1, 0), SIGBUS);
	areas_release(area);
}

/* Each kind to each: copied, or said that it cannot be in one go. */
static void from_one_to_another(void)
{
	size_t from, to;
	for (from = 0; from <= KINDS; from++)
		for (to = 0; to <= KINDS; to++) {
			areas_area *source = from < KINDS ? made(kinds[from], PAGE) : frozen(PAGE, 's');
			areas_area *target = to < KINDS ? made(kinds[to], PAGE) : frozen(PAGE, 't');
			int lends = from == KINDS || kinds[from] == AREAS_PRIVATE;
			int expected = 0, shrinks = (from < KINDS && kinds[from] == AREAS_RESIZABLE)
				|| (to < KINDS && kinds[to] == AREAS_RESIZABLE);
			if (to == KINDS)
				expected = AREAS_ERROR_FROZEN;
			else if (shrinks && !lends && kinds[to] != AREAS_PRIVATE)
				expected = AREAS_ERROR_UNSUPPORTED;
			if (from < KINDS)
				memset(areas_address(source), 's', PAGE);
			CHECK_EQ(areas_copy(source, 1, target, 2, 100), expected);
			if (expected == 0) {
				const char *bytes = (const char *)areas_address(target);
				CHECK_EQ(bytes[1], 0);
				CHECK_EQ(bytes[2], 's');
				CHECK_EQ(bytes[101], 's');
				CHECK_EQ(bytes[102], 0);
				CHECK_EQ(areas_copy(source, PAGE - 99, target, 0, 100), AREAS_ERROR_OUT_OF_RANGE);
				CHECK_EQ(areas_copy(source, 0, target, PAGE - 99, 100), AREAS_ERROR_OUT_OF_RANGE);
				CHECK_EQ(areas_copy(source, 0, target, 0, SIZE_MAX), AREAS_ERROR_OUT_OF_RANGE);
				CHECK_EQ(bytes[0], 0);
			}
			CHECK_EQ(areas_copy(NULL, 0, target, 0, 1), AREAS_ERROR_INVALID_INPUT);
			CHECK_EQ(areas_copy(source, 0, NULL, 0, 1), AREAS_ERROR_INVALID_INPUT);
			areas_release(source);
			areas_release(target);
		}
}

static void within_one(void)
{
	static const uint32_t both[] = { AREAS_SHARED, AREAS_PRIVATE };
	areas_area *area;
	size_t kind;
	for (kind = 0; kind < 2; kind++) {
		area = made(both[kind], PAGE);
		CHECK_EQ(areas_write_at(area, 0, "abcdef", 6), 0);
		CHECK_EQ(areas_copy(area, 0, area, 6, 6), 0);
		CHECK_STR((char *)areas_address(area), "abcdefabcdef");
		CHECK_EQ(areas_copy(area, 0, area, 5, 6), AREAS_ERROR_INVALID_INPUT);
		CHECK_EQ(areas_copy(area, 0, area, PAGE - 5, 6), AREAS_ERROR_OUT_OF_RANGE);
		CHECK_STR((char *)areas_address(area), "abcdefabcdef");
		areas_release(area);
	}
	area = made(AREAS_RESIZABLE, PAGE);
	CHECK_EQ(areas_copy(area, 0, area, 6, 6), AREAS_ERROR_UNSUPPORTED);
	areas_release(area);
	area = frozen(PAGE, 'f');
	CHECK_EQ(areas_copy(area, 0, area, 6, 6), AREAS_ERROR_FROZEN);
	areas_release(area);
	CHECK_EQ(areas_copy(NULL, 0, NULL, 6, 6), AREAS_ERROR_INVALID_INPUT);
}

static void far_as(size_t done, size_t total, void *context)
{
	CHECK(done <= total);
	*(size_t *)context = done;
}

static void from_a_file(void)
{
	char name[] = "/tmp/areas-fill-XXXXXX";
	int file = mkstemp(name);
	size_t done = 0;
	areas_area *area = made(AREAS_SHARED, PAGE + 10);
	CHECK(file >= 0);
	CHECK_EQ(unlink(name), 0);
	CHECK_EQ(ftruncate(file, (off_t)PAGE), 0);
	/* It has fewer bytes. */
	CHECK_EQ(areas_fill(area, file, NULL, NULL), AREAS_ERROR_IO);
	CHECK_EQ(ftruncate(file, (off_t)PAGE * 2), 0);
	CHECK_EQ(pwrite(file, "contents", 9, (off_t)PAGE), 9);
	CHECK_EQ(areas_fill(area, file, far_as, &done), 0);
	CHECK_EQ(done, PAGE + 10);
	CHECK_STR((char *)areas_address(area) + PAGE, "contents");
	CHECK_EQ(areas_fill(area, -1, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_fill(area, 987654, NULL, NULL), AREAS_ERROR_IO);
	CHECK_EQ(areas_fill(NULL, file, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_freeze(area, AREAS_DEFAULT_TIMEOUT), 0);
	CHECK_EQ(areas_fill(area, file, NULL, NULL), AREAS_ERROR_FROZEN);
	areas_release(area);
	area = made(AREAS_PRIVATE, PAGE);
	CHECK_EQ(areas_fill(area, file, NULL, NULL), AREAS_ERROR_UNSUPPORTED);
	areas_release(area);
	area = made(AREAS_RESIZABLE, PAGE);
	CHECK_EQ(areas_fill(area, file, NULL, NULL), AREAS_ERROR_UNSUPPORTED);
	areas_release(area);
	close(file);
}

static void reserves(void)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area, *fixed = made(AREAS_SHARED, PAGE);
	char *address;
	wanted.size = PAGE;
	wanted.kind = AREAS_RESIZABLE;
	/* Nothing is mapped behind it. */
	wanted.address_form = AREAS_EXACTLY;
	wanted.address = address = (char *)(uintptr_t)0x300000000000;
	area = areas_create(&wanted);
	CHECK(area != NULL);
	CHECK_STR(check_maps(address + PAGE), "");
	CHECK_EQ(areas_widen(area, 8 * PAGE), 0);
	CHECK_STR(check_maps(address + 8 * PAGE - 1), "rw-s");
	CHECK_STR(check_maps(address + 8 * PAGE), "");
	CHECK_EQ(areas_size(area), PAGE);
	CHECK(mmap(address + 8 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0)
		== address + 8 * PAGE);
	CHECK_EQ(areas_widen(area, 9 * PAGE), AREAS_ERROR_ADDRESS_IN_USE);
	CHECK_EQ(areas_widen(area, SIZE_MAX), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_resize(area, 4 * PAGE), 0);
	CHECK_EQ(areas_trim(area, PAGE), 0);
	CHECK_STR(check_maps(address + 4 * PAGE - 1), "rw-s");
	CHECK_STR(check_maps(address + 4 * PAGE), "");
	CHECK_EQ(areas_trim(area, SIZE_MAX), 0);
	CHECK_EQ(areas_widen(fixed, 8 * PAGE), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(areas_trim(fixed, PAGE), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(areas_widen(NULL, PAGE), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_trim(NULL, PAGE), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(munmap(address + 8 * PAGE, PAGE), 0);
	areas_release(area);
	areas_release(fixed);
}

/* By id, whoever holds it. */
static void by_id(void)
{
	areas_area *area = made(AREAS_SHARED, 8 * PAGE);
	uint64_t bytes = 77;
	int32_t id = areas_publish(area, "copied");
	CHECK(id > 0);
	CHECK_EQ(areas_resident(id, &bytes), 0);
	CHECK_EQ(bytes, 0);
	memset(areas_address(area), 'x', 3 * PAGE);
	CHECK_EQ(areas_resident(id, &bytes), 0);
	CHECK_EQ(bytes, 3 * PAGE);
	CHECK_EQ(areas_resident(id, NULL), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_resident(-1, &bytes), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_resident(0x7fffffff, &bytes), AREAS_ERROR_NO_SUCH_AREA);
	CHECK_EQ(areas_is_frozen(id), 0);
	CHECK_EQ(areas_freeze(area, AREAS_DEFAULT_TIMEOUT), 0);
	CHECK_EQ(areas_is_frozen(areas_id(area)), 1);
	CHECK_EQ(areas_is_frozen(-1), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_is_frozen(0x7fffffff), AREAS_ERROR_NO_SUCH_AREA);
	id = areas_id(area);
	areas_release(area);
	CHECK_EQ(areas_resident(id, &bytes), AREAS_ERROR_NO_SUCH_AREA);
	CHECK_EQ(areas_is_frozen(id), AREAS_ERROR_NO_SUCH_AREA);
}

int main(void)
{
	in_and_out();
	what_was_cut_off();
	from_one_to_another();
	within_one();
	from_a_file();
	reserves();
	by_id();
	return 0;
}
