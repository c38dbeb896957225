/*
 * What the C programs for guests share: a table of tests that is run as libtest runs its own
 * (--list, names, a line a test), so that the guest step counts them all alike; and raw calls of
 * the kernel, which say where pages are without the library.
 */
#ifndef GUEST_TESTS_H
#define GUEST_TESTS_H

#include <dirent.h>
#include <sys/syscall.h>

#include "check.h"

#define PAGE ((size_t)4096)

/* linux/mempolicy.h, which may not be there. */
enum { RAW_DEFAULT = 0, RAW_PREFERRED = 1, RAW_BIND = 2, RAW_INTERLEAVE = 3, RAW_PREFERRED_MANY = 5, RAW_MOVE = 2 };

/* Of how many pages it was asked where they are, by this test and its children. */
__attribute__((unused)) static unsigned long *pages_asked;

struct test {
	const char *name;
	void (*run)(void);
};

/* For each of `count` pages: its node, or a negative error number. */
__attribute__((unused)) static void raw_nodes(const void *start, size_t count, int *nodes)
{
	void *pages[512];

	CHECK(count <= 512);
	for (size_t at = 0; at < count; at++)
		pages[at] = (char *)(uintptr_t)start + at * PAGE;
	CHECK_EQ(syscall(SYS_move_pages, 0, count, pages, NULL, nodes, 0), 0);
	if (pages_asked != NULL)
		__atomic_fetch_add(pages_asked, count, __ATOMIC_RELAXED);
}

/* Moves a page. */
__attribute__((unused)) static void raw_move(void *page, int node)
{
	int status = -1;

	CHECK_EQ(syscall(SYS_move_pages, 0, 1UL, &page, &node, &status, RAW_MOVE), 0);
	CHECK_EQ(status, node);
}

/* The policy at an address, and its nodes (the first 64). */
__attribute__((unused)) static int raw_policy(const void *address, unsigned long *nodes)
{
	unsigned long words[16] = { 0 };
	int mode = -1;

	CHECK_EQ(syscall(SYS_get_mempolicy, &mode, words, 1025UL, address, 2UL), 0);
	*nodes = words[0];
	return mode;
}

/* Writes a byte to each page. */
__attribute__((unused)) static void touch(void *start, size_t count)
{
	for (size_t at = 0; at < count; at++)
		((volatile char *)start)[at * PAGE] = 1;
}

/* Writes a line to a file of settings. */
__attribute__((unused)) static void setting(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY);

	if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value))
		check_failed(__FILE__, __LINE__, "cannot write %s to %s: %s", value, file, strerror(errno));
	close(fd);
}

__attribute__((unused)) static long number_in(const char *file)
{
	FILE *from = fopen(file, "re");
	long number = -1;

	CHECK(from != NULL && fscanf(from, "%ld", &number) == 1);
	fclose(from);
	return number;
}

/* Runs `body` in a child that may use memory of these nodes only. */
__attribute__((unused)) static void in_a_cpuset(const char *nodes, void (*body)(void))
{
	static const char group[] = "/sys/fs/cgroup/aml";
	char file[64];
	pid_t child;
	int tries = 0;

	setting("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset");
	CHECK_EQ(mkdir(group, 0755), 0);
	snprintf(file, sizeof file, "%s/cpuset.mems", group);
	setting(file, nodes);
	snprintf(file, sizeof file, "%s/cgroup.procs", group);
	child = check_fork();
	if (child == 0) {
		setting(file, "0");
		body();
		_exit(0);
	}
	check_child(child, 0);
	/* A process that has just ended may still be counted for a moment. */
	while (rmdir(group) != 0) {
		CHECK(errno == EBUSY && tries++ < 300);
		usleep(100000);
	}
}

/* Whether a test was asked for: all are if none was. */
__attribute__((unused)) static int wanted(const char *name, int argc, char **argv)
{
	int named = 0;

	for (int at = 1; at < argc; at++) {
		if (argv[at][0] == '-')
			continue;
		named = 1;
		if (strstr(name, argv[at]) != NULL)
			return 1;
	}
	return !named;
}

/* Runs the tests as libtest does, each in a child of its own. */
__attribute__((unused)) static int run_tests(const struct test *tests, size_t count, int argc, char **argv)
{
	int passed = 0, failed = 0, list = 0;

	for (int at = 1; at < argc; at++)
		list |= strcmp(argv[at], "--list") == 0;
	pages_asked = mmap(NULL, sizeof *pages_asked, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(pages_asked != MAP_FAILED);
	for (size_t at = 0; at < count; at++) {
		int status = 0;
		pid_t child;

		if (!wanted(tests[at].name, argc, argv))
			continue;
		if (list) {
			printf("%s: test\n", tests[at].name);
			continue;
		}
		*pages_asked = 0;
		child = check_fork();
		if (child == 0) {
			tests[at].run();
			_exit(0);
		}
		CHECK_EQ(waitpid(child, &status, 0), child);
		printf("test %s ... %s\n", tests[at].name, status == 0 ? "ok" : "FAILED");
		if (*pages_asked > 0)
			printf("  (where %lu pages are was asked of the kernel)\n", *pages_asked);
		fflush(stdout);
		*(status == 0 ? &passed : &failed) += 1;
	}
	if (!list)
		printf("\ntest result: %s. %d passed; %d failed; 0 ignored; 0 measured; 0 filtered out\n",
		       failed == 0 ? "ok" : "FAILED", passed, failed);
	return failed == 0 ? 0 : 101;
}

#endif
