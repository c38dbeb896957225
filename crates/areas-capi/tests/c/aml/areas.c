/*
 * AML's areas: the generic functions with areas of all sorts, linux areas with their options, and
 * each error. Where pages are on several nodes is tried in the guest (tests/c/guest/aml_nodes.c).
 *
 * Not under valgrind: its mmap says EINVAL for more than there is memory, and it takes
 * MAP_FIXED_NOREPLACE for a hint.
 */
#include <aml.h>
#include <aml/area/linux.h>

#include <sys/syscall.h>

#include "aml/fails.h"

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

/* A call failed with this number: given as a negative one, and by aml_errno. */
static struct aml_area_mmap_options *options(struct aml_area_linux_mmap_options *of)
{
	return (struct aml_area_mmap_options *)of;
}

/* An area of one's own: counts what it maps, and has what it maps from the linux area. */
struct aml_area_data {
	size_t mapped;
};

static void *counted_mmap(const struct aml_area_data *data, size_t size, struct aml_area_mmap_options *opts)
{
	void *ptr = aml_area_linux_mmap(NULL, size, opts);

	if (ptr != NULL)
		((struct aml_area_data *)(uintptr_t)data)->mapped += size;
	return ptr;
}

static int counted_munmap(const struct aml_area_data *data, void *ptr, size_t size)
{
	((struct aml_area_data *)(uintptr_t)data)->mapped -= size;
	return aml_area_linux_munmap(NULL, ptr, size);
}

static void custom(void)
{
	struct aml_area_data data = { 0 };
	struct aml_area_ops ops = { counted_mmap, counted_munmap, NULL };
	struct aml_area area = { &ops, &data };
	struct aml_area_ops none = { NULL, NULL, NULL };
	char *ptr = (char *)aml_area_mmap(&area, 3 * PAGE, NULL);

	CHECK(ptr != NULL);
	memset(ptr, 1, 3 * PAGE);
	CHECK_EQ(data.mapped, 3 * PAGE);
	FAILS(aml_area_fprintf(stderr, "", &area), AML_ENOTSUP);
	CHECK_EQ(aml_area_munmap(&area, ptr, 3 * PAGE), AML_SUCCESS);
	CHECK_EQ(data.mapped, 0);

	area.ops = &none;
	GIVES_NULL(aml_area_mmap(&area, PAGE, NULL), AML_ENOTSUP);
	FAILS(aml_area_munmap(&area, &area, PAGE), AML_ENOTSUP);
	area.ops = NULL;
	GIVES_NULL(aml_area_mmap(&area, PAGE, NULL), AML_EINVAL);
	FAILS(aml_area_munmap(&area, &area, PAGE), AML_EINVAL);
	FAILS(aml_area_fprintf(stderr, "", &area), AML_EINVAL);
}

