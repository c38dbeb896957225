/* AML's hwloc areas: what is there, and each error. With sets of the program's own; hwloc_real.c
 * has hwloc's. */
#include "aml/sets.h"
#include "aml/fails.h"

#include <sched.h>
#include <sys/syscall.h>

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

static const hwloc_membind_policy_t policies[] = { HWLOC_MEMBIND_DEFAULT, HWLOC_MEMBIND_FIRSTTOUCH, HWLOC_MEMBIND_BIND,
	HWLOC_MEMBIND_INTERLEAVE };

/* As the kernel has it: linux/mempolicy.h may not be there. */
static int policy_at(const void *address)
{
	unsigned long words[16] = { 0 };
	int mode = -1;

	CHECK_EQ(syscall(SYS_get_mempolicy, &mode, words, 1025UL, address, 2UL), 0);
	return mode;
}

/* MPOL_DEFAULT, MPOL_LOCAL, MPOL_BIND, MPOL_INTERLEAVE. */
static const int modes[] = { 0, 4, 2, 3 };

/* Whether there is more than node 0. */
static int has_other_nodes(void)
{
	unsigned long words[16] = { 0 };

	CHECK_EQ(syscall(SYS_get_mempolicy, NULL, words, 1025UL, NULL, 4UL), 0);
	for (int at = 1; at < 16; at++)
		words[0] |= words[at] << 1;
	return words[0] != 1;
}

static void maps(struct aml_area *area, int mode)
{
	struct aml_area_hwloc_options ignored = { 17 };

	for (size_t size = 1; size <= (size_t)1 << 22; size = size * 9 + 5) {
		char *ptr = (char *)aml_area_mmap(area, size, size % 2 ? NULL : (struct aml_area_mmap_options *)&ignored);

		CHECK(ptr != NULL);
		CHECK_EQ(policy_at(ptr), mode);
		CHECK_EQ(aml_area_hwloc_check_binding(area, ptr, size), 1);
		memset(ptr, 1, size);
		CHECK_STR(check_maps(ptr), "rw-p");
		CHECK_EQ(aml_area_hwloc_check_binding(area, ptr, size), 1);
		CHECK_EQ(aml_area_munmap(area, ptr, size), AML_SUCCESS);
		CHECK_STR(check_maps(ptr), "");
	}
}

static void all_policies(void)
{
	struct hwloc_bitmap_s node_0 = set_of(1);

	for (int at = 0; at < 4; at++) {
		struct aml_area *area;
		struct aml_area_hwloc_data *data;

		CHECK_EQ(aml_area_hwloc_create(&area, &node_0, policies[at]), AML_SUCCESS);
		data = (struct aml_area_hwloc_data *)area->data;
		/* A copy, which is the area's. */
		CHECK(data->nodeset != NULL && data->nodeset != &node_0);
		CHECK_EQ(data->nodeset->words[0], 1);
		CHECK_EQ(data->policy, policies[at]);
		CHECK_EQ(sets_copies, 1);
		CHECK(area->ops == &aml_area_hwloc_ops);
		/* By the thread's own node, of one of several nodes, is that one. */
		maps(area, policies[at] == HWLOC_MEMBIND_FIRSTTOUCH && has_other_nodes() ? 2 : modes[at]);
		aml_area_hwloc_destroy(&area);
		CHECK(area == NULL);
		CHECK_EQ(sets_copies, 0);
		/* Of all nodes. */
		CHECK_EQ(aml_area_hwloc_create(&area, NULL, policies[at]), AML_SUCCESS);
		CHECK(((struct aml_area_hwloc_data *)area->data)->nodeset == NULL);
		maps(area, modes[at]);
		aml_area_hwloc_destroy(&area);
	}
	maps(&aml_area_hwloc_default, 0);
	maps(&aml_area_hwloc_interleave, 3);
	maps(&aml_area_hwloc_firsttouch, 4);
	aml_area_hwloc_destroy(NULL);
}

/* What is mapped by one is not placed as another asks; a set that a program changes is read
 * again. */
