/*
 * Areas that are offered at a socket and taken there: by another process, which has nothing of this
 * one's registry.
 */
#include <areas.h>
#include <sys/stat.h>

#include "check.h"

#define PAGE ((size_t)4096)

static char socket_path[64];

static areas_area *published(const char *name)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;
	wanted.name = name;
	wanted.size = 2 * PAGE;
	area = areas_create(&wanted);
	if (area == NULL)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	strcpy((char *)areas_address(area), "at a socket");
	return area;
}

static areas_offer *offered(const areas_area *area, const areas_offering *how)
{
	areas_offer *offer = areas_offer_open(area, socket_path, how);
	if (offer == NULL)
		check_failed(__FILE__, __LINE__, "%s", areas_error_help());
	return offer;
}

/* A child takes it, and sees with which rights it has come. */
static pid_t taker(const char *rights, const areas_taking *how)
{
	pid_t child = check_fork();
	if (child == 0) {
		areas_area *area = areas_offer_take(socket_path, how);
		if (area == NULL)
			check_failed(__FILE__, __LINE__, "%s", areas_error_help());
		CHECK_STR((char *)areas_address(area), "at a socket");
		CHECK_STR(check_maps(areas_address(area)), rights);
		CHECK_EQ(areas_id(area), 0);
		areas_release(area);
		_exit(0);
	}
	return child;
}

static void given(void)
{
	areas_area *area = published("offered");
	areas_offering how = AREAS_OFFERING;
	areas_answer answer = AREAS_ANSWER;
	areas_taking taking = AREAS_TAKING;
	areas_offer *offer;
	uint32_t users[2] = { (uint32_t)geteuid(), 12345 };
	pid_t child;
	how.users = users;
	how.user_count = 2;
	taking.milliseconds = 10000;
	child = taker("rw-s", &taking);
	offer = offered(area, &how);
	CHECK_EQ(areas_offer_answer(offer, 10000, &answer), 1);
	CHECK_EQ(answer.outcome, AREAS_ANSWER_GIVEN);
	CHECK_EQ(answer.user, users[0]);
	CHECK_EQ(answer.pid, (uint32_t)child);
	check_child(child, 0);
	CHECK_EQ(areas_offer_answer(offer, 0, NULL), 0);
	CHECK_EQ(areas_offer_answer(offer, 20, &answer), 0);
	areas_offer_close(offer);
	CHECK(access(socket_path, F_OK) != 0);
	CHECK(areas_offer_take(socket_path, NULL) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_NO_SUCH_AREA);
	/* Sealed, and to another user. */
	how.flags = AREAS_OFFER_SEAL;
	offer = offered(area, &how);
	child = taker("r--s", NULL);
	CHECK_EQ(areas_offer_answer(offer, 10000, NULL), 1);
	check_child(child, 0);
	strcpy((char *)areas_address(area), "it goes on");
	areas_offer_close(offer);
	areas_release(area);
}

static void refused(void)
{
	areas_area *area = published("refused");
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_offering how = AREAS_OFFERING;
	areas_answer answer = AREAS_ANSWER;
	areas_taking taking = AREAS_TAKING;
	areas_receiving bounds = AREAS_RECEIVING;
	areas_area *unnamed;
	areas_offer *offer;
	uint32_t other = 12345;
	pid_t child;
	how.flags = AREAS_OFFER_READ_ONLY;
	CHECK(areas_offer_open(area, socket_path, &how) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_NOT_PERMITTED);
	how.flags = 8;
	CHECK(areas_offer_open(area, socket_path, &how) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_INVALID_INPUT);
	how.flags = 0;
	how.user_count = 1;
	CHECK(areas_offer_open(area, socket_path, &how) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_INVALID_INPUT);
	CHECK(areas_offer_open(area, NULL, NULL) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_INVALID_INPUT);
	wanted.size = PAGE;
	unnamed = areas_create(&wanted);
	CHECK(areas_offer_open(unnamed, socket_path, NULL) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_NO_SUCH_AREA);
	areas_release(unnamed);
	CHECK(areas_offer_open(NULL, socket_path, NULL) == NULL);
	CHECK_EQ(areas_offer_answer(NULL, 0, NULL), AREAS_ERROR_INVALID_INPUT);
	areas_offer_close(NULL);
	CHECK(areas_offer_take(NULL, NULL) == NULL);
	CHECK_EQ(areas_error_number(), AREAS_ERROR_INVALID_INPUT);
	CHECK(access(socket_path, F_OK) != 0);
	/* Who is not named. */
	how.users = &other;
	offer = offered(area, &how);
	child = check_fork();
	if (child == 0) {
		CHECK(areas_offer_take(socket_path, NULL) == NULL);
		CHECK_EQ(areas_error_number(), AREAS_ERROR_NOT_PERMITTED);
		/* From whom it is not taken, and beyond a bound. */
		taking.users = &other;
		taking.user_count = 1;
		CHECK(areas_offer_take(socket_path, &taking) == NULL);
		CHECK_EQ(areas_error_number(), AREAS_ERROR_NOT_PERMITTED);
		_exit(0);
	}
	CHECK_EQ(areas_offer_answer(offer, 10000, &answer), 1);
	CHECK_EQ(answer.outcome, AREAS_ANSWER_REFUSED);
	CHECK_EQ(areas_offer_answer(offer, 10000, &answer), 1);
	check_child(child, 0);
	areas_offer_close(offer);
	offer = offered(area, NULL);
	child = check_fork();
	if (child == 0) {
		bounds.max_bytes = PAGE;
		taking.users = NULL;
		taking.user_count = 0;
		taking.how = &bounds;
		taking.flags = AREAS_OFFER_ANY;
		CHECK(areas_offer_take(socket_path, &taking) == NULL);
		CHECK_EQ(areas_error_number(), AREAS_ERROR_LIMIT);
		_exit(0);
	}
	CHECK_EQ(areas_offer_answer(offer, 10000, &answer), 1);
	CHECK_EQ(answer.outcome, AREAS_ANSWER_GIVEN);
	check_child(child, 0);
	/* Once it is not published any more. */
	areas_release(area);
	child = check_fork();
	if (child == 0) {
		CHECK(areas_offer_take(socket_path, NULL) == NULL);
		CHECK_EQ(areas_error_number(), AREAS_ERROR_NO_SUCH_AREA);
		_exit(0);
	}
	CHECK_EQ(areas_offer_answer(offer, 10000, &answer), 1);
	CHECK_EQ(answer.outcome, AREAS_ANSWER_REFUSED);
	check_child(child, 0);
	areas_offer_close(offer);
}

int main(void)
{
	snprintf(socket_path, sizeof(socket_path), "/tmp/areas-gate-%d", (int)getpid());
	given();
	refused();
	CHECK(access(socket_path, F_OK) != 0);
	return 0;
}
