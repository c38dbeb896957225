/* A buddy allocator in the manner of AML's, written from its headers' description and not from its
 * source: a record from malloc for each block, free or used, in a hash table by address; a list of
 * free blocks for each power of two; one mutex; the memory itself is never touched. And the work
 * that is timed, which is the same for it and for ours. */
#define _GNU_SOURCE
#include "peer.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ORDERS 64
#define SMALLEST 6
#define FIRST 20
#define LARGEST 26

struct block {
    uintptr_t start, base;
    int order, whole, used;
    struct block *chain;           /* in the hash table */
    struct block *previous, *next; /* in the list of free ones */
};

struct buddy {
    pthread_mutex_t lock;
    struct block **buckets;
    size_t mask, count;
    struct block *free[ORDERS];
    int largest;
};

static size_t hash_of(uintptr_t start)
{
    uint64_t mixed = start;
    mixed = (mixed ^ (mixed >> 33)) * 0xff51afd7ed558ccdULL;
    return (size_t)(mixed ^ (mixed >> 33));
}

static struct block *found(const struct buddy *buddy, uintptr_t start)
{
    struct block *block = buddy->buckets[hash_of(start) & buddy->mask];
    while (block != NULL && block->start != start)
        block = block->chain;
    return block;
}

static int larger(struct buddy *buddy)
{
    size_t mask = buddy->mask * 2 + 1;
    struct block **buckets = calloc(mask + 1, sizeof *buckets);
    if (buckets == NULL)
        return -1;
    for (size_t at = 0; at <= buddy->mask; at++) {
        struct block *next;
        for (struct block *block = buddy->buckets[at]; block != NULL; block = next) {
            struct block **place = &buckets[hash_of(block->start) & mask];
            next = block->chain;
            block->chain = *place;
            *place = block;
        }
    }
    free(buddy->buckets);
    buddy->buckets = buckets;
    buddy->mask = mask;
    return 0;
}

static struct block *added(struct buddy *buddy, uintptr_t start, uintptr_t base, int order, int whole)
{
    struct block *block = malloc(sizeof *block), **place;
    if (block == NULL || (buddy->count > buddy->mask && larger(buddy) != 0)) {
        free(block);
        return NULL;
    }
    place = &buddy->buckets[hash_of(start) & buddy->mask];
    *block = (struct block){.start = start, .base = base, .order = order, .whole = whole, .chain = *place};
    *place = block;
    buddy->count++;
    return block;
}

static void removed(struct buddy *buddy, struct block *block)
{
    struct block **place = &buddy->buckets[hash_of(block->start) & buddy->mask];
    while (*place != block)
        place = &(*place)->chain;
    *place = block->chain;
    buddy->count--;
    free(block);
}

static void put(struct buddy *buddy, struct block *block)
{
    struct block **head = &buddy->free[block->order];
    block->used = 0;
    block->previous = NULL;
    block->next = *head;
    if (*head != NULL)
        (*head)->previous = block;
    *head = block;
}

static void taken(struct buddy *buddy, struct block *block)
{
    if (block->previous != NULL)
        block->previous->next = block->next;
    else
        buddy->free[block->order] = block->next;
    if (block->next != NULL)
        block->next->previous = block->previous;
}

static void *buddy_alloc(void *data, size_t size)
{
    struct buddy *buddy = data;
    struct block *block;
    void *start = NULL;
    int order = SMALLEST, from;
    while (((size_t)1 << order) < size)
        order++;
    pthread_mutex_lock(&buddy->lock);
    for (from = order; from < ORDERS && buddy->free[from] == NULL; from++)
        ;
    if (from == ORDERS) {
        void *pool;
        from = buddy->largest == 0 ? FIRST : buddy->largest < LARGEST ? buddy->largest + 1 : LARGEST;
        from = from < order ? order : from;
        pool = mmap(NULL, (size_t)1 << from, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pool == MAP_FAILED || (block = added(buddy, (uintptr_t)pool, (uintptr_t)pool, from, from)) == NULL)
            goto end;
        buddy->largest = from;
        put(buddy, block);
    }
    block = buddy->free[from];
    taken(buddy, block);
    for (; from > order; block->order = --from) {
        struct block *half = added(buddy, block->start + ((uintptr_t)1 << (from - 1)), block->base, from - 1, block->whole);
        if (half == NULL) {
            put(buddy, block);
            goto end;
        }
        put(buddy, half);
    }
    block->used = 1;
    start = (void *)block->start;
end:
    pthread_mutex_unlock(&buddy->lock);
    return start;
}

