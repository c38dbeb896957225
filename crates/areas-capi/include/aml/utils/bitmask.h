/*
 * `struct bitmask`: libnuma's where libnuma's header is, else one that looks like it. Node n is bit
 * n % 64 of maskp[n / 64].
 */
#ifndef AML_UTILS_BITMASK_H
#define AML_UTILS_BITMASK_H

#if defined(__has_include)
#if __has_include(<numa.h>)
#include <numa.h>
#endif
#endif

/* _NUMA_H is how numa.h knows that it was included: by us, or by you from somewhere else. */
#ifndef _NUMA_H
struct bitmask {
	/* How many bits there are. */
	unsigned long size;
	unsigned long *maskp;
};
#endif

#endif
