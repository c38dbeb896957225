/*
 * Areas: chunks of memory as first-class things. Ask for one by size; say where it must live; name
 * it; let other processes clone it; freeze it; see where every page really is. The kernel takes the
 * memory back when its last holder goes, however it goes.
 *
 * Functions that return a number return 0 or more where they succeed, and one of AREAS_ERROR_...
 * where they fail; those that return a pointer return NULL then. areas_error_text() and
 * areas_error_help() say what it was, for each thread. A call that fails leaves things as they
 * were. NULL and numbers that mean nothing are errors; a handle is NULL or one that was not
 * released. Structures that begin with struct_size are initialised with the macro of their name in
 * capitals (areas_info info = AREAS_INFO;). No call is async-signal-safe. Functions that are called
 * back return: they do not jump away or throw.
 *
 * A thread may be cancelled (pthread_cancel, deferred) in any call. Those that wait are
 * cancellation points, where their comment says so; all others come to their end first, and what
 * they call back runs with cancellation disabled. Threads that the library starts for the time of a
 * call get none of the program's signals. Calls may be made in destructors and in functions of
 * atexit, and in threads with 32 KiB of stack (with a library that is built without optimisation:
 * 128 KiB). Where malloc has no memory left, the program is aborted, as it is by most libraries:
 * AREAS_ERROR_NO_MEMORY is about areas.
 *
 * Once loaded, libareas.so stays: dlclose leaves it where it is. A shared object of your own with
 * libareas.a in it has to be linked with -z nodelete, or must not be unloaded.
 *
 * Generated from crates/areas-capi/src/native by `cargo xtask headers`: change it there.
 */

#ifndef AREAS_H
#define AREAS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
template <class T> inline T areas_begun() { T it = T(); it.struct_size = sizeof(T); return it; }
#define AREAS_BEGUN(type) areas_begun<type>()
#else
#define AREAS_BEGUN(type) { .struct_size = sizeof(type) }
#endif

/* Names that were here before version 0.2, for one version more. Define AREAS_NO_OLD_NAMES to do
 * without them. */
#ifndef AREAS_NO_OLD_NAMES
#define size_of_this struct_size
#define gathered collapsed
#define AREAS_PATIENCE AREAS_DEFAULT_TIMEOUT
#define AREAS_OWNER_NOBODY AREAS_OWNER_NONE
#define areas_stayed areas_unmoved
#define areas_on_stayed areas_on_unmoved
#define AREAS_WHY_BUSY AREAS_UNMOVED_BUSY
#define AREAS_WHY_MAPPED_BY_OTHERS AREAS_UNMOVED_MAPPED_BY_OTHERS
#define AREAS_WHY_NO_ROOM AREAS_UNMOVED_NO_ROOM
#define AREAS_WHY_GONE AREAS_UNMOVED_GONE
#define AREAS_WHY_OTHER AREAS_UNMOVED_OTHER
#define areas_keep areas_ensure_published
#endif

#define AREAS_ATTRIBUTES AREAS_BEGUN(areas_attributes)
#define AREAS_CLONING AREAS_BEGUN(areas_cloning)
#define AREAS_INFO AREAS_BEGUN(areas_info)
#define AREAS_GRANT AREAS_BEGUN(areas_grant)
#define AREAS_RESIDENCY AREAS_BEGUN(areas_residency)
#define AREAS_VERIFICATION AREAS_BEGUN(areas_verification)
#define AREAS_MIGRATION AREAS_BEGUN(areas_migration)
#define AREAS_PROVIDER_OPERATIONS AREAS_BEGUN(areas_provider_operations)
#define AREAS_RECEIVING AREAS_BEGUN(areas_receiving)
#define AREAS_OFFERING AREAS_BEGUN(areas_offering)
#define AREAS_ANSWER AREAS_BEGUN(areas_answer)
#define AREAS_TAKING AREAS_BEGUN(areas_taking)
#define AREAS_STATISTICS AREAS_BEGUN(areas_statistics)
#define AREAS_TARGETS AREAS_BEGUN(areas_targets)


// The request makes no sense: size 0, a bad name, NULL, a number that means nothing.
#define AREAS_ERROR_INVALID_INPUT -1

// An offset or range lies outside the area.
#define AREAS_ERROR_OUT_OF_RANGE -2

// A NUMA node does not exist, or this process may not use it.
#define AREAS_ERROR_NODE_NOT_ALLOWED -3

// No area of that name or id.
#define AREAS_ERROR_NO_SUCH_AREA -4

// No live process of that number; or, where areas are to be handed over, none that holds any.
#define AREAS_ERROR_NO_SUCH_TEAM -5

// The machine, a node or a huge-page pool does not have that much memory.
#define AREAS_ERROR_NO_MEMORY -6

// The addresses asked for are taken or unusable.
#define AREAS_ERROR_ADDRESS_IN_USE -7

// A limit of this process (RLIMIT_*) or of the system is exceeded.
#define AREAS_ERROR_LIMIT -8

// The kernel does not permit it to this user.
#define AREAS_ERROR_NOT_PERMITTED -9

// The area lives in a process that this one may not read.
#define AREAS_ERROR_UNREADABLE -10

// The memory is still in use in a way that forbids it.
#define AREAS_ERROR_BUSY -11

// The area is frozen: no process can write it any more.
#define AREAS_ERROR_FROZEN -12

// The area was mapped without the protection that it takes.
#define AREAS_ERROR_READ_ONLY -13

// The registry's folder or tables are not as they must be.
#define AREAS_ERROR_REGISTRY -14

// This kernel, machine or kind of area cannot do it.
#define AREAS_ERROR_UNSUPPORTED -15

// A deadline has passed.
#define AREAS_ERROR_TIMED_OUT -16

// Reading or writing a file or a socket failed.
#define AREAS_ERROR_IO -17

// A system call failed in a way that has no number of its own: see areas_error_errno().
#define AREAS_ERROR_SYSTEM -18

// Another area has the name that was to be this one's alone.
#define AREAS_ERROR_NAME_TAKEN -19

// A process died while it had a lock, or in the middle of a write: what that guards may be half
// changed.
#define AREAS_ERROR_OWNER_DIED -20

// Others can clone it, and write it if they may.
#define AREAS_SHARED 0

// This process's alone: no name, no id; a forked child gets a copy.
#define AREAS_PRIVATE 1

// Shared, and may grow up to `max` bytes, for all holders at once.
#define AREAS_GROWABLE 2

// Shared, and may grow and shrink. Beyond `max` it grows where there is room behind it for all who
// have it. What lies beyond its end faults.
#define AREAS_RESIZABLE 3

// No process can write it any more. Areas become so by areas_freeze.
#define AREAS_FROZEN 4

// A part of what its provider stores, a file or a memory device (areas_provider_file): it holds
// what is stored there, and stays when the area goes. What lies beyond the end of a file that was
// cut short faults; areas_read_at and areas_write_at say AREAS_ERROR_OUT_OF_RANGE instead.
#define AREAS_STORED 5

// Loads.
#define AREAS_READ 1

// Stores.
#define AREAS_WRITE 2

// Instruction fetches.
#define AREAS_EXECUTE 4

// The area is to be a stack: recorded and reported, without an effect. (BeOS's create_area guards
// its lowest page.)
#define AREAS_STACK 8

// Others are meant to clone it: recorded and reported, without an effect.
#define AREAS_CLONEABLE 16

// Nothing may be done with its pages. (0 stands for the default: loads and stores, for a clone
// what its source has.)
#define AREAS_NOTHING 2147483648

// Pages come and go as the kernel sees fit.
#define AREAS_LOCK_NONE 0

// A page stays in RAM once it has come in.
#define AREAS_LOCK_LAZY 1

// All pages are in RAM from the start and stay.
#define AREAS_LOCK_FULL 2

// As full, and physically contiguous.
#define AREAS_LOCK_CONTIGUOUS 3

// As contiguous, below 16 MiB, in memory that was reserved when the machine booted.
#define AREAS_LOCK_LOW 4

// As full, at physical addresses below 4 GiB.
#define AREAS_LOCK_FULL_32 5

// As contiguous, at physical addresses below 4 GiB.
#define AREAS_LOCK_CONTIGUOUS_32 6

// Base pages.
#define AREAS_PAGES_BASE 0

// Pages of `page_size` bytes from the hugetlb pool: a promise or an error. A process that may
// write a shared area can take pages of it away (fallocate, madvise); where the pool has no other
// one, the next access through a pointer is a SIGBUS. areas_read_at and areas_write_at fail with
// AREAS_ERROR_NO_MEMORY instead, and a frozen area keeps its pages.
#define AREAS_PAGES_POOL 1

// The same if the pool has them, else base pages; areas_granted says which.
#define AREAS_PAGES_PREFER_POOL 2

// The pool's 2 MiB pages if there are enough, else transparent huge pages, else base pages;
// areas_granted says which.
#define AREAS_PAGES_AUTO 3

// Wherever the kernel likes.
#define AREAS_ANYWHERE 0

// At `address`, or an error: what is mapped there already is never touched.
#define AREAS_EXACTLY 1

// At the first free addresses at or above `address`; where there are none, anywhere.
#define AREAS_AT_OR_ABOVE 2

// At a random address.
#define AREAS_RANDOM 3

// At a random address at or above `address`.
#define AREAS_RANDOM_AT_OR_ABOVE 4

// For clones: at the very addresses that the source has in its holder, or an error.
#define AREAS_AT_SOURCE 5

// No policy of its own: what the calling thread has. Names no node.
#define AREAS_DEFAULT 0

// The node of the CPU that first touches a page. Names no node.
#define AREAS_LOCAL 1

// These nodes and no other.
#define AREAS_BIND 2

// This one node as long as it has memory, then those nearest to it.
#define AREAS_PREFERRED 3

// These nodes as long as they have memory, then any other (Linux 5.15).
#define AREAS_PREFERRED_MANY 4

// Page after page from each of these nodes in turn.
#define AREAS_INTERLEAVE 5

// The same, each node as many pages a turn as its weight says (Linux 6.9).
#define AREAS_WEIGHTED_INTERLEAVE 6

