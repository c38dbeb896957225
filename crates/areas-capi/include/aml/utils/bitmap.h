/*
 * Sets of numbers from 0 to 2047, by value: a mask of NUMA nodes, for instance.
 *
 * NULL and numbers beyond the end are -AML_EINVAL, where a function gives a number; the others do
 * nothing then.
 */
#ifndef AML_UTILS_BITMAP_H
#define AML_UTILS_BITMAP_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How many bits a bitmap has, and how they are stored. */
#define AML_BITMAP_MAX 2048
#define AML_BITMAP_TYPE unsigned long
#define AML_BITMAP_BYTES (AML_BITMAP_MAX / 8)
#define AML_BITMAP_SIZE ((int)(AML_BITMAP_BYTES / sizeof(AML_BITMAP_TYPE)))
#define AML_BITMAP_NBITS ((int)(8 * sizeof(AML_BITMAP_TYPE)))

/* Bit n is bit n % AML_BITMAP_NBITS of mask[n / AML_BITMAP_NBITS]. All zero is the empty set. */
struct aml_bitmap {
	AML_BITMAP_TYPE mask[AML_BITMAP_SIZE];
};

void aml_bitmap_copy(struct aml_bitmap *dst, const struct aml_bitmap *src);

/* Clears, or sets, all bits. */
int aml_bitmap_zero(struct aml_bitmap *bitmap);
int aml_bitmap_fill(struct aml_bitmap *bitmap);

/* 1 or 0. */
int aml_bitmap_isset(const struct aml_bitmap *bitmap, const unsigned int i);
int aml_bitmap_iszero(const struct aml_bitmap *bitmap);
int aml_bitmap_isfull(const struct aml_bitmap *bitmap);
int aml_bitmap_isequal(const struct aml_bitmap *a, const struct aml_bitmap *b);

int aml_bitmap_set(struct aml_bitmap *bitmap, const unsigned int i);
int aml_bitmap_clear(struct aml_bitmap *bitmap, const unsigned int i);

/* From i to ii, both included. -AML_EINVAL if ii comes before i. */
int aml_bitmap_set_range(struct aml_bitmap *bitmap, const unsigned int i, const unsigned int ii);
int aml_bitmap_clear_range(struct aml_bitmap *bitmap, const unsigned int i, const unsigned int ii);

/* How many bits are set. */
int aml_bitmap_nset(const struct aml_bitmap *bitmap);

/*
 * From and to an array of words, of `size` bits. From: all other bits of the bitmap are cleared.
 * To: the array's bits behind the first `size` stay as they are.
 */
void aml_bitmap_copy_from_ulong(struct aml_bitmap *bitmap, const unsigned long *src, size_t size);
void aml_bitmap_copy_to_ulong(const struct aml_bitmap *bitmap, unsigned long *dst, size_t size);

/* The highest, or lowest, bit that is set; -1 if none is. */
int aml_bitmap_last(const struct aml_bitmap *bitmap);
int aml_bitmap_first(const struct aml_bitmap *bitmap);

/*
 * From a string: "all" (or "fill", "full"), "none" (or "zero", "empty", or NULL), numbers
 * ("0,3-5"), or what aml_bitmap_to_string makes. -AML_EINVAL, and the bitmap as it was, for
 * anything else.
 */
int aml_bitmap_from_string(struct aml_bitmap *bitmap, const char *bitmap_str);

/* "[0110…]", bit 0 first, to be given to free(); or NULL. */
char *aml_bitmap_to_string(const struct aml_bitmap *bitmap);

/* An empty bitmap, or a copy, on the heap. On failure, the pointer is NULL. */
int aml_bitmap_create(struct aml_bitmap **map);
int aml_bitmap_dup(struct aml_bitmap **dst, const struct aml_bitmap *src);

/* Frees such a bitmap, and sets the pointer to NULL. */
void aml_bitmap_destroy(struct aml_bitmap **map);

#ifdef __cplusplus
}
#endif

#endif
