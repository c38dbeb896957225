/*
 * What areas.h promises of areas, measured in the kernel: kinds, growth, protections, freezing,
 * places, names, holders that are killed.
 *
 * Not under valgrind: it does not know mlock2, and children fault on purpose.
 */
#include <areas.h>
#include <ftw.h>
#include <sys/syscall.h>

#include "check.h"

#define PAGE ((size_t)4096)

/* What is to be right is said by the error that says otherwise. */
#define OK(call) \
	do { \
		if ((call) < 0) \
			check_failed(__FILE__, __LINE__, "%s: %s", #call, areas_error_help()); \
	} while (0)

static areas_area *create(const areas_attributes *wanted)
{
	areas_area *area = areas_create(wanted);
	if (area == NULL)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	return area;
}

static areas_area *plain(const char *name, size_t size, uint32_t kind)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	wanted.name = name;
	wanted.size = size;
	wanted.kind = kind;
	return create(&wanted);
}

/* The pages of a range that are in RAM, by mincore. */
static size_t in_ram(const void *start, size_t size)
{
	static unsigned char pages[4096];
	size_t i, count = 0;
	CHECK(size / PAGE <= sizeof pages);
	CHECK_EQ(mincore((void *)(uintptr_t)start, size, pages), 0);
	for (i = 0; i < size / PAGE; i++)
		count += pages[i] & 1;
	return count;
}

/* The node that a page is on, by move_pages. */
static int node_of(void *page)
{
	int status = -1;
	CHECK_EQ(syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0), 0);
	return status;
}

static void kinds(void)
{
	areas_info info = AREAS_INFO;
	struct stat object;
	char *start;
	areas_area *area = plain(NULL, 5000, AREAS_SHARED);
	CHECK_EQ(areas_size(area), 5000);
	CHECK_EQ(areas_id(area), 0);
	OK(areas_look(area, &info));
	CHECK_EQ(info.kind, AREAS_SHARED);
	CHECK_EQ(info.size, 5000);
	CHECK_EQ(info.mapped, 2 * PAGE);
	CHECK_EQ(info.protection, AREAS_READ | AREAS_WRITE);
	CHECK_EQ(info.pid, getpid());
	CHECK_STR(info.name, "");
	CHECK(info.address == areas_address(area));
	CHECK_STR(check_maps(areas_address(area)), "rw-s");
	CHECK_EQ(fstat(areas_descriptor(area), &object), 0);
	CHECK_EQ(object.st_size, 5000);
	areas_release(area);
	CHECK_STR(check_maps(info.address), "");

	area = plain(NULL, PAGE, AREAS_PRIVATE);
	CHECK_STR(check_maps(areas_address(area)), "rw-p");
	OK(areas_look(area, &info));
	CHECK_EQ(info.kind, AREAS_PRIVATE);
	areas_release(area);

	/* Growth is seen through another handle without a call; what is there stays. */
	{
		areas_attributes wanted = AREAS_ATTRIBUTES;
		areas_area *clone;
		char *other;
		wanted.name = "grows";
		wanted.size = PAGE;
		wanted.kind = AREAS_GROWABLE;
		wanted.max = 64 * PAGE;
		area = create(&wanted);
		clone = areas_clone_named("grows", NULL);
		CHECK(clone != NULL);
		other = (char *)areas_address(clone);
		CHECK_EQ(check_touch(other + PAGE, 0), SIGBUS);
		OK(areas_resize(area, 3 * PAGE));
		other[3 * PAGE - 1] = 7;
		CHECK_EQ(((char *)areas_address(area))[3 * PAGE - 1], 7);
		CHECK_EQ(areas_resize(area, 65 * PAGE), AREAS_ERROR_INVALID_INPUT);
		CHECK_EQ(areas_size(clone), 3 * PAGE);
		OK(areas_look(clone, &info));
		CHECK_EQ(info.kind, AREAS_GROWABLE);
		CHECK_EQ(info.max, 64 * PAGE);
		areas_release(clone);
		areas_release(area);
	}
	area = plain("shrinks", 4 * PAGE, AREAS_RESIZABLE);
	start = (char *)areas_address(area);
	memset(start, 1, 4 * PAGE);
	CHECK_EQ(fstat(areas_descriptor(area), &object), 0);
	CHECK_EQ(object.st_blocks * 512, (long long)(4 * PAGE));
	OK(areas_resize(area, PAGE));
	CHECK_EQ(fstat(areas_descriptor(area), &object), 0);
	CHECK_EQ(object.st_blocks * 512, (long long)PAGE);
	CHECK_EQ(check_touch(start + PAGE, 0), SIGBUS);
	areas_release(area);
}

