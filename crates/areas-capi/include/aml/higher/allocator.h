/*
 * Allocators over an area: memory in pieces, without a call of the kernel for each.
 *
 * Those of this library (aml/higher/allocator/…) may be used by many threads at once, and never
 * touch the memory that they give: their area may be no memory at all. The area and its options
 * have to outlive the allocator.
 */
#ifndef AML_HIGHER_ALLOCATOR_H
#define AML_HIGHER_ALLOCATOR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whatever the operations of an allocator want to find. */
struct aml_allocator_data;
struct aml_allocator_ops;

struct aml_allocator {
	struct aml_allocator_data *data;
	struct aml_allocator_ops *ops;
};

/* A piece of memory with its size, and a word for you. */
struct aml_allocator_chunk {
	/* To be read only. */
	void *ptr;
	/* At least what was asked for. To be read only. */
	size_t size;
	/* Yours. */
	void *user_data;
};

/* What an allocator can do. Chunks are not for all: where they are NULL, they are AML_ENOTSUP. */
struct aml_allocator_ops {
	void *(*alloc)(struct aml_allocator_data *data, size_t size);
	int (*free)(struct aml_allocator_data *data, void *ptr);
	struct aml_allocator_chunk *(*alloc_chunk)(struct aml_allocator_data *data, size_t size);
	int (*free_chunk)(struct aml_allocator_data *data, struct aml_allocator_chunk *chunk);
};

/* At least `size` bytes; or NULL, with aml_errno set: AML_EINVAL, AML_ENOMEM, or what the area
 * says. */
void *aml_alloc(struct aml_allocator *allocator, size_t size);

/* Frees what aml_alloc returned. NULL does nothing; anything else that is not allocated is
 * -AML_EINVAL. */
int aml_free(struct aml_allocator *allocator, void *ptr);

/* The same with a chunk. AML_ENOTSUP where the allocator has none. */
struct aml_allocator_chunk *aml_allocator_alloc_chunk(struct aml_allocator *allocator, size_t size);
int aml_allocator_free_chunk(struct aml_allocator *allocator, struct aml_allocator_chunk *chunk);

#ifdef __cplusplus
}
#endif

#endif
