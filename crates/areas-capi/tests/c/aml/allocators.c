/*
 * Allocators over areas: a real one, one that is no memory at all, and one that runs dry; by one
 * thread against a list of what is out, and by many at once.
 */
#include <aml.h>
#include <aml/area/linux.h>
#include <aml/higher/allocator.h>
#include <aml/higher/allocator/area.h>
#include <aml/higher/allocator/buddy.h>
#include <aml/higher/allocator/sized.h>
#include <areas.h>

#include "check.h"

#define SIZED 192
#define OUT 256
#define PLENTY ((size_t)1 << 50)

struct aml_area_data {
	pthread_mutex_t mutex;
	uintptr_t next;
	size_t mapped, limit;
	int refuses_unmap;
	/* If not NULL: what is mapped around it does not come back. */
	char *keeps;
};

/* Addresses that no process may touch: reading or writing any of them is a fault. */
static void *nowhere_mmap(const struct aml_area_data *of, size_t size, struct aml_area_mmap_options *opts)
{
	struct aml_area_data *data = (struct aml_area_data *)(uintptr_t)of;
	void *ptr = NULL;

	(void)opts;
	pthread_mutex_lock(&data->mutex);
	if (size <= data->limit - data->mapped) {
		ptr = (void *)data->next;
		data->next += size;
		data->mapped += size;
	}
	pthread_mutex_unlock(&data->mutex);
	if (ptr == NULL)
		aml_errno = AML_ENOMEM;
	return ptr;
}

static int nowhere_munmap(const struct aml_area_data *of, void *ptr, size_t size)
{
	struct aml_area_data *data = (struct aml_area_data *)(uintptr_t)of;

	CHECK(ptr != NULL);
	if (data->refuses_unmap || (data->keeps >= (char *)ptr && data->keeps < (char *)ptr + size))
		return -AML_EBUSY;
	pthread_mutex_lock(&data->mutex);
	CHECK(size <= data->mapped);
	data->mapped -= size;
	pthread_mutex_unlock(&data->mutex);
	return AML_SUCCESS;
}

static struct aml_area_ops nowhere_ops = { nowhere_mmap, nowhere_munmap, NULL };
static struct aml_area_data nowhere_data = { PTHREAD_MUTEX_INITIALIZER, (uintptr_t)1 << 60, 0, PLENTY, 0, NULL };
static struct aml_area nowhere = { &nowhere_ops, &nowhere_data };

enum kind { AREA, BUDDY, SIZES };

static int create(enum kind kind, struct aml_allocator **out, struct aml_area *area)
{
	switch (kind) {
	case AREA:
		return aml_allocator_area_create(out, area, NULL);
	case BUDDY:
		return aml_allocator_buddy_create(out, area, NULL);
	default:
		return aml_allocator_sized_create(out, SIZED, area, NULL);
	}
}

static int destroy(enum kind kind, struct aml_allocator **allocator)
{
	switch (kind) {
	case AREA:
		return aml_allocator_area_destroy(allocator);
	case BUDDY:
		return aml_allocator_buddy_destroy(allocator);
	default:
		return aml_allocator_sized_destroy(allocator);
	}
}

static unsigned below(uint64_t *state, unsigned limit)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (unsigned)(*state >> 11) % limit;
}

struct piece {
	char *ptr;
	size_t size;
	struct aml_allocator_chunk *chunk;
};

struct work {
	enum kind kind;
	struct aml_allocator *allocator;
	uint64_t seed;
	int steps, real;
};

/* What is real memory is filled, and must be as it was left when it is released. */
static void mark(const struct work *work, const struct piece *piece)
{
	if (work->real)
		memset(piece->ptr, (int)((uintptr_t)piece->ptr >> 6 & 127), piece->size);
}

static void look(const struct work *work, const struct piece *piece)
{
	if (work->real)
		for (size_t at = 0; at < piece->size; at += 61)
			CHECK_EQ(piece->ptr[at], (char)((uintptr_t)piece->ptr >> 6 & 127));
}