static void generic(void)
{
	char *ptr;

	GIVES_NULL(aml_area_mmap(NULL, PAGE, NULL), AML_EINVAL);
	FAILS(aml_area_munmap(NULL, &ptr, PAGE), AML_EINVAL);
	FAILS(aml_area_fprintf(stderr, "", NULL), AML_EINVAL);
	FAILS(aml_area_fprintf(NULL, "", &aml_area_linux), AML_EINVAL);
	/* Nothing is not an error, and leaves aml_errno as it was. */
	aml_errno = AML_EBUSY;
	CHECK(aml_area_mmap(&aml_area_linux, 0, NULL) == NULL);
	CHECK(aml_area_mmap(NULL, 0, NULL) == NULL);
	CHECK_EQ(aml_area_munmap(&aml_area_linux, NULL, PAGE), AML_SUCCESS);
	CHECK_EQ(aml_area_munmap(&aml_area_linux, &ptr, 0), AML_SUCCESS);
	CHECK_EQ(aml_errno, AML_EBUSY);
	/* Sizes that are no whole pages, and one that is large. */
	for (size_t size = 1; size <= (size_t)1 << 24; size = size * 5 + 3) {
		ptr = (char *)aml_area_mmap(&aml_area_linux, size, NULL);
		CHECK(ptr != NULL);
		for (size_t at = 0; at < size; at += PAGE)
			CHECK_EQ(ptr[at], 0);
		memset(ptr, 7, size);
		CHECK_STR(check_maps(ptr), "rw-p");
		CHECK_EQ(aml_area_munmap(&aml_area_linux, ptr, size), AML_SUCCESS);
		CHECK_STR(check_maps(ptr), "");
	}
	/* More than there are addresses: as mmap(2) says it, in whole pages or not. */
	GIVES_NULL(aml_area_mmap(&aml_area_linux, SIZE_MAX, NULL), AML_ENOMEM);
	GIVES_NULL(aml_area_mmap(&aml_area_linux, SIZE_MAX - PAGE, NULL), AML_ENOMEM);
	GIVES_NULL(aml_area_mmap(&aml_area_linux, SIZE_MAX / 2, NULL), AML_ENOMEM);
	/* More than any overcommit allows, and still addresses that a process could have. */
	GIVES_NULL(aml_area_mmap(&aml_area_linux, (size_t)1 << 46, NULL), AML_ENOMEM);
	FAILS(aml_area_munmap(&aml_area_linux, (char *)NULL + PAGE / 2, PAGE), AML_EINVAL);
}

static void prints(void)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);
	struct aml_bitmap nodes;
	struct aml_area *area;

	aml_bitmap_zero(&nodes);
	aml_bitmap_set(&nodes, 0);
	CHECK_EQ(aml_area_linux_create(&area, &nodes, AML_AREA_LINUX_POLICY_BIND), AML_SUCCESS);
	CHECK_EQ(aml_area_fprintf(stream, "> ", area), AML_SUCCESS);
	CHECK_EQ(aml_area_fprintf(stream, NULL, &aml_area_linux), AML_SUCCESS);
	fclose(stream);
	CHECK_STR(text, "> linux area: policy bind, nodes 0\nlinux area: policy default, nodes all allowed\n");
	free(text);
	aml_area_linux_destroy(&area);
}

