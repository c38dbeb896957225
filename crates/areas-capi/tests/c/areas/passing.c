/*
 * Areas that change hands: over a socket, and for good; in both cases the giver is gone before the
 * taker looks.
 *
 * Not under valgrind: it does not know pidfd_getfd.
 */
#include <areas.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "check.h"

#define PAGE ((size_t)4096)

static areas_area *plain(const char *name, uint32_t kind)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;
	wanted.name = name;
	wanted.size = 2 * PAGE;
	wanted.kind = kind;
	area = areas_create(&wanted);
	if (area == NULL)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	return area;
}

static void sending(void)
{
	int sockets[2], i;
	pid_t child;
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	child = check_fork();
	if (child == 0) {
		areas_area *area = plain(NULL, AREAS_SHARED), *resizable = plain(NULL, AREAS_RESIZABLE);
		strcpy((char *)areas_address(area), "over a socket");
		CHECK_EQ(areas_send(area, sockets[1], 0), 0);
		CHECK_EQ(areas_send(area, sockets[1], AREAS_SEND_READ_ONLY), 0);
		CHECK_EQ(areas_send(resizable, sockets[1], 0), AREAS_ERROR_UNSUPPORTED);
		_exit(0);
	}
	check_child(child, 0);
	for (i = 0; i < 2; i++) {
		areas_area *area = areas_receive(sockets[0]);
		if (area == NULL)
			check_failed(__FILE__, __LINE__, "%s", areas_error_help());
		CHECK_STR((char *)areas_address(area), "over a socket");
		CHECK_EQ(areas_id(area), 0);
		CHECK_STR(check_maps(areas_address(area)), i == 0 ? "rw-s" : "r--s");
		if (i == 1)
			CHECK_EQ(areas_protect(area, AREAS_READ | AREAS_WRITE), AREAS_ERROR_NOT_PERMITTED);
		CHECK(areas_publish(area, "received") > 0);
		areas_release(area);
	}
	close(sockets[0]);
	close(sockets[1]);
}

/* What a receiver does not take on stays in the queue. */
static void bounds(void)
{
	int sockets[2];
	areas_receiving how = AREAS_RECEIVING;
	areas_info info = AREAS_INFO;
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	how.flags = AREAS_RECEIVE_TIMEOUT;
	how.milliseconds = 20;
	CHECK(areas_receive_with(sockets[0], &how) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_TIMED_OUT);
	CHECK_EQ(areas_discard(sockets[0]), 0);
	wanted.size = 2 * PAGE;
	wanted.lock = AREAS_LOCK_LAZY;
	area = areas_create(&wanted);
	CHECK(area != NULL);
	CHECK_EQ(areas_send(area, sockets[1], 0), 0);
	CHECK_EQ(areas_send(area, sockets[1], 0), 0);
	areas_release(area);
	how.max_bytes = PAGE;
	CHECK(areas_receive_with(sockets[0], &how) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_LIMIT);
	how.max_bytes = 2 * PAGE;
	how.max_addresses = PAGE;
	CHECK(areas_receive_with(sockets[0], &how) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_LIMIT);
	how.max_addresses = 0;
	how.max_locked = PAGE;
	CHECK(areas_receive_with(sockets[0], &how) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_LIMIT);
	how.pages = 2 << 20;
	CHECK(areas_receive_with(sockets[0], &how) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_LIMIT);
	how.pages |= (uint64_t)sysconf(_SC_PAGESIZE);
	how.flags |= AREAS_RECEIVE_LOCK_AT_MOST;
	how.lock_at_most = AREAS_LOCK_NONE;
	area = areas_receive_with(sockets[0], &how);
	if (area == NULL)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	CHECK_EQ(areas_look(area, &info), 0);
	CHECK_EQ(info.lock, AREAS_LOCK_NONE);
	CHECK_EQ(areas_size(area), 2 * PAGE);
	areas_release(area);
	CHECK_EQ(areas_discard(sockets[0]), 1);
	CHECK_EQ(areas_discard(sockets[0]), 0);
	close(sockets[0]);
	close(sockets[1]);
}