static void *run(void *arg)
{
	struct work *work = (struct work *)arg;
	struct piece out[OUT];
	int count = 0;

	memset(out, 0, sizeof out);
	for (int step = 0; step < work->steps || count > 0; step++) {
		if (step < work->steps && count < OUT && below(&work->seed, 5) > 1) {
			struct piece *piece = &out[count++];

			piece->size = work->kind == SIZES ? SIZED : 1 + below(&work->seed, 20000);
			piece->chunk = NULL;
			if (work->kind == BUDDY && below(&work->seed, 2)) {
				piece->chunk = aml_allocator_alloc_chunk(work->allocator, piece->size);
				CHECK(piece->chunk != NULL && piece->chunk->user_data == NULL);
				CHECK(piece->chunk->size >= piece->size && piece->chunk->size >= 64);
				CHECK(piece->chunk->size < 2 * piece->size || piece->chunk->size == 64);
				CHECK_EQ(piece->chunk->size & (piece->chunk->size - 1), 0);
				piece->ptr = (char *)piece->chunk->ptr;
				piece->size = piece->chunk->size;
				piece->chunk->user_data = piece->ptr + 1;
			} else {
				piece->ptr = (char *)aml_alloc(work->allocator, piece->size);
			}
			CHECK(piece->ptr != NULL);
			for (int other = 0; other < count - 1; other++)
				CHECK(piece->ptr + piece->size <= out[other].ptr || out[other].ptr + out[other].size <= piece->ptr);
			mark(work, piece);
		} else if (count > 0) {
			int which = (int)below(&work->seed, (unsigned)count);
			struct piece piece = out[which];

			out[which] = out[--count];
			look(work, &piece);
			if (piece.chunk != NULL) {
				CHECK(piece.chunk->user_data == piece.ptr + 1);
				CHECK_EQ(aml_allocator_free_chunk(work->allocator, piece.chunk), AML_SUCCESS);
			} else {
				CHECK_EQ(aml_free(work->allocator, piece.ptr), AML_SUCCESS);
			}
		}
	}
	return NULL;
}

static void works(enum kind kind, struct aml_area *area, int real)
{
	struct aml_allocator *allocator = NULL;
	struct work work[4];
	pthread_t threads[4];

	CHECK_EQ(create(kind, &allocator, area), AML_SUCCESS);
	for (int at = 0; at < 4; at++) {
		work[at].kind = kind;
		work[at].allocator = allocator;
		work[at].seed = 77 + (uint64_t)at * 1000003;
		work[at].steps = 1500;
		work[at].real = real;
	}
	run(&work[0]);
	for (int at = 0; at < 4; at++)
		CHECK_EQ(pthread_create(&threads[at], NULL, run, &work[at]), 0);
	for (int at = 0; at < 4; at++)
		CHECK_EQ(pthread_join(threads[at], NULL), 0);
	CHECK_EQ(destroy(kind, &allocator), AML_SUCCESS);
	CHECK(allocator == NULL);
	CHECK_EQ(nowhere_data.mapped, 0);
}

