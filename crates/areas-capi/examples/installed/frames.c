/* Makes a named area, or, where a process holds one of that name, reads it. */
#include <areas.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *frames = areas_clone_named("frames", NULL);

	if (frames == NULL) {
		wanted.name = "frames";
		wanted.size = 1 << 16;
		frames = areas_create(&wanted);
		if (frames == NULL)
			return fprintf(stderr, "%s\n", areas_error_help()), 1;
		strcpy((char *)areas_address(frames), "the first frame");
	}
	puts((const char *)areas_address(frames));
	areas_release(frames);
	return 0;
}
