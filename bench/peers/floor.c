/* The system calls that areas make, and nothing else: what they would cost if the library were
 * free. */
#define _GNU_SOURCE
#include "peer.h"

#include <fcntl.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

/* What a process has that has joined the registry, as far as the calls below ask about it. */
struct registry {
    int folder, table;
};

static int64_t join(struct registry *registry)
{
    registry->folder = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    registry->table = memfd_create("floor: table", MFD_CLOEXEC);
    return registry->folder < 0 || registry->table < 0 ? PEER_FAILED : 0;
}

/* What was asked of a mapping, kept beside it so that a measurement can be held against it
 * later. */
struct noted {
    void *start;
    size_t size;
    int policy;
    unsigned long nodes[16];
};

/* mmap, mbind to a set that may be any of 1,024 nodes, munmap; and what was asked is noted, looked
 * at before the kernel is asked, and forgotten. */
int64_t peer_map_noted(const struct work *work)
{
    struct noted asked = {.policy = MPOL_BIND, .nodes = {1}};
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        unsigned long words = 0;
        /* The program's own set, as the compiler cannot know it. */
        __asm__ volatile("" : : "r"(&asked) : "memory");
        for (unsigned long word = 0; word < 16; word++)
            words = asked.nodes[word] != 0 ? word + 1 : words;
        if (words == 0 || work->size == 0)
            return PEER_FAILED;
        void *memory = mmap(NULL, work->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            return PEER_FAILED;
        if (syscall(SYS_mbind, memory, work->size, (unsigned long)asked.policy, asked.nodes, words * 64 + 1, 0UL) != 0)
            return PEER_FAILED;
        struct noted *noted = malloc(sizeof *noted);
        if (noted == NULL)
            return PEER_FAILED;
        *noted = asked;
        noted->start = memory;
        noted->size = work->size;
        __asm__ volatile("" : : "r"(noted) : "memory");
        if (munmap(noted->start, noted->size) != 0)
            return PEER_FAILED;
        free(noted);
    }
    return peer_now() - start;
}

/* What belongs to a publication: whether the table and the folder are what they were, whether it is
 * still this user's, and, by the folder's time, whether anybody knocks or waits. */
static inline int look_around(const struct registry *registry)
{
    struct stat stat;
    if (fstat(registry->table, &stat) != 0 || syscall(SYS_geteuid) < 0 || fstat(registry->folder, &stat) != 0)
        return -1;
    return 0;
}

/* An area made, published, and dropped. */
int64_t peer_share(const struct work *work)
{
    static struct registry registry;
    static int joined;
    int64_t failed = joined ? 0 : join(&registry);
    if (failed != 0)
        return failed;
    joined = 1;
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        struct rlimit limit;
        struct stat stat;
        if (getrlimit(RLIMIT_FSIZE, &limit) != 0)
            return PEER_FAILED;
        int object = memfd_create("area:bench: shared", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
        if (object < 0 || fstat(object, &stat) != 0)
            return PEER_FAILED;
        if (ftruncate(object, (off_t)work->size) != 0 || fcntl(object, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)
            return PEER_FAILED;
        void *memory = mmap(NULL, work->size, PROT_READ | PROT_WRITE, MAP_SHARED, object, 0);
        if (memory == MAP_FAILED)
            return PEER_FAILED;
        if (look_around(&registry) != 0)
            return PEER_FAILED;
        if (work->touch)
            peer_touch(memory, work->size);
        munmap(memory, work->size);
        if (fstat(object, &stat) != 0)
            return PEER_FAILED;
        close(object);
    }
    return peer_now() - start;
}

/* What comes behind either way to an object: it is mapped, unmapped, known again, and closed. */
static inline int map_and_unmap(int clone, size_t size, int rights)
{
    struct stat stat;
    void *memory = mmap(NULL, size, rights, MAP_SHARED, clone, 0);
    if (memory == MAP_FAILED)
        return -1;
    munmap(memory, size);
    if (fstat(clone, &stat) != 0)
        return -1;
    close(clone);
    return 0;
}

/* An object of a holder that lives, taken from it, and looked at. */
static inline int take_clone(int process, int object)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct statx looked;
    if (fcntl(object, F_GETLK, &lock) != 0)
        return -1;
    int clone = (int)syscall(SYS_pidfd_getfd, process, object, 0);
    if (clone < 0 || statx(clone, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &looked) != 0)
        return -1;
    return fcntl(clone, F_GET_SEALS) < 0 ? -1 : clone;
}