static void errors(enum kind kind)
{
	struct aml_allocator *allocator = NULL, *again;
	struct aml_allocator odd = { NULL, NULL };
	struct aml_allocator_ops none = { NULL, NULL, NULL, NULL };
	int local;
	void *ptr;

	CHECK_EQ(create(kind, NULL, &nowhere), -AML_EINVAL);
	allocator = &odd;
	CHECK_EQ(create(kind, &allocator, NULL), -AML_EINVAL);
	CHECK(allocator == NULL);
	CHECK_EQ(destroy(kind, NULL), -AML_EINVAL);
	CHECK_EQ(destroy(kind, &allocator), -AML_EINVAL);
	/* One of another type. */
	allocator = &odd;
	CHECK_EQ(destroy(kind, &allocator), -AML_EINVAL);
	CHECK_EQ(create(kind, &allocator, &nowhere), AML_SUCCESS);
	again = allocator;
	CHECK_EQ(destroy((enum kind)((kind + 1) % 3), &again), -AML_EINVAL);
	CHECK(again == allocator);
	/* What it did not give. */
	CHECK_EQ(aml_free(allocator, NULL), AML_SUCCESS);
	CHECK_EQ(aml_free(allocator, &local), -AML_EINVAL);
	ptr = aml_alloc(allocator, SIZED);
	CHECK(ptr != NULL);
	CHECK_EQ(aml_free(allocator, (char *)ptr + 64), -AML_EINVAL);
	CHECK_EQ(aml_free(allocator, ptr), AML_SUCCESS);
	CHECK_EQ(aml_free(allocator, ptr), -AML_EINVAL);
	/* What it cannot give. */
	aml_errno = AML_SUCCESS;
	CHECK(aml_alloc(allocator, 0) == NULL);
	CHECK_EQ(aml_errno, AML_EINVAL);
	if (kind == SIZES) {
		CHECK(aml_alloc(allocator, SIZED - 1) == NULL);
		CHECK(aml_alloc(allocator, SIZED + 1) == NULL);
		CHECK_EQ(aml_errno, AML_EINVAL);
	} else {
		CHECK(aml_alloc(allocator, SIZE_MAX - 5) == NULL);
		CHECK_EQ(aml_errno, AML_ENOMEM);
	}
	CHECK_EQ(aml_allocator_free_chunk(allocator, NULL), AML_SUCCESS);
	if (kind == BUDDY) {
		struct aml_allocator_chunk made = { &local, 64, NULL };
		struct aml_allocator_chunk *chunk = aml_allocator_alloc_chunk(allocator, 65);

		CHECK_EQ(chunk->size, 128);
		CHECK_EQ(aml_allocator_free_chunk(allocator, &made), -AML_EINVAL);
		/* Not while anything is out. */
		aml_errno = AML_SUCCESS;
		CHECK_EQ(destroy(kind, &allocator), -AML_EBUSY);
		CHECK_EQ(aml_errno, AML_EBUSY);
		CHECK(allocator != NULL);
		/* By its address as well: then the chunk is gone, too. */
		CHECK_EQ(aml_free(allocator, chunk->ptr), AML_SUCCESS);
		CHECK(aml_allocator_alloc_chunk(allocator, 0) == NULL);
	} else {
		aml_errno = AML_SUCCESS;
		CHECK(aml_allocator_alloc_chunk(allocator, SIZED) == NULL);
		CHECK_EQ(aml_errno, AML_ENOTSUP);
		CHECK_EQ(aml_allocator_free_chunk(allocator, (struct aml_allocator_chunk *)&local), -AML_ENOTSUP);
		/* What is out goes with it. */
		CHECK(aml_alloc(allocator, SIZED) != NULL);
	}
	/* An area that does not take back: the allocator stays, and ends later. */
	nowhere_data.refuses_unmap = 1;
	CHECK_EQ(destroy(kind, &allocator), -AML_EBUSY);
	CHECK(allocator != NULL);
	nowhere_data.refuses_unmap = 0;
	CHECK_EQ(destroy(kind, &allocator), AML_SUCCESS);
	CHECK_EQ(nowhere_data.mapped, 0);

	/* No allocator, one without operations, one without these. */
	CHECK(aml_alloc(NULL, 1) == NULL);
	CHECK_EQ(aml_errno, AML_EINVAL);
	CHECK_EQ(aml_free(NULL, &local), -AML_EINVAL);
	CHECK_EQ(aml_free(NULL, NULL), AML_SUCCESS);
	CHECK(aml_allocator_alloc_chunk(NULL, 1) == NULL);
	CHECK_EQ(aml_allocator_free_chunk(NULL, (struct aml_allocator_chunk *)&local), -AML_EINVAL);
	CHECK(aml_alloc(&odd, 1) == NULL);
	CHECK_EQ(aml_errno, AML_EINVAL);
	odd.data = (struct aml_allocator_data *)&local;
	odd.ops = &none;
	CHECK(aml_alloc(&odd, 1) == NULL);
	CHECK_EQ(aml_errno, AML_ENOTSUP);
	CHECK_EQ(aml_free(&odd, &local), -AML_ENOTSUP);
}

