/* libnuma's header before ours, where it is installed: one struct bitmask. */
#if defined(__has_include)
#if __has_include(<numa.h>)
#include <numa.h>
#define NUMA_IS_HERE 1
#endif
#endif
#include <aml.h>
#include <aml/area/linux.h>

#include "check.h"

int main(void)
{
	unsigned long words[1] = { 1 };
	struct bitmask nodes = { 64, words };
	struct aml_area_linux_data data = { &nodes, AML_AREA_LINUX_POLICY_BIND };
	void *ptr = aml_area_linux_mmap_mbind((struct aml_area_data *)&data, 100, NULL);

#ifndef NUMA_IS_HERE
	SKIP("numa.h is not installed");
#endif
	CHECK(ptr != NULL);
	CHECK_EQ(aml_area_linux_check_binding(&data, ptr, 100), 1);
	CHECK_EQ(aml_area_munmap(&aml_area_linux, ptr, 100), AML_SUCCESS);
	return 0;
}
