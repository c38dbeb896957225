/* Calls of AML's that fail: what they give, and what aml_errno is afterwards. For both versions;
 * include their aml.h first. */
#ifndef FAILS_H
#define FAILS_H

#include "check.h"

#define FAILS(call, code) \
	do { \
		aml_errno = AML_SUCCESS; \
		CHECK_EQ(call, -(code)); \
		CHECK_EQ(aml_errno, code); \
	} while (0)

/* The same for a call that gives a pointer. */
#define GIVES_NULL(call, code) \
	do { \
		aml_errno = AML_SUCCESS; \
		CHECK((call) == NULL); \
		CHECK_EQ(aml_errno, code); \
	} while (0)

#endif
