/* Prints how the structures of AML's headers lie in memory. */
#define AML_WITHOUT_HWLOC_H
#include <aml.h>
#include <aml/area/hwloc.h>
#include <aml/area/linux.h>
#include <aml/higher/allocator.h>

#include <stddef.h>

#define SIZE(type) printf(#type " %zu\n", sizeof(struct type))
#define FIELD(type, field) \
	printf(#type "." #field " %zu %zu\n", offsetof(struct type, field), sizeof(((struct type *)0)->field))

int main(void)
{
	SIZE(aml_area);
	FIELD(aml_area, ops);
	FIELD(aml_area, data);
	SIZE(aml_area_ops);
	FIELD(aml_area_ops, mmap);
	FIELD(aml_area_ops, munmap);
	FIELD(aml_area_ops, fprintf);
	SIZE(bitmask);
	FIELD(bitmask, size);
	FIELD(bitmask, maskp);
	SIZE(aml_area_linux_data);
	FIELD(aml_area_linux_data, nodeset);
	FIELD(aml_area_linux_data, policy);
	SIZE(aml_area_linux_mmap_options);
	FIELD(aml_area_linux_mmap_options, ptr);
	FIELD(aml_area_linux_mmap_options, flags);
	FIELD(aml_area_linux_mmap_options, mode);
	FIELD(aml_area_linux_mmap_options, fd);
	FIELD(aml_area_linux_mmap_options, offset);
	SIZE(aml_area_hwloc_data);
	FIELD(aml_area_hwloc_data, nodeset);
	FIELD(aml_area_hwloc_data, policy);
	SIZE(aml_area_hwloc_preferred_data);
	FIELD(aml_area_hwloc_preferred_data, num_nodes);
	FIELD(aml_area_hwloc_preferred_data, numanodes);
	FIELD(aml_area_hwloc_preferred_data, os_indexes);
	SIZE(aml_area_hwloc_options);
	FIELD(aml_area_hwloc_options, min_size);
	SIZE(aml_bitmap);
	FIELD(aml_bitmap, mask);
	SIZE(aml_allocator);
	FIELD(aml_allocator, data);
	FIELD(aml_allocator, ops);
	SIZE(aml_allocator_chunk);
	FIELD(aml_allocator_chunk, ptr);
	FIELD(aml_allocator_chunk, size);
	FIELD(aml_allocator_chunk, user_data);
	SIZE(aml_allocator_ops);
	FIELD(aml_allocator_ops, alloc);
	FIELD(aml_allocator_ops, free);
	FIELD(aml_allocator_ops, alloc_chunk);
	FIELD(aml_allocator_ops, free_chunk);
	return 0;
}
