/* Error numbers and texts, aml_errno in each thread, versions, features, and beginning and end. */
#include <aml.h>

#include <dirent.h>

#include "check.h"

static void texts(void)
{
	for (int code = AML_SUCCESS; code < AML_ERROR_MAX; code++) {
		CHECK(strlen(aml_strerror(code)) > 4);
		for (int other = AML_SUCCESS; other < code; other++)
			CHECK(strcmp(aml_strerror(code), aml_strerror(other)) != 0);
		CHECK(strcmp(aml_strerror(code), "Unknown error") != 0);
	}
	CHECK_STR(aml_strerror(-1), "Unknown error");
	CHECK_STR(aml_strerror(-AML_EINVAL), "Unknown error");
	CHECK_STR(aml_strerror(AML_ERROR_MAX), "Unknown error");
	CHECK_STR(aml_strerror(INT32_MAX), "Unknown error");
	CHECK_STR(aml_strerror(INT32_MIN), "Unknown error");
}

/* What aml_perror prints. */
static void printed(const char *message, const char *expected)
{
	int ends[2], before = dup(STDERR_FILENO);
	char found[256];
	ssize_t size;

	CHECK_EQ(pipe(ends), 0);
	fflush(stderr);
	CHECK(dup2(ends[1], STDERR_FILENO) >= 0);
	aml_perror(message);
	fflush(stderr);
	CHECK(dup2(before, STDERR_FILENO) >= 0);
	close(before);
	close(ends[1]);
	size = read(ends[0], found, sizeof found - 1);
	CHECK(size >= 0);
	found[size] = '\0';
	CHECK_STR(found, expected);
	close(ends[0]);
}

static void *in_a_thread(void *arg)
{
	int *other = (int *)arg;

	CHECK(&aml_errno != other);
	CHECK_EQ(aml_errno, AML_SUCCESS);
	CHECK_EQ(aml_bitmap_zero(NULL), -AML_EINVAL);
	CHECK_EQ(aml_errno, AML_EINVAL);
	return NULL;
}

static void threads(void)
{
	pthread_t thread;

	aml_errno = AML_EDOM;
	CHECK_EQ(pthread_create(&thread, NULL, in_a_thread, aml_errno_location()), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(aml_errno, AML_EDOM);
}

static int tasks(void)
{
	DIR *folder = opendir("/proc/self/task");
	int count = 0;

	CHECK(folder != NULL);
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

static void begin_and_end(int argc, char **argv)
{
	int before = tasks(), argc_before = argc;
	char **argv_before = argv;

	CHECK_EQ(aml_finalize(), -AML_EINVAL);
	CHECK_EQ(aml_init(&argc, &argv), AML_SUCCESS);
	CHECK_EQ(aml_init(NULL, NULL), AML_SUCCESS);
	CHECK(argc == argc_before && argv == argv_before);
	CHECK_EQ(tasks(), before);
	CHECK_EQ(aml_finalize(), AML_SUCCESS);
	CHECK_EQ(aml_finalize(), AML_SUCCESS);
	CHECK_EQ(aml_finalize(), -AML_EINVAL);
}

static void versions(void)
{
	char text[64];

	CHECK_EQ(aml_version_major, AML_VERSION_MAJOR);
	CHECK_EQ(aml_version_minor, AML_VERSION_MINOR);
	CHECK_EQ(aml_version_patch, AML_VERSION_PATCH);
	CHECK_STR(aml_version_revision, AML_VERSION_REVISION);
	CHECK_STR(aml_version_string, AML_VERSION_STRING);
	snprintf(text, sizeof text, "%d.%d.%d%s", aml_version_major, aml_version_minor, aml_version_patch,
	         aml_version_revision);
	CHECK_STR(text, aml_version_string);
}

static void features(void)
{
	CHECK_EQ(aml_support_backends(0), 1);
	CHECK_EQ(aml_support_backends(AML_BACKEND_LIBNUMA), AML_HAVE_BACKEND_LIBNUMA);
	CHECK_EQ(aml_support_backends(AML_BACKEND_CUDA), AML_HAVE_BACKEND_CUDA);
	CHECK_EQ(aml_support_backends(AML_BACKEND_HWLOC), AML_HAVE_BACKEND_HWLOC);
	CHECK_EQ(aml_support_backends(AML_BACKEND_OPENCL), AML_HAVE_BACKEND_OPENCL);
	CHECK_EQ(aml_support_backends(AML_BACKEND_ZE), AML_HAVE_BACKEND_ZE);
	CHECK_EQ(aml_support_backends(AML_BACKEND_HIP), AML_HAVE_BACKEND_HIP);
	CHECK_EQ(aml_support_backends(AML_BACKEND_LIBNUMA | AML_BACKEND_CUDA), 0);
	CHECK_EQ(aml_support_backends(~0UL), 0);
}

int main(int argc, char **argv)
{
	CHECK_EQ(aml_errno, AML_SUCCESS);
	texts();
	aml_errno = AML_EDOM;
	printed("cannot bind", "cannot bind: Value outside of what is allowed\n");
	aml_errno = AML_EBUSY;
	printed(NULL, "Resource busy\n");
	aml_errno = -5;
	printed("", ": Unknown error\n");
	threads();
	begin_and_end(argc, argv);
	versions();
	features();
	return 0;
}
