// Areas out of a memory device (/dev/dax0.0) through areas.h, as provider.c has them out of a
// file. The guest sets memory aside as it boots, as persistent memory would be, and a device is
// made of it by sysfs alone. What is stored there is looked at through a mapping of the
// program's own.
// vm: --append memmap=128M!1G --modules "nd_e820 nd_pmem dax_pmem device_dax"
// vm: --append memmap=128M!1G --modules "nd_e820 nd_pmem dax_pmem device_dax" --kernel linux-image-cloud-amd64

#include <areas.h>

#include "guest/tests.h"

#define DEVICE "/dev/dax0.0"
#define HUGE_PAGE ((size_t)2 << 20)

static void write_to(const char *folder, const char *name, const char *value)
{
	char file[160];

	snprintf(file, sizeof file, "/sys/bus/nd/devices/%s/%s", folder, name);
	setting(file, value);
}

/* What ndctl does: the namespace that holds the memory becomes a device's. */
static void make_device(void)
{
	char seed[32] = "";
	FILE *from = fopen("/sys/bus/nd/devices/region0/dax_seed", "re");

	CHECK(from != NULL && fscanf(from, "%31s", seed) == 1);
	fclose(from);
	setting("/sys/bus/nd/drivers/nd_pmem/unbind", "namespace0.0");
	write_to(seed, "mode", "ram");
	write_to(seed, "align", "2097152");
	write_to(seed, "uuid", "01234567-89ab-cdef-0123-456789abcdef");
	write_to(seed, "namespace", "namespace0.0");
	setting("/sys/bus/nd/drivers/dax_pmem/bind", seed);
}

static int open_device(void)
{
	int device;

	if (access(DEVICE, F_OK) != 0)
		make_device();
	device = open(DEVICE, O_RDWR | O_CLOEXEC);
	CHECK(device >= 0);
	return device;
}

/* A provider over the device, which keeps a number of its own. */
static areas_provider *over_the_device(uint32_t flags)
{
	int device = open_device();
	areas_provider *provider = areas_provider_file(device, flags);

	if (provider == NULL)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	CHECK_EQ(close(device), 0);
	return provider;
}

static areas_attributes asked(const areas_provider *provider, size_t size)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;

	wanted.provider = provider;
	wanted.kind = AREAS_STORED;
	wanted.size = size;
	return wanted;
}

static areas_area *create(const areas_attributes *wanted)
{
	areas_area *area = areas_create(wanted);

	if (area == NULL)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	return area;
}

/* The device's bytes, without the library. */
static const char *raw_bytes(size_t size)
{
	int device = open_device();
	const char *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, device, 0);

	CHECK(bytes != MAP_FAILED);
	close(device);
	return bytes;
}

static void areas_are_parts_of_a_device(void)
{
	const char *raw = raw_bytes(3 * HUGE_PAGE);
	areas_provider *provider = over_the_device(0);
	areas_attributes wanted = asked(provider, 5);
	areas_info info = AREAS_INFO;
	areas_grant grant = AREAS_GRANT;
	areas_area *one, *two;
	char bytes[8] = "";

	one = create(&wanted);
	wanted.size = HUGE_PAGE + 2;
	two = create(&wanted);
	/* Whole pages of the device, one after the other, mapped as such. */
	CHECK_EQ(areas_granted(one, &grant, NULL, NULL), 0);
	CHECK_EQ(grant.page_size, HUGE_PAGE);
	CHECK_EQ(grant.mapped, HUGE_PAGE);
	CHECK_EQ(areas_granted(two, &grant, NULL, NULL), 0);
	CHECK_EQ(grant.mapped, 2 * HUGE_PAGE);
	CHECK_EQ((uintptr_t)areas_address(one) % HUGE_PAGE, 0);
	CHECK_EQ(check_smaps(areas_address(two), "KernelPageSize"), 2048);
	CHECK_STR(check_maps(areas_address(two)), "rw-s");
	CHECK_EQ(areas_look(one, &info), 0);
	CHECK_EQ(info.kind, AREAS_STORED);
	CHECK_EQ(info.size, 5);
	CHECK_EQ(info.id, 0);
	CHECK_EQ(areas_write_at(one, 0, "hello", 5), 0);
	CHECK_EQ(areas_write_at(two, HUGE_PAGE - 2, "over", 4), 0);
	CHECK(memcmp(raw, "hello", 5) == 0);
	CHECK(memcmp(raw + HUGE_PAGE + HUGE_PAGE - 2, "over", 4) == 0);
	((char *)areas_address(one))[0] = 'H';
	CHECK_EQ(raw[0], 'H');
	CHECK_EQ(areas_read_at(one, 5, bytes, 1), AREAS_ERROR_OUT_OF_RANGE);
	/* The CPUs write it, and no kernel in between has anything to write back: that is said. */
	CHECK_EQ(areas_sync(two), AREAS_ERROR_UNSUPPORTED);
	CHECK(strstr(areas_error_help(), "CLWB") != NULL);
	areas_release(one);
	areas_release(two);
	areas_provider_release(provider);
	/* What was stored stays: also for who opens the device again. */
	provider = over_the_device(0);
	wanted = asked(provider, HUGE_PAGE);
	one = create(&wanted);
	CHECK_EQ(areas_read_at(one, 0, bytes, 5), 0);
	CHECK(memcmp(bytes, "Hello", 5) == 0);
	areas_release(one);
	areas_provider_release(provider);
}

