/*
 * The two examples of AML 0.1's documentation page, as the C that they mean: memory shared with
 * children at one address, spread over all nodes; and an area of one's own that has the work of a
 * linux area done, and then does its own.
 */
#include <aml.h>
#include <aml/area/linux.h>

#include "check.h"

#define SIZE ((size_t)64 * 4096)

static void shared_by_processes(void)
{
	struct aml_area *area;
	unsigned char *bytes;
	pid_t children[4];

	CHECK_EQ(aml_area_linux_create(&area, AML_AREA_LINUX_MMAP_FLAG_SHARED, NULL,
	                               AML_AREA_LINUX_BINDING_FLAG_INTERLEAVE),
	         AML_SUCCESS);
	bytes = (unsigned char *)aml_area_mmap(area, NULL, SIZE);
	CHECK(bytes != NULL);
	for (int at = 0; at < 4; at++) {
		children[at] = check_fork();
		if (children[at] == 0) {
			/* The same address here. */
			memset(bytes + (size_t)at * SIZE / 4, at + 1, SIZE / 4);
			_exit(0);
		}
	}
	for (int at = 0; at < 4; at++)
		check_child(children[at], 0);
	/* Pages that others brought in are looked at as well. */
	CHECK_EQ(aml_area_linux_check_binding((struct aml_area_linux_data *)area->data, bytes, SIZE), 1);
	for (size_t at = 0; at < SIZE; at++)
		CHECK_EQ(bytes[at], at / (SIZE / 4) + 1);
	CHECK_EQ(aml_area_munmap(area, bytes, SIZE), AML_SUCCESS);
	/* When work is done with this area, free resources associated with it. */
	aml_area_linux_destroy(&area);
	CHECK(area == NULL);
}

/* declaration of data field used in generic areas */
struct aml_area_data {
	/* uses features of linux areas */
	struct aml_area_linux_data linux_data;
	/* implements additional features */
	void *my_data;
};

static void whatever_shark(void *my_data, void *program_data, size_t size)
{
	memset(program_data, *(char *)my_data, size);
}

/* implements mmap using linux area features and custom features */
static void *my_mmap(const struct aml_area_data *data, void *ptr, size_t size)
{
	void *program_data = aml_area_linux_mmap(data, ptr, size);

	if (program_data == NULL)
		return NULL;
	CHECK_EQ(aml_area_linux_mbind(&data->linux_data, program_data, size), AML_SUCCESS);
	/* additional work we want to do on top of area linux work */
	whatever_shark(data->my_data, program_data, size);
	return program_data;
}

/* same for munmap */
static int my_munmap(const struct aml_area_data *data, void *ptr, size_t size)
{
	return aml_area_linux_munmap(data, ptr, size);
}

static char bite = 's';

static struct aml_area_data my_area_data = {
	.linux_data = {
		.nodeset = NULL,
		.binding_flags = AML_AREA_LINUX_BINDING_FLAG_INTERLEAVE,
		.mmap_flags = AML_AREA_LINUX_FLAG_SHARED,
	},
	.my_data = &bite,
};

static struct aml_area_ops my_area_ops = {
	.mmap = my_mmap,
	.munmap = my_munmap,
};

static struct aml_area my_area = {
	.ops = &my_area_ops,
	.data = &my_area_data,
};

static void of_ones_own(void)
{
	char *program_data = (char *)aml_area_mmap(&my_area, NULL, SIZE);
	pid_t child;

	CHECK(program_data != NULL);
	CHECK_STR(check_maps(program_data), "rw-s");
	for (size_t at = 0; at < SIZE; at++)
		CHECK_EQ(program_data[at], 's');
	CHECK_EQ(aml_area_linux_check_binding(&my_area_data.linux_data, program_data, SIZE), 1);
	child = check_fork();
	if (child == 0) {
		program_data[5] = 'h';
		_exit(0);
	}
	check_child(child, 0);
	CHECK_EQ(program_data[5], 'h');
	CHECK_EQ(aml_area_munmap(&my_area, program_data, SIZE), AML_SUCCESS);
	CHECK_STR(check_maps(program_data), "");
}

int main(int argc, char **argv)
{
	CHECK_EQ(aml_init(&argc, &argv), AML_SUCCESS);
	shared_by_processes();
	of_ones_own();
	CHECK_EQ(aml_finalize(), AML_SUCCESS);
	return 0;
}
