/*
 * Sets as hwloc has them, in a program without hwloc: the three functions of that name that the
 * library calls where the program has them. A program that includes this is linked without hwloc,
 * and shows that no more than the numbers of a set are read.
 */
#ifndef SETS_H
#define SETS_H

#define AML_WITHOUT_HWLOC_H
#include <aml/area/hwloc.h>

#include "check.h"

struct hwloc_bitmap_s {
	unsigned long words[33];
	/* As hwloc's: all numbers above the words are in it. */
	int without_end;
};

/* How many copies there are. */
static int sets_copies;
/* The next copy is not to be had. */
static int sets_no_memory;

int hwloc_bitmap_next(hwloc_const_bitmap_t set, int before);
hwloc_bitmap_t hwloc_bitmap_dup(hwloc_const_bitmap_t set);
void hwloc_bitmap_free(hwloc_bitmap_t set);

int hwloc_bitmap_next(hwloc_const_bitmap_t set, int before)
{
	int end = (int)(8 * sizeof set->words), at = before + 1;

	for (; at < end; at++) {
		if (set->words[at / 64] >> at % 64 & 1)
			return at;
	}
	return set->without_end ? at : -1;
}

hwloc_bitmap_t hwloc_bitmap_dup(hwloc_const_bitmap_t set)
{
	struct hwloc_bitmap_s *copy = sets_no_memory ? NULL : (struct hwloc_bitmap_s *)malloc(sizeof *copy);

	if (copy != NULL) {
		*copy = *set;
		sets_copies++;
	}
	return copy;
}

void hwloc_bitmap_free(hwloc_bitmap_t set)
{
	sets_copies--;
	free(set);
}

/* Of the numbers below 64 whose bits are set. */
__attribute__((unused)) static struct hwloc_bitmap_s set_of(unsigned long bits)
{
	struct hwloc_bitmap_s set = { { 0 }, 0 };

	set.words[0] = bits;
	return set;
}

#endif
