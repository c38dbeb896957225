/*
 * The inner-malloc macros, with up to 36 types: each field is where a structure of all of them
 * would have it, the block is zero and large enough (the sanitizers look), and sizes that do not
 * fit into memory give none.
 */
#include <aml/utils/inner-malloc.h>

#include "check.h"

struct odd {
	char c;
	double d;
	char e;
};

/* A structure of these types shows where each has to be. */

static void field(const void *block, const void *found, size_t expected, size_t size)
{
	CHECK_EQ((const char *)found - (const char *)block, expected);
	/* It lies inside of the block: a sanitizer would report it. */
	for (size_t at = 0; at < size; at++) {
		CHECK_EQ(((const char *)found)[at], 0);
	}
}

static void with_1(void)
{
	struct all {
		long f1;
	};
	void *block = AML_INNER_MALLOC(long);

	CHECK(block != NULL);
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 1,
		long), offsetof(struct all, f1), sizeof(long));
	free(block);

	block = AML_INNER_MALLOC_EXTRA(7, struct odd, 100, long);
	CHECK(block != NULL);
	{
		struct more {
			long f1;
			struct odd array[7];
			max_align_t extra;
		};
		field(block, AML_INNER_MALLOC_GET_ARRAY(block, struct odd, long),
		      offsetof(struct more, array), 7 * sizeof(struct odd));
		field(block, AML_INNER_MALLOC_GET_EXTRA(block, 7, struct odd, long),
		      offsetof(struct more, extra), 100);
	}
	free(block);
}

static void with_2(void)
{
	struct all {
		long f1; char f2;
	};
	void *block = AML_INNER_MALLOC(long, char);

	CHECK(block != NULL);
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 1,
		long, char), offsetof(struct all, f1), sizeof(long));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 2,
		long, char), offsetof(struct all, f2), sizeof(char));
	free(block);

	block = AML_INNER_MALLOC_EXTRA(7, struct odd, 100, long, char);
	CHECK(block != NULL);
	{
		struct more {
			long f1; char f2;
			struct odd array[7];
			max_align_t extra;
		};
		field(block, AML_INNER_MALLOC_GET_ARRAY(block, struct odd, long, char),
		      offsetof(struct more, array), 7 * sizeof(struct odd));
		field(block, AML_INNER_MALLOC_GET_EXTRA(block, 7, struct odd, long, char),
		      offsetof(struct more, extra), 100);
	}
	free(block);
}

static void with_3(void)
{
	struct all {
		long f1; char f2; long double f3;
	};
	void *block = AML_INNER_MALLOC(long, char, long double);

	CHECK(block != NULL);
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 1,
		long, char, long double), offsetof(struct all, f1), sizeof(long));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 2,
		long, char, long double), offsetof(struct all, f2), sizeof(char));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 3,
		long, char, long double), offsetof(struct all, f3), sizeof(long double));
	free(block);

	block = AML_INNER_MALLOC_EXTRA(7, struct odd, 100, long, char, long double);
	CHECK(block != NULL);
	{
		struct more {
			long f1; char f2; long double f3;
			struct odd array[7];
			max_align_t extra;
		};
		field(block, AML_INNER_MALLOC_GET_ARRAY(block, struct odd, long, char, long double),
		      offsetof(struct more, array), 7 * sizeof(struct odd));
		field(block, AML_INNER_MALLOC_GET_EXTRA(block, 7, struct odd, long, char, long double),
		      offsetof(struct more, extra), 100);
	}
	free(block);
}

static void with_5(void)
{
	struct all {
		long f1; char f2; long double f3; float f4; short f5;
	};
	void *block = AML_INNER_MALLOC(long, char, long double, float, short);

	CHECK(block != NULL);
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 1,
		long, char, long double, float, short), offsetof(struct all, f1), sizeof(long));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 2,
		long, char, long double, float, short), offsetof(struct all, f2), sizeof(char));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 3,
		long, char, long double, float, short), offsetof(struct all, f3), sizeof(long double));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 4,
		long, char, long double, float, short), offsetof(struct all, f4), sizeof(float));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 5,
		long, char, long double, float, short), offsetof(struct all, f5), sizeof(short));
	free(block);

	block = AML_INNER_MALLOC_EXTRA(7, struct odd, 100, long, char, long double, float, short);
	CHECK(block != NULL);
	{
		struct more {
			long f1; char f2; long double f3; float f4; short f5;
			struct odd array[7];
			max_align_t extra;
		};
		field(block, AML_INNER_MALLOC_GET_ARRAY(block, struct odd, long, char, long double, float, short),
		      offsetof(struct more, array), 7 * sizeof(struct odd));
		field(block, AML_INNER_MALLOC_GET_EXTRA(block, 7, struct odd, long, char, long double, float, short),
		      offsetof(struct more, extra), 100);
	}
	free(block);
}

