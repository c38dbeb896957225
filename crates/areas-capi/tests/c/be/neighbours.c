/*
 * What OS.h brings besides the calls about areas: strerror of BeOS's errors, system_time, atomic
 * operations (on words in areas of two teams), debugger, and headers of the C library. Nothing but
 * OS.h and check.h is included.
 */
#include <OS.h>

#include "check.h"

#include <dlfcn.h>

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define ROUNDS 20000

/* Numbers of BeOS's have BeOS's words; those of errno what the C library says, whose own function
 * is as it was. */
static void words(void)
{
	char *(*c_librarys)(int) = (char *(*)(int))(intptr_t)dlsym(RTLD_DEFAULT, "strerror");
	char kept[64];
	int error;
	CHECK_STR(strerror(B_OK), "No Error");
	CHECK_STR(strerror(B_ERROR), "General system error");
	CHECK_STR(strerror(B_NO_MEMORY), "Out of memory");
	CHECK_STR(strerror(B_BAD_VALUE), "Invalid Argument");
	CHECK_STR(strerror(B_NAME_NOT_FOUND), "Name not found");
	CHECK_STR(strerror(B_TIMED_OUT), "Operation timed out");
	CHECK_STR(strerror(B_NOT_ALLOWED), "Operation not allowed");
	CHECK_STR(strerror(B_BAD_TEAM_ID), "Operation on invalid team");
	CHECK_STR(strerror(B_BAD_ADDRESS), "Bad address");
	CHECK_STR(strerror(B_ENTRY_NOT_FOUND), "No such file or directory");
	/* As a program has them. */
	CHECK_STR(strerror(find_area("no such area")), "Name not found");
	CHECK_STR(strerror(delete_area(-1)), "Invalid Argument");
	CHECK(c_librarys != NULL && c_librarys != strerror);
	for (error = 1; error < 200; error++) {
		snprintf(kept, sizeof kept, "%s", c_librarys(error));
		CHECK_STR(strerror(error), kept);
	}
	CHECK_STR(strerror(INT32_MIN + 0x7fff), "Unknown Error (-2147450881)");
	CHECK_STR(strerror(-2), "Unknown Error (-2)");
	/* Ours knows what the C library's does not. */
	CHECK(strcmp(c_librarys(B_BAD_VALUE), strerror(B_BAD_VALUE)) != 0);
}

/* Since the machine booted, and never back. */
static void times(void)
{
	FILE *file = fopen("/proc/uptime", "re");
	double up = 0;
	bigtime_t now, later, before = system_time();
	team_info team;
	CHECK(file != NULL && fscanf(file, "%lf", &up) == 1);
	fclose(file);
	now = system_time();
	/* /proc/uptime has hundredths of a second. */
	CHECK((double)before / 1e6 < up + 0.02 && up - 0.02 < (double)now / 1e6);
	CHECK_EQ(snooze(20000), B_OK);
	later = system_time();
	CHECK(later - now >= 20000);
	CHECK_EQ(get_team_info(B_CURRENT_TEAM, &team), B_OK);
	/* In the same count: in clock ticks, of which there are a hundred a second. */
	CHECK(team.start_time > 0 && team.start_time <= before + 10000);
}

/* As programs that were compiled elsewhere have them, in files and messages. */
static void numbers(void)
{
	CHECK_EQ(B_TIMEOUT, 8);
	CHECK_EQ(B_RELATIVE_TIMEOUT, 8);
	CHECK_EQ(B_ABSOLUTE_TIMEOUT, 16);
	CHECK_EQ(B_ABSOLUTE_REAL_TIME_TIMEOUT, 80);
	CHECK_EQ(B_INFINITE_TIMEOUT, INT64_MAX);
	CHECK_EQ(B_LOW_PRIORITY, 5);
	CHECK_EQ(B_NORMAL_PRIORITY, 10);
	CHECK_EQ(B_URGENT_DISPLAY_PRIORITY, 20);
	CHECK_EQ(B_REAL_TIME_PRIORITY, 120);
	CHECK_EQ(B_STACK_AREA, 8);
	CHECK_EQ(B_OVERCOMMITTING_AREA, 0x1000);
	CHECK_EQ((uint32)B_BUFFER_OVERFLOW, 0x80007029u);
	CHECK_EQ((uint32)B_NOT_SUPPORTED, 0x8000702bu);
	CHECK_EQ((uint32)B_UNSUPPORTED, 0x8000600eu);
	CHECK_EQ((uint32)B_ERRORS_END, 0x8000ffffu);
	CHECK_EQ(B_READ_WRITE, O_RDWR);
}

