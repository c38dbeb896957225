/*
 * fork while others allocate: the child finds every allocator whole, and one that it can use. Also
 * where one allocator stands on another one, where the program's own handlers around fork allocate
 * or fork, and where an area's mmap forks.
 *
 * Not under valgrind: it has one thread running at a time, and this looks for what only several do.
 */
#include <aml.h>
#include <aml/area/linux.h>
#include <aml/higher/allocator.h>
#include <aml/higher/allocator/area.h>
#include <aml/higher/allocator/buddy.h>
#include <aml/higher/allocator/sized.h>

#include "check.h"

#include <gnu/libc-version.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define KINDS 4
#define SIZED 192
#define BLOCK ((size_t)1 << 21)

/* Of each type one, and one that has its memory from the first. */
static struct aml_allocator *allocators[KINDS];
static atomic_bool stop, forks_inside;
static atomic_int inside;

/* An area over an allocator: a block for a mapping. */
static void *upper_mmap(const struct aml_area_data *data, size_t size, struct aml_area_mmap_options *opts)
{
	(void)data;
	(void)opts;
	if (size > BLOCK) {
		aml_errno = AML_ENOMEM;
		return NULL;
	}
	if (atomic_load(&forks_inside)) {
		/* It has its allocator's table, and so has its child. */
		pid_t child = check_fork();
		if (child == 0)
			_exit(7);
		check_child(child, 7);
		atomic_fetch_add(&inside, 1);
	}
	return aml_alloc(allocators[0], size);
}

static int upper_munmap(const struct aml_area_data *data, void *ptr, size_t size)
{
	(void)data;
	(void)size;
	return aml_free(allocators[0], ptr);
}

static struct aml_area_ops upper_ops = { upper_mmap, upper_munmap, NULL };
static struct aml_area upper = { &upper_ops, NULL };

static size_t size_of(int which, unsigned step)
{
	switch (which) {
	case 0:
		return BLOCK >> step % 3;
	case 1:
		return 64 << step % 14;
	case 2:
		return SIZED;
	default:
		return BLOCK >> 1 >> step % 3;
	}
}

/* Allocates and frees, so that pools come and go. */
static void use(int which, unsigned steps)
{
	char *out[8] = { NULL };
	unsigned step;

	for (step = 0; step < steps; step++) {
		char **place = &out[step % 8];

		if (*place != NULL)
			CHECK_EQ(aml_free(allocators[which], *place), AML_SUCCESS);
		*place = (char *)aml_alloc(allocators[which], size_of(which, step));
		CHECK(*place != NULL);
		**place = 'x';
	}
	for (step = 0; step < 8; step++)
		if (out[step] != NULL)
			CHECK_EQ(aml_free(allocators[which], out[step]), AML_SUCCESS);
}

static void *busy(void *arg)
{
	int which = (int)(intptr_t)arg;
	struct aml_bitmap nodes;

	aml_bitmap_zero(&nodes);
	aml_bitmap_set(&nodes, 0);
	while (!atomic_load(&stop)) {
		struct aml_allocator *another;
		struct aml_area *area;

		use(which, 100);
		/* Allocators and areas come and go, too. */
		CHECK_EQ(aml_area_linux_create(&area, &nodes, AML_AREA_LINUX_POLICY_BIND), AML_SUCCESS);
		CHECK_EQ(aml_allocator_buddy_create(&another, area, NULL), AML_SUCCESS);
		CHECK_EQ(aml_allocator_buddy_destroy(&another), AML_SUCCESS);
		aml_area_linux_destroy(&area);
	}
	return NULL;
}

/* What a child does with everything that it has inherited. */
static void child_uses_all(void)
{
	struct aml_allocator *another;
	struct aml_area *area;

	/* Were a table held by a thread that is not here, this would wait forever. */
	alarm(120);
	for (int which = 0; which < KINDS; which++)
		use(which, 20);
	CHECK_EQ(aml_area_linux_create(&area, NULL, AML_AREA_LINUX_POLICY_BIND), AML_SUCCESS);
	CHECK_EQ(aml_allocator_sized_create(&another, SIZED, area, NULL), AML_SUCCESS);
	CHECK(aml_alloc(another, SIZED) != NULL);
	CHECK_EQ(aml_allocator_sized_destroy(&another), AML_SUCCESS);
	aml_area_linux_destroy(&area);
	/* And forks itself. */
	{
		pid_t child = check_fork();
		if (child == 0) {
			alarm(120);
			use(1, 20);
			_exit(0);
		}
		check_child(child, 0);
	}
	_exit(0);
}

