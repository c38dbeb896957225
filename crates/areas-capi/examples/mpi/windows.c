/*
 * Windows of MPI over areas: mpirun -np 3 windows NAME
 *
 * Every rank makes an area, with all its pages in RAM, and publishes it as NAME.RANK; the window is
 * over that very memory, so what other ranks put into it is seen by any process of the host that
 * finds the area by its name, whether it knows of MPI or not. With --hold the ranks wait, after all
 * is done, until a file of the name that follows is there: for who wants to look.
 */
#include <areas.h>
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 64-bit numbers in a window: 2 MiB. */
#define NUMBERS ((size_t)1 << 18)
/* Where in a window: what neighbours put, what all add to, and what is added one at a time under a
 * lock. */
enum { PUT = 0, SUM = 1000, COUNTER = 2000 };
/* How many are put, and how often each rank adds. */
enum { MANY = 512, TIMES = 100 };

static int rank, ranks;

/* One rank that cannot go on ends all. */
static void fail(const char *what, const char *why)
{
	fprintf(stderr, "rank %d: %s: %s\n", rank, what, why);
	MPI_Abort(MPI_COMM_WORLD, 1);
	exit(1);
}

static void check(int good, const char *what)
{
	if (!good)
		fail("not so", what);
}

/* An area of this rank's own, found by others as NAME.RANK. */
static areas_area *make(const char *name)
{
	char full[200];
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;

	snprintf(full, sizeof full, "%s.%d", name, rank);
	wanted.size = NUMBERS * sizeof(uint64_t);
	wanted.name = full;
	/* On the nodes that this process may use: a window that is placed is placed for all who put
	 * into it. */
	wanted.placement.policy = AREAS_BIND;
	if (areas_nodes_allowed(&wanted.placement.nodes) < 0)
		fail("areas_nodes_allowed", areas_error_help());
	area = areas_create(&wanted);
	if (area == NULL || areas_populate(area, NULL, NULL) < 0)
		fail(full, areas_error_help());
	return area;
}

/* Active target: all between two fences. */
static void fenced(MPI_Win window, const uint64_t *mine)
{
	const int next = (rank + 1) % ranks, last = (rank + ranks - 1) % ranks;
	uint64_t sent[MANY], got[MANY];

	for (uint64_t i = 0; i < MANY; i++)
		sent[i] = (uint64_t)rank << 32 | i;
	MPI_Win_fence(0, window);
	MPI_Put(sent, MANY, MPI_UINT64_T, next, PUT, MANY, MPI_UINT64_T, window);
	/* All ranks add to all. */
	for (int target = 0; target < ranks; target++)
		MPI_Accumulate(sent, MANY, MPI_UINT64_T, target, SUM, MANY, MPI_UINT64_T, MPI_SUM, window);
	MPI_Win_fence(0, window);
	for (uint64_t i = 0; i < MANY; i++) {
		const uint64_t all = (uint64_t)ranks * (uint64_t)(ranks - 1) / 2 << 32;
		check(mine[PUT + i] == ((uint64_t)last << 32 | i), "what the rank before put is in the area");
		check(mine[SUM + i] == all + (uint64_t)ranks * i, "what all ranks added is in the area");
	}
	MPI_Win_fence(0, window);
	MPI_Get(got, MANY, MPI_UINT64_T, next, PUT, MANY, MPI_UINT64_T, window);
	MPI_Win_fence(0, window);
	check(memcmp(got, sent, sizeof got) == 0, "what was put comes back");
}

/* Passive target: the one whose memory it is makes no call. */
static void locked(MPI_Win window, uint64_t *mine)
{
	const uint64_t one = 1;
	uint64_t before, count = 0;

	for (int i = 0; i < TIMES; i++) {
		MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, window);
		MPI_Fetch_and_op(&one, &before, MPI_UINT64_T, 0, COUNTER, MPI_SUM, window);
		MPI_Win_unlock(0, window);
		check(before < (uint64_t)(ranks * TIMES), "no rank adds more often");
		/* What is read and written apart takes the lock for itself. */
		MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, window);
		MPI_Get(&count, 1, MPI_UINT64_T, 0, COUNTER + 1, 1, MPI_UINT64_T, window);
		MPI_Win_flush(0, window);
		count++;
		MPI_Put(&count, 1, MPI_UINT64_T, 0, COUNTER + 1, 1, MPI_UINT64_T, window);
		MPI_Win_unlock(0, window);
	}
	MPI_Barrier(MPI_COMM_WORLD);
	if (rank == 0) {
		MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, window);
		check(mine[COUNTER] == (uint64_t)(ranks * TIMES), "every fetch-and-add counted");
		check(mine[COUNTER + 1] == (uint64_t)(ranks * TIMES), "every get and put under the lock counted");
		MPI_Win_unlock(0, window);
	}
}

int main(int count, char **words)
{
	areas_area *area;
	MPI_Win window;

	MPI_Init(&count, &words);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	if (count != 2 && !(count == 4 && strcmp(words[2], "--hold") == 0))
		fail("usage", "windows NAME [--hold FILE]");
	area = make(words[1]);
	MPI_Win_create(areas_address(area), (MPI_Aint)areas_size(area), sizeof(uint64_t), MPI_INFO_NULL, MPI_COMM_WORLD, &window);
	fenced(window, areas_address(area));
	locked(window, areas_address(area));
	MPI_Barrier(MPI_COMM_WORLD);
	if (rank == 0) {
		printf("%d ranks: put, get and accumulate are right; see `areas cat %s.0 | od`\n", ranks, words[1]);
		fflush(stdout);
	}
	while (count == 4 && access(words[3], F_OK) != 0)
		usleep(20 * 1000);
	/* The window first: MPI may have the memory registered as long as there is one. */
	MPI_Win_free(&window);
	areas_release(area);
	MPI_Finalize();
	return 0;
}
