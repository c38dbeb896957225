/*
 * Providers: layers, and one that is written in C. What they map is looked at in the kernel.
 */
#include <areas.h>

#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#define PAGE ((size_t)4096)

/* What a provider of ours knows. */
struct shark {
	const areas_provider *inner;
	int bite, maps, unmapped, done, fail;
	void *last;
	size_t last_size;
	areas_mapping *kept;
};

static int shark_map(void *context, const areas_request *request, areas_mapping **mapping)
{
	struct shark *shark = (struct shark *)context;
	areas_placement placement;
	areas_mapping *mapped;
	shark->maps++;
	if (shark->fail == 1)
		return areas_error_set(AREAS_ERROR_BUSY, "bite", "wait for the tide");
	if (shark->fail == 2)
		return AREAS_ERROR_NO_MEMORY;
	if (shark->fail == 3)
		return 0; /* and no mapping */
	if (shark->fail == 4)
		return 12345;
	CHECK(areas_request_protection(request) & AREAS_WRITE);
	CHECK_EQ(areas_request_placement(request, &placement), 0);
	mapped = areas_request_map(request, shark->inner, NULL);
	if (mapped == NULL)
		return areas_error_number();
	CHECK_EQ(areas_mapping_size(mapped), areas_request_size(request));
	memset(areas_mapping_address(mapped), shark->bite, areas_mapping_size(mapped));
	if (shark->fail == 5) {
		areas_mapping_unmap(mapped);
		return AREAS_ERROR_LIMIT;
	}
	if (shark->fail == 6) {
		/* The one for this request it keeps, and answers with the one before. */
		*mapping = shark->kept;
		shark->kept = mapped;
		return *mapping == NULL ? AREAS_ERROR_NO_MEMORY : 0;
	}
	*mapping = mapped;
	return 0;
}

static void shark_unmapped(void *context, void *address, size_t size)
{
	struct shark *shark = (struct shark *)context;
	CHECK_STR(check_maps(address), "");
	shark->unmapped++;
	shark->last = address;
	shark->last_size = size;
}

static void shark_done(void *context)
{
	((struct shark *)context)->done++;
}

static areas_attributes asked(const areas_provider *provider, uint32_t kind)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	wanted.size = 3 * PAGE;
	wanted.kind = kind;
	wanted.provider = provider;
	return wanted;
}

