/* What the library can do beside plain memory: placement on NUMA nodes, and nothing with
 * devices. */
#ifndef AML_UTILS_FEATURES_H
#define AML_UTILS_FEATURES_H

#ifdef __cplusplus
extern "C" {
#endif

/* Bits for aml_support_backends. */
#define AML_BACKEND_LIBNUMA (1UL << 1)
#define AML_BACKEND_CUDA (1UL << 2)
#define AML_BACKEND_HWLOC (1UL << 3)
#define AML_BACKEND_OPENCL (1UL << 4)
#define AML_BACKEND_ZE (1UL << 5)
#define AML_BACKEND_HIP (1UL << 6)

/* At compile time. Placement on nodes is there; it needs no libnuma. */
#define AML_HAVE_BACKEND_LIBNUMA 1
#define AML_HAVE_BACKEND_CUDA 0
/* In AML this promises a topology and replica sets, too. The areas of aml/area/hwloc.h are there
 * whatever it says. */
#define AML_HAVE_BACKEND_HWLOC 0
#define AML_HAVE_BACKEND_OPENCL 0
#define AML_HAVE_BACKEND_ZE 0
#define AML_HAVE_BACKEND_HIP 0

/* 1 if all of these backends are there and work on this machine, else 0. */
int aml_support_backends(const unsigned long backends);

#ifdef __cplusplus
}
#endif

#endif
