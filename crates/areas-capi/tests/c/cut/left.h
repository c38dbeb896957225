/* What must not be left at the end. */
#ifndef LEFT_H
#define LEFT_H

#include <OS.h>

#include "check.h"

/* Nothing of areas is mapped, but the team's table. */
static void nothing_is_left(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	ssize_t cookie = 0;
	area_info info;
	char line[512];
	CHECK(file != NULL);
	while (fgets(line, sizeof line, file) != NULL)
		if (strstr(line, "/memfd:") != NULL && strstr(line, "areas table") == NULL)
			check_failed(__FILE__, __LINE__, "left: %s", line);
	fclose(file);
	CHECK(get_next_area_info(B_CURRENT_TEAM, &cookie, &info) != B_OK);
}

#endif