// In the flags of a placement with AREAS_BIND (Linux 5.15) or AREAS_PREFERRED_MANY (6.10): while
// the machine balances (kernel.numa_balancing), the kernel may move pages to the node of the CPU
// that uses them most, among the nodes of the policy. Without it, memory with a policy is not
// balanced.
#define AREAS_BALANCED 1

// What is written to areas stays with them, and does not reach the file.
#define AREAS_FILE_COPIED 1

// The most bytes that a note has.
#define AREAS_LONGEST_NOTE 256

// Core dumps of this process leave the area out. (Growable and resizable ones always are left out.
// Of other areas the kernel writes every page, and takes memory for those that were never touched.
// For a clone, madvise(MADV_DONTDUMP) does the same.)
#define AREAS_NOT_DUMPED 1

// No other area may have its name: AREAS_ERROR_NAME_TAKEN if one has. Of several processes and
// threads that ask for that at once, at most one gets the name; none waits longer than
// AREAS_DEFAULT_TIMEOUT for one that was stopped in the middle (AREAS_ERROR_BUSY then). The name
// is exclusive among those who ask for it, and against what was published before.
#define AREAS_EXCLUSIVE 2

// The usual timeout of areas_freeze, in milliseconds.
#define AREAS_DEFAULT_TIMEOUT 1000

// The node of pages that are nowhere.
#define AREAS_ABSENT -1

// The node of pages that are swapped out.
#define AREAS_SWAPPED -2

// The node of pages that are in RAM, where a sandbox forbids to ask for it page by page.
#define AREAS_NODE_UNKNOWN -3

// The pages are pinned (by DMA, for instance), or are being written back.
#define AREAS_UNMOVED_BUSY 1

// Other processes have them mapped too, and moving such pages takes CAP_SYS_NICE.
#define AREAS_UNMOVED_MAPPED_BY_OTHERS 2

// The node that they were to move to has no room.
#define AREAS_UNMOVED_NO_ROOM 3

// They were freed concurrently.
#define AREAS_UNMOVED_GONE 4

// Something else: see the kernel's error number.
#define AREAS_UNMOVED_OTHER 5

// The receiver cannot write, which the kernel enforces.
#define AREAS_SEND_READ_ONLY 1

// The time of an areas_receiving counts: without it, the socket's own does (SO_RCVTIMEO,
// O_NONBLOCK).
#define AREAS_RECEIVE_TIMEOUT 1

// The lock of an areas_receiving counts.
#define AREAS_RECEIVE_LOCK_AT_MOST 2

// For areas_from_descriptor only: memory that may shrink is taken, too, as a resizable area.
#define AREAS_RECEIVE_RESIZABLE 4

// areas_mutex_lock: the mutex is locked, and an owner before died with it. What it guards may be
// half changed.
#define AREAS_MUTEX_OWNER_DIED 1

// areas_mutex_owner: it is free.
#define AREAS_OWNER_NONE 0

// The thread that asks.
#define AREAS_OWNER_THIS_THREAD 1

// Another thread, here or in another process.
#define AREAS_OWNER_LIVING 2

// A thread that has ended: the next one to lock gets AREAS_MUTEX_OWNER_DIED.
#define AREAS_OWNER_DEAD 3

// Bytes that a sequence lock takes besides what is in it.
#define AREAS_SEQLOCK_HEADER 16

// For reading only, which the kernel enforces, or not at all: whom nothing would keep from writing
// is refused (root, and the user who made the memory), unless the area is frozen or sealed.
#define AREAS_OFFER_READ_ONLY 1

// Seals the memory against new writers first, permanently: existing writable mappings stay, and no
// others can be made. It is for reading only then.
#define AREAS_OFFER_SEAL 2

// To any process that reaches the socket; from any that listens there.
#define AREAS_OFFER_ANY 4

// The area is on its way to who connected, or there.
#define AREAS_ANSWER_GIVEN 1

// It was refused, and was sent the reason.
#define AREAS_ANSWER_REFUSED 2

// It could not be opened or sent: areas_error_text says why.
#define AREAS_ANSWER_FAILED 3

// Who connected left before it was answered.
#define AREAS_ANSWER_LEFT 4

// A user without a number in this process's user namespace.
#define AREAS_NO_USER UINT32_MAX

// Where a line may lie in a cache: the kernel does not report it.
#define AREAS_INDEXING_UNKNOWN 0

// Each address has one place: two that are far apart may push each other out.
#define AREAS_INDEXING_DIRECT 1

// An address has several places.
#define AREAS_INDEXING_INDEXED 2

// Something that the firmware does not describe.
#define AREAS_INDEXING_OTHER 3

// When a cache writes to what lies behind it: the kernel does not report it.
#define AREAS_WRITES_UNKNOWN 0

// Later, when the line goes.
#define AREAS_WRITES_BACK 1

// At once.
#define AREAS_WRITES_THROUGH 2

// Something that the firmware does not describe.
#define AREAS_WRITES_OTHER 3

// The kernel reports how much memory a node has: `total` is valid.
#define AREAS_KNOWS_TOTAL 1

// The same of `free`.
#define AREAS_KNOWS_FREE 2

// The same of `available`.
#define AREAS_KNOWS_AVAILABLE 4

// The kernel reports whether a node has memory: `has_memory` is valid.
#define AREAS_KNOWS_HAS_MEMORY 8

// The kernel reports a node's CPUs: `has_cpus` is valid.
#define AREAS_KNOWS_CPUS 16

// The kernel reports a node's memory tier: `tier` is valid.
#define AREAS_KNOWS_TIER 32

// The kernel reports a node's weight for weighted interleaving: `weight` is valid.
#define AREAS_KNOWS_WEIGHT 64

// The nearest nodes first, by the distances that the firmware reports (SLIT; 10 is a node itself).
#define AREAS_NEAREST 0

// Those with the highest read bandwidth first, in MB/s or MiB/s as the firmware has it (HMAT).
#define AREAS_HIGHEST_BANDWIDTH 1

// Those with the lowest read latency first, in nanoseconds (HMAT).
#define AREAS_LOWEST_LATENCY 2

// Those with the most free memory first, in bytes.
#define AREAS_MOST_FREE 3

// Those with the most memory first, in bytes, used or not.
#define AREAS_HIGHEST_CAPACITY 4

// All nodes that have memory: for areas_space alone.
#define AREAS_ALL_NODES 5

// For the machine as a whole.
#define AREAS_FROM_ANYWHERE 0

// Seen from the node of a CPU.
#define AREAS_FROM_CPU 1

// Seen from a node.
#define AREAS_FROM_NODE 2

// Ranked by distance, or for want of better knowledge.
#define AREAS_BY_DISTANCE 0

// Ranked by what the firmware reports of bandwidth or latency.
#define AREAS_BY_HMAT 1

// Ranked by free memory.
#define AREAS_BY_FREE 2

// Ranked by all memory that a node has.
#define AREAS_BY_CAPACITY 3

// What is asked of a provider: given to its `map`, and gone when that returns.
typedef struct areas_request areas_request;

// An area that is offered at a socket: areas_offer_open makes one, areas_offer_close takes the
// socket away. One thread at a time may use it.
typedef struct areas_offer areas_offer;

// An area that this process holds: areas_create, areas_clone, areas_receive and areas_take make
// one, areas_release releases it.
//
// Calls that take it as const may be made by several threads at once; any other call has the
// handle to itself, as with any object of C's that has no mutex. A forked child has its parent's
// handles, for the same memory at the same addresses.
typedef struct areas_area areas_area;

// Mapped memory on its way to an area: areas_request_map makes one, `map` gives it away.
typedef struct areas_mapping areas_mapping;

// Where areas come from. It is made by the functions below, used by any number of threads at once,
// and released by areas_provider_release: areas and layers that came from it keep what they need
// of it.
typedef struct areas_provider areas_provider;

// The writer of a sequence lock: areas_seqlock_writer makes it, areas_seqlock_end ends it. Any
// thread may use it, one at a time. Its area's handle must stay as long.
typedef struct areas_writer areas_writer;

// A set of NUMA nodes: node n is bit n % 64 of word n / 64. Zeroed, it is empty.
//
// The words are those of a libnuma bitmask (maskp) and of struct aml_bitmap on this architecture.
typedef struct areas_nodeset {
    // Bits for nodes 0 to 1023.
    uint64_t words[16];
} areas_nodeset;

// Where pages shall come from. Zeroed, it asks for nothing.
typedef struct areas_placement {
    // One of AREAS_DEFAULT to AREAS_WEIGHTED_INTERLEAVE.
    uint32_t policy;
    // Whether `home` counts: start looking for memory at that node (Linux 5.17).
    uint32_t has_home;
    // The home node.
    uint32_t home;
    // 0, or AREAS_BALANCED.
    uint32_t flags;
    // The nodes that the policy names. An empty set is an error where it must name some.
    struct areas_nodeset nodes;
} areas_placement;

// A part of an area that is split: its node, and how large it is beside the others.
typedef struct areas_part {
    // The node.
    uint32_t node;
    // Its share of the sum of all weights; not 0.
    uint32_t weight;
} areas_part;

// What was counted of a provider. Initialise with AREAS_STATISTICS.
//
// Other threads go on concurrently, so the members are not of the very same instant; but `mapped
// <= peak` and `unmaps <= maps` always hold.
typedef struct areas_statistics {
    // sizeof(areas_statistics).
    size_t struct_size;
    // Bytes of addresses that are mapped now: whole pages, a reserve included.
    size_t mapped;
    // The largest value that `mapped` ever had.
    size_t peak;
    // How many mappings were made.
    uint64_t maps;
    // How many of them have been unmapped.
    uint64_t unmaps;
    // How many requests ended in an error.
    uint64_t failures;
} areas_statistics;

// Called when given memory is not in use any more.
typedef void (*areas_on_done)(void *context);

