/*
 * In the manner of Haiku's listarea, written again: every team, its areas, and the machine's
 * totals; and of catarea: the bytes of an area of another team. What they print is compared with
 * what is known.
 *
 * Not under valgrind: the stack, the arguments and the names that the kernel reports of are its
 * own.
 */
#include <OS.h>

#include "check.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)

static int areas_seen, teams_seen;

static void list_areas(const team_info *team)
{
	ssize_t cookie = 0;
	area_info area;
	int count = 0;
	printf("%s (team %" B_PRId32 ", parent %" B_PRId32 ")\n", team->name, team->team, team->parent);
	while (get_next_area_info(team->team, &cookie, &area) == B_OK) {
		printf("%8" B_PRId32 " %-32s %" B_PRI_ADDR " %8zu %8" B_PRIu32 " %" B_PRIu32 " %" B_PRIu32 "\n", area.area,
			area.name, (addr_t)area.address, area.size, area.ram_size, area.lock, area.protection);
		count++;
	}
	CHECK_EQ(count, team->area_count);
	areas_seen += count;
}

static void cat(const char *name, const char *expected)
{
	char *address;
	area_info info;
	area_id clone, id = find_area(name);
	CHECK(id > 0);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	clone = clone_area("catarea", (void **)&address, B_ANY_ADDRESS, B_READ_AREA, id);
	CHECK(clone > 0);
	CHECK_EQ(fwrite(address, 1, strlen(expected), stdout), strlen(expected));
	CHECK(memcmp(address, expected, strlen(expected)) == 0);
	CHECK_EQ(address[info.size - 1], 0);
	CHECK_EQ(delete_area(clone), B_OK);
}

int main(void)
{
	int ready[2], last = 0, found_child = 0, found_self = 0;
	int32 cookie = 0;
	team_info team;
	system_info machine;
	thread_info thread;
	pid_t child;
	void *address;
	area_id id = create_area("listed", &address, B_ANY_ADDRESS, 3 * PAGE, B_NO_LOCK, RW);
	bigtime_t before;
	CHECK(id > 0);
	CHECK_EQ(pipe(ready), 0);
	child = check_fork();
	if (child == 0) {
		/* One inherited, one of its own. */
		CHECK(create_area("to be read", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW) > 0);
		strcpy(address, "contents\n");
		prctl(PR_SET_NAME, "listed child");
		check_send(ready[1], 'r');
		for (;;)
			pause();
	}
	check_hear(ready[0]);
	while (get_next_team_info(&cookie, &team) == B_OK) {
		CHECK(team.team > last);
		last = team.team;
		teams_seen++;
		if (team.team == getpid()) {
			found_self = 1;
			CHECK_EQ(team.area_count, 1);
			CHECK_EQ(team.parent, getppid());
			CHECK_EQ(team.uid, geteuid());
			CHECK_EQ(team.real_gid, getgid());
			CHECK_EQ(team.group_id, getpgrp());
			CHECK_EQ(team.session_id, getsid(0));
			CHECK(team.argc >= 1);
			CHECK(team.args[0] != '\0');
			CHECK(team.image_count >= 1);
			CHECK_EQ(team.debugger_nub_thread, -1);
			list_areas(&team);
		} else if (team.team == child) {
			found_child = 1;
			CHECK_EQ(team.parent, getpid());
			CHECK_STR(team.name, "listed child");
			CHECK_EQ(team.thread_count, 1);
			CHECK_EQ(team.area_count, 2);
			list_areas(&team);
		}
	}
	CHECK(found_self && found_child);
	CHECK_EQ(areas_seen, 3);
	CHECK_EQ(get_next_team_info(&cookie, &team), B_BAD_TEAM_ID);
	CHECK_EQ(get_team_info(B_CURRENT_TEAM, &team), B_OK);
	CHECK_EQ(team.team, getpid());
	/* BeOS's shorter structure. */
	memset(&team, 0x55, sizeof team);
	CHECK_EQ(_get_team_info(child, &team, offsetof(team_info, real_uid)), B_OK);
	CHECK_EQ(team.team, child);
	CHECK_EQ(team.real_uid, 0x55555555);

	cat("to be read", "contents\n");

	CHECK_EQ(get_system_info(&machine), B_OK);
	printf("%" B_PRIu64 " of %" B_PRIu64 " pages in use, %" B_PRIu32 " teams\n", machine.used_pages, machine.max_pages,
		machine.used_teams);
	CHECK(machine.max_pages > 0 && machine.used_pages < machine.max_pages);
	CHECK_EQ(machine.max_pages, (uint64)sysconf(_SC_PHYS_PAGES));
	CHECK(machine.cpu_count >= 1);
	CHECK(machine.used_teams >= 2 && machine.used_teams <= machine.max_teams);
	CHECK(machine.boot_time > 0 && machine.free_memory > 0);
	CHECK_STR(machine.kernel_name, "Linux");

	CHECK_EQ(find_thread(NULL), getpid());
	CHECK_EQ(get_thread_info(find_thread(NULL), &thread), B_OK);
	CHECK_EQ(thread.team, getpid());
	CHECK_EQ(thread.state, B_THREAD_RUNNING);
	CHECK(thread.stack_base <= (void *)&thread && (void *)&thread < thread.stack_end);
	CHECK_EQ(find_thread(thread.name), getpid());
	CHECK_EQ(get_thread_info(child, &thread), B_OK);
	CHECK_EQ(thread.team, child);
	before = machine.boot_time;
	CHECK_EQ(snooze(2000), B_OK);
	CHECK_EQ(get_system_info(&machine), B_OK);
	CHECK(machine.boot_time - before < 5000000 && before - machine.boot_time < 5000000);

	CHECK_EQ(kill(child, SIGKILL), 0);
	{
		status_t value = 0;
		CHECK_EQ(wait_for_thread(child, &value), B_OK);
		CHECK_EQ(value, -1);
	}
	CHECK_EQ(get_team_info(child, &team), B_BAD_TEAM_ID);
	CHECK_EQ(delete_area(id), B_OK);
	return 0;
}
