/*
 * hwloc areas: memory of the kernel, placed by hwloc's policies on the nodes of hwloc's sets; and
 * memory that fills nodes one after the other, the best first.
 *
 * The library does not need hwloc, and does not load it. Which node is best is its own knowledge of
 * the machine (what the kernel reports of bandwidth, latency, distances and free memory). Where a
 * program hands in a set of hwloc's, its numbers are read, by the functions of the program's own
 * hwloc: link it with -lhwloc, as programs do that make such sets. A set that cannot be read,
 * because there is no hwloc in the program, is AML_ENOTSUP.
 *
 * <hwloc.h> is included where it is there, and AML_WITHOUT_HWLOC_H is not defined. Where it is not,
 * its names that are needed here are defined as it defines them, and what takes an object of
 * hwloc's is missing.
 */
#ifndef AML_AREA_HWLOC_H
#define AML_AREA_HWLOC_H

#include "../../aml.h"

#if defined(__has_include) && !defined(AML_WITHOUT_HWLOC_H)
#if __has_include(<hwloc.h>)
#include <hwloc.h>
#include <hwloc/distances.h>
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* HWLOC_H is how hwloc.h knows that it was included: by us, or by you from somewhere else. */
#ifndef HWLOC_H
typedef struct hwloc_bitmap_s *hwloc_bitmap_t;
typedef const struct hwloc_bitmap_s *hwloc_const_bitmap_t;
typedef struct hwloc_obj *hwloc_obj_t;

typedef enum {
	HWLOC_MEMBIND_DEFAULT = 0,
	HWLOC_MEMBIND_FIRSTTOUCH = 1,
	HWLOC_MEMBIND_BIND = 2,
	HWLOC_MEMBIND_INTERLEAVE = 3,
	HWLOC_MEMBIND_NEXTTOUCH = 4,
	HWLOC_MEMBIND_MIXED = -1
} hwloc_membind_policy_t;

enum hwloc_distances_kind_e {
	HWLOC_DISTANCES_KIND_FROM_OS = 1 << 0,
	HWLOC_DISTANCES_KIND_FROM_USER = 1 << 1,
	HWLOC_DISTANCES_KIND_MEANS_LATENCY = 1 << 2,
	HWLOC_DISTANCES_KIND_MEANS_BANDWIDTH = 1 << 3
};
#endif

/* The data of an hwloc area. NULL as nodeset means all nodes that are allowed at the time of the
 * call. */
struct aml_area_hwloc_data {
	hwloc_bitmap_t nodeset;
	/*
	 * HWLOC_MEMBIND_DEFAULT: what the touching thread has; the nodes mean nothing. _FIRSTTOUCH: the
	 * node of the thread that touches a page first, or the nearest one of the nodeset. _BIND: the
	 * nodes of the nodeset and no other. _INTERLEAVE: one page from each in turn;
	 * _WEIGHTED_INTERLEAVE (5, hwloc 2.11): as many as the kernel's weights say. Any other is
	 * AML_ENOTSUP.
	 */
	hwloc_membind_policy_t policy;
};

/* The operations of hwloc areas: aml_area_hwloc_mmap, aml_area_hwloc_munmap, and one that prints
 * policy and nodes on a line. */
extern struct aml_area_ops aml_area_hwloc_ops;

/* Areas to begin with, over all nodes that are allowed: no placement; each node in turn; the node
 * of the thread that touches. */
extern struct aml_area aml_area_hwloc_default;
extern struct aml_area aml_area_hwloc_interleave;
extern struct aml_area aml_area_hwloc_firsttouch;

/*
 * Makes an area over the nodes of a set, of which it keeps a copy (of NULL: NULL). On failure,
 * *area is NULL: -AML_ENOTSUP for another policy than those above, and for a set that cannot be
 * read; -AML_EDOM for a node that does not exist or may not be used;
 * -AML_EINVAL for a set without nodes, or no place for the area; -AML_ENOMEM.
 */
int aml_area_hwloc_create(struct aml_area **area, hwloc_bitmap_t nodeset, const hwloc_membind_policy_t policy);

/* Frees an area that was made, and sets *area to NULL. What was mapped from it stays mapped. */
void aml_area_hwloc_destroy(struct aml_area **area);

/* Maps private memory and places it. `opts` mean nothing, as in AML. */
void *aml_area_hwloc_mmap(const struct aml_area_data *data, size_t size, struct aml_area_mmap_options *opts);

/* Unmaps. -AML_ENOMEM for more than there are addresses. */
int aml_area_hwloc_munmap(const struct aml_area_data *data, void *ptr, size_t size);

/*
 * 1 if the policy of all of the range is the area's and each page of it that is in RAM is on a node
 * of the area; 0 if not; negative if the range is not all mapped (-AML_ENOMEM: more than there are
 * addresses), or the question makes no sense. Each page is looked at, and none is faulted in. (With
 * _DEFAULT and with _FIRSTTOUCH over all nodes any node will do.)
 */
int aml_area_hwloc_check_binding(struct aml_area *area, void *ptr, size_t size);

/*
 * The data of an area that fills nodes one after the other. `numanodes` has room for one of hwloc's
 * objects for each node: aml_area_hwloc_preferred_create fills them in from the topology of its
 * initiator; they are NULL where there is none. `os_indexes` are the nodes themselves, best first,
 * which AML does not have.
 */