// What a provider of one's own does. Initialise with AREAS_PROVIDER_OPERATIONS. The functions may
// be called by any thread, several at once.
typedef struct areas_provider_operations {
    // sizeof(areas_provider_operations).
    size_t struct_size;
    // Maps what the request describes: puts a mapping (of areas_request_map) into `mapping` and
    // returns 0; or returns the number of an error, best by areas_error_set, and leaves nothing
    // mapped. The mapping is one that was made for this very request: with another one no area is
    // made (AREAS_ERROR_UNSUPPORTED).
    int (*map)(void *context, const struct areas_request *request, struct areas_mapping **mapping);
    // Called when the addresses of a mapping have been unmapped; or NULL.
    void (*unmapped)(void *context, void *address, size_t size);
    // Called when the context is not needed any more: the provider was released, and all that came
    // from it is unmapped; or NULL.
    void (*done)(void *context);
} areas_provider_operations;

// What is asked of a new area. Initialise with AREAS_ATTRIBUTES: zeroed, readable and writable,
// shared, in base pages, placed nowhere in particular, not locked, not published.
typedef struct areas_attributes {
    // sizeof(areas_attributes).
    size_t struct_size;
    // Bytes: at least 1.
    size_t size;
    // The name under which it is published at once; NULL leaves it unpublished (areas_publish does
    // that later). 1 to 255 bytes.
    const char *name;
    // Where it shall come from, instead of the kernel as it is; or NULL.
    const struct areas_provider *provider;
    // AREAS_SHARED, AREAS_PRIVATE, AREAS_GROWABLE, AREAS_RESIZABLE or AREAS_STORED.
    uint32_t kind;
    // A union of AREAS_READ, AREAS_WRITE, AREAS_EXECUTE; 0 is reading and writing, AREAS_NOTHING
    // is nothing.
    uint32_t protection;
    // AREAS_LOCK_NONE or another.
    uint32_t lock;
    // AREAS_PAGES_BASE or another.
    uint32_t pages;
    // Bytes of a hugetlb page, where one was asked for; 0 is 2 MiB.
    size_t page_size;
    // Up to how many bytes a growable or resizable area may grow: it takes that many addresses.
    size_t max;
    // For the forms of addresses that name one.
    void *address;
    // AREAS_ANYWHERE or another form of addresses.
    uint32_t address_form;
    // 0.
    uint32_t reserved;
    // Where its pages shall come from.
    struct areas_placement placement;
    // 0, or a union of AREAS_NOT_DUMPED and AREAS_EXCLUSIVE.
    uint64_t flags;
    // What is noted beside it for those who find it: bytes that mean what the program says; NULL
    // is nothing. For areas that are not private.
    const void *note;
    // How many bytes that is: at most AREAS_LONGEST_NOTE.
    size_t note_size;
} areas_attributes;

// How a published area is to be cloned. Initialise with AREAS_CLONING: what may be done with the
// clone is what may be done with its source, anywhere, not published. Its lock is inherited.
typedef struct areas_cloning {
    // sizeof(areas_cloning).
    size_t struct_size;
    // The name under which the clone is published; NULL leaves it unpublished.
    const char *name;
    // A union of AREAS_READ, AREAS_WRITE, AREAS_EXECUTE; 0 is the source's, AREAS_NOTHING is
    // nothing. Without AREAS_WRITE the kernel ensures that the clone never writes.
    uint32_t protection;
    // AREAS_ANYWHERE or another form of addresses, AREAS_AT_SOURCE among them.
    uint32_t address_form;
    // For the forms of addresses that name one.
    void *address;
    // How many bytes of addresses the clone of a resizable area takes to grow into; 0 is as many
    // as the source has.
    size_t room;
    // What is noted beside the clone; NULL is what is noted beside its source.
    const void *note;
    // How many bytes that is: at most AREAS_LONGEST_NOTE.
    size_t note_size;
} areas_cloning;

// What is known of an area at the moment of asking. Initialise with AREAS_INFO.
typedef struct areas_info {
    // sizeof(areas_info).
    size_t struct_size;
    // Its id; 0 if it is not published.
    int32_t id;
    // The process that holds it.
    uint32_t pid;
    // AREAS_SHARED or another kind. Whether another process's area is frozen is not looked at: a
    // clone of it knows.
    uint32_t kind;
    // What its holder may do with it.
    uint32_t protection;
    // AREAS_LOCK_NONE or another, as was asked. (munlock and munlockall undo it, and a forked
    // child has none.)
    uint32_t lock;
    // 0.
    uint32_t reserved;
    // Bytes.
    size_t size;
    // Bytes in whole pages.
    size_t mapped;
    // Bytes of addresses that its holder has taken.
    size_t reserve;
    // Up to how many bytes it was made to grow; 0 if it cannot.
    size_t max;
    // Bytes of the pages that it is made of. (Transparent huge pages are found by measuring.)
    size_t page_size;
    // Where it begins in its holder: meaningful there only.
    void *address;
    // Its placement. For an area of this process (areas_look) it is the kernel's: another process
    // may have changed it.
    struct areas_placement placement;
    // Nanoseconds since boot at which it was published; 0 if it is not.
    uint64_t created;
    // The device of its memory object. Areas over the same memory have the same two numbers; 0 if
    // it is not published.
    uint64_t device;
    // The inode of its memory object, or the physical address of reserved memory.
    uint64_t inode;
    // Its name, ended by NUL; empty if it has none.
    char name[256];
    // The command name of its holder, ended by NUL; empty where it cannot be read.
    char command[64];
    // How many bytes its holder has noted beside it; 0 is nothing.
    size_t note_size;
    // These bytes: its holder's word, unchecked.
    uint8_t note[AREAS_LONGEST_NOTE];
    // 1 if its memory is retired (areas_retire): its holders keep it, and no other process gets
    // it. 0 for one that is not published.
    uint32_t retired;
    // 0.
    uint32_t reserved2;
} areas_info;

// Called with each area. A return value other than 0 ends the walk.
typedef int (*areas_on_area)(const struct areas_info *info, void *context);

// Called with each live team that cannot be read: its process, its command's name (empty where
// that cannot be read), the reason.
typedef void (*areas_on_unreadable)(uint32_t pid,
                                    const char *command,
                                    const char *why,
                                    void *context);

// A process that has an area's memory.
typedef struct areas_holder {
    // The process.
    uint32_t pid;
    // What it may do with the memory through its mappings, all of them together; 0 if it has none.
    uint32_t mapped;
    // How many descriptors of it it has open.
    size_t descriptors;
    // Its command's name; empty where it cannot be read.
    const char *command;
} areas_holder;

// Called with each holder. A return value other than 0 ends the walk.
typedef int (*areas_on_holder)(const struct areas_holder *holder, void *context);

// Called with the progress: so many bytes of so many. In the last call, both are the same.
typedef void (*areas_on_progress)(size_t done, size_t total, void *context);

// What was actually given, where it differs from what was asked only as far as that was allowed.
// Initialise with AREAS_GRANT.
typedef struct areas_grant {
    // sizeof(areas_grant).
    size_t struct_size;
    // Bytes in whole pages.
    size_t mapped;
    // Bytes of addresses taken, a reserve included.
    size_t span;
    // Bytes of the pages that it is mapped with.
    size_t page_size;
    // Bytes that were collapsed into transparent huge pages.
    size_t collapsed;
    // How often something else was given than was asked first.
    size_t fallbacks;
} areas_grant;

// Called with each fallback, in words: what was asked, what was given instead, why.
typedef void (*areas_on_fallback)(const char *asked,
                                  const char *given,
                                  const char *why,
                                  void *context);

// Where the pages of an area are. Initialise with AREAS_RESIDENCY. All numbers are bytes, of whole
// pages.
typedef struct areas_residency {
    // sizeof(areas_residency).
    size_t struct_size;
    // How much was looked at: the size, rounded up to whole pages.
    uint64_t size;
    // How much is in RAM.
    uint64_t resident;
    // How much is nowhere: holes that take no memory until they are touched.
    uint64_t absent;
    // How much is swapped out, where the kernel reports it.
    uint64_t swapped;
    // How much of what is in RAM is mapped with pages larger than the base page, where the kernel
    // reports it.
    uint64_t huge;
    // Whether the kernel reports what is swapped out; if not, that counts as absent.
    uint32_t knows_swapped;
    // Whether the kernel reports page sizes.
    uint32_t knows_huge;
    // Runs of pages that are in the same place.
    size_t runs;
    // The caller's array, or NULL: it is given the bytes on node 0, on node 1, and so on.
    uint64_t *on_node;
    // How many numbers the array has.
    size_t nodes;
    // How much of what is in RAM is on a node that is not known, not even as a part of a total.
    uint64_t node_unknown;
    // Whether it is known of each page in RAM which node it is on. If not, a sandbox forbids
    // move_pages, and `on_node` has totals.
    uint32_t knows_pages;
    // 0.
    uint32_t reserved;
} areas_residency;

// Neighbouring bytes that are in the same place.
typedef struct areas_run {
    // Bytes from the beginning of the area.
    size_t offset;
    // Bytes.
    size_t size;
    // The node that they are on, or AREAS_ABSENT, AREAS_SWAPPED, AREAS_NODE_UNKNOWN.
    int32_t node;
    // 0.
    uint32_t reserved;
    // Bytes of the pages that they are mapped with; 0 where they are not in RAM.
    size_t page_size;
} areas_run;

// Called with each run, in order. A return value other than 0 ends the walk.
typedef int (*areas_on_run)(const struct areas_run *run, void *context);

// Whether the pages of an area are where they were asked to be. Initialise with
// AREAS_VERIFICATION. Numbers of bytes.
typedef struct areas_verification {
    // sizeof(areas_verification).
    size_t struct_size;
    // 1 if nothing is elsewhere, 0 otherwise.
    uint32_t holds;
    // 0.
    uint32_t reserved;
    // In RAM, and in place.
    uint64_t in_place;
    // In RAM, and elsewhere.
    uint64_t elsewhere;
    // Not in RAM: nowhere, and not out of place.
    uint64_t not_in_ram;
    // The share of what is in RAM that is in place, 0 to 1; 1 where nothing is in RAM.
    double share;
} areas_verification;

