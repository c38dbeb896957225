/*
 * An area as the memory of an OpenCL buffer: CL_MEM_USE_HOST_PTR. On a device that computes in the
 * machine's memory (PoCL: the CPU) a kernel works in the area itself, and another process that has
 * the area sees what it wrote, without a copy.
 *
 * Linked with: areas, OpenCL (Debian: ocl-icd-opencl-dev pocl-opencl-icd)
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <areas.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT ((size_t)1 << 20)

static void check(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "not so: %s; areas says: %s\n", what, areas_error_help());
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

/* Runs the kernel over the buffer, and waits for its end. */
static void compute(cl_context context, cl_device_id device, cl_command_queue queue, cl_mem buffer)
{
	const size_t count = COUNT;
	cl_int error;
	cl_program program = clCreateProgramWithSource(context, 1, (const char **)&source, NULL, &error);
	cl_kernel kernel;

	check(error == CL_SUCCESS && clBuildProgram(program, 1, &device, "", NULL, NULL) == CL_SUCCESS, "the kernel is built");
	kernel = clCreateKernel(program, "three", &error);
	check(error == CL_SUCCESS && clSetKernelArg(kernel, 0, sizeof buffer, &buffer) == CL_SUCCESS, "the kernel has its buffer");
	check(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &count, NULL, 0, NULL, NULL) == CL_SUCCESS, "the kernel is started");
	check(clFinish(queue) == CL_SUCCESS, "the kernel ends");
	clReleaseKernel(kernel);
	clReleaseProgram(program);
}

/* Another process, which has nothing of OpenCL, finds the area and looks. */
static void look_from_elsewhere(void)
{
	const pid_t child = fork();
	int status;

	check(child >= 0, "fork");
	if (child == 0) {
		areas_area *clone = areas_clone_named("opencl", NULL);
		const uint32_t *numbers;
		if (clone == NULL)
			_exit(2);
		numbers = areas_address(clone);
		for (size_t i = 0; i < COUNT; i++)
			if (numbers[i] != 3 * (uint32_t)i + 1)
				_exit(3);
		_exit(0);
	}
	check(waitpid(child, &status, 0) == child && status == 0, "another process sees what the kernel wrote");
}

int main(void)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	cl_device_id device = processor();
	areas_area *area;
	uint32_t *numbers;
	cl_context context;
	cl_command_queue queue;
	cl_mem buffer;
	cl_int error;
	void *mapped;

	wanted.size = COUNT * sizeof *numbers;
	wanted.name = "opencl";
	area = areas_create(&wanted);
	check(area != NULL && areas_populate(area, NULL, NULL) >= 0, "an area");
	numbers = areas_address(area);
	for (size_t i = 0; i < COUNT; i++)
		numbers[i] = (uint32_t)i;
	context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
	check(error == CL_SUCCESS, "a context");
	queue = clCreateCommandQueue(context, device, 0, &error);
	check(error == CL_SUCCESS, "a queue");
	buffer = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, areas_size(area), numbers, &error);
	check(error == CL_SUCCESS, "a buffer over the area");
	compute(context, device, queue, buffer);
	/* Before anything is mapped or read back: the kernel worked in the area itself. */
	for (size_t i = 0; i < COUNT; i++)
		check(numbers[i] == 3 * (uint32_t)i + 1, "what the kernel wrote is in the area, and nothing was copied");
	mapped = clEnqueueMapBuffer(queue, buffer, CL_TRUE, CL_MAP_READ, 0, areas_size(area), 0, NULL, NULL, &error);
	check(error == CL_SUCCESS && mapped == (void *)numbers, "what OpenCL maps is the area");
	clEnqueueUnmapMemObject(queue, buffer, mapped, 0, NULL, NULL);
	check(clFinish(queue) == CL_SUCCESS, "it is unmapped");
	look_from_elsewhere();
	/* The buffer first: OpenCL uses the memory as long as there is one. */
	clReleaseMemObject(buffer);
	clReleaseCommandQueue(queue);
	clReleaseContext(context);
	areas_release(area);
	printf("a kernel worked in an area\n");
	return 0;
}
