/*
 * Linux areas: memory of the kernel, placed on NUMA nodes.
 *
 * The nodes of a mask are exactly those that memory comes from. No node that you may not use is
 * dropped in silence: that is AML_EDOM.
 */
#ifndef AML_AREA_LINUX_H
#define AML_AREA_LINUX_H

#include "../../aml.h"

#include "../utils/bitmask.h"

#ifdef __cplusplus
extern "C" {
#endif

/* From which nodes pages are taken as they are touched for the first time. */
enum aml_area_linux_policy {
	/* What the touching thread has: the node of its CPU, unless that was changed. Nodes mean
	 * nothing here. */
	AML_AREA_LINUX_POLICY_DEFAULT = 0,
	/* The nodes of the mask and no other, however full they are. */
	AML_AREA_LINUX_POLICY_BIND = 1,
	/* The nodes of the mask as long as they have room (before Linux 5.15: the first of them), then
	 * any. */
	AML_AREA_LINUX_POLICY_PREFERRED = 2,
	/* One page from each node of the mask in turn. */
	AML_AREA_LINUX_POLICY_INTERLEAVE = 3
};

/*
 * The data of a linux area. NULL as nodeset means all nodes that are allowed at the time of the
 * call. To change the nodes of an area that aml_area_linux_create made, make another: its set was
 * checked when it was made.
 */
struct aml_area_linux_data {
	struct bitmask *nodeset;
	enum aml_area_linux_policy policy;
};

/* What mmap(2) takes; cast its address to `struct aml_area_mmap_options *`. */
struct aml_area_linux_mmap_options {
	/* A hint, or with MAP_FIXED or MAP_FIXED_NOREPLACE more. */
	void *ptr;
	/* MAP_… */
	int flags;
	/* PROT_… */
	int mode;
	/* A file, or -1. The page cache of a shared file ignores all policies. */
	int fd;
	off_t offset;
};

/* Private memory without any placement: an area to begin with. */
extern struct aml_area aml_area_linux;
/* Its operations, which all linux areas have: aml_area_linux_mmap_mbind, aml_area_linux_munmap,
 * aml_area_linux_fprintf. */
extern struct aml_area_ops aml_area_linux_ops;
/* Its data. */
extern const struct aml_area_linux_data aml_area_linux_data_default;

/*
 * Makes an area. A NULL mask means all nodes that are allowed now. On failure, *area is NULL:
 * -AML_EINVAL for an unknown policy, an empty mask or no place for the area; -AML_EDOM for a node
 * that does not exist or may not be used; -AML_ENOMEM.
 */
int aml_area_linux_create(struct aml_area **area, const struct aml_bitmap *nodemask,
                          enum aml_area_linux_policy policy);

/* Frees an area that was made, and sets *area to NULL. What was mapped from it stays mapped. */
void aml_area_linux_destroy(struct aml_area **area);

/*
 * Places a range as an area asks, whoever mapped it. Pages that are there and lie on other nodes
 * are moved. One that cannot be moved (another process has it mapped too, something has it pinned,
 * its node has no room) stays where it is, and that is not an error, as the policy is in force
 * then: aml_area_linux_check_binding reports it. `ptr` is the beginning of a page. -AML_EINVAL for
 * data or an address that makes no sense, or a range that is not all mapped (to the default policy,
 * gaps do not matter); -AML_ENOMEM for more than there are addresses; -AML_EDOM for a node that may
 * not be used; -AML_ENOTSUP, -AML_EPERM where the kernel or a sandbox refuses.
 */
int aml_area_linux_mbind(const struct aml_area_linux_data *data, void *ptr, size_t size);

/*
 * 1 if the policy of all of the range is the area's and each page of it that is in RAM is on a node
 * of the area; 0 if not; negative if the range is not all mapped (-AML_ENOMEM: more than there are
 * addresses), or the question makes no sense. Each page is looked at, and none is faulted in. (With
 * AML_AREA_LINUX_POLICY_DEFAULT any node will do.)
 */
int aml_area_linux_check_binding(const struct aml_area_linux_data *data, void *ptr, size_t size);

/* Maps without placing: `opts` are a struct aml_area_linux_mmap_options, or NULL for private
 * memory. */
void *aml_area_linux_mmap(const struct aml_area_data *data, size_t size, struct aml_area_mmap_options *opts);

/*
 * Maps and places. MAP_POPULATE and MAP_LOCKED take effect once the range is placed, so that their
 * pages are on the right nodes.
 */
void *aml_area_linux_mmap_mbind(const struct aml_area_data *data, size_t size, struct aml_area_mmap_options *opts);

/* Unmaps. Of huge pages, the whole last one goes. -AML_ENOMEM for more than there are addresses. */
int aml_area_linux_munmap(const struct aml_area_data *data, void *ptr, size_t size);

/* Prints policy and nodes on one line. */
int aml_area_linux_fprintf(const struct aml_area_data *data, FILE *stream, const char *prefix);

#ifdef __cplusplus
}
#endif

#endif