/* All of it and not a page more; and what is released is had again. */
static void a_device_is_used_up_and_given_back(void)
{
	const size_t parts = (size_t)number_in("/sys/bus/dax/devices/dax0.0/size") / HUGE_PAGE;
	areas_provider *provider = over_the_device(0), *counted = areas_provider_counted(provider);
	areas_statistics reported = AREAS_STATISTICS;
	areas_attributes wanted = asked(counted, HUGE_PAGE);
	areas_area *areas[64];

	CHECK(counted != NULL);
	CHECK(parts > 8 && parts < sizeof areas / sizeof *areas);
	for (int round = 0; round < 2; round++) {
		for (size_t at = 0; at < parts; at++)
			areas[at] = create(&wanted);
		CHECK(areas_create(&wanted) == NULL);
		CHECK_EQ(areas_error_number(), AREAS_ERROR_NO_MEMORY);
		CHECK_EQ(areas_provider_statistics(counted, &reported), 0);
		CHECK_EQ(reported.mapped, parts * HUGE_PAGE);
		/* Each has its own part: what one writes is no other process's. */
		for (size_t at = 0; at < parts; at++)
			((volatile char *)areas_address(areas[at]))[0] = (char)(at + (size_t)round);
		for (size_t at = 0; at < parts; at++)
			CHECK_EQ(((volatile char *)areas_address(areas[at]))[0], (char)(at + (size_t)round));
		for (size_t at = 0; at < parts; at++)
			areas_release(areas[at]);
	}
	CHECK_EQ(areas_provider_statistics(counted, &reported), 0);
	CHECK_EQ(reported.mapped, 0);
	CHECK_EQ(reported.maps, 2 * parts);
	CHECK_EQ(reported.failures, 2);
	areas_provider_release(counted);
	areas_provider_release(provider);
}

static void refused(const areas_attributes *wanted, int expected, int line)
{
	CHECK(areas_create(wanted) == NULL);
	if (areas_error_number() != expected)
		check_failed(__FILE__, line, "%d instead of %d: %s", areas_error_number(), expected, areas_error_help());
}

