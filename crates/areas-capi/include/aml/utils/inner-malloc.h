/*
 * One block of zeroed memory for several things: some structures, then perhaps an array, then
 * perhaps so many bytes more. One malloc, one free, and everything aligned as its type wants.
 *
 *     struct pair *pair = AML_INNER_MALLOC_ARRAY(n, double, struct pair, struct head);
 *     struct head *head = AML_INNER_MALLOC_GET_FIELD(pair, 2, struct pair, struct head);
 *     double *values = AML_INNER_MALLOC_GET_ARRAY(pair, double, struct pair, struct head);
 *     free(pair);
 *
 * Up to 36 types. All of them give `void *`, which C++ wants cast.
 */
#ifndef AML_UTILS_INNER_MALLOC_H
#define AML_UTILS_INNER_MALLOC_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "macros.h"

/* A block for one of each type, in that order; the first is at its beginning. NULL if there is no
 * memory. */
#define AML_INNER_MALLOC(...) aml_inner_calloc(AML_INNER_END(__VA_ARGS__), 1, 0, 0, 0)

/* The same, and an array of n `type` behind them. */
#define AML_INNER_MALLOC_ARRAY(n, type, ...) \
	aml_inner_calloc(AML_INNER_END(__VA_ARGS__), AML_ALIGNOF(type), n, sizeof(type), 0)

/* The same, and `size` bytes behind the array, aligned for any type. */
#define AML_INNER_MALLOC_EXTRA(n, type, size, ...) \
	aml_inner_calloc(AML_INNER_END(__VA_ARGS__), AML_ALIGNOF(type), n, sizeof(type), size)

/* The Nth of the types: N is a literal, the first is 1. */
#define AML_INNER_MALLOC_GET_FIELD(ptr, N, ...) aml_inner_at(ptr, AML_INNER_BEGIN(N, __VA_ARGS__))

/* The array. */
#define AML_INNER_MALLOC_GET_ARRAY(ptr, type, ...) \
	aml_inner_at(ptr, AML_ALIGN_UP(AML_INNER_END(__VA_ARGS__), AML_ALIGNOF(type)))

/* The bytes behind an array of n `type`. */
#define AML_INNER_MALLOC_GET_EXTRA(ptr, n, type, ...) \
	aml_inner_at(ptr, aml_inner_extra(AML_INNER_END(__VA_ARGS__), AML_ALIGNOF(type), n, sizeof(type)))

/* What is aligned as any type wants: C11's max_align_t, which C99 does not have. */
union aml_inner_any {
	long double number;
	long long word;
	void *data;
	void (*function)(void);
};

/* Where so many bytes behind an array begin: nowhere (SIZE_MAX) if the array is larger than
 * memory. */
static inline size_t aml_inner_extra(size_t head, size_t align, size_t n, size_t each)
{
	size_t most = AML_ALIGNOF(union aml_inner_any);
	size_t array = AML_ALIGN_UP(head, align);

	if (each != 0 && n > (SIZE_MAX - array - most) / each)
		return SIZE_MAX;
	return AML_ALIGN_UP(array + n * each, most);
}

static inline void *aml_inner_calloc(size_t head, size_t align, size_t n, size_t each, size_t extra)
{
	size_t begin = aml_inner_extra(head, align, n, each);

	/* What would not fit into memory is not allocated at all. */
	return extra > SIZE_MAX - begin || begin == SIZE_MAX ? NULL : calloc(1, begin + extra);
}

static inline void *aml_inner_at(const void *ptr, size_t offset)
{
	return (char *)(uintptr_t)ptr + offset;
}

/*
 * How it works. AML_INNER_PUT is where the next type begins, seen from the end of those before;
 * AML_INNER_END_k goes through k types so, AML_INNER_BEGIN_k stops at the kth. The 0 behind the
 * types is there because C11 wants an argument for every "...".
 */
#define AML_INNER_PUT(end, type) AML_ALIGN_UP(end, AML_ALIGNOF(type))
#define AML_INNER_JOIN(a, b) AML_INNER_JOIN_(a, b)
#define AML_INNER_JOIN_(a, b) a##b
#define AML_INNER_END(...) AML_INNER_JOIN(AML_INNER_END_, AML_INNER_COUNT(__VA_ARGS__))((size_t)0, __VA_ARGS__, 0)
#define AML_INNER_BEGIN(N, ...) AML_INNER_JOIN(AML_INNER_BEGIN_, N)((size_t)0, __VA_ARGS__, 0)

