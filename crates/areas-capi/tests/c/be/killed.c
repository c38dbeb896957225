/*
 * A server that makes areas for its clients, and clients that clone them: one of the two is killed
 * as it enters each of its system calls, and as it comes back from each. The other one finds what
 * is true then: its own areas whole, the dead one's memory as long as it holds it itself, no id,
 * name or team of the dead; a server serves the next client. When it has deleted what it held, the
 * kernel says of each object of the dead that it is gone, while the survivor lives on.
 *
 * Then both are killed, the server at each of its calls and the client wherever it is by then:
 * nothing of either is left.
 *
 * On odd days as they enter a call, on even ones as they come back; AREAS_KILLED_EVERY=1: both.
 *
 * Not under valgrind: it stops processes at their system calls by ptrace.
 */
#include <OS.h>

#include <dirent.h>
#include <sys/inotify.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "check.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define MOST_OBJECTS 64
/* The end of what is traced: a call that no kernel has. */
#define END_MARK 0x5eed

enum role { SERVER, CLIENT, ROLES };
static const char *const names[ROLES] = { "server", "client" };

/* What one side says to the other. */
enum step { ARRIVE = 1, CLONED, GROW, GROWN, LEAVE, LEFT };

struct message {
	int step;
	area_id area;
};

/* What a survivor knows of itself when the other one goes. */
struct state {
	area_id own, clone;
	char *own_at, *clone_at;
	/* Whether its own area has been grown, and what was seen in the clone. */
	size_t own_size;
	int clone_written;
};

/* To and from the driver. */
static int control[ROLES];
/* The two ends of each conversation: with the client that may die, and with the next one. */
static int first[ROLES], second[ROLES];

/* Whether the other side is still there. */
static int say(int to, int step, area_id area)
{
	struct message message = { step, area };
	return send(to, &message, sizeof message, MSG_NOSIGNAL) == (ssize_t)sizeof message;
}

/* The next message; step 0 if the other side is gone. */
static struct message hear(int from)
{
	struct message message = { 0, 0 };
	ssize_t got;
	do
		got = recv(from, &message, sizeof message, MSG_WAITALL);
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t)sizeof message)
		message.step = 0;
	return message;
}

static void trace_me(int traced)
{
	if (!traced)
		return;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		_exit(77);
	raise(SIGSTOP);
}

static void make_own(struct state *state, const char *name, char sign)
{
	void *address = NULL;
	state->own = create_area(name, &address, B_ANY_ADDRESS, 4 * PAGE, B_NO_LOCK, RW);
	CHECK(state->own > 0);
	state->own_at = address;
	state->own_size = 4 * PAGE;
	memset(address, sign, 16);
}

/* Whether there was something to clone: its owner may be dead. */
static int make_clone(struct state *state, const char *name, uint32 protection, area_id source, char sign)
{
	void *address = NULL;
	area_id clone = clone_area(name, &address, B_ANY_ADDRESS, protection, source);
	if (clone < 0)
		return 0;
	state->clone = clone;
	state->clone_at = address;
	CHECK_EQ(state->clone_at[0], sign);
	CHECK_EQ(state->clone_at[15], sign);
	return 1;
}

static void drop(area_id *area)
{
	if (*area > 0)
		CHECK_EQ(delete_area(*area), B_OK);
	*area = 0;
}

/* Serves one client to its end, or until it is gone. */
static int serve(int from, struct state *state)
{
	struct message said;
	while ((said = hear(from)).step != 0) {
		switch (said.step) {
		case ARRIVE:
			make_own(state, "for client", 's');
			if (!say(from, ARRIVE, state->own))
				return 0;
			break;
		case CLONED:
			/* It wrote behind our sign, and has made an area of its own. */
			CHECK_EQ(state->own_at[16], 'c');
			if (!make_clone(state, "server's clone", B_READ_AREA, said.area, 'c') || !say(from, CLONED, state->clone))
				return 0;
			break;
		case GROW:
			CHECK_EQ(resize_area(state->own, 64 * PAGE), B_OK);
			state->own_size = 64 * PAGE;
			state->own_at[64 * PAGE - 1] = 'g';
			if (!say(from, GROWN, state->own))
				return 0;
			break;
		case LEAVE:
			drop(&state->clone);
			drop(&state->own);
			return say(from, LEFT, 0);
		default:
			CHECK(!"an unknown step");
		}
	}
	return 0;
}

