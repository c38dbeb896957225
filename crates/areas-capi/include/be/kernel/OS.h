/*
 * Areas, and what programs with areas use besides: BeOS's and Haiku's interface, on Linux.
 *
 * A team is a process: team_id is its pid, thread_id a thread's tid. An area_id holds for one user
 * on one machine (and pid namespace). Memory is freed when no area refers to it any more, however
 * its teams end; nothing has to be cleaned up. A forked child holds the areas of its parent,
 * shared, at the same addresses, under new ids (area_for returns them). Others find them from the
 * child's first call on: a daemon makes one right after its last fork (areas_ensure_published of
 * areas.h, or any call here). A team that makes no calls for a long time calls
 * areas_ensure_published once a second, so that it is found again where a log-out has removed the
 * registry's folder. An allocator whose memory is areas must not be used by both: each would give
 * out what the other has in use (docs/beos.md). Memory that was not made by these calls (malloc's,
 * mmap's, a stack) is not an area: area_for returns B_ERROR for it. After setuid and the like, the
 * areas are the new user's from the next call on that makes one.
 *
 * A thread may be cancelled (pthread_cancel, deferred) in any call: snooze and wait_for_thread end
 * there, all others come to their end first. Threads with 32 KiB of stack can make every call. No
 * call is async-signal-safe; area_for alone, of an address of an area and once it was called
 * elsewhere, may be called in a handler: where that has interrupted another call of these in the
 * same thread, it may give B_ERROR.
 */
#ifndef AREAS_BE_KERNEL_OS_H
#define AREAS_BE_KERNEL_OS_H

#include <pthread.h>
#include <stdarg.h>

#include "../storage/StorageDefs.h"
#include "../support/SupportDefs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* With the NUL at its end. */
#define B_OS_NAME_LENGTH 32

#define B_PAGE_SIZE 4096

#define B_INFINITE_TIMEOUT (INT64_MAX)

/* For functions of a program's own that wait; those of the Kernel Kit that take these (semaphores,
 * ports) are not here. */
enum {
	B_TIMEOUT = 0x8, /* the older name of the next one */
	B_RELATIVE_TIMEOUT = 0x8,
	B_ABSOLUTE_TIMEOUT = 0x10,
	B_TIMEOUT_REAL_TIME_BASE = 0x40,
	B_ABSOLUTE_REAL_TIME_TIMEOUT = B_ABSOLUTE_TIMEOUT | B_TIMEOUT_REAL_TIME_BASE
};

typedef int32 area_id;
typedef int32 port_id;
typedef int32 sem_id;
typedef int32 team_id;
typedef int32 thread_id;

/* --- Areas --- */

typedef struct area_info {
	area_id area;
	char name[B_OS_NAME_LENGTH];
	size_t size; /* bytes in whole pages, as they are now, also where another team has resized it */
	uint32 lock;
	uint32 protection;
	team_id team;
	uint32 ram_size; /* bytes of its memory that are in RAM */
	uint32 copy_count; /* 0: nothing is ever copied */
	uint32 in_count;
	uint32 out_count;
	void *address; /* where it is in its team */
} area_info;

/* The lock of an area: whether its pages stay in RAM. */
#define B_NO_LOCK 0
#define B_LAZY_LOCK 1
#define B_FULL_LOCK 2
#define B_CONTIGUOUS 3
#define B_LOMEM 4
#define B_32_BIT_FULL_LOCK 5
#define B_32_BIT_CONTIGUOUS 6

/* Where an area shall be. */
#define B_ANY_ADDRESS 0
#define B_EXACT_ADDRESS 1
#define B_BASE_ADDRESS 2
#define B_CLONE_ADDRESS 3
#define B_ANY_KERNEL_ADDRESS 4 /* B_BAD_VALUE: the kernel is another one */
#define B_RANDOMIZED_ANY_ADDRESS 6
#define B_RANDOMIZED_BASE_ADDRESS 7

/* What may be done with an area. */
#define B_READ_AREA (1 << 0)
#define B_WRITE_AREA (1 << 1)
#define B_EXECUTE_AREA (1 << 2)
#define B_STACK_AREA (1 << 3) /* its lowest page cannot be touched, where it was made with this and has more than one: stacks grow down */
#define B_CLONEABLE_AREA (1 << 8) /* recorded: every team of the same user may clone */
#define B_OVERCOMMITTING_AREA (1 << 12) /* accepted when an area is made or cloned, not recorded: all that are not locked overcommit */

extern area_id create_area(const char *name, void **address, uint32 addressSpec, size_t size, uint32 lock, uint32 protection);
extern area_id clone_area(const char *name, void **address, uint32 addressSpec, uint32 protection, area_id source);
extern area_id find_area(const char *name);
extern area_id area_for(void *address);
extern status_t delete_area(area_id area);
extern status_t resize_area(area_id area, size_t size);
extern status_t set_area_protection(area_id area, uint32 protection);

/* Called by the macros below, which say how large the structure is that the program knows. */
extern status_t _get_area_info(area_id area, area_info *info, size_t size);
extern status_t _get_next_area_info(team_id team, ssize_t *cookie, area_info *info, size_t size);

