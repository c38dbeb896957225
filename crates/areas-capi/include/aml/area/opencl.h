/*
 * OpenCL areas: buffers of a context (cl_mem), and shared virtual memory (SVM).
 *
 * The library does not need OpenCL, and does not load it. What is here calls the program's own
 * OpenCL, and is compiled into the program: link it with -lOpenCL. Definitions are weak, so that
 * any number of its files may include this.
 *
 * <CL/opencl.h> is included where it is there, and AML_WITHOUT_OPENCL_H is not defined. Where it is
 * not, nothing is declared here. SVM needs CL_TARGET_OPENCL_VERSION of 200 or more (if it is not
 * defined: 300).
 *
 * An area's memory as an OpenCL buffer: CL_MEM_USE_HOST_PTR in the flags, and the address as
 * options of aml_area_mmap.
 */
#ifndef AML_AREA_OPENCL_H
#define AML_AREA_OPENCL_H

#include "../../aml.h"

#if defined(__has_include) && !defined(AML_WITHOUT_OPENCL_H)
#if __has_include(<CL/opencl.h>)
#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 300
#endif
#include <CL/opencl.h>
#define AML_AREA_OPENCL 1
#endif
#endif

#ifdef AML_AREA_OPENCL

#ifdef __cplusplus
extern "C" {
#endif

#define AML_OPENCL_WEAK __attribute__((weak))

#ifdef CL_VERSION_2_0
/* What clSVMAlloc takes. */
struct aml_area_opencl_svm_flags {
	cl_svm_mem_flags flags;
	cl_uint alignement;
};
#endif

/* The data of an OpenCL area. The area keeps the context (clRetainContext) until it is
 * destroyed. */
struct aml_area_opencl_data {
	cl_context context;
	union aml_area_opencl_flags {
		cl_mem_flags buffer_flags;
#ifdef CL_VERSION_2_0
		struct aml_area_opencl_svm_flags svm_flags;
#endif
	} flags;
};

/* Buffers: aml_area_opencl_mmap, aml_area_opencl_munmap, and one that prints the flags on a
 * line. */
extern struct aml_area_ops aml_area_opencl_ops;

/*
 * Makes an area whose memory are buffers of a context, made with these flags of clCreateBuffer. On
 * failure, *area is NULL: -AML_EINVAL for no context, or no place for the area; -AML_ENOMEM.
 */
int aml_area_opencl_create(struct aml_area **area, cl_context context, const cl_mem_flags flags);

/*
 * A buffer: a cl_mem, as `void *`. `options` is the host pointer of clCreateBuffer, for flags that
 * want one (CL_MEM_USE_HOST_PTR, CL_MEM_COPY_HOST_PTR), else NULL. With CL_MEM_USE_HOST_PTR the
 * memory is the caller's, an area's for instance: release the buffer first. NULL on failure;
 * aml_errno: AML_EINVAL for flags, sizes and pointers that make no sense to OpenCL, AML_ENOMEM,
 * AML_FAILURE for what else OpenCL refuses.
 */
void *aml_area_opencl_mmap(const struct aml_area_data *data, size_t size, struct aml_area_mmap_options *options);

/* Releases a buffer. -AML_EINVAL if OpenCL says that it is none. */
int aml_area_opencl_munmap(const struct aml_area_data *data, void *ptr, const size_t size);

/* Frees an area that was made, by either call, and sets *area to NULL. What was mapped from it
 * stays. */
void aml_area_opencl_destroy(struct aml_area **area);

#ifdef CL_VERSION_2_0
/* Shared virtual memory: aml_area_opencl_svm_mmap, aml_area_opencl_svm_munmap, and one that prints
 * the flags on a line. */
extern struct aml_area_ops aml_area_opencl_svm_ops;

/*
 * Makes an area of shared virtual memory: addresses that host and devices both use. `flags` and
 * `alignement` (0: the largest that a type of OpenCL needs) are clSVMAlloc's: a power of two, 128
 * at most. On failure as above.
 */
int aml_area_opencl_svm_create(struct aml_area **area, cl_context context, const cl_svm_mem_flags flags, cl_uint alignement);

/*
 * Memory at an address that holds for host and devices. `options` mean nothing, as in AML. Unless
 * CL_MEM_SVM_FINE_GRAIN_BUFFER is among the flags, the host accesses it between clEnqueueSVMMap and
 * clEnqueueSVMUnmap. NULL on failure; clSVMAlloc does not say why, so that aml_errno is AML_EINVAL
 * for another alignment, AML_ENOMEM where a device does not allocate that much at once, AML_ENOTSUP
 * where one has no such SVM, else AML_FAILURE.
 */
void *aml_area_opencl_svm_mmap(const struct aml_area_data *data, size_t size, struct aml_area_mmap_options *options);

/* Frees it. Nothing may use it any more: OpenCL does not wait. */
int aml_area_opencl_svm_munmap(const struct aml_area_data *data, void *ptr, const size_t size);
#endif

static inline int aml_opencl_failed(int code)
{
	aml_errno = code;
	return -code;
}

/* Which of AML's numbers one of OpenCL's is. */
static inline int aml_opencl_code(cl_int error)
{
	switch (error) {
	case CL_INVALID_CONTEXT:
	case CL_INVALID_VALUE:
	case CL_INVALID_BUFFER_SIZE:
	case CL_INVALID_HOST_PTR:
	case CL_INVALID_MEM_OBJECT:
		return AML_EINVAL;
	case CL_MEM_OBJECT_ALLOCATION_FAILURE:
	case CL_OUT_OF_RESOURCES:
	case CL_OUT_OF_HOST_MEMORY:
		return AML_ENOMEM;
	default:
		return AML_FAILURE;
	}
}

/* An area, and its data behind it. */
static inline int aml_opencl_make(struct aml_area **area, cl_context context, struct aml_area_opencl_data **data, struct aml_area_ops *ops)
{
	struct both {
		struct aml_area area;
		struct aml_area_opencl_data data;
	} *made;

	if (area == NULL)
		return aml_opencl_failed(AML_EINVAL);
	*area = NULL;
	if (context == NULL || clRetainContext(context) != CL_SUCCESS)
		return aml_opencl_failed(AML_EINVAL);
	made = (struct both *)calloc(1, sizeof *made);
	if (made == NULL) {
		clReleaseContext(context);
		return aml_opencl_failed(AML_ENOMEM);
	}
	made->data.context = context;
	made->area.ops = ops;
	made->area.data = (struct aml_area_data *)&made->data;
	*data = &made->data;
	*area = &made->area;
	return AML_SUCCESS;
}

AML_OPENCL_WEAK int aml_area_opencl_create(struct aml_area **area, cl_context context, const cl_mem_flags flags)
{
	struct aml_area_opencl_data *data;
	const int status = aml_opencl_make(area, context, &data, &aml_area_opencl_ops);

	if (status == AML_SUCCESS)
		data->flags.buffer_flags = flags;
	return status;
}

AML_OPENCL_WEAK void aml_area_opencl_destroy(struct aml_area **area)
{
	if (area == NULL || *area == NULL)
		return;
	clReleaseContext(((struct aml_area_opencl_data *)(*area)->data)->context);
	free(*area);
	*area = NULL;
}

AML_OPENCL_WEAK void *aml_area_opencl_mmap(const struct aml_area_data *data, size_t size, struct aml_area_mmap_options *options)
{
	const struct aml_area_opencl_data *about = (const struct aml_area_opencl_data *)data;
	cl_int error;
	cl_mem buffer;

	if (about == NULL) {
		aml_errno = AML_EINVAL;
		return NULL;
	}
	buffer = clCreateBuffer(about->context, about->flags.buffer_flags, size, (void *)options, &error);
	if (error != CL_SUCCESS) {
		aml_errno = aml_opencl_code(error);
		return NULL;
	}
	return (void *)buffer;
}

AML_OPENCL_WEAK int aml_area_opencl_munmap(const struct aml_area_data *data, void *ptr, const size_t size)
{
	const cl_int error = clReleaseMemObject((cl_mem)ptr);

	(void)data;
	(void)size;
	return error == CL_SUCCESS ? AML_SUCCESS : aml_opencl_failed(aml_opencl_code(error));
}

static inline int aml_opencl_fprintf(const struct aml_area_data *data, FILE *stream, const char *prefix)
{
	const struct aml_area_opencl_data *about = (const struct aml_area_opencl_data *)data;

	if (about == NULL || stream == NULL)
		return aml_opencl_failed(AML_EINVAL);
	fprintf(stream, "%s: OpenCL buffers, flags: 0x%llx\n", prefix == NULL ? "" : prefix, (unsigned long long)about->flags.buffer_flags);
	return AML_SUCCESS;
}

AML_OPENCL_WEAK struct aml_area_ops aml_area_opencl_ops = { aml_area_opencl_mmap, aml_area_opencl_munmap, aml_opencl_fprintf };

#ifdef CL_VERSION_2_0
AML_OPENCL_WEAK int aml_area_opencl_svm_create(struct aml_area **area, cl_context context, const cl_svm_mem_flags flags,
                                               cl_uint alignement)
{
	struct aml_area_opencl_data *data;
	const int status = aml_opencl_make(area, context, &data, &aml_area_opencl_svm_ops);

	if (status == AML_SUCCESS) {
		data->flags.svm_flags.flags = flags;
		data->flags.svm_flags.alignement = alignement;
	}
	return status;
}

/* Why a context gives no SVM of that size, alignment and flags. */
static inline int aml_opencl_svm_reason(cl_context context, size_t size, const struct aml_area_opencl_svm_flags *asked)
{
	const cl_svm_mem_flags flags = asked->flags;
	const cl_svm_mem_flags fine = CL_MEM_SVM_FINE_GRAIN_BUFFER, atomics = CL_MEM_SVM_ATOMICS;
	cl_device_id devices[64];
	size_t bytes = 0, at;

	/* long16 and double16 are the largest types there are. */
	if ((asked->alignement & (asked->alignement - 1)) != 0 || asked->alignement > 128)
		return AML_EINVAL;
	if (clGetContextInfo(context, CL_CONTEXT_DEVICES, sizeof devices, devices, &bytes) != CL_SUCCESS)
		return AML_FAILURE;
	for (at = 0; at < bytes / sizeof *devices; at++) {
		cl_device_svm_capabilities has = 0;
		cl_ulong most = 0;

		clGetDeviceInfo(devices[at], CL_DEVICE_SVM_CAPABILITIES, sizeof has, &has, NULL);
		clGetDeviceInfo(devices[at], CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof most, &most, NULL);
		if (has == 0 || ((flags & fine) && !(has & CL_DEVICE_SVM_FINE_GRAIN_BUFFER)) || ((flags & atomics) && !(has & CL_DEVICE_SVM_ATOMICS)))
			return AML_ENOTSUP;
		if (size > most)
			return AML_ENOMEM;
	}
	return AML_FAILURE;
}

AML_OPENCL_WEAK void *aml_area_opencl_svm_mmap(const struct aml_area_data *data, size_t size, struct aml_area_mmap_options *options)
{
	const struct aml_area_opencl_data *about = (const struct aml_area_opencl_data *)data;
	void *memory;

	(void)options;
	if (about == NULL) {
		aml_errno = AML_EINVAL;
		return NULL;
	}
	memory = clSVMAlloc(about->context, about->flags.svm_flags.flags, size, about->flags.svm_flags.alignement);
	if (memory == NULL)
		aml_errno = aml_opencl_svm_reason(about->context, size, &about->flags.svm_flags);
	return memory;
}

AML_OPENCL_WEAK int aml_area_opencl_svm_munmap(const struct aml_area_data *data, void *ptr, const size_t size)
{
	const struct aml_area_opencl_data *about = (const struct aml_area_opencl_data *)data;

	(void)size;
	if (about == NULL)
		return aml_opencl_failed(AML_EINVAL);
	clSVMFree(about->context, ptr);
	return AML_SUCCESS;
}

static inline int aml_opencl_svm_fprintf(const struct aml_area_data *data, FILE *stream, const char *prefix)
{
	const struct aml_area_opencl_data *about = (const struct aml_area_opencl_data *)data;

	if (about == NULL || stream == NULL)
		return aml_opencl_failed(AML_EINVAL);
	fprintf(stream, "%s: OpenCL SVM, flags: 0x%llx, alignment: %u\n", prefix == NULL ? "" : prefix,
	        (unsigned long long)about->flags.svm_flags.flags, (unsigned)about->flags.svm_flags.alignement);
	return AML_SUCCESS;
}

AML_OPENCL_WEAK struct aml_area_ops aml_area_opencl_svm_ops = { aml_area_opencl_svm_mmap, aml_area_opencl_svm_munmap,
	                                                        aml_opencl_svm_fprintf };
#endif

#ifdef __cplusplus
}
#endif

#endif

#endif
