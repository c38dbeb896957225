/*
 * areas-spread: one rank of an MPI job reads a file, and each host has it as a frozen, placed,
 * named area.
 *
 * | file | what |
 * |---|---|
 * | main.c | the course of it |
 * | options.c | the command line |
 * | world.c | ranks, hosts, leaders; a failure on one rank is a failure on all |
 * | transfer.c | reading, broadcasting and the checksum, at the same time |
 * | compare.c | the same bytes into ordinary memory, for --compare |
 * | hold.c | holding until a signal |
 */
#ifndef SPREAD_H
#define SPREAD_H

#include <areas.h>
#include <mpi.h>
#include <stdint.h>

/* How much one rank has to say of a failure. */
#define TEXT 1024

/* A checksum as people write it, and NUL. */
#define DIGEST 33

/* What was asked for. */
struct options {
	const char *file;
	const char *name;
	/* The checksum that the file must have, in lower case; or NULL. */
	char expected[DIGEST];
	int freeze;
	int exclusive;
	int compare;
	int quiet;
	uint32_t pages;
	struct areas_placement placement;
	/* Bytes of one broadcast. */
	size_t chunk;
};

/* The ranks of a job. */
struct world {
	int rank, ranks;
	/* This rank among those of its host: 0 is the leader. */
	int on_host;
	/* The leaders' communicator; MPI_COMM_NULL for others. The rank that reads is its rank 0. */
	MPI_Comm leaders;
	/* The ranks of this host. */
	MPI_Comm host;
	/* How many hosts there are. */
	int hosts;
};

/* What a rank has to say, if something failed. Empty: nothing did. */
struct trouble {
	char text[TEXT];
};

/* How the transfer went, in seconds. */
struct times {
	double made, moved;
	double plain, plain_touched;
};

/* options.c: 0, or 1 with a text for the user (which is the help for --help, where `*status` is
 * 0). */
int options_read(struct options *options, int count, char **words, struct trouble *why, int *help);
extern const char options_help[];

/* world.c */
void world_make(struct world *world);
void world_free(struct world *world);
/* Waits as MPI_Wait does, but leaves the processor to others: MPI's own calls spin. */
void wait_idly(MPI_Request *request);
/* MPI_Bcast in this way. */
void bcast_idly(void *bytes, size_t size, MPI_Comm comm);
/* Notes a failure: the first one counts. */
__attribute__((format(printf, 2, 3))) void trouble_note(struct trouble *trouble, const char *format, ...);
/* The same, with what the library says of its last failure. */
void trouble_of_areas(struct trouble *trouble);
/* Whether no rank has noted anything. If one has, rank 0 says what, on the standard error. All
 * ranks call it, and all get the same answer. */
int all_well(const struct world *world, const struct trouble *trouble);

/* transfer.c: fills the area, from the file on the leaders' rank 0 (`file` is -1 on others). For
 * leaders only. */
void transfer(const struct world *world, int file, unsigned char *to, size_t size, size_t chunk, char digest[DIGEST], struct trouble *trouble);

/* compare.c: for leaders only. */
void compare(const struct world *world, int file, size_t size, size_t chunk, struct times *times, struct trouble *trouble);

/* hold.c */
void hold_prepare(struct trouble *trouble);
void hold(const struct world *world);

#endif
