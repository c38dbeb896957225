/*
 * The library comes into the process when the program loads it (dlopen), out of sight: what the
 * program unmaps is cut from its areas all the same, and what it unmaps before is not touched.
 * Where the program is started with libareas-cut.so (LD_PRELOAD) and not linked with the library,
 * that is so; linked with it, it has been there from the start.
 *
 * Not under valgrind: as at_once.c.
 */
#include <OS.h>

#include <dlfcn.h>

#include "check.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)

typedef area_id creates(const char *, void **, uint32, size_t, uint32, uint32);
typedef area_id finds(void *);
typedef status_t deletes(area_id);

/* A function's address comes as that of an object. */
static void *in(void *library, const char *name)
{
	void *found = dlsym(library, name);
	if (found == NULL)
		check_failed(__FILE__, __LINE__, "%s", dlerror());
	return found;
}

int main(void)
{
	const char *file = getenv("AREAS_LIBRARY");
	char *before = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *library, *address = NULL;
	creates *create;
	finds *find;
	deletes *delete;
	area_id area;
	int round;
	CHECK(file != NULL && before != MAP_FAILED);
	CHECK_EQ(munmap(before, 2 * PAGE), 0);
	for (round = 0; round < 3; round++) {
		library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
		if (library == NULL)
			check_failed(__FILE__, __LINE__, "%s", dlerror());
		*(void **)&create = in(library, "create_area");
		*(void **)&find = in(library, "area_for");
		*(void **)&delete = in(library, "delete_area");
		area = create("later", &address, B_ANY_ADDRESS, 8 * PAGE, B_NO_LOCK, RW);
		CHECK(area > 0);
		CHECK_EQ(munmap((char *)address + 6 * PAGE, 2 * PAGE), 0);
		CHECK_EQ(find((char *)address + 6 * PAGE), B_ERROR);
		CHECK_EQ(find((char *)address + 5 * PAGE), area);
		/* It stays, whatever is said here: it has areas. */
		CHECK_EQ(dlclose(library), 0);
		CHECK_EQ(munmap(address, PAGE), 0);
		CHECK_EQ(find(address), B_ERROR);
		CHECK_EQ(find((char *)address + PAGE), area);
		CHECK_EQ(delete(area), B_OK);
		CHECK_STR(check_maps((char *)address + PAGE), "");
	}
	CHECK_EQ(munmap(before + 2 * PAGE, 2 * PAGE), 0);
	return 0;
}
