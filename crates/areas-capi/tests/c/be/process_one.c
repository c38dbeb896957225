/*
 * The first process of a pid namespace, as a container's program is: a team like any other, whose
 * areas are not the kernel's.
 */
#include <OS.h>
#include <syscalls.h>

#include <sched.h>
#include <sys/mount.h>

#include "check.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)

static int process_one(void)
{
	int to[2], from[2];
	area_info info;
	team_info team;
	ssize_t cookie = 0;
	void *address;
	area_id id, given;
	pid_t child;
	CHECK_EQ(getpid(), 1);
	id = create_area("first", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(id > 0);
	strcpy(address, "process 1");
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.team, 1);
	CHECK(info.team != B_SYSTEM_TEAM);
	CHECK_EQ(get_team_info(0, &team), B_OK);
	CHECK_EQ(team.team, 1);
	CHECK_EQ(get_next_area_info(1, &cookie, &info), B_OK);
	CHECK_EQ(info.area, id);
	CHECK(pipe(to) == 0 && pipe(from) == 0);
	child = check_fork();
	if (child == 0) {
		area_id mine;
		CHECK_EQ(find_area("first"), id);
		mine = create_area("for process 1", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
		CHECK(mine > 0);
		mine = _kern_transfer_area(mine, &address, B_ANY_ADDRESS, 1);
		CHECK(mine > 0);
		CHECK_EQ(write(from[1], &mine, sizeof mine), (ssize_t)sizeof mine);
		_exit(0);
	}
	CHECK_EQ(read(from[0], &given, sizeof given), (ssize_t)sizeof given);
	check_child(child, 0);
	CHECK_EQ(get_area_info(given, &info), B_OK);
	CHECK_EQ(info.team, 1);
	CHECK_EQ(delete_area(given), B_OK);
	CHECK_EQ(delete_area(id), B_OK);
	return 0;
}

int main(void)
{
	pid_t child;
	if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0)
		SKIP("no pid namespace can be made here");
	CHECK_EQ(mount("none", "/", "none", MS_REC | MS_PRIVATE, ""), 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		if (mount("proc", "/proc", "proc", 0, "") != 0)
			SKIP("no /proc of a pid namespace can be mounted here");
		_exit(process_one());
	}
	{
		int status = 0;
		CHECK_EQ(waitpid(child, &status, 0), child);
		CHECK(WIFEXITED(status));
		/* What else is run at an exit may want a process of its own, and none can be made here any
		 * more. */
		_exit(WEXITSTATUS(status));
	}
}
