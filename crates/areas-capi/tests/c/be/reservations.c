/*
 * Reserved ranges: parts of them are released, an area grows past the end of the one in which it is
 * and over others, and what fails changes none of them.
 *
 * Not under valgrind: version 3.19 ignores MAP_FIXED_NOREPLACE, and has addresses of its own.
 */
#include <OS.h>
#include <syscalls.h>

#include "check.h"

#include <sys/resource.h>

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)

static addr_t reserved(size_t pages)
{
	addr_t range = 0;
	CHECK_EQ(_kern_reserve_address_range(&range, B_RANDOMIZED_ANY_ADDRESS, pages * PAGE), B_OK);
	return range;
}

static status_t reserve_at(addr_t address, size_t pages)
{
	addr_t range = address;
	status_t status = _kern_reserve_address_range(&range, B_EXACT_ADDRESS, pages * PAGE);
	CHECK(range == address);
	return status;
}

static area_id made_at(addr_t address, size_t pages)
{
	void *at = (void *)address;
	return create_area("reserved", &at, B_EXACT_ADDRESS, pages * PAGE, B_NO_LOCK, RW);
}

/* What is at a page: "---p" is reserved, "" is free. */
static const char *at(addr_t start, size_t page)
{
	return check_maps((void *)(start + page * PAGE));
}

static void parts(void)
{
	addr_t range = reserved(16);
	area_id inside = made_at(range + 6 * PAGE, 2), outside;
	CHECK(inside > 0);
	strcpy((char *)range + 6 * PAGE, "stays");
	/* Head, tail, and a middle in which an area is: that stays. */
	CHECK_EQ(_kern_unreserve_address_range(range, 2 * PAGE), B_OK);
	CHECK_EQ(_kern_unreserve_address_range(range + 14 * PAGE, 2 * PAGE), B_OK);
	CHECK_EQ(_kern_unreserve_address_range(range + 5 * PAGE, 2 * PAGE), B_OK);
	CHECK_STR(at(range, 0), "");
	CHECK_STR(at(range, 1), "");
	CHECK_STR(at(range, 2), "---p");
	CHECK_STR(at(range, 5), "");
	CHECK_STR(at(range, 6), "rw-s");
	CHECK_STR(at(range, 13), "rw-s");
	CHECK_STR(at(range, 14), "");
	CHECK_STR((char *)range + 6 * PAGE, "stays");
	/* Once more, and where nothing ever was. */
	CHECK_EQ(_kern_unreserve_address_range(range, 2 * PAGE), B_OK);
	CHECK_EQ(_kern_unreserve_address_range(0x10000, PAGE), B_OK);
	/* What was released is anybody's. */
	CHECK_EQ(reserve_at(range + PAGE, 1), B_OK);
	CHECK_EQ(reserve_at(range, 1), B_OK);
	CHECK_EQ(reserve_at(range + PAGE, 1), B_BAD_VALUE);
	outside = made_at(range + 5 * PAGE, 1);
	CHECK(outside > 0);
	CHECK_EQ(delete_area(outside), B_OK);
	CHECK_STR(at(range, 5), "");
	/* The rest still holds areas, and they leave what is reserved reserved. */
	CHECK_EQ(delete_area(inside), B_OK);
	CHECK_STR(at(range, 6), "");
	CHECK_STR(at(range, 7), "---p");
	CHECK_EQ(reserve_at(range + 7 * PAGE, 1), B_BAD_VALUE);
	inside = made_at(range + 7 * PAGE, 1);
	CHECK(inside > 0);
	/* All that is left of them, in one call. */
	CHECK_EQ(_kern_unreserve_address_range(range, 16 * PAGE), B_OK);
	CHECK_STR(at(range, 0), "");
	CHECK_STR(at(range, 2), "");
	CHECK_STR(at(range, 7), "rw-s");
	CHECK_STR(at(range, 8), "");
	CHECK_EQ(delete_area(inside), B_OK);
	CHECK_STR(at(range, 7), "");
	CHECK_STR(at(range, 8), "");
}

/* Past its end, and over what was reserved there later. */
static void past_the_end(void)
{
	addr_t range = reserved(4);
	area_id area = made_at(range, 1);
	volatile char *bytes = (volatile char *)range;
	CHECK(area > 0);
	CHECK_EQ(resize_area(area, 8 * PAGE), B_OK);
	bytes[8 * PAGE - 1] = 'p';
	CHECK_EQ(area_for((void *)(range + 8 * PAGE - 1)), area);
	CHECK_EQ(resize_area(area, 4 * PAGE), B_OK);
	/* Behind its end it has nothing that others could not have. */
	CHECK_EQ(reserve_at(range + 5 * PAGE, 1), B_OK);
	CHECK_EQ(reserve_at(range + 6 * PAGE, 4), B_OK);
	CHECK_STR(at(range, 5), "---p");
	CHECK_EQ(area_for((void *)(range + 5 * PAGE)), B_ERROR);
	CHECK_EQ(resize_area(area, 8 * PAGE), B_OK);
	CHECK_EQ(bytes[8 * PAGE - 1], 0);
	bytes[8 * PAGE - 1] = 'q';
	CHECK_STR(at(range, 7), "rw-s");
	CHECK_STR(at(range, 8), "---p");
	/* An area in a range behind is in the way, and the ranges stay. */
	area_id other = made_at(range + 9 * PAGE, 1);
	CHECK(other > 0);
	CHECK_EQ(resize_area(area, 11 * PAGE), B_ERROR);
	CHECK_STR(at(range, 8), "---p");
	CHECK_EQ(reserve_at(range + 8 * PAGE, 1), B_BAD_VALUE);
	CHECK_STR(at(range, 10), "");
	CHECK_EQ(delete_area(other), B_OK);
	CHECK_EQ(resize_area(area, 11 * PAGE), B_OK);
	/* What it grew over goes with it, and what was its own range is reserved again. */
	CHECK_EQ(delete_area(area), B_OK);
	CHECK_STR(at(range, 0), "---p");
	CHECK_STR(at(range, 3), "---p");
	CHECK_STR(at(range, 4), "");
	CHECK_STR(at(range, 10), "");
	CHECK_EQ(_kern_unreserve_address_range(range, 4 * PAGE), B_OK);
	CHECK_STR(at(range, 0), "");
}

