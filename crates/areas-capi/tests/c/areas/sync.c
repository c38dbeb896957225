/*
 * Mutexes, events and sequence locks of areas.h: among threads and processes that end, are killed,
 * forked and cancelled.
 *
 * Not under valgrind: it does not know pidfd_getfd.
 */
#include <areas.h>
#include <pthread.h>

#include "check.h"

#define MUTEX ((size_t)0)
#define EVENT ((size_t)64)
#define LOCK ((size_t)128)
#define COUNT ((size_t)1024)
#define LONG_MS 30000

#define OK(call) \
	do { \
		if ((call) != 0) \
			check_failed(__FILE__, __LINE__, "%s: %s", #call, areas_error_help()); \
	} while (0)

static areas_area *area;

static areas_area *made(uint32_t kind, const char *name)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *fresh;
	wanted.size = 4096;
	wanted.kind = kind;
	wanted.name = name;
	wanted.max = kind == AREAS_RESIZABLE || kind == AREAS_GROWABLE ? 16384 : 0;
	fresh = areas_create(&wanted);
	if (fresh == NULL)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	return fresh;
}

static volatile uint64_t *word(size_t offset)
{
	return (volatile uint64_t *)(void *)((char *)areas_address(area) + offset);
}

static void *counts(void *nothing)
{
	int i;
	for (i = 0; i < 2000; i++) {
		OK(areas_mutex_lock(area, MUTEX, LONG_MS));
		(*word(COUNT))++;
		OK(areas_mutex_unlock(area, MUTEX));
	}
	return nothing;
}

static void one_at_a_time(void)
{
	pthread_t threads[4];
	size_t i;
	for (i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, counts, NULL), 0);
	for (i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(*word(COUNT), 8000);
	CHECK_EQ(areas_mutex_owner(area, MUTEX), AREAS_OWNER_NONE);
}

static void whose(void)
{
	pid_t child;
	OK(areas_mutex_lock(area, MUTEX, 0));
	CHECK_EQ(areas_mutex_owner(area, MUTEX), AREAS_OWNER_THIS_THREAD);
	CHECK_EQ(areas_mutex_lock(area, MUTEX, -1), AREAS_ERROR_BUSY);
	child = check_fork();
	if (child == 0) {
		CHECK_EQ(areas_mutex_owner(area, MUTEX), AREAS_OWNER_LIVING);
		CHECK_EQ(areas_mutex_unlock(area, MUTEX), AREAS_ERROR_NOT_PERMITTED);
		CHECK_EQ(areas_mutex_lock(area, MUTEX, 0), AREAS_ERROR_TIMED_OUT);
		CHECK_EQ(areas_mutex_lock(area, MUTEX, 50), AREAS_ERROR_TIMED_OUT);
		CHECK(strstr(areas_error_text(), "within 50ms") != NULL);
		_exit(0);
	}
	check_child(child, 0);
	OK(areas_mutex_unlock(area, MUTEX));
	CHECK_EQ(areas_mutex_unlock(area, MUTEX), AREAS_ERROR_NOT_PERMITTED);
	CHECK_EQ(areas_mutex_consistent(area, MUTEX), AREAS_ERROR_NOT_PERMITTED);
}

static void a_child_that_is_killed(void)
{
	uint32_t count = 0;
	pid_t child = check_fork();
	if (child == 0) {
		OK(areas_mutex_lock(area, MUTEX, LONG_MS));
		OK(areas_event_signal(area, EVENT));
		for (;;)
			pause();
	}
	OK(areas_event_wait(area, EVENT, 0, LONG_MS, &count));
	CHECK_EQ(count, 1);
	CHECK_EQ(areas_mutex_owner(area, MUTEX), AREAS_OWNER_LIVING);
	CHECK_EQ(kill(child, SIGKILL), 0);
	/* Reported while it dies, or behind it; and until it is said to be consistent. */
	CHECK_EQ(areas_mutex_lock(area, MUTEX, LONG_MS), AREAS_MUTEX_OWNER_DIED);
	check_killed(child, SIGKILL);
	OK(areas_mutex_unlock(area, MUTEX));
	CHECK_EQ(areas_mutex_lock(area, MUTEX, 0), AREAS_MUTEX_OWNER_DIED);
	OK(areas_mutex_consistent(area, MUTEX));
	OK(areas_mutex_unlock(area, MUTEX));
	OK(areas_mutex_lock(area, MUTEX, 0));
	OK(areas_mutex_unlock(area, MUTEX));
}

