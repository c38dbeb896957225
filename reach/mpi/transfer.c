/*
 * Reading, broadcasting and the checksum, at the same time. On rank 0 a thread reads the file into
 * the area; the main thread broadcasts what has been read, from the area into the areas of the
 * other hosts; on each host a thread follows with the checksum. Nothing is copied besides what the
 * kernel and MPI do.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "spread.h"

/* What is read by one call, and added to the checksum in one go. */
#define PIECE ((size_t)4 << 20)

/* How far something is, for another thread that follows. */
struct gauge {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	size_t upto;
	int failed;
};

/* What the threads share. */
struct work {
	int file;
	unsigned char *memory;
	size_t size;
	struct gauge read, arrived;
	struct trouble trouble;
	char digest[DIGEST];
};

static void gauge_init(struct gauge *gauge)
{
	pthread_mutex_init(&gauge->mutex, NULL);
	pthread_cond_init(&gauge->changed, NULL);
	gauge->upto = 0;
	gauge->failed = 0;
}

static void gauge_free(struct gauge *gauge)
{
	pthread_cond_destroy(&gauge->changed);
	pthread_mutex_destroy(&gauge->mutex);
}

static void gauge_set(struct gauge *gauge, size_t upto, int failed)
{
	pthread_mutex_lock(&gauge->mutex);
	gauge->upto = upto;
	gauge->failed |= failed;
	pthread_cond_signal(&gauge->changed);
	pthread_mutex_unlock(&gauge->mutex);
}

/* Waits until it has come to `upto`: 1; or 0 if it failed before. */
static int gauge_wait(struct gauge *gauge, size_t upto)
{
	int there;

	pthread_mutex_lock(&gauge->mutex);
	while (gauge->upto < upto && !gauge->failed)
		pthread_cond_wait(&gauge->changed, &gauge->mutex);
	there = gauge->upto >= upto;
	pthread_mutex_unlock(&gauge->mutex);
	return there;
}

static size_t smaller(size_t one, size_t other)
{
	return one < other ? one : other;
}

/* The reading thread. */
static void *read_all(void *context)
{
	struct work *work = context;
	size_t done = 0;

	while (done < work->size) {
		const size_t wanted = smaller(PIECE, work->size - done);
		const ssize_t got = pread(work->file, work->memory + done, wanted, (off_t)done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			if (got < 0)
				trouble_note(&work->trouble, "cannot read the file: pread(%zu bytes at %zu): %s", wanted, done, strerror(errno));
			else
				trouble_note(&work->trouble, "the file was cut while it was read: it had %zu bytes, and ends at %zu", work->size, done);
			gauge_set(&work->read, done, 1);
			return NULL;
		}
		done += (size_t)got;
		gauge_set(&work->read, done, 0);
	}
	return NULL;
}

/* The thread with the checksum. */
static void *digest_all(void *context)
{
	struct work *work = context;
	XXH3_state_t *state = XXH3_createState();
	XXH128_canonical_t canonical;

	if (state == NULL || XXH3_128bits_reset(state) == XXH_ERROR) {
		trouble_note(&work->trouble, "no memory for a checksum");
		XXH3_freeState(state);
		return NULL;
	}
	for (size_t done = 0; done < work->size;) {
		const size_t wanted = smaller(PIECE, work->size - done);
		if (!gauge_wait(&work->arrived, done + wanted)) {
			XXH3_freeState(state);
			return NULL;
		}
		XXH3_128bits_update(state, work->memory + done, wanted);
		done += wanted;
	}
	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
	XXH3_freeState(state);
	for (size_t i = 0; i < sizeof canonical.digest; i++)
		snprintf(work->digest + 2 * i, 3, "%02x", canonical.digest[i]);
	return NULL;
}

/* Sends what is read, chunk by chunk. Each is announced, so that a failure to read ends the
 * transfer everywhere. */
static int broadcast(struct work *work, MPI_Comm leaders, int rank, size_t chunk)
{
	for (size_t done = 0; done < work->size;) {
		const size_t wanted = smaller(chunk, work->size - done);
		int good = 1;
		if (rank == 0)
			good = gauge_wait(&work->read, done + wanted);
		MPI_Bcast(&good, 1, MPI_INT, 0, leaders);
		if (!good) {
			gauge_set(&work->arrived, done, 1);
			return 0;
		}
		/* At most 1 GiB: MPI counts with an int. */
		MPI_Bcast(work->memory + done, (int)wanted, MPI_BYTE, 0, leaders);
		done += wanted;
		gauge_set(&work->arrived, done, 0);
	}
	return 1;
}

/* The file is still the one that was read. */
static void look_again(int file, const struct stat *before, struct trouble *trouble)
{
	struct stat now;

	if (fstat(file, &now) != 0)
		trouble_note(trouble, "cannot look at the file again: fstat: %s", strerror(errno));
	else if (now.st_size != before->st_size || now.st_mtim.tv_sec != before->st_mtim.tv_sec || now.st_mtim.tv_nsec != before->st_mtim.tv_nsec)
		trouble_note(trouble, "the file was changed while it was read: %lld bytes before, %lld now", (long long)before->st_size, (long long)now.st_size);
}

void transfer(const struct world *world, int file, unsigned char *to, size_t size, size_t chunk, char digest[DIGEST], struct trouble *trouble)
{
	struct work work = { .file = file, .memory = to, .size = size };
	struct stat before;
	pthread_t reader, digester;
	int reads = 0, digests, rank, error;

	MPI_Comm_rank(world->leaders, &rank);
	gauge_init(&work.read);
	gauge_init(&work.arrived);
	if (rank == 0) {
		if (fstat(file, &before) != 0)
			trouble_note(trouble, "cannot look at the file: fstat: %s", strerror(errno));
		else if ((error = pthread_create(&reader, NULL, read_all, &work)) != 0)
			trouble_note(trouble, "cannot start a thread: pthread_create: %s", strerror(error));
		else
			reads = 1;
		if (!reads)
			gauge_set(&work.read, 0, 1);
	}
	error = pthread_create(&digester, NULL, digest_all, &work);
	digests = error == 0;
	if (!digests)
		trouble_note(trouble, "cannot start a thread: pthread_create: %s", strerror(error));
	broadcast(&work, world->leaders, rank, chunk);
	if (reads)
		pthread_join(reader, NULL);
	if (digests)
		pthread_join(digester, NULL);
	gauge_free(&work.arrived);
	gauge_free(&work.read);
	if (work.trouble.text[0] != '\0')
		trouble_note(trouble, "%s", work.trouble.text);
	else if (reads)
		look_again(file, &before, trouble);
	memcpy(digest, work.digest, DIGEST);
}