/* One that is in no range grows over ranges, too; and over a part of its own that was released. */
static void from_outside(void)
{
	addr_t range = reserved(16);
	area_id area;
	CHECK_EQ(_kern_unreserve_address_range(range, 4 * PAGE), B_OK);
	area = made_at(range, 1);
	CHECK(area > 0);
	CHECK_EQ(resize_area(area, 8 * PAGE), B_OK);
	CHECK_STR(at(range, 7), "rw-s");
	CHECK_STR(at(range, 8), "---p");
	CHECK_EQ(delete_area(area), B_OK);
	CHECK_STR(at(range, 0), "");
	CHECK_STR(at(range, 7), "");
	CHECK_EQ(reserve_at(range + 8 * PAGE, 8), B_BAD_VALUE);
	CHECK_EQ(_kern_unreserve_address_range(range, 16 * PAGE), B_OK);

	range = reserved(8);
	CHECK_EQ(_kern_unreserve_address_range(range + 4 * PAGE, 2 * PAGE), B_OK);
	area = made_at(range, 1);
	CHECK(area > 0);
	CHECK_EQ(resize_area(area, 12 * PAGE), B_OK);
	memset((void *)range, 'x', 12 * PAGE);
	CHECK_EQ(delete_area(area), B_OK);
	CHECK_STR(at(range, 3), "---p");
	CHECK_STR(at(range, 4), "");
	CHECK_STR(at(range, 6), "---p");
	CHECK_STR(at(range, 8), "");
	CHECK_EQ(_kern_unreserve_address_range(range, 8 * PAGE), B_OK);
}

/* Growth that fails for want of something else: all ranges are as they were, and so is the area. */
static void growth_that_fails(void)
{
	struct rlimit most = { 6 * PAGE, RLIM_INFINITY }, before;
	addr_t range = reserved(4);
	area_id area = made_at(range, 1);
	area_info info;
	CHECK(area > 0);
	CHECK_EQ(reserve_at(range + 5 * PAGE, 2), B_OK);
	CHECK_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
	most.rlim_max = before.rlim_max;
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &most), 0);
	CHECK_EQ(resize_area(area, 8 * PAGE), B_NO_MEMORY);
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
	CHECK_EQ(get_area_info(area, &info), B_OK);
	CHECK_EQ(info.size, PAGE);
	CHECK_STR(at(range, 4), "");
	CHECK_STR(at(range, 5), "---p");
	CHECK_STR(at(range, 6), "---p");
	CHECK_STR(at(range, 7), "");
	/* Still reserved, and by whom. */
	CHECK_EQ(reserve_at(range + 5 * PAGE, 1), B_BAD_VALUE);
	CHECK(made_at(range + 6 * PAGE, 1) > 0);
	CHECK_EQ(resize_area(area, 4 * PAGE), B_OK);
	CHECK_EQ(resize_area(area, 8 * PAGE), B_ERROR);
	CHECK_EQ(resize_area(area, 6 * PAGE), B_OK);
	CHECK_EQ(delete_area(area), B_OK);
	CHECK_STR(at(range, 0), "---p");
	CHECK_STR(at(range, 4), "");
	CHECK_STR(at(range, 5), "");
}

/* A child has the ranges of its parent, for itself. */
static void forked(void)
{
	addr_t range = reserved(4);
	area_id area = made_at(range, 1);
	pid_t child;
	CHECK(area > 0);
	CHECK_EQ(reserve_at(range + 4 * PAGE, 2), B_OK);
	child = check_fork();
	if (child == 0) {
		area_id own = area_for((void *)range);
		CHECK(own > 0 && own != area);
		CHECK_EQ(resize_area(own, 4 * PAGE), B_OK);
		CHECK_EQ(_kern_unreserve_address_range(range + 4 * PAGE, 2 * PAGE), B_OK);
		CHECK_STR(at(range, 4), "");
		_exit(0);
	}
	check_child(child, 0);
	CHECK_STR(at(range, 4), "---p");
	CHECK_EQ(resize_area(area, 6 * PAGE), B_OK);
	memset((void *)range, 'f', 6 * PAGE);
	CHECK_EQ(delete_area(area), B_OK);
	CHECK_EQ(_kern_unreserve_address_range(range, 8 * PAGE), B_OK);
}

int main(void)
{
	parts();
	past_the_end();
	from_outside();
	growth_that_fails();
	forked();
	return 0;
}
