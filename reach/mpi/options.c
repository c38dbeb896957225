/* The command line. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spread.h"

/* Large enough that starting a broadcast costs nothing, small enough that reading and sending
 * overlap. */
#define CHUNK ((size_t)16 << 20)
/* MPI counts with an int. */
#define MOST_MIB 1024

const char options_help[] =
	"Read a file once, and hold it as an area on every host of an MPI job\n"
	"\n"
	"Usage: mpirun [...] areas-spread [OPTIONS] FILE\n"
	"\n"
	"Rank 0 reads FILE; no other rank needs it. One rank a host makes an area of its size, and is sent the bytes into the area itself. Their checksums are\n"
	"compared; then all are published, or none. The other ranks of the host clone it: no byte is copied. All hold it until a signal (INT, TERM).\n"
	"\n"
	"  --name NAME          the name that others find it by; without it, the file's own\n"
	"  --exclusive          refuse if another area on one of the hosts has that name\n"
	"  --freeze             freeze it before it is published: no process can change it, root included\n"
	"  --policy POLICY      default, local, bind, preferred, preferred-many, interleave, weighted-interleave; with --nodes alone: bind\n"
	"  --nodes NODES        the nodes of the policy, on every host: 0-3,8 or all\n"
	"  --huge PAGES         huge pages: auto, never (the default), or 2M: from the kernel's pool, or an error\n"
	"  --checksum DIGEST    what `xxh128sum FILE` printed where the file is from: with another one, it is an error\n"
	"  --chunk MIB          how much one broadcast carries, 1 to 1024; without it, 16\n"
	"  --compare            measure also how long the same bytes take into ordinary memory\n"
	"  -q, --quiet          print nothing when it is ready\n"
	"  -h, --help           print this\n";

enum { NAME = 256, EXCLUSIVE, FREEZE, POLICY, NODES, HUGE_PAGES, CHECKSUM, CHUNK_MIB, COMPARE };

static const struct option known[] = {
	{ "name", required_argument, NULL, NAME },
	{ "exclusive", no_argument, NULL, EXCLUSIVE },
	{ "freeze", no_argument, NULL, FREEZE },
	{ "policy", required_argument, NULL, POLICY },
	{ "nodes", required_argument, NULL, NODES },
	{ "huge", required_argument, NULL, HUGE_PAGES },
	{ "checksum", required_argument, NULL, CHECKSUM },
	{ "chunk", required_argument, NULL, CHUNK_MIB },
	{ "compare", no_argument, NULL, COMPARE },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* The number of a word in a list that ends with NULL, or -1. */
static int word_in(const char *const *words, const char *word)
{
	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	return -1;
}

static void read_policy(struct options *options, const char *word, struct trouble *why)
{
	/* In the order of AREAS_DEFAULT to AREAS_WEIGHTED_INTERLEAVE. */
	static const char *const policies[] = { "default", "local", "bind", "preferred", "preferred-many", "interleave", "weighted-interleave", NULL };
	const int policy = word_in(policies, word);
	if (policy < 0)
		trouble_note(why, "--policy %s: no such policy; one of default, local, bind, preferred, preferred-many, interleave, weighted-interleave", word);
	else
		options->placement.policy = (uint32_t)policy;
}

static void read_pages(struct options *options, const char *word, struct trouble *why)
{
	static const char *const pages[] = { "never", "2M", NULL, NULL };
	const int which = word_in(pages, word);
	if (strcmp(word, "auto") == 0)
		options->pages = AREAS_PAGES_AUTO;
	else if (which < 0)
		trouble_note(why, "--huge %s: one of auto, never, 2M", word);
	else
		options->pages = which == 0 ? AREAS_PAGES_BASE : AREAS_PAGES_POOL;
}

static void read_checksum(struct options *options, const char *word, struct trouble *why)
{
	if (strlen(word) != DIGEST - 1 || strspn(word, "0123456789abcdef") != DIGEST - 1)
		trouble_note(why, "--checksum %s: not 32 hexadecimal digits in lower case, as xxh128sum prints", word);
	else
		memcpy(options->expected, word, DIGEST);
}

static void read_chunk(struct options *options, const char *word, struct trouble *why)
{
	char *end;
	const long mib = strtol(word, &end, 10);
	if (end == word || *end != '\0' || mib < 1 || mib > MOST_MIB)
		trouble_note(why, "--chunk %s: a number of MiB, 1 to %d", word, MOST_MIB);
	else
		options->chunk = (size_t)mib << 20;
}

static void read_one(struct options *options, int which, const char *word, struct trouble *why)
{
	switch (which) {
	case NAME: options->name = word; break;
	case EXCLUSIVE: options->exclusive = 1; break;
	case FREEZE: options->freeze = 1; break;
	case POLICY: read_policy(options, word, why); break;
	case NODES:
		if (areas_nodes_parse(word, &options->placement.nodes) < 0)
			trouble_of_areas(why);
		else if (options->placement.policy == AREAS_DEFAULT)
			options->placement.policy = AREAS_BIND;
		break;
	case HUGE_PAGES: read_pages(options, word, why); break;
	case CHECKSUM: read_checksum(options, word, why); break;
	case CHUNK_MIB: read_chunk(options, word, why); break;
	case COMPARE: options->compare = 1; break;
	case 'q': options->quiet = 1; break;
	default: trouble_note(why, "unknown option; see --help"); break;
	}
}

int options_read(struct options *options, int count, char **words, struct trouble *why, int *help)
{
	int which;

	memset(options, 0, sizeof *options);
	options->chunk = CHUNK;
	*help = 0;
	/* Every rank reads the same words, and rank 0 says what is wrong with them. */
	opterr = 0;
	while ((which = getopt_long(count, words, "qh", known, NULL)) != -1) {
		if (which == 'h')
			*help = 1;
		else if (which == '?')
			trouble_note(why, "%s: unknown option, or one that lacks its value; see --help", words[optind - 1]);
		else
			read_one(options, which, optarg, why);
	}
	if (*help)
		return 0;
	if (optind != count - 1) {
		trouble_note(why, "%s; see --help", optind == count ? "no FILE is named" : "more than one FILE is named");
		return 1;
	}
	options->file = words[optind];
	if (options->name == NULL) {
		const char *slash = strrchr(options->file, '/');
		options->name = slash == NULL ? options->file : slash + 1;
	}
	return why->text[0] != '\0';
}
