/* Prints how the structures of OS.h lie in memory. */
#include <OS.h>

#include <stdio.h>

#define SIZE(type) printf(#type " %zu\n", sizeof(type))
#define FIELD(type, field) printf(#type "." #field " %zu %zu\n", offsetof(type, field), sizeof(((type *)0)->field))

int main(void)
{
	SIZE(area_info);
	FIELD(area_info, area);
	FIELD(area_info, name);
	FIELD(area_info, size);
	FIELD(area_info, lock);
	FIELD(area_info, protection);
	FIELD(area_info, team);
	FIELD(area_info, ram_size);
	FIELD(area_info, copy_count);
	FIELD(area_info, in_count);
	FIELD(area_info, out_count);
	FIELD(area_info, address);
	SIZE(team_info);
	FIELD(team_info, argc);
	FIELD(team_info, args);
	FIELD(team_info, uid);
	FIELD(team_info, gid);
	FIELD(team_info, real_uid);
	FIELD(team_info, group_id);
	FIELD(team_info, parent);
	FIELD(team_info, name);
	FIELD(team_info, start_time);
	SIZE(thread_info);
	FIELD(thread_info, name);
	FIELD(thread_info, state);
	FIELD(thread_info, sem);
	FIELD(thread_info, user_time);
	FIELD(thread_info, stack_base);
	FIELD(thread_info, stack_end);
	SIZE(system_info);
	FIELD(system_info, boot_time);
	FIELD(system_info, max_pages);
	FIELD(system_info, free_memory);
	FIELD(system_info, page_faults);
	FIELD(system_info, used_teams);
	FIELD(system_info, kernel_name);
	FIELD(system_info, kernel_version);
	FIELD(system_info, abi);
	return 0;
}
