/* oneAPI's Unified Memory Framework: its provider over the operating system, and its handles for
 * other processes. */
#define _GNU_SOURCE
#include "peer.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <umf.h>
#include <umf/memory_provider.h>
#include <umf/providers/provider_os_memory.h>

/* A provider of memory that is bound to node 0, or that other processes open; NULL where it cannot
 * be made. */
static umf_memory_provider_handle_t provider(int shared)
{
    umf_os_memory_provider_params_handle_t params = NULL;
    umf_memory_provider_handle_t made = NULL;
    unsigned node = 0;
    int good = umfOsMemoryProviderParamsCreate(&params) == UMF_RESULT_SUCCESS;

    if (good && shared)
        good = umfOsMemoryProviderParamsSetVisibility(params, UMF_MEM_MAP_SHARED) == UMF_RESULT_SUCCESS;
    if (good && !shared)
        good = umfOsMemoryProviderParamsSetNumaMode(params, UMF_NUMA_MODE_BIND) == UMF_RESULT_SUCCESS &&
               umfOsMemoryProviderParamsSetNumaList(params, &node, 1) == UMF_RESULT_SUCCESS;
    if (good && umfMemoryProviderCreate(umfOsMemoryProviderOps(), params, &made) != UMF_RESULT_SUCCESS)
        made = NULL;
    if (params != NULL)
        umfOsMemoryProviderParamsDestroy(params);
    return made;
}

/* Maps on node 0, and unmaps; the provider is there before. */
int64_t peer_map_place(const struct work *work)
{
    umf_memory_provider_handle_t os = provider(0);
    int64_t start, took;
    if (os == NULL)
        return -ENOSYS;
    start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        void *memory;
        if (umfMemoryProviderAlloc(os, work->size, 0, &memory) != UMF_RESULT_SUCCESS)
            return -ENOMEM;
        if (work->touch)
            peer_touch(memory, work->size);
        if (umfMemoryProviderFree(os, memory, work->size) != UMF_RESULT_SUCCESS)
            return -EIO;
    }
    took = peer_now() - start;
    umfMemoryProviderDestroy(os);
    return took;
}

/* A process that holds memory, and the handle by which others open it. */
static struct {
    pid_t holder;
    size_t length;
    char handle[4096];
} held;

static int hold(size_t size, int to)
{
    umf_memory_provider_handle_t os;
    size_t length;
    void *memory;
    char *handle;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    os = provider(1);
    if (os == NULL || umfMemoryProviderAlloc(os, size, 0, &memory) != UMF_RESULT_SUCCESS ||
        umfMemoryProviderGetIPCHandleSize(os, &length) != UMF_RESULT_SUCCESS || length > sizeof held.handle ||
        (handle = calloc(1, length)) == NULL ||
        umfMemoryProviderGetIPCHandle(os, memory, size, handle) != UMF_RESULT_SUCCESS)
        return 1;
    if (write(to, handle, length) != (ssize_t)length)
        return 1;
    for (;;)
        pause();
}

/* Starts it. */
int64_t peer_hold(const struct work *work)
{
    int ends[2];
    ssize_t got;
    if (pipe(ends) != 0)
        return PEER_FAILED;
    held.holder = fork();
    if (held.holder < 0)
        return PEER_FAILED;
    if (held.holder == 0) {
        close(ends[0]);
        _exit(hold(work->size, ends[1]));
    }
    close(ends[1]);
    got = read(ends[0], held.handle, sizeof held.handle);
    close(ends[0]);
    if (got <= 0)
        return -ENOSYS;
    held.length = (size_t)got;
    return 0;
}

/* Opens its handle, and closes it. */
int64_t peer_find(const struct work *work)
{
    umf_memory_provider_handle_t os = provider(1);
    int64_t start, took;
    if (os == NULL || held.length == 0)
        return -ENOSYS;
    start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        void *memory;
        if (umfMemoryProviderOpenIPCHandle(os, held.handle, &memory) != UMF_RESULT_SUCCESS)
            return -EACCES;
        if (umfMemoryProviderCloseIPCHandle(os, memory, work->size) != UMF_RESULT_SUCCESS)
            return -EIO;
    }
    took = peer_now() - start;
    umfMemoryProviderDestroy(os);
    return took;
}

/* Ends it. */
int64_t peer_unlink(const struct work *work)
{
    (void)work;
    if (held.holder > 0) {
        kill(held.holder, SIGKILL);
        waitpid(held.holder, NULL, 0);
    }
    held.holder = 0;
    return 0;
}
