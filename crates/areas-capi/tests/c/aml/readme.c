#include <aml.h>
#include <aml/area/linux.h>

int main(void)
{
	struct aml_bitmap nodes;
	struct aml_area *area;
	double *values;

	aml_bitmap_from_string(&nodes, "0");
	if (aml_area_linux_create(&area, &nodes, AML_AREA_LINUX_POLICY_BIND) != AML_SUCCESS ||
	    (values = (double *)aml_area_mmap(area, 1 << 20, NULL)) == NULL)
		return aml_perror("cannot map"), 1;
	values[0] = 1.5; /* on node 0, and on no other: looked at, page by page */
	if (aml_area_linux_check_binding((struct aml_area_linux_data *)area->data, values, 1 << 20) != 1)
		return 1;
	aml_area_munmap(area, values, 1 << 20);
	aml_area_linux_destroy(&area);
	return 0;
}