/* Is a client to the end, or until the server is gone. */
static int visit(int server, struct state *state)
{
	struct message said;
	area_info info;
	if (!say(server, ARRIVE, 0) || (said = hear(server)).step != ARRIVE)
		return 0;
	if (!make_clone(state, "client's clone", RW, said.area, 's'))
		return 0;
	state->clone_at[16] = 'c';
	state->clone_written = 1;
	make_own(state, "from client", 'c');
	if (!say(server, CLONED, state->own) || hear(server).step != CLONED)
		return 0;
	if (!say(server, GROW, 0) || hear(server).step != GROWN)
		return 0;
	/* Grown with no call of ours. */
	CHECK_EQ(state->clone_at[64 * PAGE - 1], 'g');
	CHECK_EQ(get_area_info(state->clone, &info), B_OK);
	CHECK_EQ(info.size, 64 * PAGE);
	drop(&state->own);
	if (!say(server, LEAVE, 0) || hear(server).step != LEFT)
		return 0;
	/* The server has deleted it: ours has all its bytes. */
	CHECK_EQ(state->clone_at[64 * PAGE - 1], 'g');
	drop(&state->clone);
	return 1;
}

/* Nothing of a dead team is reported. `its_name` is what only it had. */
static void dead_is_dead(team_id dead, const char *its_name, const char *its_clone)
{
	ssize_t cookie = 0;
	area_info info;
	CHECK_EQ(find_area(its_name), B_NAME_NOT_FOUND);
	CHECK_EQ(find_area(its_clone), B_NAME_NOT_FOUND);
	CHECK_EQ(get_next_area_info(dead, &cookie, &info), B_BAD_TEAM_ID);
}

/* What is held is whole, and usable. */
static void still_whole(struct state *state, char own_sign, char clone_sign)
{
	area_info info;
	if (state->own > 0) {
		CHECK_EQ(get_area_info(state->own, &info), B_OK);
		CHECK(info.address == state->own_at);
		CHECK_EQ(info.team, getpid());
		CHECK(info.size == state->own_size || info.size == 64 * PAGE);
		CHECK_EQ(area_for(state->own_at + 3 * PAGE), state->own);
		CHECK_EQ(state->own_at[0], own_sign);
		CHECK_EQ(resize_area(state->own, 96 * PAGE), B_OK);
		state->own_at[96 * PAGE - 1] = 1;
	}
	if (state->clone > 0) {
		CHECK_EQ(get_area_info(state->clone, &info), B_OK);
		CHECK(info.address == state->clone_at);
		CHECK_EQ(area_for(state->clone_at), state->clone);
		CHECK_EQ(state->clone_at[0], clone_sign);
		if (state->clone_written) {
			CHECK_EQ(state->clone_at[16], 'c');
			/* The only one that holds it now: it grows, and is zero there. */
			CHECK_EQ(resize_area(state->clone, 80 * PAGE), B_OK);
			CHECK_EQ(state->clone_at[80 * PAGE - 1], 0);
			state->clone_at[80 * PAGE - 1] = 1;
		}
	}
}

static void nothing_is_left(void)
{
	ssize_t cookie = 0;
	area_info info;
	CHECK(get_next_area_info(B_CURRENT_TEAM, &cookie, &info) != B_OK);
}

/* Reports that all is deleted, and lives on until the driver has seen that it is; looks once more
 * in between. */
__attribute__((noreturn)) static void stay(int driver)
{
	check_send(driver, 'c');
	CHECK_EQ(check_hear(driver), 'l');
	CHECK_EQ(find_area("absent"), B_NAME_NOT_FOUND);
	CHECK_EQ(check_hear(driver), 'e');
	_exit(0);
}

