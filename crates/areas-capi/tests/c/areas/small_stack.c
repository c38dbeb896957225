/*
 * Threads with small stacks: every call, the first of a process included, in a thread of its own
 * whose stack is as small as the headers say is enough. The library that is tested here is not
 * optimised, and takes more; with the installed one this program is asked to try less.
 *
 * Not under valgrind: it does not know pidfd_getfd.
 */
#include <areas.h>
#include <limits.h>
#include <pthread.h>
#include <sys/socket.h>

#include "check.h"

#define PAGE ((size_t)4096)
/* Of a thread of the library that is not optimised. */
#define UNOPTIMISED_KIB 128

static int sockets[2];
static areas_info info = AREAS_INFO;
static areas_residency residency = AREAS_RESIDENCY;
static areas_verification verification = AREAS_VERIFICATION;
static areas_migration migration = AREAS_MIGRATION;
static areas_nodeset nodes;
static areas_placement placement;
static const areas_part part = { 0, 1 };
static areas_targets space = AREAS_TARGETS;
static areas_grant grant = AREAS_GRANT;
static areas_targets targets = AREAS_TARGETS;
static char bytes[4096];

static areas_area *made(const char *name, uint32_t kind, uint32_t lock)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	wanted.size = 4 * PAGE;
	wanted.name = name;
	wanted.kind = kind;
	wanted.lock = lock;
	wanted.max = kind == AREAS_SHARED || kind == AREAS_PRIVATE ? 0 : 64 * PAGE;
	return areas_create(&wanted);
}

static int on_area(const areas_info *found, void *context)
{
	(void)found;
	(void)context;
	return 0;
}

static int on_holder(const areas_holder *holder, void *context)
{
	(void)holder;
	(void)context;
	return 0;
}

static int on_node(const areas_node *node, void *context)
{
	(void)node;
	(void)context;
	return 0;
}

static int on_ranked(const areas_ranked *ranked, void *context)
{
	(void)ranked;
	(void)context;
	return 0;
}

static void joining(void)
{
	CHECK_EQ(areas_join(), 0);
}

static void making(void)
{
	areas_area *area = made("made", AREAS_SHARED, AREAS_LOCK_NONE);
	CHECK(area != NULL);
	CHECK_EQ(areas_populate(area, NULL, NULL), 0);
	CHECK_EQ(areas_look(area, &info), 0);
	CHECK_EQ(areas_granted(area, &grant, NULL, NULL), 0);
	CHECK_EQ(areas_protect(area, AREAS_READ), 0);
	areas_release(area);
	area = made(NULL, AREAS_PRIVATE, AREAS_LOCK_NONE);
	CHECK(area != NULL);
	areas_release(area);
}

/* Whether it can be had depends on the machine; errors of that kind have long texts. */
static void locking(void)
{
	uint32_t lock;
	for (lock = AREAS_LOCK_LAZY; lock <= AREAS_LOCK_LOW; lock++) {
		areas_area *area = made("locked", AREAS_SHARED, lock);
		if (area == NULL)
			CHECK(areas_error_help()[0] != '\0');
		areas_release(area);
	}
}

static void growing(void)
{
	areas_area *growable = made("growable", AREAS_GROWABLE, AREAS_LOCK_NONE);
	areas_area *resizable = made("resizable", AREAS_RESIZABLE, AREAS_LOCK_NONE);
	CHECK(growable != NULL && resizable != NULL);
	CHECK_EQ(areas_resize(growable, 8 * PAGE), 0);
	CHECK_EQ(areas_resize(resizable, 8 * PAGE), 0);
	CHECK_EQ(areas_resize(resizable, PAGE), 0);
	CHECK_EQ(areas_read_at(resizable, 0, bytes, sizeof bytes), 0);
	areas_release(growable);
	areas_release(resizable);
}

static void finding(void)
{
	int32_t theirs = areas_find("theirs");
	CHECK(theirs > 0);
	CHECK_EQ(areas_get(theirs, &info), 0);
	CHECK_EQ(areas_find("absent"), AREAS_ERROR_NO_SUCH_AREA);
	CHECK(areas_error_help()[0] != '\0');
	CHECK_EQ(areas_wait("absent", 1), AREAS_ERROR_TIMED_OUT);
	CHECK_EQ(areas_list(on_area, NULL, NULL), 0);
	CHECK(areas_holders(theirs, on_holder, NULL) > 0);
	CHECK_EQ(areas_next(info.pid, NULL, &info), 1);
	CHECK_EQ(areas_is_frozen(theirs), 0);
}

static void cloning(void)
{
	areas_cloning how = AREAS_CLONING;
	areas_area *clone = areas_clone_named("theirs", NULL);
	CHECK(clone != NULL);
	areas_release(clone);
	how.protection = AREAS_READ;
	how.name = "clone";
	clone = areas_clone_named("theirs", &how);
	CHECK(clone != NULL);
	areas_release(clone);
}

