/*
 * AML's older areas, version 0.1: for programs that were written by its documentation page. New
 * programs want <aml.h> of the folder above.
 *
 * Put this folder before the other on the search path (-I …/include/aml-0.1). The library is the
 * same: functions that changed between the versions have other symbols there, which these headers
 * choose. One program may use both versions, in different files.
 */
#ifndef AML_01_H
#define AML_01_H

#ifdef AML_H
#error "the current aml.h is here already: a file can use one of the two versions"
#endif
/* What was here first is the version of this file. */
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
#include "aml/utils/inner-malloc.h"
#include "aml/utils/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As in the current version: counted, and no thread is started. */
int aml_init(int *argc, char ***argv);
int aml_finalize(void);

/* Whatever the operations of an area want to find: you define it for areas of your own. */
struct aml_area_data;

/* What an area can do. An operation that is NULL is not there: calling it is AML_ENOTSUP. */
struct aml_area_ops {
	/* Gives `size` bytes, at `ptr` if it can and that is not NULL; or NULL with aml_errno set. */
	void *(*mmap)(const struct aml_area_data *data, void *ptr, size_t size);
	/* Takes back what mmap gave. */
	int (*munmap)(const struct aml_area_data *data, void *ptr, size_t size);
};

struct aml_area {
	struct aml_area_ops *ops;
	struct aml_area_data *data;
};

/*
 * Maps `size` bytes, at *ptr if that can be had; `ptr` may be NULL. Mapping no bytes is not an
 * error: NULL, and aml_errno as it was.
 */
void *aml_area_mmap(const struct aml_area *area, void **ptr, size_t size) __asm__("aml01_area_mmap");

/* Unmaps what was mapped. A NULL pointer or no bytes: nothing is done. */
int aml_area_munmap(const struct aml_area *area, void *ptr, size_t size) __asm__("aml01_area_munmap");

#ifdef __cplusplus
}
#endif

#endif