__attribute__((noreturn)) static void be_server(int traced, team_id client)
{
	struct state state;
	memset(&state, 0, sizeof state);
	trace_me(traced);
	serve(first[SERVER], &state);
	if (traced)
		syscall(END_MARK);
	/* Notified by the driver that the client is dead, and its status fetched. */
	check_hear(control[SERVER]);
	dead_is_dead(client, "from client", "client's clone");
	still_whole(&state, 's', 'c');
	/* The next one finds a server that works. */
	drop(&state.clone);
	drop(&state.own);
	check_send(control[SERVER], 'n');
	CHECK_EQ(serve(second[SERVER], &state), 1);
	nothing_is_left();
	stay(control[SERVER]);
}

__attribute__((noreturn)) static void be_client(int traced, team_id server, int conversation)
{
	struct state state;
	int ended;
	memset(&state, 0, sizeof state);
	trace_me(traced);
	ended = visit(conversation, &state);
	if (traced)
		syscall(END_MARK);
	if (conversation == second[CLIENT]) {
		CHECK_EQ(ended, 1);
		_exit(0);
	}
	check_hear(control[CLIENT]);
	dead_is_dead(server, "for client", "server's clone");
	still_whole(&state, 'c', 's');
	drop(&state.clone);
	drop(&state.own);
	nothing_is_left();
	stay(control[CLIENT]);
}

/* --- The driver --- */

struct watched {
	int inotify, count;
	char names[MOST_OBJECTS][64];
};

/* The link of a team in the registry, into `path`, which has room for 1200. Whether it has one. */
static int link_of(pid_t team, char *path)
{
	const char *registry = getenv("AREAS_DIR");
	char folder[1000], target[64], beginning[32];
	struct dirent *space, *link;
	DIR *spaces, *teams;
	int found = 0;
	CHECK(registry != NULL);
	spaces = opendir(registry);
	if (spaces == NULL) {
		/* No process has come so far as to make it. */
		CHECK_EQ(errno, ENOENT);
		return 0;
	}
	snprintf(beginning, sizeof beginning, "/proc/%d/", (int)team);
	while (!found && (space = readdir(spaces)) != NULL) {
		if (space->d_name[0] == '.')
			continue;
		snprintf(folder, sizeof folder, "%s/%s/teams", registry, space->d_name);
		teams = opendir(folder);
		while (!found && teams != NULL && (link = readdir(teams)) != NULL) {
			ssize_t length;
			snprintf(path, 1200, "%.900s/%.250s", folder, link->d_name);
			length = readlink(path, target, sizeof target - 1);
			target[length < 0 ? 0 : length] = '\0';
			found = strncmp(target, beginning, strlen(beginning)) == 0;
		}
		if (teams != NULL)
			closedir(teams);
	}
	closedir(spaces);
	return found;
}

/* Watches the memory objects that a process has open: inotify says IN_DELETE_SELF of one when its
 * last holder releases it, and does not hold it. */
static void watch(struct watched *watched, pid_t pid, pid_t survivor)
{
	/* One that is not stopped may close what is looked at. */
	char folder[64], path[400], target[64], link[1200];
	struct stat its_table, object;
	/* It may have opened the other one's table just now, which stays. */
	int has_table = survivor != 0 && link_of(survivor, link) && stat(link, &its_table) == 0;
	struct dirent *entry;
	DIR *opened;
	snprintf(folder, sizeof folder, "/proc/%d/fd", (int)pid);
	opened = opendir(folder);
	CHECK(opened != NULL);
	while ((entry = readdir(opened)) != NULL) {
		ssize_t length;
		int number;
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		length = readlink(path, target, sizeof target - 1);
		target[length < 0 ? 0 : length] = '\0';
		if (length < 7 || memcmp(target, "/memfd:", 7) != 0)
			continue;
		if (stat(path, &object) != 0)
			continue;
		if (has_table && object.st_ino == its_table.st_ino && object.st_dev == its_table.st_dev)
			continue;
		number = inotify_add_watch(watched->inotify, path, IN_DELETE_SELF);
		if (number < 0 && errno == ENOENT)
			continue;
		CHECK(number > 0 && number < MOST_OBJECTS);
		/* Numbers go up from 1: one that was watched already has its old one. */
		if (number > watched->count)
			watched->count = number;
		memcpy(watched->names[number], target, (size_t)length + 1);
	}
	closedir(opened);
}