struct aml_area_hwloc_preferred_data {
	unsigned num_nodes;
	hwloc_obj_t *numanodes;
	unsigned *os_indexes;
};

/* What AML has for the mapping of such areas. It means nothing, there as here. */
struct aml_area_hwloc_options {
	size_t min_size;
};

/* Which nodes are best. Where bandwidth or latency is not known, it is by distance. */
enum aml_area_hwloc_rank {
	/* The nearest, by the distances that the firmware reports (SLIT). */
	AML_AREA_HWLOC_RANK_DISTANCE = 0,
	/* The highest read bandwidth (HMAT). */
	AML_AREA_HWLOC_RANK_BANDWIDTH = 1,
	/* The lowest read latency (HMAT). */
	AML_AREA_HWLOC_RANK_LATENCY = 2,
	/* The most free memory. */
	AML_AREA_HWLOC_RANK_FREE = 3
};

/* The operations of such areas: map, unmap, and print the nodes on a line. */
extern struct aml_area_ops aml_area_hwloc_preferred_ops;

/*
 * Makes an area over all nodes that are allowed and have memory, best first, as seen from some CPUs
 * (of several nodes: each node counts by what it is for the one that it is best for); of NULL, for
 * the machine as a whole. AML does not have this function. On failure, *area is NULL: -AML_EINVAL
 * for another ranking, a set without CPUs that are online, or no place for the area; -AML_ENOTSUP
 * where the kernel does not report it, or the set cannot be read; -AML_ENOMEM.
 */
int aml_area_hwloc_ranked_create(struct aml_area **area, hwloc_const_bitmap_t cpus, enum aml_area_hwloc_rank rank);

/*
 * The same, as seen from the one node on whose CPUs the calling thread may run; -AML_FAILURE if
 * these are not on one node. `kind`: HWLOC_DISTANCES_KIND_MEANS_BANDWIDTH, else _MEANS_LATENCY,
 * else distance.
 */
int aml_area_hwloc_preferred_local_create(struct aml_area **area, const enum hwloc_distances_kind_e kind);

/* Frees an area that was made, and sets *area to NULL. What was mapped from it stays mapped. Gives
 * AML_SUCCESS. */
int aml_area_hwloc_preferred_destroy(struct aml_area **area);

/*
 * Maps private memory: as much of it as the first node has free now prefers that, the next part the
 * second, and so on; the last one has the rest. A node that is filled concurrently is not an error:
 * the kernel goes on elsewhere. `opts` mean nothing, as in AML.
 */
void *aml_area_hwloc_preferred_mmap(const struct aml_area_data *data, size_t size, struct aml_area_mmap_options *opts);

/* Unmaps. */
int aml_area_hwloc_preferred_munmap(const struct aml_area_data *data, void *ptr, size_t size);

#ifdef HWLOC_H
/* A memory node of a topology, at or below an object. */
static inline hwloc_obj_t aml_hwloc_find_numanode(hwloc_obj_t at, unsigned os_index)
{
	hwloc_obj_t child, found = NULL;

	if (at->type == HWLOC_OBJ_NUMANODE && at->os_index == os_index)
		return at;
#if HWLOC_API_VERSION >= 0x00020000
	for (child = at->memory_first_child; child != NULL && found == NULL; child = child->next_sibling)
		found = aml_hwloc_find_numanode(child, os_index);
#endif
	for (child = at->first_child; child != NULL && found == NULL; child = child->next_sibling)
		found = aml_hwloc_find_numanode(child, os_index);
	return found;
}

/*
 * The same, as seen from the CPUs of an object: a core, a package, a node. `kind` as for
 * aml_area_hwloc_preferred_local_create. -AML_EINVAL also for no object, and for one without CPUs.
 */
static inline int aml_area_hwloc_preferred_create(struct aml_area **area, hwloc_obj_t initiator,
                                                  const enum hwloc_distances_kind_e kind)
{
	struct aml_area_hwloc_preferred_data *data;
	enum aml_area_hwloc_rank rank = AML_AREA_HWLOC_RANK_DISTANCE;
	unsigned at;
	int status;

	if (area != NULL)
		*area = NULL;
	if (area == NULL || initiator == NULL || initiator->cpuset == NULL) {
		aml_errno = AML_EINVAL;
		return -AML_EINVAL;
	}
	if (kind & HWLOC_DISTANCES_KIND_MEANS_BANDWIDTH)
		rank = AML_AREA_HWLOC_RANK_BANDWIDTH;
	else if (kind & HWLOC_DISTANCES_KIND_MEANS_LATENCY)
		rank = AML_AREA_HWLOC_RANK_LATENCY;
	status = aml_area_hwloc_ranked_create(area, initiator->cpuset, rank);
	if (status != AML_SUCCESS)
		return status;
	while (initiator->parent != NULL)
		initiator = initiator->parent;
	data = (struct aml_area_hwloc_preferred_data *)(*area)->data;
	for (at = 0; at < data->num_nodes; at++)
		data->numanodes[at] = aml_hwloc_find_numanode(initiator, data->os_indexes[at]);
	return AML_SUCCESS;
}
#endif

#ifdef __cplusplus
}
#endif

#endif
