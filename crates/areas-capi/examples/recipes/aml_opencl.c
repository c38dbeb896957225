/*
 * OpenCL areas in the shape of AML: buffers of a context, one of them over an area's memory, and
 * shared virtual memory. Kernels work in all three, and in the second the result is in the area at
 * once.
 *
 * Linked with: areas, OpenCL (Debian: ocl-icd-opencl-dev pocl-opencl-icd)
 */
#define CL_TARGET_OPENCL_VERSION 200
#include <aml.h>
#include <aml/area/opencl.h>
#include <areas.h>
#include <stdint.h>

#define COUNT ((size_t)1 << 16)
#define BYTES (COUNT * sizeof(uint32_t))

static void check(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "not so: %s; aml_errno is %d; areas says: %s\n", what, aml_errno, areas_error_help());
	exit(1);
}

static void skip(const char *why)
{
	printf("SKIPPED: %s\n", why);
	exit(77);
}

/* A device that is the CPU. */
static cl_device_id processor(void)
{
	cl_platform_id platforms[8];
	cl_device_id device;
	cl_uint count = 0;

	if (clGetPlatformIDs(8, platforms, &count) != CL_SUCCESS)
		skip("no OpenCL platform is installed (Debian: pocl-opencl-icd)");
	for (cl_uint i = 0; i < count && i < 8; i++)
		if (clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_CPU, 1, &device, NULL) == CL_SUCCESS)
			return device;
	skip("no OpenCL device is a CPU");
	return NULL;
}

static const char *const source = "kernel void three(global uint *numbers) { size_t i = get_global_id(0); numbers[i] = 3 * numbers[i] + 1; }";

static cl_context context;
static cl_command_queue queue;
static cl_kernel kernel;

static void open_device(cl_device_id device)
{
	cl_int error;
	cl_program program;

	context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
	check(error == CL_SUCCESS, "a context");
	queue = clCreateCommandQueueWithProperties(context, device, NULL, &error);
	check(error == CL_SUCCESS, "a queue");
	program = clCreateProgramWithSource(context, 1, (const char **)&source, NULL, &error);
	check(error == CL_SUCCESS && clBuildProgram(program, 1, &device, "", NULL, NULL) == CL_SUCCESS, "a program");
	kernel = clCreateKernel(program, "three", &error);
	check(error == CL_SUCCESS, "a kernel");
	clReleaseProgram(program);
}

static void compute(void)
{
	const size_t count = COUNT;

	check(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &count, NULL, 0, NULL, NULL) == CL_SUCCESS, "the kernel is started");
	check(clFinish(queue) == CL_SUCCESS, "the kernel ends");
}

static void fill(uint32_t *numbers)
{
	for (size_t i = 0; i < COUNT; i++)
		numbers[i] = (uint32_t)i;
}

static void is_computed(const uint32_t *numbers, const char *what)
{
	for (size_t i = 0; i < COUNT; i++)
		check(numbers[i] == 3 * (uint32_t)i + 1, what);
}

static void buffers(void)
{
	static uint32_t numbers[COUNT];
	struct aml_area *area;
	cl_mem buffer;

	check(aml_area_opencl_create(&area, context, CL_MEM_READ_WRITE) == AML_SUCCESS, "an area of buffers");
	buffer = (cl_mem)aml_area_mmap(area, BYTES, NULL);
	check(buffer != NULL, "a buffer");
	fill(numbers);
	check(clEnqueueWriteBuffer(queue, buffer, CL_TRUE, 0, BYTES, numbers, 0, NULL, NULL) == CL_SUCCESS, "it is written");
	check(clSetKernelArg(kernel, 0, sizeof buffer, &buffer) == CL_SUCCESS, "the kernel has the buffer");
	compute();
	check(clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, BYTES, numbers, 0, NULL, NULL) == CL_SUCCESS, "it is read");
	is_computed(numbers, "what the kernel wrote is read back");
	check(aml_area_fprintf(stdout, "buffers", area) == AML_SUCCESS, "it is printed");
	check(aml_area_munmap(area, buffer, BYTES) == AML_SUCCESS, "the buffer is released");
	aml_area_opencl_destroy(&area);
	check(area == NULL, "the area is destroyed");
}

