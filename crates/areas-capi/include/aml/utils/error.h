/* Error numbers. Functions give them negative; aml_errno has them positive. */
#ifndef AML_UTILS_ERROR_H
#define AML_UTILS_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

enum aml_error {
	AML_SUCCESS = 0,
	/* Something that has no number of its own: see areas.h for its text. */
	AML_FAILURE = 1,
	/* No memory, or a limit of this process. */
	AML_ENOMEM = 2,
	/* An argument makes no sense. */
	AML_EINVAL = 3,
	/* A value outside of what is allowed: a node that does not exist or may not be used. */
	AML_EDOM = 4,
	/* This machine, this kernel or this area cannot do it. */
	AML_ENOTSUP = 5,
	/* It is in use. */
	AML_EBUSY = 6,
	/* The kernel does not permit it. */
	AML_EPERM = 7,
	AML_ERROR_MAX = 8
};

/* This thread's number of its last failure. Success does not change it. */
int *aml_errno_location(void);
#define aml_errno (*aml_errno_location())

/* What a number means; "Unknown error" for those that are none, the negative ones among them. */
const char *aml_strerror(const int err);

/* Prints `msg: what aml_errno means` on stderr; without the message if that is NULL. */
void aml_perror(const char *msg);

#ifdef __cplusplus
}
#endif

#endif