static int is_table(const char *name)
{
	return strstr(name, "areas table") != NULL;
}

/* How many of them are not gone: areas, and tables of teams if those are asked for, too. */
static int left_of(const struct watched *watched, int tables)
{
	int i, left = 0;
	for (i = 1; i <= watched->count; i++)
		left += watched->names[i][0] != '\0' && (tables || !is_table(watched->names[i]));
	return left;
}

/* Waits until they are gone. */
static void wait_until_gone(struct watched *watched, int tables, const char *when)
{
	char events[4096] __attribute__((aligned(8)));
	while (left_of(watched, tables) > 0) {
		struct pollfd waiting = { watched->inotify, POLLIN, 0 };
		ssize_t got;
		char *at;
		if (poll(&waiting, 1, 30000) != 1) {
			int i;
			for (i = 1; i <= watched->count; i++)
				fprintf(stderr, "%s\n", watched->names[i][0] == '\0' ? "(gone)" : watched->names[i]);
			check_failed(__FILE__, __LINE__, "%s: %d of %d objects of the dead are still held", when,
				left_of(watched, tables), watched->count);
		}
		got = read(watched->inotify, events, sizeof events);
		CHECK(got > 0);
		for (at = events; at < events + got;) {
			struct inotify_event *event = (struct inotify_event *)(void *)at;
			if (event->mask & IN_DELETE_SELF)
				watched->names[event->wd][0] = '\0';
			at += sizeof *event + event->len;
		}
	}
}

static void ends(int pair[ROLES])
{
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

/* A server or client with its own ends of all conversations, and no other process's: who dies is
 * noticed by who talks to it. */
static pid_t start(enum role role, int traced, team_id other, int driver[ROLES], int conversation)
{
	pid_t child = check_fork();
	if (child != 0)
		return child;
	close(driver[SERVER]);
	close(driver[CLIENT]);
	if (role == SERVER) {
		close(control[CLIENT]);
		close(first[CLIENT]);
		close(second[CLIENT]);
		be_server(traced, other);
	}
	close(control[SERVER]);
	close(first[SERVER]);
	close(second[SERVER]);
	if (conversation != second[CLIENT])
		close(second[CLIENT]);
	be_client(traced, other, conversation);
}

/* Lets a traced process go on to the `stop`th time that it stops at a call (each has two). Whether
 * it came there. */
static int run_to(pid_t victim, long stop)
{
	long stops = 0;
	int status;
	for (;;) {
		CHECK_EQ(ptrace(PTRACE_SYSCALL, victim, NULL, NULL), 0);
		CHECK_EQ(waitpid(victim, &status, 0), victim);
		if (!WIFSTOPPED(status))
			check_failed(__FILE__, __LINE__, "it ended by itself: status %#x", (unsigned)status);
		if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
			check_failed(__FILE__, __LINE__, "it was stopped by signal %d", WSTOPSIG(status));
		}
		if (stops++ == stop)
			return 1;
#if defined(__x86_64__)
		/* Where a call's number can be seen, the end is known. */
		{
			long number = ptrace(PTRACE_PEEKUSER, victim, (void *)(uintptr_t)(15 * 8), NULL);
			if (number == END_MARK)
				return 0;
		}
#endif
	}
}

/* None of the two is left: for who comes now there is nothing of theirs. */
static void newcomer(int both)
{
	static const char *const theirs[] = { "for client", "from client", "server's clone", "client's clone" };
	struct state state;
	unsigned i;
	pid_t child = check_fork();
	if (child != 0) {
		check_child(child, 0);
		return;
	}
	for (i = 0; i < sizeof theirs / sizeof *theirs; i++)
		CHECK_EQ(find_area(theirs[i]), B_NAME_NOT_FOUND);
	if (both) {
		memset(&state, 0, sizeof state);
		make_own(&state, "for client", 's');
		CHECK_EQ(find_area("for client"), state.own);
		still_whole(&state, 's', 'c');
		drop(&state.own);
		nothing_is_left();
	}
	_exit(0);
}

