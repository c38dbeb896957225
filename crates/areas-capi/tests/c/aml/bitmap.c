/* AML's bitmap against an array of booleans: random operations, the edges of words, and each
 * error. */
#include <aml/utils/bitmap.h>
#include <aml/utils/error.h>

#include <stdint.h>

#include "check.h"

static unsigned char model[AML_BITMAP_MAX];
static struct aml_bitmap map;

static uint64_t state = 0x9e3779b97f4a7c15u;

static unsigned below(unsigned limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 11) % limit;
}

static void compare(void)
{
	int count = 0, first = -1, last = -1;

	for (int i = 0; i < AML_BITMAP_MAX; i++) {
		CHECK_EQ(aml_bitmap_isset(&map, (unsigned)i), model[i]);
		CHECK_EQ((map.mask[i / AML_BITMAP_NBITS] >> (i % AML_BITMAP_NBITS)) & 1, model[i]);
		count += model[i];
		if (model[i]) {
			last = i;
			if (first < 0)
				first = i;
		}
	}
	CHECK_EQ(aml_bitmap_nset(&map), count);
	CHECK_EQ(aml_bitmap_first(&map), first);
	CHECK_EQ(aml_bitmap_last(&map), last);
	CHECK_EQ(aml_bitmap_iszero(&map), count == 0);
	CHECK_EQ(aml_bitmap_isfull(&map), count == AML_BITMAP_MAX);
}

/* Bits of words, one by one. */
static int bit(const unsigned long *words, unsigned i)
{
	return (int)(words[i / 64] >> (i % 64)) & 1;
}

static void from_words(void)
{
	unsigned long words[AML_BITMAP_SIZE + 1];
	unsigned size = below(4) == 0 ? AML_BITMAP_MAX + below(64) : below(AML_BITMAP_MAX);

	for (int i = 0; i <= AML_BITMAP_SIZE; i++)
		words[i] = (unsigned long)below(1u << 20) * 0x100000001u * below(3);
	aml_bitmap_copy_from_ulong(&map, words, size);
	for (unsigned i = 0; i < AML_BITMAP_MAX; i++)
		model[i] = (unsigned char)(i < size && bit(words, i));
}

static void to_words(void)
{
	unsigned long words[AML_BITMAP_SIZE + 1], before[AML_BITMAP_SIZE + 1];
	unsigned size = below(4) == 0 ? AML_BITMAP_MAX + below(64) : below(AML_BITMAP_MAX);

	for (int i = 0; i <= AML_BITMAP_SIZE; i++)
		words[i] = before[i] = below(2) ? ~0UL : 0x5555555555555555UL;
	aml_bitmap_copy_to_ulong(&map, words, size);
	for (unsigned i = 0; i < AML_BITMAP_MAX + 64; i++)
		CHECK_EQ(bit(words, i), i < size && i < AML_BITMAP_MAX ? model[i] : bit(before, i));
}

static void through_text(void)
{
	struct aml_bitmap back;
	char *text = aml_bitmap_to_string(&map);

	CHECK(text != NULL);
	CHECK_EQ(strlen(text), AML_BITMAP_MAX + 2);
	CHECK(text[0] == '[' && text[AML_BITMAP_MAX + 1] == ']');
	for (int i = 0; i < AML_BITMAP_MAX; i++)
		CHECK_EQ(text[i + 1], '0' + model[i]);
	CHECK_EQ(aml_bitmap_from_string(&back, text), AML_SUCCESS);
	CHECK_EQ(aml_bitmap_isequal(&map, &back), 1);
	free(text);
}

static void random_steps(void)
{
	for (int step = 0; step < 3000; step++) {
		unsigned i = below(AML_BITMAP_MAX), ii = i + below(AML_BITMAP_MAX - i);

		switch (below(16)) {
		case 0:
			CHECK_EQ(aml_bitmap_zero(&map), AML_SUCCESS);
			memset(model, 0, sizeof model);
			break;
		case 1:
			CHECK_EQ(aml_bitmap_fill(&map), AML_SUCCESS);
			memset(model, 1, sizeof model);
			break;
		case 2:
		case 3:
			CHECK_EQ(aml_bitmap_set_range(&map, i, ii), AML_SUCCESS);
			memset(model + i, 1, ii - i + 1);
			break;
		case 4:
		case 5:
			CHECK_EQ(aml_bitmap_clear_range(&map, i, ii), AML_SUCCESS);
			memset(model + i, 0, ii - i + 1);
			break;
		case 6:
			from_words();
			break;
		case 7:
			to_words();
			break;
		case 8:
			through_text();
			break;
		case 9:
		case 10:
			CHECK_EQ(aml_bitmap_clear(&map, i), AML_SUCCESS);
			model[i] = 0;
			break;
		default:
			CHECK_EQ(aml_bitmap_set(&map, i), AML_SUCCESS);
			model[i] = 1;
		}
		if (step % 8 == 0)
			compare();
	}
}