static void custom(void)
{
	static const int failures[][2] = { { 1, AREAS_ERROR_BUSY }, { 2, AREAS_ERROR_NO_MEMORY },
		{ 3, AREAS_ERROR_INVALID_INPUT }, { 4, AREAS_ERROR_SYSTEM }, { 5, AREAS_ERROR_LIMIT } };
	struct shark shark = { NULL, 0x5a, 0, 0, 0, 0, NULL, 0, NULL };
	areas_provider_operations operations = AREAS_PROVIDER_OPERATIONS;
	areas_provider *provider;
	areas_attributes wanted;
	areas_area *private_one, *shared, *another;
	const char *words;
	void *start;
	size_t i;

	operations.unmapped = shark_unmapped;
	CHECK(areas_provider_custom(&operations, &shark) == NULL); /* no map */
	operations.map = shark_map;
	operations.done = shark_done;
	provider = areas_provider_custom(&operations, &shark);
	CHECK(provider != NULL);

	wanted = asked(provider, AREAS_PRIVATE);
	private_one = areas_create(&wanted);
	CHECK(private_one != NULL);
	start = areas_address(private_one);
	for (i = 0; i < 3 * PAGE; i++)
		CHECK_EQ(((unsigned char *)start)[i], 0x5a);
	CHECK_STR(check_maps(start), "rw-p");
	wanted = asked(provider, AREAS_SHARED);
	wanted.name = "of a shark";
	shared = areas_create(&wanted);
	CHECK(shared != NULL);
	CHECK_EQ(*(unsigned char *)areas_address(shared), 0x5a);
	CHECK_STR(check_maps(areas_address(shared)), "rw-s");
	CHECK_EQ(areas_freeze(shared, AREAS_DEFAULT_TIMEOUT), 0);

	for (i = 0; i < sizeof failures / sizeof *failures; i++) {
		shark.fail = failures[i][0];
		CHECK(areas_create(&wanted) == NULL);
		CHECK_EQ(areas_error_number(), failures[i][1]);
		if (i == 0) {
			CHECK_STR(areas_error_text(), "cannot bite");
			CHECK_STR(areas_error_remedy(), "wait for the tide");
		}
	}
	/* A failure that was reported before is not what a provider that says nothing fails with. */
	CHECK_EQ(areas_find("no such area"), AREAS_ERROR_NO_SUCH_AREA);
	shark.fail = 2;
	CHECK(areas_create(&wanted) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_NO_MEMORY);
	CHECK(strstr(areas_error_text(), "no such area") == NULL);
	/* What a provider gets over is no failure of the call: the words of the last one stay where
	 * they are. */
	CHECK_EQ(areas_find("no such area"), AREAS_ERROR_NO_SUCH_AREA);
	words = areas_error_text();
	shark.fail = 0;
	wanted.name = NULL;
	another = areas_create(&wanted);
	CHECK(another != NULL);
	CHECK(areas_error_text() == words);
	CHECK(strstr(words, "no such area") != NULL);
	areas_release(another);
	CHECK_EQ(shark.unmapped, 1);
	shark.unmapped = 0;

	/* A mapping that was made for another area is not an answer: its bytes are not this one's. */
	shark.fail = 6;
	CHECK(areas_create(&wanted) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_NO_MEMORY);
	CHECK(areas_create(&wanted) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_UNSUPPORTED);
	CHECK(strstr(areas_error_text(), "backing: asked for object ") != NULL);
	areas_mapping_unmap(shark.kept);
	shark.fail = 0;
	CHECK_EQ(shark.unmapped, 1);
	shark.unmapped = 0;

	/* The provider is released first: the context is needed until the last mapping is gone. */
	CHECK_EQ(shark.unmapped, 0);
	areas_provider_release(provider);
	areas_release(private_one);
	CHECK_EQ(shark.unmapped, 1);
	CHECK(shark.last == start);
	CHECK_EQ(shark.last_size, 3 * PAGE);
	CHECK_EQ(shark.done, 0);
	areas_release(shared);
	CHECK_EQ(shark.unmapped, 2);
	CHECK_EQ(shark.done, 1);
}

