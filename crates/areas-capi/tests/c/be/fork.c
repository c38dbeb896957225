/*
 * fork: the child holds every area, shared, at the same address, under a new id; what it does with
 * them does not touch its parent. Also while other threads make areas and reserve addresses. exec:
 * all ids of the team die.
 */
#include <OS.h>
#include <syscalls.h>

#include "check.h"

#include <pthread.h>
#include <stdatomic.h>

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)

static void shared(void)
{
	char *address;
	area_info info;
	status_t value;
	area_id id = create_area("forked", (void **)&address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	pid_t child;
	CHECK(id > 0);
	strcpy(address, "from the parent");
	child = check_fork();
	if (child == 0) {
		area_id mine = area_for(address);
		CHECK(mine > 0);
		CHECK(mine != id);
		CHECK_EQ(get_area_info(mine, &info), B_OK);
		CHECK_STR(info.name, "forked");
		CHECK_EQ(info.team, getpid());
		CHECK(info.address == address);
		CHECK_STR(address, "from the parent");
		strcpy(address, "from the child");
		/* The parent's id is another team's here. */
		CHECK_EQ(delete_area(id), B_NOT_ALLOWED);
		CHECK_EQ(resize_area(mine, 2 * PAGE), B_OK);
		address[PAGE] = 'c';
		CHECK_EQ(set_area_protection(mine, B_READ_AREA), B_OK);
		CHECK_EQ(delete_area(mine), B_OK);
		CHECK_EQ(area_for(address), B_ERROR);
		_exit(7);
	}
	CHECK_EQ(wait_for_thread(child, &value), B_OK);
	CHECK_EQ(value, 7);
	CHECK_STR(address, "from the child");
	CHECK_EQ(area_for(address), id);
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.size, 2 * PAGE);
	CHECK_EQ(address[PAGE], 'c');
	address[0] = 'F';
	CHECK_EQ(delete_area(id), B_OK);
}

static atomic_bool stop;

static void *busy(void *unused)
{
	(void)unused;
	while (!atomic_load(&stop)) {
		void *address;
		area_id id = create_area("busy", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
		CHECK(id > 0);
		CHECK_EQ(resize_area(id, 2 * PAGE), B_OK);
		CHECK_EQ(delete_area(id), B_OK);
	}
	return NULL;
}

/* Reserves addresses, puts an area into them, gives both back. */
static void reserve(void)
{
	addr_t start = 0;
	void *address;
	area_id id;
	CHECK_EQ(_kern_reserve_address_range(&start, B_ANY_ADDRESS, 16 * PAGE), B_OK);
	address = (void *)(start + 4 * PAGE);
	id = create_area("inside", &address, B_EXACT_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(id > 0);
	CHECK_EQ(delete_area(id), B_OK);
	CHECK_EQ(_kern_unreserve_address_range(start, 16 * PAGE), B_OK);
}

static void *reserves(void *unused)
{
	(void)unused;
	while (!atomic_load(&stop))
		reserve();
	return NULL;
}

static void while_others_work(void)
{
	pthread_t threads[3];
	int i;
	for (i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, i < 2 ? busy : reserves, NULL), 0);
	for (i = 0; i < 20; i++) {
		pid_t child = check_fork();
		if (child == 0) {
			/* Everything inherited is whole: each can be deleted. */
			area_info info;
			ssize_t cookie = 0;
			void *address;
			alarm(60);
			while (get_next_area_info(B_CURRENT_TEAM, &cookie, &info) == B_OK)
				CHECK_EQ(delete_area(info.area), B_OK);
			reserve();
			CHECK(create_area("child's", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW) > 0);
			_exit(0);
		}
		check_child(child, 0);
	}
	atomic_store(&stop, true);
	for (i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

static void exec_ends_it(void)
{
	int ready[2], go[2];
	pid_t child;
	area_id id;
	area_info info;
	CHECK(pipe(ready) == 0 && pipe(go) == 0);
	child = check_fork();
	if (child == 0) {
		void *address;
		CHECK(create_area("before exec", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW) > 0);
		check_send(ready[1], 'r');
		check_hear(go[0]);
		fcntl(ready[1], F_SETFD, FD_CLOEXEC);
		execl("/bin/sleep", "sleep", "600", (char *)NULL);
		_exit(1);
	}
	CHECK_EQ(check_hear(ready[0]), 'r');
	id = find_area("before exec");
	CHECK(id > 0);
	close(ready[1]);
	check_send(go[1], 'g');
	/* The end of the pipe: exec has closed it. */
	{
		char end;
		CHECK_EQ(read(ready[0], &end, 1), 0);
	}
	CHECK_EQ(get_area_info(id, &info), B_BAD_VALUE);
	CHECK_EQ(find_area("before exec"), B_NAME_NOT_FOUND);
	CHECK_EQ(kill(child, SIGKILL), 0);
	check_killed(child, SIGKILL);
}

int main(void)
{
	shared();
	exec_ends_it();
	while_others_work();
	return 0;
}