static void linux_options(void)
{
	char name[] = "/tmp/aml-areas-XXXXXX";
	int fd = mkstemp(name);
	struct aml_area_linux_mmap_options wanted = { NULL, MAP_PRIVATE, PROT_READ | PROT_WRITE, fd, 0 };
	char byte = 0, *ptr;

	CHECK(fd >= 0);
	CHECK_EQ(unlink(name), 0);
	CHECK_EQ(ftruncate(fd, (off_t)(2 * PAGE)), 0);
	CHECK_EQ(pwrite(fd, "b", 1, (off_t)PAGE), 1);
	/* A file, privately: what is written stays here. From an offset. */
	wanted.offset = (off_t)PAGE;
	ptr = (char *)aml_area_mmap(&aml_area_linux, PAGE, options(&wanted));
	CHECK(ptr != NULL);
	CHECK_EQ(*ptr, 'b');
	*ptr = 'c';
	CHECK_EQ(pread(fd, &byte, 1, (off_t)PAGE), 1);
	CHECK_EQ(byte, 'b');
	CHECK_EQ(aml_area_munmap(&aml_area_linux, ptr, PAGE), AML_SUCCESS);
	/* Shared: what is written reaches it. */
	wanted.flags = MAP_SHARED;
	ptr = (char *)aml_area_mmap(&aml_area_linux, PAGE, options(&wanted));
	CHECK(ptr != NULL);
	CHECK_STR(check_maps(ptr), "rw-s");
	*ptr = 'd';
	CHECK_EQ(pread(fd, &byte, 1, (off_t)PAGE), 1);
	CHECK_EQ(byte, 'd');
	CHECK_EQ(aml_area_munmap(&aml_area_linux, ptr, PAGE), AML_SUCCESS);
	/* What makes no sense. */
	wanted.offset = 1;
	GIVES_NULL(aml_area_mmap(&aml_area_linux, PAGE, options(&wanted)), AML_EINVAL);
	wanted.offset = 0;
	wanted.fd = 987654;
	GIVES_NULL(aml_area_mmap(&aml_area_linux, PAGE, options(&wanted)), AML_EINVAL);
	wanted.fd = open("/proc/self/exe", O_RDONLY);
	GIVES_NULL(aml_area_mmap(&aml_area_linux, PAGE, options(&wanted)), AML_EPERM);
	close(wanted.fd);
	wanted.fd = open("/proc/self", O_RDONLY);
	wanted.flags = MAP_PRIVATE;
	GIVES_NULL(aml_area_mmap(&aml_area_linux, PAGE, options(&wanted)), AML_ENOTSUP);
	close(wanted.fd);
	close(fd);
	/* Rights, and an address that is taken. */
	wanted.fd = -1;
	wanted.flags = MAP_PRIVATE | MAP_ANONYMOUS;
	wanted.mode = PROT_READ;
	ptr = (char *)aml_area_mmap(&aml_area_linux, PAGE, options(&wanted));
	CHECK_STR(check_maps(ptr), "r--p");
	wanted.ptr = ptr;
	wanted.flags |= MAP_FIXED_NOREPLACE;
	GIVES_NULL(aml_area_mmap(&aml_area_linux, PAGE, options(&wanted)), AML_EBUSY);
	/* And replaced. */
	wanted.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	wanted.mode = PROT_NONE;
	CHECK(aml_area_mmap(&aml_area_linux, PAGE, options(&wanted)) == ptr);
	CHECK_STR(check_maps(ptr), "---p");
	CHECK_EQ(aml_area_munmap(&aml_area_linux, ptr, PAGE), AML_SUCCESS);
	wanted.ptr = NULL;
	GIVES_NULL(aml_area_mmap(&aml_area_linux, PAGE, options(&wanted)), AML_EINVAL);
	wanted.flags = 0;
	GIVES_NULL(aml_area_mmap(&aml_area_linux, PAGE, options(&wanted)), AML_EINVAL);
}

static void creation(void)
{
	struct aml_area *area = &aml_area_linux;
	struct aml_bitmap nodes;

	aml_bitmap_zero(&nodes);
	FAILS(aml_area_linux_create(NULL, NULL, AML_AREA_LINUX_POLICY_BIND), AML_EINVAL);
	FAILS(aml_area_linux_create(&area, &nodes, AML_AREA_LINUX_POLICY_BIND), AML_EINVAL);
	CHECK(area == NULL);
	area = &aml_area_linux;
	FAILS(aml_area_linux_create(&area, NULL, (enum aml_area_linux_policy)17), AML_EINVAL);
	CHECK(area == NULL);
	for (unsigned node = 1000; node < AML_BITMAP_MAX; node += 47) {
		/* Node 0 is there, and that does not make up for the other. */
		aml_bitmap_zero(&nodes);
		aml_bitmap_set(&nodes, 0);
		aml_bitmap_set(&nodes, node);
		area = &aml_area_linux;
		FAILS(aml_area_linux_create(&area, &nodes, AML_AREA_LINUX_POLICY_INTERLEAVE), AML_EDOM);
		CHECK(area == NULL);
	}
	aml_area_linux_destroy(NULL);
	aml_area_linux_destroy(&area);
	CHECK_EQ(aml_area_linux_create(&area, NULL, AML_AREA_LINUX_POLICY_DEFAULT), AML_SUCCESS);
	aml_area_linux_destroy(&area);
	CHECK(area == NULL);
	aml_area_linux_destroy(&area);
}

