/*
 * The program's signal handlers run on the program's threads, and never on those that the library
 * starts for the time of a call.
 *
 * Not under valgrind: it runs one thread at a time, so that none is seen at work.
 */
#include <areas.h>
#include <dirent.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "check.h"

#define SIZE ((size_t)96 << 20)
#define ROUNDS 6

static pid_t first;
static volatile long here, elsewhere;
static int workers;

static void handles(int signal)
{
	int before = errno;
	(void)signal;
	if (syscall(SYS_gettid) == first)
		here++;
	else
		elsewhere++;
	errno = before;
}

/* The bits of the blocked signals of a thread, from signal 1 on; 0 once it is gone. */
static unsigned long long blocked(const char *thread)
{
	char path[300], line[256];
	unsigned long long bits = 0;
	FILE *file;
	snprintf(path, sizeof path, "/proc/self/task/%s/status", thread);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof line, file) != NULL)
		if (sscanf(line, "SigBlk: %llx", &bits) == 1)
			break;
	fclose(file);
	return bits;
}

static int is_worker(const char *thread)
{
	char path[300], name[64] = "";
	FILE *file;
	snprintf(path, sizeof path, "/proc/self/task/%s/comm", thread);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	if (fgets(name, sizeof name, file) == NULL)
		name[0] = '\0';
	fclose(file);
	return strcmp(name, "areas-populate\n") == 0;
}

/* Looks at the threads that are at work. */
static void on_progress(size_t done, size_t total, void *context)
{
	DIR *folder = opendir("/proc/self/task");
	struct dirent *entry;
	(void)done;
	(void)total;
	(void)context;
	CHECK(folder != NULL);
	while ((entry = readdir(folder)) != NULL) {
		unsigned long long bits;
		int signal;
		if (!is_worker(entry->d_name) || (bits = blocked(entry->d_name)) == 0)
			continue;
		/* The C library blocks all signals, its own two as well, where a thread begins and ends;
		 * the others cannot be blocked. */
		if (bits >> (32 - 1) & 3)
			continue;
		workers++;
		for (signal = 1; signal <= 64; signal++) {
			/* Faults stay as they are; two cannot be blocked, and two are the C library's own. */
			static const int open[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGKILL, SIGSTOP, 32, 33 };
			size_t i;
			int is_open = 0;
			for (i = 0; i < sizeof open / sizeof *open; i++)
				is_open |= open[i] == signal;
			CHECK_EQ(bits >> (signal - 1) & 1, !is_open);
		}
	}
	closedir(folder);
}

int main(void)
{
	struct sigaction action;
	struct itimerval often = { { 0, 300 }, { 0, 300 } }, never = { { 0, 0 }, { 0, 0 } };
	sigset_t before, after;
	int round, signal_number;
	first = (pid_t)syscall(SYS_gettid);
	memset(&action, 0, sizeof action);
	action.sa_handler = handles;
	action.sa_flags = SA_RESTART;
	CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
	CHECK_EQ(sigprocmask(SIG_SETMASK, NULL, &before), 0);
	CHECK_EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
	for (round = 0; round < ROUNDS; round++) {
		areas_attributes wanted = AREAS_ATTRIBUTES;
		areas_area *area;
		wanted.size = SIZE;
		area = areas_create(&wanted);
		CHECK(area != NULL);
		if (areas_populate(area, on_progress, NULL) != 0)
			check_failed(__FILE__, __LINE__, "%s", areas_error_help());
		areas_release(area);
	}
	CHECK_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
	CHECK_EQ(elsewhere, 0);
	CHECK(here > 0);
	CHECK_EQ(sigprocmask(SIG_SETMASK, NULL, &after), 0);
	for (signal_number = 1; signal_number <= 64; signal_number++)
		CHECK_EQ(sigismember(&before, signal_number), sigismember(&after, signal_number));
	if (workers == 0)
		SKIP("one processor: the library starts no threads");
	return 0;
}
