// Boost.Interprocess: shared_memory_object and mapped_region.
#include "peer.h"

#include <boost/interprocess/mapped_region.hpp>
#include <boost/interprocess/shared_memory_object.hpp>

namespace ipc = boost::interprocess;

namespace {

// The error number of what `does` throws.
template <typename Does> int64_t timed(uint64_t times, Does does) noexcept
{
    int64_t start = peer_now();
    try {
        for (uint64_t i = 0; i < times; i++)
            does();
    } catch (const ipc::interprocess_exception &failed) {
        return failed.get_native_error() != 0 ? -failed.get_native_error() : -EIO;
    } catch (...) {
        return -ENOMEM;
    }
    return peer_now() - start;
}

} // namespace

extern "C" int64_t peer_share(const struct work *work)
{
    return timed(work->times, [work] {
        {
            ipc::shared_memory_object object(ipc::create_only, work->name, ipc::read_write);
            object.truncate(static_cast<ipc::offset_t>(work->size));
            ipc::mapped_region region(object, ipc::read_write);
            if (work->touch)
                peer_touch(region.get_address(), work->size);
        }
        ipc::shared_memory_object::remove(work->name);
    });
}

extern "C" int64_t peer_find(const struct work *work)
{
    return timed(work->times, [work] {
        ipc::shared_memory_object object(ipc::open_only, work->name, ipc::read_write);
        ipc::mapped_region region(object, ipc::read_write);
    });
}