static int buddy_free(void *data, void *start)
{
    struct buddy *buddy = data;
    struct block *block, *other;
    int status = -EINVAL;
    pthread_mutex_lock(&buddy->lock);
    block = found(buddy, (uintptr_t)start);
    if (block != NULL && block->used) {
        while (block->order < block->whole) {
            other = found(buddy, block->base + ((block->start - block->base) ^ ((uintptr_t)1 << block->order)));
            if (other == NULL || other->used || other->order != block->order)
                break;
            taken(buddy, other);
            if (other->start < block->start) {
                struct block *lower = other;
                other = block;
                block = lower;
            }
            removed(buddy, other);
            block->order++;
        }
        put(buddy, block);
        status = 0;
    }
    pthread_mutex_unlock(&buddy->lock);
    return status;
}

/* Who allocates, and how. */
struct allocator {
    void *(*alloc)(void *data, size_t size);
    int (*free)(void *data, void *start);
    void *data;
};

/* As AML has it: through a table of operations. */
struct ops {
    void *(*alloc)(void *data, size_t size);
    int (*free)(void *data, void *start);
};
static struct ops buddy_ops = {buddy_alloc, buddy_free};
struct dispatched {
    void *data;
    struct ops *ops;
};

static void *dispatched_alloc(void *allocator, size_t size)
{
    struct dispatched *of = allocator;
    return of->ops->alloc(of->data, size);
}

static int dispatched_free(void *allocator, void *start)
{
    struct dispatched *of = allocator;
    return of->ops->free(of->data, start);
}

/* How many are out at most: half of them are, on the average. */
#define SLOTS 4096

/* A place at a time, in no order: what is there is released; where nothing is, so many bytes are
 * taken as the dice say: from 1 to 128 KiB, each power of two as often. With a size in `work`, all
 * have that. */
static int64_t play(const struct work *work, const struct allocator *with, void **slots, uint64_t *dice)
{
    int64_t start = peer_now();
    for (uint64_t at = 0; at < work->times; at++) {
        void **slot;
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        slot = &slots[*dice % SLOTS];
        if (*slot != NULL) {
            if (with->free(with->data, *slot) != 0)
                return -EINVAL;
            *slot = NULL;
        } else {
            size_t most = (size_t)1 << (*dice >> 20) % 17, size = work->size != 0 ? work->size : most + (*dice >> 32) % most;
            if ((*slot = with->alloc(with->data, size)) == NULL)
                return -ENOMEM;
        }
    }
    return peer_now() - start;
}

/* Gives back what is out. */
static void end(const struct allocator *with, void **slots)
{
    for (size_t at = 0; at < SLOTS; at++) {
        if (slots[at] != NULL)
            with->free(with->data, slots[at]);
        slots[at] = NULL;
    }
}

static struct buddy buddy = {.lock = PTHREAD_MUTEX_INITIALIZER};
static struct dispatched dispatched = {&buddy, &buddy_ops};
static const struct allocator own = {dispatched_alloc, dispatched_free, &dispatched};
static void *its[SLOTS], *others[SLOTS];
#define SEED 88172645463325252ULL

/* By the one above. */
int64_t peer_buddy(const struct work *work)
{
    static uint64_t dice = SEED;
    if (buddy.buckets == NULL) {
        buddy.mask = 63;
        buddy.buckets = calloc(64, sizeof *buddy.buckets);
        if (buddy.buckets == NULL)
            return -ENOMEM;
    }
    return play(work, &own, its, &dice);
}

/* By whom `from` points to. */
int64_t peer_buddy_by(const struct work *work)
{
    static uint64_t dice = SEED;
    return play(work, work->from, others, &dice);
}

/* All is released, by both, before other sizes are played with. */
int64_t peer_buddy_end(const struct work *work)
{
    end(&own, its);
    end(work->from, others);
    return 0;
}
