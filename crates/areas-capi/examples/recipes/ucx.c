/*
 * An area as memory that UCX has registered: ucp_mem_map over an area that is there, and a put from
 * one worker into the area of another one. NIXL's UCX backend and MPI over UCX register memory in
 * this way. Both workers are in this process, and are made progress in turn; UCX_TLS says what they
 * use.
 *
 * Linked with: areas, ucp, ucs (Debian: libucx-dev)
 */
#include <areas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucp/api/ucp.h>

#define SIZE ((size_t)4 << 20)
/* Tries for what is over in some thousand. */
#define MOST_STEPS 50000000L

static void check(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "not so: %s; areas says: %s\n", what, areas_error_help());
	exit(1);
}

static ucp_worker_h worker_of(ucp_context_h context)
{
	ucp_worker_params_t wanted = { .field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE, .thread_mode = UCS_THREAD_MODE_SINGLE };
	ucp_worker_h worker;

	check(ucp_worker_create(context, &wanted, &worker) == UCS_OK, "a worker");
	return worker;
}

static ucp_ep_h endpoint(ucp_worker_h from, ucp_worker_h to)
{
	ucp_ep_params_t wanted = { .field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS };
	ucp_address_t *address;
	size_t length;
	ucp_ep_h made;

	check(ucp_worker_get_address(to, &address, &length) == UCS_OK, "a worker's address");
	wanted.address = address;
	check(ucp_ep_create(from, &wanted, &made) == UCS_OK, "an endpoint");
	ucp_worker_release_address(to, address);
	return made;
}

/* Until a request is over; both sides make progress. */
static void finish(ucs_status_ptr_t request, ucp_worker_h one, ucp_worker_h other, const char *what)
{
	ucs_status_t status = UCS_OK;

	check(!UCS_PTR_IS_ERR(request), what);
	if (UCS_PTR_IS_PTR(request)) {
		long steps = 0;
		do {
			ucp_worker_progress(one);
			ucp_worker_progress(other);
			status = ucp_request_check_status(request);
		} while (status == UCS_INPROGRESS && steps++ < MOST_STEPS);
		ucp_request_free(request);
	}
	check(status == UCS_OK, what);
}

/* Registers an area where it is: UCX allocates nothing. */
static ucp_mem_h registered(ucp_context_h context, areas_area *area)
{
	ucp_mem_map_params_t wanted = { .field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS | UCP_MEM_MAP_PARAM_FIELD_LENGTH };
	ucp_mem_attr_t found = { .field_mask = UCP_MEM_ATTR_FIELD_ADDRESS | UCP_MEM_ATTR_FIELD_LENGTH };
	ucp_mem_h memory;

	wanted.address = areas_address(area);
	wanted.length = areas_size(area);
	check(ucp_mem_map(context, &wanted, &memory) == UCS_OK, "the area is registered");
	check(ucp_mem_query(memory, &found) == UCS_OK, "what is registered can be asked");
	check(found.address == areas_address(area) && found.length >= areas_size(area), "what is registered is the area");
	return memory;
}

static areas_area *make(const char *name)
{
	areas_attributes wanted = AREAS_ATTRIBUTES;
	areas_area *area;

	wanted.size = SIZE;
	wanted.name = name;
	area = areas_create(&wanted);
	check(area != NULL && areas_populate(area, NULL, NULL) >= 0, "an area");
	return area;
}

static void put(ucp_context_h context, areas_area *source, areas_area *target)
{
	ucp_worker_h here = worker_of(context), there = worker_of(context);
	ucp_mem_h memory = registered(context, target);
	ucp_ep_h way = endpoint(here, there);
	const ucp_request_param_t nothing = { .op_attr_mask = 0 };
	void *packed;
	size_t length;
	ucp_rkey_h key;

	check(ucp_rkey_pack(context, memory, &packed, &length) == UCS_OK, "the key of the area is packed");
	check(ucp_ep_rkey_unpack(way, packed, &key) == UCS_OK, "the key is unpacked");
	finish(ucp_put_nbx(way, areas_address(source), SIZE, (uint64_t)(uintptr_t)areas_address(target), key, &nothing), here, there, "a put");
	finish(ucp_ep_flush_nbx(way, &nothing), here, there, "the put is there");
	check(memcmp(areas_address(source), areas_address(target), SIZE) == 0, "the bytes are in the other worker's area");
	ucp_rkey_destroy(key);
	ucp_rkey_buffer_release(packed);
	finish(ucp_ep_close_nbx(way, &nothing), here, there, "the endpoint is closed");
	check(ucp_mem_unmap(context, memory) == UCS_OK, "the area is registered no more");
	ucp_worker_destroy(there);
	ucp_worker_destroy(here);
}

int main(void)
{
	const ucp_params_t wanted = { .field_mask = UCP_PARAM_FIELD_FEATURES, .features = UCP_FEATURE_RMA };
	areas_area *source = make("ucx-source"), *target = make("ucx-target"), *clone;
	unsigned char *bytes = areas_address(source);
	ucp_context_h context;

	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (unsigned char)(i * 5 + (i >> 12));
	check(ucp_init(&wanted, NULL, &context) == UCS_OK, "a context");
	put(context, source, target);
	ucp_cleanup(context);
	/* By its name, as another process does it. */
	clone = areas_clone_named("ucx-target", NULL);
	check(clone != NULL && memcmp(areas_address(clone), bytes, SIZE) == 0, "who finds the area has the bytes");
	areas_release(clone);
	/* Nothing is registered any more. */
	check(areas_freeze(target, 10 * AREAS_DEFAULT_TIMEOUT) >= 0, "it is frozen");
	areas_release(target);
	areas_release(source);
	printf("put into an area that UCX has registered\n");
	return 0;
}
