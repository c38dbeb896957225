/* POSIX shared memory, as its manual pages show it. */
#define _GNU_SOURCE
#include "peer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int64_t peer_share(const struct work *work)
{
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        int object = shm_open(work->name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (object < 0 || ftruncate(object, (off_t)work->size) != 0)
            return PEER_FAILED;
        void *memory = mmap(NULL, work->size, PROT_READ | PROT_WRITE, MAP_SHARED, object, 0);
        if (memory == MAP_FAILED)
            return PEER_FAILED;
        if (work->touch)
            peer_touch(memory, work->size);
        munmap(memory, work->size);
        close(object);
        if (shm_unlink(work->name) != 0)
            return PEER_FAILED;
    }
    return peer_now() - start;
}

/* Makes one that stays until `peer_unlink`. */
int64_t peer_hold(const struct work *work)
{
    int object = shm_open(work->name, O_RDWR | O_CREAT, 0600);
    if (object < 0 || ftruncate(object, (off_t)work->size) != 0)
        return PEER_FAILED;
    close(object);
    return 0;
}

int64_t peer_unlink(const struct work *work)
{
    return shm_unlink(work->name) == 0 ? 0 : PEER_FAILED;
}

static int64_t find(const struct work *work, int mode, int protection)
{
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        int object = shm_open(work->name, mode, 0);
        struct stat stat;
        if (object < 0 || fstat(object, &stat) != 0)
            return PEER_FAILED;
        void *memory = mmap(NULL, (size_t)stat.st_size, protection, MAP_SHARED, object, 0);
        if (memory == MAP_FAILED)
            return PEER_FAILED;
        munmap(memory, (size_t)stat.st_size);
        close(object);
    }
    return peer_now() - start;
}

int64_t peer_find(const struct work *work)
{
    return find(work, O_RDWR, PROT_READ | PROT_WRITE);
}

int64_t peer_find_read_only(const struct work *work)
{
    return find(work, O_RDONLY, PROT_READ);
}
