/* AML 0.1's areas: what is there, and each error. */
#include <aml.h>
#include <aml/area/linux.h>

#include "aml/fails.h"

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

static const int bindings[] = { AML_AREA_LINUX_BINDING_FLAG_BIND, AML_AREA_LINUX_BINDING_FLAG_INTERLEAVE,
	AML_AREA_LINUX_BINDING_FLAG_PREFERRED };
static const int mappings[] = { AML_AREA_LINUX_MMAP_FLAG_PRIVATE, AML_AREA_LINUX_MMAP_FLAG_SHARED };

/* A page that a process writes: a child's write is seen where memory is shared. */
static int seen_from_a_child(char *ptr)
{
	pid_t child = check_fork();

	if (child == 0) {
		*ptr = 'c';
		_exit(0);
	}
	check_child(child, 0);
	return *ptr == 'c';
}

static void all_sorts(void)
{
	struct aml_bitmap nodes;

	aml_bitmap_zero(&nodes);
	aml_bitmap_set(&nodes, 0);
	for (int at = 0; at < 6; at++) {
		struct aml_area *area;
		struct aml_area_linux_data *data;
		struct aml_area_linux_data plain = aml_area_linux_data_default;
		void *hint;
		char *ptr, *again;

		CHECK_EQ(aml_area_linux_create(&area, mappings[at % 2], &nodes, bindings[at / 2]), AML_SUCCESS);
		data = (struct aml_area_linux_data *)area->data;
		CHECK_EQ(data->binding_flags, bindings[at / 2]);
		CHECK_EQ(data->mmap_flags, mappings[at % 2]);
		ptr = (char *)aml_area_mmap(area, NULL, 2 * PAGE + 1);
		CHECK(ptr != NULL);
		CHECK_EQ(aml_area_linux_check_binding(data, ptr, 2 * PAGE + 1), 1);
		memset(ptr, 1, PAGE);
		CHECK_EQ(aml_area_linux_check_binding(data, ptr, 3 * PAGE), 1);
		CHECK_EQ(seen_from_a_child(ptr), at % 2);
		CHECK_EQ(aml_area_linux_mbind(&plain, ptr + PAGE, PAGE), AML_SUCCESS);
		CHECK_EQ(aml_area_linux_check_binding(data, ptr, 3 * PAGE), 0);
		/* An address that is free is taken; one that is not is a hint. */
		hint = ptr;
		again = (char *)aml_area_mmap(area, &hint, PAGE);
		CHECK(again != NULL && again != ptr);
		CHECK_EQ(aml_area_munmap(area, again, PAGE), AML_SUCCESS);
		hint = again;
		CHECK(aml_area_mmap(area, &hint, PAGE) == again);
		CHECK_EQ(aml_area_munmap(area, again, PAGE), AML_SUCCESS);
		CHECK_EQ(aml_area_munmap(area, ptr, 2 * PAGE + 1), AML_SUCCESS);
		CHECK_STR(check_maps(ptr + 2 * PAGE), "");
		aml_area_linux_destroy(&area);
		CHECK(area == NULL);
	}
}

