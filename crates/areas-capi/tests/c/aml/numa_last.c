/* libnuma's header after ours, where it is installed: one struct bitmask. */
#include <aml.h>
#include <aml/area/linux.h>
#if defined(__has_include)
#if __has_include(<numa.h>)
#include <numa.h>
#define NUMA_IS_HERE 1
#endif
#endif

#include "check.h"

int main(void)
{
	struct aml_area *area;
	struct bitmask *nodes;

#ifndef NUMA_IS_HERE
	SKIP("numa.h is not installed");
#endif
	CHECK_EQ(aml_area_linux_create(&area, NULL, AML_AREA_LINUX_POLICY_INTERLEAVE), AML_SUCCESS);
	nodes = ((struct aml_area_linux_data *)area->data)->nodeset;
	CHECK(nodes->size >= 64);
	CHECK(nodes->maskp[0] != 0);
	aml_area_linux_destroy(&area);
	return 0;
}
