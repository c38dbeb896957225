/* Ranks, hosts, leaders; and failures, of which every rank learns. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "spread.h"

/* More are counted only: with a wrong option, every rank says the same. */
#define MOST_SHOWN 8

/* What a rank sends to rank 0. */
struct report {
	char host[MPI_MAX_PROCESSOR_NAME];
	char text[TEXT];
};

void world_make(struct world *world)
{
	int color;

	MPI_Comm_rank(MPI_COMM_WORLD, &world->rank);
	MPI_Comm_size(MPI_COMM_WORLD, &world->ranks);
	/* Ordered as the ranks are, so rank 0 leads its host, and the leaders. */
	MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world->rank, MPI_INFO_NULL, &world->host);
	MPI_Comm_rank(world->host, &world->on_host);
	color = world->on_host == 0 ? 0 : MPI_UNDEFINED;
	MPI_Comm_split(MPI_COMM_WORLD, color, world->rank, &world->leaders);
	world->hosts = 0;
	if (world->leaders != MPI_COMM_NULL)
		MPI_Comm_size(world->leaders, &world->hosts);
	MPI_Bcast(&world->hosts, 1, MPI_INT, 0, MPI_COMM_WORLD);
}

void world_free(struct world *world)
{
	if (world->leaders != MPI_COMM_NULL)
		MPI_Comm_free(&world->leaders);
	MPI_Comm_free(&world->host);
}

void wait_idly(MPI_Request *request)
{
	/* From 20 microseconds to 20 milliseconds: soon for what is near, cheap for what lasts. */
	struct timespec pause = { 0, 20 * 1000 };
	int done = 0;

	for (MPI_Test(request, &done, MPI_STATUS_IGNORE); !done; MPI_Test(request, &done, MPI_STATUS_IGNORE)) {
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 20 * 1000 * 1000)
			pause.tv_nsec += pause.tv_nsec / 4;
	}
}

void bcast_idly(void *bytes, size_t size, MPI_Comm comm)
{
	MPI_Request request;

	MPI_Ibcast(bytes, (int)size, MPI_BYTE, 0, comm, &request);
	wait_idly(&request);
}

void trouble_note(struct trouble *trouble, const char *format, ...)
{
	va_list values;

	if (trouble->text[0] != '\0')
		return;
	va_start(values, format);
	vsnprintf(trouble->text, sizeof trouble->text, format, values);
	va_end(values);
}

void trouble_of_areas(struct trouble *trouble)
{
	/* In one line, and a second one with what to do, where that is known. */
	trouble_note(trouble, "%s", areas_error_help());
}

/* Rank 0 prints what the others sent. */
static void say(const struct report *reports, int ranks)
{
	int shown = 0, more = 0;

	for (int rank = 0; rank < ranks; rank++) {
		if (reports[rank].text[0] == '\0')
			continue;
		if (shown++ < MOST_SHOWN)
			fprintf(stderr, "areas-spread: rank %d on %s: %s\n", rank, reports[rank].host, reports[rank].text);
		else
			more++;
	}
	if (more > 0)
		fprintf(stderr, "areas-spread: and %d more ranks\n", more);
	fflush(stderr);
}

int all_well(const struct world *world, const struct trouble *trouble)
{
	const int mine = trouble->text[0] != '\0';
	struct report report, *all = NULL;
	int any, length;
	MPI_Request request;

	/* Leaders work while the others wait. */
	MPI_Iallreduce(&mine, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD, &request);
	wait_idly(&request);
	if (!any)
		return 1;
	memset(&report, 0, sizeof report);
	MPI_Get_processor_name(report.host, &length);
	memcpy(report.text, trouble->text, sizeof report.text);
	if (world->rank == 0) {
		all = malloc((size_t)world->ranks * sizeof *all);
		if (all == NULL) {
			fprintf(stderr, "areas-spread: no memory for what %d ranks have to say; of rank 0: %s\n", world->ranks, trouble->text);
			MPI_Abort(MPI_COMM_WORLD, 1);
		}
	}
	MPI_Gather(&report, sizeof report, MPI_BYTE, all, sizeof report, MPI_BYTE, 0, MPI_COMM_WORLD);
	if (world->rank == 0)
		say(all, world->ranks);
	free(all);
	return 0;
}