static void layers(void)
{
	areas_nodeset nodes;
	areas_placement placement;
	areas_provider *limited, *guarded, *striped, *placed, *either, *spilled, *custom_one;
	areas_provider_operations operations = AREAS_PROVIDER_OPERATIONS;
	struct shark shark = { NULL, 7, 0, 0, 0, 0, NULL, 0, NULL };
	const uint32_t order[] = { 0 };
	areas_attributes wanted;
	areas_verification found = AREAS_VERIFICATION;
	areas_info info = AREAS_INFO;
	areas_grant grant = AREAS_GRANT;
	areas_area *area;
	char *start;

	memset(&placement, 0, sizeof placement);
	CHECK_EQ(areas_nodes_parse("0", &nodes), 0);
	placement.policy = AREAS_BIND;
	placement.nodes = nodes;

	limited = areas_provider_limited(NULL, 4 * PAGE);
	wanted = asked(limited, AREAS_PRIVATE);
	area = areas_create(&wanted);
	CHECK(area != NULL);
	CHECK(areas_create(&wanted) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_LIMIT);
	areas_release(area);

	guarded = areas_provider_guarded(limited, 1);
	wanted = asked(guarded, AREAS_PRIVATE);
	area = areas_create(&wanted);
	CHECK(area != NULL);
	start = (char *)areas_address(area);
	CHECK_STR(check_maps(start - 1), "---p");
	CHECK_STR(check_maps(start + 3 * PAGE), "---p");
	areas_release(area);
	CHECK_STR(check_maps(start), "");

	placed = areas_provider_placed(NULL, &placement);
	wanted = asked(placed, AREAS_SHARED);
	area = areas_create(&wanted);
	CHECK(area != NULL);
	CHECK_EQ(areas_look(area, &info), 0);
	CHECK_EQ(info.placement.policy, AREAS_BIND);
	areas_release(area);

	striped = areas_provider_striped(NULL, &nodes, 1);
	wanted = asked(striped, AREAS_SHARED);
	area = areas_create(&wanted);
	CHECK(area != NULL);
	CHECK_EQ(areas_populate(area, NULL, NULL), 0);
	CHECK_EQ(areas_verify(area, &found, NULL, NULL), 0);
	CHECK_EQ(found.in_place, 3 * PAGE);
	areas_release(area);

	spilled = areas_provider_spilled(NULL, order, 1);
	wanted = asked(spilled, AREAS_PRIVATE);
	area = areas_create(&wanted);
	CHECK(area != NULL);
	areas_release(area);

	{
		areas_part parts[] = { { 0, 1 }, { 0, 2 } }, wrong[] = { { 0, 1 }, { 0, 0 } }, nowhere[] = { { 5000, 1 } };
		areas_provider *split = areas_provider_split(NULL, parts, 2);
		wanted = asked(split, AREAS_SHARED);
		area = areas_create(&wanted);
		CHECK(area != NULL);
		CHECK_EQ(areas_populate(area, NULL, NULL), 0);
		CHECK_EQ(areas_verify(area, &found, NULL, NULL), 0);
		CHECK_EQ(found.in_place, 3 * PAGE);
		CHECK_EQ(areas_place_split(area, PAGE, 2 * PAGE, parts, 2), 0);
		CHECK_EQ(areas_place_split(area, PAGE, 0, parts, 2), 0);
		CHECK_EQ(areas_verify(area, &found, NULL, NULL), 0);
		CHECK_EQ(found.in_place, 3 * PAGE);
		areas_release(area);
		areas_provider_release(split);
		CHECK(areas_provider_split(NULL, NULL, 1) == NULL);
		CHECK(areas_provider_split(NULL, parts, 0) == NULL);
		CHECK(areas_provider_split(NULL, wrong, 2) == NULL);
		CHECK(areas_provider_split(NULL, nowhere, 1) == NULL);
		CHECK_EQ(areas_error_number(), AREAS_ERROR_INVALID_INPUT);
	}

	/* One that cannot, or else another; a layer over one of the program's own. */
	operations.map = shark_map;
	operations.done = shark_done;
	custom_one = areas_provider_custom(&operations, &shark);
	shark.fail = 1;
	either = areas_provider_or(custom_one, NULL);
	areas_provider_release(custom_one);
	wanted = asked(either, AREAS_PRIVATE);
	area = areas_create(&wanted);
	CHECK(area != NULL);
	CHECK_EQ(areas_granted(area, &grant, NULL, NULL), 0);
	CHECK_EQ(grant.fallbacks, 1);
	CHECK_EQ(*(char *)areas_address(area), 0);
	areas_release(area);
	shark.fail = 0;
	area = areas_create(&wanted);
	CHECK(area != NULL);
	CHECK_EQ(*(char *)areas_address(area), 7);
	areas_release(area);
	CHECK_EQ(shark.done, 0);
	areas_provider_release(either);
	CHECK_EQ(shark.done, 1);
	areas_provider_release(spilled);
	areas_provider_release(striped);
	areas_provider_release(placed);
	areas_provider_release(guarded);
	areas_provider_release(limited);
}

static void given_back(void *context)
{
	++*(int *)context;
}

/* Memory of the program's own: areas are parts of it, and it is notified when it is not used any
 * more. */
