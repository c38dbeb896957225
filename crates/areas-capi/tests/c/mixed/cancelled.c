/*
 * Threads that are cancelled (pthread_cancel) at any moment, in each kind of call: calls that wait
 * end there, others come to their end first. The process goes on; no mutex stays held, no
 * descriptor and no mapping is lost.
 *
 * Not under valgrind: it does not know pidfd_getfd.
 */
#include <areas.h>

#include <OS.h>
#include <dirent.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>

#include "check.h"

#define PAGE ((size_t)4096)
#define CANCELS 40
/* A cancelled wait ends within a fifth of a second; a busy machine takes longer. */
#define SOON_MS 5000

static int sockets[2];

static areas_area *made(const char *name)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	wanted.size = 64 * PAGE;
	wanted.name = name;
	return areas_create(&wanted);
}

static void looking(void)
{
	areas_find("absent");
	areas_find("kept");
	areas_list(NULL, NULL, NULL);
	find_area("absent");
}

static void machine(void)
{
	areas_nodeset nodes;
	team_info team;
	int32 cookie = 0;
	areas_nodes_allowed(&nodes);
	areas_distance(0, 0);
	get_next_team_info(&cookie, &team);
	find_thread("absent thread");
}

/* What a thread has it has to release in a handler of its own, as all that it holds: this one is
 * cancelled in calls alone. */
static void release(void *area)
{
	areas_release(*(areas_area **)area);
}

static void making(void)
{
	areas_area *area = NULL;
	pthread_cleanup_push(release, &area);
	area = made("made");
	areas_populate(area, NULL, NULL);
	areas_freeze(area, 100);
	pthread_cleanup_pop(1);
}

static void cloning(void)
{
	areas_area *area = NULL;
	pthread_cleanup_push(release, &area);
	area = areas_clone_named("kept", NULL);
	areas_holders(areas_find("kept"), NULL, NULL);
	pthread_cleanup_pop(1);
}

static void waiting(void)
{
	areas_wait("absent", -1);
}

static void taking(void)
{
	areas_take(-1, NULL);
}

static void receiving(void)
{
	areas_receive(sockets[0]);
}

static void snoozing(void)
{
	snooze(3600 * (bigtime_t)1000000);
}

static void waiting_for_a_process(void)
{
	status_t exit_value;
	wait_for_thread(getppid(), &exit_value);
}

/* One that the main thread has locked. Each thread here marks itself as an owner, and ends. */
static areas_area *shared;

static void locking(void)
{
	areas_mutex_lock(shared, 0, -1);
}

static void waiting_for_an_event(void)
{
	uint32_t count;
	areas_event_signal(shared, 64);
	areas_event_wait(shared, 128, 0, -1, &count);
}

static void (*operation)(void);
static volatile int begun;

static void *works(void *nothing)
{
	(void)nothing;
	for (;;) {
		begun = 1;
		operation();
		pthread_testcancel();
	}
	return NULL;
}

static int entries(const char *path)
{
	DIR *folder = opendir(path);
	int count = 0;
	CHECK(folder != NULL);
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

static int mappings_of_memory(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];
	int count = 0;
	CHECK(file != NULL);
	while (fgets(line, sizeof line, file) != NULL)
		count += strstr(line, "memfd:") != NULL || strstr(line, "/control") != NULL;
	fclose(file);
	return count;
}

static long now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000L + now.tv_nsec / 1000000L;
}

static void cancels(const char *name, void (*what)(void))
{
	int round, descriptors = 0, mappings = 0;
	operation = what;
	for (round = 0; round < CANCELS; round++) {
		pthread_t thread;
		void *result;
		long from;
		begun = 0;
		CHECK_EQ(pthread_create(&thread, NULL, works, NULL), 0);
		while (!begun)
			usleep(50);
		usleep((useconds_t)(rand() % 3000));
		from = now_ms();
		CHECK_EQ(pthread_cancel(thread), 0);
		CHECK_EQ(pthread_join(thread, &result), 0);
		CHECK(result == PTHREAD_CANCELED);
		if (now_ms() - from > SOON_MS)
			check_failed(__FILE__, __LINE__, "%s: cancelled after %ld ms", name, now_ms() - from);
		/* The first rounds open what stays open. */
		if (round == 4) {
			descriptors = entries("/proc/self/fd");
			mappings = mappings_of_memory();
		}
	}
	if (entries("/proc/self/fd") != descriptors || mappings_of_memory() != mappings)
		check_failed(__FILE__, __LINE__, "%s: %d descriptors and %d mappings, before %d and %d", name,
			entries("/proc/self/fd"), mappings_of_memory(), descriptors, mappings);
	/* No mutex was left held. */
	alarm(30);
	CHECK(areas_find("kept") > 0);
	alarm(0);
}

/* A wait that is not cancelled is as long as it was asked to be, and says so. */
static void in_time(void)
{
	long from = now_ms();
	CHECK_EQ(areas_wait("absent", 300), AREAS_ERROR_TIMED_OUT);
	CHECK(now_ms() - from >= 300);
	CHECK_STR(areas_error_text(), "cannot wait for area \"absent\": no process published it within 300ms");
	from = now_ms();
	CHECK(areas_take(50, NULL) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_TIMED_OUT);
	CHECK(now_ms() - from >= 50);
	CHECK(areas_take(0, NULL) == NULL);
	CHECK_EQ(snooze(2000), B_OK);
	CHECK_EQ(snooze(-1), B_OK);
}

/* A thread that may not be cancelled is not, and waits on. */
static void *may_not_be(void *nothing)
{
	int before, after;
	(void)nothing;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	begun = 1;
	CHECK_EQ(areas_wait("absent", 200), AREAS_ERROR_TIMED_OUT);
	CHECK_EQ(areas_find("absent"), AREAS_ERROR_NO_SUCH_AREA);
	pthread_setcancelstate(before, &after);
	CHECK_EQ(after, PTHREAD_CANCEL_DISABLE);
	CHECK_EQ(before, PTHREAD_CANCEL_ENABLE);
	return sockets;
}

int main(void)
{
	areas_area *kept = made("kept");
	pthread_t thread;
	void *result;
	CHECK(kept != NULL);
	CHECK_EQ(areas_join(), 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	srand(1);
	in_time();
	cancels("looking", looking);
	cancels("machine", machine);
	cancels("making", making);
	cancels("cloning", cloning);
	cancels("waiting", waiting);
	cancels("taking", taking);
	cancels("receiving", receiving);
	cancels("snoozing", snoozing);
	cancels("waiting for a process", waiting_for_a_process);
	shared = kept;
	CHECK_EQ(areas_mutex_lock(shared, 0, 0), 0);
	cancels("locking", locking);
	cancels("waiting for an event", waiting_for_an_event);
	CHECK_EQ(areas_mutex_unlock(shared, 0), 0);
	begun = 0;
	CHECK_EQ(pthread_create(&thread, NULL, may_not_be, NULL), 0);
	while (!begun)
		usleep(50);
	CHECK_EQ(pthread_cancel(thread), 0);
	CHECK_EQ(pthread_join(thread, &result), 0);
	CHECK(result == (void *)sockets);
	areas_release(kept);
	return 0;
}