#define get_area_info(area, info) _get_area_info((area), (info), sizeof(*(info)))
#define get_next_area_info(team, cookie, info) _get_next_area_info((team), (cookie), (info), sizeof(*(info)))

/* --- Teams --- */

#define B_CURRENT_TEAM 0
/* The kernel is not a team here, and no process has this number. (Haiku's kernel is team 1, which
 * on Linux is a process like any other.) */
#define B_SYSTEM_TEAM 0x7fffffff

typedef struct team_info {
	team_id team;
	int32 thread_count;
	int32 image_count;
	int32 area_count;
	thread_id debugger_nub_thread; /* -1 */
	port_id debugger_nub_port; /* -1 */
	int32 argc;
	char args[64];
	uid_t uid;
	gid_t gid;

	/* Haiku's */
	uid_t real_uid;
	gid_t real_gid;
	pid_t group_id;
	pid_t session_id;
	team_id parent;
	char name[B_OS_NAME_LENGTH];
	bigtime_t start_time; /* since boot */
} team_info;

extern status_t _get_team_info(team_id team, team_info *info, size_t size);
extern status_t _get_next_team_info(int32 *cookie, team_info *info, size_t size);

#define get_team_info(team, info) _get_team_info((team), (info), sizeof(*(info)))
#define get_next_team_info(cookie, info) _get_next_team_info((cookie), (info), sizeof(*(info)))

/* --- Threads --- */

typedef enum {
	B_THREAD_RUNNING = 1,
	B_THREAD_READY,
	B_THREAD_RECEIVING,
	B_THREAD_ASLEEP,
	B_THREAD_SUSPENDED,
	B_THREAD_WAITING
} thread_state;

typedef struct thread_info {
	thread_id thread;
	team_id team;
	char name[B_OS_NAME_LENGTH];
	thread_state state;
	int32 priority;
	sem_id sem; /* -1 */
	bigtime_t user_time;
	bigtime_t kernel_time;
	void *stack_base; /* of a team's first thread; else NULL */
	void *stack_end;
} thread_info;

/* As thread_info has them, from the nice value; there is no call that sets one. */
#define B_IDLE_PRIORITY 0
#define B_LOWEST_ACTIVE_PRIORITY 1
#define B_LOW_PRIORITY 5
#define B_NORMAL_PRIORITY 10
#define B_DISPLAY_PRIORITY 15
#define B_URGENT_DISPLAY_PRIORITY 20
#define B_REAL_TIME_DISPLAY_PRIORITY 100
#define B_URGENT_PRIORITY 110
#define B_REAL_TIME_PRIORITY 120
#define B_FIRST_REAL_TIME_PRIORITY B_REAL_TIME_DISPLAY_PRIORITY
#define B_MIN_PRIORITY B_IDLE_PRIORITY
#define B_MAX_PRIORITY B_REAL_TIME_PRIORITY

/* NULL: the calling thread; a name: of a thread of this team. */
extern thread_id find_thread(const char *name);
extern status_t _get_thread_info(thread_id thread, thread_info *info, size_t size);
/* This one and the next are cancellation points. */
extern status_t snooze(bigtime_t microseconds);
/* Also for a forked child: its exit code, or -1 if a signal ended it. */
extern status_t wait_for_thread(thread_id thread, status_t *exitValue);

#define get_thread_info(thread, info) _get_thread_info((thread), (info), sizeof(*(info)))

/* --- The machine --- */

typedef struct system_info {
	bigtime_t boot_time; /* since 1970 */
	uint32 cpu_count;

	uint64 max_pages;
	uint64 used_pages;
	uint64 cached_pages;
	uint64 block_cache_pages;
	uint64 ignored_pages;

	uint64 needed_memory; /* bytes promised to programs */
	uint64 free_memory; /* bytes that can still be had */

	uint64 max_swap_pages;
	uint64 free_swap_pages;

	uint32 page_faults;

	uint32 max_sems;
	uint32 used_sems;

	uint32 max_ports;
	uint32 used_ports;

	uint32 max_threads;
	uint32 used_threads;

	uint32 max_teams;
	uint32 used_teams;

	char kernel_name[256];
	char kernel_build_date[B_OS_NAME_LENGTH];
	char kernel_build_time[B_OS_NAME_LENGTH];
	int64 kernel_version; /* 6.12.5 is 0x060c05 */

	uint32 abi;
} system_info;

extern status_t get_system_info(system_info *info);

/* Since the machine booted, the time in which it slept included, as start_time of team_info. */
extern bigtime_t system_time(void);

/* --- Debugging --- */

/*
 * Writes the message to the standard error output and raises SIGTRAP: a debugger that is attached
 * stops there, and may go on; else the signal does what the program has it do, or ends the program
 * with a core dump.
 */
extern void debugger(const char *message);

#ifdef __cplusplus
}
#endif

#if defined(__cplusplus) && __cplusplus >= 201103L
static_assert(sizeof(void *) != 8 || sizeof(area_info) == 88, "area_info has 88 bytes");
#elif !defined(__cplusplus) && defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
_Static_assert(sizeof(void *) != 8 || sizeof(area_info) == 88, "area_info has 88 bytes");
#endif

#endif