// Pages that are on a node where they were not asked to be.
typedef struct areas_misplaced {
    // Bytes from the beginning of the area.
    size_t offset;
    // Bytes.
    size_t size;
    // Where they are.
    uint32_t node;
    // 0.
    uint32_t reserved;
    // Where they were asked to be; of interleaved pages, the node whose turn it is.
    struct areas_nodeset asked;
} areas_misplaced;

// Called with each range of pages that is elsewhere, in order. A return value other than 0 ends
// the walk.
typedef int (*areas_on_misplaced)(const struct areas_misplaced *misplaced, void *context);

// The outcome of a migration, measured before and after. Initialise with AREAS_MIGRATION. Numbers
// of bytes.
typedef struct areas_migration {
    // sizeof(areas_migration).
    size_t struct_size;
    // On another node than before.
    uint64_t moved;
    // Would not move.
    uint64_t stayed;
    // In RAM, and in place now.
    uint64_t in_place;
    // In RAM, and still elsewhere.
    uint64_t elsewhere;
    // Not in RAM.
    uint64_t not_in_ram;
    // 1 if nothing is elsewhere now, 0 otherwise.
    uint32_t holds;
    // 1 if new pages come from the new place now; 0 where there was something to move and nothing
    // of it would: then the policy is as it was.
    uint32_t placed;
} areas_migration;

// Pages that would not move.
typedef struct areas_unmoved {
    // Bytes from the beginning of the area.
    size_t offset;
    // Bytes.
    size_t size;
    // The node that they were to move to.
    uint32_t target;
    // AREAS_UNMOVED_BUSY or another reason.
    uint32_t why;
    // The kernel's error number, where the reason is AREAS_UNMOVED_OTHER; 0 otherwise.
    int32_t number;
    // 0.
    uint32_t reserved;
} areas_unmoved;

// Called with each range of pages that would not move, in order. A return value other than 0 ends
// the walk.
typedef int (*areas_on_unmoved)(const struct areas_unmoved *unmoved, void *context);

// What a receiver accepts. Initialise with AREAS_RECEIVING: the defaults, which are safe for root.
// What is beyond a bound stays in the socket's queue.
typedef struct areas_receiving {
    // sizeof(areas_receiving).
    size_t struct_size;
    // Bytes that the area may have; 0 is the machine's RAM and swap.
    size_t max_bytes;
    // Bytes of addresses that it may take; 0 is 16 times the RAM and swap, or 2 TiB if that is
    // more.
    size_t max_addresses;
    // Bytes that it may have if it is locked; 0 is an eighth of the RAM, and no more than
    // RLIMIT_MEMLOCK says, for root too.
    size_t max_locked;
    // Bytes that may be missing of hugetlb pages, which are taken from the pool then; 0 is half of
    // the pool.
    size_t max_pool_bytes;
    // A union of the sizes of pages that it may have (each is a power of two); 0 is all.
    uint64_t pages;
    // With AREAS_RECEIVE_TIMEOUT, how long to wait; 0 only looks.
    uint64_t milliseconds;
    // A union of AREAS_RECEIVE_TIMEOUT, AREAS_RECEIVE_LOCK_AT_MOST and AREAS_RECEIVE_RESIZABLE.
    uint32_t flags;
    // With AREAS_RECEIVE_LOCK_AT_MOST, the lock that is applied where the area is said to have a
    // stronger one.
    uint32_t lock_at_most;
    // For areas_from_descriptor only: bytes of addresses that memory takes which may grow; 0 is
    // none to grow into.
    size_t room;
} areas_receiving;

// To whom an area is offered, and how. Initialise with AREAS_OFFERING: to this process's own user,
// with the rights that it has.
typedef struct areas_offering {
    // sizeof(areas_offering).
    size_t struct_size;
    // To these users only, 256 at most; NULL is this process's own.
    const uint32_t *users;
    // How many they are.
    size_t user_count;
    // A union of AREAS_OFFER_READ_ONLY, AREAS_OFFER_SEAL and AREAS_OFFER_ANY.
    uint32_t flags;
    // 0.
    uint32_t reserved;
} areas_offering;

// Who connected to an offer, and the outcome. Initialise with AREAS_ANSWER.
typedef struct areas_answer {
    // sizeof(areas_answer).
    size_t struct_size;
    // AREAS_ANSWER_GIVEN and so on; 0 where no process connected.
    uint32_t outcome;
    // The user, or AREAS_NO_USER.
    uint32_t user;
    // The process; 0 for one outside of this process's pid namespace.
    uint32_t pid;
    // 0.
    uint32_t reserved;
} areas_answer;

// From whom an area is taken, and what is taken on. Initialise with AREAS_TAKING: from this
// process's own user and root, within AREAS_RECEIVING.
typedef struct areas_taking {
    // sizeof(areas_taking).
    size_t struct_size;
    // From these users only, 256 at most; NULL is this process's own and root.
    const uint32_t *users;
    // How many they are.
    size_t user_count;
    // What is taken on; NULL is AREAS_RECEIVING. (Its time means nothing here.)
    const struct areas_receiving *how;
    // How long to wait until it is offered; 0 is that it must be there.
    uint64_t milliseconds;
    // 0 or AREAS_OFFER_ANY.
    uint32_t flags;
    // 0.
    uint32_t reserved;
} areas_taking;

// A cache on a node's memory side, in front of its memory, for all who access it. What the kernel
// does not report is 0.
typedef struct areas_side_cache {
    // Its level: 1 is next to the memory.
    uint32_t level;
    // AREAS_INDEXING_UNKNOWN or another.
    uint32_t indexing;
    // AREAS_WRITES_UNKNOWN or another.
    uint32_t writes;
    // 0.
    uint32_t reserved;
    // Bytes.
    uint64_t size;
    // Bytes that a miss takes from what lies behind it.
    uint64_t line_size;
} areas_side_cache;

// A node of this machine.
typedef struct areas_node {
    // sizeof(areas_node).
    size_t struct_size;
    // Its number.
    uint32_t node;
    // Whether this process may take memory from it: 1 or 0.
    uint32_t allowed;
    // Whether it has CPUs: 1 or 0.
    uint32_t has_cpus;
    // 0.
    uint32_t reserved;
    // Bytes of memory; 0 where the kernel does not report it.
    uint64_t total;
    // Free bytes; 0 where the kernel does not report it.
    uint64_t free;
    // Bytes that a new area can still get without swapping, about; 0 where the kernel does not
    // report it.
    uint64_t available;
    // A union of AREAS_KNOWS_TOTAL and others: what the kernel reports of it.
    uint32_t known;
    // Whether it is online: 1 or 0.
    uint32_t online;
    // Whether it has memory: 1 or 0.
    uint32_t has_memory;
    // Its memory tier: a lower number is faster memory.
    uint32_t tier;
    // Pages a turn in weighted interleaving.
    uint32_t weight;
    // How many caches are in front of its memory; 0 for most nodes.
    uint32_t cache_count;
    // They, by level, until the function returns; NULL for none.
    const struct areas_side_cache *caches;
} areas_node;

// Called with each node, in order. A return value other than 0 ends the walk.
typedef int (*areas_on_node)(const struct areas_node *node, void *context);

// Which nodes are best. Initialise with AREAS_TARGETS: the nearest of all, for the machine as a
// whole.
typedef struct areas_targets {
    // sizeof(areas_targets).
    size_t struct_size;
    // AREAS_NEAREST or another question; for areas_space one that it knows.
    uint32_t by;
    // AREAS_FROM_ANYWHERE or another.
    uint32_t from;
    // The number of the CPU or node, where one is meant.
    uint32_t origin;
    // 1: where bandwidth or latency is not known, by distance, behind those where it is. 0: those
    // are left out, and none is an error.
    uint32_t or_distance;
    // Among these nodes only; empty is all that have memory. (areas_nodes_allowed lists those that
    // this process may use.)
    struct areas_nodeset within;
} areas_targets;

// A node in a ranking, and the value that put it there.
typedef struct areas_ranked {
    // The node.
    uint32_t node;
    // AREAS_BY_DISTANCE or another: what `value` is.
    uint32_t source;
    // What it was ranked by.
    uint64_t value;
} areas_ranked;

// Called with each node, best first. A return value other than 0 ends the walk.
typedef int (*areas_on_ranked)(const struct areas_ranked *ranked, void *context);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The error of this thread's last call that failed: one of the numbers above, 0 if none failed
// yet. It is the same for BeOS's and AML's calls.
int areas_error_number(void);

// The kernel's own number (errno) behind the last failure of this thread; 0 if it was not the
// kernel that refused.
int areas_error_errno(void);

// The last failure of this thread in one line: what was tried, with which values, what the kernel
// said. An empty string if nothing failed yet. It is valid until the next call of this thread that
// fails; so are the other two.
const char *areas_error_text(void);

// The same, and on a second line what to do about it, where that is known.
const char *areas_error_help(void);

// What to do about the last failure of this thread; an empty string where that is not known.
const char *areas_error_remedy(void);

// Sets the last error of this thread: for providers of one's own, which then return the number.
// `what` completes the sentence "cannot ..."; `help` says what to do, or is NULL. The number comes
// back.
int areas_error_set(int number, const char *what, const char *help);

// Reads nodes as people write them: "0-3,8", or "all" for all that may be used when the memory is
// mapped.
//
// AREAS_ERROR_INVALID_INPUT for anything else; the set is as it was then.
int areas_nodes_parse(const char *words, struct areas_nodeset *nodes);

// Writes a set as people read it: at most `room` bytes, NUL included. How long all of it is,
// without the NUL.
//
// AREAS_ERROR_INVALID_INPUT if the set is NULL.
int areas_nodes_format(const struct areas_nodeset *nodes, char *to, size_t room);

// The nodes that this process may take memory from.
//
// AREAS_ERROR_NOT_PERMITTED where a sandbox forbids the question.
int areas_nodes_allowed(struct areas_nodeset *nodes);