static void bindings(void)
{
	struct hwloc_bitmap_s node_0 = set_of(1), far = set_of(1UL << 63);
	struct aml_area_hwloc_data own = { &node_0, HWLOC_MEMBIND_BIND };
	struct aml_area area = { &aml_area_hwloc_ops, (struct aml_area_data *)&own };
	char *ptr = (char *)aml_area_mmap(&area, 3 * PAGE, NULL);

	CHECK(ptr != NULL);
	CHECK_EQ(policy_at(ptr), 2);
	CHECK_EQ(aml_area_hwloc_check_binding(&area, ptr, 3 * PAGE), 1);
	CHECK_EQ(aml_area_hwloc_check_binding(&aml_area_hwloc_interleave, ptr, 3 * PAGE), 0);
	CHECK_EQ(aml_area_hwloc_check_binding(&aml_area_hwloc_default, ptr, 3 * PAGE), 0);
	CHECK_EQ(aml_area_hwloc_check_binding(&aml_area_hwloc_firsttouch, ptr, 3 * PAGE), 0);
	own.nodeset = &far;
	GIVES_NULL(aml_area_mmap(&area, PAGE, NULL), AML_EDOM);
	CHECK_EQ(aml_area_hwloc_check_binding(&area, ptr, 3 * PAGE), 0);
	own.policy = HWLOC_MEMBIND_DEFAULT;
	/* The default has no nodes. */
	maps(&area, 0);
	CHECK_EQ(aml_area_munmap(&area, ptr, 3 * PAGE), AML_SUCCESS);
}

static void errors(void)
{
	struct hwloc_bitmap_s node_0 = set_of(1), none = set_of(0), far = set_of(1 | 1UL << 62), all = set_of(~0UL);
	struct aml_area *area = &aml_area_hwloc_default;
	struct aml_area_hwloc_data own = { NULL, HWLOC_MEMBIND_NEXTTOUCH };
	struct aml_area odd = { &aml_area_hwloc_ops, (struct aml_area_data *)&own };
	FILE *reads = fopen("/proc/self/status", "re");
	char *ptr = (char *)aml_area_hwloc_mmap(aml_area_hwloc_default.data, PAGE, NULL);

	CHECK(ptr != NULL && reads != NULL);
	FAILS(aml_area_hwloc_create(NULL, &node_0, HWLOC_MEMBIND_BIND), AML_EINVAL);
	FAILS(aml_area_hwloc_create(&area, &none, HWLOC_MEMBIND_BIND), AML_EINVAL);
	CHECK(area == NULL);
	area = &aml_area_hwloc_default;
	FAILS(aml_area_hwloc_create(&area, &far, HWLOC_MEMBIND_INTERLEAVE), AML_EDOM);
	CHECK(area == NULL);
	all.without_end = 1;
	FAILS(aml_area_hwloc_create(&area, &all, HWLOC_MEMBIND_FIRSTTOUCH), AML_EDOM);
	FAILS(aml_area_hwloc_create(&area, &node_0, HWLOC_MEMBIND_NEXTTOUCH), AML_ENOTSUP);
	FAILS(aml_area_hwloc_create(&area, &node_0, HWLOC_MEMBIND_MIXED), AML_ENOTSUP);
	sets_no_memory = 1;
	FAILS(aml_area_hwloc_create(&area, &node_0, HWLOC_MEMBIND_BIND), AML_ENOMEM);
	sets_no_memory = 0;
	CHECK(area == NULL);
	CHECK_EQ(sets_copies, 0);

	GIVES_NULL(aml_area_hwloc_mmap(NULL, PAGE, NULL), AML_EINVAL);
	GIVES_NULL(aml_area_hwloc_mmap(aml_area_hwloc_default.data, 0, NULL), AML_EINVAL);
	GIVES_NULL(aml_area_hwloc_mmap(odd.data, PAGE, NULL), AML_ENOTSUP);
	GIVES_NULL(aml_area_hwloc_mmap(aml_area_hwloc_interleave.data, SIZE_MAX, NULL), AML_ENOMEM);
	own.policy = HWLOC_MEMBIND_BIND;
	own.nodeset = &far;
	GIVES_NULL(aml_area_hwloc_mmap(odd.data, PAGE, NULL), AML_EDOM);

	FAILS(aml_area_hwloc_munmap(NULL, NULL, PAGE), AML_EINVAL);
	FAILS(aml_area_hwloc_munmap(NULL, ptr, 0), AML_EINVAL);
	FAILS(aml_area_hwloc_munmap(NULL, ptr + 1, PAGE), AML_EINVAL);
	FAILS(aml_area_hwloc_munmap(NULL, ptr, SIZE_MAX), AML_ENOMEM);

	FAILS(aml_area_hwloc_check_binding(NULL, ptr, PAGE), AML_EINVAL);
	FAILS(aml_area_hwloc_check_binding(&aml_area_hwloc_default, NULL, PAGE), AML_EINVAL);
	FAILS(aml_area_hwloc_check_binding(&aml_area_hwloc_default, ptr, 0), AML_EINVAL);
	FAILS(aml_area_hwloc_check_binding(&aml_area_hwloc_default, ptr, SIZE_MAX), AML_ENOMEM);
	own.policy = HWLOC_MEMBIND_MIXED;
	FAILS(aml_area_hwloc_check_binding(&odd, ptr, PAGE), AML_ENOTSUP);
	FAILS(aml_area_fprintf(stderr, "", &odd), AML_ENOTSUP);
	FAILS(aml_area_fprintf(reads, "", &aml_area_hwloc_default), AML_EINVAL);
	odd.data = NULL;
	FAILS(aml_area_hwloc_check_binding(&odd, ptr, PAGE), AML_EINVAL);
	CHECK_EQ(aml_area_hwloc_munmap(NULL, ptr, PAGE), AML_SUCCESS);
	FAILS(aml_area_hwloc_check_binding(&aml_area_hwloc_default, ptr, PAGE), AML_EINVAL);
	fclose(reads);
}

