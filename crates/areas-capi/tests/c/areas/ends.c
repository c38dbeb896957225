/*
 * Calls at the end of a thread and of the process: in destructors of thread-local values and of
 * keys, in functions of atexit, in destructors of the program. They work as ever, a failed one has
 * its words, and a child made there is whole.
 *
 * Not under valgrind: it does not know pidfd_getfd.
 */
#include <areas.h>
#include <pthread.h>

#include "check.h"

/* As C++ compilers register the destructors of thread_local variables. */
extern int __cxa_thread_atexit_impl(void (*function)(void *), void *object, void *library);
extern void *__dso_handle __attribute__((visibility("hidden")));

static pthread_key_t key;
static int in_keys, in_variables, at_exits;

/* The calls, wherever it is: one that fails, and those of a whole life. */
static void calls(const char *where)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;
	char name[64], expected[256];
	snprintf(name, sizeof name, "no area of %s", where);
	snprintf(expected, sizeof expected, "cannot find area \"%s\"", name);
	CHECK_EQ(areas_find(name), AREAS_ERROR_NO_SUCH_AREA);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_NO_SUCH_AREA);
	if (strncmp(areas_error_text(), expected, strlen(expected)) != 0)
		check_failed(__FILE__, __LINE__, "%s: \"%s\"", where, areas_error_text());
	wanted.size = 4096;
	wanted.name = where;
	area = areas_create(&wanted);
	if (area == NULL)
		check_failed(__FILE__, __LINE__, "%s: %s", where, areas_error_text());
	CHECK_EQ(areas_find(where), areas_id(area));
	areas_release(area);
	CHECK_EQ(areas_find(where), AREAS_ERROR_NO_SUCH_AREA);
}

static void of_a_key(void *rounds)
{
	calls("a key's destructor");
	in_keys++;
	/* Once more: C goes round a few times. */
	if ((intptr_t)rounds > 1)
		CHECK_EQ(pthread_setspecific(key, (void *)((intptr_t)rounds - 1)), 0);
}

static void of_a_variable(void *nothing)
{
	(void)nothing;
	calls("a variable's destructor");
	in_variables++;
}

static void *thread(void *nothing)
{
	CHECK_EQ(pthread_setspecific(key, (void *)3), 0);
	/* Before the first call of the library, so that it is destroyed after what the library has. */
	CHECK_EQ(__cxa_thread_atexit_impl(of_a_variable, NULL, &__dso_handle), 0);
	calls("a thread");
	return nothing;
}

static void at_exit(void)
{
	pid_t child;
	calls("atexit");
	child = check_fork();
	if (child == 0) {
		calls("a child of atexit");
		_exit(0);
	}
	check_child(child, 0);
	at_exits++;
}

__attribute__((destructor)) static void last(void)
{
	calls("a destructor");
	if (in_keys != 3 * 20 || in_variables != 20 || at_exits != 1) {
		fprintf(stderr, "%d, %d, %d destructors ran\n", in_keys, in_variables, at_exits);
		_exit(1);
	}
}

int main(void)
{
	int i;
	CHECK_EQ(pthread_key_create(&key, of_a_key), 0);
	CHECK_EQ(atexit(at_exit), 0);
	for (i = 0; i < 20; i++) {
		pthread_t started;
		CHECK_EQ(pthread_create(&started, NULL, thread, NULL), 0);
		CHECK_EQ(pthread_join(started, NULL), 0);
	}
	calls("main");
	return 0;
}