static void protecting(void)
{
	areas_area *area = plain(NULL, PAGE, AREAS_SHARED);
	OK(areas_protect(area, AREAS_READ));
	CHECK_STR(check_maps(areas_address(area)), "r--s");
	CHECK_EQ(check_touch((char *)areas_address(area), 1), SIGSEGV);
	OK(areas_protect(area, AREAS_NOTHING));
	CHECK_STR(check_maps(areas_address(area)), "---s");
	areas_release(area);
}

struct progress {
	size_t done, total, calls;
};

static void on_progress(size_t done, size_t total, void *context)
{
	struct progress *progress = (struct progress *)context;
	CHECK(done >= progress->done);
	progress->done = done;
	progress->total = total;
	progress->calls++;
}

struct runs {
	size_t count, end, resident;
};

static int on_run(const areas_run *run, void *context)
{
	struct runs *runs = (struct runs *)context;
	CHECK_EQ(run->offset, runs->end);
	runs->end += run->size;
	runs->count++;
	if (run->node >= 0)
		runs->resident += run->size;
	return 0;
}

static int stop(const areas_run *run, void *context)
{
	(void)run;
	++*(int *)context;
	return 1;
}

static void measuring(void)
{
	areas_residency residency = AREAS_RESIDENCY, by_id = AREAS_RESIDENCY;
	uint64_t on_node[4] = { 9, 9, 9, 9 };
	struct runs runs = { 0, 0, 0 };
	struct progress progress = { 0, 0, 0 };
	int calls = 0;
	areas_area *area = plain("measured", 64 * PAGE, AREAS_SHARED);
	char *start = (char *)areas_address(area);
	start[0] = start[10 * PAGE] = start[11 * PAGE] = 1;
	residency.on_node = on_node;
	residency.nodes = 4;
	OK(areas_measure(area, &residency, on_run, &runs));
	CHECK_EQ(residency.size, 64 * PAGE);
	CHECK_EQ(residency.resident, 3 * PAGE);
	CHECK_EQ(residency.resident, in_ram(start, 64 * PAGE) * PAGE);
	CHECK_EQ(residency.absent, 61 * PAGE);
	CHECK_EQ(residency.runs, runs.count);
	CHECK_EQ(runs.count, 4);
	CHECK_EQ(runs.end, 64 * PAGE);
	CHECK_EQ(runs.resident, 3 * PAGE);
	CHECK_EQ(on_node[0] + on_node[1] + on_node[2] + on_node[3], 3 * PAGE);
	CHECK(on_node[node_of(start)] >= PAGE);
	CHECK_EQ(residency.knows_pages, 1);
	CHECK_EQ(residency.node_unknown, 0);
	/* Whoever returns something else than 0 hears no more. */
	OK(areas_measure(area, &residency, stop, &calls));
	CHECK_EQ(calls, 1);
	/* The same without the handle, and for memory that is not an area. */
	OK(areas_measure_id(areas_id(area), &by_id, NULL, NULL));
	CHECK_EQ(by_id.resident, 3 * PAGE);
	OK(areas_measure_range(start + 10 * PAGE + 1, 1, &by_id, NULL, NULL));
	CHECK_EQ(by_id.size, PAGE);
	CHECK_EQ(by_id.resident, PAGE);

	OK(areas_populate(area, on_progress, &progress));
	CHECK(progress.calls > 0 && progress.done == progress.total);
	CHECK_EQ(in_ram(start, 64 * PAGE), 64);
	areas_release(area);
}

