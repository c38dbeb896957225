/* Calls of Haiku's kernel that its own tests and memory allocators use. */
#ifndef AREAS_BE_SYSCALLS_H
#define AREAS_BE_SYSCALLS_H

#include "kernel/OS.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Hands an area over to a team and keeps nothing: the id that it has there. Within the own team it
 * is there at once. Another team has it from its next call on that looks at areas: get_area_info()
 * and clone_area() of the id work there at once, and in a third team after that. The address is
 * written within the own team only. A team can be given something once it has called any function
 * about areas, teams or threads but find_thread(), snooze() and wait_for_thread().
 */
extern area_id _kern_transfer_area(area_id area, void **address, uint32 addressSpec, team_id target);

/*
 * Takes addresses, with nothing behind them, so that areas can be made there later at exact
 * addresses. An area grows inside its range, and past the end of it where nothing is, or where
 * another range is reserved in which there is nothing: that one is without this part from then on.
 */
extern status_t _kern_reserve_address_range(addr_t *address, uint32 addressSpec, addr_t size);
/* Releases what is reserved of these addresses, if anything is, in whole pages. Areas inside stay;
 * their addresses go with them. */
extern status_t _kern_unreserve_address_range(addr_t address, addr_t size);

#ifdef __cplusplus
}
#endif

#endif
