/* Areas through C, as a program in C writes it. No peer: ours, by the other door. The library is
 * the one that AREAS_BENCH_C names. */
#define _GNU_SOURCE
#include "peer.h"

#include <areas.h>
#include <dlfcn.h>
#include <stdlib.h>

/* The functions that are used; the types are the header's. */
static struct {
    __typeof__(areas_create) *create;
    __typeof__(areas_clone_named) *clone_named;
    __typeof__(areas_address) *address;
    __typeof__(areas_release) *release;
} areas;

/* Whether they are there. */
static int load(void)
{
    const char *path = getenv("AREAS_BENCH_C");
    void *library;
    if (areas.release != NULL)
        return 1;
    if (path == NULL || (library = dlopen(path, RTLD_NOW | RTLD_LOCAL)) == NULL)
        return 0;
    areas.create = (__typeof__(areas.create))dlsym(library, "areas_create");
    areas.clone_named = (__typeof__(areas.clone_named))dlsym(library, "areas_clone_named");
    areas.address = (__typeof__(areas.address))dlsym(library, "areas_address");
    areas.release = (__typeof__(areas.release))dlsym(library, "areas_release");
    return areas.create != NULL && areas.clone_named != NULL && areas.address != NULL &&
           areas.release != NULL;
}

static int64_t make(const struct work *work, const struct areas_attributes *attributes)
{
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        struct areas_area *area = areas.create(attributes);
        if (area == NULL)
            return -EIO;
        if (work->touch)
            peer_touch(areas.address(area), work->size);
        areas.release(area);
    }
    return peer_now() - start;
}

/* Made, published, and released. */
int64_t peer_share(const struct work *work)
{
    struct areas_attributes attributes = AREAS_ATTRIBUTES;
    attributes.size = work->size;
    attributes.name = work->name;
    return load() ? make(work, &attributes) : -ENOSYS;
}

/* Private memory on node 0, and released. */
int64_t peer_map_place(const struct work *work)
{
    struct areas_attributes attributes = AREAS_ATTRIBUTES;
    attributes.size = work->size;
    attributes.kind = AREAS_PRIVATE;
    attributes.placement.policy = AREAS_BIND;
    attributes.placement.nodes.words[0] = 1;
    return load() ? make(work, &attributes) : -ENOSYS;
}

/* Found by its name, cloned, and the clone released. */
int64_t peer_find(const struct work *work)
{
    int64_t start;
    if (!load())
        return -ENOSYS;
    start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        struct areas_area *area = areas.clone_named(work->name, NULL);
        if (area == NULL)
            return -ENOENT;
        areas.release(area);
    }
    return peer_now() - start;
}
