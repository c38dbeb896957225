// All of AML's headers in C++: they compile together, link, and work; an area of one's own with a
// class behind it.
#include <aml.h>
#include <aml/area/hwloc.h>
#include <aml/area/linux.h>
#include <aml/higher/allocator.h>
#include <aml/higher/allocator/area.h>
#include <aml/higher/allocator/buddy.h>
#include <aml/higher/allocator/sized.h>

#include "check.h"

struct aml_area_data {
	aml_area_linux_data linux_data;
	int calls;
};

extern "C" void *shark_mmap(const aml_area_data *data, size_t size, aml_area_mmap_options *opts)
{
	void *ptr = aml_area_linux_mmap(data, size, opts);
	if (ptr == nullptr)
		return nullptr;
	if (aml_area_linux_mbind(&data->linux_data, ptr, size) != AML_SUCCESS) {
		aml_area_linux_munmap(data, ptr, size);
		return nullptr;
	}
	const_cast<aml_area_data *>(data)->calls++;
	return ptr;
}

struct Odd {
	char c;
	double d;
	char e;
};

/* hwloc's header is there or not; nothing of hwloc is linked. */
static void by_hwlocs_policies()
{
	aml_area *area = nullptr;
	CHECK_EQ(aml_area_hwloc_create(&area, nullptr, HWLOC_MEMBIND_BIND), AML_SUCCESS);
	auto *bytes = static_cast<char *>(aml_area_mmap(area, 10000, nullptr));
	CHECK(bytes != nullptr);
	bytes[9999] = 1;
	CHECK_EQ(aml_area_hwloc_check_binding(area, bytes, 10000), 1);
	CHECK_EQ(aml_area_munmap(area, bytes, 10000), AML_SUCCESS);
	aml_area_hwloc_destroy(&area);
	CHECK_EQ(aml_area_hwloc_ranked_create(&area, nullptr, AML_AREA_HWLOC_RANK_LATENCY), AML_SUCCESS);
	CHECK_EQ(aml_area_hwloc_preferred_destroy(&area), AML_SUCCESS);
}

int main()
{
	by_hwlocs_policies();
	aml_area_data data{ { nullptr, AML_AREA_LINUX_POLICY_INTERLEAVE }, 0 };
	aml_area_ops ops{ shark_mmap, aml_area_linux_munmap, aml_area_linux_fprintf };
	aml_area area{ &ops, &data };
	aml_allocator *allocator = nullptr;

	CHECK_EQ(aml_init(nullptr, nullptr), AML_SUCCESS);
	CHECK_EQ(aml_allocator_buddy_create(&allocator, &area, nullptr), AML_SUCCESS);
	auto *numbers = static_cast<double *>(aml_alloc(allocator, 1000 * sizeof(double)));
	CHECK(numbers != nullptr);
	for (int i = 0; i < 1000; i++)
		numbers[i] = i;
	CHECK_EQ(aml_area_linux_check_binding(&data.linux_data, numbers, 1000 * sizeof(double)), 1);
	CHECK_EQ(data.calls, 1);
	CHECK_EQ(aml_free(allocator, numbers), AML_SUCCESS);
	CHECK_EQ(aml_allocator_buddy_destroy(&allocator), AML_SUCCESS);

	auto *odd = static_cast<Odd *>(AML_INNER_MALLOC_ARRAY(3, long, Odd, char, Odd));
	CHECK(odd != nullptr);
	auto *second = static_cast<Odd *>(AML_INNER_MALLOC_GET_FIELD(odd, 3, Odd, char, Odd));
	auto *array = static_cast<long *>(AML_INNER_MALLOC_GET_ARRAY(odd, long, Odd, char, Odd));
	CHECK_EQ(reinterpret_cast<char *>(second) - reinterpret_cast<char *>(odd), sizeof(Odd) + alignof(Odd));
	CHECK(reinterpret_cast<char *>(array) == reinterpret_cast<char *>(second + 1));
	array[2] = second->e = 1;
	free(odd);

	aml_errno = AML_EDOM;
	CHECK_STR(aml_strerror(aml_errno), "Value outside of what is allowed");
	CHECK_EQ(aml_finalize(), AML_SUCCESS);
	return 0;
}