static void placing(void)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_verification found = AREAS_VERIFICATION;
	areas_migration moved = AREAS_MIGRATION;
	areas_placement local;
	areas_area *area;
	areas_info info = AREAS_INFO;
	int policy = -1;
	char text[16];
	struct progress progress = { 0, 0, 0 };

	memset(&local, 0, sizeof local);
	local.policy = AREAS_LOCAL;
	OK(areas_nodes_allowed(&wanted.placement.nodes));
	CHECK(areas_nodes_format(&wanted.placement.nodes, text, sizeof text) > 0);
	OK(areas_nodes_parse("0", &wanted.placement.nodes));
	wanted.size = 16 * PAGE;
	wanted.placement.policy = AREAS_BIND;
	area = create(&wanted);
	/* MPOL_F_ADDR: the policy of that address; 2 is MPOL_BIND. */
	CHECK_EQ(syscall(SYS_get_mempolicy, &policy, NULL, 0UL, areas_address(area), 2UL), 0);
	CHECK_EQ(policy & 0xff, 2);
	OK(areas_populate(area, NULL, NULL));
	CHECK_EQ(node_of(areas_address(area)), 0);
	OK(areas_verify(area, &found, NULL, NULL));
	CHECK_EQ(found.holds, 1);
	CHECK_EQ(found.in_place, 16 * PAGE);
	CHECK_EQ(found.elsewhere, 0);
	CHECK(found.share == 1.0);
	OK(areas_look(area, &info));
	CHECK_EQ(info.placement.policy, AREAS_BIND);
	CHECK_EQ(info.placement.nodes.words[0], 1);

	OK(areas_place(area, 4 * PAGE, 4 * PAGE, &local));
	CHECK_EQ(syscall(SYS_get_mempolicy, &policy, NULL, 0UL, (char *)areas_address(area) + 4 * PAGE, 2UL), 0);
	CHECK_EQ(policy & 0xff, 4);
	OK(areas_migrate(area, &wanted.placement, &moved, NULL, on_progress, &progress));
	CHECK_EQ(moved.holds, 1);
	CHECK_EQ(moved.moved, 0);
	CHECK_EQ(moved.in_place, 16 * PAGE);
	areas_release(area);
}

static int take_away(const char *path, const struct stat *is, int type, struct FTW *where)
{
	(void)is, (void)type, (void)where;
	return remove(path);
}

/* The folder of the registry goes, as a cleaner takes it: what is held is found again. */
static void keeping(void)
{
	areas_area *area = plain("kept", PAGE, AREAS_SHARED);
	CHECK(getenv("AREAS_DIR") != NULL);
	CHECK_EQ(nftw(getenv("AREAS_DIR"), take_away, 8, FTW_DEPTH | FTW_PHYS), 0);
	CHECK(access(getenv("AREAS_DIR"), F_OK) != 0);
	OK(areas_ensure_published());
	{
		pid_t child = check_fork();
		if (child == 0) {
			char *const words[] = { (char *)(uintptr_t)"areas", (char *)(uintptr_t)"find", NULL };
			execv("/proc/self/exe", words);
			_exit(9);
		}
		check_child(child, 0);
	}
	areas_release(area);
}

static int counted(const areas_info *info, void *context)
{
	int *count = (int *)context;
	CHECK(info->struct_size == sizeof *info);
	++*count;
	return 0;
}

static int found_holder(const areas_holder *holder, void *context)
{
	if (holder->pid == (uint32_t)getpid()) {
		CHECK_EQ(holder->mapped & AREAS_WRITE, AREAS_WRITE);
		CHECK(holder->descriptors >= 1);
		*(int *)context = 1;
	}
	return 0;
}

