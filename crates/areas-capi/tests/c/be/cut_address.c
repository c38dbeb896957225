/*
 * Memory of an area that the program takes away itself, and then asks whose an address is, or where
 * an area of that name is: the very next call says what Haiku's would, with no other call in
 * between. That the kernel is asked takes a descriptor, which the program may close, or use for
 * something else.
 */
#include <OS.h>

#include "check.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/time.h>

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define PAGES 8
#define SIZE (PAGES * PAGE)

static area_id make(char **base, uint32 protection)
{
	void *address;
	area_id id = create_area("whose", &address, B_ANY_ADDRESS, SIZE, B_NO_LOCK, protection);
	CHECK(id > 0);
	*base = address;
	return id;
}

/* The area of each page: 'a' the first one, 'b' another one, '.' none. */
static const char *whose(char *base, area_id id)
{
	static char said[PAGES + 1];
	size_t i;
	for (i = 0; i < PAGES; i++) {
		area_id found = area_for(base + i * PAGE + 7);
		CHECK(found > 0 || found == B_ERROR);
		said[i] = found == id ? 'a' : found > 0 ? 'b' : '.';
	}
	return said;
}

/* All of its addresses go, with whatever is there; no process has it any more. */
static void finish(char *base)
{
	CHECK(mmap(base, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == base);
	CHECK_EQ(area_for(base), B_ERROR);
	CHECK_STR(whose(base, 0), "........");
	CHECK_EQ(find_area("whose"), B_NAME_NOT_FOUND);
	CHECK_EQ(munmap(base, SIZE), 0);
}

static void parts(uint32 protection)
{
	static const struct {
		size_t from, to;
		const char *first_look_at_the_end, *all;
	} table[] = {
		{ 0, 1, "a", ".aaaaaaa" },
		{ 0, 3, "a", "...aaaaa" },
		{ 5, 8, ".", "aaaaa..." },
		{ 7, 8, ".", "aaaaaaa." },
		{ 3, 5, "b", "aaa..bbb" },
		{ 1, 2, "b", "a.bbbbbb" },
		{ 6, 7, "b", "aaaaaa.b" },
		{ 0, 8, ".", "........" },
	};
	size_t i;
	int over;
	for (i = 0; i < sizeof table / sizeof *table; i++)
		for (over = 0; over < 2; over++) {
			char *base, *at;
			size_t size = (table[i].to - table[i].from) * PAGE;
			area_id id = make(&base, protection), last;
			CHECK_STR(whose(base, id), "aaaaaaaa");
			at = base + table[i].from * PAGE;
			if (over)
				CHECK(mmap(at, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
			else
				CHECK_EQ(munmap(at, size), 0);
			/* The last page first: that what is before it is gone makes it another area's. */
			last = area_for(base + SIZE - 1);
			CHECK(*table[i].first_look_at_the_end == (last == id ? 'a' : last > 0 ? 'b' : '.'));
			CHECK_STR(whose(base, id), table[i].all);
			CHECK_EQ(find_area("whose"), table[i].to - table[i].from == PAGES ? B_NAME_NOT_FOUND : id);
			finish(base);
		}
}

/* By name, with no other call. */
static void by_name(void)
{
	char *base, *younger;
	area_id id = make(&base, RW), other = make(&younger, RW);
	CHECK_EQ(find_area("whose"), id);
	CHECK_EQ(munmap(base, 2 * PAGE), 0);
	CHECK_EQ(find_area("whose"), id);
	CHECK_EQ(munmap(base + 2 * PAGE, SIZE - 2 * PAGE), 0);
	/* The next oldest. */
	CHECK_EQ(find_area("whose"), other);
	CHECK_EQ(munmap(younger, SIZE), 0);
	CHECK_EQ(find_area("whose"), B_NAME_NOT_FOUND);
}

/* In a child, which has its parent's descriptors, and other mappings than it by now. */
static void in_a_child(int known)
{
	char *base;
	area_id id = make(&base, RW);
	pid_t child;
	CHECK_STR(whose(base, id), "aaaaaaaa");
	child = check_fork();
	if (child == 0) {
		area_id own = known ? area_for(base) : 0;
		CHECK(!known || (own > 0 && own != id));
		CHECK_EQ(munmap(base + 6 * PAGE, 2 * PAGE), 0);
		own = area_for(base);
		CHECK_STR(whose(base, own), "aaaaaa..");
		CHECK_EQ(munmap(base, SIZE), 0);
		CHECK_STR(whose(base, own), "........");
		_exit(0);
	}
	check_child(child, 0);
	CHECK_STR(whose(base, id), "aaaaaaaa");
	CHECK_EQ(munmap(base + 4 * PAGE, SIZE - 4 * PAGE), 0);
	child = check_fork();
	if (child == 0) {
		area_id own = area_for(base);
		CHECK(own > 0 && own != id);
		CHECK_STR(whose(base, own), "aaaa....");
		_exit(0);
	}
	check_child(child, 0);
	CHECK_STR(whose(base, id), "aaaa....");
	finish(base);
}

/* The number by which the library asks; -1 if there is none. */
static int asked_by(void)
{
	DIR *numbers = opendir("/proc/self/fd");
	struct dirent *entry;
	int found = -1;
	CHECK(numbers != NULL);
	while (found < 0 && (entry = readdir(numbers)) != NULL) {
		char path[300], leads_to[300];
		ssize_t length;
		snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
		length = readlink(path, leads_to, sizeof leads_to - 1);
		if (length < 0)
			continue;
		leads_to[length] = '\0';
		if (strstr(leads_to, "/maps") != NULL)
			found = atoi(entry->d_name);
	}
	closedir(numbers);
	return found;
}

/* The program closes it, or has another file there; that one stays the program's. */
static void without_its_descriptor(void)
{
	int ours[2], number, way;
	CHECK_EQ(pipe(ours), 0);
	for (way = 0; way < 3; way++) {
		char *base;
		area_id id = make(&base, RW);
		pid_t child;
		CHECK_EQ(area_for(base), id);
		number = asked_by();
		if (number < 0)
			SKIP("this kernel answers no questions of what is mapped (Linux 6.11)");
		if (way == 0)
			CHECK_EQ(close(number), 0);
		else
			CHECK_EQ(dup2(way == 1 ? ours[1] : open("/dev/zero", O_RDWR | O_CLOEXEC), number), number);
		CHECK_EQ(munmap(base + PAGE, PAGE), 0);
		CHECK_STR(whose(base, id), "a.bbbbbb");
		CHECK(asked_by() >= 0);
		if (way == 1) {
			CHECK_EQ(write(number, "x", 1), 1);
			child = check_fork();
			if (child == 0) {
				CHECK_STR(whose(base, area_for(base)), "a.bbbbbb");
				CHECK_EQ(write(number, "y", 1), 1);
				_exit(0);
			}
			check_child(child, 0);
			CHECK(check_hear(ours[0]) == 'x' && check_hear(ours[0]) == 'y');
		}
		if (way > 0)
			CHECK_EQ(close(number), 0);
		finish(base);
	}
	CHECK(close(ours[0]) == 0 && close(ours[1]) == 0);
}

/* It is one descriptor, and one only, whoever asks. */
static void *asks(void *base)
{
	size_t i;
	for (i = 0; i < 2000; i++)
		CHECK(area_for((char *)base + (i * 977) % SIZE) > 0);
	return NULL;
}

static int open_numbers(void)
{
	DIR *numbers = opendir("/proc/self/fd");
	int count = 0;
	CHECK(numbers != NULL);
	while (readdir(numbers) != NULL)
		count++;
	closedir(numbers);
	return count;
}

static void by_many_threads(void)
{
	pthread_t threads[4];
	char *base;
	int before, i;
	area_id id = make(&base, RW);
	CHECK_EQ(area_for(base), id);
	before = open_numbers();
	for (i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, asks, base), 0);
	for (i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(open_numbers(), before);
	finish(base);
}

/* In a handler of a signal: at once, whatever it has interrupted. In the middle of a call that
 * changes areas the answer may be B_ERROR. */
static char *stays;
static area_id stays_id;
static volatile sig_atomic_t calling, handled, known;

static void asks_in_a_handler(int signal)
{
	area_id found = area_for(stays + PAGE + 5);
	(void)signal;
	CHECK(found == stays_id || (found == B_ERROR && calling));
	known += found == stays_id;
	handled++;
}

static void in_a_handler(void)
{
	struct sigaction action;
	struct itimerval often = { { 0, 200 }, { 0, 200 } }, never = { { 0, 0 }, { 0, 0 } };
	sig_atomic_t spun;
	stays_id = make(&stays, RW);
	CHECK_EQ(area_for(stays), stays_id);
	memset(&action, 0, sizeof action);
	action.sa_handler = asks_in_a_handler;
	action.sa_flags = SA_RESTART;
	CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
	CHECK_EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
	while (handled < 1000) {
		char *base;
		area_id id;
		calling = 1;
		id = make(&base, RW);
		CHECK_EQ(resize_area(id, 2 * SIZE), B_OK);
		CHECK_EQ(delete_area(id), B_OK);
		calling = 0;
		for (spun = 0; spun < 2000; spun++)
			__asm__ volatile("");
	}
	CHECK_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
	/* Under valgrind one may come later. */
	CHECK(signal(SIGALRM, SIG_IGN) != SIG_ERR);
	CHECK(known > handled / 2);
	finish(stays);
}

int main(void)
{
	parts(RW);
	parts(RW | B_STACK_AREA);
	by_name();
	in_a_child(0);
	in_a_child(1);
	by_many_threads();
	in_a_handler();
	without_its_descriptor();
	return 0;
}
