/*
 * AML's areas, in C and C++: where memory comes from.
 *
 * An area is a table of operations (map, unmap, print) and their data. `aml_area_linux` is there
 * from the start; `aml_area_linux_create` makes areas that are bound to NUMA nodes; your own are a
 * table of functions of yours.
 *
 * Functions that give a number give 0 for success, or one of AML_E… with a minus. Functions that
 * give a pointer give NULL and put the cause into `aml_errno`. Every function takes NULL and says
 * so instead of crashing; all may be called from any thread. A thread that is cancelled
 * (pthread_cancel, deferred) in one of them ends after it. Threads with 32 KiB of stack can make
 * every call. None is async-signal-safe.
 */
#ifndef AML_H
#define AML_H

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Programs expect libnuma's names to be there where libnuma is. Nothing here needs them. */
#if defined(__has_include)
#if __has_include(<numa.h>)
#include <numa.h>
#endif
#if __has_include(<numaif.h>)
#include <numaif.h>
#endif
#endif

#include "aml/utils/bitmap.h"
#include "aml/utils/error.h"
#include "aml/utils/features.h"
#include "aml/utils/inner-malloc.h"
#include "aml/utils/macros.h"
#include "aml/utils/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Begins to use the library, and ends it. The arguments are main's, which stay as they are, or
 * NULL. It may be called often; each call wants its aml_finalize, and one too many is -AML_EINVAL.
 * No thread is started. (Nothing fails where a program never calls it.)
 */
int aml_init(int *argc, char ***argv);
int aml_finalize(void);

/* Whatever the operations of an area want to find: you define it for areas of your own. */
struct aml_area_data;
/* Whatever an area's mmap takes beside the size: each sort of area has its own. */
struct aml_area_mmap_options;

/* What an area can do. An operation that is NULL is not there: calling it is AML_ENOTSUP. */
struct aml_area_ops {
	/* Gives `size` bytes, or NULL with aml_errno set. */
	void *(*mmap)(const struct aml_area_data *data, size_t size, struct aml_area_mmap_options *opts);
	/* Takes back what mmap gave. */
	int (*munmap)(const struct aml_area_data *data, void *ptr, size_t size);
	/* Prints what the area is, each line behind `prefix`, which is never NULL. */
	int (*fprintf)(const struct aml_area_data *data, FILE *stream, const char *prefix);
};

struct aml_area {
	struct aml_area_ops *ops;
	struct aml_area_data *data;
};

/*
 * Maps `size` bytes. `opts` are the area's own, or NULL. Mapping no bytes is not an error: NULL,
 * and aml_errno as it was. AML_EINVAL without an area, AML_ENOTSUP if it cannot map, and what its
 * operation says.
 */
void *aml_area_mmap(const struct aml_area *area, size_t size, struct aml_area_mmap_options *opts);

/* Unmaps what was mapped, with the size that was asked for. A NULL pointer or no bytes: nothing is
 * done. */
int aml_area_munmap(const struct aml_area *area, void *ptr, size_t size);

/* Prints what an area is. `prefix` may be NULL. */
int aml_area_fprintf(FILE *stream, const char *prefix, const struct aml_area *area);

#ifdef __cplusplus
}
#endif

#endif