static void strings(void)
{
	static const struct {
		const char *text;
		int count, first, last;
	} good[] = {
		{ "all", 2048, 0, 2047 }, { "fill", 2048, 0, 2047 }, { "full", 2048, 0, 2047 }, { "none", 0, -1, -1 },
		{ "zero", 0, -1, -1 }, { "empty", 0, -1, -1 }, { NULL, 0, -1, -1 }, { "7", 1, 7, 7 }, { "2047", 1, 2047, 2047 },
		{ "3,1,2", 3, 1, 3 }, { "0-3,8", 5, 0, 8 }, { "[0110]", 2, 1, 2 },
	};
	static const char *const bad[] = { "", "2048", "-1", "1,", "a", "[2]", "[01", "5-3", "1 2", "0x1" };
	struct aml_bitmap before;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		CHECK_EQ(aml_bitmap_from_string(&map, good[i].text), AML_SUCCESS);
		CHECK_EQ(aml_bitmap_nset(&map), good[i].count);
		CHECK_EQ(aml_bitmap_first(&map), good[i].first);
		CHECK_EQ(aml_bitmap_last(&map), good[i].last);
	}
	aml_bitmap_copy(&before, &map);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		CHECK_EQ(aml_bitmap_from_string(&map, bad[i]), -AML_EINVAL);
		CHECK_EQ(aml_bitmap_isequal(&map, &before), 1);
	}
	CHECK_EQ(aml_bitmap_from_string(NULL, "1"), -AML_EINVAL);
}

static void heap(void)
{
	struct aml_bitmap *made = &map, *copy = &map;

	CHECK_EQ(aml_bitmap_create(&made), AML_SUCCESS);
	CHECK_EQ(aml_bitmap_iszero(made), 1);
	CHECK_EQ(aml_bitmap_set(made, 2000), AML_SUCCESS);
	CHECK_EQ(aml_bitmap_dup(&copy, made), AML_SUCCESS);
	CHECK_EQ(aml_bitmap_isequal(made, copy), 1);
	CHECK_EQ(aml_bitmap_clear(copy, 2000), AML_SUCCESS);
	CHECK_EQ(aml_bitmap_isequal(made, copy), 0);
	aml_bitmap_destroy(&made);
	CHECK(made == NULL);
	aml_bitmap_destroy(&made);
	aml_bitmap_destroy(&copy);
	aml_bitmap_destroy(NULL);
	CHECK_EQ(aml_bitmap_create(NULL), -AML_EINVAL);
	CHECK_EQ(aml_bitmap_dup(NULL, &map), -AML_EINVAL);
	copy = &map;
	CHECK_EQ(aml_bitmap_dup(&copy, NULL), -AML_EINVAL);
	CHECK(copy == NULL);
}

static void nonsense(void)
{
	struct aml_bitmap before = map;
	unsigned long word = 5;

	for (unsigned i = AML_BITMAP_MAX; i != 0; i *= 2) {
		CHECK_EQ(aml_bitmap_isset(&map, i), -AML_EINVAL);
		CHECK_EQ(aml_bitmap_set(&map, i), -AML_EINVAL);
		CHECK_EQ(aml_bitmap_clear(&map, i), -AML_EINVAL);
		CHECK_EQ(aml_bitmap_set_range(&map, 0, i), -AML_EINVAL);
		CHECK_EQ(aml_bitmap_clear_range(&map, i, i), -AML_EINVAL);
	}
	CHECK_EQ(aml_bitmap_set_range(&map, 5, 4), -AML_EINVAL);
	CHECK_EQ(aml_bitmap_clear_range(&map, 5, 4), -AML_EINVAL);
	CHECK_EQ(memcmp(&map, &before, sizeof map), 0);
	CHECK_EQ(aml_bitmap_zero(NULL), -AML_EINVAL);
	CHECK_EQ(aml_bitmap_fill(NULL), -AML_EINVAL);
	CHECK_EQ(aml_bitmap_isset(NULL, 0), -AML_EINVAL);
	CHECK_EQ(aml_bitmap_iszero(NULL), -AML_EINVAL);
	CHECK_EQ(aml_bitmap_isfull(NULL), -AML_EINVAL);
	CHECK_EQ(aml_bitmap_isequal(NULL, &map), -AML_EINVAL);
	CHECK_EQ(aml_bitmap_isequal(&map, NULL), -AML_EINVAL);
	CHECK_EQ(aml_bitmap_set(NULL, 0), -AML_EINVAL);
	CHECK_EQ(aml_bitmap_clear(NULL, 0), -AML_EINVAL);
	CHECK_EQ(aml_bitmap_set_range(NULL, 0, 1), -AML_EINVAL);
	CHECK_EQ(aml_bitmap_clear_range(NULL, 0, 1), -AML_EINVAL);
	CHECK_EQ(aml_bitmap_nset(NULL), -AML_EINVAL);
	CHECK_EQ(aml_bitmap_first(NULL), -AML_EINVAL);
	CHECK_EQ(aml_bitmap_last(NULL), -AML_EINVAL);
	CHECK(aml_bitmap_to_string(NULL) == NULL);
	CHECK_EQ(aml_errno, AML_EINVAL);
	aml_bitmap_copy(NULL, &map);
	aml_bitmap_copy(&map, NULL);
	aml_bitmap_copy_from_ulong(NULL, &word, 64);
	aml_bitmap_copy_from_ulong(&map, NULL, 64);
	aml_bitmap_copy_to_ulong(NULL, &word, 64);
	aml_bitmap_copy_to_ulong(&map, NULL, 64);
	CHECK_EQ(word, 5);
	CHECK_EQ(memcmp(&map, &before, sizeof map), 0);
}

int main(void)
{
	CHECK_EQ(sizeof map, AML_BITMAP_BYTES);
	random_steps();
	strings();
	heap();
	nonsense();
	return 0;
}
