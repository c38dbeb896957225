/*
 * Three copies of the library in one process: the one that the program is linked with, and two that
 * it loads under other names, each with state of its own (RTLD_LOCAL). For all others they are
 * three teams of one number. Each finds and clones the others' areas; none takes the record lock of
 * another's table away (the kernel has those by process: closing any descriptor of a table would);
 * all of them fork, and all end with the process.
 *
 * Not under valgrind: it does not know pidfd_getfd.
 */
#include <OS.h>

#include "check.h"

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define COPIES 3

/* One copy's calls. */
struct copy {
	const char *name;
	area_id (*create)(const char *, void **, uint32, size_t, uint32, uint32);
	area_id (*clone)(const char *, void **, uint32, uint32, area_id);
	area_id (*find)(const char *);
	area_id (*at)(void *);
	status_t (*info)(area_id, area_info *, size_t);
	status_t (*next)(team_id, ssize_t *, area_info *, size_t);
	status_t (*end)(area_id);
	/* What it made. */
	area_id id;
	char *address;
};

static struct copy copies[COPIES] = {
	{ "linked", create_area, clone_area, find_area, area_for, _get_area_info, _get_next_area_info, delete_area, 0, NULL },
	{ "second", NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL },
	{ "third", NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL },
};

/* dlsym's answer as a function: C has no cast for that. */
static void function(void *library, const char *name, void *place)
{
	void *found = dlsym(library, name);
	CHECK(found != NULL);
	memcpy(place, &found, sizeof found);
}