/* The operations themselves, without the data that they want. */
static void no_data(void)
{
	struct aml_allocator_chunk chunk = { NULL, 0, NULL };
	int local;

	aml_errno = AML_SUCCESS;
	CHECK(aml_allocator_area_alloc(NULL, 64) == NULL);
	CHECK_EQ(aml_errno, AML_EINVAL);
	aml_errno = AML_SUCCESS;
	CHECK(aml_allocator_buddy_alloc(NULL, 64) == NULL);
	CHECK_EQ(aml_errno, AML_EINVAL);
	aml_errno = AML_SUCCESS;
	CHECK(aml_allocator_sized_alloc(NULL, SIZED) == NULL);
	CHECK_EQ(aml_errno, AML_EINVAL);
	aml_errno = AML_SUCCESS;
	CHECK(aml_allocator_buddy_alloc_chunk(NULL, 64) == NULL);
	CHECK_EQ(aml_errno, AML_EINVAL);
	CHECK_EQ(aml_allocator_area_free(NULL, &local), -AML_EINVAL);
	CHECK_EQ(aml_allocator_buddy_free(NULL, &local), -AML_EINVAL);
	CHECK_EQ(aml_allocator_sized_free(NULL, &local), -AML_EINVAL);
	CHECK_EQ(aml_allocator_buddy_free_chunk(NULL, &chunk), -AML_EINVAL);
}

/* The area has only so much: what does not fit is AML_ENOMEM, and what comes back can be had
 * again. */
static void runs_dry(enum kind kind)
{
	struct aml_allocator *allocator;
	void *pieces[4096], *ptr;
	int count = 0;

	nowhere_data.limit = 300000;
	CHECK_EQ(create(kind, &allocator, &nowhere), AML_SUCCESS);
	aml_errno = AML_SUCCESS;
	while ((ptr = aml_alloc(allocator, SIZED)) != NULL) {
		CHECK_EQ(aml_errno, AML_SUCCESS);
		CHECK(count < 4096);
		pieces[count++] = ptr;
	}
	CHECK_EQ(aml_errno, AML_ENOMEM);
	/* Pools are halved until they fit: little is left over. */
	CHECK(count * 256 > 280000 || kind != BUDDY);
	CHECK(count * SIZED > 280000 || kind == BUDDY);
	CHECK_EQ(aml_free(allocator, pieces[count / 2]), AML_SUCCESS);
	pieces[count / 2] = aml_alloc(allocator, SIZED);
	CHECK(pieces[count / 2] != NULL);
	while (count > 0)
		CHECK_EQ(aml_free(allocator, pieces[--count]), AML_SUCCESS);
	/* All of it has come together again: the largest that was ever mapped in one. */
	if (kind == BUDDY) {
		ptr = aml_alloc(allocator, 262144);
		CHECK(ptr != NULL);
		CHECK_EQ(aml_free(allocator, ptr), AML_SUCCESS);
	}
	CHECK_EQ(destroy(kind, &allocator), AML_SUCCESS);
	CHECK_EQ(nowhere_data.mapped, 0);
	nowhere_data.limit = PLENTY;
}

/* Large blocks that come back do not stay mapped forever. */
static void gives_pools_back(void)
{
	struct aml_allocator *allocator;
	void *first, *second;

	CHECK_EQ(create(BUDDY, &allocator, &nowhere), AML_SUCCESS);
	first = aml_alloc(allocator, 1 << 24);
	second = aml_alloc(allocator, 1 << 24);
	CHECK(first != NULL && second != NULL);
	CHECK_EQ(aml_free(allocator, second), AML_SUCCESS);
	CHECK_EQ(aml_free(allocator, first), AML_SUCCESS);
	CHECK(nowhere_data.mapped <= 1 << 25);
	CHECK_EQ(destroy(BUDDY, &allocator), AML_SUCCESS);
	CHECK_EQ(nowhere_data.mapped, 0);
	CHECK_EQ(aml_allocator_sized_create(&allocator, 0, &nowhere, NULL), -AML_EINVAL);
	CHECK(allocator == NULL);
}

/* An area that takes back one pool and keeps another: of the one that is gone nothing is given out,
 * or taken back, any more. */