static void transferring(void)
{
	uint32_t from = 0;
	int32_t id, before;
	void *start;
	areas_info info = AREAS_INFO;
	pid_t child;
	areas_area *area;

	/* Within a process it moves: a new id, elsewhere, and the handle still holds it. */
	area = plain("mine", AREAS_SHARED);
	before = areas_id(area);
	start = areas_address(area);
	strcpy((char *)start, "moved");
	CHECK_EQ(areas_transfer(area, (uint32_t)getpid(), AREAS_ANYWHERE, NULL), 0);
	id = areas_id(area);
	CHECK(id > 0 && id != before);
	CHECK(areas_address(area) != start);
	CHECK_STR((char *)areas_address(area), "moved");
	CHECK_STR(check_maps(start), "");
	areas_release(area);

	/* To another team: the giver holds nothing, ends, and the taker has it. */
	CHECK_EQ(areas_join(), 0);
	child = check_fork();
	if (child == 0) {
		areas_area *given = plain("given", AREAS_RESIZABLE);
		strcpy((char *)areas_address(given), "for good");
		CHECK_EQ(areas_transfer(given, (uint32_t)getppid(), AREAS_ANYWHERE, NULL), 0);
		/* The handle holds nothing now, and says so. */
		CHECK(areas_address(given) == NULL);
		CHECK_EQ(areas_size(given), 0);
		CHECK_EQ(areas_id(given), AREAS_ERROR_NO_SUCH_AREA);
		CHECK_EQ(areas_look(given, &info), AREAS_ERROR_NO_SUCH_AREA);
		CHECK_EQ(areas_freeze(given, 0), AREAS_ERROR_NO_SUCH_AREA);
		CHECK_EQ(areas_transfer(given, (uint32_t)getppid(), AREAS_ANYWHERE, NULL), AREAS_ERROR_NO_SUCH_AREA);
		areas_release(given);
		_exit(0);
	}
	check_child(child, 0);
	area = areas_take(30000, &from);
	if (area == NULL)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	CHECK_EQ(from, child);
	CHECK_STR((char *)areas_address(area), "for good");
	CHECK_EQ(areas_find("given"), areas_id(area));
	CHECK_EQ(areas_look(area, &info), 0);
	CHECK_EQ(info.kind, AREAS_RESIZABLE);
	areas_release(area);
	CHECK_EQ(areas_find("given"), AREAS_ERROR_NO_SUCH_AREA);
}

/* Memory that a process made, by its descriptor alone. */
static void of_descriptors(void)
{
	areas_receiving how = AREAS_RECEIVING;
	areas_info info = AREAS_INFO;
	areas_area *area, *again;
	int memory = memfd_create("a stranger's", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK(memory > 0);
	CHECK_EQ(ftruncate(memory, 2 * PAGE), 0);
	CHECK(areas_from_descriptor(memory, NULL) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_INVALID_INPUT);
	how.flags = AREAS_RECEIVE_RESIZABLE;
	how.room = 8 * PAGE;
	area = areas_from_descriptor(memory, &how);
	CHECK(area != NULL);
	CHECK_EQ(areas_look(area, &info), 0);
	CHECK_EQ(info.kind, AREAS_RESIZABLE);
	CHECK_EQ(areas_size(area), 2 * PAGE);
	CHECK_EQ(areas_resize(area, 4 * PAGE), 0);
	strcpy((char *)areas_address(area) + 3 * PAGE, "by its descriptor");
	areas_release(area);
	/* The descriptor stays ours. */
	CHECK_EQ(fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	area = areas_from_descriptor(memory, NULL);
	CHECK(area != NULL);
	CHECK_EQ(areas_look(area, &info), 0);
	CHECK_EQ(info.kind, AREAS_SHARED);
	CHECK_STR((char *)areas_address(area) + 3 * PAGE, "by its descriptor");
	CHECK(areas_publish(area, "by its descriptor") > 0);
	CHECK_EQ(areas_freeze(area, AREAS_DEFAULT_TIMEOUT), 0);
	again = areas_from_descriptor(areas_descriptor(area), NULL);
	CHECK(again != NULL);
	CHECK_EQ(areas_look(again, &info), 0);
	CHECK_EQ(info.kind, AREAS_FROZEN);
	CHECK(areas_address(again) != areas_address(area));
	CHECK_STR(check_maps(areas_address(again)), "r--s");
	areas_release(again);
	areas_release(area);
	close(memory);
}

int main(void)
{
	of_descriptors();
	sending();
	bounds();
	transferring();
	return 0;
}