static void what_a_device_cannot_be_is_refused(void)
{
	areas_provider *provider = over_the_device(0), *copied = over_the_device(AREAS_FILE_COPIED);
	areas_attributes wanted = asked(provider, HUGE_PAGE);
	areas_area *area, *private;
	char bytes[8] = "";

	wanted.kind = AREAS_PRIVATE;
	refused(&wanted, AREAS_ERROR_UNSUPPORTED, __LINE__);
	wanted.kind = AREAS_SHARED;
	refused(&wanted, AREAS_ERROR_UNSUPPORTED, __LINE__);
	wanted = asked(provider, HUGE_PAGE);
	wanted.placement = (areas_placement){ .policy = AREAS_BIND, .nodes = { { 1 } } };
	refused(&wanted, AREAS_ERROR_UNSUPPORTED, __LINE__);
	wanted = asked(provider, HUGE_PAGE);
	wanted.address = (void *)0x700000001000;
	wanted.address_form = AREAS_EXACTLY;
	refused(&wanted, AREAS_ERROR_INVALID_INPUT, __LINE__);
	wanted = asked(provider, (size_t)1 << 40);
	refused(&wanted, AREAS_ERROR_NO_MEMORY, __LINE__);
	/* A device is mapped shared or not at all. */
	wanted = asked(copied, 1);
	refused(&wanted, AREAS_ERROR_UNSUPPORTED, __LINE__);
	wanted = asked(provider, HUGE_PAGE);
	wanted.protection = AREAS_READ;
	area = create(&wanted);
	CHECK_EQ(areas_write_at(area, 0, "x", 1), AREAS_ERROR_READ_ONLY);
	CHECK_EQ(check_touch(areas_address(area), 1), SIGSEGV);
	CHECK_EQ(areas_protect(area, AREAS_READ | AREAS_WRITE), 0);
	CHECK_EQ(areas_write_at(area, 0, "stored", 6), 0);
	/* What others would do with it. */
	CHECK_EQ(areas_publish(area, "stored"), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(areas_unpublish(area), 0);
	CHECK_EQ(areas_retire(area), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(areas_set_note(area, "x", 1), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(areas_freeze(area, 0), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(areas_resize(area, 1), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(areas_descriptor(area), AREAS_ERROR_UNSUPPORTED);
	/* From there into memory, and back. */
	wanted = asked(NULL, PAGE);
	wanted.kind = AREAS_PRIVATE;
	private = create(&wanted);
	CHECK_EQ(areas_copy(area, 0, private, 3, 6), 0);
	CHECK(memcmp((char *)areas_address(private) + 3, "stored", 6) == 0);
	memcpy(areas_address(private), "again", 5);
	CHECK_EQ(areas_copy(private, 0, area, HUGE_PAGE - 5, 5), 0);
	CHECK_EQ(areas_read_at(area, HUGE_PAGE - 5, bytes, 5), 0);
	CHECK(memcmp(bytes, "again", 5) == 0);
	areas_release(private);
	areas_release(area);
	areas_provider_release(provider);
	areas_provider_release(copied);
}

/* Its driver releases it while it is mapped: an access is an error, and no signal. */
static void a_device_that_goes_is_an_error_and_no_signal(void)
{
	areas_provider *provider = over_the_device(0);
	areas_attributes wanted = asked(provider, HUGE_PAGE);
	areas_area *area = create(&wanted);
	char byte = 0;

	CHECK_EQ(areas_write_at(area, 0, "x", 1), 0);
	setting("/sys/bus/dax/drivers/device_dax/unbind", "dax0.0");
	CHECK_EQ(areas_read_at(area, 0, &byte, 1), AREAS_ERROR_OUT_OF_RANGE);
	CHECK_EQ(areas_write_at(area, 0, "y", 1), AREAS_ERROR_OUT_OF_RANGE);
	CHECK(areas_create(&wanted) == NULL);
	CHECK(strstr(areas_error_help(), "the device") != NULL);
	areas_release(area);
	areas_provider_release(provider);
	setting("/sys/bus/dax/drivers/device_dax/bind", "dax0.0");
	/* It is there again, with what was stored. */
	provider = over_the_device(0);
	wanted = asked(provider, HUGE_PAGE);
	area = create(&wanted);
	CHECK_EQ(areas_read_at(area, 0, &byte, 1), 0);
	CHECK_EQ(byte, 'x');
	areas_release(area);
	areas_provider_release(provider);
}

int main(int count, char **words)
{
	static const struct test tests[] = {
		{ "areas_are_parts_of_a_device", areas_are_parts_of_a_device },
		{ "a_device_is_used_up_and_given_back", a_device_is_used_up_and_given_back },
		{ "what_a_device_cannot_be_is_refused", what_a_device_cannot_be_is_refused },
		{ "a_device_that_goes_is_an_error_and_no_signal", a_device_that_goes_is_an_error_and_no_signal },
	};

	return run_tests(tests, sizeof tests / sizeof *tests, count, words);
}