// `inner` (NULL: the kernel) with a placement for areas that bring none. NULL if the placement
// makes no sense.
struct areas_provider *areas_provider_placed(const struct areas_provider *inner,
                                             const struct areas_placement *placement);

// `inner` (NULL: the kernel) with blocks of so many pages on each of the nodes in turn. NULL for
// no nodes or no pages.
struct areas_provider *areas_provider_striped(const struct areas_provider *inner,
                                              const struct areas_nodeset *nodes,
                                              size_t pages);

// `inner` (NULL: the kernel) with nodes that are filled one after the other, in the order given.
// NULL for no nodes.
struct areas_provider *areas_provider_spilled(const struct areas_provider *inner,
                                              const uint32_t *order,
                                              size_t count);

// `inner` (NULL: the kernel) with contiguous parts of each area, in the order given, as large as
// their weights say, each bound to its node; they begin between huge pages where each has room for
// one, else at the nearest page. NULL for no parts, and for a weight of 0.
struct areas_provider *areas_provider_split(const struct areas_provider *inner,
                                            const struct areas_part *parts,
                                            size_t count);

// `inner` (NULL: the kernel) with at most so many bytes of addresses mapped at once. More is
// AREAS_ERROR_LIMIT.
struct areas_provider *areas_provider_limited(const struct areas_provider *inner, size_t bytes);

// `inner` (NULL: the kernel) with counters of what it maps, unmaps, and refuses:
// areas_provider_statistics reads them.
struct areas_provider *areas_provider_counted(const struct areas_provider *inner);

// Gets what was counted of a provider that areas_provider_counted made; at any time, by any
// thread, while others map and unmap. A mapping is counted until its addresses are unmapped,
// however that comes about.
//
// AREAS_ERROR_UNSUPPORTED for any other provider, also for a layer over one that counts;
// AREAS_ERROR_INVALID_INPUT for NULL.
int areas_provider_statistics(const struct areas_provider *provider,
                              struct areas_statistics *statistics);

// `inner` (NULL: the kernel) with so many inaccessible pages before and behind each area.
struct areas_provider *areas_provider_guarded(const struct areas_provider *inner, size_t pages);

// `first` (NULL: the kernel), or else `second` (NULL: the kernel). areas_granted reports what the
// first could not do.
struct areas_provider *areas_provider_or(const struct areas_provider *first,
                                         const struct areas_provider *second);

// A provider over memory that the program gives: private areas are parts of its whole pages,
// zeroed as they are handed out, and never unmapped. It must be mapped, readable and writable, and
// nothing else may use it, until `done` is called with `context` (by any thread, when the provider
// was released and the last area over it is gone), or as long as the process lives where `done` is
// NULL. What would change the memory as such is AREAS_ERROR_UNSUPPORTED: placements, locks,
// addresses. Areas that find no room are AREAS_ERROR_NO_MEMORY.
//
// NULL for NULL, and for memory without a whole page: `done` is not called then.
struct areas_provider *areas_provider_fixed(void *memory,
                                            size_t size,
                                            areas_on_done done,
                                            void *context);

// A provider over an open file, or an open memory device (/dev/daxX.Y): areas of kind AREAS_STORED
// are parts of its whole pages as it is now, the smallest free part that is large enough, the
// first ones from the beginning. They hold what is stored there. The file stays open as long as
// the provider or an area over it: the number is copied, and still the program's. `flags` is 0 or
// AREAS_FILE_COPIED.
//
// NULL with AREAS_ERROR_INVALID_INPUT for a file of less than a page, a number that is not open,
// and flags that mean nothing; AREAS_ERROR_UNSUPPORTED for what is neither a file nor a memory
// device; AREAS_ERROR_IO where the kernel does not report how large a device is; AREAS_ERROR_LIMIT
// where no descriptor is free.
struct areas_provider *areas_provider_file(int file, uint32_t flags);

// Lets a provider go. What came from it stays. NULL is nothing to do.
void areas_provider_release(struct areas_provider *provider);

// Makes a provider of a table of functions and a context for them. NULL if the table is NULL, was
// not begun with AREAS_PROVIDER_OPERATIONS, or has no `map`; the context stays the caller's then.
struct areas_provider *areas_provider_custom(const struct areas_provider_operations *operations,
                                             void *context);

// Maps what is asked from another provider (NULL: the kernel), with another placement or, if that
// is NULL, the one that was asked for. The mapping is the caller's: to be filled, given away by
// `map`, or unmapped by areas_mapping_unmap. NULL if it cannot be had.
struct areas_mapping *areas_request_map(const struct areas_request *asked,
                                        const struct areas_provider *from,
                                        const struct areas_placement *placement);

// How many bytes are asked for; 0 for NULL.
size_t areas_request_size(const struct areas_request *asked);

// What is to be done with the pages: a union of AREAS_READ, AREAS_WRITE, AREAS_EXECUTE, or
// AREAS_NOTHING; 0 for NULL. What may not be written cannot be filled.
uint32_t areas_request_protection(const struct areas_request *asked);

// Whether shared memory is asked for (1) or private memory (0), which are to be given;
// AREAS_ERROR_INVALID_INPUT for NULL.
int areas_request_shared(const struct areas_request *asked);

// Gets the placement that was asked for: 1, or 0 if that is left to the provider (and `placement`
// is unchanged). AREAS_ERROR_INVALID_INPUT for NULL.
int areas_request_placement(const struct areas_request *asked, struct areas_placement *placement);

// Where a mapping begins; NULL for NULL.
void *areas_mapping_address(const struct areas_mapping *mapping);

// How many bytes a mapping has; 0 for NULL.
size_t areas_mapping_size(const struct areas_mapping *mapping);

// Unmaps a mapping that was not given away. NULL is nothing to do.
void areas_mapping_unmap(struct areas_mapping *mapping);

// Releases an area: unmaps it and withdraws its name and id. The memory is freed with its last
// holder. NULL does nothing.
void areas_release(struct areas_area *area);

// Where an area begins; NULL if the handle is NULL or holds none any more.
//
// Several processes may write shared memory at once: what C's memory model says of threads holds
// for them.
//
// The addresses are the area's, its reserve included: they must not be unmapped, mapped over
// (MAP_FIXED, SHM_REMAP) or moved away (mremap) by the program. areas_resize and areas_trim
// release memory and addresses, areas_release all of them. (BeOS's areas may be cut so: see
// areas_forget_range.)
void *areas_address(const struct areas_area *area);

// How many bytes an area has now; 0 if the handle is NULL or holds none any more. For areas that
// may grow it asks the kernel.
size_t areas_size(const struct areas_area *area);

// An area's id, by which other processes, and BeOS's calls, know it; 0 if it is not published.
//
// AREAS_ERROR_INVALID_INPUT for NULL, AREAS_ERROR_NO_SUCH_AREA for a handle that holds none any
// more.
int32_t areas_id(const struct areas_area *area);

// The descriptor of the memory object behind an area: it stays the area's, and is open as long as
// the handle is.
//
// AREAS_ERROR_UNSUPPORTED for private and stored areas, which have none.
int areas_descriptor(const struct areas_area *area);

// Notes something beside an area for those who find it, in place of what was noted before: up to
// AREAS_LONGEST_NOTE bytes that mean what the program says (a type and a shape, a version). NULL
// and 0 remove it. Concurrent readers get the old note or the new one, whole (`note` in
// areas_info). Where the area is not published yet, the note is published with the name. Clones
// that exist keep theirs.
//
// AREAS_ERROR_INVALID_INPUT for a longer one; AREAS_ERROR_UNSUPPORTED for private and stored
// areas; AREAS_ERROR_LIMIT where this process has published so many areas that there is no room
// for it: what was noted stays.
int areas_set_note(struct areas_area *area, const void *bytes, size_t size);

// Makes an area. NULL if it cannot be had as it was asked for.
//
// AREAS_ERROR_INVALID_INPUT: a size of 0, a bad name, words that mean nothing or do not go
// together. AREAS_ERROR_NODE_NOT_ALLOWED, AREAS_ERROR_NO_MEMORY, AREAS_ERROR_LIMIT,
// AREAS_ERROR_ADDRESS_IN_USE, AREAS_ERROR_UNSUPPORTED, AREAS_ERROR_NOT_PERMITTED: as the request
// meets the machine. AREAS_ERROR_REGISTRY: it cannot be published.
struct areas_area *areas_create(const struct areas_attributes *attributes);

// Makes a shared or growable area of that name, or clones the one that is there: of several that
// ask for that at once, one makes it, and the others clone it. `created` becomes 1 or 0; it may be
// NULL. NULL if it cannot be had.
//
// A clone is of the area that exists, whatever was asked of a new one (areas_look says what it
// is): with its holder's protection, published under the same name, so that the name outlives any
// one holder. What is made is zeros until its maker has written it.
//
// AREAS_ERROR_BUSY where another process was stopped in the middle of taking the name; otherwise
// as areas_create and areas_clone.
struct areas_area *areas_create_or_open(const struct areas_attributes *attributes, int *created);

// Clones the area of that id: the same memory, under an id and at addresses of the clone's own.
// `how` may be NULL. NULL if it cannot be had.
//
// AREAS_ERROR_INVALID_INPUT, AREAS_ERROR_NO_SUCH_AREA, AREAS_ERROR_UNREADABLE: no such area, or
// one whose holder may not be read. AREAS_ERROR_READ_ONLY, AREAS_ERROR_FROZEN: for writing what
// its holder may not write, or what is frozen. Otherwise as areas_create.
struct areas_area *areas_clone(int32_t id, const struct areas_cloning *how);

// Clones the oldest area of that name. `how` may be NULL. NULL if it cannot be had; as
// areas_clone.
struct areas_area *areas_clone_named(const char *name, const struct areas_cloning *how);

// Describes an area of this process, published or not.
//
// AREAS_ERROR_INVALID_INPUT for NULL and for a structure that was not begun with AREAS_INFO.
int areas_look(const struct areas_area *area, struct areas_info *info);

// The id of the oldest area of that name that this process may read.
//
// AREAS_ERROR_NO_SUCH_AREA if there is none, AREAS_ERROR_INVALID_INPUT for NULL or a bad name,
// AREAS_ERROR_REGISTRY.
int32_t areas_find(const char *name);

