/* Prints how the structures of AML 0.1's headers lie in memory. */
#include <aml.h>
#include <aml/area/linux.h>

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
	SIZE(aml_area_linux_data);
	FIELD(aml_area_linux_data, nodeset);
	FIELD(aml_area_linux_data, binding_flags);
	FIELD(aml_area_linux_data, mmap_flags);
	SIZE(aml_bitmap);
	return 0;
}
