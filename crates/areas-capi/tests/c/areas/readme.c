#include <areas.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	areas_verification found = AREAS_VERIFICATION;
	areas_attributes wanted = AREAS_ATTRIBUTES;
	wanted.name = "frames";
	wanted.size = 1 << 20;
	wanted.placement.policy = AREAS_BIND;
	areas_nodes_parse("0", &wanted.placement.nodes);
	areas_area *frames = areas_create(&wanted); /* others find it by its name: areas_clone_named */
	if (frames == NULL || areas_populate(frames, NULL, NULL) < 0 || areas_verify(frames, &found, NULL, NULL) < 0)
		return fprintf(stderr, "%s\n", areas_error_help()), 1;
	strcpy((char *)areas_address(frames), "written for the last time");
	if (areas_freeze(frames, AREAS_PATIENCE) < 0) /* from here on nobody writes it, root included */
		return fprintf(stderr, "%s\n", areas_error_help()), 1;
	areas_release(frames);
	return !found.holds; /* every page was looked at: is it on node 0? */
}
