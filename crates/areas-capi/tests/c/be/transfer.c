/*
 * Areas that change hands between teams: to a team that has only looked, as Haiku's usual receiver
 * has; the id that the area has there is known to the giver at once, and may be sent on.
 */
#include <OS.h>
#include <syscalls.h>

#include "check.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)

/* What a receiver calls first, before it waits for a message. */
enum { NOTHING, FIND, NEXT, AREA_FOR, INFO, TEAM, TEAMS, THREAD, MADE_AND_DELETED, FIRST_CALLS };

static void call(int first)
{
	area_info info;
	team_info team;
	thread_info thread;
	ssize_t cookie = 0;
	int32 teams = 0;
	void *address;
	area_id id;
	switch (first) {
		case FIND:
			CHECK_EQ(find_area("no area has this name"), B_NAME_NOT_FOUND);
			break;
		case NEXT:
			CHECK_EQ(get_next_area_info(0, &cookie, &info), B_ENTRY_NOT_FOUND);
			break;
		case AREA_FOR:
			CHECK_EQ(area_for(&info), B_ERROR);
			break;
		case INFO:
			CHECK_EQ(get_area_info(1, &info), B_BAD_VALUE);
			break;
		case TEAM:
			CHECK_EQ(get_team_info(0, &team), B_OK);
			break;
		case TEAMS:
			CHECK_EQ(get_next_team_info(&teams, &team), B_OK);
			break;
		case THREAD:
			CHECK_EQ(get_thread_info(find_thread(NULL), &thread), B_OK);
			break;
		case MADE_AND_DELETED:
			id = create_area("briefly", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
			CHECK(id > 0);
			CHECK_EQ(delete_area(id), B_OK);
			break;
	}
}

static void send_id(int to, area_id id)
{
	CHECK_EQ(write(to, &id, sizeof id), (ssize_t)sizeof id);
}

static area_id hear_id(int from)
{
	area_id id = 0;
	struct pollfd waiting = { from, POLLIN, 0 };
	CHECK_EQ(poll(&waiting, 1, 30000), 1);
	CHECK_EQ(read(from, &id, sizeof id), (ssize_t)sizeof id);
	return id;
}

/* A team that makes one call, waits for an id, and uses it by its next calls. */
static int receiver(int first, int from, int to)
{
	area_info info;
	area_id id, clone;
	void *address, *where;
	call(first);
	check_send(to, 'r');
	id = hear_id(from);
	/* The next call of this team. */
	if (first % 2 == 0) {
		CHECK_EQ(get_area_info(id, &info), B_OK);
	} else {
		clone = clone_area("clone", &address, B_ANY_ADDRESS, B_READ_AREA, id);
		CHECK(clone > 0);
		CHECK_STR((char *)address, "given");
		CHECK_EQ(delete_area(clone), B_OK);
		CHECK_EQ(get_area_info(id, &info), B_OK);
	}
	CHECK_EQ(info.area, id);
	CHECK_EQ(info.team, getpid());
	CHECK_STR(info.name, "gift");
	CHECK_STR((char *)info.address, "given");
	CHECK_STR(check_maps(info.address), "rw-s");
	where = info.address;
	CHECK_EQ(area_for((char *)where + PAGE - 1), id);
	CHECK_EQ(find_area("gift"), id);
	check_send(to, 't');
	check_hear(from);
	/* It is the receiver's own in all. */
	CHECK_EQ(resize_area(id, 3 * PAGE), B_OK);
	CHECK_EQ(set_area_protection(id, B_READ_AREA), B_OK);
	CHECK_EQ(delete_area(id), B_OK);
	CHECK_STR(check_maps(where), "");
	CHECK_EQ(get_area_info(id, &info), B_BAD_VALUE);
	return 0;
}

static area_id gift(void **address)
{
	area_id id = create_area("gift", address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(id > 0);
	strcpy(*address, "given");
	return id;
}

static void to_who_has_only_looked(int first)
{
	int to[2], from[2];
	area_info info;
	area_id id, there;
	void *address, *before;
	pid_t child;
	CHECK(pipe(to) == 0 && pipe(from) == 0);
	child = check_fork();
	if (child == 0)
		_exit(receiver(first, to[0], from[1]));
	CHECK_EQ(check_hear(from[0]), 'r');
	id = gift(&address);
	before = address;
	there = _kern_transfer_area(id, &address, B_ANY_ADDRESS, child);
	/* Its id there, at once; nothing of it is here any more. */
	CHECK(there > 0 && there != id);
	CHECK(address == before);
	CHECK_STR(check_maps(before), "");
	CHECK_EQ(get_area_info(id, &info), B_BAD_VALUE);
	/* It has it from its next call on: until then others do not see it. */
	CHECK_EQ(get_area_info(there, &info), B_BAD_VALUE);
	send_id(to[1], there);
	CHECK_EQ(check_hear(from[0]), 't');
	CHECK_EQ(get_area_info(there, &info), B_OK);
	CHECK_EQ(info.team, child);
	id = clone_area("third", &address, B_ANY_ADDRESS, RW, there);
	CHECK(id > 0);
	CHECK_STR((char *)address, "given");
	CHECK_EQ(delete_area(id), B_OK);
	check_send(to[1], 'e');
	check_child(child, 0);
	CHECK_EQ(get_area_info(there, &info), B_BAD_VALUE);
	CHECK(close(to[0]) == 0 && close(to[1]) == 0 && close(from[0]) == 0 && close(from[1]) == 0);
}

/* A team that has called nothing at all cannot be found: the giver keeps it. */
static void to_who_has_called_nothing(void)
{
	int to[2], from[2];
	area_info info;
	area_id id;
	void *address, *before;
	pid_t child;
	CHECK(pipe(to) == 0 && pipe(from) == 0);
	child = check_fork();
	if (child == 0) {
		check_send(from[1], 'r');
		check_hear(to[0]);
		_exit(0);
	}
	CHECK_EQ(check_hear(from[0]), 'r');
	id = gift(&address);
	before = address;
	CHECK_EQ(_kern_transfer_area(id, &address, B_ANY_ADDRESS, child), B_BAD_TEAM_ID);
	CHECK(address == before);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK(info.address == address);
	CHECK_EQ(delete_area(id), B_OK);
	check_send(to[1], 'e');
	check_child(child, 0);
}

/* A team that unmaps what it was given, before any call of its takes that in, and has an area of
 * its own there by then. */
static int unmapper(int from, int to)
{
	area_info info;
	area_id id, own;
	void *address;
	call(FIND);
	check_send(to, 'r');
	id = hear_id(from);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	address = info.address;
	CHECK_EQ(munmap(address, info.size), 0);
	own = create_area("own", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(own > 0 && address == info.address);
	strcpy(address, "own");
	CHECK_EQ(delete_area(id), B_BAD_VALUE);
	CHECK_STR((char *)address, "own");
	CHECK_EQ(area_for(address), own);
	CHECK_EQ(get_area_info(own, &info), B_OK);
	CHECK_EQ(resize_area(own, 2 * PAGE), B_OK);
	CHECK_STR((char *)address, "own");
	CHECK_EQ(delete_area(own), B_OK);
	return 0;
}

static void to_who_unmaps_it(void)
{
	int to[2], from[2];
	void *address;
	area_id there;
	pid_t child;
	CHECK(pipe(to) == 0 && pipe(from) == 0);
	child = check_fork();
	if (child == 0)
		_exit(unmapper(to[0], from[1]));
	CHECK_EQ(check_hear(from[0]), 'r');
	there = _kern_transfer_area(gift(&address), &address, B_ANY_ADDRESS, child);
	CHECK(there > 0);
	send_id(to[1], there);
	check_child(child, 0);
	CHECK(close(to[0]) == 0 && close(to[1]) == 0 && close(from[0]) == 0 && close(from[1]) == 0);
}

/* The giver is dead before the receiver calls; the id goes from hand to hand. */
static void the_giver_dies_at_once(void)
{
	int to[2], from[2], ids[2];
	area_info info;
	area_id there;
	pid_t child, giver;
	CHECK(pipe(to) == 0 && pipe(from) == 0 && pipe(ids) == 0);
	child = check_fork();
	if (child == 0)
		_exit(receiver(FIND, to[0], from[1]));
	CHECK_EQ(check_hear(from[0]), 'r');
	giver = check_fork();
	if (giver == 0) {
		void *address;
		area_id id = gift(&address);
		id = _kern_transfer_area(id, &address, B_ANY_ADDRESS, child);
		CHECK(id > 0);
		CHECK_EQ(write(ids[1], &id, sizeof id), (ssize_t)sizeof id);
		kill(getpid(), SIGKILL);
	}
	there = hear_id(ids[0]);
	check_killed(giver, SIGKILL);
	send_id(to[1], there);
	CHECK_EQ(check_hear(from[0]), 't');
	CHECK_EQ(get_area_info(there, &info), B_OK);
	CHECK_EQ(info.team, child);
	check_send(to[1], 'e');
	check_child(child, 0);
}

/* Who never calls again is given no more than the kernel keeps for it; what is refused stays the
 * giver's. */
static void to_who_takes_nothing_in(void)
{
	int to[2], from[2], given;
	area_info info;
	area_id id, there = B_OK;
	void *address;
	pid_t child;
	CHECK(pipe(to) == 0 && pipe(from) == 0);
	child = check_fork();
	if (child == 0) {
		call(FIND);
		check_send(from[1], 'r');
		check_hear(to[0]);
		_exit(0);
	}
	CHECK_EQ(check_hear(from[0]), 'r');
	for (given = 0; given < 4096; given++) {
		id = gift(&address);
		there = _kern_transfer_area(id, &address, B_ANY_ADDRESS, child);
		if (there < 0)
			break;
	}
	CHECK(given > 0);
	CHECK_EQ(there, B_ERROR);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_STR((char *)info.address, "given");
	CHECK_EQ(delete_area(id), B_OK);
	check_send(to[1], 'e');
	check_child(child, 0);
	CHECK(close(to[0]) == 0 && close(to[1]) == 0 && close(from[0]) == 0 && close(from[1]) == 0);
}

int main(void)
{
	int first;
	to_who_has_called_nothing();
	to_who_unmaps_it();
	for (first = FIND; first < FIRST_CALLS; first++)
		to_who_has_only_looked(first);
	the_giver_dies_at_once();
	to_who_takes_nothing_in();
	return 0;
}
