/*
 * strerror in C++, under each name that it has there, whatever is included before and after; and
 * old-fashioned inclusion as C.
 */
#include <iostream>

extern "C" {
#include <OS.h>
}

#include <cstring>
#include <string>
#include <system_error>

#include "check.h"

namespace {

/* A member of that name is its class's own. */
struct reports {
	int last;
	int strerror(int number) { return last = number; }
};

}

int main()
{
	char *(*by_pointer)(int) = &strerror;
	reports own = { 0 };
	vint32 counter = 0;
	CHECK_STR(strerror(B_BAD_VALUE), "Invalid Argument");
	CHECK_STR(std::strerror(B_BAD_VALUE), "Invalid Argument");
	CHECK_STR(::strerror(B_BAD_VALUE), "Invalid Argument");
	CHECK_STR(by_pointer(B_BAD_VALUE), "Invalid Argument");
	CHECK(std::string(strerror(ENOENT)) == std::generic_category().message(ENOENT));
	CHECK_EQ(own.strerror(7), 7);
	CHECK_EQ(atomic_add(&counter, 2), 0);
	CHECK_EQ(atomic_get(&counter), 2);
	CHECK(min_c(system_time(), B_INFINITE_TIMEOUT) > 0);
	return 0;
}