// Waits until there is an area of that name, and returns its id. A negative time is no timeout. A
// cancellation point.
//
// AREAS_ERROR_TIMED_OUT; otherwise as areas_find.
int32_t areas_wait(const char *name, int64_t milliseconds);

// The id of this process's own published area that holds an address: any byte of its whole pages,
// not of a reserve.
//
// AREAS_ERROR_NO_SUCH_AREA if there is none.
int32_t areas_at(const void *address);

// Describes the area of that id, whichever process holds it.
//
// AREAS_ERROR_INVALID_INPUT for a number that no area ever has and a structure that was not begun
// with AREAS_INFO; AREAS_ERROR_NO_SUCH_AREA, AREAS_ERROR_UNREADABLE.
int areas_get(int32_t id, struct areas_info *info);

// Describes a process's published area that begins at the lowest address above `after`: 1, or 0 at
// the end. Start with NULL and continue with the address of the last one.
//
// AREAS_ERROR_NO_SUCH_TEAM if no live process has that number, AREAS_ERROR_UNREADABLE if it may
// not be read.
int areas_next(uint32_t pid, const void *after, struct areas_info *info);

// Lists all published areas that can be read, and the teams that cannot be read. Either function
// may be NULL.
//
// AREAS_ERROR_REGISTRY if the registry's folder is not as it must be. An empty list is not an
// error.
int areas_list(areas_on_area on_area, areas_on_unreadable on_unreadable, void *context);

// Lists the processes that hold the memory of an area, published or not, as far as this process
// may inspect them. The memory exists as long as one of them does. Returns how many were listed.
//
// As areas_get; AREAS_ERROR_INVALID_INPUT if the function is NULL.
int areas_holders(int32_t id, areas_on_holder on_holder, void *context);

// Gets how many bytes of the area of that id are in RAM now, whichever process holds it and
// touched them; swapped ones are not counted.
//
// As areas_get; AREAS_ERROR_INVALID_INPUT if the pointer is NULL.
int areas_resident(int32_t id, uint64_t *bytes);

// Whether the area of that id is frozen, so that no process can write it any more: 1 or 0.
// (areas_get does not look at that.)
//
// As areas_get.
int areas_is_frozen(int32_t id);

// These addresses are no longer any area's: what lies in them is cut from the areas of this
// process that BeOS's calls have made (create_area, clone_area), at once, and nothing is unmapped.
// For an allocator that unmaps parts of areas all the time and knows that its munmap will succeed:
// without it the next call that changes or describes such an area notices what is gone. Who
// interposes munmap and the like cannot know that, and does not call this: link with
// libareas-cut.so (-lareas-cut), which does it (docs/design/cutting-at-once.md).
//
// `start` is a multiple of the page size; `length` is rounded up to whole pages. What is cut off
// the head or the tail makes an area smaller, what is cut out of its middle makes a second area of
// what lies behind, with the same name and an id of its own; an area that lies inside whole is
// gone. Areas that are held by a handle (areas_create, areas_clone) are not cut: their owner must
// not unmap them.
//
// Call it before the addresses are unmapped or mapped over: afterwards another thread's new area
// may lie there. Where no area of this process lies in the range it is a search without mutex,
// system call or allocation. Where one does, it takes the library's mutexes and allocates as
// delete_area does. Called in the middle of another call of this library in the same thread (its
// own munmap, or that of a malloc that it called), it takes none of them: for what is the
// library's own there is nothing to do, and all else is looked at by the next call.
//
// AREAS_ERROR_INVALID_INPUT for a start that is not a multiple of the page size and a range that
// wraps around: nothing is cut then.
int areas_forget_range(void *start, size_t length);

// Publishes an area under a name, so that others find it: when its contents are complete, say. Its
// id.
//
// AREAS_ERROR_INVALID_INPUT for a bad name or an area that is published already,
// AREAS_ERROR_UNSUPPORTED for private ones, AREAS_ERROR_REGISTRY, AREAS_ERROR_LIMIT.
int32_t areas_publish(struct areas_area *area, const char *name);

// The same, if no other area has the name: AREAS_ERROR_NAME_TAKEN if one has; AREAS_ERROR_BUSY
// where another process was stopped in the middle of taking it. As AREAS_EXCLUSIVE does for new
// areas.
int32_t areas_publish_exclusive(struct areas_area *area, const char *name);

// Withdraws an area's name and id: it is not found by this holder any more. It stays mapped, and
// other holders' clones are found as before. It can be published again, under any name. 1 if it
// was published, 0 if not.
int areas_unpublish(struct areas_area *area);

// Retires an area's memory, permanently: it cannot be found, opened, cloned or transferred any
// more, by any holder and under any name. Its holders keep it, and may send it over a socket. This
// process's areas over it are withdrawn as areas_unpublish does; those of other holders are still
// listed, with `retired` in areas_info.
//
// AREAS_ERROR_UNSUPPORTED for private and low areas, AREAS_ERROR_NOT_PERMITTED for another user's
// memory, AREAS_ERROR_BUSY where another holder was stopped in the middle of marking it.
int areas_retire(struct areas_area *area);

// Ensures that others find this process's areas: where the registry's folder was removed (a
// log-out, where logind removes IPC), or this process's link in it, they are published again.
//
// In a forked child it publishes what the child inherited: a daemon calls it right after its last
// fork, because areas of a parent that has ended are not found. After setuid and the like it
// publishes in the new user's registry. A holder that makes no other calls calls it about once a
// second, in a thread of its own if it has other things to do: `for (;;) {
// areas_ensure_published(); sleep(1); }`. The library starts no thread for that.
//
// AREAS_ERROR_REGISTRY if the folder cannot be made again.
int areas_ensure_published(void);

// Changes the size of an area for all holders, in place: a growable one to at least that size,
// a resizable one to that size in whole pages. New bytes are zero; what is cut off is freed at
// once.
//
// Nothing has changed where it fails. AREAS_ERROR_ADDRESS_IN_USE: beyond its reserve, and
// something is behind it, here or in another team. AREAS_ERROR_UNSUPPORTED: an area of fixed size.
// AREAS_ERROR_INVALID_INPUT, AREAS_ERROR_NO_MEMORY, AREAS_ERROR_LIMIT, AREAS_ERROR_READ_ONLY,
// AREAS_ERROR_FROZEN.
int areas_resize(struct areas_area *area, size_t size);

// Takes addresses behind a resizable area, up to `span` bytes in all, so that it can grow without
// asking for them later.
//
// AREAS_ERROR_ADDRESS_IN_USE if something is there; AREAS_ERROR_INVALID_INPUT for a locked area: a
// reserve cannot be locked; AREAS_ERROR_UNSUPPORTED for other kinds; AREAS_ERROR_LIMIT,
// AREAS_ERROR_NO_MEMORY.
int areas_widen(struct areas_area *area, size_t span);

// Releases addresses that a resizable area has reserved for growth, all but `span` bytes (or what
// it has grown to). From then on it grows as far as it finds room, and so do its clones.
//
// AREAS_ERROR_UNSUPPORTED for other kinds.
int areas_trim(struct areas_area *area, size_t span);

// Has the kernel write what was changed of a stored area to its file, and waits for that.
//
// AREAS_ERROR_UNSUPPORTED for other kinds, and for memory devices, which the CPUs write past the
// kernel; AREAS_ERROR_IO where it cannot be written.
int areas_sync(struct areas_area *area);

// Changes what may be done with an area's pages: a union of AREAS_READ, AREAS_WRITE,
// AREAS_EXECUTE, or AREAS_NOTHING. Its clones are not affected.
//
// AREAS_ERROR_INVALID_INPUT for 0 and what means nothing, AREAS_ERROR_NOT_PERMITTED where it was
// opened for less, AREAS_ERROR_FROZEN.
int areas_protect(struct areas_area *area, uint32_t protection);

// Freezes an area: no process can write it any more, root included. Its size is fixed from then
// on, and its kind AREAS_FROZEN.
//
// Waits so many milliseconds for writers that are about to finish; AREAS_DEFAULT_TIMEOUT is a good
// time. Where it fails, the area is as it was, at the same address; but where another process made
// it larger than the addresses that this one has for it, in that very moment, it is frozen all the
// same, and the error's text says so: clone it for reading. AREAS_ERROR_BUSY: another holder, in
// this process or another, can still write it; the error's text names them. AREAS_ERROR_FROZEN: it
// is frozen already. AREAS_ERROR_READ_ONLY: it may not be written through this handle.
// AREAS_ERROR_UNSUPPORTED: private areas, and low ones.
int areas_freeze(struct areas_area *area, int64_t milliseconds);

// Faults all pages of an area in, in parallel, where they were asked to be. `on_progress` may be
// NULL; it is called on this thread, and must not use the area's handle.
//
// AREAS_ERROR_NO_MEMORY where the nodes or the machine plainly do not have that much, before the
// kernel's out-of-memory killer has its say.
int areas_populate(struct areas_area *area, areas_on_progress on_progress, void *context);

// Copies bytes of an area out, from `offset` on, into memory of the caller's own that is not a
// part of an area.
//
// What others write concurrently may be seen in part. No other thread may write the bytes of a
// private area concurrently, as with memcpy. The kernel copies from a resizable area, so that
// shrinking it concurrently is an error, not a fault. AREAS_ERROR_OUT_OF_RANGE beyond the size,
// AREAS_ERROR_READ_ONLY where its protection forbids it, AREAS_ERROR_INVALID_INPUT.
int areas_read_at(const struct areas_area *area, size_t offset, void *into, size_t size);

// Copies bytes into an area, from `offset` on, of memory of the caller's own that is not a part of
// an area. It never makes it larger. No other thread may use the bytes of a private area
// concurrently, as with memcpy.
//
// AREAS_ERROR_OUT_OF_RANGE beyond the size, AREAS_ERROR_READ_ONLY where its protection forbids it,
// AREAS_ERROR_FROZEN, AREAS_ERROR_INVALID_INPUT.
int areas_write_at(struct areas_area *area, size_t offset, const void *bytes, size_t size);

