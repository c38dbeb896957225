/*
 * For LD_PRELOAD, under the tests of areas-spread. SPOIL_BYTE: one byte of the first broadcast of
 * more than a page arrives changed, on every rank but the one that sends. SPOIL_READ=N: reading a
 * file at or behind byte N fails with EIO. Linked with: dl
 */
#include <dlfcn.h>
#include <errno.h>
#include <mpi.h>
#include <stdlib.h>
#include <sys/types.h>

#define PAGE 4096

int MPI_Bcast(void *buffer, int count, MPI_Datatype datatype, int root, MPI_Comm comm)
{
	static int done;
	const int status = PMPI_Bcast(buffer, count, datatype, root, comm);
	int rank;

	PMPI_Comm_rank(comm, &rank);
	if (getenv("SPOIL_BYTE") != NULL && rank != root && count > PAGE && !done) {
		((unsigned char *)buffer)[count / 2] ^= 1;
		done = 1;
	}
	return status;
}

ssize_t pread(int file, void *to, size_t size, off_t offset)
{
	static ssize_t (*next)(int, void *, size_t, off_t);
	const char *from = getenv("SPOIL_READ");

	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "pread");
	if (from != NULL && size > PAGE && offset >= atol(from)) {
		errno = EIO;
		return -1;
	}
	return next(file, to, size, offset);
}
