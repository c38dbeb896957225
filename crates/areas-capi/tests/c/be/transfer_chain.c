/*
 * Three teams that hand areas on, from each to the next and back: the ids go by pipe, the bytes are
 * counted on, any team may be killed in between, and when the last holder dies the kernel has the
 * memory.
 */
#include <OS.h>
#include <syscalls.h>

#include "check.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define PAGES 16
#define TEAMS 3

/* What a team is asked to do, and what it answers. */
enum { MAKE, GIVE, COUNT, LOOK, IDLE };
typedef struct {
	int what;
	area_id id;
	team_id team;
	uint32 hops;
	ino_t inode;
} message;

static struct {
	pid_t pid;
	int to, from;
} teams[TEAMS];

/* Each page begins with how often the area has been counted on, and its own number. */
static void check_bytes(const char *bytes, uint32 hops)
{
	size_t page;
	for (page = 0; page < PAGES; page++) {
		const uint32 *words = (const uint32 *)(const void *)(bytes + page * PAGE);
		CHECK_EQ(words[0], hops);
		CHECK_EQ(words[1], page);
		CHECK_EQ(words[PAGE / sizeof(uint32) - 1], hops ^ page);
	}
}

static void write_bytes(char *bytes, uint32 hops)
{
	size_t page;
	for (page = 0; page < PAGES; page++) {
		uint32 *words = (uint32 *)(void *)(bytes + page * PAGE);
		words[0] = hops;
		words[1] = (uint32)page;
		words[PAGE / sizeof(uint32) - 1] = hops ^ (uint32)page;
	}
}

/* The inode of what is mapped at an address, by the kernel's word. */
static ino_t inode_at(const void *address)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned long found = 0;
	CHECK(file != NULL);
	while (fgets(line, sizeof line, file) != NULL) {
		unsigned long from, to, inode;
		if (sscanf(line, "%lx-%lx %*s %*s %*s %lu", &from, &to, &inode) == 3
			&& from <= (unsigned long)(uintptr_t)address && (unsigned long)(uintptr_t)address < to)
			found = inode;
	}
	fclose(file);
	return (ino_t)found;
}

/*
 * A record lock on the memory, by the open file that goes from hand to hand: /proc/locks lists it
 * for as long as that is open in any process, or on its way.
 */
static void mark(ino_t inode)
{
	int fd, marked = 0;
	for (fd = 3; fd < 1024; fd++) {
		struct stat stat;
		struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
		if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_nlink == 0 && stat.st_ino == inode
			&& fcntl(fd, F_OFD_SETLK, &lock) == 0)
			marked++;
	}
	CHECK_EQ(marked, 1);
}

static int is_held(ino_t inode)
{
	FILE *file = fopen("/proc/locks", "re");
	char line[256], wanted[32];
	int found = 0;
	CHECK(file != NULL);
	snprintf(wanted, sizeof wanted, ":%lu ", (unsigned long)inode);
	while (fgets(line, sizeof line, file) != NULL)
		if (strstr(line, "OFDLCK") != NULL && strstr(line, wanted) != NULL)
			found = 1;
	fclose(file);
	return found;
}

/* The kernel frees what no process holds as soon as the process is gone; it takes a moment to
 * be. */
static void check_freed(ino_t inode)
{
	int tries;
	for (tries = 0; is_held(inode) && tries < 3000; tries++)
		usleep(10000);
	CHECK(!is_held(inode));
}

static int team(int from, int to)
{
	message request;
	while (read(from, &request, sizeof request) == (ssize_t)sizeof request) {
		area_info info;
		void *address;
		area_id clone;
		switch (request.what) {
			case MAKE:
				request.id = create_area("chain", &address, B_ANY_ADDRESS, PAGES * PAGE, B_NO_LOCK, RW);
				CHECK(request.id > 0);
				write_bytes(address, 0);
				request.inode = inode_at(address);
				mark(request.inode);
				break;
			case GIVE:
				CHECK_EQ(get_area_info(request.id, &info), B_OK);
				address = info.address;
				clone = _kern_transfer_area(request.id, &address, B_ANY_ADDRESS, request.team);
				CHECK(clone > 0 && clone != request.id);
				/* Before any call that might map another team's table there. */
				CHECK_STR(check_maps(address), "");
				CHECK_EQ(get_area_info(request.id, &info), B_BAD_VALUE);
				request.id = clone;
				break;
			case COUNT:
				/* What was given is there at this very call. */
				CHECK_EQ(get_area_info(request.id, &info), B_OK);
				CHECK_EQ(info.team, getpid());
				CHECK_EQ(info.size, PAGES * PAGE);
				CHECK_EQ(inode_at(info.address), request.inode);
				check_bytes(info.address, request.hops);
				write_bytes(info.address, request.hops + 1);
				break;
			case LOOK:
				clone = clone_area("look", &address, B_ANY_ADDRESS, B_READ_AREA, request.id);
				CHECK(clone > 0);
				check_bytes(address, request.hops);
				CHECK_EQ(delete_area(clone), B_OK);
				break;
			case IDLE:
				/* All that a receiver has done. */
				CHECK_EQ(find_area("no area has this name"), B_NAME_NOT_FOUND);
				break;
		}
		CHECK_EQ(write(to, &request, sizeof request), (ssize_t)sizeof request);
	}
	return 0;
}

