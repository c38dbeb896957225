/*
 * A server and its client, two teams: the client clones once, the server grows the area, and the
 * client uses the new bytes without a call; a producer hands an area over and keeps nothing; a kill
 * leaves nothing behind.
 */
#include <OS.h>
#include <syscalls.h>

#include "check.h"

#define PAGE ((size_t)B_PAGE_SIZE)
#define RW (B_READ_AREA | B_WRITE_AREA)
#define GROWN (128 * PAGE)

static int to_server[2], to_client[2];

static int client(void)
{
	void *address;
	addr_t range = 0;
	volatile char *bytes;
	area_id source, clone, given;
	area_info info;
	pid_t server = getppid();
	check_hear(to_client[0]);
	/* A reserved range, so that there is room to grow into. */
	CHECK_EQ(_kern_reserve_address_range(&range, B_ANY_ADDRESS, 16 << 20), B_OK);
	source = find_area("server");
	CHECK(source > 0);
	address = (void *)range;
	clone = clone_area("client", &address, B_EXACT_ADDRESS, RW, source);
	CHECK(clone > 0);
	bytes = address;
	CHECK_EQ(bytes[0], 's');
	check_send(to_server[1], 'c');
	/* No call from here on. */
	check_hear(to_client[0]);
	CHECK_EQ(bytes[GROWN - 1], 'g');
	bytes[GROWN - 2] = 'c';
	check_send(to_server[1], 'w');
	check_hear(to_client[0]);
	CHECK_EQ(get_area_info(clone, &info), B_OK);
	CHECK_EQ(info.size, PAGE);
	/* What was handed over is ours from this call on. */
	check_send(to_server[1], 't');
	check_hear(to_client[0]);
	given = find_area("given");
	CHECK(given > 0);
	CHECK_EQ(get_area_info(given, &info), B_OK);
	CHECK_EQ(info.team, getpid());
	CHECK(info.team != server);
	CHECK_STR((char *)info.address, "handed over");
	CHECK_EQ(resize_area(given, 2 * PAGE), B_OK);
	CHECK_EQ(delete_area(given), B_OK);
	check_send(to_server[1], 'd');
	for (;;)
		pause();
}

int main(void)
{
	char *address;
	void *given_address;
	pid_t child;
	area_id id, given, clone;
	area_info info;
	CHECK(pipe(to_server) == 0 && pipe(to_client) == 0);
	child = check_fork();
	if (child == 0)
		return client();
	id = create_area("server", (void **)&address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(id > 0);
	address[0] = 's';
	check_send(to_client[1], 'r');
	CHECK_EQ(check_hear(to_server[0]), 'c');
	CHECK_EQ(resize_area(id, GROWN), B_OK);
	address[GROWN - 1] = 'g';
	check_send(to_client[1], 'g');
	CHECK_EQ(check_hear(to_server[0]), 'w');
	CHECK_EQ(address[GROWN - 2], 'c');
	CHECK_EQ(resize_area(id, PAGE), B_OK);
	check_send(to_client[1], 's');
	CHECK_EQ(check_hear(to_server[0]), 't');
	given = create_area("given", &given_address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	CHECK(given > 0);
	strcpy(given_address, "handed over");
	clone = _kern_transfer_area(given, &given_address, B_ANY_ADDRESS, child);
	CHECK(clone > 0 && clone != given);
	CHECK_EQ(get_area_info(given, &info), B_BAD_VALUE);
	CHECK_EQ(area_for(given_address), B_ERROR);
	CHECK_STR(check_maps(given_address), "");
	check_send(to_client[1], 'g');
	CHECK_EQ(check_hear(to_server[0]), 'd');
	CHECK_EQ(get_area_info(clone, &info), B_BAD_VALUE);
	CHECK_EQ(find_area("given"), B_NAME_NOT_FOUND);

	/* Within the own team it is there at once, under a new id. */
	given = create_area("moved", &given_address, B_ANY_ADDRESS, PAGE, B_NO_LOCK, RW);
	strcpy(given_address, "moved");
	clone = _kern_transfer_area(given, &given_address, B_ANY_ADDRESS, getpid());
	CHECK(clone > 0 && clone != given);
	CHECK_STR((char *)given_address, "moved");
	CHECK_EQ(area_for(given_address), clone);
	CHECK_EQ(get_area_info(given, &info), B_BAD_VALUE);
	CHECK_EQ(delete_area(clone), B_OK);

	/* The client is killed: its ids go at once, the server's area is as it was. */
	clone = find_area("client");
	CHECK(clone > 0);
	CHECK_EQ(kill(child, SIGKILL), 0);
	check_killed(child, SIGKILL);
	CHECK_EQ(get_area_info(clone, &info), B_BAD_VALUE);
	CHECK_EQ(find_area("client"), B_NAME_NOT_FOUND);
	CHECK_EQ(address[0], 's');
	CHECK_EQ(delete_area(id), B_OK);
	return 0;
}