static void errors(void)
{
	struct aml_area *area = &aml_area_linux;
	struct aml_area_ops none = { NULL, NULL };
	struct aml_area odd = { &none, NULL };
	struct aml_area_linux_data data = { NULL, AML_AREA_LINUX_BINDING_FLAG_BIND, MAP_PRIVATE };
	unsigned long far = 1UL << 63;
	struct bitmask last = { 64, &far };
	struct aml_bitmap nodes;
	char *ptr = (char *)aml_area_mmap(&aml_area_linux, NULL, PAGE);

	CHECK(ptr != NULL);
	*ptr = 1;
	aml_bitmap_zero(&nodes);
	FAILS(aml_area_linux_create(NULL, mappings[0], NULL, bindings[0]), AML_EINVAL);
	FAILS(aml_area_linux_create(&area, mappings[0], &nodes, bindings[0]), AML_EINVAL);
	CHECK(area == NULL);
	aml_bitmap_fill(&nodes);
	FAILS(aml_area_linux_create(&area, mappings[0], &nodes, bindings[0]), AML_EDOM);
	FAILS(aml_area_linux_create(&area, MAP_PRIVATE, NULL, bindings[0]), AML_EINVAL);
	FAILS(aml_area_linux_create(&area, mappings[0] | MAP_FIXED, NULL, bindings[0]), AML_EINVAL);
	FAILS(aml_area_linux_create(&area, mappings[0], NULL, 0), AML_EINVAL);
	FAILS(aml_area_linux_create(&area, mappings[0], NULL, 99), AML_EINVAL);
	CHECK(area == NULL);
	aml_area_linux_destroy(&area);
	aml_area_linux_destroy(NULL);

	GIVES_NULL(aml_area_mmap(NULL, NULL, PAGE), AML_EINVAL);
	GIVES_NULL(aml_area_mmap(&odd, NULL, PAGE), AML_ENOTSUP);
	FAILS(aml_area_munmap(&odd, ptr, PAGE), AML_ENOTSUP);
	FAILS(aml_area_munmap(NULL, ptr, PAGE), AML_EINVAL);
	odd.ops = NULL;
	GIVES_NULL(aml_area_mmap(&odd, NULL, PAGE), AML_EINVAL);
	odd.ops = &aml_area_linux_ops;
	GIVES_NULL(aml_area_mmap(&odd, NULL, PAGE), AML_EINVAL);
	aml_errno = AML_EBUSY;
	CHECK(aml_area_mmap(NULL, NULL, 0) == NULL);
	CHECK_EQ(aml_area_munmap(NULL, NULL, PAGE), AML_SUCCESS);
	CHECK_EQ(aml_area_munmap(NULL, ptr, 0), AML_SUCCESS);
	CHECK_EQ(aml_errno, AML_EBUSY);

	GIVES_NULL(aml_area_linux_mmap(NULL, NULL, PAGE), AML_EINVAL);
	GIVES_NULL(aml_area_linux_mmap((struct aml_area_data *)&data, NULL, PAGE), AML_EINVAL);
	FAILS(aml_area_linux_mbind(NULL, ptr, PAGE), AML_EINVAL);
	FAILS(aml_area_linux_mbind(&data, NULL, PAGE), AML_EINVAL);
	FAILS(aml_area_linux_check_binding(NULL, ptr, PAGE), AML_EINVAL);
	FAILS(aml_area_linux_check_binding(&data, NULL, PAGE), AML_EINVAL);
	FAILS(aml_area_linux_mbind(&data, ptr + 1, PAGE), AML_EINVAL);
	FAILS(aml_area_linux_check_binding(&data, ptr, 0), AML_EINVAL);
	data.mmap_flags = AML_AREA_LINUX_MMAP_FLAG_PRIVATE;
	GIVES_NULL(aml_area_linux_mmap((struct aml_area_data *)&data, NULL, 0), AML_EINVAL);
	data.nodeset = &last;
	FAILS(aml_area_linux_mbind(&data, ptr, PAGE), AML_EDOM);
	data.nodeset = NULL;
	data.binding_flags = 77;
	FAILS(aml_area_linux_check_binding(&data, ptr, PAGE), AML_EINVAL);
	FAILS(aml_area_linux_mbind(&data, ptr, PAGE), AML_EINVAL);
	data.binding_flags = AML_AREA_LINUX_BINDING_FLAG_BIND;
	FAILS(aml_area_linux_mbind(&data, ptr, SIZE_MAX), AML_ENOMEM);
	FAILS(aml_area_linux_check_binding(&data, ptr, SIZE_MAX), AML_ENOMEM);
	FAILS(aml_area_linux_munmap(NULL, ptr, SIZE_MAX), AML_ENOMEM);
	GIVES_NULL(aml_area_linux_mmap((struct aml_area_data *)&data, NULL, SIZE_MAX), AML_ENOMEM);
	FAILS(aml_area_linux_munmap(NULL, ptr, 0), AML_EINVAL);
	FAILS(aml_area_linux_munmap(NULL, ptr + 1, PAGE), AML_EINVAL);
	CHECK_EQ(aml_area_linux_munmap(NULL, ptr, PAGE), AML_SUCCESS);
	FAILS(aml_area_linux_munmap(NULL, NULL, PAGE), AML_EINVAL);
}

/* Whose memory it is, one after the other: a variable of the file, one of a function, a block. */
AML_AREA_LINUX_DECL(of_the_file);

