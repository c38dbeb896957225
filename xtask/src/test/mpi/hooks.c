/*
 * Open MPI's memory hooks see what happens to areas: mpirun -np 2 --mca mpi_leave_pinned 1 hooks
 *
 * An engine that keeps registrations of memory (leave_pinned) has to learn when addresses are
 * unmapped: else it would send from, or into, what is somewhere else by then. Open MPI patches
 * munmap, mremap, madvise and the like for that, once a network wants it; TCP does not. So they are
 * brought up here, as its own cache of registrations does it, and a function is registered with
 * them; an area's memory is used in a window and released; and the function was given exactly these
 * addresses.
 */
#include <areas.h>
#include <dlfcn.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* From Open MPI's opal/memoryhooks/memory.h. */
typedef void hook(void *start, size_t length, void *context, bool from_allocator);
#define SEES_MUNMAP 2

#define SIZE ((size_t)4 << 20)

static int rank;

/* What is watched, and how much of it the hooks reported. */
static struct {
	uintptr_t start, end;
	size_t reported;
} watched;

static void check(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "rank %d: not so: %s; areas says: %s\n", rank, what, areas_error_help());
	MPI_Abort(MPI_COMM_WORLD, 1);
	exit(1);
}

static void released(void *start, size_t length, void *context, bool from_allocator)
{
	const uintptr_t from = (uintptr_t)start, to = from + length;

	(void)context;
	(void)from_allocator;
	if (from < watched.end && to > watched.start)
		watched.reported += (to < watched.end ? to : watched.end) - (from > watched.start ? from : watched.start);
}

static areas_area *make(void)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;

	wanted.size = SIZE;
	area = areas_create(&wanted);
	check(area != NULL && areas_populate(area, NULL, NULL) >= 0, "an area is made");
	return area;
}

/* Sends an area's memory around through a window and by messages, in the eyes of the engine's
 * cache. */
static void use(areas_area *area)
{
	unsigned char *mine = areas_address(area), *other = malloc(SIZE);
	MPI_Win window;

	check(other != NULL, "malloc");
	memset(mine, rank + 1, SIZE);
	MPI_Sendrecv(mine, SIZE, MPI_BYTE, 1 - rank, 0, other, SIZE, MPI_BYTE, 1 - rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	check(other[0] == 2 - rank && other[SIZE - 1] == 2 - rank, "the other rank's area arrived");
	MPI_Win_create(mine, SIZE, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &window);
	MPI_Win_fence(0, window);
	MPI_Get(other, SIZE, MPI_BYTE, rank, 0, SIZE, MPI_BYTE, window);
	MPI_Win_fence(0, window);
	check(memcmp(other, mine, SIZE) == 0, "an area's bytes come out of its window");
	MPI_Win_free(&window);
	free(other);
}

/* An area's addresses are reported when it goes, and those of one that is there again are free of
 * what was known of the first. */
static void watch(void)
{
	for (int round = 0; round < 3; round++) {
		areas_area *area = make();
		use(area);
		watched.start = (uintptr_t)areas_address(area);
		watched.end = watched.start + SIZE;
		watched.reported = 0;
		areas_release(area);
		check(watched.reported >= SIZE, "the hooks report every page of an area that is released");
		watched.start = watched.end = 0;
	}
}

int main(int count, char **words)
{
	int (*add)(hook *, void *), (*take)(hook *), (*level)(void), (*open)(void *, int);
	void *framework;

	MPI_Init(&count, &words);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	framework = dlsym(RTLD_DEFAULT, "opal_memory_base_framework");
	*(void **)&open = dlsym(RTLD_DEFAULT, "mca_base_framework_open");
	*(void **)&add = dlsym(RTLD_DEFAULT, "opal_mem_hooks_register_release");
	*(void **)&take = dlsym(RTLD_DEFAULT, "opal_mem_hooks_unregister_release");
	*(void **)&level = dlsym(RTLD_DEFAULT, "opal_mem_hooks_support_level");
	if (add == NULL || take == NULL || level == NULL || open == NULL || framework == NULL) {
		if (rank == 0)
			printf("SKIPPED: this MPI has no opal_mem_hooks_register_release, or no opal_memory_base_framework\n");
		MPI_Finalize();
		return 0;
	}
	check(open(framework, 0) == 0, "the hooks are brought up");
	check(add(released, NULL) == 0, "the hooks take a function");
	check((level() & SEES_MUNMAP) != 0, "the hooks see munmap");
	watch();
	take(released);
	MPI_Barrier(MPI_COMM_WORLD);
	if (rank == 0)
		printf("the hooks saw every area go\n");
	MPI_Finalize();
	return 0;
}
