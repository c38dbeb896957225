/* Linux areas as AML 0.1 had them: private, or shared with the children that are forked later;
 * placed on NUMA nodes. */
#ifndef AML_01_AREA_LINUX_H
#define AML_01_AREA_LINUX_H

#include "../../aml.h"

#include "../../../aml/utils/bitmask.h"

#ifdef __cplusplus
extern "C" {
#endif

/* From which nodes pages are taken: the kernel's numbers (MPOL_PREFERRED, MPOL_BIND,
 * MPOL_INTERLEAVE). */
#define AML_AREA_LINUX_BINDING_FLAG_PREFERRED (1)
#define AML_AREA_LINUX_BINDING_FLAG_BIND (2)
#define AML_AREA_LINUX_BINDING_FLAG_INTERLEAVE (3)

/* Memory of this process alone, or shared with its children, who find it at the same address. */
#define AML_AREA_LINUX_MMAP_FLAG_PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)
#define AML_AREA_LINUX_MMAP_FLAG_SHARED (MAP_SHARED | MAP_ANONYMOUS)
/* The same by their shorter names. */
#define AML_AREA_LINUX_FLAG_PRIVATE AML_AREA_LINUX_MMAP_FLAG_PRIVATE
#define AML_AREA_LINUX_FLAG_SHARED AML_AREA_LINUX_MMAP_FLAG_SHARED

/* The data of a linux area. NULL as nodeset means all nodes that are allowed at the time of the
 * call. */
struct aml_area_linux_data {
	struct bitmask *nodeset;
	int binding_flags;
	int mmap_flags;
};

/* Private memory without any placement, its operations (map and place, unmap) and its data. */
extern struct aml_area aml_area_linux __asm__("aml01_area_linux");
extern struct aml_area_ops aml_area_linux_ops __asm__("aml01_area_linux_ops");
extern const struct aml_area_linux_data aml_area_linux_data_default __asm__("aml01_area_linux_data_default");

/*
 * Makes an area. A NULL mask means all nodes that are allowed now. On failure, *area is NULL:
 * -AML_EINVAL for other flags than those above, an empty mask or no place for the area; -AML_EDOM
 * for a node that does not exist or may not be used; -AML_ENOMEM.
 */
int aml_area_linux_create(struct aml_area **area, const int mmap_flags, const struct aml_bitmap *nodemask,
                          const int binding_flags) __asm__("aml01_area_linux_create");

/*
 * An area that is a variable, with its data beside it: AML_AREA_LINUX_DECL(name); declares `struct
 * aml_area name`, at the top of a file or in a function. It is used from aml_area_linux_init to
 * aml_area_linux_fini.
 */
#define AML_AREA_LINUX_DECL(name) \
	struct aml_area_linux_data name##_linux_data = { NULL, 0, 0 }; \
	struct aml_area name = { &aml_area_linux_ops, (struct aml_area_data *)&name##_linux_data }

/* Bytes for an area and its data behind it, for memory of your own: set `data` before
 * aml_area_linux_init. */
#define AML_AREA_LINUX_ALLOCSIZE (sizeof(struct aml_area) + sizeof(struct aml_area_linux_data))

/*
 * Fills in the data of an area of your own, and its operations if they are NULL. Errors are those
 * of aml_area_linux_create; and
 * -AML_EINVAL without a place for the data. After one, nothing can be mapped from the area.
 */
int aml_area_linux_init(struct aml_area *area, const int mmap_flags, const struct aml_bitmap *nodemask,
                        const int binding_flags) __asm__("aml01_area_linux_init");

/*
 * Frees what aml_area_linux_init made (the nodeset), and not the area. Calling it again does
 * nothing. What was mapped from the area stays mapped.
 */
void aml_area_linux_fini(struct aml_area *area) __asm__("aml01_area_linux_fini");

/* Frees an area that was made, and sets *area to NULL. What was mapped from it stays mapped. */
void aml_area_linux_destroy(struct aml_area **area) __asm__("aml01_area_linux_destroy");

/* Places a range as an area asks; pages that are there and lie on other nodes are moved, where they
 * can be. */
int aml_area_linux_mbind(const struct aml_area_linux_data *data, void *ptr, size_t size)
	__asm__("aml01_area_linux_mbind");

/*
 * 1 if the policy of all of the range is the area's and each page of it that is in RAM is on a node
 * of the area; 0 if not; negative if the range is not all mapped, or the question makes no sense.
 */
int aml_area_linux_check_binding(const struct aml_area_linux_data *data, void *ptr, size_t size)
	__asm__("aml01_area_linux_check_binding");

/* Maps without placing. */
void *aml_area_linux_mmap(const struct aml_area_data *data, void *ptr, size_t size) __asm__("aml01_area_linux_mmap");

/* Unmaps. */
int aml_area_linux_munmap(const struct aml_area_data *data, void *ptr, size_t size)
	__asm__("aml01_area_linux_munmap");

#ifdef __cplusplus
}
#endif

#endif
