/*
 * What the programs for guests share that use areas.h: the machine's nodes, in what order pages and
 * blocks go round them, and calls that must go right.
 */
#ifndef GUEST_AREAS_H
#define GUEST_AREAS_H

#include <areas.h>

#include "guest/tests.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define IN_BLOCK (HUGE_PAGE / PAGE)
#define MOST_NODES 16
#define MOST_BLOCKS 128

/* The nodes that have memory, in order: asked of the kernel's own list. */
__attribute__((unused)) static int nodes[MOST_NODES], node_count;

__attribute__((unused)) static void know_the_nodes(void)
{
	FILE *from;
	int first, last;
	char separator;

	from = fopen("/sys/devices/system/node/has_memory", "re");
	CHECK(from != NULL);
	node_count = 0;
	while (fscanf(from, "%d", &first) == 1) {
		last = first;
		if (fscanf(from, "%c", &separator) == 1 && separator == '-')
			CHECK(fscanf(from, "%d%c", &last, &separator) >= 1);
		for (; first <= last; first++) {
			CHECK(node_count < MOST_NODES);
			nodes[node_count++] = first;
		}
	}
	fclose(from);
	CHECK(node_count >= 2);
}

__attribute__((unused)) static uint64_t mask_of(const int *list, int count)
{
	uint64_t mask = 0;

	for (int at = 0; at < count; at++)
		mask |= (uint64_t)1 << list[at];
	return mask;
}

/* The weights 1, 3, 5, 1, …; 0 where this kernel has none. */
__attribute__((unused)) static int weights_are_set(void)
{
	static const char *const weights[] = { "1", "3", "5" };
	char file[80];

	for (int at = 0; at < node_count; at++) {
		snprintf(file, sizeof file, "/sys/kernel/mm/mempolicy/weighted_interleave/node%d", nodes[at]);
		if (access(file, W_OK) != 0)
			return 0;
		setting(file, weights[at % 3]);
	}
	return 1;
}

/* The order in which blocks go round these nodes. */
__attribute__((unused)) static int round_of(const int *list, int count, int weighted, int *order)
{
	int length = 0;

	for (int at = 0; at < count; at++) {
		int which = 0, times = 1;

		while (nodes[which] != list[at])
			which++;
		if (weighted)
			times = which % 3 * 2 + 1;
		while (times-- > 0)
			order[length++] = list[at];
	}
	return length;
}

/* Fails unless pages, or blocks, go round `order`, wherever in it they begin. */
__attribute__((unused)) static void goes_round(const int *found, int count, const int *order, int length, const char *what)
{
	char text[4 * MOST_BLOCKS + 1] = "";

	for (int phase = 0; phase < length; phase++) {
		int fits = 1;

		for (int at = 0; at < count; at++)
			fits &= found[at] == order[(at + phase) % length];
		if (fits)
			return;
	}
	for (int at = 0; at < count; at++)
		snprintf(text + strlen(text), sizeof text - strlen(text), " %d", found[at]);
	check_failed(__FILE__, __LINE__, "%s: they do not go round:%s", what, text);
}

/* Changes the state of all memory blocks of a node; how many there are. */
__attribute__((unused)) static int change_memory_of(int node, const char *state)
{
	char name[64];
	DIR *folder;
	struct dirent *entry;
	int blocks = 0;

	snprintf(name, sizeof name, "/sys/devices/system/node/node%d", node);
	folder = opendir(name);
	CHECK(folder != NULL);
	while ((entry = readdir(folder)) != NULL) {
		char file[512];

		if (strncmp(entry->d_name, "memory", 6) != 0 || strchr("0123456789", entry->d_name[6]) == NULL)
			continue;
		snprintf(file, sizeof file, "/sys/devices/system/memory/%s/state", entry->d_name);
		setting(file, state);
		blocks++;
	}
	closedir(folder);
	return blocks;
}

__attribute__((unused)) static void populate(areas_area *area)
{
	if (areas_populate(area, NULL, NULL) < 0)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
}

__attribute__((unused)) static areas_verification verified(const areas_area *area)
{
	areas_verification found = AREAS_VERIFICATION;

	if (areas_verify(area, &found, NULL, NULL) < 0)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	return found;
}

#endif