static void names(void)
{
	areas_info info = AREAS_INFO, own = AREAS_INFO;
	areas_cloning how = AREAS_CLONING;
	areas_area *area = plain("named", 2 * PAGE, AREAS_SHARED), *clone, *second;
	int count = 0, held = 0;
	const void *after = NULL;
	int32_t id = areas_id(area);
	CHECK(id > 0);
	CHECK_EQ(areas_find("named"), id);
	CHECK_EQ(areas_wait("named", 0), id);
	CHECK_EQ(areas_at((char *)areas_address(area) + 2 * PAGE - 1), id);
	CHECK_EQ(areas_at((char *)areas_address(area) + 2 * PAGE), AREAS_ERROR_NO_SUCH_AREA);
	OK(areas_get(id, &info));
	CHECK_STR(info.name, "named");
	CHECK(info.created > 0 && info.inode > 0);
	OK(areas_look(area, &own));
	CHECK_EQ(memcmp(&info, &own, sizeof info), 0);

	/* A clone for reading is one that the kernel lets no process write. */
	how.protection = AREAS_READ;
	how.name = "a clone";
	clone = areas_clone(id, &how);
	CHECK(clone != NULL);
	strcpy((char *)areas_address(area), "seen");
	CHECK_STR((char *)areas_address(clone), "seen");
	CHECK_STR(check_maps(areas_address(clone)), "r--s");
	CHECK_EQ(mprotect(areas_address(clone), PAGE, PROT_READ | PROT_WRITE), -1);
	CHECK_EQ(areas_protect(clone, AREAS_READ | AREAS_WRITE), AREAS_ERROR_NOT_PERMITTED);
	OK(areas_get(areas_id(clone), &own));
	CHECK_EQ(own.inode, info.inode);
	how.name = NULL;
	how.address_form = AREAS_AT_SOURCE;
	CHECK(areas_clone(id, &how) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_ADDRESS_IN_USE);

	while (areas_next((uint32_t)getpid(), after, &own) == 1) {
		CHECK(own.address > after);
		after = own.address;
		count++;
	}
	CHECK_EQ(count, 2);
	count = 0;
	OK(areas_list(counted, NULL, &count));
	CHECK_EQ(count, 2);
	CHECK(areas_holders(id, found_holder, &held) >= 1);
	CHECK_EQ(held, 1);

	second = plain(NULL, PAGE, AREAS_SHARED);
	CHECK_EQ(areas_publish(second, "named"), areas_id(second));
	CHECK_EQ(areas_find("named"), id); /* the oldest */
	areas_release(area);
	CHECK_EQ(areas_find("named"), areas_id(second));
	CHECK_STR((char *)areas_address(clone), "seen");
	areas_release(second);
	areas_release(clone);
	CHECK_EQ(areas_find("named"), AREAS_ERROR_NO_SUCH_AREA);
}

/* What is noted beside an area: with its making, changed, taken back, of a clone. */
static void noting(void)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_cloning how = AREAS_CLONING;
	areas_info info = AREAS_INFO;
	areas_area *area, *clone, *private_area;
	unsigned char longest[AREAS_LONGEST_NOTE + 1];
	struct {
		size_t struct_size;
		char rest[576 - sizeof(size_t)];
	} older;
	memset(longest, 0xff, sizeof longest);
	wanted.size = PAGE;
	wanted.name = "noted";
	wanted.note = "u1\0(2,2)";
	wanted.note_size = 8;
	area = create(&wanted);
	OK(areas_get(areas_find("noted"), &info));
	CHECK_EQ(info.note_size, 8);
	CHECK_EQ(memcmp(info.note, "u1\0(2,2)", 8), 0);
	CHECK_EQ(info.note[8], 0);
	OK(areas_set_note(area, longest, AREAS_LONGEST_NOTE));
	OK(areas_get(areas_find("noted"), &info));
	CHECK_EQ(info.note_size, AREAS_LONGEST_NOTE);
	CHECK_EQ(memcmp(info.note, longest, AREAS_LONGEST_NOTE), 0);
	CHECK_EQ(areas_set_note(area, longest, AREAS_LONGEST_NOTE + 1), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_set_note(area, NULL, 1), AREAS_ERROR_INVALID_INPUT);
	CHECK_EQ(areas_set_note(NULL, "x", 1), AREAS_ERROR_INVALID_INPUT);
	clone = areas_clone_named("noted", &how);
	CHECK(clone != NULL);
	OK(areas_look(clone, &info));
	CHECK_EQ(info.note_size, AREAS_LONGEST_NOTE);
	areas_release(clone);
	how.note = "own";
	how.note_size = 3;
	how.name = "noted too";
	clone = areas_clone_named("noted", &how);
	CHECK(clone != NULL);
	OK(areas_set_note(area, NULL, 0));
	OK(areas_get(areas_find("noted"), &info));
	CHECK_EQ(info.note_size, 0);
	OK(areas_get(areas_find("noted too"), &info));
	CHECK_EQ(info.note_size, 3);
	CHECK_EQ(memcmp(info.note, "own", 3), 0);
	areas_release(clone);
	areas_release(area);
	/* A program that was built before there were notes gets what it knows. */
	area = plain("noted", PAGE, AREAS_SHARED);
	memset(&older, 0x55, sizeof older);
	older.struct_size = 568;
	OK(areas_get(areas_id(area), (areas_info *)(void *)&older));
	CHECK_EQ(older.rest[568 - sizeof(size_t)], 0x55);
	areas_release(area);
	wanted.note_size = AREAS_LONGEST_NOTE + 1;
	CHECK(areas_create(&wanted) == NULL);
	wanted.note = NULL;
	CHECK(areas_create(&wanted) == NULL);
	CHECK_EQ(areas_find("noted"), AREAS_ERROR_NO_SUCH_AREA);
	wanted.note_size = 0;
	wanted.name = NULL;
	wanted.kind = AREAS_PRIVATE;
	private_area = create(&wanted);
	CHECK_EQ(areas_set_note(private_area, "x", 1), AREAS_ERROR_UNSUPPORTED);
	areas_release(private_area);
}

