/*
 * The course of it: the file is opened, the areas are made, filled, compared, frozen, published,
 * cloned, held. After each step all ranks agree that it went well; where it did not, all end, and
 * what was made ends with them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spread.h"

/* How long freezing waits for writers, in milliseconds: there are none but this process. */
#define FREEZE_WAIT AREAS_DEFAULT_TIMEOUT

/* What a host's leader sends its other ranks of the area. */
struct found {
	uint64_t device, inode;
	int32_t id;
};

/* What one rank has. */
struct state {
	struct options options;
	struct world world;
	struct trouble trouble;
	struct times times;
	areas_area *area;
	int file;
	uint64_t size;
	char digest[DIGEST];
};

/* Rank 0 opens the file; all learn its size. */
static int open_file(struct state *state)
{
	struct stat about;

	if (state->world.rank == 0) {
		const char *name = state->options.file;
		/* A pipe without a writer would keep all ranks waiting. */
		state->file = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (state->file < 0)
			trouble_note(&state->trouble, "cannot open %s: open(O_RDONLY): %s", name, strerror(errno));
		else if (fstat(state->file, &about) != 0)
			trouble_note(&state->trouble, "cannot look at %s: fstat: %s", name, strerror(errno));
		else if (!S_ISREG(about.st_mode))
			trouble_note(&state->trouble, "%s is not a regular file", name);
		else if (about.st_size == 0)
			trouble_note(&state->trouble, "%s is empty, and an area has at least one byte", name);
		else
			state->size = (uint64_t)about.st_size;
	}
	if (!all_well(&state->world, &state->trouble))
		return 0;
	bcast_idly(&state->size, sizeof state->size, MPI_COMM_WORLD);
	return 1;
}

/* Each host's leader makes an area, unnamed, with all its pages. */
static int make_areas(struct state *state)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;

	wanted.size = (size_t)state->size;
	wanted.pages = state->options.pages;
	wanted.placement = state->options.placement;
	if (state->world.on_host == 0) {
		state->area = areas_create(&wanted);
		if (state->area == NULL || areas_populate(state->area, NULL, NULL) < 0)
			trouble_of_areas(&state->trouble);
	}
	return all_well(&state->world, &state->trouble);
}

static int fill_areas(struct state *state)
{
	char first[DIGEST];

	if (state->world.on_host == 0)
		transfer(&state->world, state->file, areas_address(state->area), (size_t)state->size, state->options.chunk, state->digest,
			&state->trouble);
	memcpy(first, state->digest, sizeof first);
	bcast_idly(first, sizeof first, MPI_COMM_WORLD);
	if (state->world.on_host == 0 && strcmp(first, state->digest) != 0)
		trouble_note(&state->trouble, "the checksum of what arrived is %s, and rank 0 sent %s: the bytes were changed on the way", state->digest,
			first);
	if (state->world.rank == 0 && state->options.expected[0] != '\0' && strcmp(state->digest, state->options.expected) != 0)
		trouble_note(&state->trouble, "the checksum of %s is %s, and not %s as --checksum has it", state->options.file, state->digest,
			state->options.expected);
	return all_well(&state->world, &state->trouble);
}

static int publish_areas(struct state *state)
{
	const char *name = state->options.name;

	if (state->world.on_host == 0 && state->options.freeze && areas_freeze(state->area, FREEZE_WAIT) < 0)
		trouble_of_areas(&state->trouble);
	hold_prepare(&state->trouble);
	/* No process finds an area of which another host has none. */
	if (!all_well(&state->world, &state->trouble))
		return 0;
	if (state->world.on_host == 0 &&
		(state->options.exclusive ? areas_publish_exclusive(state->area, name) : areas_publish(state->area, name)) < 0)
		trouble_of_areas(&state->trouble);
	return all_well(&state->world, &state->trouble);
}