static void ends_by_halves(void)
{
	struct aml_allocator *allocator;
	char *first, *last = NULL, *again;

	CHECK_EQ(create(SIZES, &allocator, &nowhere), AML_SUCCESS);
	first = (char *)aml_alloc(allocator, SIZED);
	for (size_t mapped = nowhere_data.mapped; nowhere_data.mapped == mapped;)
		last = (char *)aml_alloc(allocator, SIZED);
	CHECK(first != NULL && last != NULL);
	nowhere_data.keeps = last;
	CHECK_EQ(destroy(SIZES, &allocator), -AML_EBUSY);
	CHECK(allocator != NULL);
	CHECK_EQ(aml_free(allocator, first), -AML_EINVAL);
	CHECK_EQ(aml_free(allocator, last), AML_SUCCESS);
	again = (char *)aml_alloc(allocator, SIZED);
	CHECK(again == last);
	nowhere_data.keeps = NULL;
	CHECK_EQ(destroy(SIZES, &allocator), AML_SUCCESS);
	CHECK_EQ(nowhere_data.mapped, 0);
}

/* As nowhere, but what it cannot give it says in words. */
static void *loud_mmap(const struct aml_area_data *of, size_t size, struct aml_area_mmap_options *opts)
{
	void *ptr = nowhere_mmap(of, size, opts);

	if (ptr == NULL) {
		CHECK(aml_area_mmap(NULL, size, NULL) == NULL);
		CHECK(strstr(areas_error_text(), "NULL") != NULL);
	}
	return ptr;
}

/* A call that succeeds in the end leaves the words of an earlier failure, which the program may
 * still look at, where they were. */
static void words_stay(void)
{
	struct aml_area_ops ops = { loud_mmap, nowhere_munmap, NULL };
	struct aml_area loud = { &ops, &nowhere_data };
	struct aml_allocator *allocator;
	const char *words;
	char before[200];
	void *ptr;

	CHECK_EQ(aml_allocator_sized_create(&allocator, 0, &loud, NULL), -AML_EINVAL);
	words = areas_error_text();
	CHECK(strlen(words) > 0 && strlen(words) < sizeof before);
	strcpy(before, words);
	/* A quarter of the pool that it would like. */
	nowhere_data.limit = 300000;
	CHECK_EQ(create(BUDDY, &allocator, &loud), AML_SUCCESS);
	ptr = aml_alloc(allocator, 64);
	CHECK(ptr != NULL);
	CHECK(areas_error_text() == words);
	CHECK_STR(words, before);
	/* What fails in the end is reported. */
	CHECK(aml_alloc(allocator, 1 << 20) == NULL);
	CHECK(strstr(areas_error_text(), before) == NULL);
	CHECK_EQ(aml_free(allocator, ptr), AML_SUCCESS);
	CHECK_EQ(destroy(BUDDY, &allocator), AML_SUCCESS);
	CHECK_EQ(nowhere_data.mapped, 0);
	nowhere_data.limit = PLENTY;
}

/* The options reach the area. */
static void passes_options_on(void)
{
	struct aml_area_linux_mmap_options wanted = { NULL, MAP_PRIVATE | MAP_ANONYMOUS, PROT_READ, -1, 0 };
	struct aml_allocator *allocator;
	void *ptr;

	CHECK_EQ(aml_allocator_buddy_create(&allocator, &aml_area_linux, (struct aml_area_mmap_options *)&wanted),
	         AML_SUCCESS);
	ptr = aml_alloc(allocator, 4096);
	CHECK_STR(check_maps(ptr), "r--p");
	CHECK_EQ(aml_free(allocator, ptr), AML_SUCCESS);
	CHECK_EQ(aml_allocator_buddy_destroy(&allocator), AML_SUCCESS);
}

int main(void)
{
	for (int kind = AREA; kind <= SIZES; kind++) {
		works((enum kind)kind, &aml_area_linux, 1);
		works((enum kind)kind, &nowhere, 0);
		errors((enum kind)kind);
		runs_dry((enum kind)kind);
	}
	no_data();
	gives_pools_back();
	ends_by_halves();
	words_stay();
	passes_options_on();
	return 0;
}
