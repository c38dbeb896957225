/* System calls as they are: the floor. */
#define _GNU_SOURCE
#include "peer.h"

#include <fcntl.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* mmap, mbind to node 0, munmap. */
int64_t peer_map_place(const struct work *work)
{
    unsigned long nodes = 1;
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        void *memory = mmap(NULL, work->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            return PEER_FAILED;
        if (syscall(SYS_mbind, memory, work->size, MPOL_BIND, &nodes, 65UL, 0UL) != 0)
            return PEER_FAILED;
        if (work->touch)
            peer_touch(memory, work->size);
        if (munmap(memory, work->size) != 0)
            return PEER_FAILED;
    }
    return peer_now() - start;
}

/* A memory object: made, sized, mapped, dropped; without a name, so that no other process would
 * find it. */
int64_t peer_memfd(const struct work *work)
{
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        int object = memfd_create("peer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (object < 0 || ftruncate(object, (off_t)work->size) != 0)
            return PEER_FAILED;
        void *memory = mmap(NULL, work->size, PROT_READ | PROT_WRITE, MAP_SHARED, object, 0);
        if (memory == MAP_FAILED)
            return PEER_FAILED;
        if (work->touch)
            peer_touch(memory, work->size);
        munmap(memory, work->size);
        close(object);
    }
    return peer_now() - start;
}

/* The other end of `descriptor` answers each byte with a descriptor (see `peer_hand`): a memory
 * object passed by hand. */
int64_t peer_handed(const struct work *work)
{
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        char byte = 'a';
        if (write(work->descriptor, &byte, 1) != 1)
            return PEER_FAILED;
        struct iovec bytes = {&byte, 1};
        union {
            char space[CMSG_SPACE(sizeof(int))];
            struct cmsghdr align;
        } control;
        struct msghdr message = {0};
        message.msg_iov = &bytes;
        message.msg_iovlen = 1;
        message.msg_control = control.space;
        message.msg_controllen = sizeof control.space;
        if (recvmsg(work->descriptor, &message, MSG_CMSG_CLOEXEC) != 1)
            return PEER_FAILED;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header == NULL || header->cmsg_type != SCM_RIGHTS)
            return -EPROTO;
        int object;
        memcpy(&object, CMSG_DATA(header), sizeof object);
        struct stat stat;
        if (fstat(object, &stat) != 0)
            return PEER_FAILED;
        void *memory = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, object, 0);
        if (memory == MAP_FAILED)
            return PEER_FAILED;
        munmap(memory, (size_t)stat.st_size);
        close(object);
    }
    return peer_now() - start;
}

/* Hands an object of `size` out to whoever asks at `descriptor`, until the other end is closed. */
int64_t peer_hand(const struct work *work)
{
    int object = memfd_create("handed", MFD_CLOEXEC);
    if (object < 0 || ftruncate(object, (off_t)work->size) != 0)
        return PEER_FAILED;
    char byte;
    while (read(work->descriptor, &byte, 1) == 1) {
        struct iovec bytes = {&byte, 1};
        union {
            char space[CMSG_SPACE(sizeof(int))];
            struct cmsghdr align;
        } control;
        memset(&control, 0, sizeof control);
        struct msghdr message = {0};
        message.msg_iov = &bytes;
        message.msg_iovlen = 1;
        message.msg_control = control.space;
        message.msg_controllen = sizeof control.space;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &object, sizeof object);
        if (sendmsg(work->descriptor, &message, 0) != 1)
            break;
    }
    close(object);
    return 0;
}

/* open, fstat, close. */
int64_t peer_open_stat(const struct work *work)
{
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        int file = open(work->name, O_RDONLY | O_CLOEXEC);
        struct stat stat;
        if (file < 0 || fstat(file, &stat) != 0)
            return PEER_FAILED;
        close(file);
    }
    return peer_now() - start;
}

/* One thread faults all pages in with one call. `to` is a hint: huge pages are wanted if it is not
 * NULL. */
static int64_t populate(const struct work *work, int flags, int object)
{
    int64_t total = 0;
    for (uint64_t i = 0; i < work->times; i++) {
        size_t huge = 2UL << 20;
        void *memory = mmap(NULL, work->size + huge, PROT_READ | PROT_WRITE, flags, object, 0);
        if (memory == MAP_FAILED)
            return PEER_FAILED;
        char *aligned = (char *)(((uintptr_t)memory + huge - 1) & ~(huge - 1));
        if (object >= 0)
            aligned = memory;
        if (madvise(aligned, work->size, work->touch ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) != 0)
            return PEER_FAILED;
        int64_t start = peer_now();
        if (madvise(aligned, work->size, MADV_POPULATE_WRITE) != 0)
            return PEER_FAILED;
        total += peer_now() - start;
        munmap(memory, work->size + huge);
    }
    return total;
}

/* `touch`: in huge pages. */
int64_t peer_populate_private(const struct work *work)
{
    return populate(work, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

int64_t peer_populate_shared(const struct work *work)
{
    int64_t total = 0;
    for (uint64_t i = 0; i < work->times; i++) {
        int object = memfd_create("peer", MFD_CLOEXEC);
        if (object < 0 || ftruncate(object, (off_t)work->size) != 0)
            return PEER_FAILED;
        struct work once = *work;
        once.times = 1;
        int64_t time = populate(&once, MAP_SHARED, object);
        close(object);
        if (time < 0)
            return time;
        total += time;
    }
    return total;
}

/* Where each page is, 16,384 pages a call. */
int64_t peer_residency(const struct work *work)
{
    enum { BATCH = 16384 };
    static void *pages[BATCH];
    static int status[BATCH];
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        size_t count = work->size / 4096;
        for (size_t first = 0; first < count; first += BATCH) {
            size_t now = count - first < BATCH ? count - first : BATCH;
            for (size_t page = 0; page < now; page++)
                pages[page] = (char *)work->from + (first + page) * 4096;
            if (syscall(SYS_move_pages, 0, now, pages, NULL, status, 0) != 0)
                return PEER_FAILED;
            for (size_t page = 0; page < now; page++)
                if (status[page] < 0)
                    return status[page];
        }
    }
    return peer_now() - start;
}

/* The C library's memcpy. */
int64_t peer_copy(const struct work *work)
{
    void *(*volatile copy)(void *, const void *, size_t) = memcpy;
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++)
        copy(work->to, work->from, work->size);
    return peer_now() - start;
}

/* Reads 8 bytes here and there. `from` is memory of `size` bytes, a power of two. */
int64_t peer_random_reads(const struct work *work)
{
    uint64_t mask = work->size / 8 - 1, state = 88172645463325252u, sum = 0;
    const uint64_t *words = work->from;
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        /* The next place depends on what was read, as in a table that is followed. */
        sum += words[(state + sum) & mask];
    }
    int64_t time = peer_now() - start;
    return sum == 1 ? -ERANGE : time;
}