static void with_8(void)
{
	struct all {
		long f1; char f2; long double f3; float f4; short f5; char *f6; double f7; int f8;
	};
	void *block = AML_INNER_MALLOC(long, char, long double, float, short, char *, double, int);

	CHECK(block != NULL);
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 1,
		long, char, long double, float, short, char *, double, int), offsetof(struct all, f1), sizeof(long));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 2,
		long, char, long double, float, short, char *, double, int), offsetof(struct all, f2), sizeof(char));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 3,
		long, char, long double, float, short, char *, double, int), offsetof(struct all, f3), sizeof(long double));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 4,
		long, char, long double, float, short, char *, double, int), offsetof(struct all, f4), sizeof(float));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 5,
		long, char, long double, float, short, char *, double, int), offsetof(struct all, f5), sizeof(short));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 6,
		long, char, long double, float, short, char *, double, int), offsetof(struct all, f6), sizeof(char *));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 7,
		long, char, long double, float, short, char *, double, int), offsetof(struct all, f7), sizeof(double));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 8,
		long, char, long double, float, short, char *, double, int), offsetof(struct all, f8), sizeof(int));
	free(block);

	block = AML_INNER_MALLOC_EXTRA(7, struct odd, 100, long, char, long double, float, short, char *, double, int);
	CHECK(block != NULL);
	{
		struct more {
			long f1; char f2; long double f3; float f4; short f5; char *f6; double f7; int f8;
			struct odd array[7];
			max_align_t extra;
		};
		field(block, AML_INNER_MALLOC_GET_ARRAY(block, struct odd, long, char, long double, float, short, char *, double, int),
		      offsetof(struct more, array), 7 * sizeof(struct odd));
		field(block, AML_INNER_MALLOC_GET_EXTRA(block, 7, struct odd, long, char, long double, float, short, char *, double, int),
		      offsetof(struct more, extra), 100);
	}
	free(block);
}

static void with_13(void)
{
	struct all {
		long f1; char f2; long double f3; float f4; short f5; char *f6; double f7; int f8; unsigned char f9;
		struct odd f10; long f11; char f12; long double f13;
	};
	void *block = AML_INNER_MALLOC(long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double);

	CHECK(block != NULL);
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 1,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double), offsetof(struct all, f1), sizeof(long));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 2,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double), offsetof(struct all, f2), sizeof(char));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 3,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double), offsetof(struct all, f3), sizeof(long double));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 4,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double), offsetof(struct all, f4), sizeof(float));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 5,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double), offsetof(struct all, f5), sizeof(short));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 6,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double), offsetof(struct all, f6), sizeof(char *));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 7,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double), offsetof(struct all, f7), sizeof(double));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 8,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double), offsetof(struct all, f8), sizeof(int));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 9,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double), offsetof(struct all, f9), sizeof(unsigned char));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 10,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double), offsetof(struct all, f10), sizeof(struct odd));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 11,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double), offsetof(struct all, f11), sizeof(long));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 12,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double), offsetof(struct all, f12), sizeof(char));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 13,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double), offsetof(struct all, f13), sizeof(long double));
	free(block);

	block = AML_INNER_MALLOC_EXTRA(7, struct odd, 100, long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double);
	CHECK(block != NULL);
	{
		struct more {
			long f1; char f2; long double f3; float f4; short f5; char *f6; double f7; int f8; unsigned char f9;
			struct odd f10; long f11; char f12; long double f13;
			struct odd array[7];
			max_align_t extra;
		};
		field(block, AML_INNER_MALLOC_GET_ARRAY(block, struct odd, long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
			long double),
		      offsetof(struct more, array), 7 * sizeof(struct odd));
		field(block, AML_INNER_MALLOC_GET_EXTRA(block, 7, struct odd, long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
			long double),
		      offsetof(struct more, extra), 100);
	}
	free(block);
}

