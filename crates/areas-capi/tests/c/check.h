/*
 * What the C and C++ tests share: checks that name what they found, helpers that ask the kernel,
 * and children that die with their parent.
 */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ends the program with a line that says where and why. */
__attribute__((noreturn, format(printf, 3, 4), unused)) static void check_failed(const char *file, int line,
	const char *format, ...)
{
	va_list values;
	fflush(stdout);
	fprintf(stderr, "%s:%d: ", file, line);
	va_start(values, format);
	vfprintf(stderr, format, values);
	va_end(values);
	fputc('\n', stderr);
	fflush(stderr);
	_exit(1);
}

/* The condition holds. */
#define CHECK(condition) \
	do { \
		if (!(condition)) \
			check_failed(__FILE__, __LINE__, "not so: %s", #condition); \
	} while (0)

/* Two numbers are the same. */
#define CHECK_EQ(found, expected) \
	do { \
		long long check_found = (long long)(found), check_expected = (long long)(expected); \
		if (check_found != check_expected) \
			check_failed(__FILE__, __LINE__, "%s is %lld (%#llx) instead of %s, %lld (%#llx)", #found, check_found, \
				(unsigned long long)check_found, #expected, check_expected, (unsigned long long)check_expected); \
	} while (0)

/* Two strings are the same. */
#define CHECK_STR(found, expected) \
	do { \
		const char *check_found = (found), *check_expected = (expected); \
		if (strcmp(check_found, check_expected) != 0) \
			check_failed(__FILE__, __LINE__, "%s is \"%s\" instead of \"%s\"", #found, check_found, check_expected); \
	} while (0)

/* Says why this program cannot run here, and ends it. */
#define SKIP(why) \
	do { \
		printf("SKIPPED: %s\n", why); \
		fflush(stdout); \
		_exit(77); \
	} while (0)

/* A forked child that dies with its parent. Returns as fork does. */
__attribute__((unused)) static pid_t check_fork(void)
{
	pid_t parent = getpid(), child;
	fflush(stdout);
	child = fork();
	if (child < 0)
		check_failed(__FILE__, __LINE__, "fork: %s", strerror(errno));
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return child;
}

/* Waits for a child, which has to have ended with `status`. */
__attribute__((unused)) static void check_child(pid_t child, int expected)
{
	int status = 0;
	pid_t waited;
	do
		waited = waitpid(child, &status, 0);
	while (waited < 0 && errno == EINTR);
	CHECK_EQ(waited, child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != expected)
		check_failed(__FILE__, __LINE__, "child %d ended with wait status %#x instead of exit code %d", (int)child,
			(unsigned)status, expected);
}

/* A child that was killed by `signal`. */
__attribute__((unused)) static void check_killed(pid_t child, int signal)
{
	int status = 0;
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), signal);
}

/* A line of `/proc/self/smaps` about the mapping that holds an address, in KiB; -1 if nothing is
 * mapped there or there is no such line. */
__attribute__((unused)) static long check_smaps(const void *address, const char *key)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	char line[512];
	int inside = 0;
	long found = -1;
	CHECK(file != NULL);
	while (found < 0 && fgets(line, sizeof line, file) != NULL) {
		unsigned long from, to;
		char *rest;
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
			inside = from <= (unsigned long)(uintptr_t)address && (unsigned long)(uintptr_t)address < to;
			continue;
		}
		rest = strchr(line, ':');
		if (!inside || rest == NULL)
			continue;
		*rest = '\0';
		if (strcmp(line, key) == 0)
			found = strtol(rest + 1, NULL, 10);
	}
	fclose(file);
	return found;
}

/* The protection of the mapping that holds an address, as /proc/self/maps has it ("rw-s"); "" if
 * nothing is mapped there. */
__attribute__((unused)) static const char *check_maps(const void *address)
{
	static char rights[8];
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];
	CHECK(file != NULL);
	rights[0] = '\0';
	while (fgets(line, sizeof line, file) != NULL) {
		unsigned long from, to;
		char found[8];
		if (sscanf(line, "%lx-%lx %7s", &from, &to, found) == 3 && from <= (unsigned long)(uintptr_t)address
			&& (unsigned long)(uintptr_t)address < to)
			strcpy(rights, found);
	}
	fclose(file);
	return rights;
}

/* Whether reading (or writing) a byte there kills: tried by a child. The signal, or 0. */
__attribute__((unused)) static int check_touch(volatile char *address, int write_it)
{
	int status = 0;
	pid_t child = check_fork();
	if (child == 0) {
		/* A sanitizer's handler would turn the signal into an exit. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		if (write_it)
			*address = 1;
		else
			(void)*address;
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status))
		return WTERMSIG(status);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return 0;
}

/* Whether the kernel has flags of memory objects, by which it is known that no other process has
 * one. */
__attribute__((unused)) static int check_knows_holders(void)
{
	/* FS_IOC_GETFLAGS: <linux/fs.h> does not go with all other headers. */
	const unsigned long get_flags = _IOR('f', 1, long);
	int object = memfd_create("check", 0), flags = 0, known;
	CHECK(object >= 0);
	known = ioctl(object, get_flags, &flags) == 0;
	close(object);
	return known;
}

/* One byte over a pipe or a socket, within half a minute. */
__attribute__((unused)) static void check_send(int to, char what)
{
	CHECK_EQ(write(to, &what, 1), 1);
}

__attribute__((unused)) static char check_hear(int from)
{
	struct pollfd waiting = { from, POLLIN, 0 };
	char heard = 0;
	int ready;
	do
		ready = poll(&waiting, 1, 30000);
	while (ready < 0 && errno == EINTR);
	CHECK_EQ(ready, 1);
	CHECK_EQ(read(from, &heard, 1), 1);
	return heard;
}

#endif