/* The same for reading: the descriptor that was taken is opened again so that the kernel refuses to
 * write by it. */
static inline int take_clone_to_read(int process, int object)
{
    char path[64];
    int taken = take_clone(process, object);
    if (taken < 0)
        return -1;
    snprintf(path, sizeof path, "/proc/thread-self/fd/%d", taken);
    int clone = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    close(taken);
    return clone;
}

/* An area found again, cloned, and the clone dropped. (The holder is this process: to the kernel
 * that makes no difference.) */
static inline int64_t time_clones(const struct work *work, int (*take)(int, int), int rights)
{
    int process = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int object = memfd_create("floor: object", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (process < 0 || object < 0 || ftruncate(object, (off_t)work->size) != 0)
        return PEER_FAILED;
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        int clone = take(process, object);
        if (clone < 0 || map_and_unmap(clone, work->size, rights) != 0)
            return PEER_FAILED;
    }
    int64_t time = peer_now() - start;
    close(object);
    close(process);
    return time;
}

/* To be written. */
int64_t peer_clone(const struct work *work)
{
    return time_clones(work, take_clone, PROT_READ | PROT_WRITE);
}

/* To be read. */
int64_t peer_clone_to_read(const struct work *work)
{
    return time_clones(work, take_clone_to_read, PROT_READ);
}

/* The same, and the clone published under the name: what `areas.find` does in Python. */
int64_t peer_clone_named(const struct work *work)
{
    static struct registry registry;
    static int joined, process, object;
    if (!joined) {
        if (join(&registry) != 0)
            return PEER_FAILED;
        process = (int)syscall(SYS_pidfd_open, getpid(), 0);
        object = memfd_create("floor: object", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (process < 0 || object < 0 || ftruncate(object, (off_t)work->size) != 0)
            return PEER_FAILED;
        joined = 1;
    }
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        int clone = take_clone(process, object);
        if (clone < 0)
            return PEER_FAILED;
        if (look_around(&registry) != 0)
            return PEER_FAILED;
        if (map_and_unmap(clone, work->size, PROT_READ | PROT_WRITE) != 0)
            return PEER_FAILED;
    }
    return peer_now() - start;
}

/* The same through /proc, where the object is looked at before it is opened. `touch`: to be
 * written. */
int64_t peer_clone_by_path(const struct work *work)
{
    int access = work->touch ? O_RDWR : O_RDONLY, rights = work->touch ? PROT_READ | PROT_WRITE : PROT_READ;
    char path[64], again[64];
    int object = memfd_create("floor: object", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (object < 0 || ftruncate(object, (off_t)work->size) != 0)
        return PEER_FAILED;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), object);
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        struct statx looked;
        if (fcntl(object, F_GETLK, &lock) != 0)
            return PEER_FAILED;
        int seen = open(path, O_PATH | O_CLOEXEC);
        if (seen < 0 || statx(seen, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &looked) != 0)
            return PEER_FAILED;
        snprintf(again, sizeof again, "/proc/thread-self/fd/%d", seen);
        int clone = open(again, access | O_NONBLOCK | O_CLOEXEC);
        close(seen);
        if (clone < 0 || fcntl(clone, F_GET_SEALS) < 0)
            return PEER_FAILED;
        if (map_and_unmap(clone, work->size, rights) != 0)
            return PEER_FAILED;
    }
    int64_t time = peer_now() - start;
    close(object);
    return time;
}

/* Whose an address is, as a sorted array in one piece says it, which no thread changes
 * concurrently: `size` addresses, searched without branches, and a record of seven words beside
 * each. The addresses that are asked for are in no order, one after the other. */