static void binding(void)
{
	static const enum aml_area_linux_policy policies[] = { AML_AREA_LINUX_POLICY_BIND, AML_AREA_LINUX_POLICY_PREFERRED,
		AML_AREA_LINUX_POLICY_INTERLEAVE };
	struct aml_area_linux_data plain = aml_area_linux_data_default;
	unsigned long words[2] = { 1, 0 }, none = 0, far = 1UL << 63;
	struct bitmask zero = { 64, words }, empty = { 64, &none }, missing = { 64, NULL }, last = { 64, &far };
	struct aml_bitmap nodes;
	char *ptr = (char *)aml_area_mmap(&aml_area_linux, 4 * PAGE, NULL);

	aml_bitmap_zero(&nodes);
	aml_bitmap_set(&nodes, 0);
	CHECK(ptr != NULL);
	CHECK_EQ(aml_area_linux_check_binding(&plain, ptr, 4 * PAGE), 1);
	for (size_t at = 0; at < sizeof policies / sizeof *policies; at++) {
		struct aml_area_linux_data user = { &zero, policies[at] };
		struct aml_area *area;
		struct aml_area_linux_data *data;
		char *bound;

		CHECK_EQ(aml_area_linux_create(&area, &nodes, policies[at]), AML_SUCCESS);
		data = (struct aml_area_linux_data *)area->data;
		CHECK_EQ(data->policy, policies[at]);
		CHECK_EQ(data->nodeset->maskp[0], 1);
		bound = (char *)aml_area_mmap(area, 4 * PAGE, NULL);
		CHECK(bound != NULL);
		CHECK_EQ(aml_area_linux_check_binding(data, bound, 4 * PAGE), 1);
		memset(bound, 1, 2 * PAGE);
		CHECK_EQ(aml_area_linux_check_binding(data, bound, 4 * PAGE), 1);
		/* A range that begins and ends within pages is that of its pages. */
		CHECK_EQ(aml_area_linux_check_binding(data, bound + 100, PAGE), 1);
		/* By data of one's own, too; and what is placed otherwise is not this. */
		CHECK_EQ(aml_area_linux_check_binding(&user, bound, 4 * PAGE), 1);
		CHECK_EQ(aml_area_linux_check_binding(&plain, bound, 4 * PAGE), 0);
		CHECK_EQ(aml_area_linux_check_binding(data, ptr, 4 * PAGE), 0);
		/* A part is placed otherwise. */
		CHECK_EQ(aml_area_linux_mbind(&plain, bound + PAGE, PAGE), AML_SUCCESS);
		CHECK_EQ(aml_area_linux_check_binding(data, bound, 4 * PAGE), 0);
		CHECK_EQ(aml_area_linux_check_binding(data, bound + 2 * PAGE, 2 * PAGE), 1);
		CHECK_EQ(aml_area_linux_mbind(&user, bound, 4 * PAGE), AML_SUCCESS);
		CHECK_EQ(aml_area_linux_check_binding(data, bound, 4 * PAGE), 1);
		CHECK_EQ(aml_area_munmap(area, bound, 4 * PAGE), AML_SUCCESS);
		aml_area_linux_destroy(&area);

		/* Nonsense. */
		FAILS(aml_area_linux_mbind(&user, NULL, PAGE), AML_EINVAL);
		FAILS(aml_area_linux_mbind(&user, ptr + 1, PAGE), AML_EINVAL);
		FAILS(aml_area_linux_mbind(NULL, ptr, PAGE), AML_EINVAL);
		FAILS(aml_area_linux_check_binding(&user, NULL, PAGE), AML_EINVAL);
		FAILS(aml_area_linux_check_binding(&user, ptr, 0), AML_EINVAL);
		FAILS(aml_area_linux_check_binding(NULL, ptr, PAGE), AML_EINVAL);
		/* So low that nothing is ever mapped there. */
		FAILS(aml_area_linux_check_binding(&user, (void *)(uintptr_t)0x20000, PAGE), AML_EINVAL);
		FAILS(aml_area_linux_mbind(&user, (void *)(uintptr_t)0x20000, PAGE), AML_EINVAL);
		user.nodeset = &empty;
		FAILS(aml_area_linux_mbind(&user, ptr, PAGE), AML_EINVAL);
		GIVES_NULL(aml_area_linux_mmap_mbind((struct aml_area_data *)&user, PAGE, NULL), AML_EINVAL);
		user.nodeset = &missing;
		FAILS(aml_area_linux_mbind(&user, ptr, PAGE), AML_EINVAL);
		user.nodeset = &last;
		FAILS(aml_area_linux_mbind(&user, ptr, PAGE), AML_EDOM);
		user.nodeset = NULL;
		CHECK_EQ(aml_area_linux_mbind(&user, ptr, 4 * PAGE), AML_SUCCESS);
		CHECK_EQ(aml_area_linux_check_binding(&user, ptr, 4 * PAGE), 1);
		CHECK_EQ(aml_area_linux_mbind(&plain, ptr, 4 * PAGE), AML_SUCCESS);
		user.policy = (enum aml_area_linux_policy)(-1);
		FAILS(aml_area_linux_mbind(&user, ptr, PAGE), AML_EINVAL);
		FAILS(aml_area_linux_check_binding(&user, ptr, PAGE), AML_EINVAL);
		FAILS(aml_area_linux_fprintf((struct aml_area_data *)&user, stderr, ""), AML_EINVAL);
	}
	GIVES_NULL(aml_area_linux_mmap_mbind(NULL, PAGE, NULL), AML_EINVAL);
	/* No bytes, and more than there are addresses. */
	for (size_t size = SIZE_MAX; size >= (size_t)1 << 48; size /= 2) {
		FAILS(aml_area_linux_mbind(&plain, ptr, size), AML_ENOMEM);
		FAILS(aml_area_linux_check_binding(&plain, ptr, size), AML_ENOMEM);
		FAILS(aml_area_linux_check_binding(&plain, ptr + 1, size), AML_ENOMEM);
		FAILS(aml_area_munmap(&aml_area_linux, ptr, size), AML_ENOMEM);
	}
	/* Less than that, and not all of it mapped. */
	plain.policy = AML_AREA_LINUX_POLICY_BIND;
	FAILS(aml_area_linux_mbind(&plain, (void *)(uintptr_t)0x20000, (size_t)1 << 45), AML_EINVAL);
	FAILS(aml_area_linux_check_binding(&plain, (void *)(uintptr_t)0x20000, (size_t)1 << 45), AML_EINVAL);
	plain.policy = AML_AREA_LINUX_POLICY_DEFAULT;
	CHECK_EQ(aml_area_linux_mbind(&plain, ptr, 0), AML_SUCCESS);
	CHECK_EQ(aml_area_munmap(&aml_area_linux, ptr, 4 * PAGE), AML_SUCCESS);
	FAILS(aml_area_linux_check_binding(&plain, ptr, PAGE), AML_EINVAL);
}

