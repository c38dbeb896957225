/*
 * Every function, given NULL and nonsense: the documented error, with words behind it, and nothing
 * made.
 */
#include <areas.h>
#include <stddef.h>
#include <limits.h>
#include <pthread.h>
#include <sys/socket.h>

#include "check.h"

#define PAGE ((size_t)4096)
#define ABSENT 0x7fffffff

/* A function that gives a number gave that error, and said so. */
#define FAILS(call, expected) \
	do { \
		CHECK_EQ(call, expected); \
		CHECK_EQ(areas_error_number(), expected); \
		CHECK(strncmp(areas_error_text(), "cannot ", 7) == 0); \
	} while (0)

/* A function that makes something made nothing, for that reason. */
#define MAKES_NOTHING(call, expected) \
	do { \
		CHECK((call) == NULL); \
		CHECK_EQ(areas_error_number(), expected); \
		CHECK(strncmp(areas_error_text(), "cannot ", 7) == 0); \
	} while (0)

static areas_attributes asked(void)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	wanted.size = PAGE;
	return wanted;
}

/* How many memory objects of ours are mapped. */
static int mapped(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int count = 0;
	CHECK(maps != NULL);
	while (fgets(line, sizeof line, maps) != NULL)
		count += strstr(line, "/memfd:area:") != NULL;
	fclose(maps);
	return count;
}