static void prints(void)
{
	static const char begins[] = "> hwloc area: policy bind, nodes 0\nhwloc area: policy interleave, nodes all allowed\n"
	                             "- hwloc area: one after the other, nodes ";
	struct hwloc_bitmap_s node_0 = set_of(1);
	struct aml_area *area, *ranked;
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	CHECK_EQ(aml_area_hwloc_create(&area, &node_0, HWLOC_MEMBIND_BIND), AML_SUCCESS);
	CHECK_EQ(aml_area_hwloc_ranked_create(&ranked, NULL, AML_AREA_HWLOC_RANK_DISTANCE), AML_SUCCESS);
	CHECK_EQ(aml_area_fprintf(stream, "> ", area), AML_SUCCESS);
	CHECK_EQ(aml_area_fprintf(stream, NULL, &aml_area_hwloc_interleave), AML_SUCCESS);
	CHECK_EQ(aml_area_fprintf(stream, "- ", ranked), AML_SUCCESS);
	fclose(stream);
	CHECK(strncmp(text, begins, strlen(begins)) == 0);
	free(text);
	aml_area_hwloc_destroy(&area);
	CHECK_EQ(aml_area_hwloc_preferred_destroy(&ranked), AML_SUCCESS);
}

/* All nodes, each once; what is mapped prefers the first. */
static void is_an_order(struct aml_area *area)
{
	const struct aml_area_hwloc_preferred_data *data = (struct aml_area_hwloc_preferred_data *)area->data;
	char *ptr;

	CHECK(area->ops == &aml_area_hwloc_preferred_ops);
	CHECK(data->num_nodes > 0);
	for (unsigned at = 0; at < data->num_nodes; at++) {
		CHECK(data->os_indexes[at] < 1024 && data->numanodes[at] == NULL);
		for (unsigned other = 0; other < at; other++)
			CHECK(data->os_indexes[at] != data->os_indexes[other]);
	}
	ptr = (char *)aml_area_mmap(area, 3 * PAGE + 1, NULL);
	CHECK(ptr != NULL);
	CHECK_EQ(policy_at(ptr), 1);
	memset(ptr, 1, 3 * PAGE + 1);
	CHECK_EQ(aml_area_munmap(area, ptr, 3 * PAGE + 1), AML_SUCCESS);
	CHECK_STR(check_maps(ptr), "");
}

