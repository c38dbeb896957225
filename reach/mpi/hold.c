/* Holding until a signal: one that any rank gets ends all of them, in order. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "spread.h"

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

/* Before an area is published, a signal ends the process as always, and the area with it. From here
 * on it is taken note of. */
void hold_prepare(struct trouble *trouble)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action;

	memset(&action, 0, sizeof action);
	action.sa_handler = end;
	action.sa_flags = SA_RESTART;
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		if (sigaction(signals[i], &action, NULL) != 0)
			trouble_note(trouble, "cannot take note of signal %d: sigaction: %s", signals[i], strerror(errno));
}

void hold(const struct world *world)
{
	int any = 0, said = 0;

	while (!any) {
		const struct timespec pause = { 0, 100 * 1000 * 1000 };
		const int mine = ended;
		MPI_Request request;
		/* Who was signalled notifies all others; they leave after the same round. */
		MPI_Iallreduce(&mine, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD, &request);
		wait_idly(&request);
		/* Where a process removed the registry's folder, its areas are published again. */
		if (areas_ensure_published() < 0 && !said) {
			fprintf(stderr, "areas-spread: rank %d: %s\n", world->rank, areas_error_help());
			said = 1;
		}
		if (!any)
			nanosleep(&pause, NULL);
	}
}