int64_t peer_search(const struct work *work)
{
    enum { RECORD = 7 };
    static uint64_t *starts, *records;
    static size_t count;
    if (count != work->size) {
        free(starts);
        free(records);
        count = work->size;
        starts = malloc(count * sizeof *starts);
        records = malloc(count * RECORD * sizeof *records);
        if (starts == NULL || records == NULL)
            return PEER_FAILED;
        for (size_t i = 0; i < count; i++) {
            starts[i] = 4096 * (i + 1);
            for (size_t word = 0; word < RECORD; word++)
                records[i * RECORD + word] = word == 1 ? 4096 * (i + 2) : i;
        }
    }
    uint64_t state = 88172645463325252u, sum = 0;
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        /* Each search waits for the one before, as a program waits for the answer: adding what is
         * always 0. */
        uint64_t wanted = 4096 * (1 + ((state >> 20) + (sum >> 63)) % count);
        const uint64_t *base = starts;
        for (size_t left = count; left > 1;) {
            size_t half = left / 2;
            base += base[half] <= wanted ? half : 0;
            left -= half;
        }
        const uint64_t *record = records + (size_t)(base - starts) * RECORD;
        sum += wanted < record[1] ? record[2] : 0;
    }
    int64_t time = peer_now() - start;
    /* What was found is used, as far as the compiler knows. */
    __asm__ volatile("" : : "r"(sum));
    return time;
}

/* What each of several threads faults in. */
struct part {
    pthread_t thread;
    char *start;
    size_t len;
    int failed;
};

static void *populate_part(void *given)
{
    struct part *part = given;
    part->failed = madvise(part->start, part->len, MADV_POPULATE_WRITE);
    return NULL;
}

/* 1 GiB faulted in by as many threads as there are CPUs, each an equal part in one call. `touch`:
 * in huge pages. */
int64_t peer_populate_parts(const struct work *work)
{
    enum { MAX_PARTS = 64 };
    const size_t huge = 2UL << 20;
    struct part parts[MAX_PARTS];
    int64_t total = 0;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t count = cpus < 1 ? 1 : cpus > MAX_PARTS ? MAX_PARTS : (size_t)cpus;
    size_t len = (work->size / count + huge - 1) & ~(huge - 1);
    for (uint64_t i = 0; i < work->times; i++) {
        void *memory = mmap(NULL, work->size + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            return PEER_FAILED;
        char *start = (char *)(((uintptr_t)memory + huge - 1) & ~(huge - 1));
        if (madvise(start, work->size, work->touch ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) != 0)
            return PEER_FAILED;
        int64_t begun = peer_now();
        size_t used = 0;
        for (size_t at = 0; at < work->size; at += len, used++) {
            parts[used] = (struct part){.start = start + at, .len = work->size - at < len ? work->size - at : len};
            if (pthread_create(&parts[used].thread, NULL, populate_part, &parts[used]) != 0)
                return PEER_FAILED;
        }
        int failed = 0;
        for (size_t one = 0; one < used; one++)
            failed |= pthread_join(parts[one].thread, NULL) | parts[one].failed;
        total += peer_now() - begun;
        munmap(memory, work->size + huge);
        if (failed)
            return PEER_FAILED;
    }
    return total;
}

/* What is known of memory that can be copied from and to. */
struct held {
    char *start;
    size_t size, span;
    dev_t device;
    ino_t inode;
    int protection;
    bool shared;
};

static inline bool within(const struct held *held, size_t offset, size_t len)
{
    size_t end;
    return !__builtin_add_overflow(offset, len, &end) && end <= held->size && end <= held->span;
}

/* The C library's memcpy, behind what has to be so for it to be right: both ranges are inside, may
 * be read and written, and are not the same bytes. */
int64_t peer_copy_checked(const struct work *work)
{
    struct held from = {work->from, work->size, work->size, 1, 1, PROT_READ | PROT_WRITE, true};
    struct held to = {work->to, work->size, work->size, 1, 2, PROT_READ | PROT_WRITE, true};
    size_t offset = 0, at = 0, len = work->size;
    int64_t start = peer_now();
    for (uint64_t i = 0; i < work->times; i++) {
        /* The program's own, which the compiler cannot know. */
        __asm__ volatile("" : "+r"(offset), "+r"(at), "+r"(len) : "r"(&from), "r"(&to) : "memory");
        if (!within(&from, offset, len) || !within(&to, at, len))
            return PEER_FAILED;
        if (!(from.protection & PROT_READ) || !(to.protection & PROT_WRITE) || !to.shared)
            return PEER_FAILED;
        size_t apart = offset > at ? offset - at : at - offset;
        if (apart < len && from.inode == to.inode && from.device == to.device)
            return PEER_FAILED;
        memcpy(to.start + at, from.start + offset, len);
    }
    return peer_now() - start;
}
