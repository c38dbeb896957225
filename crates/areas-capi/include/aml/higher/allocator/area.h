/*
 * The area allocator: each allocation is a mapping of its own. For what is large, or for areas
 * whose memory is not to be cut.
 */
#ifndef AML_HIGHER_ALLOCATOR_AREA_H
#define AML_HIGHER_ALLOCATOR_AREA_H

#include "../../../aml.h"

#include "../allocator.h"

#ifdef __cplusplus
extern "C" {
#endif

extern struct aml_allocator_ops aml_allocator_area_ops;

/* Over an area; `opts` are the area's own, or NULL. -AML_EINVAL without a place or an area. */
int aml_allocator_area_create(struct aml_allocator **out, struct aml_area *area,
                            struct aml_area_mmap_options *opts);

/* Unmaps what is still out, frees the allocator and sets *allocator to NULL. */
int aml_allocator_area_destroy(struct aml_allocator **allocator);

/* The operations behind aml_alloc, aml_free. */
void *aml_allocator_area_alloc(struct aml_allocator_data *data, size_t size);
int aml_allocator_area_free(struct aml_allocator_data *data, void *ptr);

#ifdef __cplusplus
}
#endif

#endif