/* Names taken back, and memory that no process finds any more. */
static void retiring(void)
{
	areas_info info = AREAS_INFO;
	areas_cloning how = AREAS_CLONING;
	areas_area *area = plain("model", PAGE, AREAS_SHARED), *clone, *other, *next;
	int32_t id = areas_id(area), of_clone;
	pid_t child;
	strcpy((char *)areas_address(area), "old");
	CHECK_EQ(areas_unpublish(area), 1);
	CHECK_EQ(areas_unpublish(area), 0);
	CHECK_EQ(areas_id(area), 0);
	CHECK_EQ(areas_find("model"), AREAS_ERROR_NO_SUCH_AREA);
	CHECK_EQ(areas_get(id, &info), AREAS_ERROR_NO_SUCH_AREA);
	CHECK_STR((char *)areas_address(area), "old");
	id = areas_publish(area, "model");
	CHECK(id > 0);
	how.name = "a second name";
	clone = areas_clone(id, &how);
	CHECK(clone != NULL);
	of_clone = areas_id(clone);
	OK(areas_get(id, &info));
	CHECK_EQ(info.retired, 0);
	/* Another process has it, and publishes it: it reports that. */
	child = fork();
	if (child == 0) {
		OK(areas_ensure_published());
		id = areas_id(area);
		CHECK(areas_unpublish(clone) == 1);
		kill(getpid(), SIGSTOP);
		OK(areas_get(id, &info));
		CHECK_EQ(info.retired, 1);
		CHECK(areas_clone(id, NULL) == NULL);
		CHECK_EQ(areas_error_number(), AREAS_ERROR_NO_SUCH_AREA);
		CHECK_STR((char *)areas_address(area), "old");
		_exit(0);
	}
	CHECK_EQ(waitpid(child, NULL, WUNTRACED), child);
	OK(areas_retire(clone));
	CHECK_EQ(areas_id(area), 0);
	CHECK_EQ(areas_id(clone), 0);
	CHECK_EQ(areas_get(of_clone, &info), AREAS_ERROR_NO_SUCH_AREA);
	CHECK_EQ(areas_find("model"), AREAS_ERROR_NO_SUCH_AREA);
	CHECK_EQ(areas_publish(area, "model"), AREAS_ERROR_INVALID_INPUT);
	/* What takes its place is found, though the child still lists the old one, which is older. */
	next = plain("model", PAGE, AREAS_SHARED);
	other = areas_clone_named("model", NULL);
	CHECK(other != NULL);
	CHECK_STR((char *)areas_address(other), "");
	CHECK_STR((char *)areas_address(area), "old");
	kill(child, SIGCONT);
	check_child(child, 0);
	areas_release(other);
	areas_release(next);
	areas_release(clone);
	areas_release(area);
	area = plain(NULL, PAGE, AREAS_PRIVATE);
	CHECK_EQ(areas_retire(area), AREAS_ERROR_UNSUPPORTED);
	CHECK_EQ(areas_unpublish(area), 0);
	areas_release(area);
	CHECK_EQ(areas_unpublish(NULL), AREAS_ERROR_INVALID_INPUT);
}