/* Loads the file of that library as one that no process has loaded yet. */
static void load(const char *path, struct copy *copy)
{
	char own[64], buffer[1 << 16];
	int from = open(path, O_RDONLY | O_CLOEXEC), to;
	ssize_t count;
	void *library;
	snprintf(own, sizeof own, "./copy-%s-%d.so", copy->name, (int)getpid());
	to = open(own, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	CHECK(from >= 0 && to >= 0);
	while ((count = read(from, buffer, sizeof buffer)) > 0)
		CHECK_EQ(write(to, buffer, (size_t)count), count);
	CHECK_EQ(count, 0);
	CHECK(close(from) == 0 && close(to) == 0);
	library = dlopen(own, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		check_failed(__FILE__, __LINE__, "%s", dlerror());
	CHECK_EQ(unlink(own), 0);
	function(library, "create_area", &copy->create);
	function(library, "clone_area", &copy->clone);
	function(library, "find_area", &copy->find);
	function(library, "area_for", &copy->at);
	function(library, "_get_area_info", &copy->info);
	function(library, "_get_next_area_info", &copy->next);
	function(library, "delete_area", &copy->end);
}

/* Whether the kernel has a record lock of ours on what is open under that number. (/proc/locks has
 * those of all processes, and leaves some out while others come and go.) */
static int locked(int number)
{
	char path[64], line[256];
	FILE *reported;
	int found = 0;
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", number);
	reported = fopen(path, "re");
	CHECK(reported != NULL);
	while (!found && fgets(line, sizeof line, reported) != NULL)
		found = strncmp(line, "lock:", 5) == 0 && strstr(line, "POSIX") != NULL && strstr(line, "WRITE") != NULL;
	fclose(reported);
	return found;
}

/* How many links in the registry lead to this process. On the table of each there is a record
 * lock. */
static int teams(void)
{
	const char *registry = getenv("AREAS_DIR");
	char space[512], folder[600], target[64], own[64];
	struct dirent *entry;
	int count = 0;
	DIR *links;
	struct stat ns;
	CHECK(registry != NULL);
	CHECK_EQ(stat("/proc/self/ns/pid", &ns), 0);
	snprintf(space, sizeof space, "%s/pid-%lu", registry, (unsigned long)ns.st_ino);
	snprintf(folder, sizeof folder, "%s/teams", space);
	snprintf(own, sizeof own, "/proc/%d/fd/", (int)getpid());
	links = opendir(folder);
	CHECK(links != NULL);
	while ((entry = readdir(links)) != NULL) {
		ssize_t len = readlinkat(dirfd(links), entry->d_name, target, sizeof target - 1);
		if (len < 0)
			continue;
		target[len] = '\0';
		if (strncmp(target, own, strlen(own)) != 0)
			continue;
		if (!locked(atoi(target + strlen(own))))
			check_failed(__FILE__, __LINE__, "%s has lost its record lock", entry->d_name);
		count++;
	}
	closedir(links);
	return count;
}

static const char *name_of(const struct copy *copy)
{
	static char names[COPIES][32];
	char *name = names[copy - copies];
	snprintf(name, sizeof names[0], "of %s", copy->name);
	return name;
}

static void make(struct copy *copy)
{
	copy->id = copy->create(name_of(copy), (void **)&copy->address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(copy->id > 0);
	strcpy(copy->address, copy->name);
}

/* `copy` finds what `other` made, in the process `team`, looks at it and writes to a clone of
 * it. */
static void meets(const struct copy *copy, const struct copy *other, team_id team)
{
	area_info info;
	char *address = NULL;
	area_id found = copy->find(name_of(other)), clone;
	CHECK(found > 0);
	CHECK_EQ(copy->info(found, &info, sizeof info), B_OK);
	CHECK_STR(info.name, name_of(other));
	CHECK_EQ(info.team, team);
	CHECK(info.address == other->address);
	clone = copy->clone("a clone", (void **)&address, B_ANY_ADDRESS, RW, found);
	CHECK(clone > 0 && clone != found);
	CHECK_STR(address, other->name);
	address[PAGE - 1]++;
	CHECK_EQ(copy->at(address), clone);
	CHECK_EQ(copy->end(clone), B_OK);
	/* And for reading only. */
	clone = copy->clone("a clone", (void **)&address, B_ANY_ADDRESS, B_READ_AREA, found);
	CHECK(clone > 0);
	CHECK_STR(address, other->name);
	CHECK_EQ(copy->end(clone), B_OK);
}

static void all_meet(team_id team)
{
	int i, j;
	for (i = 0; i < COPIES; i++)
		for (j = 0; j < COPIES; j++)
			meets(&copies[i], &copies[j], team);
}

/* All areas of a team, seen by one copy. */
static int walked(const struct copy *copy, team_id team)
{
	area_info info;
	ssize_t cookie = 0;
	int count = 0;
	while (copy->next(team, &cookie, &info, sizeof info) == B_OK)
		count++;
	return count;
}

/* What must not happen, brought about: any descriptor of a table is closed, and the kernel drops
 * the lock. That it would be seen. */
static void loses_one(void)
{
	char path[64];
	int number, table, lost = -1;
	for (number = 3; number < 256 && lost < 0; number++) {
		snprintf(path, sizeof path, "/proc/self/fdinfo/%d", number);
		if (access(path, F_OK) == 0 && locked(number))
			lost = number;
	}
	CHECK(lost >= 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", lost);
	table = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(table >= 0);
	CHECK(locked(lost));
	CHECK_EQ(close(table), 0);
	CHECK(!locked(lost));
}

/* What a child holds is its own, by each copy; nothing of the parent's goes. */
static void fork_all(void)
{
	pid_t child = check_fork();
	int i, j;
	if (child == 0) {
		for (i = 0; i < COPIES; i++) {
			/* A copy's own areas only: the others hold theirs. */
			area_id mine = copies[i].at(copies[i].address);
			CHECK(mine > 0 && mine != copies[i].id);
			CHECK_STR(copies[i].address, copies[i].name);
		}
		CHECK_EQ(teams(), COPIES);
		for (i = 0; i < COPIES; i++)
			for (j = 0; j < COPIES; j++) {
				area_info info;
				CHECK_EQ(copies[i].info(copies[j].at(copies[j].address), &info, sizeof info), B_OK);
				CHECK_EQ(info.team, getpid());
			}
		for (i = 0; i < COPIES; i++)
			CHECK_EQ(copies[i].end(copies[i].at(copies[i].address)), B_OK);
		CHECK_EQ(walked(&copies[0], getpid()), 0);
		/* The parent's are there. */
		for (i = 0; i < COPIES; i++)
			CHECK_EQ(copies[i].find(name_of(&copies[(i + 1) % COPIES])), copies[(i + 1) % COPIES].id);
		loses_one();
		exit(0);
	}
	check_child(child, 0);
	CHECK_EQ(teams(), COPIES);
	all_meet(getpid());
}

static atomic_bool stop;

/* The sanitizer's malloc (of GCC 12) is not whole in a child that is forked while another thread is
 * in it: a lock that was held then is held forever, and the child hangs. So with the sanitizer a
 * fork waits until all threads have started, and for the calls under way. Without it nothing
 * waits. */
#ifdef __SANITIZE_ADDRESS__
static pthread_rwlock_t calls = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static atomic_int started;
#define STARTED() ((void)atomic_fetch_add(&started, 1))
#define ALL_START() \
	while (atomic_load(&started) < COPIES) \
	sched_yield()
#define CALLS_BEGIN() CHECK_EQ(pthread_rwlock_rdlock(&calls), 0)
#define FORK_BEGINS() CHECK_EQ(pthread_rwlock_wrlock(&calls), 0)
#define ENDS() CHECK_EQ(pthread_rwlock_unlock(&calls), 0)
#else
#define STARTED() ((void)0)
#define ALL_START() ((void)0)
#define CALLS_BEGIN() ((void)0)
#define FORK_BEGINS() ((void)0)
#define ENDS() ((void)0)
#endif

static void *busy(void *given)
{
	const struct copy *copy = given;
	STARTED();
	while (!atomic_load(&stop)) {
		void *address;
		area_id id;
		CALLS_BEGIN();
		id = copy->create("busy", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
		CHECK(id > 0);
		CHECK(copy->find("of linked") > 0);
		CHECK_EQ(copy->end(id), B_OK);
		ENDS();
	}
	return NULL;
}

/* Children are forked while a thread is in the middle of each copy (but not with the sanitizer, see
 * above): each can use all copies. */
static void fork_among_threads(void)
{
	pthread_t threads[COPIES];
	int i, round;
	for (i = 0; i < COPIES; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, busy, &copies[i]), 0);
	ALL_START();
	for (round = 0; round < 10; round++) {
		pid_t child;
		FORK_BEGINS();
		child = check_fork();
		if (child == 0) {
			alarm(60);
			for (i = 0; i < COPIES; i++) {
				CHECK(copies[i].find(name_of(&copies[(i + 1) % COPIES])) > 0);
				make(&copies[i]);
			}
			_exit(0);
		}
		ENDS();
		check_child(child, 0);
	}
	atomic_store(&stop, true);
	for (i = 0; i < COPIES; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(teams(), COPIES);
}

/* The registry is removed: each copy publishes again, and meets the others again, again and
 * again. */
static void removed(void)
{
	char remove[600];
	int i, round;
	snprintf(remove, sizeof remove, "rm -rf '%s'", getenv("AREAS_DIR"));
	for (round = 0; round < 5; round++) {
		CHECK_EQ(system(remove), 0);
		for (i = 0; i < COPIES; i++)
			CHECK_EQ(copies[i].find("absent"), B_NAME_NOT_FOUND);
		CHECK_EQ(teams(), COPIES);
		all_meet(getpid());
	}
}

/* The process with the copies. */
static int several(const char *library, int ready, int go)
{
	int i;
	for (i = 1; i < COPIES; i++)
		load(library, &copies[i]);
	/* None is the other: the same call, at other places. */
	CHECK(copies[0].find != copies[1].find && copies[1].find != copies[2].find && copies[0].find != copies[2].find);
	for (i = 0; i < COPIES; i++) {
		make(&copies[i]);
		CHECK_EQ(teams(), i + 1);
	}
	all_meet(getpid());
	CHECK_EQ(teams(), COPIES);
	fork_all();
	fork_among_threads();
	removed();
	/* What one releases the others keep. */
	CHECK_EQ(copies[1].end(copies[1].id), B_OK);
	for (i = 0; i < COPIES; i++)
		CHECK_EQ(copies[i].find(name_of(&copies[1])), B_NAME_NOT_FOUND);
	CHECK_EQ(walked(&copies[0], getpid()), COPIES - 1);
	make(&copies[1]);
	all_meet(getpid());
	CHECK_EQ(teams(), COPIES);
	check_send(ready, 'r');
	check_hear(go);
	return 0;
}

int main(void)
{
	const char *library = getenv("AREAS_LIBRARY");
	int ready[2], go[2], round;
	if (library == NULL)
		SKIP("AREAS_LIBRARY does not say where libareas.so is");
	/* Ends by itself, and by a signal. */
	for (round = 0; round < 2; round++) {
		pid_t child;
		int i;
		CHECK(pipe(ready) == 0 && pipe(go) == 0);
		child = check_fork();
		if (child == 0)
			exit(several(library, ready[1], go[0]));
		close(ready[1]);
		{
			/* It takes its time under a sanitizer: until it has reported, or has ended. */
			char reported = 0;
			if (read(ready[0], &reported, 1) != 1)
				check_child(child, 0);
			CHECK_EQ(reported, 'r');
		}
		/* For another process: one team, with all that its copies have. */
		CHECK_EQ(walked(&copies[0], child), COPIES);
		for (i = 0; i < COPIES; i++) {
			char *address = NULL;
			area_info info;
			area_id id = find_area(name_of(&copies[i])), clone;
			CHECK(id > 0);
			CHECK_EQ(get_area_info(id, &info), B_OK);
			CHECK_EQ(info.team, child);
			clone = clone_area("a clone", (void **)&address, B_ANY_ADDRESS, B_READ_AREA, id);
			CHECK(clone > 0);
			CHECK_STR(address, copies[i].name);
			CHECK_EQ(delete_area(clone), B_OK);
		}
		if (round == 0) {
			check_send(go[1], 'g');
			check_child(child, 0);
		} else {
			CHECK_EQ(kill(child, SIGKILL), 0);
			check_killed(child, SIGKILL);
		}
		for (i = 0; i < COPIES; i++)
			CHECK_EQ(find_area(name_of(&copies[i])), B_NAME_NOT_FOUND);
		CHECK_EQ(walked(&copies[0], child), 0);
		CHECK(close(ready[0]) == 0 && close(go[0]) == 0 && close(go[1]) == 0);
	}
	return 0;
}
