/* libnuma: memory on a node. */
#define _GNU_SOURCE
#include "peer.h"

#include <numa.h>

int64_t peer_map_place(const struct work *work)
{
    if (numa_available() < 0)
        return -ENOSYS;
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        void *memory = numa_alloc_onnode(work->size, 0);
        if (memory == NULL)
            return PEER_FAILED;
        if (work->touch)
            peer_touch(memory, work->size);
        numa_free(memory, work->size);
    }
    return peer_now() - start;
}
