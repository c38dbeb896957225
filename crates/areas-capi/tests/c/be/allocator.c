/*
 * An allocator that lives on a reserved range: areas at exact addresses, grown in place, found by
 * address; and it distinguishes "no memory" from "address space blocked".
 *
 * Not under valgrind: version 3.19 ignores MAP_FIXED_NOREPLACE, so that nothing is ever occupied.
 */
#include <OS.h>
#include <syscalls.h>

#include "check.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define RANGE (64 * 1024 * 1024)

static addr_t range;
static area_id heap;
static char *start, *next, *end;

static void *take(size_t bytes)
{
	void *taken = next;
	bytes = (bytes + 15) & ~(size_t)15;
	if ((size_t)(end - next) < bytes) {
		size_t size = ((size_t)(next - start) + bytes + PAGE - 1) & ~(PAGE - 1);
		if (resize_area(heap, size) != B_OK)
			return NULL;
		end = start + size;
	}
	next += bytes;
	return taken;
}

int main(void)
{
	void *address;
	area_id other, clone;
	size_t i;
	char *block, *seen;
	CHECK_EQ(_kern_reserve_address_range(&range, B_ANY_ADDRESS, RANGE), B_OK);
	CHECK_EQ(range % PAGE, 0);
	/* Nothing is there, and nothing else comes to be there. */
	CHECK_EQ(check_touch((char *)range, 0), SIGSEGV);
	CHECK_EQ(area_for((void *)range), B_ERROR);

	address = (void *)range;
	heap = create_area("heap", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(heap > 0);
	CHECK_EQ((addr_t)address, range);
	start = next = address;
	end = start + PAGE;
	for (i = 0; i < 1000; i++) {
		block = take(10000);
		CHECK(block != NULL);
		memset(block, (int)i, 10000);
		CHECK_EQ(area_for(block + 9999), heap);
	}
	CHECK_EQ((unsigned char)start[0], 0);
	CHECK_EQ((unsigned char)start[10000], 1);

	/* Another area further up in the same range: the heap's reserve gives way, and it stops growing
	 * there. */
	address = (void *)(range + RANGE / 2);
	other = create_area("other", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(other > 0);
	CHECK_EQ((addr_t)address, range + RANGE / 2);
	CHECK_EQ(resize_area(heap, RANGE / 2), B_OK);
	CHECK_EQ(resize_area(heap, RANGE / 2 + PAGE), B_ERROR);
	/* Nor beyond all addresses. */
	CHECK_EQ(resize_area(heap, (size_t)1 << 47), B_ERROR);
	address = (void *)(range + RANGE / 2);
	CHECK_EQ(create_area("on top", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, RW), B_BAD_VALUE);
	CHECK_EQ(delete_area(other), B_OK);
	CHECK_EQ(resize_area(heap, RANGE / 2 + PAGE), B_OK);
	start[RANGE / 2] = 7;

	/* A clone inside the range sees growth as well. */
	CHECK_EQ(resize_area(heap, PAGE), B_OK);
	address = (void *)(range + RANGE / 2);
	clone = clone_area("clone", &address, B_EXACT_ADDRESS, B_READ_AREA, heap);
	CHECK(clone > 0);
	seen = address;
	CHECK_EQ(resize_area(heap, 1024 * PAGE), B_OK);
	start[1024 * PAGE - 1] = 9;
	CHECK_EQ(seen[1024 * PAGE - 1], 9);
	CHECK_EQ(delete_area(clone), B_OK);
	CHECK_EQ(delete_area(heap), B_OK);

	/* Its addresses are reserved again, until they are released. */
	CHECK_STR(check_maps((void *)range), "---p");
	CHECK_EQ(_kern_unreserve_address_range(range, RANGE), B_OK);
	CHECK_STR(check_maps((void *)range), "");
	return 0;
}
