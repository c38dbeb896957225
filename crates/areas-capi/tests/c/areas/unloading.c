/*
 * A program that loads the library, uses it, and unloads it, again and again, as plugins do:
 * descriptors and mappings are as many after each round, an area that is held stays, and who loads
 * the library again finds it. Forks and ends of threads afterwards do no harm.
 *
 * Not under valgrind: it does not know pidfd_getfd.
 */
#include <areas.h>
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>

#include "check.h"

#define ROUNDS 300
/* By then all is open that stays open. */
#define SETTLED 5

/* The calls of the library that is loaded in this round. */
static struct {
	areas_area *(*create)(const areas_attributes *);
	void (*release)(areas_area *);
	int32_t (*find)(const char *);
	int32_t (*id)(const areas_area *);
	const char *(*text)(void);
} calls;

/* dlsym's answer as a function: C has no cast for that. */
static void function(void *library, const char *name, void *place)
{
	void *found = dlsym(library, name);
	CHECK(found != NULL);
	memcpy(place, &found, sizeof found);
}

static void *load(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		check_failed(__FILE__, __LINE__, "%s", dlerror());
	function(library, "areas_create", &calls.create);
	function(library, "areas_release", &calls.release);
	function(library, "areas_find", &calls.find);
	function(library, "areas_id", &calls.id);
	function(library, "areas_error_text", &calls.text);
	return library;
}

/* A copy of the library that no process has loaded: the program itself is linked with one. */
static void copy(const char *from, const char *to)
{
	char buffer[1 << 16];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	ssize_t count;
	CHECK(in >= 0 && out >= 0);
	while ((count = read(in, buffer, sizeof buffer)) > 0)
		CHECK_EQ(write(out, buffer, (size_t)count), count);
	CHECK_EQ(count, 0);
	close(in);
	close(out);
}

static areas_area *made(const char *name)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;
	wanted.size = 4096;
	wanted.name = name;
	area = calls.create(&wanted);
	if (area == NULL)
		check_failed(__FILE__, __LINE__, "%s", calls.text());
	return area;
}

/* Its last error has to go with it. */
static void *fails(void *nothing)
{
	CHECK_EQ(calls.find("absent"), AREAS_ERROR_NO_SUCH_AREA);
	CHECK(calls.text()[0] != '\0');
	return nothing;
}

static int descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;
	CHECK(folder != NULL);
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

/* Mappings of files: those of the heap and of stacks come and go. */
static int mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];
	int count = 0;
	CHECK(file != NULL);
	while (fgets(line, sizeof line, file) != NULL)
		count += strchr(line, '/') != NULL;
	fclose(file);
	return count;
}

int main(void)
{
	const char *library = getenv("AREAS_LIBRARY");
	char path[64];
	areas_area *kept;
	int32_t id;
	int round, open_then = 0, mapped_then = 0;
	if (library == NULL)
		SKIP("AREAS_LIBRARY does not say where the library is");
	snprintf(path, sizeof path, "./unloading-%d.so", (int)getpid());
	copy(library, path);
	/* One area is held all the time, also while no process has the library loaded. */
	{
		void *loaded = load(path);
		kept = made("kept");
		id = calls.id(kept);
		CHECK_EQ(dlclose(loaded), 0);
	}
	for (round = 0; round < ROUNDS; round++) {
		void *loaded = load(path);
		areas_area *area = made("loaded");
		pthread_t thread;
		CHECK(calls.find("loaded") > 0);
		CHECK_EQ(calls.find("kept"), id);
		CHECK_EQ(calls.id(kept), id);
		CHECK_EQ(pthread_create(&thread, NULL, fails, NULL), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		(void)fails(NULL);
		calls.release(area);
		CHECK_EQ(dlclose(loaded), 0);
		if (round % 50 == 0) {
			pid_t child = check_fork();
			if (child == 0)
				_exit(0);
			check_child(child, 0);
		}
		if (round == SETTLED) {
			open_then = descriptors();
			mapped_then = mappings();
		}
	}
	CHECK_EQ(descriptors(), open_then);
	CHECK_EQ(mappings(), mapped_then);
	/* The program's own copy is another team, and sees it. */
	CHECK_EQ(areas_find("kept"), id);
	/* Its code is there, though it was unloaded as often as it was loaded. */
	calls.release(kept);
	CHECK_EQ(areas_find("kept"), AREAS_ERROR_NO_SUCH_AREA);
	CHECK_EQ(unlink(path), 0);
	return 0;
}