static void initialised(void)
{
	AML_AREA_LINUX_DECL(of_the_function);
	struct aml_area *block = (struct aml_area *)calloc(1, AML_AREA_LINUX_ALLOCSIZE), *areas[3];
	struct aml_bitmap nodes;

	CHECK(block != NULL);
	CHECK_EQ(AML_AREA_LINUX_ALLOCSIZE, sizeof(struct aml_area) + sizeof(struct aml_area_linux_data));
	block->data = (struct aml_area_data *)(block + 1);
	areas[0] = &of_the_file;
	areas[1] = &of_the_function;
	areas[2] = block;
	aml_bitmap_zero(&nodes);
	aml_bitmap_set(&nodes, 0);
	for (int at = 0; at < 18; at++) {
		struct aml_area *area = areas[at % 3];
		struct aml_area_linux_data *data = (struct aml_area_linux_data *)area->data;
		char *ptr;

		/* Not yet. */
		aml_area_linux_fini(area);
		if (area->ops != NULL)
			GIVES_NULL(aml_area_mmap(area, NULL, PAGE), AML_EINVAL);
		CHECK_EQ(aml_area_linux_init(area, mappings[at % 2], at < 9 ? &nodes : NULL, bindings[at % 9 / 3]), AML_SUCCESS);
		CHECK(area->ops == &aml_area_linux_ops && area->data == (struct aml_area_data *)data);
		CHECK_EQ(data->nodeset->maskp[0] & 1, 1);
		CHECK_EQ(data->binding_flags, bindings[at % 9 / 3]);
		CHECK_EQ(data->mmap_flags, mappings[at % 2]);
		ptr = (char *)aml_area_mmap(area, NULL, 2 * PAGE + 1);
		CHECK(ptr != NULL);
		memset(ptr, 1, PAGE);
		CHECK_EQ(aml_area_linux_check_binding(data, ptr, 2 * PAGE + 1), 1);
		CHECK_EQ(seen_from_a_child(ptr), at % 2);
		CHECK_EQ(aml_area_munmap(area, ptr, 2 * PAGE + 1), AML_SUCCESS);
		aml_area_linux_fini(area);
		CHECK(data->nodeset == NULL);
		/* Nothing that could be mapped from. */
		*data = (struct aml_area_linux_data){ NULL, 0, 0 };
	}
	free(block);
}

static void not_initialised(void)
{
	AML_AREA_LINUX_DECL(area);
	struct aml_area without = { NULL, NULL }, *made;
	struct aml_area_linux_data *data = (struct aml_area_linux_data *)area.data;
	unsigned long word = 1;
	struct bitmask own = { 64, &word };
	struct aml_bitmap nodes;

	FAILS(aml_area_linux_init(NULL, mappings[0], NULL, bindings[0]), AML_EINVAL);
	FAILS(aml_area_linux_init(&without, mappings[0], NULL, bindings[0]), AML_EINVAL);
	FAILS(aml_area_linux_init(&area, MAP_PRIVATE, NULL, bindings[0]), AML_EINVAL);
	FAILS(aml_area_linux_init(&area, mappings[0], NULL, 0), AML_EINVAL);
	aml_bitmap_zero(&nodes);
	FAILS(aml_area_linux_init(&area, mappings[0], &nodes, bindings[0]), AML_EINVAL);
	aml_bitmap_fill(&nodes);
	FAILS(aml_area_linux_init(&area, mappings[0], &nodes, bindings[0]), AML_EDOM);
	CHECK(data->nodeset == NULL);
	GIVES_NULL(aml_area_mmap(&area, NULL, PAGE), AML_EINVAL);
	aml_area_linux_fini(&area);
	aml_area_linux_fini(&without);
	aml_area_linux_fini(NULL);
	/* A nodeset of the program's own stays the program's; that of an area that was made goes with
	 * it. */
	data->nodeset = &own;
	aml_area_linux_fini(&area);
	CHECK(data->nodeset == NULL);
	CHECK_EQ(word, 1);
	CHECK_EQ(aml_area_linux_create(&made, mappings[0], NULL, bindings[0]), AML_SUCCESS);
	aml_area_linux_fini(made);
	aml_area_linux_destroy(&made);
}

int main(void)
{
	all_sorts();
	initialised();
	not_initialised();
	errors();
	return 0;
}
