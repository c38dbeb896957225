/*
 * What a limit forbids is AML_ENOMEM, and nothing is left of it.
 *
 * Not under valgrind: the limits would be valgrind's as well.
 */
#include <aml.h>
#include <aml/area/linux.h>
#include <aml/higher/allocator.h>
#include <aml/higher/allocator/area.h>
#include <aml/higher/allocator/buddy.h>
#include <aml/higher/allocator/sized.h>

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "check.h"

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

static void limit(int what, rlim_t most)
{
	struct rlimit to = { most, most };

	CHECK_EQ(setrlimit((__rlimit_resource_t)what, &to), 0);
}

static unsigned long pages_mapped(void)
{
	FILE *statm = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	CHECK(statm != NULL && fscanf(statm, "%lu", &pages) == 1);
	fclose(statm);
	return pages;
}

/* Neither area, bound or not, gets more addresses than there may be; allocators say so, too. */
static void addresses(void)
{
	struct aml_area *bound;
	struct aml_allocator *allocator;
	unsigned long before;

	CHECK_EQ(aml_area_linux_create(&bound, NULL, AML_AREA_LINUX_POLICY_BIND), AML_SUCCESS);
	before = pages_mapped();
	limit(RLIMIT_AS, (rlim_t)before * PAGE + (8 << 20));
	aml_errno = AML_SUCCESS;
	CHECK(aml_area_mmap(&aml_area_linux, 64 << 20, NULL) == NULL);
	CHECK_EQ(aml_errno, AML_ENOMEM);
	aml_errno = AML_SUCCESS;
	CHECK(aml_area_mmap(bound, 64 << 20, NULL) == NULL);
	CHECK_EQ(aml_errno, AML_ENOMEM);
	CHECK_EQ(aml_allocator_area_create(&allocator, bound, NULL), AML_SUCCESS);
	aml_errno = AML_SUCCESS;
	CHECK(aml_alloc(allocator, 64 << 20) == NULL);
	CHECK_EQ(aml_errno, AML_ENOMEM);
	CHECK_EQ(aml_allocator_area_destroy(&allocator), AML_SUCCESS);
	CHECK_EQ(aml_allocator_buddy_create(&allocator, bound, NULL), AML_SUCCESS);
	aml_errno = AML_SUCCESS;
	CHECK(aml_alloc(allocator, 64 << 20) == NULL);
	CHECK_EQ(aml_errno, AML_ENOMEM);
	CHECK_EQ(aml_allocator_buddy_destroy(&allocator), AML_SUCCESS);
	CHECK_EQ(aml_allocator_sized_create(&allocator, 64 << 20, bound, NULL), AML_SUCCESS);
	aml_errno = AML_SUCCESS;
	CHECK(aml_alloc(allocator, 64 << 20) == NULL);
	CHECK_EQ(aml_errno, AML_ENOMEM);
	CHECK_EQ(aml_allocator_sized_destroy(&allocator), AML_SUCCESS);
	CHECK(pages_mapped() - before < (64 << 20) / PAGE);
	aml_area_linux_destroy(&bound);
}

/* Memory that is to be locked takes an allowance; where there is none, none stays mapped. */
static void locked(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct rights[2];
	struct aml_area_linux_mmap_options wanted = { NULL, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED,
		PROT_READ | PROT_WRITE, -1, 0 };
	struct aml_area *bound;
	void *hint = (void *)(uintptr_t)0x300000000000;

	CHECK_EQ(aml_area_linux_create(&bound, NULL, AML_AREA_LINUX_POLICY_BIND), AML_SUCCESS);
	limit(RLIMIT_MEMLOCK, PAGE);
	/* The superuser may exceed it. */
	CHECK_EQ(syscall(SYS_capget, &header, rights), 0);
	rights[0].effective &= ~(1u << CAP_IPC_LOCK);
	CHECK_EQ(syscall(SYS_capset, &header, rights), 0);
	wanted.ptr = hint;
	aml_errno = AML_SUCCESS;
	CHECK(aml_area_mmap(&aml_area_linux, 64 * PAGE, (struct aml_area_mmap_options *)&wanted) == NULL);
	CHECK_EQ(aml_errno, AML_ENOMEM);
	aml_errno = AML_SUCCESS;
	CHECK(aml_area_mmap(bound, 64 * PAGE, (struct aml_area_mmap_options *)&wanted) == NULL);
	CHECK_EQ(aml_errno, AML_ENOMEM);
	CHECK_STR(check_maps(hint), "");
	aml_area_linux_destroy(&bound);
}

/* Limits are a process's: each in a child of its own. */
static void in_a_child(void (*test)(void))
{
	pid_t child = check_fork();

	if (child == 0) {
		test();
		_exit(0);
	}
	check_child(child, 0);
}

int main(void)
{
	in_a_child(addresses);
	in_a_child(locked);
	return 0;
}