/* What is given is what was there before. */
static void values(void)
{
	int32 word = 5;
	int64 wide = 5;
	vint32 volatile_word = 1;
	CHECK_EQ(atomic_add(&word, 3), 5);
	CHECK_EQ(atomic_and(&word, 12), 8);
	CHECK_EQ(atomic_or(&word, 1), 8);
	CHECK_EQ(atomic_get(&word), 9);
	CHECK_EQ(atomic_test_and_set(&word, 1, 8), 9);
	CHECK_EQ(word, 9);
	CHECK_EQ(atomic_test_and_set(&word, 1, 9), 9);
	CHECK_EQ(atomic_get_and_set(&word, INT32_MIN), 1);
	/* It wraps. */
	CHECK_EQ(atomic_add(&word, -1), INT32_MIN);
	CHECK_EQ(word, INT32_MAX);
	atomic_set(&word, 7);
	CHECK_EQ(word, 7);
	CHECK_EQ(atomic_add(&volatile_word, 1), 1);
	CHECK_EQ(atomic_add64(&wide, (int64)1 << 40), 5);
	CHECK_EQ(atomic_and64(&wide, ~(int64)1), ((int64)1 << 40) + 5);
	CHECK_EQ(atomic_or64(&wide, 3), ((int64)1 << 40) + 4);
	CHECK_EQ(atomic_get64(&wide), ((int64)1 << 40) + 7);
	CHECK_EQ(atomic_test_and_set64(&wide, 1, 2), ((int64)1 << 40) + 7);
	CHECK_EQ(atomic_test_and_set64(&wide, 1, ((int64)1 << 40) + 7), ((int64)1 << 40) + 7);
	CHECK_EQ(atomic_get_and_set64(&wide, -9), 1);
	atomic_set64(&wide, INT64_MIN);
	CHECK_EQ(wide, INT64_MIN);
}

/* Two teams count in one area: none of it is lost. A lock of words, as programs make them. */
static void two_teams(void)
{
	struct {
		int32 count, lock, guarded;
		int64 wide;
	} *shared;
	int round;
	area_id id = create_area("words", (void **)&shared, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW | B_OVERCOMMITTING_AREA);
	pid_t child;
	CHECK(id > 0);
	child = check_fork();
	for (round = 0; round < ROUNDS; round++) {
		atomic_add(&shared->count, 1);
		atomic_add64(&shared->wide, (int64)1 << 32);
		while (atomic_test_and_set(&shared->lock, 1, 0) != 0)
			sched_yield();
		shared->guarded = shared->guarded + 1;
		atomic_set(&shared->lock, 0);
	}
	if (child == 0)
		_exit(0);
	check_child(child, 0);
	CHECK_EQ(atomic_get(&shared->count), 2 * ROUNDS);
	CHECK_EQ(atomic_get64(&shared->wide), (int64)2 * ROUNDS << 32);
	CHECK_EQ(shared->guarded, 2 * ROUNDS);
	CHECK_EQ(delete_area(id), B_OK);
}

/* It may promise more than there is: so may all that is not locked. It is accepted when an area is
 * made or cloned, and not reported. */
static void overcommitting(void)
{
	void *address, *other;
	area_info info;
	area_id clone, id = create_area("promised", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW | B_OVERCOMMITTING_AREA);
	CHECK(id > 0);
	clone = clone_area("too", &other, B_ANY_ADDRESS, B_READ_AREA | B_OVERCOMMITTING_AREA, id);
	CHECK(clone > 0);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.protection, RW);
	CHECK_EQ(set_area_protection(id, RW | B_OVERCOMMITTING_AREA), B_BAD_VALUE);
	CHECK_STR(check_maps(address), "rw-s");
	CHECK_STR(check_maps(other), "r--s");
	CHECK_EQ(delete_area(clone), B_OK);
	CHECK_EQ(delete_area(id), B_OK);
}

static volatile sig_atomic_t trapped;

static void trap(int signal)
{
	trapped = signal;
}

/* A message, and SIGTRAP: it ends who does nothing about it. */
static void calls_for_the_debugger(void)
{
	static const char expected[] = "debugger: look here\n";
	int said[2];
	char text[64];
	ssize_t length = 0, got;
	pid_t child;
	CHECK_EQ(pipe(said), 0);
	child = check_fork();
	if (child == 0) {
		dup2(said[1], 2);
		close(said[1]);
		prctl(PR_SET_DUMPABLE, 0);
		debugger("look here");
		_exit(0);
	}
	close(said[1]);
	while ((got = read(said[0], text + length, sizeof text - 1 - (size_t)length)) > 0)
		length += got;
	text[length] = '\0';
	close(said[0]);
	check_killed(child, SIGTRAP);
	CHECK_STR(text, expected);
	/* A program that handles the signal goes on; NULL says nothing. */
	child = check_fork();
	if (child == 0) {
		close(2);
		signal(SIGTRAP, trap);
		debugger(NULL);
		_exit(trapped == SIGTRAP ? 0 : 1);
	}
	check_child(child, 0);
}

int main(void)
{
	words();
	times();
	numbers();
	values();
	two_teams();
	overcommitting();
	calls_for_the_debugger();
	return 0;
}
