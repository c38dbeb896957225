/*
 * A team that its peers may not read is there, and shares nothing: B_NOT_ALLOWED, and nothing else.
 */
#include <OS.h>
#include <syscalls.h>

#include "check.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)

static int reported[2], done[2];

/* Holds an area, and keeps all others from reading this process. */
static int hides(void)
{
	void *address;
	area_id id = create_area("hidden", &address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(id > 0);
	CHECK_EQ(prctl(PR_SET_DUMPABLE, 0), 0);
	CHECK_EQ(write(reported[1], &id, sizeof id), (ssize_t)sizeof id);
	check_hear(done[0]);
	/* Its own areas are its own. */
	CHECK_EQ(delete_area(id), B_OK);
	return 0;
}

/* What others find of it: that it is there. */
static void looks(pid_t team, area_id id)
{
	void *address = NULL;
	area_info info;
	ssize_t cookie = 0;
	CHECK_EQ(find_area("hidden"), B_NAME_NOT_FOUND);
	CHECK_EQ(get_area_info(id, &info), B_NOT_ALLOWED);
	CHECK_EQ(get_next_area_info(team, &cookie, &info), B_NOT_ALLOWED);
	CHECK_EQ(cookie, 0);
	CHECK_EQ(clone_area("clone", &address, B_ANY_ADDRESS, B_READ_AREA, id), B_NOT_ALLOWED);
	CHECK(address == NULL);
	CHECK_EQ(resize_area(id, 2 * PAGE), B_NOT_ALLOWED);
	CHECK_EQ(set_area_protection(id, B_READ_AREA), B_NOT_ALLOWED);
	CHECK_EQ(delete_area(id), B_NOT_ALLOWED);
	CHECK_EQ(_kern_transfer_area(id, &address, B_ANY_ADDRESS, getpid()), B_NOT_ALLOWED);
}

/* Both teams: another process's than the superuser's, who may read all processes. */
static int team(const char *folder)
{
	area_info info;
	area_id id;
	pid_t child;
	if (geteuid() == 0) {
		CHECK(setgid(65534) == 0 && setuid(65534) == 0);
		CHECK_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
	}
	CHECK_EQ(setenv("AREAS_DIR", folder, 1), 0);
	CHECK(pipe(reported) == 0 && pipe(done) == 0);
	child = check_fork();
	if (child == 0)
		_exit(hides());
	CHECK_EQ(read(reported[0], &id, sizeof id), (ssize_t)sizeof id);
	looks(child, id);
	check_send(done[1], 'd');
	check_child(child, 0);
	CHECK_EQ(get_area_info(id, &info), B_BAD_VALUE);
	return 0;
}

int main(void)
{
	char folder[] = "/tmp/areas-unreadable-XXXXXX", remove[64];
	pid_t child;
	CHECK(mkdtemp(folder) != NULL);
	if (geteuid() == 0)
		CHECK_EQ(chown(folder, 65534, 65534), 0);
	child = check_fork();
	if (child == 0)
		_exit(team(folder));
	check_child(child, 0);
	/* By whom made it: others may have no right to change what is in /tmp. */
	snprintf(remove, sizeof remove, "rm -r %s", folder);
	CHECK_EQ(system(remove), 0);
	return 0;
}