static message ask(int number, message request)
{
	struct pollfd waiting = { teams[number].from, POLLIN, 0 };
	CHECK_EQ(write(teams[number].to, &request, sizeof request), (ssize_t)sizeof request);
	CHECK_EQ(poll(&waiting, 1, 60000), 1);
	CHECK_EQ(read(teams[number].from, &request, sizeof request), (ssize_t)sizeof request);
	return request;
}

static void start(int number)
{
	int to[2], from[2], other;
	message idle = { IDLE, 0, 0, 0, 0 };
	CHECK(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
	teams[number].pid = check_fork();
	if (teams[number].pid == 0) {
		close(to[1]);
		close(from[0]);
		for (other = 0; other < TEAMS; other++)
			if (other != number && teams[other].pid != 0) {
				close(teams[other].to);
				close(teams[other].from);
			}
		_exit(team(to[0], from[1]));
	}
	close(to[0]);
	close(from[1]);
	teams[number].to = to[1];
	teams[number].from = from[0];
	ask(number, idle);
}

static void kill_team(int number)
{
	CHECK_EQ(kill(teams[number].pid, SIGKILL), 0);
	check_killed(teams[number].pid, SIGKILL);
	close(teams[number].to);
	close(teams[number].from);
	teams[number].pid = 0;
}

static void restart(int number)
{
	kill_team(number);
	start(number);
}

/* From a team to the next one: the id that it has there. */
static void give(int from, int to, message *given)
{
	given->what = GIVE;
	given->team = teams[to].pid;
	given->id = ask(from, *given).id;
}

static void count(int number, message *counted)
{
	counted->what = COUNT;
	ask(number, *counted);
	counted->hops++;
}

static void look(int number, message seen)
{
	seen.what = LOOK;
	ask(number, seen);
}

static message made(int number)
{
	message make = { MAKE, 0, 0, 0, 0 };
	make = ask(number, make);
	CHECK(is_held(make.inode));
	return make;
}

/* What is handed on, and its holder. */
static message area;
static int at;

/* On and on, and back; the third team looks. */
static void from_hand_to_hand_and_back(void)
{
	int round;
	for (round = 0; round < 4 * TEAMS; round++) {
		int step = round < 2 * TEAMS ? 1 : TEAMS - 1, next = (at + step) % TEAMS;
		give(at, next, &area);
		count(next, &area);
		look((next + 1) % TEAMS, area);
		at = next;
	}
	CHECK_EQ(area.hops, 4 * TEAMS);
}

/* Each giver is killed as soon as it has given: the next one has it all the same. */
static void each_giver_is_killed(void)
{
	int round;
	for (round = 0; round < 2 * TEAMS; round++) {
		int next = (at + 1) % TEAMS;
		give(at, next, &area);
		restart(at);
		CHECK(is_held(area.inode));
		count(next, &area);
		look(at, area);
		at = next;
	}
}

/* Three areas, each to the next team, before any has called; two of them go with their holders. */
static void three_at_once(void)
{
	message all[TEAMS];
	int round;
	for (round = 0; round < TEAMS; round++)
		all[round] = round == at ? area : made(round);
	for (round = 0; round < TEAMS; round++)
		give(round, (round + 1) % TEAMS, &all[round]);
	for (round = 0; round < TEAMS; round++) {
		int next = (round + 1) % TEAMS;
		CHECK(all[round].id != all[next].id);
		count(next, &all[round]);
		look(round, all[round]);
	}
	for (round = 0; round < TEAMS; round++)
		if (round != at)
			restart((round + 1) % TEAMS);
	for (round = 0; round < TEAMS; round++)
		if (round != at)
			check_freed(all[round].inode);
	area = all[at];
	at = (at + 1) % TEAMS;
	look((at + 1) % TEAMS, area);
}

/* A receiver that is killed before it has called takes it along, though its giver lives. */
static void the_receiver_is_killed(void)
{
	int next = (at + 1) % TEAMS;
	give(at, next, &area);
	CHECK(is_held(area.inode));
	kill_team(next);
	check_freed(area.inode);
	start(next);
}

static void giver_and_receiver_are_killed(void)
{
	int next = (at + 1) % TEAMS;
	message other = made(at);
	give(at, next, &other);
	restart(at);
	CHECK(is_held(other.inode));
	restart(next);
	check_freed(other.inode);
}

/* It has been in all hands: it goes with the last, and no sooner. */
static void all_are_killed(void)
{
	int last = (at + 2) % TEAMS;
	area = made(at);
	give(at, (at + 1) % TEAMS, &area);
	count((at + 1) % TEAMS, &area);
	give((at + 1) % TEAMS, last, &area);
	count(last, &area);
	kill_team(at);
	kill_team((at + 1) % TEAMS);
	CHECK(is_held(area.inode));
	kill_team(last);
	check_freed(area.inode);
}

int main(void)
{
	int number;
	for (number = 0; number < TEAMS; number++)
		start(number);
	area = made(at);
	from_hand_to_hand_and_back();
	each_giver_is_killed();
	three_at_once();
	the_receiver_is_killed();
	giver_and_receiver_are_killed();
	all_are_killed();
	return 0;
}