/* The program's own handlers. Not where an area's mmap forks: then the library takes no table, as
 * it would wait for itself. */
static _Thread_local int before, in_parent, in_child, depth, forked_before;
static _Thread_local bool forks_before_it_forks;
static _Thread_local void *kept[2];

/* One that forks itself: what the fork around it waits for stays taken. */
static void forks_too(void)
{
	pid_t child;

	if (forks_before_it_forks || allocators[1] == NULL || atomic_load(&forks_inside))
		return;
	forks_before_it_forks = true;
	child = check_fork();
	if (child == 0) {
		alarm(120);
		use(1, 20);
		_exit(7);
	}
	check_child(child, 7);
	forks_before_it_forks = false;
	forked_before++;
	/* The other threads would take their tables now, if they could. */
	usleep(2000);
}

static void allocates_before(void)
{
	if (forks_before_it_forks)
		return;
	before++;
	if (allocators[1] == NULL || atomic_load(&forks_inside))
		return;
	CHECK(depth < 2);
	kept[depth] = aml_alloc(allocators[1], 100);
	CHECK(kept[depth++] != NULL);
	use(3, 20);
}

static void gives_back(int *count)
{
	struct aml_allocator *another;

	if (forks_before_it_forks)
		return;
	++*count;
	if (depth == 0)
		return;
	CHECK_EQ(aml_free(allocators[1], kept[--depth]), AML_SUCCESS);
	CHECK_EQ(aml_allocator_sized_create(&another, SIZED, &aml_area_linux, NULL), AML_SUCCESS);
	CHECK(aml_alloc(another, SIZED) != NULL);
	CHECK_EQ(aml_allocator_sized_destroy(&another), AML_SUCCESS);
}

static void in_the_parent(void)
{
	gives_back(&in_parent);
}

static void in_the_child(void)
{
	alarm(120);
	gives_back(&in_child);
}

static void forks(int times)
{
	while (times-- > 0) {
		pid_t child = check_fork();
		if (child == 0)
			child_uses_all();
		check_child(child, 0);
	}
}

int main(void)
{
	pthread_t threads[KINDS];
	/* Before glibc 2.36 the C library is locked while handlers run, and none may fork. */
	bool new_enough = atoi(gnu_get_libc_version() + 2) >= 36;

	/* Before the library's: around fork they run farthest inside. */
	if (new_enough)
		CHECK_EQ(pthread_atfork(forks_too, NULL, NULL), 0);
	else
		puts("not tried: forks within handlers, with this glibc");
	CHECK_EQ(pthread_atfork(allocates_before, in_the_parent, in_the_child), 0);
	CHECK_EQ(aml_allocator_area_create(&allocators[0], &aml_area_linux, NULL), AML_SUCCESS);
	CHECK_EQ(aml_allocator_buddy_create(&allocators[1], &aml_area_linux, NULL), AML_SUCCESS);
	CHECK_EQ(aml_allocator_sized_create(&allocators[2], SIZED, &aml_area_linux, NULL), AML_SUCCESS);
	CHECK_EQ(aml_allocator_buddy_create(&allocators[3], &upper, NULL), AML_SUCCESS);
	/* And behind them. */
	CHECK_EQ(pthread_atfork(allocates_before, in_the_parent, in_the_child), 0);
	for (int at = 0; at < KINDS; at++)
		CHECK_EQ(pthread_create(&threads[at], NULL, busy, (void *)(intptr_t)at), 0);
	forks(30);
	CHECK_EQ(before, 60);
	CHECK_EQ(in_parent, 60);
	CHECK_EQ(forked_before, new_enough ? 30 : 0);
	/* Two who fork at once. Before glibc 2.36 the one waits in the C library for the other, which
	 * waits for its table. */
	if (new_enough) {
		atomic_store(&forks_inside, true);
		while (atomic_load(&inside) < 3)
			forks(1);
	} else {
		puts("not tried: forks from an area's mmap, with this glibc");
	}
	atomic_store(&stop, true);
	for (int at = 0; at < KINDS; at++)
		CHECK_EQ(pthread_join(threads[at], NULL), 0);
	CHECK_EQ(aml_allocator_buddy_destroy(&allocators[3]), AML_SUCCESS);
	CHECK_EQ(aml_allocator_sized_destroy(&allocators[2]), AML_SUCCESS);
	CHECK_EQ(aml_allocator_buddy_destroy(&allocators[1]), AML_SUCCESS);
	CHECK_EQ(aml_allocator_area_destroy(&allocators[0]), AML_SUCCESS);
	return 0;
}
