/*
 * Where areas come to lie, from C++: each form of address, and that nothing is ever mapped over.
 *
 * Not under valgrind: version 3.19 ignores MAP_FIXED_NOREPLACE, and has addresses of its own.
 */
#include <OS.h>
#include <syscalls.h>

#include "check.h"

#include <string>

namespace {

constexpr size_t page = B_PAGE_SIZE;
constexpr uint32 rw = B_READ_AREA | B_WRITE_AREA;

struct Area {
	void *address = nullptr;
	area_id id = B_ERROR;

	Area(const std::string &name, uint32 spec, void *at, size_t size)
		: address(at)
	{
		id = create_area(name.c_str(), &address, spec, size, B_NO_LOCK, rw);
	}
	Area(const Area &) = delete;
	Area &operator=(const Area &) = delete;
	~Area()
	{
		if (id > 0)
			CHECK_EQ(delete_area(id), B_OK);
	}
	uintptr_t start() const
	{
		return reinterpret_cast<uintptr_t>(address);
	}
};

void *pointer(uintptr_t address)
{
	return reinterpret_cast<void *>(address);
}

/* Addresses that are free now: as large as asked, between nothing. */
uintptr_t free_range(size_t size)
{
	void *found = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(found != MAP_FAILED);
	CHECK_EQ(munmap(found, size), 0);
	return reinterpret_cast<uintptr_t>(found);
}

void exact()
{
	const uintptr_t base = free_range(16 * page);
	Area first("exact", B_EXACT_ADDRESS, pointer(base), page);
	CHECK(first.id > 0);
	CHECK_EQ(first.start(), base);
	static_cast<char *>(first.address)[0] = 'x';
	Area over("over", B_EXACT_ADDRESS, pointer(base), page);
	CHECK_EQ(over.id, B_BAD_VALUE);
	CHECK_EQ(static_cast<char *>(first.address)[0], 'x');
	/* Side by side, although each could have a reserve. */
	Area second("behind", B_EXACT_ADDRESS, pointer(base + page), page);
	CHECK(second.id > 0);
	CHECK_EQ(second.start(), base + page);
	Area third("behind that", B_EXACT_ADDRESS, pointer(base + 2 * page), page);
	CHECK(third.id > 0);
	/* No room to grow for who has a neighbour. */
	CHECK_EQ(resize_area(first.id, 2 * page), B_ERROR);
	CHECK_EQ(resize_area(third.id, 3 * page), B_OK);
	static_cast<char *>(second.address)[page - 1] = 'y';
	CHECK_EQ(static_cast<char *>(second.address)[page - 1], 'y');
}

void base()
{
	const uintptr_t hint = free_range(64 * page);
	Area at("at the hint", B_BASE_ADDRESS, pointer(hint), page);
	CHECK(at.id > 0);
	CHECK_EQ(at.start(), hint);
	Area above("above", B_BASE_ADDRESS, pointer(hint), page);
	CHECK(above.id > 0);
	CHECK(above.start() > hint);
	/* None above: anywhere. */
	Area anywhere("anywhere", B_BASE_ADDRESS, pointer(UINTPTR_MAX - page + 1), page);
	CHECK(anywhere.id > 0);
	Area random("random", B_RANDOMIZED_ANY_ADDRESS, nullptr, page);
	Area other("other", B_RANDOMIZED_ANY_ADDRESS, nullptr, page);
	CHECK(random.id > 0 && other.id > 0 && random.address != other.address);
	Area higher("higher", B_RANDOMIZED_BASE_ADDRESS, pointer(0x200000000000), page);
	CHECK(higher.id > 0);
	CHECK(higher.start() >= 0x200000000000);
}

void reserved()
{
	addr_t range = 0;
	CHECK_EQ(_kern_reserve_address_range(&range, B_ANY_ADDRESS, 16 * page), B_OK);
	addr_t again = range;
	CHECK_EQ(_kern_reserve_address_range(&again, B_EXACT_ADDRESS, page), B_BAD_VALUE);
	{
		Area first("in the range", B_BASE_ADDRESS, pointer(range), page);
		CHECK(first.id > 0);
		CHECK_EQ(first.start(), range);
		/* The range goes when the last area inside it does. */
		CHECK_EQ(_kern_unreserve_address_range(range, 16 * page), B_OK);
		static_cast<char *>(first.address)[0] = 'x';
	}
	CHECK_STR(check_maps(pointer(range)), "");
	addr_t exact = range;
	CHECK_EQ(_kern_reserve_address_range(&exact, B_EXACT_ADDRESS, 16 * page), B_OK);
	CHECK_EQ(exact, range);
	CHECK_EQ(_kern_unreserve_address_range(exact, 16 * page), B_OK);
}

/* Ranges are reserved where areas would be: the first free place, or at a random address. */
void reserved_forms()
{
	const size_t size = 16 * page;
	const uintptr_t hint = free_range(64 * page);
	addr_t first = hint, second = hint, random = 0, other = 0, high = 0x200000000000;
	CHECK_EQ(_kern_reserve_address_range(&first, B_BASE_ADDRESS, size), B_OK);
	CHECK_EQ(first, hint);
	CHECK_EQ(_kern_reserve_address_range(&second, B_BASE_ADDRESS, size), B_OK);
	CHECK_EQ(second, hint + size);
	CHECK_EQ(_kern_reserve_address_range(&random, B_RANDOMIZED_ANY_ADDRESS, size), B_OK);
	CHECK_EQ(_kern_reserve_address_range(&other, B_RANDOMIZED_ANY_ADDRESS, size), B_OK);
	/* Where the kernel chooses, neighbours lie side by side. */
	CHECK((random > other ? random - other : other - random) > (addr_t)1 << 20);
	CHECK_EQ(_kern_reserve_address_range(&high, B_RANDOMIZED_BASE_ADDRESS, size), B_OK);
	CHECK(high >= 0x200000000000);
	addr_t *const all[] = { &first, &second, &random, &other, &high };
	for (addr_t *range : all) {
		CHECK_STR(check_maps(pointer(*range)), "---p");
		CHECK_EQ(_kern_unreserve_address_range(*range, size), B_OK);
		CHECK_STR(check_maps(pointer(*range)), "");
	}
}

/* In another team, the source's own address is free. */
void the_source_address()
{
	int ready[2], go[2];
	CHECK(pipe(ready) == 0 && pipe(go) == 0);
	pid_t child = check_fork();
	if (child == 0) {
		Area source("source", B_EXACT_ADDRESS, pointer(0x300000000000), page);
		CHECK(source.id > 0);
		strcpy(static_cast<char *>(source.address), "here");
		check_send(ready[1], 'r');
		check_hear(go[0]);
		_exit(0);
	}
	check_hear(ready[0]);
	void *address = nullptr;
	area_id clone = clone_area("clone", &address, B_CLONE_ADDRESS, rw, find_area("source"));
	CHECK(clone > 0);
	CHECK(address == pointer(0x300000000000));
	CHECK_STR(static_cast<char *>(address), "here");
	area_id another = clone_area("another", &address, B_CLONE_ADDRESS, rw, find_area("source"));
	CHECK_EQ(another, B_BAD_VALUE);
	CHECK_EQ(delete_area(clone), B_OK);
	check_send(go[1], 'e');
	check_child(child, 0);
}

} // namespace

int main()
{
	exact();
	base();
	reserved();
	reserved_forms();
	the_source_address();
	return 0;
}