static void freezing(void)
{
	areas_area *area = made("frozen", AREAS_SHARED, AREAS_LOCK_NONE);
	areas_area *clone = areas_clone_named("frozen", NULL);
	CHECK(area != NULL && clone != NULL);
	CHECK_EQ(areas_freeze(area, 5), AREAS_ERROR_BUSY);
	areas_release(clone);
	CHECK_EQ(areas_freeze(area, 1000), 0);
	areas_release(area);
}

static void measuring(void)
{
	areas_area *area = made("measured", AREAS_SHARED, AREAS_LOCK_NONE);
	CHECK(area != NULL);
	CHECK_EQ(areas_measure(area, &residency, NULL, NULL), 0);
	CHECK_EQ(areas_measure_id(areas_find("theirs"), &residency, NULL, NULL), 0);
	CHECK_EQ(areas_measure_range(bytes, sizeof bytes, &residency, NULL, NULL), 0);
	CHECK_EQ(areas_verify(area, &verification, NULL, NULL), 0);
	CHECK_EQ(areas_place(area, 0, PAGE, &placement), 0);
	CHECK_EQ(areas_place_split(area, 0, PAGE, &part, 1), 0);
	CHECK_EQ(areas_migrate(area, &placement, &migration, NULL, NULL, NULL), 0);
	CHECK_EQ(areas_migrate_id(areas_find("theirs"), &placement, &migration, NULL, NULL, NULL), 0);
	areas_release(area);
}

static void machine(void)
{
	CHECK_EQ(areas_nodes_allowed(&nodes), 0);
	CHECK(areas_nodes(on_node, NULL) > 0);
	(void)areas_distance(0, 0);
	(void)areas_rank(&targets, on_ranked, NULL);
	space.by = AREAS_LOWEST_LATENCY;
	(void)areas_space(&space, &nodes, NULL);
}

static void passing(void)
{
	areas_area *area = made("passed", AREAS_SHARED, AREAS_LOCK_NONE), *received;
	CHECK(area != NULL);
	CHECK_EQ(areas_send(area, sockets[0], 0), 0);
	received = areas_receive(sockets[1]);
	CHECK(received != NULL);
	areas_release(received);
	CHECK_EQ(areas_send(area, sockets[0], AREAS_SEND_READ_ONLY), 0);
	received = areas_receive(sockets[1]);
	CHECK(received != NULL);
	areas_release(received);
	CHECK_EQ(areas_transfer(area, (uint32_t)getpid(), AREAS_ANYWHERE, NULL), 0);
	CHECK(areas_take(0, NULL) == NULL);
	areas_release(area);
}

static const struct {
	const char *name;
	void (*calls)(void);
} parts[] = {
	{ "joining", joining }, { "making", making }, { "locking", locking }, { "growing", growing }, { "finding", finding },
	{ "cloning", cloning }, { "freezing", freezing }, { "measuring", measuring }, { "machine", machine }, { "passing", passing },
};

static void *runs(void *calls)
{
	(*(void (*const *)(void))calls)();
	return NULL;
}

int main(void)
{
	const char *reported = getenv("AREAS_STACK_KIB");
	size_t size = (reported != NULL ? (size_t)atoi(reported) : UNOPTIMISED_KIB) * 1024, part;
	int ready[2];
	pid_t holder;
	CHECK(size >= (size_t)PTHREAD_STACK_MIN);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	CHECK_EQ(pipe2(ready, O_CLOEXEC), 0);
	holder = check_fork();
	if (holder == 0) {
		CHECK(made("theirs", AREAS_SHARED, AREAS_LOCK_NONE) != NULL);
		check_send(ready[1], 'r');
		pause();
	}
	CHECK_EQ(check_hear(ready[0]), 'r');
	for (part = 0; part < sizeof parts / sizeof *parts; part++) {
		/* A process for each: its first call does what is done once. */
		pid_t child = check_fork();
		int status = 0;
		if (child == 0) {
			pthread_attr_t attributes;
			pthread_t thread;
			CHECK_EQ(pthread_attr_init(&attributes), 0);
			CHECK_EQ(pthread_attr_setstacksize(&attributes, size), 0);
			CHECK_EQ(pthread_create(&thread, &attributes, runs, (void *)&parts[part].calls), 0);
			CHECK_EQ(pthread_join(thread, NULL), 0);
			_exit(0);
		}
		CHECK_EQ(waitpid(child, &status, 0), child);
		if (status != 0)
			check_failed(__FILE__, __LINE__, "%s: wait status %#x with %zu KiB of stack", parts[part].name,
				(unsigned)status, size / 1024);
	}
	kill(holder, SIGKILL);
	check_killed(holder, SIGKILL);
	return 0;
}