/* How many arguments there are, from 1 to 36. */
#define AML_INNER_COUNT(...) \
	AML_INNER_37TH(__VA_ARGS__, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, \
	               24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, \
	               12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define AML_INNER_37TH(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, _14, _15, _16, _17, _18, _19, _20, \
                       _21, _22, _23, _24, _25, _26, _27, _28, _29, _30, _31, _32, _33, _34, _35, _36, count, ...) count

#define AML_INNER_END_1(end, t, ...) (AML_INNER_PUT(end, t) + sizeof(t))
#define AML_INNER_END_2(end, t, ...) AML_INNER_END_1(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_3(end, t, ...) AML_INNER_END_2(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_4(end, t, ...) AML_INNER_END_3(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_5(end, t, ...) AML_INNER_END_4(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_6(end, t, ...) AML_INNER_END_5(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_7(end, t, ...) AML_INNER_END_6(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_8(end, t, ...) AML_INNER_END_7(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_9(end, t, ...) AML_INNER_END_8(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_10(end, t, ...) AML_INNER_END_9(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_11(end, t, ...) AML_INNER_END_10(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_12(end, t, ...) AML_INNER_END_11(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_13(end, t, ...) AML_INNER_END_12(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_14(end, t, ...) AML_INNER_END_13(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_15(end, t, ...) AML_INNER_END_14(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_16(end, t, ...) AML_INNER_END_15(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_17(end, t, ...) AML_INNER_END_16(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_18(end, t, ...) AML_INNER_END_17(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_19(end, t, ...) AML_INNER_END_18(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_20(end, t, ...) AML_INNER_END_19(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_21(end, t, ...) AML_INNER_END_20(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_22(end, t, ...) AML_INNER_END_21(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_23(end, t, ...) AML_INNER_END_22(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_24(end, t, ...) AML_INNER_END_23(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_25(end, t, ...) AML_INNER_END_24(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_26(end, t, ...) AML_INNER_END_25(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_27(end, t, ...) AML_INNER_END_26(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_28(end, t, ...) AML_INNER_END_27(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_29(end, t, ...) AML_INNER_END_28(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_30(end, t, ...) AML_INNER_END_29(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_31(end, t, ...) AML_INNER_END_30(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_32(end, t, ...) AML_INNER_END_31(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_33(end, t, ...) AML_INNER_END_32(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_34(end, t, ...) AML_INNER_END_33(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_35(end, t, ...) AML_INNER_END_34(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_END_36(end, t, ...) AML_INNER_END_35(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)

#define AML_INNER_BEGIN_1(end, t, ...) AML_INNER_PUT(end, t)
#define AML_INNER_BEGIN_2(end, t, ...) AML_INNER_BEGIN_1(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_3(end, t, ...) AML_INNER_BEGIN_2(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_4(end, t, ...) AML_INNER_BEGIN_3(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_5(end, t, ...) AML_INNER_BEGIN_4(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_6(end, t, ...) AML_INNER_BEGIN_5(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_7(end, t, ...) AML_INNER_BEGIN_6(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_8(end, t, ...) AML_INNER_BEGIN_7(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_9(end, t, ...) AML_INNER_BEGIN_8(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_10(end, t, ...) AML_INNER_BEGIN_9(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_11(end, t, ...) AML_INNER_BEGIN_10(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_12(end, t, ...) AML_INNER_BEGIN_11(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_13(end, t, ...) AML_INNER_BEGIN_12(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_14(end, t, ...) AML_INNER_BEGIN_13(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_15(end, t, ...) AML_INNER_BEGIN_14(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_16(end, t, ...) AML_INNER_BEGIN_15(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_17(end, t, ...) AML_INNER_BEGIN_16(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_18(end, t, ...) AML_INNER_BEGIN_17(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_19(end, t, ...) AML_INNER_BEGIN_18(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_20(end, t, ...) AML_INNER_BEGIN_19(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_21(end, t, ...) AML_INNER_BEGIN_20(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_22(end, t, ...) AML_INNER_BEGIN_21(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_23(end, t, ...) AML_INNER_BEGIN_22(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_24(end, t, ...) AML_INNER_BEGIN_23(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_25(end, t, ...) AML_INNER_BEGIN_24(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_26(end, t, ...) AML_INNER_BEGIN_25(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_27(end, t, ...) AML_INNER_BEGIN_26(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_28(end, t, ...) AML_INNER_BEGIN_27(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_29(end, t, ...) AML_INNER_BEGIN_28(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_30(end, t, ...) AML_INNER_BEGIN_29(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_31(end, t, ...) AML_INNER_BEGIN_30(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_32(end, t, ...) AML_INNER_BEGIN_31(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_33(end, t, ...) AML_INNER_BEGIN_32(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_34(end, t, ...) AML_INNER_BEGIN_33(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_35(end, t, ...) AML_INNER_BEGIN_34(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)
#define AML_INNER_BEGIN_36(end, t, ...) AML_INNER_BEGIN_35(AML_INNER_PUT(end, t) + sizeof(t), __VA_ARGS__)

#endif