/* What aml_area_mmap and its like keep from an area's operations, given to them directly. */
static void operations(void)
{
	struct aml_area_linux_data unknown = { NULL, (enum aml_area_linux_policy)4 };
	FILE *reads = fopen("/proc/self/status", "re");
	char *ptr;

	CHECK(reads != NULL);
	GIVES_NULL(aml_area_linux_mmap(NULL, 0, NULL), AML_EINVAL);
	GIVES_NULL(aml_area_linux_mmap(NULL, SIZE_MAX, NULL), AML_ENOMEM);
	GIVES_NULL(aml_area_linux_mmap_mbind((struct aml_area_data *)&unknown, PAGE, NULL), AML_EINVAL);
	ptr = (char *)aml_area_linux_mmap(NULL, PAGE, NULL);
	CHECK(ptr != NULL);
	FAILS(aml_area_linux_munmap(NULL, NULL, PAGE), AML_EINVAL);
	FAILS(aml_area_linux_munmap(NULL, ptr, 0), AML_EINVAL);
	FAILS(aml_area_linux_munmap(NULL, ptr + 1, PAGE), AML_EINVAL);
	FAILS(aml_area_linux_munmap(NULL, ptr, SIZE_MAX), AML_ENOMEM);
	CHECK_EQ(aml_area_linux_munmap(NULL, ptr, PAGE), AML_SUCCESS);
	FAILS(aml_area_linux_fprintf(NULL, stderr, ""), AML_EINVAL);
	FAILS(aml_area_linux_fprintf((struct aml_area_data *)(uintptr_t)&aml_area_linux_data_default, NULL, ""),
	      AML_EINVAL);
	/* A stream that cannot be written. */
	FAILS(aml_area_linux_fprintf((struct aml_area_data *)(uintptr_t)&aml_area_linux_data_default, reads, NULL),
	      AML_EINVAL);
	FAILS(aml_area_fprintf(reads, NULL, &aml_area_linux), AML_EINVAL);
	fclose(reads);
}

