/*
 * Memory is freed only when, and as soon as, no area refers to it any more, however its holders
 * die. The kernel says how many blocks of the object there are, and says by inotify when its last
 * holder is gone, and it with him.
 */
#include <OS.h>

#include "check.h"

#include <dirent.h>
#include <sys/inotify.h>

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define SIZE (256 * PAGE)

/* The inode behind an address of a process. */
static unsigned long inode_at(pid_t pid, const void *address)
{
	char path[64], line[512];
	FILE *maps;
	unsigned long from, inode = 0, found;
	snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	CHECK(maps != NULL);
	while (fgets(line, sizeof line, maps) != NULL)
		if (sscanf(line, "%lx-%*x %*s %*x %*s %lu", &from, &found) == 2 && from == (uintptr_t)address)
			inode = found;
	fclose(maps);
	CHECK(inode != 0);
	return inode;
}

/* The descriptor that a process has of its area's memory, as a path, and what stat says of it. */
static void object_of(pid_t pid, const void *address, char path[600], struct stat *stat_of_it)
{
	unsigned long inode = inode_at(pid, address);
	char folder[64];
	struct dirent *entry;
	DIR *dir;
	snprintf(folder, sizeof folder, "/proc/%d/fd", (int)pid);
	dir = opendir(folder);
	CHECK(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		snprintf(path, 600, "%s/%s", folder, entry->d_name);
		if (stat(path, stat_of_it) == 0 && stat_of_it->st_ino == inode && stat_of_it->st_size == (off_t)SIZE) {
			closedir(dir);
			return;
		}
	}
	check_failed(__FILE__, __LINE__, "process %d has no descriptor of inode %lu", (int)pid, inode);
}

static long long bytes_of(const char *path)
{
	struct stat found;
	CHECK_EQ(stat(path, &found), 0);
	return (long long)found.st_blocks * 512;
}

/* Whether the object goes within so many milliseconds. */
static int is_gone(int watch, int milliseconds)
{
	struct pollfd waiting = { watch, POLLIN, 0 };
	char buffer[4096] __attribute__((aligned(8)));
	const struct inotify_event *event = (const struct inotify_event *)buffer;
	if (poll(&waiting, 1, milliseconds) == 0)
		return 0;
	CHECK(read(watch, buffer, sizeof buffer) > 0);
	CHECK(event->mask & IN_DELETE_SELF);
	return 1;
}

/* A team with an area of SIZE bytes, all of them in use. */
static pid_t holder(const char *name, int ready[2])
{
	pid_t child;
	CHECK_EQ(pipe(ready), 0);
	child = check_fork();
	if (child == 0) {
		void *address;
		CHECK(create_area(name, &address, B_ANY_ADDRESS, SIZE, B_NO_LOCK, RW) > 0);
		memset(address, 'x', SIZE);
		check_send(ready[1], 'r');
		for (;;)
			pause();
	}
	CHECK_EQ(check_hear(ready[0]), 'r');
	close(ready[0]);
	close(ready[1]);
	return child;
}

static int watch_for(const char *path)
{
	int watch = inotify_init1(IN_CLOEXEC);
	CHECK(watch >= 0);
	CHECK(inotify_add_watch(watch, path, IN_DELETE_SELF) >= 0);
	return watch;
}

/* The holder is killed, and there is a clone; the clone is deleted. */
static void last_clone(void)
{
	int ready[2], watch;
	char path[600], own[600];
	struct stat object;
	area_info info;
	area_id clone, id;
	char *address;
	pid_t child = holder("memory", ready);
	id = find_area("memory");
	CHECK_EQ(get_area_info(id, &info), B_OK);
	CHECK_EQ(info.ram_size, SIZE);
	object_of(child, info.address, path, &object);
	CHECK_EQ(bytes_of(path), SIZE);
	watch = watch_for(path);
	clone = clone_area("heir", (void **)&address, B_ANY_ADDRESS, RW, id);
	CHECK(clone > 0);
	object_of(getpid(), address, own, &object);
	CHECK_EQ(kill(child, SIGKILL), 0);
	check_killed(child, SIGKILL);
	CHECK_EQ(address[SIZE - 1], 'x');
	CHECK_EQ(bytes_of(own), SIZE);
	/* What is cut off is freed at once. */
	CHECK_EQ(resize_area(clone, PAGE), B_OK);
	CHECK_EQ(bytes_of(own), PAGE);
	CHECK(!is_gone(watch, 0));
	CHECK_EQ(delete_area(clone), B_OK);
	CHECK(is_gone(watch, 30000));
	close(watch);
}

/* All of a process group are killed at once: source and clone. */
static void all_at_once(void)
{
	int ready[2], cloned[2], watch;
	char path[600];
	struct stat object;
	area_info info;
	pid_t cloner, child = holder("all at once", ready);
	CHECK_EQ(setpgid(child, child), 0);
	CHECK_EQ(get_area_info(find_area("all at once"), &info), B_OK);
	object_of(child, info.address, path, &object);
	watch = watch_for(path);
	CHECK_EQ(pipe(cloned), 0);
	cloner = check_fork();
	if (cloner == 0) {
		void *address;
		close(watch);
		CHECK_EQ(setpgid(0, child), 0);
		CHECK(clone_area("other", &address, B_ANY_ADDRESS, RW, find_area("all at once")) > 0);
		check_send(cloned[1], 'c');
		for (;;)
			pause();
	}
	CHECK_EQ(check_hear(cloned[0]), 'c');
	CHECK(!is_gone(watch, 0));
	CHECK_EQ(kill(-child, SIGKILL), 0);
	check_killed(child, SIGKILL);
	check_killed(cloner, SIGKILL);
	CHECK(is_gone(watch, 30000));
	CHECK_EQ(find_area("all at once"), B_NAME_NOT_FOUND);
	CHECK_EQ(find_area("other"), B_NAME_NOT_FOUND);
	close(watch);
}

int main(void)
{
	last_clone();
	all_at_once();
	return 0;
}
