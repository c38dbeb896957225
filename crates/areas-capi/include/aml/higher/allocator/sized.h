/*
 * The sized allocator: chunks of one size, side by side in pools. A request for any other size is
 * AML_EINVAL.
 */
#ifndef AML_HIGHER_ALLOCATOR_SIZED_H
#define AML_HIGHER_ALLOCATOR_SIZED_H

#include "../../../aml.h"

#include "../allocator.h"

#ifdef __cplusplus
extern "C" {
#endif

extern struct aml_allocator_ops aml_allocator_sized_ops;

/* Chunks of `size` bytes over an area. -AML_EINVAL without a place or an area, and for size 0. */
int aml_allocator_sized_create(struct aml_allocator **out, size_t size, struct aml_area *area,
                            struct aml_area_mmap_options *opts);

/* Unmaps all pools, what is still out included, frees the allocator and sets *allocator to NULL. */
int aml_allocator_sized_destroy(struct aml_allocator **allocator);

/* The operations behind aml_alloc, aml_free. */
void *aml_allocator_sized_alloc(struct aml_allocator_data *data, size_t size);
int aml_allocator_sized_free(struct aml_allocator_data *data, void *ptr);

#ifdef __cplusplus
}
#endif

#endif