static void *ends_with_it(void *nothing)
{
	OK(areas_mutex_lock(area, MUTEX, LONG_MS));
	pthread_exit(nothing);
}

static void *waits_for_it(void *nothing)
{
	areas_mutex_lock(area, MUTEX, -1);
	return nothing;
}

static void *waits_for_ever(void *nothing)
{
	uint32_t count;
	areas_event_wait(area, EVENT, 1, -1, &count);
	return nothing;
}

static void threads_that_end_or_are_cancelled(void)
{
	pthread_t thread;
	void *result;
	CHECK_EQ(pthread_create(&thread, NULL, ends_with_it, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(areas_mutex_owner(area, MUTEX), AREAS_OWNER_DEAD);
	CHECK_EQ(areas_mutex_lock(area, MUTEX, 0), AREAS_MUTEX_OWNER_DIED);
	OK(areas_mutex_consistent(area, MUTEX));
	/* It is ours: who waits is cancelled, and has nothing. */
	CHECK_EQ(pthread_create(&thread, NULL, waits_for_it, NULL), 0);
	usleep(20000);
	CHECK_EQ(pthread_cancel(thread), 0);
	CHECK_EQ(pthread_join(thread, &result), 0);
	CHECK(result == PTHREAD_CANCELED);
	OK(areas_mutex_unlock(area, MUTEX));
	CHECK_EQ(pthread_create(&thread, NULL, waits_for_ever, NULL), 0);
	usleep(20000);
	CHECK_EQ(pthread_cancel(thread), 0);
	CHECK_EQ(pthread_join(thread, &result), 0);
	CHECK(result == PTHREAD_CANCELED);
	OK(areas_mutex_lock(area, MUTEX, 0));
	OK(areas_mutex_unlock(area, MUTEX));
}

static void events(void)
{
	areas_area *resizable = made(AREAS_RESIZABLE, NULL);
	uint32_t count = 0;
	OK(areas_event_count(area, EVENT, &count));
	CHECK_EQ(count, 1);
	CHECK_EQ(areas_event_wait(area, EVENT, 1, 50, &count), AREAS_ERROR_TIMED_OUT);
	CHECK_EQ(areas_event_wait(area, EVENT, 1, 0, &count), AREAS_ERROR_TIMED_OUT);
	OK(areas_event_signal(area, EVENT));
	OK(areas_event_wait(area, EVENT, 1, 0, &count));
	CHECK_EQ(count, 2);
	/* In what may shrink. */
	OK(areas_resize(resizable, 8192));
	OK(areas_event_signal(resizable, 4096));
	OK(areas_event_wait(resizable, 4096, 0, 0, &count));
	CHECK_EQ(count, 1);
	OK(areas_resize(resizable, 4096));
	CHECK_EQ(areas_event_signal(resizable, 4096), AREAS_ERROR_OUT_OF_RANGE);
	CHECK_EQ(areas_event_wait(resizable, 4096, 1, 1000, &count), AREAS_ERROR_OUT_OF_RANGE);
	CHECK_EQ(areas_mutex_lock(resizable, 0, 0), AREAS_ERROR_UNSUPPORTED);
	areas_release(resizable);
}

static void sequence_locks(void)
{
	char bytes[100], found[100];
	uint64_t version = 7;
	areas_writer *writer = areas_seqlock_writer(area, LOCK, sizeof bytes), *other;
	pid_t child;
	CHECK(writer != NULL);
	CHECK_EQ(areas_seqlock_interrupted(writer), 0);
	CHECK(areas_seqlock_writer(area, LOCK, sizeof bytes) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_BUSY);
	OK(areas_seqlock_read(area, LOCK, found, sizeof found, &version));
	CHECK_EQ(version, 0);
	memset(bytes, 'x', sizeof bytes);
	OK(areas_seqlock_write(writer, bytes, sizeof bytes));
	OK(areas_seqlock_read(area, LOCK, found, sizeof found, &version));
	CHECK_EQ(version, 1);
	CHECK_EQ(memcmp(found, bytes, sizeof bytes), 0);
	CHECK_EQ(areas_seqlock_write(writer, bytes, 99), AREAS_ERROR_INVALID_INPUT);
	child = check_fork();
	if (child == 0) {
		CHECK_EQ(areas_seqlock_write(writer, bytes, sizeof bytes), AREAS_ERROR_NOT_PERMITTED);
		areas_seqlock_end(writer);
		CHECK(areas_seqlock_writer(area, LOCK, sizeof bytes) == NULL);
		_exit(0);
	}
	check_child(child, 0);
	areas_seqlock_end(writer);
	areas_seqlock_end(NULL);
	/* A writer that died in the middle: its count is odd. */
	*word(LOCK) = 3;
	CHECK_EQ(areas_seqlock_read(area, LOCK, found, sizeof found, NULL), AREAS_ERROR_OWNER_DIED);
	other = areas_seqlock_writer(area, LOCK, sizeof bytes);
	CHECK(other != NULL);
	CHECK_EQ(areas_seqlock_interrupted(other), 1);
	OK(areas_seqlock_write(other, bytes, sizeof bytes));
	CHECK_EQ(areas_seqlock_interrupted(other), 0);
	OK(areas_seqlock_read(area, LOCK, found, sizeof found, &version));
	CHECK_EQ(version, 2);
	areas_seqlock_end(other);
}

static void refusals(void)
{
	areas_area *private = made(AREAS_PRIVATE, NULL), *frozen = made(AREAS_SHARED, NULL);
	areas_cloning wanted = AREAS_CLONING;
	areas_area *reader;
	uint32_t count;
	char bytes[8];
	CHECK_EQ(areas_mutex_lock(NULL, 0, 0), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_mutex_lock(area, 4, 0), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_mutex_lock(area, 4096, 0), AREAS_ERROR_OUT_OF_RANGE);
	CHECK_EQ(areas_mutex_lock(area, SIZE_MAX - 7, 0), AREAS_ERROR_OUT_OF_RANGE);
	*word(MUTEX) = 12;
	CHECK_EQ(areas_mutex_lock(area, MUTEX, -1), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_mutex_owner(area, MUTEX), AREAS_ERROR_INVALID_INPUT);
	*word(MUTEX) = 0;
	CHECK_EQ(areas_event_signal(area, 2), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_event_wait(area, EVENT, 9, 0, NULL), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_event_count(area, EVENT, NULL), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_seqlock_read(area, LOCK, NULL, 8, NULL), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_seqlock_read(area, LOCK, bytes, SIZE_MAX, NULL), AREAS_ERROR_OUT_OF_RANGE);
	CHECK_EQ(areas_seqlock_write(NULL, bytes, 8), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_seqlock_interrupted(NULL), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_mutex_lock(private, 0, 0), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(areas_event_signal(private, 0), AREAS_ERROR_UNSUPPORTED);
	OK(areas_freeze(frozen, AREAS_DEFAULT_TIMEOUT));
	CHECK_EQ(areas_mutex_lock(frozen, 0, 0), AREAS_ERROR_FROZEN);
	CHECK_EQ(areas_event_wait(frozen, 0, 0, -1, &count), AREAS_ERROR_FROZEN);
	wanted.protection = AREAS_READ;
	reader = areas_clone_named("synchronised", &wanted);
	CHECK(reader != NULL);
	CHECK_EQ(areas_mutex_lock(reader, MUTEX, 0), AREAS_ERROR_READ_ONLY);
	CHECK_EQ(areas_event_signal(reader, EVENT), AREAS_ERROR_READ_ONLY);
	OK(areas_event_wait(reader, EVENT, 77, 0, &count));
	areas_release(reader);
	areas_release(private);
	areas_release(frozen);
}

int main(void)
{
	area = made(AREAS_SHARED, "synchronised");
	one_at_a_time();
	whose();
	a_child_that_is_killed();
	threads_that_end_or_are_cancelled();
	events();
	sequence_locks();
	refusals();
	areas_release(area);
	return 0;
}