static void ranked(void)
{
	struct hwloc_bitmap_s cpus = set_of(0);
	cpu_set_t own;
	struct aml_area *area;

	CHECK_EQ(sched_getaffinity(0, sizeof own, &own), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &own))
			cpus.words[cpu / 64] |= 1UL << cpu % 64;
	}
	/* What no CPU is means nothing. */
	cpus.words[32] = 1UL << 60;
	cpus.without_end = 1;
	for (int rank = AML_AREA_HWLOC_RANK_DISTANCE; rank <= AML_AREA_HWLOC_RANK_FREE; rank++) {
		CHECK_EQ(aml_area_hwloc_ranked_create(&area, rank % 2 ? &cpus : NULL, (enum aml_area_hwloc_rank)rank), AML_SUCCESS);
		is_an_order(area);
		CHECK_EQ(aml_area_hwloc_preferred_destroy(&area), AML_SUCCESS);
		CHECK(area == NULL);
	}
	/* Bound to one CPU, which is on one node. */
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		cpu_set_t one;

		if (!CPU_ISSET(cpu, &own))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
		break;
	}
	CHECK_EQ(aml_area_hwloc_preferred_local_create(&area, HWLOC_DISTANCES_KIND_MEANS_LATENCY), AML_SUCCESS);
	is_an_order(area);
	CHECK_EQ(aml_area_hwloc_preferred_destroy(&area), AML_SUCCESS);
	CHECK_EQ(sched_setaffinity(0, sizeof own, &own), 0);
	CHECK_EQ(aml_area_hwloc_preferred_destroy(&area), AML_SUCCESS);
	CHECK_EQ(aml_area_hwloc_preferred_destroy(NULL), AML_SUCCESS);
}

static void ranked_errors(void)
{
	struct hwloc_bitmap_s none = set_of(0);
	struct aml_area_hwloc_preferred_data empty = { 1, NULL, NULL };
	FILE *reads = fopen("/proc/self/status", "re");
	struct aml_area *area = &aml_area_hwloc_default;

	CHECK(reads != NULL);
	FAILS(aml_area_hwloc_ranked_create(NULL, NULL, AML_AREA_HWLOC_RANK_FREE), AML_EINVAL);
	FAILS(aml_area_hwloc_ranked_create(&area, NULL, (enum aml_area_hwloc_rank)4), AML_EINVAL);
	CHECK(area == NULL);
	area = &aml_area_hwloc_default;
	FAILS(aml_area_hwloc_ranked_create(&area, &none, AML_AREA_HWLOC_RANK_FREE), AML_EINVAL);
	CHECK(area == NULL);
	FAILS(aml_area_hwloc_preferred_local_create(NULL, HWLOC_DISTANCES_KIND_FROM_OS), AML_EINVAL);
	GIVES_NULL(aml_area_hwloc_preferred_mmap(NULL, PAGE, NULL), AML_EINVAL);
	GIVES_NULL(aml_area_hwloc_preferred_mmap((struct aml_area_data *)&empty, PAGE, NULL), AML_EINVAL);
	empty.num_nodes = 0;
	CHECK_EQ(aml_area_hwloc_ranked_create(&area, NULL, AML_AREA_HWLOC_RANK_FREE), AML_SUCCESS);
	GIVES_NULL(aml_area_hwloc_preferred_mmap(area->data, SIZE_MAX, NULL), AML_ENOMEM);
	GIVES_NULL(aml_area_hwloc_preferred_mmap(area->data, 0, NULL), AML_EINVAL);
	FAILS(aml_area_hwloc_preferred_munmap(area->data, NULL, PAGE), AML_EINVAL);
	FAILS(aml_area_hwloc_preferred_munmap(area->data, area, SIZE_MAX), AML_ENOMEM);
	FAILS(aml_area_fprintf(reads, "", area), AML_EINVAL);
	/* Without nodes nothing is placed, and nothing stays. */
	((struct aml_area_hwloc_preferred_data *)area->data)->num_nodes = 0;
	GIVES_NULL(aml_area_hwloc_preferred_mmap(area->data, PAGE, NULL), AML_EINVAL);
	CHECK_EQ(aml_area_hwloc_preferred_destroy(&area), AML_SUCCESS);
	fclose(reads);
}

int main(void)
{
	all_policies();
	bindings();
	errors();
	prints();
	ranked();
	ranked_errors();
	return 0;
}
