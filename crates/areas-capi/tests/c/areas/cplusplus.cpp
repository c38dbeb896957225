/*
 * areas.h in C++17, beside the other two interfaces and, where it is there, libnuma's header.
 */
#include <areas.h>
#if __has_include(<numa.h>)
#include <numa.h>
#endif
#include <aml.h>
#include <be/OS.h>

#include "check.h"

static int count(const areas_run *run, void *context)
{
	*static_cast<size_t *>(context) += run->size;
	return 0;
}

int main()
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_residency residency = AREAS_RESIDENCY;
	size_t bytes = 0;
	CHECK_EQ(wanted.struct_size, sizeof wanted);
	wanted.size = 8192;
	areas_area *area = areas_create(&wanted);
	CHECK(area != nullptr);
	*static_cast<volatile char *>(areas_address(area)) = 1;
	CHECK_EQ(areas_measure(area, &residency, count, &bytes), 0);
	CHECK_EQ(bytes, 8192);
	CHECK_EQ(residency.resident, 4096);
	/* A guard, as C++ has them. */
	{
		struct Guard {
			areas_area *area;
			size_t offset;
			Guard(areas_area *of, size_t at) : area(of), offset(at) { CHECK_EQ(areas_mutex_lock(area, offset, 1000), 0); }
			~Guard() { CHECK_EQ(areas_mutex_unlock(area, offset), 0); }
			Guard(const Guard &) = delete;
			Guard &operator=(const Guard &) = delete;
		};
		Guard guard(area, 4096);
		CHECK_EQ(areas_mutex_owner(area, 4096), AREAS_OWNER_THIS_THREAD);
	}
	CHECK_EQ(areas_mutex_owner(area, 4096), AREAS_OWNER_NONE);
	areas_release(area);
	CHECK_EQ(find_area("no such area"), B_NAME_NOT_FOUND);
	/* The words behind BeOS's number are there, too. */
	CHECK_EQ(areas_error_number(), AREAS_ERROR_NO_SUCH_AREA);
	CHECK(strstr(areas_error_text(), "no such area") != nullptr);
	return 0;
}
