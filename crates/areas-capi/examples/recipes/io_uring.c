/*
 * An area as a registered buffer of io_uring: a file is read into it, and written from it, without
 * the kernel looking its pages up each time. As long as it is registered its pages are pinned, and
 * the area cannot be frozen: AREAS_ERROR_BUSY, and the text says so.
 *
 * Linked with: areas, liburing (Debian: liburing-dev)
 */
#include <areas.h>
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE ((size_t)4 << 20)

static void check(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "not so: %s; areas says: %s\n", what, areas_error_help());
	exit(1);
}

/* Waits for one answer, which is that all bytes were moved. */
static void done(struct io_uring *ring, const char *what)
{
	struct io_uring_cqe *answer;

	check(io_uring_submit(ring) == 1, what);
	check(io_uring_wait_cqe(ring, &answer) == 0, what);
	check(answer->res == (int)SIZE, what);
	io_uring_cqe_seen(ring, answer);
}

/* A file that has no name, with bytes that can be recognised. */
static int file_of_bytes(unsigned char *bytes)
{
	char name[] = "/tmp/areas-io-uring-XXXXXX";
	const int file = mkstemp(name);

	check(file >= 0 && unlink(name) == 0, "a temporary file");
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (unsigned char)(i * 7 + (i >> 12));
	check(pwrite(file, bytes, SIZE, 0) == (ssize_t)SIZE, "the file is written");
	return file;
}

/* Freezing waits this long for writers that are about to finish, in milliseconds. */
#define WAIT 100

int main(void)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;
	unsigned char *bytes = malloc(SIZE), *again = malloc(SIZE);
	struct io_uring ring;
	struct iovec buffer;
	int file, status;

	check(bytes != NULL && again != NULL, "malloc");
	status = io_uring_queue_init(8, &ring, 0);
	if (status < 0) {
		printf("SKIPPED: io_uring_setup: %s\n", strerror(-status));
		return 77;
	}
	file = file_of_bytes(bytes);
	wanted.size = SIZE;
	wanted.name = "io-uring";
	area = areas_create(&wanted);
	check(area != NULL && areas_populate(area, NULL, NULL) >= 0, "an area");
	buffer = (struct iovec){ areas_address(area), areas_size(area) };
	status = io_uring_register_buffers(&ring, &buffer, 1);
	if (status == -ENOMEM) {
		printf("SKIPPED: io_uring_register_buffers: %s (ulimit -l)\n", strerror(-status));
		return 77;
	}
	check(status == 0, "the area is registered");
	io_uring_prep_read_fixed(io_uring_get_sqe(&ring), file, buffer.iov_base, SIZE, 0, 0);
	done(&ring, "the file is read into the area");
	check(memcmp(buffer.iov_base, bytes, SIZE) == 0, "the area has the file's bytes");
	io_uring_prep_write_fixed(io_uring_get_sqe(&ring), file, buffer.iov_base, SIZE, SIZE, 0);
	done(&ring, "the file is written from the area");
	check(pread(file, again, SIZE, SIZE) == (ssize_t)SIZE && memcmp(again, bytes, SIZE) == 0, "the file has the area's bytes");

	check(areas_freeze(area, WAIT) == AREAS_ERROR_BUSY, "an area that is registered cannot be frozen");
	check(areas_error_errno() == EBUSY && strstr(areas_error_text(), "pinned") != NULL, "the error says that pages may be pinned");
	check(strstr(areas_error_remedy(), "release pinned pages") != NULL, "and what to do about it");
	((unsigned char *)buffer.iov_base)[0] ^= 1;
	check(io_uring_unregister_buffers(&ring) == 0, "it is registered no more");
	check(areas_freeze(area, 10 * AREAS_DEFAULT_TIMEOUT) >= 0, "then it is frozen");

	io_uring_queue_exit(&ring);
	areas_release(area);
	close(file);
	free(bytes);
	free(again);
	printf("read and written through a registered area; frozen when it was registered no more\n");
	return 0;
}
