/*
 * Locks where mlock2 may be missing, as under valgrind 3.19: a full lock keeps its promise by mlock
 * alone; a lazy one, which cannot be had without, is refused and says what to do.
 */
#include <OS.h>
#include <areas.h>

#include "check.h"

#include <sys/syscall.h>

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)

/* Whether the kernel, or who stands in its place, knows the call. */
static int has_mlock2(void)
{
	return syscall(SYS_mlock2, NULL, (size_t)0, 0) == 0 || errno != ENOSYS;
}

int main(void)
{
	char *full = (char *)(uintptr_t)0x320000000000, *clone = NULL, *lazy = NULL;
	area_info info;
	area_id other, id = create_area("full", (void **)&full, B_EXACT_ADDRESS, 8 * PAGE, B_FULL_LOCK, RW);
	if (id == B_NO_MEMORY)
		SKIP("nothing may be locked here");
	CHECK(id > 0);
	/* All are there and locked before any was touched. */
	CHECK_EQ(check_smaps(full, "Locked"), (long)(8 * PAGE) / 1024);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.lock, B_FULL_LOCK);
	CHECK_EQ(info.ram_size, 8 * PAGE);
	CHECK_EQ(resize_area(id, 16 * PAGE), B_OK);
	CHECK_EQ(check_smaps(full, "Locked"), (long)(16 * PAGE) / 1024);
	other = clone_area("full, too", (void **)&clone, B_ANY_ADDRESS, RW, id);
	CHECK(other > 0);
	CHECK_EQ(check_smaps(clone, "Rss"), (long)(16 * PAGE) / 1024);
	CHECK(check_smaps(clone, "Locked") > 0);
	CHECK_EQ(delete_area(other), B_OK);
	CHECK_EQ(delete_area(id), B_OK);
	CHECK_STR(check_maps(full), "");

	id = create_area("lazy", (void **)&lazy, B_ANY_ADDRESS, 8 * PAGE, B_LAZY_LOCK, RW);
	if (has_mlock2()) {
		CHECK(id > 0);
		CHECK_EQ(check_smaps(lazy, "Locked"), 0);
		lazy[0] = 1;
		CHECK_EQ(check_smaps(lazy, "Locked"), (long)PAGE / 1024);
		CHECK_EQ(delete_area(id), B_OK);
		return 0;
	}
	CHECK_EQ(id, B_NO_MEMORY);
	CHECK(strstr(areas_error_text(), "ENOSYS") != NULL);
	CHECK(strstr(areas_error_help(), "use a full lock") != NULL);
	CHECK_EQ(find_area("lazy"), B_NAME_NOT_FOUND);
	return 0;
}
