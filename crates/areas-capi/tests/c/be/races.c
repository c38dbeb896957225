/*
 * Several threads at one id: each call does what it says or fails as it is said to; nothing is
 * lost, and nothing happens twice.
 */
#include <OS.h>

#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
/* B_BAD_VALUE: another thread was quicker, and it is deleted. */
#define DONE_OR_GONE(status) \
	do { \
		status_t found = (status); \
		if (found != B_OK && found != B_BAD_VALUE) \
			check_failed(__FILE__, __LINE__, "%s is %#x: %s", #status, (unsigned)found, areas_error_text()); \
	} while (0)
#define THREADS 4
#define ROUNDS 100

/* Of areas.h: the words behind an error. */
const char *areas_error_text(void);

static _Atomic area_id shared;
static atomic_int deleted, arrived;

/* Until all threads are here. */
static void meet(int round)
{
	atomic_fetch_add(&arrived, 1);
	while (atomic_load(&arrived) < THREADS * (round + 1))
		sched_yield();
}

static void *works(void *number)
{
	const int who = (int)(intptr_t)number;
	int round, at;
	for (round = 0; round < ROUNDS; round++) {
		area_id id;
		if (who == 0) {
			void *address;
			CHECK(atomic_load(&shared) == 0 || atomic_load(&deleted) == round);
			id = create_area("raced", &address, B_ANY_ADDRESS, 2 * PAGE, B_NO_LOCK, RW);
			CHECK(id > 0);
			atomic_store(&shared, id);
		}
		meet(2 * round);
		id = atomic_load(&shared);
		for (at = 0; at < 4; at++) {
			area_info info;
			void *address;
			area_id clone;
			status_t status = get_area_info(id, &info);
			CHECK(status == B_BAD_VALUE || (status == B_OK && info.area == id && info.size % PAGE == 0 && info.size > 0));
			clone = clone_area("clone", &address, B_ANY_ADDRESS, B_READ_AREA, id);
			CHECK(clone > 0 || clone == B_BAD_VALUE);
			DONE_OR_GONE(resize_area(id, (size_t)(1 + (who + at) % 4) * PAGE));
			DONE_OR_GONE(set_area_protection(id, at % 2 == 0 ? RW : B_READ_AREA));
			if (clone > 0) {
				CHECK_EQ(area_for(address), clone);
				CHECK_EQ(delete_area(clone), B_OK);
			}
			if (at == who) {
				status = delete_area(id);
				DONE_OR_GONE(status);
				if (status == B_OK)
					atomic_fetch_add(&deleted, 1);
			}
		}
		meet(2 * round + 1);
		/* It was deleted by one of them. */
		CHECK_EQ(atomic_load(&deleted), round + 1);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	area_info info;
	ssize_t cookie = 0;
	intptr_t i;
	for (i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, works, (void *)i), 0);
	for (i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(get_next_area_info(B_CURRENT_TEAM, &cookie, &info), B_ENTRY_NOT_FOUND);
	CHECK_EQ(find_area("raced"), B_NAME_NOT_FOUND);
	CHECK_EQ(find_area("clone"), B_NAME_NOT_FOUND);
	return 0;
}
