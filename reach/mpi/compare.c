/* What it takes to read the same file and broadcast it into ordinary memory, as a program would
 * that knows no areas. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spread.h"

/* Reads a chunk, sends it, reads the next one. */
static void one_after_the_other(MPI_Comm leaders, int rank, int file, unsigned char *to, size_t size, size_t chunk, struct trouble *trouble)
{
	for (size_t done = 0; done < size;) {
		const size_t wanted = size - done < chunk ? size - done : chunk;
		for (size_t got = 0; rank == 0 && got < wanted;) {
			const ssize_t more = pread(file, to + done + got, wanted - got, (off_t)(done + got));
			if (more < 0 && errno == EINTR)
				continue;
			if (more <= 0) {
				trouble_note(trouble, "--compare: cannot read the file: pread: %s", more == 0 ? "it was cut" : strerror(errno));
				break;
			}
			got += (size_t)more;
		}
		MPI_Bcast(to + done, (int)wanted, MPI_BYTE, 0, leaders);
		done += wanted;
	}
}

void compare(const struct world *world, int file, size_t size, size_t chunk, struct times *times, struct trouble *trouble)
{
	unsigned char *memory;
	double start;
	int rank, have, all;

	MPI_Comm_rank(world->leaders, &rank);
	MPI_Barrier(world->leaders);
	start = MPI_Wtime();
	memory = malloc(size);
	have = memory != NULL;
	MPI_Allreduce(&have, &all, 1, MPI_INT, MPI_MIN, world->leaders);
	if (!have)
		trouble_note(trouble, "--compare: no memory: malloc(%zu)", size);
	if (all) {
		one_after_the_other(world->leaders, rank, file, memory, size, chunk, trouble);
		MPI_Barrier(world->leaders);
		times->plain = MPI_Wtime() - start;
		/* All pages are there now, and the bytes: what MPI alone takes. */
		start = MPI_Wtime();
		for (size_t done = 0; done < size;) {
			const size_t wanted = size - done < chunk ? size - done : chunk;
			MPI_Bcast(memory + done, (int)wanted, MPI_BYTE, 0, world->leaders);
			done += wanted;
		}
		MPI_Barrier(world->leaders);
		times->plain_touched = MPI_Wtime() - start;
	}
	free(memory);
}
