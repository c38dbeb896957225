/*
 * A process that has ended is not a team, though its parent has not waited for it yet; one that
 * lives on without its first thread is one.
 */
#include <OS.h>
#include <syscalls.h>

#include <pthread.h>

#include "check.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)

/* Waits until the first thread of a process has ended, and leaves it as it is. */
static void wait_for_zombie(pid_t child)
{
	char path[64], text[512], state = 0;
	int tries;
	snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
	for (tries = 0; state != 'Z' && tries < 3000; tries++) {
		FILE *file = fopen(path, "re");
		size_t length;
		CHECK(file != NULL);
		length = fread(text, 1, sizeof text - 1, file);
		fclose(file);
		text[length] = '\0';
		state = strrchr(text, ')')[2];
		if (state != 'Z')
			usleep(10000);
	}
	CHECK_EQ(state, 'Z');
}

static int is_listed(team_id wanted)
{
	team_info team;
	int32 cookie = 0;
	int found = 0;
	while (get_next_team_info(&cookie, &team) == B_OK)
		found |= team.team == wanted;
	return found;
}

static void who_has_ended(void)
{
	int reported[2];
	area_id id = 0, mine;
	area_info info;
	team_info team;
	thread_info thread;
	system_info system;
	ssize_t cookie = 0;
	void *address;
	status_t code = 0;
	pid_t child;
	CHECK(pipe(reported) == 0);
	child = check_fork();
	if (child == 0) {
		id = create_area("ended", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
		CHECK_EQ(write(reported[1], &id, sizeof id), (ssize_t)sizeof id);
		_exit(3);
	}
	CHECK_EQ(read(reported[0], &id, sizeof id), (ssize_t)sizeof id);
	CHECK(id > 0);
	wait_for_zombie(child);
	CHECK_EQ(get_team_info(child, &team), B_BAD_TEAM_ID);
	CHECK_EQ(get_thread_info(child, &thread), B_BAD_THREAD_ID);
	CHECK_EQ(get_next_area_info(child, &cookie, &info), B_BAD_TEAM_ID);
	CHECK(!is_listed(child));
	CHECK_EQ(get_system_info(&system), B_OK);
	CHECK(system.used_teams > 0);
	CHECK_EQ(get_area_info(id, &info), B_BAD_VALUE);
	CHECK_EQ(find_area("ended"), B_NAME_NOT_FOUND);
	mine = create_area("mine", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(mine > 0);
	CHECK_EQ(_kern_transfer_area(mine, &address, B_ANY_ADDRESS, child), B_BAD_TEAM_ID);
	CHECK_EQ(get_area_info(mine, &info), B_OK);
	CHECK_EQ(delete_area(mine), B_OK);
	/* It can be waited for all the same. */
	CHECK_EQ(wait_for_thread(child, &code), B_OK);
	CHECK_EQ(code, 3);
}

static int from_parent[2], to_parent[2];

/* The thread that stays: it makes an area, and takes what is given. */
static void *stays(void *unused)
{
	area_info info;
	area_id id;
	void *address;
	(void)unused;
	id = create_area("stays", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(id > 0);
	CHECK_EQ(write(to_parent[1], &id, sizeof id), (ssize_t)sizeof id);
	CHECK_EQ(read(from_parent[0], &id, sizeof id), (ssize_t)sizeof id);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.team, getpid());
	CHECK_EQ(delete_area(id), B_OK);
	_exit(0);
}

static void who_has_lost_its_first_thread(void)
{
	area_id id = 0, mine;
	area_info info;
	team_info team;
	thread_info thread;
	ssize_t cookie = 0;
	void *address;
	pid_t child;
	CHECK(pipe(from_parent) == 0 && pipe(to_parent) == 0);
	child = check_fork();
	if (child == 0) {
		pthread_t other;
		CHECK_EQ(pthread_create(&other, NULL, stays, NULL), 0);
		pthread_exit(NULL);
	}
	CHECK_EQ(read(to_parent[0], &id, sizeof id), (ssize_t)sizeof id);
	wait_for_zombie(child);
	CHECK_EQ(get_team_info(child, &team), B_OK);
	CHECK_EQ(team.team, child);
	CHECK_EQ(get_thread_info(child, &thread), B_BAD_THREAD_ID);
	CHECK(is_listed(child));
	CHECK_EQ(get_next_area_info(child, &cookie, &info), B_OK);
	CHECK_EQ(info.area, id);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.team, child);
	mine = create_area("mine", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(mine > 0);
	mine = _kern_transfer_area(mine, &address, B_ANY_ADDRESS, child);
	CHECK(mine > 0);
	CHECK_EQ(write(from_parent[1], &mine, sizeof mine), (ssize_t)sizeof mine);
	check_child(child, 0);
}

int main(void)
{
	who_has_ended();
	who_has_lost_its_first_thread();
	return 0;
}