/* A name for one area alone. */
static void excluding(void)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *first, *second, *unnamed;
	int created = -1, begin[2], i, winners = 0;
	char byte;
	pid_t children[4];
	wanted.size = PAGE;
	wanted.name = "alone";
	wanted.flags = AREAS_EXCLUSIVE;
	first = create(&wanted);
	CHECK(areas_create(&wanted) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_NAME_TAKEN);
	wanted.flags = 4;
	CHECK(areas_create(&wanted) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_INVALID_INPUT);
	wanted.flags = 0;
	second = areas_create_or_open(&wanted, &created);
	CHECK(second != NULL && created == 0);
	strcpy((char *)areas_address(first), "one");
	CHECK_STR((char *)areas_address(second), "one");
	unnamed = plain(NULL, PAGE, AREAS_SHARED);
	CHECK_EQ(areas_publish_exclusive(unnamed, "alone"), AREAS_ERROR_NAME_TAKEN);
	areas_release(first);
	/* The one that was opened goes on under the name. */
	CHECK_EQ(areas_publish_exclusive(unnamed, "alone"), AREAS_ERROR_NAME_TAKEN);
	areas_release(second);
	CHECK(areas_publish_exclusive(unnamed, "alone") > 0);
	areas_release(unnamed);
	second = areas_create_or_open(&wanted, &created);
	CHECK(second != NULL && created == 1);
	areas_release(second);
	second = areas_create_or_open(&wanted, NULL);
	CHECK(second != NULL);
	areas_release(second);
	wanted.kind = AREAS_RESIZABLE;
	CHECK(areas_create_or_open(&wanted, &created) == NULL);
	wanted.kind = AREAS_SHARED;
	wanted.name = NULL;
	CHECK(areas_create_or_open(&wanted, &created) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_INVALID_INPUT);
	/* Of several at once one gets it. */
	wanted.name = "alone";
	wanted.flags = AREAS_EXCLUSIVE;
	CHECK_EQ(pipe(begin), 0);
	for (i = 0; i < 4; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			close(begin[1]);
			CHECK_EQ(read(begin[0], &byte, 1), 0);
			if (areas_create(&wanted) == NULL)
				_exit(areas_error_number() == AREAS_ERROR_NAME_TAKEN ? 1 : 2);
			kill(getpid(), SIGSTOP);
			_exit(0);
		}
	}
	close(begin[0]);
	close(begin[1]);
	for (i = 0; i < 4; i++) {
		int status;
		CHECK_EQ(waitpid(children[i], &status, WUNTRACED), children[i]);
		if (WIFSTOPPED(status)) {
			winners++;
			continue;
		}
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
		children[i] = 0;
	}
	CHECK_EQ(winners, 1);
	for (i = 0; i < 4; i++) {
		if (children[i] != 0) {
			kill(children[i], SIGKILL);
			waitpid(children[i], NULL, 0);
		}
	}
	first = create(&wanted);
	areas_release(first);
}

static void freezing(void)
{
	areas_info info = AREAS_INFO;
	areas_area *area = plain("frozen", PAGE, AREAS_SHARED), *writer, *reader;
	void *start = areas_address(area);
	strcpy((char *)start, "forever");
	writer = areas_clone_named("frozen", NULL);
	CHECK(writer != NULL);
	/* Busy: all is as it was, and the error names us. */
	CHECK_EQ(areas_freeze(area, 0), AREAS_ERROR_BUSY);
	CHECK(strstr(areas_error_text(), "mapped for writing by") != NULL);
	CHECK_EQ(areas_error_errno(), EBUSY);
	CHECK(areas_address(area) == start);
	CHECK_STR(check_maps(start), "rw-s");
	((char *)start)[0] = 'F';
	CHECK_STR((char *)areas_address(writer), "Forever");
	areas_release(writer);
	OK(areas_freeze(area, AREAS_DEFAULT_TIMEOUT));
	CHECK(areas_address(area) == start);
	CHECK_EQ(check_touch((char *)start, 1), SIGSEGV);
	OK(areas_look(area, &info));
	CHECK_EQ(info.kind, AREAS_FROZEN);
	CHECK_EQ(areas_freeze(area, 0), AREAS_ERROR_FROZEN);
	CHECK_EQ(areas_protect(area, AREAS_READ | AREAS_WRITE), AREAS_ERROR_FROZEN);
	CHECK_EQ(areas_resize(area, 2 * PAGE), AREAS_ERROR_FROZEN);
	/* The seals: F_SEAL_WRITE is 8. */
	CHECK_EQ(fcntl(areas_descriptor(area), 1034 /* F_GET_SEALS */) & 8, 8);
	reader = areas_clone_named("frozen", NULL);
	CHECK(reader != NULL);
	OK(areas_look(reader, &info));
	CHECK_EQ(info.kind, AREAS_FROZEN);
	CHECK_STR((char *)areas_address(reader), "Forever");
	areas_release(reader);
	areas_release(area);
	area = plain("frozen", PAGE, AREAS_RESIZABLE);
	OK(areas_freeze(area, AREAS_DEFAULT_TIMEOUT));
	reader = areas_clone_named("frozen", NULL);
	CHECK(reader != NULL);
	areas_release(reader);
	areas_release(area);
}