/* The other ranks of a host have the same memory: they learn which, and look that it is that. */
static int clone_areas(struct state *state)
{
	areas_cloning how = AREAS_CLONING;
	areas_info info = AREAS_INFO;
	struct found found = { 0, 0, 0 };

	how.protection = AREAS_READ;
	if (state->world.on_host == 0) {
		if (areas_look(state->area, &info) < 0)
			trouble_of_areas(&state->trouble);
		found = (struct found){ info.device, info.inode, info.id };
	}
	bcast_idly(&found, sizeof found, state->world.host);
	if (state->world.on_host != 0) {
		/* The holder's word first: a clone that is not published has no numbers. */
		if (areas_get(found.id, &info) < 0 || (state->area = areas_clone(found.id, &how)) == NULL)
			trouble_of_areas(&state->trouble);
		else if (info.device != found.device || info.inode != found.inode || areas_size(state->area) != state->size)
			trouble_note(&state->trouble, "area %d is not the one that rank 0 of this host has; is AREAS_DIR the same for all ranks of the host?",
				(int)found.id);
	}
	return all_well(&state->world, &state->trouble);
}

static double gigabytes_a_second(uint64_t bytes, double seconds)
{
	return seconds > 0 ? (double)bytes / 1e9 / seconds : 0;
}

/* Rank 0 says that all is there. */
static void report(const struct state *state)
{
	const struct times *times = &state->times;
	const double all = times->made + times->moved;

	if (state->world.rank != 0 || state->options.quiet)
		return;
	printf("%s: %llu bytes%s on %d hosts, held by %d processes; XXH128 %s\n", state->options.name, (unsigned long long)state->size,
		state->options.freeze ? ", frozen," : "", state->world.hosts, state->world.ranks, state->digest);
	printf("  areas made and populated in %.3f s, read, sent and checked in %.3f s (%.2f GB/s), both in %.3f s (%.2f GB/s)\n", times->made,
		times->moved, gigabytes_a_second(state->size, times->moved), all, gigabytes_a_second(state->size, all));
	if (state->options.compare)
		printf("  into ordinary memory, not checked: read and sent in %.3f s (%.2f GB/s), MPI_Bcast alone in %.3f s (%.2f GB/s)\n",
			times->plain, gigabytes_a_second(state->size, times->plain), times->plain_touched,
			gigabytes_a_second(state->size, times->plain_touched));
	/* Who waits for it waits for all of it. */
	fflush(stdout);
}

/* All steps; 1 if the area was held until a signal. */
static int spread(struct state *state)
{
	double start, made;

	if (!open_file(state))
		return 0;
	/* `all_well` is where all ranks meet, so rank 0's clock holds for all. */
	start = MPI_Wtime();
	if (!make_areas(state))
		return 0;
	made = MPI_Wtime();
	state->times.made = made - start;
	if (!fill_areas(state))
		return 0;
	state->times.moved = MPI_Wtime() - made;
	if (state->options.compare) {
		if (state->world.on_host == 0)
			compare(&state->world, state->file, (size_t)state->size, state->options.chunk, &state->times, &state->trouble);
		if (!all_well(&state->world, &state->trouble))
			return 0;
	}
	if (!publish_areas(state) || !clone_areas(state))
		return 0;
	report(state);
	hold(&state->world);
	return 1;
}

int main(int count, char **words)
{
	static struct state state;
	int threads, help, held = 0;

	state.file = -1;
	/* The threads that read and check make no calls of MPI's. */
	MPI_Init_thread(&count, &words, MPI_THREAD_FUNNELED, &threads);
	world_make(&state.world);
	if (threads < MPI_THREAD_FUNNELED)
		trouble_note(&state.trouble, "this MPI allows no threads beside its own (MPI_THREAD_FUNNELED)");
	options_read(&state.options, count, words, &state.trouble, &help);
	if (help) {
		if (state.world.rank == 0)
			fputs(options_help, stdout);
		held = 1;
	} else if (all_well(&state.world, &state.trouble)) {
		held = spread(&state);
	}
	areas_release(state.area);
	if (state.file >= 0)
		close(state.file);
	world_free(&state.world);
	MPI_Finalize();
	return held ? 0 : 1;
}