static void with_36(void)
{
	struct all {
		long f1; char f2; long double f3; float f4; short f5; char *f6; double f7; int f8; unsigned char f9;
		struct odd f10; long f11; char f12; long double f13; float f14; short f15; char *f16; double f17;
		int f18; unsigned char f19; struct odd f20; long f21; char f22; long double f23; float f24; short
		f25; char *f26; double f27; int f28; unsigned char f29; struct odd f30; long f31; char f32; long
		double f33; float f34; short f35; char *f36;
	};
	void *block = AML_INNER_MALLOC(long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *);

	CHECK(block != NULL);
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 1,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f1), sizeof(long));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 2,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f2), sizeof(char));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 3,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f3), sizeof(long double));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 4,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f4), sizeof(float));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 5,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f5), sizeof(short));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 6,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f6), sizeof(char *));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 7,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f7), sizeof(double));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 8,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f8), sizeof(int));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 9,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f9), sizeof(unsigned char));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 10,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f10), sizeof(struct odd));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 11,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f11), sizeof(long));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 12,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f12), sizeof(char));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 13,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f13), sizeof(long double));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 14,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f14), sizeof(float));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 15,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f15), sizeof(short));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 16,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f16), sizeof(char *));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 17,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f17), sizeof(double));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 18,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f18), sizeof(int));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 19,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f19), sizeof(unsigned char));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 20,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f20), sizeof(struct odd));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 21,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f21), sizeof(long));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 22,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f22), sizeof(char));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 23,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f23), sizeof(long double));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 24,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f24), sizeof(float));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 25,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f25), sizeof(short));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 26,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f26), sizeof(char *));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 27,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f27), sizeof(double));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 28,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f28), sizeof(int));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 29,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f29), sizeof(unsigned char));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 30,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f30), sizeof(struct odd));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 31,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f31), sizeof(long));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 32,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f32), sizeof(char));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 33,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f33), sizeof(long double));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 34,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f34), sizeof(float));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 35,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f35), sizeof(short));
	field(block, AML_INNER_MALLOC_GET_FIELD(block, 36,
		long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *), offsetof(struct all, f36), sizeof(char *));
	free(block);

	block = AML_INNER_MALLOC_EXTRA(7, struct odd, 100, long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
		long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
		float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
		char *);
	CHECK(block != NULL);
	{
		struct more {
			long f1; char f2; long double f3; float f4; short f5; char *f6; double f7; int f8; unsigned char f9;
			struct odd f10; long f11; char f12; long double f13; float f14; short f15; char *f16; double f17;
			int f18; unsigned char f19; struct odd f20; long f21; char f22; long double f23; float f24; short
			f25; char *f26; double f27; int f28; unsigned char f29; struct odd f30; long f31; char f32; long
			double f33; float f34; short f35; char *f36;
			struct odd array[7];
			max_align_t extra;
		};
		field(block, AML_INNER_MALLOC_GET_ARRAY(block, struct odd, long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
			long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
			float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
			char *),
		      offsetof(struct more, array), 7 * sizeof(struct odd));
		field(block, AML_INNER_MALLOC_GET_EXTRA(block, 7, struct odd, long, char, long double, float, short, char *, double, int, unsigned char, struct odd, long, char,
			long double, float, short, char *, double, int, unsigned char, struct odd, long, char, long double,
			float, short, char *, double, int, unsigned char, struct odd, long, char, long double, float, short,
			char *),
		      offsetof(struct more, extra), 100);
	}
	free(block);
}

static void edges(void)
{
	size_t n = 0;
	char *block = (char *)AML_INNER_MALLOC_ARRAY(n, int, char);

	/* An array of nothing, a size known at run time, and blocks that no memory has room for. */
	CHECK(block != NULL);
	free(block);
	n = 1000;
	block = (char *)AML_INNER_MALLOC_ARRAY(n + 1, int, char);
	CHECK(block != NULL);
	((int *)AML_INNER_MALLOC_GET_ARRAY(block, int, char))[n] = 5;
	free(block);
	for (n = SIZE_MAX; n > SIZE_MAX / 8; n = n / 2 + 1) {
		CHECK(AML_INNER_MALLOC_ARRAY(n, double, struct odd) == NULL);
		CHECK(AML_INNER_MALLOC_EXTRA(n, double, 5, struct odd) == NULL);
	}
	n = SIZE_MAX;
	CHECK(AML_INNER_MALLOC_EXTRA(1, char, n, struct odd) == NULL);
	CHECK(AML_INNER_MALLOC_EXTRA(1, char, n - 24, struct odd) == NULL);
}

int main(void)
{
	with_1();
	with_2();
	with_3();
	with_5();
	with_8();
	with_13();
	with_36();
	edges();
	return 0;
}
