/*
 * Errors of the calls about teams, threads and the machine: docs/be-errors.md says which test is
 * whose.
 */
#include <OS.h>

#include "check.h"

#include <pthread.h>
#include <sys/time.h>

/* Numbers that no team and no thread has. */
static const int32 absent[] = { -1, INT32_MIN, INT32_MAX };
#define COUNT(array) (sizeof(array) / sizeof *(array))

static void teams(void)
{
	team_info team;
	int32 cookie = INT32_MAX;
	pid_t child = check_fork();
	size_t i;
	if (child == 0)
		_exit(0);
	memset(&team, 0x55, sizeof team);
	for (i = 0; i < COUNT(absent); i++)
		CHECK_EQ(get_team_info(absent[i], &team), B_BAD_TEAM_ID);
	CHECK_EQ(_get_team_info(0, NULL, sizeof team), B_BAD_ADDRESS);
	CHECK_EQ(_get_team_info(0, &team, 0), B_BAD_VALUE);
	CHECK_EQ(_get_team_info(0, &team, sizeof team + 1), B_BAD_VALUE);
	CHECK_EQ(_get_team_info(0, &team, SIZE_MAX), B_BAD_VALUE);
	CHECK_EQ(get_next_team_info(&cookie, &team), B_BAD_TEAM_ID);
	CHECK_EQ(get_next_team_info(&cookie, &team), B_BAD_TEAM_ID);
	CHECK_EQ(cookie, INT32_MAX);
	cookie = 0;
	CHECK_EQ(get_next_team_info(NULL, &team), B_BAD_ADDRESS);
	CHECK_EQ(_get_next_team_info(&cookie, NULL, sizeof team), B_BAD_ADDRESS);
	CHECK_EQ(_get_next_team_info(&cookie, &team, 0), B_BAD_VALUE);
	CHECK_EQ(_get_next_team_info(&cookie, &team, sizeof team + 1), B_BAD_VALUE);
	CHECK_EQ(cookie, 0);
	/* Nothing was written. */
	CHECK_EQ(team.team, 0x55555555);
	check_child(child, 0);
	CHECK_EQ(get_team_info(child, &team), B_BAD_TEAM_ID);
}

static void threads(void)
{
	thread_info thread;
	size_t i;
	memset(&thread, 0x55, sizeof thread);
	for (i = 0; i < COUNT(absent); i++)
		CHECK_EQ(get_thread_info(absent[i], &thread), B_BAD_THREAD_ID);
	CHECK_EQ(get_thread_info(0, &thread), B_BAD_THREAD_ID);
	CHECK_EQ(get_thread_info(getpid(), (thread_info *)NULL), B_BAD_ADDRESS);
	CHECK_EQ(_get_thread_info(getpid(), &thread, 0), B_BAD_VALUE);
	CHECK_EQ(_get_thread_info(getpid(), &thread, sizeof thread - 1), B_BAD_VALUE);
	CHECK_EQ(_get_thread_info(getpid(), &thread, SIZE_MAX), B_BAD_VALUE);
	CHECK_EQ(thread.thread, 0x55555555);
	CHECK_EQ(find_thread("no thread is called so"), B_NAME_NOT_FOUND);
	CHECK_EQ(find_thread(""), B_NAME_NOT_FOUND);
}

static void waiting(void)
{
	status_t value = 77;
	size_t i;
	pid_t child = check_fork();
	if (child == 0)
		_exit(3);
	for (i = 0; i < COUNT(absent); i++)
		CHECK_EQ(wait_for_thread(absent[i], &value), B_BAD_THREAD_ID);
	CHECK_EQ(wait_for_thread(0, &value), B_BAD_THREAD_ID);
	/* For itself it would wait forever. */
	CHECK_EQ(wait_for_thread(find_thread(NULL), &value), B_BAD_THREAD_ID);
	CHECK_EQ(wait_for_thread(getpid(), NULL), B_BAD_THREAD_ID);
	CHECK_EQ(value, 77);
	/* The value is asked for by who wants it; a child is waited for once. */
	CHECK_EQ(wait_for_thread(child, NULL), B_OK);
	CHECK_EQ(wait_for_thread(child, &value), B_BAD_THREAD_ID);
}

static void came(int signal)
{
	(void)signal;
}

/* A signal comes, and comes again should it have come too early. */
static void interrupted(void)
{
	struct itimerval often = { { 0, 20000 }, { 0, 20000 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action;
	status_t value = 77;
	pid_t child = check_fork();
	if (child == 0)
		for (;;)
			pause();
	memset(&action, 0, sizeof action);
	action.sa_handler = came;
	CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
	CHECK_EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
	CHECK_EQ(snooze(INT64_MAX), B_INTERRUPTED);
	CHECK_EQ(wait_for_thread(child, &value), B_INTERRUPTED);
	CHECK_EQ(value, 77);
	CHECK_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
	CHECK_EQ(kill(child, SIGKILL), 0);
	check_killed(child, SIGKILL);
	/* No time, or less, has passed already. */
	CHECK_EQ(snooze(0), B_OK);
	CHECK_EQ(snooze(-1), B_OK);
	CHECK_EQ(snooze(INT64_MIN), B_OK);
}

static void machine(void)
{
	CHECK_EQ(get_system_info(NULL), B_BAD_ADDRESS);
}

int main(void)
{
	teams();
	threads();
	waiting();
	interrupted();
	machine();
	return 0;
}