// Copies bytes from one area to another, or within one where the two ranges do not overlap.
//
// Between a resizable or stored area and one that is not private it cannot be done in one go:
// areas_read_at, areas_write_at (AREAS_ERROR_UNSUPPORTED). Otherwise errors as theirs;
// AREAS_ERROR_INVALID_INPUT for ranges that overlap, by way of clones as well.
int areas_copy(const struct areas_area *from,
               size_t offset,
               struct areas_area *to,
               size_t at,
               size_t size);

// Fills a shared area from a file, from its first byte on: as many bytes as the area has, read in
// parallel by threads near to where the pages are to be. All of it is in RAM then. `on_progress`
// may be NULL; it is called on this thread, and must not use the area's handle.
//
// AREAS_ERROR_IO if the file cannot be read or has fewer bytes, AREAS_ERROR_NO_MEMORY as
// areas_populate, AREAS_ERROR_READ_ONLY, AREAS_ERROR_FROZEN, AREAS_ERROR_LIMIT,
// AREAS_ERROR_UNSUPPORTED for private, resizable and stored areas.
int areas_fill(struct areas_area *area, int file, areas_on_progress on_progress, void *context);

// Describes what an area was granted, and each fallback that was taken (`on_fallback` may be
// NULL).
int areas_granted(const struct areas_area *area,
                  struct areas_grant *grant,
                  areas_on_fallback on_fallback,
                  void *context);

// Measures where each page of an area is, and how large it is. Faults nothing in. `on_run` may be
// NULL.
//
// Where a sandbox forbids move_pages, the nodes are reported as totals, and those of single pages
// only if all are on one. AREAS_ERROR_UNSUPPORTED for low areas, whose memory belongs to no node,
// AREAS_ERROR_INVALID_INPUT.
int areas_measure(const struct areas_area *area,
                  struct areas_residency *residency,
                  areas_on_run on_run,
                  void *context);

// The same for the area of that id, whichever process holds it, without mapping it.
//
// AREAS_ERROR_NO_SUCH_AREA, AREAS_ERROR_UNREADABLE; otherwise as areas_measure.
int areas_measure_id(int32_t id,
                     struct areas_residency *residency,
                     areas_on_run on_run,
                     void *context);

// The same for any memory of this process: what AML, malloc or mmap gave. `start` is rounded down
// to a page.
//
// AREAS_ERROR_OUT_OF_RANGE where not all of it is mapped; otherwise as areas_measure.
int areas_measure_range(const void *start,
                        size_t size,
                        struct areas_residency *residency,
                        areas_on_run on_run,
                        void *context);

// Measures an area, and compares with what was asked of it and of its parts: a page is in place on
// any node of its policy, with interleaving on the node whose turn it is. `on_misplaced` may be
// NULL.
//
// Pages that are elsewhere are not an error: see `holds`. Errors as areas_measure.
int areas_verify(const struct areas_area *area,
                 struct areas_verification *verification,
                 areas_on_misplaced on_misplaced,
                 void *context);

// From now on, new pages of a part of an area come from there: `size` bytes from `offset` on, in
// whole pages. Pages that are there already stay: areas_migrate moves them.
//
// AREAS_ERROR_NODE_NOT_ALLOWED for nodes that may not be used, AREAS_ERROR_INVALID_INPUT for a
// part that does not begin at a page, AREAS_ERROR_OUT_OF_RANGE beyond its addresses,
// AREAS_ERROR_UNSUPPORTED for what this kernel does not know.
int areas_place(struct areas_area *area,
                size_t offset,
                size_t size,
                const struct areas_placement *placement);

// Divides a part of an area, `size` bytes from `offset` on, in whole pages, into contiguous pieces
// in the order given, as large as their weights say, each bound to its node: new pages come from
// there from now on. The pieces begin between huge pages where each has room for one, else at the
// nearest page. Pages that are there already stay: areas_verify lists those that are elsewhere.
// Where the kernel refuses a piece, all is placed as before.
//
// AREAS_ERROR_INVALID_INPUT for no pieces, more than 1024, or a weight of 0; otherwise as
// areas_place.
int areas_place_split(struct areas_area *area,
                      size_t offset,
                      size_t size,
                      const struct areas_part *parts,
                      size_t count);

// Changes the placement of a whole area, and moves the pages that are elsewhere, huge ones whole.
// Both functions may be NULL; they must not use the area's handle.
//
// Pages that stay are not an error: they are reported, with the reason. Moving pages that other
// processes have mapped too takes CAP_SYS_NICE. Errors as areas_place and areas_measure.
int areas_migrate(struct areas_area *area,
                  const struct areas_placement *placement,
                  struct areas_migration *migration,
                  areas_on_unmoved on_unmoved,
                  areas_on_progress on_progress,
                  void *context);

// The same for the area of that id, whichever process holds it, without mapping it: so an ordinary
// user can move pages that one process of the same user has mapped.
//
// AREAS_ERROR_NO_SUCH_AREA, AREAS_ERROR_UNREADABLE; otherwise as areas_migrate.
int areas_migrate_id(int32_t id,
                     const struct areas_placement *placement,
                     struct areas_migration *migration,
                     areas_on_unmoved on_unmoved,
                     areas_on_progress on_progress,
                     void *context);

// Hands a published area over to another team, a process, and keeps nothing: the same memory,
// name, protection and lock, a new id, at addresses of the given form there. The handle holds
// nothing from then on: release it. (To one's own process it moves at once, and the handle holds
// it as before.)
//
// The other team has it at its next call that looks at the registry; until then the kernel holds
// it, and this process may end. Where it fails, the area is as it was. AREAS_ERROR_NO_SUCH_TEAM:
// no such process, or it holds no areas and has not called areas_join. AREAS_ERROR_INVALID_INPUT:
// the area is not published, or the form means nothing. AREAS_ERROR_UNSUPPORTED: private and low
// areas. AREAS_ERROR_ADDRESS_IN_USE, AREAS_ERROR_BUSY, AREAS_ERROR_UNREADABLE, AREAS_ERROR_LIMIT.
int areas_transfer(struct areas_area *area, uint32_t pid, uint32_t address_form, void *address);

// Joins the registry without an area, so that others can transfer areas to this process. A process
// that has published one has joined.
//
// AREAS_ERROR_REGISTRY, AREAS_ERROR_LIMIT, AREAS_ERROR_NOT_PERMITTED.
int areas_join(void);

// Waits until another team has transferred an area to this process, and takes it. A negative time
// is no timeout, 0 does not wait. `from`, unless NULL, receives the process that transferred it.
// NULL if none came. (BeOS's calls take what came for themselves.) A cancellation point.
//
// AREAS_ERROR_TIMED_OUT; AREAS_ERROR_LIMIT and others as for new areas, if one came and cannot be
// had: areas_refuse drops it.
struct areas_area *areas_take(int64_t milliseconds, uint32_t *from);

// Drops the area that was transferred to this process and cannot be had: 1, or 0 if there was
// none.
int areas_refuse(void);

// Sends an area over a connected Unix socket: to other users, to containers. The receiver calls
// areas_receive. It stays ours as well, and alive on its way. `flags` is 0 or
// AREAS_SEND_READ_ONLY. While the socket's queue is full it waits, unless the socket does not
// (O_NONBLOCK) or has a timeout (SO_SNDTIMEO): then it is AREAS_ERROR_IO, and nothing was sent.
//
// AREAS_ERROR_IO with what the socket said, AREAS_ERROR_UNSUPPORTED for private, resizable and low
// areas, AREAS_ERROR_INVALID_INPUT.
int areas_send(const struct areas_area *area, int to, uint32_t flags);

// Takes an area that was sent over a connected Unix socket, and maps it, with the lock that it
// had, within the bounds of AREAS_RECEIVING. It is not published. NULL if none came, or what came
// is none. A cancellation point, until the first byte has come.
//
// What cannot be had stays in the socket's queue: areas_receive_with sets what is accepted,
// areas_discard drops it.
//
// AREAS_ERROR_LIMIT: beyond a bound, no descriptor free, RLIMIT_MEMLOCK. AREAS_ERROR_TIMED_OUT:
// the socket has a time (SO_RCVTIMEO). AREAS_ERROR_IO if the socket fails or is closed, or does
// not wait. AREAS_ERROR_INVALID_INPUT: what is first in the queue is not a message of this
// library, and stays; or is one that no area came with, and is dropped; or the memory is not what
// its lock says, and stays. AREAS_ERROR_NOT_PERMITTED: what its lock says cannot be measured here.
struct areas_area *areas_receive(int from);

// The same within other bounds, or within a time. A cancellation point, unless it has a time.
struct areas_area *areas_receive_with(int from, const struct areas_receiving *how);

// Drops the area that is first in a socket's queue, without a look at it: 1, or 0 if there was
// none. It does not wait.
//
// AREAS_ERROR_IO if the socket fails or is closed, AREAS_ERROR_INVALID_INPUT if what is first in
// the queue is not a message of this library.
int areas_discard(int from);

// Makes an area of the memory object (memfd) behind a descriptor, whichever process made it, with
// the rights that the descriptor has, within the bounds of `how`; NULL is AREAS_RECEIVING. The
// descriptor stays the caller's. The area has no name, is not locked and not published; its kind
// is the kernel's word: frozen, shared or resizable. No call waits for another process, whatever
// the descriptor is of. NULL if it cannot be had.
//
// AREAS_ERROR_INVALID_INPUT for what is not a memory object, and for one that may shrink (without
// AREAS_RECEIVE_RESIZABLE); AREAS_ERROR_LIMIT: beyond a bound, no descriptor free;
// AREAS_ERROR_NOT_PERMITTED for a descriptor that is not open for reading; otherwise as
// areas_create.
struct areas_area *areas_from_descriptor(int descriptor, const struct areas_receiving *how);

