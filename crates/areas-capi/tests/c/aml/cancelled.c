/*
 * Threads that are cancelled while they allocate: each ends behind the call, never inside. The
 * area's own functions are full of cancellation points, and what the allocator holds is held by no
 * process afterwards.
 */
#include <aml.h>
#include <aml/area/linux.h>
#include <aml/higher/allocator/area.h>
#include <aml/higher/allocator/buddy.h>
#include <aml/higher/allocator/sized.h>

#include "check.h"

#define SIZE ((size_t)1 << 16)

/* How many calls of the area's functions began, and ended. */
static int begun, ended;

static void *slow_mmap(const struct aml_area_data *data, size_t size, struct aml_area_mmap_options *opts)
{
	void *ptr;

	__atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST);
	/* Sleeping is a cancellation point, and so is this. */
	usleep(2000);
	pthread_testcancel();
	ptr = aml_area_linux_mmap(data, size, opts);
	__atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
	return ptr;
}

static int slow_munmap(const struct aml_area_data *data, void *ptr, size_t size)
{
	int status;

	__atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST);
	pthread_testcancel();
	status = aml_area_linux_munmap(data, ptr, size);
	__atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
	return status;
}

static struct aml_area_ops slow_ops = { slow_mmap, slow_munmap, NULL };
static struct aml_area slow = { &slow_ops, NULL };

struct work {
	struct aml_allocator *allocator;
	/* What came back, if the thread came so far as to say so. */
	void *ptr;
	int calls;
};

static void *allocates(void *argument)
{
	struct work *work = (struct work *)argument;
	int before;

	CHECK_EQ(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before), 0);
	CHECK_EQ(before, PTHREAD_CANCEL_ENABLE);
	work->ptr = aml_alloc(work->allocator, SIZE);
	work->calls++;
	/* Cancellation is as it was. */
	CHECK_EQ(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before), 0);
	CHECK_EQ(before, PTHREAD_CANCEL_ENABLE);
	for (;;)
		pause();
	return NULL;
}

static void each_thread_ends_behind_the_call(struct aml_allocator *allocator)
{
	for (int round = 0; round < 20; round++) {
		struct work work = { allocator, NULL, 0 };
		pthread_t thread;
		void *result = NULL;

		CHECK_EQ(pthread_create(&thread, NULL, allocates, &work), 0);
		usleep((unsigned)round * 150);
		CHECK_EQ(pthread_cancel(thread), 0);
		CHECK_EQ(pthread_join(thread, &result), 0);
		CHECK(result == PTHREAD_CANCELED);
		CHECK_EQ(begun, ended);
		/* Nothing is held: it goes on here. */
		if (work.calls > 0) {
			CHECK(work.ptr != NULL);
			memset(work.ptr, 1, SIZE);
			CHECK_EQ(aml_free(allocator, work.ptr), AML_SUCCESS);
		}
		work.ptr = aml_alloc(allocator, SIZE);
		CHECK(work.ptr != NULL);
		CHECK_EQ(aml_free(allocator, work.ptr), AML_SUCCESS);
	}
}

int main(void)
{
	struct aml_allocator *allocator;

	for (int round = 0; round < 5; round++) {
		/* A new one has no pool yet: its first allocation maps. */
		CHECK_EQ(aml_allocator_buddy_create(&allocator, &slow, NULL), AML_SUCCESS);
		each_thread_ends_behind_the_call(allocator);
		CHECK_EQ(aml_allocator_buddy_destroy(&allocator), AML_SUCCESS);
		CHECK_EQ(aml_allocator_sized_create(&allocator, SIZE, &slow, NULL), AML_SUCCESS);
		each_thread_ends_behind_the_call(allocator);
		CHECK_EQ(aml_allocator_sized_destroy(&allocator), AML_SUCCESS);
	}
	CHECK_EQ(aml_allocator_area_create(&allocator, &slow, NULL), AML_SUCCESS);
	each_thread_ends_behind_the_call(allocator);
	CHECK_EQ(aml_allocator_area_destroy(&allocator), AML_SUCCESS);
	return 0;
}
