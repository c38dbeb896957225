/*
 * The walk over a team's areas: in the order of addresses, each that stays once and only once,
 * whatever comes and goes.
 */
#include <OS.h>

#include "check.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define COUNT 40

int main(void)
{
	area_id ids[COUNT], seen[COUNT] = { 0 }, adjacent;
	void *addresses[COUNT], *address;
	area_info info;
	ssize_t cookie = 0;
	uintptr_t last = 0;
	int i, stable = 0, found = 0;
	for (i = 0; i < COUNT; i++) {
		ids[i] = create_area("walk", &addresses[i], B_ANY_ADDRESS, PAGE, B_NO_LOCK, B_READ_AREA);
		CHECK(ids[i] > 0);
	}
	/* One that begins where another ends: its reserve gives way. */
	address = (char *)addresses[0] + PAGE;
	adjacent = create_area("adjacent", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, B_READ_AREA);
	CHECK(adjacent > 0);
	CHECK(address == (char *)addresses[0] + PAGE);
	CHECK_EQ(area_for(addresses[0]), ids[0]);
	CHECK_EQ(area_for(address), adjacent);
	while (get_next_area_info(B_CURRENT_TEAM, &cookie, &info) == B_OK) {
		CHECK((uintptr_t)info.address > last);
		last = (uintptr_t)info.address;
		CHECK_EQ(info.team, getpid());
		if (info.area == adjacent)
			found++;
		for (i = 0; i < COUNT; i++)
			if (ids[i] == info.area)
				seen[i]++;
		/* While it goes on: every second one goes, and so do ones that come. */
		for (i = 1; i < COUNT; i += 2) {
			if (ids[i] > 0 && (uintptr_t)addresses[i] > last) {
				CHECK_EQ(delete_area(ids[i]), B_OK);
				ids[i] = 0;
				break;
			}
		}
		address = NULL;
		{
			area_id passing = create_area("passing", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, B_READ_AREA);
			CHECK(passing > 0);
			CHECK_EQ(delete_area(passing), B_OK);
		}
	}
	for (i = 0; i < COUNT; i += 2) {
		CHECK_EQ(seen[i], 1);
		stable++;
	}
	CHECK_EQ(stable, COUNT / 2);
	CHECK_EQ(found, 1);
	/* The end, again and again. */
	CHECK_EQ(get_next_area_info(getpid(), &cookie, &info), B_ENTRY_NOT_FOUND);
	CHECK_EQ(get_next_area_info(getpid(), &cookie, &info), B_ENTRY_NOT_FOUND);
	return 0;
}
