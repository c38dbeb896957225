/* What all peers in C share: each does its work `times` times and says how long that took, so that
 * nothing but the work is timed.
 *
 * A peer is a function of its library whose name begins with `peer_`. It returns nanoseconds, or
 * -errno at the first call that fails. */
#ifndef AREAS_BENCH_PEER_H
#define AREAS_BENCH_PEER_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is to be done. What a peer does not need is 0. */
struct work {
    uint64_t times;
    uint64_t size;    /* bytes */
    const char *name; /* of something that is there already */
    void *from, *to;  /* memory that is there already */
    int descriptor;
    int touch; /* the first byte of each page is to be written */
};

static inline int64_t peer_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline void peer_touch(void *memory, size_t size)
{
    volatile char *bytes = (volatile char *)memory;
    for (size_t at = 0; at < size; at += 4096)
        bytes[at] = 1;
}

#define PEER_FAILED (-(int64_t)(errno != 0 ? errno : EIO))

#ifdef __cplusplus
}
#endif

#endif
