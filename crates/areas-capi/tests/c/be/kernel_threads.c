/*
 * The kernel is not a team, nor are its threads: no process has the number B_SYSTEM_TEAM, and
 * process 1 is one like any other.
 */
#include <OS.h>
#include <syscalls.h>

#include <dirent.h>

#include "check.h"

/* A thread of the kernel's own: the flag PF_KTHREAD of proc_pid_stat(5); 0 if none is seen here. */
static int kernel_thread(void)
{
	DIR *folder = opendir("/proc");
	struct dirent *entry;
	int found = 0;
	CHECK(folder != NULL);
	while (found == 0 && (entry = readdir(folder)) != NULL) {
		char path[300], text[512], *behind;
		unsigned long flags = 0;
		FILE *file;
		size_t length;
		int number = atoi(entry->d_name);
		if (number <= 0)
			continue;
		snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
		file = fopen(path, "re");
		if (file == NULL)
			continue;
		length = fread(text, 1, sizeof text - 1, file);
		fclose(file);
		text[length] = '\0';
		behind = strrchr(text, ')');
		if (behind != NULL && sscanf(behind + 2, "%*c %*d %*d %*d %*d %*d %lu", &flags) == 1 && (flags & 0x00200000))
			found = number;
	}
	closedir(folder);
	return found;
}

static void is_no_team(team_id number)
{
	area_info info;
	team_info team;
	ssize_t cookie = 0;
	int32 teams = 0;
	void *address;
	area_id id;
	CHECK_EQ(get_team_info(number, &team), B_BAD_TEAM_ID);
	CHECK_EQ(get_next_area_info(number, &cookie, &info), B_BAD_TEAM_ID);
	while (get_next_team_info(&teams, &team) == B_OK)
		CHECK(team.team != number);
	id = create_area("kept", &address, B_ANY_ADDRESS, B_PAGE_SIZE, B_NO_LOCK, B_READ_AREA | B_WRITE_AREA);
	CHECK(id > 0);
	CHECK_EQ(_kern_transfer_area(id, &address, B_ANY_ADDRESS, number), B_BAD_TEAM_ID);
	CHECK_EQ(delete_area(id), B_OK);
}

static void threads_of_the_kernel(int number)
{
	thread_info thread;
	CHECK_EQ(get_thread_info(number, &thread), B_BAD_THREAD_ID);
	CHECK_EQ(wait_for_thread(number, NULL), B_BAD_THREAD_ID);
}

int main(void)
{
	team_info team;
	int number;
	is_no_team(B_SYSTEM_TEAM);
	CHECK(B_SYSTEM_TEAM != 1);
	/* (Where /proc shows others' processes.) */
	if (access("/proc/1/stat", R_OK) == 0) {
		CHECK_EQ(get_team_info(1, &team), B_OK);
		CHECK_EQ(team.team, 1);
		CHECK(team.team != B_SYSTEM_TEAM);
	}
	number = kernel_thread();
	if (number == 0)
		SKIP("no thread of the kernel's is seen here");
	is_no_team(number);
	threads_of_the_kernel(number);
	return 0;
}
