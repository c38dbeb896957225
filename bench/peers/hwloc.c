/* hwloc: memory bound to a node. The topology is read once, before the clock runs. */
#define _GNU_SOURCE
#include "peer.h"

#include <hwloc.h>

int64_t peer_map_place(const struct work *work)
{
    static hwloc_topology_t topology;
    if (topology == NULL && (hwloc_topology_init(&topology) != 0 || hwloc_topology_load(topology) != 0))
        return PEER_FAILED;
    hwloc_obj_t node = hwloc_get_obj_by_type(topology, HWLOC_OBJ_NUMANODE, 0);
    if (node == NULL)
        return -ENODEV;
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        void *memory = hwloc_alloc_membind(topology, work->size, node->nodeset, HWLOC_MEMBIND_BIND,
                                           HWLOC_MEMBIND_BYNODESET | HWLOC_MEMBIND_STRICT);
        if (memory == NULL)
            return PEER_FAILED;
        if (work->touch)
            peer_touch(memory, work->size);
        hwloc_free(topology, memory, work->size);
    }
    return peer_now() - start;
}
