/* memkind: a heap, not a mapper; it keeps what is freed for the next who asks. */
#define _GNU_SOURCE
#include "peer.h"

#include <memkind.h>

int64_t peer_map_place(const struct work *work)
{
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        void *memory = memkind_malloc(MEMKIND_REGULAR, work->size);
        if (memory == NULL)
            return PEER_FAILED;
        if (work->touch)
            peer_touch(memory, work->size);
        memkind_free(MEMKIND_REGULAR, memory);
    }
    return peer_now() - start;
}
