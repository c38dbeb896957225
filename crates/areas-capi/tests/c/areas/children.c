/*
 * Children that are not made by fork alone: vfork, posix_spawn with actions on descriptors, clone
 * as posix_spawn uses it, system. None of them takes anything away: another team that looks after
 * each finds the area under the id that it had.
 *
 * Not under valgrind: it does not know pidfd_getfd.
 */
#include <areas.h>
#include <sched.h>
#include <spawn.h>

#include "check.h"

extern char **environ;

static char *const ends[] = { "sh", "-c", "exit 7", NULL };

/* Another team, from before there was an area: writes the id that it finds, as often as it is
 * asked. */
static void observer(int from, int to)
{
	areas_info info = AREAS_INFO;
	char byte;
	while (read(from, &byte, 1) == 1) {
		int32_t id = areas_find("kept");
		if (id > 0 && areas_get(id, &info) != 0)
			id = -1;
		CHECK_EQ(write(to, &id, sizeof id), sizeof id);
	}
	_exit(0);
}

static int ask[2], answer[2];

static int32_t seen(void)
{
	int32_t id = 0;
	check_send(ask[1], '?');
	CHECK_EQ(read(answer[0], &id, sizeof id), sizeof id);
	return id;
}

static void by_vfork(void)
{
	pid_t child = vfork();
	if (child == 0) {
		execv("/bin/sh", ends);
		_exit(127);
	}
	check_child(child, 7);
}

static int runs(void *nothing)
{
	(void)nothing;
	execv("/bin/sh", ends);
	return 127;
}

/* A child that shares the memory, and one that shares the descriptors as well, until they are
 * another program. */
static void by_clone(int flags)
{
	static char stack[1 << 16] __attribute__((aligned(16)));
	pid_t child = clone(runs, stack + sizeof stack, flags | SIGCHLD, NULL);
	CHECK(child > 0);
	check_child(child, 7);
}

static void by_spawn(posix_spawn_file_actions_t *actions, const char *words, int expected)
{
	char *const arguments[] = { "sh", "-c", (char *)words, NULL };
	pid_t child;
	CHECK_EQ(posix_spawn(&child, "/bin/sh", actions, NULL, arguments, environ), 0);
	check_child(child, expected);
}

int main(void)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	posix_spawn_file_actions_t actions;
	areas_area *area;
	int32_t id;
	pid_t other;
	int number;
	CHECK(pipe2(ask, O_CLOEXEC) == 0 && pipe2(answer, O_CLOEXEC) == 0);
	other = check_fork();
	if (other == 0) {
		close(ask[1]);
		observer(ask[0], answer[1]);
	}
	close(ask[0]);
	CHECK_EQ(seen(), AREAS_ERROR_NO_SUCH_AREA);
	wanted.size = 4096;
	wanted.name = "kept";
	area = areas_create(&wanted);
	CHECK(area != NULL);
	id = areas_id(area);
	strcpy((char *)areas_address(area), "spawned\n");
	CHECK_EQ(seen(), id);
	by_vfork();
	CHECK_EQ(seen(), id);
	by_clone(CLONE_VM | CLONE_VFORK);
	CHECK_EQ(seen(), id);
	by_clone(CLONE_VM | CLONE_VFORK | CLONE_FILES);
	CHECK_EQ(seen(), id);
	by_clone(CLONE_FILES);
	CHECK_EQ(seen(), id);
	CHECK_EQ(system("exit 0"), 0);
	CHECK_EQ(seen(), id);
	/* All that the child may have is closed there. */
	CHECK_EQ(posix_spawn_file_actions_init(&actions), 0);
	for (number = 3; number < 64; number++)
		CHECK_EQ(posix_spawn_file_actions_addclose(&actions, number), 0);
	by_spawn(&actions, "exit 7", 7);
	CHECK_EQ(posix_spawn_file_actions_destroy(&actions), 0);
	CHECK_EQ(seen(), id);
	/* An area's descriptor, for a program that knows nothing of areas; no other one of the
	 * library's gets there. */
	CHECK_EQ(posix_spawn_file_actions_init(&actions), 0);
	CHECK_EQ(posix_spawn_file_actions_adddup2(&actions, areas_descriptor(area), 5), 0);
	by_spawn(&actions, "read line <&5 && test \"$line\" = spawned && test $(ls -l /proc/$$/fd | grep -c memfd:) = 1", 0);
	CHECK_EQ(posix_spawn_file_actions_destroy(&actions), 0);
	CHECK_EQ(seen(), id);
	CHECK_EQ(areas_id(area), id);
	areas_release(area);
	CHECK_EQ(seen(), AREAS_ERROR_NO_SUCH_AREA);
	close(ask[1]);
	check_child(other, 0);
	return 0;
}
