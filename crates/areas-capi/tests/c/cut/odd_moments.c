/*
 * Memory of areas is unmapped at odd moments: in a signal handler that interrupts calls of the
 * library, inside of malloc in the middle of such a call, by a thread that is to be cancelled, and
 * in a destructor at a thread's end. Nothing hangs; what is gone is reported as gone by the next
 * call. And what is no area's is unmapped with one system call, and no more.
 *
 * Not under valgrind: it has no timer that interrupts, and a malloc of its own.
 */
#include <OS.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "check.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define PAGES 256

static area_id made(char **at, size_t pages)
{
	void *address = NULL;
	area_id area = create_area("odd", &address, B_ANY_ADDRESS, pages * PAGE, B_NO_LOCK, RW);
	CHECK(area > 0);
	*at = address;
	return area;
}

/* An area is so many bytes long, and what was behind them is none. */
static void is_cut_to(area_id area, char *at, size_t size, size_t before)
{
	area_info info;
	CHECK_EQ(get_area_info(area, &info), B_OK);
	CHECK_EQ((uintptr_t)info.address, (uintptr_t)at);
	CHECK_EQ(info.size, size);
	CHECK_EQ(area_for(at + size - 1), area);
	for (; size < before; size += PAGE)
		CHECK_EQ(area_for(at + size), B_ERROR);
}

/* --- In a signal handler --- */

static char *shrinking;
static volatile sig_atomic_t pages_left;

static void cut_a_page(int signal)
{
	int before = errno;
	(void)signal;
	if (pages_left > 1) {
		pages_left--;
		if (munmap(shrinking + (size_t)pages_left * PAGE, PAGE) != 0)
			_exit(5);
	}
	errno = before;
}

static void in_handlers(void)
{
	struct itimerval often = { { 0, 700 }, { 0, 700 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action;
	area_id area, other;
	char *at;
	long calls = 0;
	area = made(&shrinking, PAGES);
	pages_left = PAGES;
	memset(&action, 0, sizeof action);
	action.sa_handler = cut_a_page;
	action.sa_flags = SA_RESTART;
	CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
	CHECK_EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
	while (pages_left > 1) {
		area_info info;
		calls++;
		other = made(&at, 4);
		*at = 1;
		CHECK_EQ(get_area_info(area, &info), B_OK);
		CHECK_EQ(resize_area(other, 8 * PAGE), B_OK);
		CHECK_EQ(delete_area(other), B_OK);
		CHECK_EQ(find_area("absent"), B_NAME_NOT_FOUND);
	}
	CHECK_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
	CHECK(calls > 0);
	is_cut_to(area, shrinking, PAGE, PAGES * PAGE);
	CHECK_EQ(delete_area(area), B_OK);
}

/* --- Inside of malloc --- */

static __thread char *to_be_cut;
static unsigned long cut_in_malloc, unmapped_in_malloc;

#ifndef __SANITIZE_ADDRESS__
extern void *__libc_malloc(size_t size);

/* As an allocator that gives memory back whenever it is called. */
void *malloc(size_t size)
{
	char *cut = to_be_cut;
	void *other = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (other != MAP_FAILED && munmap(other, PAGE) == 0)
		__atomic_fetch_add(&unmapped_in_malloc, 1, __ATOMIC_RELAXED);
	if (cut != NULL) {
		to_be_cut = NULL;
		if (munmap(cut, PAGE) != 0)
			_exit(6);
		cut_in_malloc++;
	}
	return __libc_malloc(size);
}
#endif

static void in_malloc(void)
{
	area_id area, other;
	char *at, *other_at;
	size_t left;
#ifdef __SANITIZE_ADDRESS__
	/* The sanitizer's malloc is its own. */
	return;
#endif
	area = made(&at, PAGES);
	for (left = PAGES; left > PAGES - 20; left--) {
		to_be_cut = at + (left - 1) * PAGE;
		/* They allocate something at some point. */
		other = made(&other_at, 4);
		CHECK_EQ(delete_area(other), B_OK);
		if (to_be_cut != NULL)
			find_area("a name that is not there, which is an error with words");
		CHECK(to_be_cut == NULL);
		is_cut_to(area, at, (left - 1) * PAGE, PAGES * PAGE);
	}
	CHECK_EQ(cut_in_malloc, 20);
	CHECK(unmapped_in_malloc > 20);
	CHECK_EQ(delete_area(area), B_OK);
}

/* --- In threads that end --- */

static void *cancelled(void *argument)
{
	char *at = argument;
	pthread_cancel(pthread_self());
	/* No cancellation point, as it is none without the interposer. */
	if (munmap(at + PAGE, PAGE) != 0 || area_for(at + PAGE) != B_ERROR)
		return NULL;
	pthread_testcancel();
	return NULL;
}

static pthread_key_t key;

static void at_the_end(void *argument)
{
	if (munmap((char *)argument + 2 * PAGE, PAGE) != 0)
		_exit(7);
}

static void *ends(void *argument)
{
	CHECK_EQ(pthread_setspecific(key, argument), 0);
	return NULL;
}

static void in_threads(void)
{
	pthread_t thread;
	void *result;
	area_id area, second, third;
	char *at;
	area = made(&at, 8);
	CHECK_EQ(pthread_create(&thread, NULL, cancelled, at), 0);
	CHECK_EQ(pthread_join(thread, &result), 0);
	CHECK(result == PTHREAD_CANCELED);
	is_cut_to(area, at, PAGE, 2 * PAGE);
	second = area_for(at + 2 * PAGE);
	CHECK_EQ(pthread_key_create(&key, at_the_end), 0);
	CHECK_EQ(pthread_create(&thread, NULL, ends, at), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(area_for(at + 2 * PAGE), B_ERROR);
	third = area_for(at + 3 * PAGE);
	CHECK(second > 0 && third == second);
	CHECK_EQ(delete_area(area), B_OK);
	CHECK_EQ(delete_area(third), B_OK);
	CHECK_STR(check_maps(at), "");
	CHECK_STR(check_maps(at + 7 * PAGE), "");
}

/* --- What it costs --- */

#define ALLOW(number) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* With areas, and a filter that kills whoever makes another call than those two: in a child that
 * has made a call of the library, and in one that has not, and so has not said yet which areas it
 * has. */
static void one_call(int knows)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_munmap),
		ALLOW(SYS_mmap),
		ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
	char *at;
	area_id area = made(&at, 8);
	pid_t child = check_fork();
	if (child == 0) {
		int i;
		/* Of this process's own. */
		if (knows)
			CHECK(area_for(at) > 0);
		CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
			_exit(77);
		for (i = 0; i < 100; i++) {
			char *other = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (other == MAP_FAILED
				|| mmap(other, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != other
				|| munmap(other, 4 * PAGE) != 0)
				syscall(SYS_exit_group, 8);
		}
		syscall(SYS_exit_group, 0);
	}
	check_child(child, 0);
	CHECK_EQ(delete_area(area), B_OK);
}

int main(void)
{
	in_handlers();
	in_malloc();
	in_threads();
	one_call(1);
	one_call(0);
	return 0;
}
