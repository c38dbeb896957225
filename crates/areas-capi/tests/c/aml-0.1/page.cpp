// The older interface in C++: its symbols are the older ones there as well.
#include <aml.h>
#include <aml/area/linux.h>

#include "check.h"

int main()
{
	aml_area *area = nullptr;
	CHECK_EQ(aml_area_linux_create(&area, AML_AREA_LINUX_MMAP_FLAG_SHARED, nullptr,
	                               AML_AREA_LINUX_BINDING_FLAG_PREFERRED),
	         AML_SUCCESS);
	auto *bytes = static_cast<char *>(aml_area_mmap(area, nullptr, 10000));
	CHECK(bytes != nullptr);
	CHECK_STR(check_maps(bytes), "rw-s");
	CHECK_EQ(aml_area_linux_check_binding(reinterpret_cast<aml_area_linux_data *>(area->data), bytes, 10000), 1);
	CHECK_EQ(aml_area_munmap(area, bytes, 10000), AML_SUCCESS);
	aml_area_linux_destroy(&area);
	return 0;
}
