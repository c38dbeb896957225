/*
 * A daemon makes its areas first, forks twice, and calls nothing but areas_ensure_published: others
 * find what it holds, also once the registry's folder was removed while a thread of the daemon's
 * own calls it.
 */
#include <OS.h>
#include <areas.h>

#include "check.h"

#include <pthread.h>
#include <time.h>

#define RW (B_READ_AREA | B_WRITE_AREA)

static void pause_a_moment(void)
{
	struct timespec moment = {0, 20 * 1000 * 1000};
	nanosleep(&moment, NULL);
}

static void *keeps(void *unused)
{
	(void)unused;
	for (;;) {
		areas_ensure_published();
		pause_a_moment();
	}
	return NULL;
}

/* Whether another process finds the area, and in which one. */
static team_id found_in(const char *name)
{
	area_info info;
	area_id id = find_area(name);
	return id > 0 && get_area_info(id, &info) == B_OK ? info.team : -1;
}

int main(void)
{
	char *address, byte;
	int ready[2], stay[2], round;
	pid_t starter, daemon = 0;
	char command[4200];
	CHECK_EQ(pipe(ready), 0);
	CHECK_EQ(pipe(stay), 0);
	starter = fork();
	if (starter == 0) {
		pid_t first;
		CHECK(create_area("daemon's", (void **)&address, B_ANY_ADDRESS, B_PAGE_SIZE, B_NO_LOCK, RW) > 0);
		strcpy(address, "hello");
		first = fork();
		if (first != 0) {
			CHECK_EQ(waitpid(first, NULL, 0), first);
			_exit(0);
		}
		setsid();
		if (fork() != 0)
			_exit(0);
		{
			pthread_t thread;
			pid_t own = getpid();
			CHECK_EQ(areas_ensure_published(), 0);
			CHECK_EQ(pthread_create(&thread, NULL, keeps, NULL), 0);
			CHECK_EQ(write(ready[1], &own, sizeof own), (ssize_t)sizeof own);
			close(stay[1]);
			CHECK_EQ(read(stay[0], &byte, 1), 0);
			_exit(0);
		}
	}
	close(stay[0]);
	CHECK_EQ(read(ready[0], &daemon, sizeof daemon), (ssize_t)sizeof daemon);
	CHECK_EQ(waitpid(starter, NULL, 0), starter);
	CHECK_EQ(found_in("daemon's"), daemon);
	/* What a log-out does. */
	snprintf(command, sizeof command, "rm -rf '%s'", getenv("AREAS_DIR"));
	for (round = 0; round < 3; round++) {
		int attempts = 0;
		(void)!system(command);
		while (found_in("daemon's") != daemon) {
			CHECK(++attempts < 500);
			pause_a_moment();
		}
	}
	close(stay[1]);
	return 0;
}