/* Whether core dumps have what is there: by the flags that smaps shows. */
static int dumped(const void *address)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	char line[512];
	int inside = 0, found = -1;
	CHECK(file != NULL);
	while (found < 0 && fgets(line, sizeof line, file) != NULL) {
		unsigned long from, to;
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from <= (unsigned long)(uintptr_t)address && (unsigned long)(uintptr_t)address < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, " dd") == NULL;
	}
	fclose(file);
	CHECK(found >= 0);
	return found;
}

static void dumping(void)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;
	wanted.size = 4 * PAGE;
	area = create(&wanted);
	CHECK_EQ(dumped(areas_address(area)), 1);
	areas_release(area);
	wanted.flags = AREAS_NOT_DUMPED;
	area = create(&wanted);
	CHECK_EQ(dumped(areas_address(area)), 0);
	OK(areas_freeze(area, AREAS_DEFAULT_TIMEOUT));
	CHECK_EQ(dumped(areas_address(area)), 0);
	areas_release(area);
}

static void locking(void)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;
	wanted.size = 4 * PAGE;
	wanted.lock = AREAS_LOCK_FULL;
	area = create(&wanted);
	CHECK_EQ(check_smaps(areas_address(area), "Locked"), 16);
	areas_release(area);
	wanted.lock = AREAS_LOCK_LAZY;
	area = create(&wanted);
	CHECK_EQ(in_ram(areas_address(area), 4 * PAGE), 0);
	areas_release(area);
}

static void reported(const char *asked, const char *given, const char *why, void *context)
{
	CHECK(*asked != '\0' && *given != '\0' && *why != '\0');
	++*(int *)context;
}

static void granting(void)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_grant grant = AREAS_GRANT;
	areas_area *area;
	int fallbacks = 0;
	wanted.size = (size_t)2 << 20;
	wanted.pages = AREAS_PAGES_PREFER_POOL;
	area = create(&wanted);
	OK(areas_granted(area, &grant, reported, &fallbacks));
	CHECK_EQ(grant.fallbacks, fallbacks);
	/* What it says is what the kernel mapped. */
	CHECK_EQ(check_smaps(areas_address(area), "KernelPageSize"), (long)(grant.page_size / 1024));
	CHECK_EQ(grant.fallbacks, grant.page_size == PAGE ? 1 : 0);
	areas_release(area);
	/* At an address, exactly and at or above. */
	wanted.size = PAGE;
	wanted.pages = AREAS_PAGES_BASE;
	wanted.address = (void *)(uintptr_t)0x200000000000;
	wanted.address_form = AREAS_EXACTLY;
	area = create(&wanted);
	CHECK(areas_address(area) == wanted.address);
	wanted.address_form = AREAS_AT_OR_ABOVE;
	{
		areas_area *above = create(&wanted);
		CHECK(areas_address(above) == (char *)wanted.address + PAGE);
		areas_release(above);
	}
	areas_release(area);
}

/* A holder in another process, killed without a word: its memory and its name are gone, and ours
 * stays. */