// Locks the mutex in the 8 bytes at `offset` of a shared area, a multiple of 8, for the threads of
// all processes that have the area: waiting for so many milliseconds; 0 is not at all, a negative
// time is no timeout. A cancellation point. Signals do not end the wait. Zeros are a mutex that is
// free.
//
// 0; or AREAS_MUTEX_OWNER_DIED: it is locked, and its owner died before (by the end of its thread
// or process, kill -9 and exec included). Repair what it guards and call areas_mutex_consistent:
// until then each one who locks it gets AREAS_MUTEX_OWNER_DIED. A forked child does not own what
// its parent has locked. Its addresses belong to the library: no thread stores to them otherwise.
//
// AREAS_ERROR_TIMED_OUT: its owner lives (a stopped one, too). AREAS_ERROR_BUSY: this thread has
// it already, by whatever handle. AREAS_ERROR_INVALID_INPUT: another process has written what is
// not a mutex; or the offset is not a multiple of 8. AREAS_ERROR_OUT_OF_RANGE.
// AREAS_ERROR_READ_ONLY. AREAS_ERROR_UNSUPPORTED: hugetlb pages, and areas that are not shared, or
// may shrink. AREAS_ERROR_LIMIT, AREAS_ERROR_NOT_PERMITTED, AREAS_ERROR_SYSTEM: at a thread's
// first lock in an area, which takes a descriptor for a moment, a mapping, and /proc.
int areas_mutex_lock(const struct areas_area *area, size_t offset, int64_t milliseconds);

// Unlocks a mutex that this thread has locked, and wakes who waits for it.
//
// AREAS_ERROR_NOT_PERMITTED: this thread does not have it; or another process has written over it,
// and what it guards may be inconsistent.
int areas_mutex_unlock(const struct areas_area *area, size_t offset);

// Marks what a mutex guards as consistent again, after AREAS_MUTEX_OWNER_DIED: later locks return
// 0. It stays locked.
//
// AREAS_ERROR_NOT_PERMITTED: this thread does not have it.
int areas_mutex_consistent(const struct areas_area *area, size_t offset);

// Whose a mutex is at this moment: AREAS_OWNER_NONE, AREAS_OWNER_THIS_THREAD, AREAS_OWNER_LIVING
// or AREAS_OWNER_DEAD.
int areas_mutex_owner(const struct areas_area *area, size_t offset);

// Adds 1 to the event counter in the 4 bytes at `offset` of a shared or resizable area, a multiple
// of 4, and wakes all who wait for it, in all processes. Both are one system call: a kill leaves
// no waiters asleep. Zeros are a counter that begins at 0; it wraps around.
//
// AREAS_ERROR_READ_ONLY, AREAS_ERROR_OUT_OF_RANGE, AREAS_ERROR_INVALID_INPUT;
// AREAS_ERROR_NO_MEMORY where a hugetlb page was taken away; AREAS_ERROR_UNSUPPORTED,
// AREAS_ERROR_FROZEN for areas of other kinds.
int areas_event_signal(const struct areas_area *area, size_t offset);

// Returns the count of an event counter.
//
// As areas_event_signal, but for AREAS_ERROR_READ_ONLY where it may be read.
int areas_event_count(const struct areas_area *area, size_t offset, uint32_t *count);

// Waits until the count of an event counter is another one than `seen`, and returns that: for so
// many milliseconds; a negative time is no timeout. It takes the right to read only. A
// cancellation point. Signals of processes do not end the wait. What was written before
// areas_event_signal is seen behind it.
//
// AREAS_ERROR_TIMED_OUT; AREAS_ERROR_FROZEN: the area was frozen, and no process can signal any
// more; as areas_event_count.
int areas_event_wait(const struct areas_area *area,
                     size_t offset,
                     uint32_t seen,
                     int64_t milliseconds,
                     uint32_t *count);

// Becomes the writer of the sequence lock at `offset` of a shared area, a multiple of 8, with
// `size` bytes in it: it takes AREAS_SEQLOCK_HEADER bytes more. One process writes, and many read,
// whole or not at all, without waiting for each other. Zeros are one that was never written.
//
// AREAS_ERROR_BUSY: it has a writer, which is alive. AREAS_ERROR_OUT_OF_RANGE,
// AREAS_ERROR_INVALID_INPUT, AREAS_ERROR_READ_ONLY; else as areas_mutex_lock at a thread's first
// lock.
struct areas_writer *areas_seqlock_writer(const struct areas_area *area,
                                          size_t offset,
                                          size_t size);

// Writes all that is in a sequence lock.
//
// AREAS_ERROR_INVALID_INPUT for another size; AREAS_ERROR_NOT_PERMITTED in a forked child, and if
// another process has written over the writer's word.
int areas_seqlock_write(struct areas_writer *writer, const void *bytes, size_t size);

// Whether the writer before died in the middle of a write, and nothing was written since: 1 or 0.
int areas_seqlock_interrupted(const struct areas_writer *writer);

// Ends a writer: another one may come. NULL is nothing to do.
void areas_seqlock_end(struct areas_writer *writer);

// Copies out what was written last into a sequence lock, all of one write, into memory of the
// caller's own. `version`, unless it is NULL, is how often it was written. It takes the right to
// read only.
//
// AREAS_ERROR_BUSY: no copy was whole in some thousand attempts; AREAS_ERROR_OWNER_DIED: its
// writer died in the middle of a write, and no other one has written since;
// AREAS_ERROR_OUT_OF_RANGE, AREAS_ERROR_INVALID_INPUT, AREAS_ERROR_READ_ONLY,
// AREAS_ERROR_UNSUPPORTED.
int areas_seqlock_read(const struct areas_area *area,
                       size_t offset,
                       void *into,
                       size_t size,
                       uint64_t *version);

// Offers a published area at a socket, which is made, with mode 0600 and an access list of the
// users that are named. A process that connects waits until areas_offer_answer is called. NULL as
// the path is the socket that a supervisor has given to this process (systemd's
// ListenSequentialPacket=). `how` may be NULL: AREAS_OFFERING.
//
// The offer holds no memory: once no process publishes the area, those that connect get the error
// that it is gone. NULL if it cannot be offered, and then no socket is left.
//
// AREAS_ERROR_NOT_PERMITTED: for reading only, to a user whom nothing would keep from writing; a
// path through another user's link. AREAS_ERROR_BUSY where another process listens there;
// AREAS_ERROR_NO_SUCH_AREA if it is not published; AREAS_ERROR_UNSUPPORTED for resizable and low
// areas; AREAS_ERROR_INVALID_INPUT; AREAS_ERROR_IO.
struct areas_offer *areas_offer_open(const struct areas_area *area,
                                     const char *at,
                                     const struct areas_offering *how);

// Answers the next process that connects to an offer: 1, or 0 where none connected in time. A
// negative time is no timeout, 0 does not wait. `answer`, unless NULL, receives who it was, and
// the outcome. No peer can hold it up. A cancellation point.
//
// AREAS_ERROR_LIMIT where no descriptor is free for who connected, who waits; AREAS_ERROR_IO if
// the socket was closed; AREAS_ERROR_INVALID_INPUT.
int areas_offer_answer(struct areas_offer *offer,
                       int64_t milliseconds,
                       struct areas_answer *answer);

// Ends an offer, and takes its socket away; who was given the area keeps it. NULL is nothing to
// do.
void areas_offer_close(struct areas_offer *offer);

// Takes the area that is offered at a path: the same memory, with the rights that are given, with
// its name and note. It is not published. `how` may be NULL: AREAS_TAKING. NULL if it cannot be
// had, and then nothing was taken. A cancellation point.
//
// AREAS_ERROR_NO_SUCH_AREA: nothing is offered, or it is gone. AREAS_ERROR_NOT_PERMITTED: it is
// not offered to this user, or not by one from whom it is taken. AREAS_ERROR_TIMED_OUT: not
// offered in time, or who listens does not answer in what is left of it, or in 10 seconds.
// AREAS_ERROR_BUSY, AREAS_ERROR_SYSTEM: the other side refuses so. AREAS_ERROR_UNSUPPORTED: so as
// well, or what it sends is not an area. AREAS_ERROR_INVALID_INPUT: no such socket.
// AREAS_ERROR_LIMIT: beyond a bound.
struct areas_area *areas_offer_take(const char *at, const struct areas_taking *how);

// Lists the nodes of this machine. Returns how many were listed.
//
// AREAS_ERROR_INVALID_INPUT if the function is NULL, AREAS_ERROR_IO where sysfs cannot be read.
int areas_nodes(areas_on_node on_node, void *context);

// How far it is from one node to another, 10 being a node itself (SLIT).
//
// AREAS_ERROR_NODE_NOT_ALLOWED if the machine does not have both, or does not report it.
int areas_distance(uint32_t from, uint32_t to);

// Ranks nodes that have memory, best first. Returns how many there are: put the first one into a
// placement.
//
// AREAS_ERROR_NODE_NOT_ALLOWED where no node is left to choose from, or the origin does not exist;
// AREAS_ERROR_UNSUPPORTED where the machine does not report it (and `or_distance` is 0);
// AREAS_ERROR_INVALID_INPUT for NULL, words that mean nothing and a CPU that is not online;
// AREAS_ERROR_IO where sysfs cannot be read.
int areas_rank(const struct areas_targets *targets, areas_on_ranked on_ranked, void *context);

// Gets the nodes of a memory space: all that are equally good, to put into a placement.
// `targets->by` is AREAS_ALL_NODES, AREAS_HIGHEST_CAPACITY (up to a sixteenth less counts as
// equal), AREAS_HIGHEST_BANDWIDTH or AREAS_LOWEST_LATENCY. Bandwidth and latency are seen from the
// origin; from anywhere, they are the best for each node with CPUs, together. `unknown`, which may
// be NULL, becomes the nodes whose figure is not known from there: they are left out, unless
// `or_distance` took them. Returns how many nodes there are.
//
// AREAS_ERROR_UNSUPPORTED where nothing is known; otherwise as areas_rank. The sets are as they
// were then.
int areas_space(const struct areas_targets *targets,
                struct areas_nodeset *nodes,
                struct areas_nodeset *unknown);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* AREAS_H */