static void over_memory_that_is_given(void)
{
	int done = 0;
	char *memory = aligned_alloc(PAGE, 8 * PAGE), *first;
	areas_provider *fixed;
	areas_attributes wanted;
	areas_area *one, *two;
	CHECK(memory != NULL);
	memset(memory, 7, 8 * PAGE);
	CHECK(areas_provider_fixed(NULL, PAGE, given_back, &done) == NULL);
	CHECK(areas_provider_fixed(memory + 1, PAGE, given_back, &done) == NULL);
	CHECK(areas_provider_fixed(memory, SIZE_MAX, given_back, &done) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(done, 0);
	fixed = areas_provider_fixed(memory, 8 * PAGE, given_back, &done);
	CHECK(fixed != NULL);
	wanted = asked(fixed, AREAS_PRIVATE);
	wanted.size = 5 * PAGE;
	one = areas_create(&wanted);
	CHECK(one != NULL);
	first = areas_address(one);
	CHECK(first >= memory && first + 5 * PAGE <= memory + 8 * PAGE);
	for (size_t at = 0; at < 5 * PAGE; at++)
		CHECK_EQ(first[at], 0);
	memset(first, 1, 5 * PAGE);
	CHECK(areas_create(&wanted) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_NO_MEMORY);
	wanted.size = 3 * PAGE;
	two = areas_create(&wanted);
	CHECK(two != NULL);
	wanted.kind = AREAS_SHARED;
	CHECK(areas_create(&wanted) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(areas_protect(two, AREAS_READ), 0);
	areas_provider_release(fixed);
	areas_release(one);
	CHECK_EQ(done, 0);
	areas_release(two);
	CHECK_EQ(done, 1);
	/* All of it is the program's again, to read and to write. */
	memset(memory, 9, 8 * PAGE);
	free(memory);
}

/* Parts of a file: what they hold stays, and what is cut off is an error. */
static void over_a_file(void)
{
	char name[] = "/tmp/areas-c-XXXXXX", bytes[8] = "";
	int file = mkstemp(name);
	areas_provider *provider, *copied;
	areas_attributes wanted;
	areas_info info = AREAS_INFO;
	areas_area *one, *two, *private;
	CHECK(file >= 0);
	CHECK_EQ(unlink(name), 0);
	CHECK(areas_provider_file(file, 0) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_INVALID_INPUT);
	CHECK(areas_provider_file(-1, 0) == NULL);
	CHECK(areas_provider_file(987654, 0) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(ftruncate(file, 4 * PAGE), 0);
	CHECK(areas_provider_file(file, 2) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_INVALID_INPUT);
	provider = areas_provider_file(file, 0);
	copied = areas_provider_file(file, AREAS_FILE_COPIED);
	CHECK(provider != NULL && copied != NULL);
	CHECK_EQ(pwrite(file, "stored", 6, 0), 6);
	wanted = asked(provider, AREAS_STORED);
	wanted.size = 2 * PAGE;
	one = areas_create(&wanted);
	CHECK(one != NULL);
	CHECK_EQ(areas_read_at(one, 0, bytes, 6), 0);
	CHECK(memcmp(bytes, "stored", 6) == 0);
	CHECK(memcmp(areas_address(one), "stored", 6) == 0);
	CHECK_EQ(areas_write_at(one, PAGE, "there", 5), 0);
	CHECK_EQ(areas_sync(one), 0);
	CHECK_EQ(pread(file, bytes, 5, PAGE), 5);
	CHECK(memcmp(bytes, "there", 5) == 0);
	CHECK_EQ(areas_look(one, &info), 0);
	CHECK_EQ(info.kind, AREAS_STORED);
	CHECK_EQ(info.size, 2 * PAGE);
	/* A copy of the same bytes. */
	wanted.provider = copied;
	two = areas_create(&wanted);
	CHECK(two != NULL);
	CHECK_EQ(areas_write_at(two, 0, "copied", 6), 0);
	CHECK_EQ(areas_read_at(one, 0, bytes, 6), 0);
	CHECK(memcmp(bytes, "stored", 6) == 0);
	wanted = asked(NULL, AREAS_PRIVATE);
	private = areas_create(&wanted);
	CHECK(private != NULL);
	CHECK_EQ(areas_copy(two, 0, private, 3, 6), 0);
	CHECK(memcmp((char *)areas_address(private) + 3, "copied", 6) == 0);
	CHECK_EQ(areas_copy(private, 3, one, 0, 6), 0);
	CHECK_EQ(areas_copy(one, 0, two, 0, 6), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(areas_copy(one, 0, one, PAGE, 6), AREAS_ERROR_UNSUPPORTED);
	/* What others would do with it. */
	CHECK_EQ(areas_publish(one, "stored"), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(areas_freeze(one, 0), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(areas_resize(one, PAGE), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(areas_descriptor(one), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(areas_sync(private), AREAS_ERROR_UNSUPPORTED);
	areas_provider_release(provider);
	areas_provider_release(copied);
	/* Cut short: an error, and no signal. */
	CHECK_EQ(ftruncate(file, 0), 0);
	CHECK_EQ(areas_read_at(one, 0, bytes, 1), AREAS_ERROR_OUT_OF_RANGE);
	CHECK_EQ(areas_write_at(one, 0, bytes, 1), AREAS_ERROR_OUT_OF_RANGE);
	areas_release(one);
	areas_release(two);
	areas_release(private);
	/* The kernel stores nothing by itself. */
	wanted = asked(NULL, AREAS_STORED);
	CHECK(areas_create(&wanted) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(close(file), 0);
	file = open("/dev/null", O_RDWR);
	CHECK(areas_provider_file(file, 0) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(close(file), 0);
}

/* What is counted is what the kernel has mapped, read while threads map and unmap. */
static atomic_int mapping;

static void *map_and_unmap(void *context)
{
	areas_attributes wanted = asked((const areas_provider *)context, AREAS_PRIVATE);
	for (int round = 0; round < 200; round++) {
		areas_area *area = areas_create(&wanted);
		CHECK(area != NULL);
		areas_release(area);
	}
	mapping--;
	return NULL;
}

static void statistics(void)
{
	areas_statistics counts = AREAS_STATISTICS;
	areas_provider *counted, *guarded;
	areas_attributes wanted;
	areas_area *one, *two;
	pthread_t threads[3];
	char *end;

	CHECK_EQ(areas_provider_statistics(NULL, &counts), AREAS_ERROR_INVALID_INPUT);
	counted = areas_provider_counted(NULL);
	CHECK(counted != NULL);
	CHECK_EQ(areas_provider_statistics(counted, NULL), AREAS_ERROR_INVALID_INPUT);
	counts.struct_size = 47;
	CHECK_EQ(areas_provider_statistics(counted, &counts), AREAS_ERROR_INVALID_INPUT);
	counts.struct_size = sizeof counts;
	CHECK_EQ(areas_provider_statistics(counted, &counts), 0);
	CHECK(counts.mapped == 0 && counts.peak == 0 && counts.maps == 0 && counts.unmaps == 0 && counts.failures == 0);

	/* A layer over it is counted below, and does not count itself. */
	guarded = areas_provider_guarded(counted, 1);
	CHECK_EQ(areas_provider_statistics(guarded, &counts), AREAS_ERROR_UNSUPPORTED);
	CHECK(strstr(areas_error_remedy(), "areas_provider_counted") != NULL);
	wanted = asked(guarded, AREAS_PRIVATE);
	one = areas_create(&wanted);
	wanted = asked(counted, AREAS_GROWABLE);
	wanted.size = PAGE + 1;
	wanted.max = 10 * PAGE;
	two = areas_create(&wanted);
	CHECK(one != NULL && two != NULL);
	CHECK_EQ(areas_provider_statistics(counted, &counts), 0);
	CHECK_EQ(counts.mapped, 13 * PAGE);
	CHECK_EQ(counts.peak, 13 * PAGE);
	CHECK_EQ(counts.maps, 2);
	CHECK_EQ(counts.unmaps, 0);
	end = (char *)areas_address(two) + 10 * PAGE;
	CHECK_STR(check_maps(end - 1), "rw-s");
	areas_release(two);
	CHECK_STR(check_maps(end - 1), "");
	CHECK_EQ(areas_provider_statistics(counted, &counts), 0);
	CHECK_EQ(counts.mapped, 3 * PAGE);
	CHECK_EQ(counts.peak, 13 * PAGE);
	CHECK_EQ(counts.unmaps, 1);
	/* An address that is taken: the kernel's refusal. */
	wanted = asked(counted, AREAS_PRIVATE);
	wanted.address = areas_address(one);
	wanted.address_form = AREAS_EXACTLY;
	CHECK_EQ(counts.failures, 0);
	CHECK(areas_create(&wanted) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_ADDRESS_IN_USE);
	CHECK_EQ(areas_provider_statistics(counted, &counts), 0);
	CHECK_EQ(counts.failures, 1);
	CHECK_EQ(counts.mapped, 3 * PAGE);
	CHECK_EQ(counts.maps, 2);
	areas_release(one);
	areas_provider_release(guarded);

	mapping = 3;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, map_and_unmap, counted), 0);
	while (mapping > 0) {
		CHECK_EQ(areas_provider_statistics(counted, &counts), 0);
		CHECK(counts.mapped <= counts.peak && counts.unmaps <= counts.maps && counts.mapped <= 9 * PAGE);
	}
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(areas_provider_statistics(counted, &counts), 0);
	CHECK_EQ(counts.mapped, 0);
	CHECK_EQ(counts.peak, 13 * PAGE);
	CHECK_EQ(counts.maps, 602);
	CHECK_EQ(counts.unmaps, 602);
	areas_provider_release(counted);
}

int main(void)
{
	over_memory_that_is_given();
	over_a_file();
	custom();
	layers();
	statistics();
	return 0;
}