/* Kills `role` at its `stop`th stop, and the other one with it or not. Whether there was one. */
static int killed_at(enum role role, long stop, int both)
{
	int driver[ROLES], pair[ROLES], status, came;
	enum role other = role == SERVER ? CLIENT : SERVER;
	struct watched watched;
	pid_t pids[ROLES], next;
	char when[64], link[1200];
	snprintf(when, sizeof when, "%s killed at stop %ld", names[role], stop);
	memset(&watched, 0, sizeof watched);
	watched.inotify = inotify_init1(IN_CLOEXEC);
	CHECK(watched.inotify >= 0);
	ends(first);
	ends(second);
	ends(pair);
	driver[SERVER] = pair[0], control[SERVER] = pair[1];
	ends(pair);
	driver[CLIENT] = pair[0], control[CLIENT] = pair[1];
	/* Who survives is started last, as it gets to know whose death it will see. */
	pids[role] = start(role, 1, 0, driver, first[CLIENT]);
	pids[other] = start(other, 0, pids[role], driver, first[CLIENT]);
	close(first[SERVER]);
	close(first[CLIENT]);
	close(second[SERVER]);
	close(control[SERVER]);
	close(control[CLIENT]);

	CHECK_EQ(waitpid(pids[role], &status, 0), pids[role]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		SKIP("this process may not be traced (ptrace)");
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	CHECK_EQ(ptrace(PTRACE_SETOPTIONS, pids[role], NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)), 0);
	came = run_to(pids[role], stop);
	watch(&watched, pids[role], both ? 0 : pids[other]);
	if (both) {
		watch(&watched, pids[other], 0);
		CHECK_EQ(kill(pids[other], SIGKILL), 0);
	}
	CHECK_EQ(kill(pids[role], SIGKILL), 0);
	check_killed(pids[role], SIGKILL);
	if (both) {
		check_killed(pids[other], SIGKILL);
		close(second[CLIENT]);
		wait_until_gone(&watched, 1, when);
		newcomer(1);
		CHECK(!link_of(pids[role], link) && !link_of(pids[other], link));
		close(driver[SERVER]);
		close(driver[CLIENT]);
		close(watched.inotify);
		return came;
	}

	check_send(driver[other], 'g');
	if (other == SERVER) {
		CHECK_EQ(check_hear(driver[SERVER]), 'n');
		next = start(CLIENT, 0, pids[SERVER], driver, second[CLIENT]);
		close(second[CLIENT]);
		CHECK_EQ(check_hear(driver[SERVER]), 'c');
		check_child(next, 0);
	} else {
		close(second[CLIENT]);
		CHECK_EQ(check_hear(driver[CLIENT]), 'c');
	}
	/* The survivor lives, and holds nothing of it. */
	wait_until_gone(&watched, 0, when);
	/* A table of a team that had no areas any more is met by no process, but by who comes newly:
	 * then all who look again drop it. */
	newcomer(0);
	CHECK(!link_of(pids[role], link));
	check_send(driver[other], 'l');
	wait_until_gone(&watched, 1, when);
	check_send(driver[other], 'e');
	check_child(pids[other], 0);
	close(driver[SERVER]);
	close(driver[CLIENT]);
	close(watched.inotify);
	return came;
}

int main(void)
{
	const char *every = getenv("AREAS_KILLED_EVERY");
	/* Stops at entry and at exit take turns. */
	long step = every != NULL ? atol(every) : 2;
	long offset = step > 1 ? (long)(time(NULL) / 86400) % step : 0;
	int turn;
	CHECK(step > 0);
#if !defined(__x86_64__)
	SKIP("the end of what is traced is not known on this architecture");
#endif
	for (turn = 0; turn < 3; turn++) {
		enum role role = turn == 1 ? CLIENT : SERVER;
		long stop = offset, killed = 0;
		for (; killed_at(role, stop, turn == 2); stop += step)
			killed++;
		printf("%s: killed at %ld stops, one in %ld of %ld\n", turn == 2 ? "both" : names[role], killed, step, stop);
		/* Two for each call; fewer than these cannot be. */
		CHECK(killed >= 60 / step);
	}
	return 0;
}
