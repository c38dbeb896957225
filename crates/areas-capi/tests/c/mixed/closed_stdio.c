/*
 * Programs that run with standard input, output or error closed: no descriptor of the library's is
 * ever 0, 1 or 2, so that what they print goes into no area and no table. Every call, with each of
 * the three closed and with several, while another thread prints.
 *
 * Not under valgrind: it does not know pidfd_getfd.
 */
#include <areas.h>

#include <OS.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "check.h"

#define PAGE ((size_t)4096)

/* The numbers that are closed, as bits; where to say what is wrong. */
static unsigned closed;
static int report;

/* None of the numbers is open: looked at after each call. */
static void look(int line, const char *call)
{
	int number;
	for (number = 0; number < 3; number++) {
		if ((closed & 1u << number) == 0 || fcntl(number, F_GETFD) < 0)
			continue;
		dprintf(report, "line %d: after %s, descriptor %d is open\n", line, call, number);
		_exit(1);
	}
}

/* Makes a call that succeeds, and looks. */
#define DO(call) \
	do { \
		if (!(call)) { \
			dprintf(report, "line %d: not so: %s: %s\n", __LINE__, #call, areas_error_help()); \
			_exit(1); \
		} \
		look(__LINE__, #call); \
	} while (0)

static const char printed[] = "XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX";

/* Prints all the time, as other threads do: into what is closed. */
static void *prints(void *nothing)
{
	int number;
	(void)nothing;
	for (;;)
		for (number = 1; number < 3; number++)
			if ((closed & 1u << number) != 0 && write(number, printed, sizeof printed - 1) < 0 && errno != EBADF)
				_exit(2);
	return NULL;
}

static areas_area *made(const char *name, uint32_t kind)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;
	size_t at;
	wanted.name = name;
	wanted.size = 4 * PAGE;
	wanted.kind = kind;
	wanted.max = kind == AREAS_SHARED ? 0 : 64 * PAGE;
	area = areas_create(&wanted);
	DO(area != NULL);
	for (at = 0; at < 4 * PAGE; at++)
		((char *)areas_address(area))[at] = 'a';
	return area;
}

/* No process printed into it. */
static void untouched(const void *bytes)
{
	size_t at;
	for (at = 0; at < 4 * PAGE; at++)
		if (((const char *)bytes)[at] != 'a') {
			dprintf(report, "byte %zu is %#x\n", at, ((const unsigned char *)bytes)[at]);
			_exit(1);
		}
}

static int on_area(const areas_info *info, void *context)
{
	(void)info;
	(void)context;
	look(__LINE__, "areas_list");
	return 0;
}

static int on_holder(const areas_holder *holder, void *context)
{
	(void)holder;
	(void)context;
	look(__LINE__, "areas_holders");
	return 0;
}

static int on_node(const areas_node *node, void *context)
{
	(void)node;
	(void)context;
	return 0;
}

/* Calls of areas.h. `sockets` are connected; `file` has some bytes; `theirs` is the name of another
 * team's area. */
static void native(const int *sockets, int file, const char *theirs, uint32_t other)
{
	areas_area *area, *growable, *resizable, *clone, *frozen, *received, *taken;
	areas_cloning how = AREAS_CLONING;
	areas_info info = AREAS_INFO;
	areas_residency residency = AREAS_RESIDENCY;
	areas_verification verification = AREAS_VERIFICATION;
	areas_migration migration = AREAS_MIGRATION;
	areas_placement placement;
	areas_nodeset nodes;
	uint64_t bytes;
	memset(&placement, 0, sizeof placement);
	DO(areas_find("none") == AREAS_ERROR_NO_SUCH_AREA);
	DO(areas_join() == 0);
	area = made("ours", AREAS_SHARED);
	growable = made("growable", AREAS_GROWABLE);
	resizable = made("resizable", AREAS_RESIZABLE);
	frozen = made("frozen", AREAS_SHARED);
	DO(areas_populate(area, NULL, NULL) == 0);
	DO(areas_resize(growable, 8 * PAGE) == 0);
	DO(areas_resize(resizable, 8 * PAGE) == 0);
	DO(areas_find("ours") == areas_id(area));
	DO(areas_find(theirs) > 0);
	DO(areas_get(areas_find(theirs), &info) == 0);
	DO((clone = areas_clone_named(theirs, NULL)) != NULL);
	untouched(areas_address(clone));
	areas_release(clone);
	look(__LINE__, "areas_release");
	how.protection = AREAS_READ;
	how.name = "clone";
	DO((clone = areas_clone_named(theirs, &how)) != NULL);
	untouched(areas_address(clone));
	areas_release(clone);
	DO((clone = areas_clone(areas_id(area), NULL)) != NULL);
	areas_release(clone);
	DO(areas_wait("ours", -1) > 0);
	DO(areas_wait("none", 30) == AREAS_ERROR_TIMED_OUT);
	DO(areas_list(on_area, NULL, NULL) == 0);
	DO(areas_next(other, NULL, &info) == 1);
	DO(areas_holders(areas_id(area), on_holder, NULL) > 0);
	DO(areas_resident(areas_find(theirs), &bytes) == 0);
	DO(areas_is_frozen(areas_find(theirs)) == 0);
	DO(areas_ensure_published() >= 0);
	DO(areas_measure(area, &residency, NULL, NULL) == 0);
	DO(areas_measure_id(areas_find(theirs), &residency, NULL, NULL) == 0);
	DO(areas_verify(area, &verification, NULL, NULL) == 0);
	DO(areas_migrate(area, &placement, &migration, NULL, NULL, NULL) == 0);
	DO(areas_nodes_allowed(&nodes) == 0);
	DO(areas_nodes(on_node, NULL) > 0);
	(void)areas_distance(0, 0);
	look(__LINE__, "areas_distance");
	DO(areas_freeze(frozen, 1000) == 0);
	untouched(areas_address(frozen));
	DO(areas_send(area, sockets[0], 0) == 0);
	DO((received = areas_receive(sockets[1])) != NULL);
	untouched(areas_address(received));
	areas_release(received);
	DO(areas_send(frozen, sockets[0], AREAS_SEND_READ_ONLY) == 0);
	DO((received = areas_receive(sockets[1])) != NULL);
	areas_release(received);
	/* What the other team gave while all this went on. */
	DO((taken = areas_take(-1, NULL)) != NULL);
	untouched(areas_address(taken));
	areas_release(taken);
	DO(areas_fill(growable, file, NULL, NULL) == 0);
	untouched(areas_address(area));
	untouched(areas_address(resizable));
	untouched(areas_address(frozen));
	areas_release(area);
	areas_release(growable);
	areas_release(resizable);
	areas_release(frozen);
	look(__LINE__, "areas_release");
}

/* BeOS's calls, and those that go with them. */
static void beos(const char *theirs, uint32_t other)
{
	void *address = NULL, *cloned = NULL;
	area_id area, clone;
	area_info info;
	team_info team;
	thread_info thread;
	system_info machine;
	int32 cookie = 0;
	ssize_t next = 0;
	DO((area = create_area("by id", &address, B_ANY_ADDRESS, 4 * PAGE, B_NO_LOCK, B_READ_AREA | B_WRITE_AREA)) > 0);
	memset(address, 'a', 4 * PAGE);
	DO((clone = clone_area("clone", &cloned, B_ANY_ADDRESS, B_READ_AREA, find_area(theirs))) > 0);
	untouched(cloned);
	DO(delete_area(clone) == B_OK);
	DO(resize_area(area, 8 * PAGE) == B_OK);
	DO(get_area_info(area, &info) == B_OK);
	DO(get_next_area_info((team_id)other, &next, &info) == B_OK);
	DO(get_team_info((team_id)other, &team) == B_OK);
	DO(get_next_team_info(&cookie, &team) == B_OK);
	DO(get_thread_info(find_thread(NULL), &thread) == B_OK);
	(void)find_thread("absent thread");
	look(__LINE__, "find_thread");
	DO(get_system_info(&machine) == B_OK);
	untouched(address);
	DO(delete_area(area) == B_OK);
}

/* A process that may open no more: only numbers that are the program's are free. */
static void at_the_limit(void)
{
	struct rlimit limit = { 3, 3 };
	areas_attributes wanted = AREAS_ATTRIBUTES;
	wanted.size = PAGE;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		_exit(3);
	DO(areas_create(&wanted) == NULL);
	DO(areas_error_number() == AREAS_ERROR_LIMIT);
	DO(strstr(areas_error_help(), "RLIMIT_NOFILE is 3") != NULL);
}

/* Another team, that holds an area and gives one away as often as it hears something. Its own
 * descriptors are closed, too. */
static void other_team(int from, int to)
{
	areas_area *area;
	uint32_t parent;
	int number;
	for (number = 0; number < 3; number++)
		close(number);
	closed = 7;
	area = made("theirs", AREAS_SHARED);
	DO(write(to, "r", 1) == 1);
	while (read(from, &parent, sizeof parent) == sizeof parent) {
		areas_area *gift = made("gift", AREAS_SHARED);
		DO(areas_transfer(gift, parent, AREAS_ANYWHERE, NULL) == 0);
		areas_release(gift);
	}
	untouched(areas_address(area));
	_exit(0);
}

int main(void)
{
	int ready[2], gifts[2];
	pid_t other;
	char byte;
	report = fcntl(2, F_DUPFD_CLOEXEC, 200);
	CHECK_EQ(pipe2(ready, O_CLOEXEC), 0);
	CHECK_EQ(pipe2(gifts, O_CLOEXEC), 0);
	other = check_fork();
	if (other == 0) {
		close(gifts[1]);
		other_team(gifts[0], ready[1]);
	}
	close(gifts[0]);
	byte = check_hear(ready[0]);
	CHECK_EQ(byte, 'r');
	for (closed = 1; closed < 8; closed++) {
		uint32_t own;
		pthread_t printer;
		int sockets[2], file, number;
		pid_t child = check_fork();
		if (child != 0) {
			check_child(child, 0);
			continue;
		}
		CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
		file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
		CHECK(file > 2);
		for (number = 0; number < 3; number++)
			if ((closed & 1u << number) != 0)
				close(number);
		DO(pthread_create(&printer, NULL, prints, NULL) == 0);
		DO(areas_join() == 0);
		own = (uint32_t)getpid();
		DO(write(gifts[1], &own, sizeof own) == sizeof own);
		native(sockets, file, "theirs", (uint32_t)other);
		beos("theirs", (uint32_t)other);
		_exit(0);
	}
	close(gifts[1]);
	check_child(other, 0);
	closed = 7;
	other = check_fork();
	if (other == 0) {
		int number;
		for (number = 0; number < 3; number++)
			close(number);
		at_the_limit();
		_exit(0);
	}
	check_child(other, 0);
	return 0;
}
