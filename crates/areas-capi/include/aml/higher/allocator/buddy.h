/*
 * The buddy allocator: blocks of powers of two, 64 bytes at least, cut from pools and put together
 * again. A second pool that is wholly free is unmapped.
 */
#ifndef AML_HIGHER_ALLOCATOR_BUDDY_H
#define AML_HIGHER_ALLOCATOR_BUDDY_H

#include "../../../aml.h"

#include "../allocator.h"

#ifdef __cplusplus
extern "C" {
#endif

extern struct aml_allocator_ops aml_allocator_buddy_ops;

/* Over an area; `opts` are the area's own, or NULL. -AML_EINVAL without a place or an area. */
int aml_allocator_buddy_create(struct aml_allocator **out, struct aml_area *area,
                            struct aml_area_mmap_options *opts);

/* Unmaps all pools, frees the allocator and sets *allocator to NULL. -AML_EBUSY, and nothing done,
 * while anything is out. */
int aml_allocator_buddy_destroy(struct aml_allocator **allocator);

/* The operations behind aml_alloc, aml_free, and the functions for chunks. */
void *aml_allocator_buddy_alloc(struct aml_allocator_data *data, size_t size);
int aml_allocator_buddy_free(struct aml_allocator_data *data, void *ptr);
struct aml_allocator_chunk *aml_allocator_buddy_alloc_chunk(struct aml_allocator_data *data, size_t size);
int aml_allocator_buddy_free_chunk(struct aml_allocator_data *data, struct aml_allocator_chunk *chunk);

#ifdef __cplusplus
}
#endif

#endif