/* Which takes an area's memory as the host pointer. */
static void over_an_area(void)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	struct aml_area *area;
	areas_area *memory;
	cl_mem buffer;

	wanted.size = BYTES;
	memory = areas_create(&wanted);
	check(memory != NULL && areas_populate(memory, NULL, NULL) >= 0, "memory");
	fill(areas_address(memory));
	check(aml_area_opencl_create(&area, context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR) == AML_SUCCESS, "an area of such buffers");
	aml_errno = 0;
	check(aml_area_mmap(area, BYTES, NULL) == NULL && aml_errno == AML_EINVAL, "a host pointer is wanted");
	buffer = (cl_mem)aml_area_mmap(area, BYTES, (struct aml_area_mmap_options *)areas_address(memory));
	check(buffer != NULL, "a buffer over the area");
	check(clSetKernelArg(kernel, 0, sizeof buffer, &buffer) == CL_SUCCESS, "the kernel has the buffer");
	compute();
	is_computed(areas_address(memory), "what the kernel wrote is in the area, and nothing was copied");
	check(aml_area_munmap(area, buffer, BYTES) == AML_SUCCESS, "the buffer is released");
	aml_area_opencl_destroy(&area);
	areas_release(memory);
}

static void shared_virtual_memory(cl_device_id device)
{
	cl_device_svm_capabilities has = 0;
	struct aml_area *area;
	cl_svm_mem_flags flags = CL_MEM_READ_WRITE;
	cl_ulong most = 0;
	uint32_t *numbers;
	int fine;

	clGetDeviceInfo(device, CL_DEVICE_SVM_CAPABILITIES, sizeof has, &has, NULL);
	clGetDeviceInfo(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof most, &most, NULL);
	if (has == 0)
		skip("the device has no shared virtual memory");
	fine = (has & CL_DEVICE_SVM_FINE_GRAIN_BUFFER) != 0;
	if (fine)
		flags |= CL_MEM_SVM_FINE_GRAIN_BUFFER;
	check(aml_area_opencl_svm_create(&area, context, flags, 128) == AML_SUCCESS, "an area of shared virtual memory");
	numbers = aml_area_mmap(area, BYTES, NULL);
	check(numbers != NULL && (uintptr_t)numbers % 128 == 0, "memory at a multiple of the alignment");
	if (!fine)
		check(clEnqueueSVMMap(queue, CL_TRUE, CL_MAP_WRITE, numbers, BYTES, 0, NULL, NULL) == CL_SUCCESS, "the host has it");
	fill(numbers);
	if (!fine)
		check(clEnqueueSVMUnmap(queue, numbers, 0, NULL, NULL) == CL_SUCCESS, "the device has it");
	check(clSetKernelArgSVMPointer(kernel, 0, numbers) == CL_SUCCESS, "the kernel has the address");
	compute();
	if (!fine)
		check(clEnqueueSVMMap(queue, CL_TRUE, CL_MAP_READ, numbers, BYTES, 0, NULL, NULL) == CL_SUCCESS, "the host has it again");
	is_computed(numbers, "what the kernel wrote is at the same address");
	if (!fine)
		check(clEnqueueSVMUnmap(queue, numbers, 0, NULL, NULL) == CL_SUCCESS && clFinish(queue) == CL_SUCCESS, "it is released");
	check(aml_area_munmap(area, numbers, BYTES) == AML_SUCCESS, "it is freed");
	aml_errno = 0;
	check(aml_area_mmap(area, (size_t)most + 4096, NULL) == NULL && aml_errno == AML_ENOMEM, "more than the device allocates");
	check(aml_area_fprintf(stdout, "shared", area) == AML_SUCCESS, "it is printed");
	aml_area_opencl_destroy(&area);
	check(aml_area_opencl_svm_create(&area, context, flags, 4096) == AML_SUCCESS, "an area of an alignment that OpenCL does not have");
	aml_errno = 0;
	check(aml_area_mmap(area, BYTES, NULL) == NULL && aml_errno == AML_EINVAL, "whose alignment is refused");
	aml_area_opencl_destroy(&area);
}

int main(void)
{
	cl_device_id device = processor();
	struct aml_area *area = NULL;

	check(aml_init(NULL, NULL) == AML_SUCCESS, "AML begins");
	open_device(device);
	check(aml_area_opencl_create(NULL, context, 0) == -AML_EINVAL, "no place for the area");
	check(aml_area_opencl_create(&area, NULL, 0) == -AML_EINVAL && area == NULL, "no context");
	buffers();
	over_an_area();
	shared_virtual_memory(device);
	clReleaseKernel(kernel);
	clReleaseCommandQueue(queue);
	clReleaseContext(context);
	aml_finalize();
	printf("kernels worked in buffers, in an area and in shared virtual memory\n");
	return 0;
}