static void killing(void)
{
	int ready[2], go[2];
	areas_area *clone, *area = NULL;
	areas_info info = AREAS_INFO;
	pid_t child;
	int32_t id;
	CHECK_EQ(pipe(ready), 0);
	CHECK_EQ(pipe(go), 0);
	child = check_fork();
	if (child == 0) {
		area = plain("the victim's", 8 * PAGE, AREAS_SHARED);
		memset(areas_address(area), 5, 8 * PAGE);
		check_send(ready[1], 'r');
		check_hear(go[0]);
		_exit(9);
	}
	id = areas_wait("the victim's", 30000);
	CHECK(id > 0);
	CHECK_EQ(check_hear(ready[0]), 'r');
	OK(areas_get(id, &info));
	CHECK_EQ(info.pid, child);
	clone = areas_clone(id, NULL);
	CHECK(clone != NULL);
	CHECK_EQ(kill(child, SIGKILL), 0);
	check_killed(child, SIGKILL);
	CHECK_EQ(areas_get(id, &info), AREAS_ERROR_NO_SUCH_AREA);
	CHECK_EQ(areas_find("the victim's"), AREAS_ERROR_NO_SUCH_AREA);
	CHECK_EQ(((char *)areas_address(clone))[8 * PAGE - 1], 5);
	areas_release(clone);
	(void)area;
}

/* A child has its parent's areas: the same memory, at the same address, under an id of its own. */
static void forking(void)
{
	areas_area *area = plain("inherited", PAGE, AREAS_SHARED);
	char *start = (char *)areas_address(area);
	int32_t id = areas_id(area);
	pid_t child = check_fork();
	if (child == 0) {
		areas_info info = AREAS_INFO;
		OK(areas_look(area, &info));
		CHECK(info.id > 0 && info.id != id);
		CHECK_EQ(info.pid, getpid());
		CHECK(areas_address(area) == start);
		strcpy(start, "from the child");
		areas_release(area);
		CHECK_EQ(areas_find("inherited"), id);
		_exit(0);
	}
	check_child(child, 0);
	CHECK_STR(start, "from the child");
	CHECK_EQ(areas_find("inherited"), id);
	areas_release(area);
}

static int on_node(const areas_node *node, void *context)
{
	CHECK(node->struct_size == sizeof *node);
	CHECK((node->cache_count > 0) == (node->caches != NULL));
	CHECK(node->known & AREAS_KNOWS_TOTAL || node->total == 0);
	if (node->allowed)
		CHECK(node->online && node->known & AREAS_KNOWS_CPUS && node->known & AREAS_KNOWS_HAS_MEMORY);
	if (node->allowed)
		++*(int *)context;
	return 0;
}

static void machine(void)
{
	int allowed = 0;
	CHECK(areas_nodes(on_node, &allowed) >= 1);
	CHECK(allowed >= 1);
	CHECK_EQ(areas_distance(0, 0), 10);
}

/* A program that was built before version 0.2 asks for the older symbol. */
int built_before(void) __asm__("areas_keep");

/* Names of before version 0.2, which compile for one version more. */
static void older_names(void)
{
	areas_info info = { .size_of_this = sizeof(areas_info) };
	CHECK_EQ(info.struct_size, sizeof info);
	CHECK_EQ(AREAS_PATIENCE, AREAS_DEFAULT_TIMEOUT);
	CHECK_EQ(AREAS_OWNER_NOBODY, AREAS_OWNER_NONE);
	areas_grant grant = { .gathered = 1 };
	CHECK_EQ(grant.collapsed, 1);
	areas_stayed unmoved = { .why = AREAS_WHY_NO_ROOM };
	CHECK_EQ(unmoved.why, AREAS_UNMOVED_NO_ROOM);
	OK(areas_keep());
	OK(built_before());
}

int main(int count, char **words)
{
	/* Another program that looks for what is kept. */
	if (count == 2 && strcmp(words[1], "find") == 0)
		return areas_find("kept") > 0 ? 0 : 1;
	keeping();
	kinds();
	protecting();
	measuring();
	placing();
	names();
	noting();
	retiring();
	excluding();
	freezing();
	dumping();
	locking();
	granting();
	killing();
	forking();
	machine();
	older_names();
	return 0;
}