static void creating(void)
{
	areas_attributes wanted;
	areas_area *first;
	char longest[300];
	struct {
		areas_attributes known;
		uint64_t more;
	} newer;
#define WRONG(field, value, error) \
	do { \
		wanted = asked(); \
		wanted.field = value; \
		MAKES_NOTHING(areas_create(&wanted), error); \
	} while (0)
	MAKES_NOTHING(areas_create(NULL), AREAS_ERROR_INVALID_INPUT);
	WRONG(struct_size, 0, AREAS_ERROR_INVALID_INPUT);
	CHECK(strstr(areas_error_help(), "AREAS_ATTRIBUTES") != NULL);
	WRONG(struct_size, 8, AREAS_ERROR_INVALID_INPUT);
	/* The first version of the header ended before the flags. */
	WRONG(struct_size, offsetof(areas_attributes, flags) - 1, AREAS_ERROR_INVALID_INPUT);
	wanted = asked();
	wanted.struct_size = offsetof(areas_attributes, flags);
	wanted.flags = UINT64_MAX;
	first = areas_create(&wanted);
	CHECK(first != NULL);
	areas_release(first);
	WRONG(flags, 2, AREAS_ERROR_INVALID_INPUT);
	WRONG(struct_size, SIZE_MAX, AREAS_ERROR_INVALID_INPUT);
	WRONG(size, 0, AREAS_ERROR_INVALID_INPUT);
	WRONG(size, (size_t)1 << 46, AREAS_ERROR_NO_MEMORY);
	WRONG(size, SIZE_MAX, AREAS_ERROR_INVALID_INPUT);
	WRONG(name, "", AREAS_ERROR_INVALID_INPUT);
	memset(longest, 'n', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	WRONG(name, longest, AREAS_ERROR_INVALID_INPUT);
	WRONG(kind, AREAS_FROZEN, AREAS_ERROR_INVALID_INPUT);
	WRONG(kind, AREAS_STORED, AREAS_ERROR_UNSUPPORTED);
	WRONG(kind, 6, AREAS_ERROR_INVALID_INPUT);
	WRONG(kind, UINT32_MAX, AREAS_ERROR_INVALID_INPUT);
	WRONG(protection, 32, AREAS_ERROR_INVALID_INPUT);
	WRONG(protection, UINT32_MAX, AREAS_ERROR_INVALID_INPUT);
	WRONG(lock, 7, AREAS_ERROR_INVALID_INPUT);
	WRONG(pages, 4, AREAS_ERROR_INVALID_INPUT);
	WRONG(page_size, 12345, AREAS_ERROR_INVALID_INPUT);
	WRONG(max, 2 * PAGE, AREAS_ERROR_INVALID_INPUT);
	WRONG(address_form, AREAS_AT_SOURCE, AREAS_ERROR_INVALID_INPUT);
	WRONG(address_form, 6, AREAS_ERROR_INVALID_INPUT);
	WRONG(address_form, AREAS_EXACTLY, AREAS_ERROR_INVALID_INPUT); /* at NULL */
	WRONG(reserved, 1, AREAS_ERROR_INVALID_INPUT);
	WRONG(placement.policy, 7, AREAS_ERROR_INVALID_INPUT);
	WRONG(placement.policy, AREAS_BIND, AREAS_ERROR_INVALID_INPUT); /* no nodes */
	WRONG(placement.nodes.words[0], 1, AREAS_ERROR_INVALID_INPUT); /* no policy */
	WRONG(placement.flags, 2, AREAS_ERROR_INVALID_INPUT);
	WRONG(placement.has_home, 2, AREAS_ERROR_INVALID_INPUT);
	wanted = asked();
	wanted.placement.policy = AREAS_BIND;
	wanted.placement.nodes.words[15] = 1ULL << 63;
	MAKES_NOTHING(areas_create(&wanted), AREAS_ERROR_NODE_NOT_ALLOWED);
	wanted.placement.policy = AREAS_PREFERRED;
	wanted.placement.nodes.words[15] = 3;
	MAKES_NOTHING(areas_create(&wanted), AREAS_ERROR_INVALID_INPUT);
	wanted = asked();
	wanted.address_form = AREAS_EXACTLY;
	wanted.address = (void *)((uintptr_t)&wanted & ~(PAGE - 1));
	MAKES_NOTHING(areas_create(&wanted), AREAS_ERROR_ADDRESS_IN_USE);
	wanted.address = (void *)(uintptr_t)0x10000001;
	MAKES_NOTHING(areas_create(&wanted), AREAS_ERROR_INVALID_INPUT);
	wanted = asked();
	wanted.kind = AREAS_PRIVATE;
	wanted.name = "private";
	MAKES_NOTHING(areas_create(&wanted), AREAS_ERROR_INVALID_INPUT);
	wanted = asked();
	wanted.kind = AREAS_GROWABLE;
	wanted.max = 4 * PAGE;
	wanted.lock = AREAS_LOCK_FULL;
	MAKES_NOTHING(areas_create(&wanted), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_find("private"), AREAS_ERROR_NO_SUCH_AREA);

	/* A program that knows more than the library: what it asks beyond that is refused, and nothing
	 * is fine. */
	memset(&newer, 0, sizeof newer);
	newer.known = asked();
	newer.known.struct_size = sizeof newer;
	newer.more = 1ULL << 40;
	MAKES_NOTHING(areas_create(&newer.known), AREAS_ERROR_INVALID_INPUT);
	CHECK(strstr(areas_error_help(), "newer") != NULL);
	newer.more = 0;
	{
		areas_area *area = areas_create(&newer.known);
		CHECK(area != NULL);
		areas_release(area);
	}
	CHECK_EQ(mapped(), 0);
}

static void null(void)
{
	areas_info info = AREAS_INFO;
	areas_residency residency = AREAS_RESIDENCY;
	areas_verification verification = AREAS_VERIFICATION;
	areas_migration migration = AREAS_MIGRATION;
	areas_grant grant = AREAS_GRANT;
	areas_placement placement;
	areas_part part = { 0, 1 };
	areas_nodeset nodes;
	memset(&placement, 0, sizeof placement);

	areas_release(NULL);
	areas_provider_release(NULL);
	areas_mapping_unmap(NULL);
	CHECK(areas_address(NULL) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_size(NULL), 0);
	FAILS(areas_id(NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_descriptor(NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_look(NULL, &info), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_publish(NULL, "name"), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_resize(NULL, PAGE), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_protect(NULL, AREAS_READ), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_freeze(NULL, 0), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_populate(NULL, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_granted(NULL, &grant, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_measure(NULL, &residency, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_measure_range(NULL, PAGE, &residency, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_verify(NULL, &verification, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_place(NULL, 0, PAGE, &placement), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_place_split(NULL, 0, PAGE, &part, 1), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_migrate(NULL, &placement, &migration, NULL, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_transfer(NULL, 1, AREAS_ANYWHERE, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_send(NULL, 0, 0), AREAS_ERROR_INVALID_INPUT);
	MAKES_NOTHING(areas_receive(-1), AREAS_ERROR_INVALID_INPUT);
	MAKES_NOTHING(areas_receive(INT_MAX), AREAS_ERROR_IO);
	CHECK_EQ(areas_error_errno(), EBADF);
	MAKES_NOTHING(areas_clone_named(NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	MAKES_NOTHING(areas_clone_named("", NULL), AREAS_ERROR_INVALID_INPUT);
	MAKES_NOTHING(areas_clone_named("no such area", NULL), AREAS_ERROR_NO_SUCH_AREA);
	MAKES_NOTHING(areas_clone(0, NULL), AREAS_ERROR_INVALID_INPUT);
	MAKES_NOTHING(areas_clone(ABSENT, NULL), AREAS_ERROR_NO_SUCH_AREA);
	FAILS(areas_find(NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_find(""), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_wait(NULL, 0), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_wait("no such area", 1), AREAS_ERROR_TIMED_OUT);
	FAILS(areas_at(NULL), AREAS_ERROR_NO_SUCH_AREA);
	FAILS(areas_at((void *)UINTPTR_MAX), AREAS_ERROR_NO_SUCH_AREA);
	FAILS(areas_get(-1, &info), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_get(ABSENT, &info), AREAS_ERROR_NO_SUCH_AREA);
	FAILS(areas_get(ABSENT, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_next(INT_MAX, NULL, &info), AREAS_ERROR_NO_SUCH_TEAM);
	FAILS(areas_next((uint32_t)getpid(), NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_next((uint32_t)getpid(), NULL, &info), 0);
	CHECK_EQ(areas_list(NULL, NULL, NULL), 0);
	FAILS(areas_holders(ABSENT, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_measure_id(ABSENT, &residency, NULL, NULL), AREAS_ERROR_NO_SUCH_AREA);
	FAILS(areas_migrate_id(ABSENT, &placement, &migration, NULL, NULL, NULL), AREAS_ERROR_NO_SUCH_AREA);
	FAILS(areas_migrate_id(-1, &placement, &migration, NULL, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_migrate_id(ABSENT, NULL, &migration, NULL, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_migrate_id(ABSENT, &placement, NULL, NULL, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_measure_range((void *)(UINTPTR_MAX - PAGE), SIZE_MAX, &residency, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_measure_range((void *)(uintptr_t)0x10000, PAGE, &residency, NULL, NULL), AREAS_ERROR_OUT_OF_RANGE);
	FAILS(areas_nodes_parse(NULL, &nodes), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_nodes_parse("0", NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_nodes_parse("3-1", &nodes), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_nodes_parse("1024", &nodes), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_nodes_format(NULL, NULL, 0), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_nodes_parse("0-3,8", &nodes), 0);
	CHECK_EQ(areas_nodes_format(&nodes, NULL, 0), 5);
	{
		char cut[4] = "xyz";
		CHECK_EQ(areas_nodes_format(&nodes, cut, sizeof cut), 5);
		CHECK_STR(cut, "0-3");
	}
	FAILS(areas_nodes_allowed(NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_nodes(NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_distance(0, 1023), AREAS_ERROR_NODE_NOT_ALLOWED);
	FAILS(areas_distance(UINT32_MAX, 0), AREAS_ERROR_INVALID_INPUT);
	MAKES_NOTHING(areas_take(0, NULL), AREAS_ERROR_TIMED_OUT);
	CHECK_EQ(areas_refuse(), 0);
	MAKES_NOTHING(areas_provider_custom(NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	MAKES_NOTHING(areas_provider_placed(NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	MAKES_NOTHING(areas_provider_striped(NULL, NULL, 1), AREAS_ERROR_INVALID_INPUT);
	MAKES_NOTHING(areas_provider_striped(NULL, &nodes, 0), AREAS_ERROR_INVALID_INPUT);
	MAKES_NOTHING(areas_provider_spilled(NULL, NULL, 1), AREAS_ERROR_INVALID_INPUT);
	MAKES_NOTHING(areas_provider_spilled(NULL, (const uint32_t[]) { 0 }, 0), AREAS_ERROR_INVALID_INPUT);
	MAKES_NOTHING(areas_provider_spilled(NULL, (const uint32_t[]) { 5000 }, 1), AREAS_ERROR_INVALID_INPUT);
	MAKES_NOTHING(areas_request_map(NULL, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_request_size(NULL), 0);
	CHECK_EQ(areas_request_protection(NULL), 0);
	FAILS(areas_request_shared(NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_request_placement(NULL, &placement), AREAS_ERROR_INVALID_INPUT);
	CHECK(areas_mapping_address(NULL) == NULL);
	CHECK_EQ(areas_mapping_size(NULL), 0);
	FAILS(areas_error_set(AREAS_ERROR_BUSY, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_error_set(1, "do this", NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_error_set(AREAS_ERROR_SYSTEM - 1, "do this", NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_error_set(AREAS_ERROR_BUSY, "do this", NULL), AREAS_ERROR_BUSY);
	CHECK_STR(areas_error_text(), "cannot do this");
	CHECK_STR(areas_error_remedy(), "");
}

/* The other arguments, with an area that is one. */
static void areas(void)
{
	areas_attributes wanted = asked();
	areas_cloning how = AREAS_CLONING;
	areas_info info = AREAS_INFO;
	areas_placement placement;
	areas_part part = { 0, 1 };
	areas_migration migration = AREAS_MIGRATION;
	areas_residency residency = AREAS_RESIDENCY;
	areas_receiving receiving = AREAS_RECEIVING;
	areas_area *private_one, *area = areas_create(&wanted);
	int sockets[2];
	char bytes[100];
	CHECK(area != NULL);
	memset(&placement, 0, sizeof placement);

	FAILS(areas_publish(area, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_publish(area, ""), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_look(area, NULL), AREAS_ERROR_INVALID_INPUT);
	info.struct_size = 4;
	FAILS(areas_look(area, &info), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_measure(area, NULL, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	residency.struct_size = 0;
	FAILS(areas_measure(area, &residency, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_granted(area, NULL, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_verify(area, NULL, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_resize(area, 2 * PAGE), AREAS_ERROR_UNSUPPORTED);
	FAILS(areas_protect(area, 0), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_protect(area, 0x4000), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_freeze(area, -1), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_place(area, 0, PAGE, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_place_split(area, 0, PAGE, NULL, 1), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_place_split(area, 0, PAGE, &part, 0), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_place_split(area, 0, PAGE, &part, 1025), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_place_split(area, 1, PAGE, &part, 1), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_place_split(area, PAGE, SIZE_MAX, &part, 1), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_place_split(area, 2 * PAGE, PAGE, &part, 1), AREAS_ERROR_OUT_OF_RANGE);
	part.node = 1023;
	FAILS(areas_place_split(area, 0, PAGE, &part, 1), AREAS_ERROR_NODE_NOT_ALLOWED);
	part.node = 5000;
	FAILS(areas_place_split(area, 0, PAGE, &part, 1), AREAS_ERROR_INVALID_INPUT);
	part = (areas_part){ 0, 0 };
	FAILS(areas_place_split(area, 0, PAGE, &part, 1), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_place(area, 1, PAGE, &placement), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_place(area, PAGE, SIZE_MAX, &placement), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_place(area, 2 * PAGE, PAGE, &placement), AREAS_ERROR_OUT_OF_RANGE);
	FAILS(areas_migrate(area, NULL, &migration, NULL, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_migrate(area, &placement, NULL, NULL, NULL, NULL), AREAS_ERROR_INVALID_INPUT);
	placement.policy = AREAS_BIND;
	placement.nodes.words[15] = 1;
	FAILS(areas_place(area, 0, PAGE, &placement), AREAS_ERROR_NODE_NOT_ALLOWED);
	FAILS(areas_migrate(area, &placement, &migration, NULL, NULL, NULL), AREAS_ERROR_NODE_NOT_ALLOWED);
	FAILS(areas_transfer(area, (uint32_t)getpid(), AREAS_ANYWHERE, NULL), AREAS_ERROR_INVALID_INPUT); /* not published */
	FAILS(areas_send(area, -1, 0), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_send(area, 0, 2), AREAS_ERROR_INVALID_INPUT);
	CHECK(areas_publish(area, "errors") > 0);
	FAILS(areas_publish(area, "twice"), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_transfer(area, INT_MAX, AREAS_ANYWHERE, NULL), AREAS_ERROR_NO_SUCH_TEAM);
	FAILS(areas_transfer(area, 1, 77, NULL), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_transfer(area, 1, AREAS_AT_SOURCE, NULL), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_find("errors"), areas_id(area)); /* it came back */
	how.struct_size = 1;
	MAKES_NOTHING(areas_clone_named("errors", &how), AREAS_ERROR_INVALID_INPUT);
	how.struct_size = sizeof how;
	how.address_form = 6;
	MAKES_NOTHING(areas_clone_named("errors", &how), AREAS_ERROR_INVALID_INPUT);
	how.address_form = 0;
	how.protection = 0x100;
	MAKES_NOTHING(areas_clone_named("errors", &how), AREAS_ERROR_INVALID_INPUT);
	how.protection = 0;
	how.name = "";
	MAKES_NOTHING(areas_clone_named("errors", &how), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_freeze(area, AREAS_DEFAULT_TIMEOUT), 0);
	how.name = NULL;
	how.protection = AREAS_READ | AREAS_WRITE;
	MAKES_NOTHING(areas_clone_named("errors", &how), AREAS_ERROR_FROZEN);

	wanted.kind = AREAS_PRIVATE;
	private_one = areas_create(&wanted);
	CHECK(private_one != NULL);
	FAILS(areas_publish(private_one, "name"), AREAS_ERROR_UNSUPPORTED);
	FAILS(areas_descriptor(private_one), AREAS_ERROR_UNSUPPORTED);
	FAILS(areas_freeze(private_one, 0), AREAS_ERROR_UNSUPPORTED);
	FAILS(areas_resize(private_one, PAGE), AREAS_ERROR_UNSUPPORTED);
	FAILS(areas_transfer(private_one, 1, AREAS_ANYWHERE, NULL), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	FAILS(areas_send(private_one, sockets[0], 0), AREAS_ERROR_UNSUPPORTED);
	/* What came is not an area, and stays the program's; and then: no process is there. */
	CHECK_EQ(write(sockets[0], "this is no area, but some bytes that are long enough to be looked at", 68), 68);
	CHECK_EQ(close(sockets[0]), 0);
	CHECK(areas_receive(sockets[1]) == NULL);
	MAKES_NOTHING(areas_receive(sockets[1]), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_discard(sockets[1]), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(read(sockets[1], bytes, sizeof(bytes)), 68);
	MAKES_NOTHING(areas_receive(sockets[1]), AREAS_ERROR_IO);
	MAKES_NOTHING(areas_receive_with(sockets[1], NULL), AREAS_ERROR_INVALID_INPUT);
	receiving.flags = 4;
	MAKES_NOTHING(areas_receive_with(sockets[1], &receiving), AREAS_ERROR_INVALID_INPUT);
	receiving.flags = AREAS_RECEIVE_LOCK_AT_MOST;
	receiving.lock_at_most = 99;
	MAKES_NOTHING(areas_receive_with(sockets[1], &receiving), AREAS_ERROR_INVALID_INPUT);
	receiving.flags = 0;
	receiving.pages = 5;
	MAKES_NOTHING(areas_receive_with(sockets[1], &receiving), AREAS_ERROR_INVALID_INPUT);
	receiving.pages = 0;
	receiving.room = PAGE;
	MAKES_NOTHING(areas_receive_with(sockets[1], &receiving), AREAS_ERROR_INVALID_INPUT);
	receiving.room = 0;
	MAKES_NOTHING(areas_from_descriptor(-1, NULL), AREAS_ERROR_INVALID_INPUT);
	MAKES_NOTHING(areas_from_descriptor(INT_MAX, NULL), AREAS_ERROR_SYSTEM);
	MAKES_NOTHING(areas_from_descriptor(sockets[1], NULL), AREAS_ERROR_INVALID_INPUT);
	receiving.flags = AREAS_RECEIVE_TIMEOUT;
	MAKES_NOTHING(areas_from_descriptor(areas_descriptor(area), &receiving), AREAS_ERROR_INVALID_INPUT);
	receiving.flags = 0;
	receiving.max_bytes = 1;
	MAKES_NOTHING(areas_from_descriptor(areas_descriptor(area), &receiving), AREAS_ERROR_LIMIT);
	receiving.struct_size = 0;
	MAKES_NOTHING(areas_receive_with(sockets[1], &receiving), AREAS_ERROR_INVALID_INPUT);
	MAKES_NOTHING(areas_from_descriptor(areas_descriptor(area), &receiving), AREAS_ERROR_INVALID_INPUT);
	FAILS(areas_discard(-1), AREAS_ERROR_INVALID_INPUT);
	close(sockets[1]);
	areas_release(private_one);
	areas_release(area);
}

static void *another_thread(void *context)
{
	(void)context;
	CHECK_EQ(areas_error_number(), 0);
	CHECK_STR(areas_error_text(), "");
	CHECK_STR(areas_error_help(), "");
	CHECK_STR(areas_error_remedy(), "");
	CHECK_EQ(areas_error_errno(), 0);
	return NULL;
}

/* Each thread has its own; what it says stays where it is until the next failure. */
static void words(void)
{
	pthread_t thread;
	const char *text;
	CHECK_EQ(areas_find("no such area"), AREAS_ERROR_NO_SUCH_AREA);
	text = areas_error_text();
	CHECK(strstr(text, "no such area") != NULL);
	CHECK(areas_error_text() == text);
	CHECK_EQ(areas_list(NULL, NULL, NULL), 0);
	CHECK(areas_error_text() == text);
	CHECK_EQ(pthread_create(&thread, NULL, another_thread, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(areas_error_text() == text);
}

int main(void)
{
	creating();
	null();
	areas();
	words();
	return 0;
}