/* Over a range that the program has: what cannot be placed there leaves the addresses the
 * program's, and nothing in them. */
static void fixed_and_refused(void)
{
	struct aml_area_linux_mmap_options wanted = { NULL, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, PROT_READ | PROT_WRITE, -1, 0 };
	unsigned long far = 1UL << 63;
	struct bitmask last = { 64, &far };
	struct aml_area_linux_data user = { &last, AML_AREA_LINUX_POLICY_BIND };
	char *range = (char *)mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(range != MAP_FAILED);
	wanted.ptr = range + PAGE;
	GIVES_NULL(aml_area_linux_mmap_mbind((struct aml_area_data *)&user, PAGE - 5, options(&wanted)), AML_EDOM);
	CHECK_STR(check_maps(range), "r--p");
	CHECK_STR(check_maps(range + PAGE), "---p");
	CHECK_STR(check_maps(range + 2 * PAGE), "r--p");
	CHECK_EQ(munmap(range, 3 * PAGE), 0);
	/* Anywhere else nothing is left. */
	wanted.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	GIVES_NULL(aml_area_linux_mmap_mbind((struct aml_area_data *)&user, PAGE, options(&wanted)), AML_EDOM);
	CHECK_STR(check_maps(range + PAGE), "");
}

/* How many pages of a range are in RAM. */
static size_t in_ram(void *ptr, size_t size)
{
	unsigned char pages[64];
	size_t count = 0;

	CHECK(size / PAGE <= sizeof pages);
	CHECK_EQ(mincore(ptr, size, pages), 0);
	for (size_t at = 0; at < size / PAGE; at++)
		count += pages[at] & 1;
	return count;
}

/* Flags that bring pages in do so, placed areas included; and nothing else does. */
static void populated(void)
{
	struct aml_area_linux_mmap_options wanted = { NULL, MAP_PRIVATE | MAP_ANONYMOUS, PROT_READ | PROT_WRITE, -1, 0 };
	struct aml_area *area;

	CHECK_EQ(aml_area_linux_create(&area, NULL, AML_AREA_LINUX_POLICY_BIND), AML_SUCCESS);
	for (int flag = 0; flag < 3; flag++) {
		static const int flags[] = { 0, MAP_POPULATE, MAP_LOCKED };
		void *ptr;

		wanted.flags = MAP_PRIVATE | MAP_ANONYMOUS | flags[flag];
		ptr = aml_area_mmap(area, 16 * PAGE, options(&wanted));
		CHECK(ptr != NULL);
		CHECK_EQ(in_ram(ptr, 16 * PAGE), flag == 0 ? 0 : 16);
		CHECK_EQ(aml_area_linux_check_binding((struct aml_area_linux_data *)area->data, ptr, 16 * PAGE), 1);
		/* Looking brings nothing in. */
		CHECK_EQ(in_ram(ptr, 16 * PAGE), flag == 0 ? 0 : 16);
		CHECK_EQ(check_smaps(ptr, "Locked") > 0, flag == 2);
		CHECK_EQ(aml_area_munmap(area, ptr, 16 * PAGE), AML_SUCCESS);
	}
	aml_area_linux_destroy(&area);
}

int main(void)
{
	CHECK_EQ(aml_init(NULL, NULL), AML_SUCCESS);
	generic();
	custom();
	prints();
	linux_options();
	creation();
	binding();
	fixed_and_refused();
	populated();
	operations();
	CHECK_EQ(aml_finalize(), AML_SUCCESS);
	return 0;
}
