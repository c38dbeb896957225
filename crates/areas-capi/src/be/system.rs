//! The machine, as `OS.h` describes it.

#![expect(unsafe_code, reason = "the C edge; the block has its proof")]

use std::time::{Duration, SystemTime};

use areas::files;

use super::errors::{BAD_ADDRESS, ERROR, OK, wrong};
use super::layout::{self, SystemInfo};
use super::proc;
use super::spec::page;
use crate::edge::catch_panic;

fn describe() -> SystemInfo {
    let read = |path: &str| files::read_to_string(path).unwrap_or_default();
    let memory = read("/proc/meminfo");
    let page = page() as u64;
    let bytes = |key| proc::counter(&memory, key).saturating_mul(1024);
    let pages = |key| bytes(key) / page;
    let (total, free) = (pages("MemTotal"), pages("MemFree"));
    let cached = pages("Cached") + pages("SReclaimable");
    let buffers = pages("Buffers");
    let names = rustix::system::uname();
    let version = names.version().to_bytes();
    // "#1 SMP PREEMPT_DYNAMIC Debian 6.12.1-1 (2026-01-31)" or with a date of words: it is returned
    // as it is, cut.
    let limit = |path: &str| read(path).trim().parse().unwrap_or(0);
    let up = read("/proc/uptime");
    let up = up.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let boot = now.saturating_sub(Duration::from_secs(up));
    let threads = read("/proc/loadavg");
    let threads = threads.split(' ').nth(3).and_then(|running| running.split_once('/')?.1.parse().ok());
    SystemInfo {
        boot_time: i64::try_from(boot.as_micros()).unwrap_or(0),
        cpu_count: std::thread::available_parallelism()
            .map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(1)),
        max_pages: total,
        used_pages: total.saturating_sub(free + cached + buffers),
        cached_pages: cached + buffers,
        block_cache_pages: buffers,
        ignored_pages: 0,
        needed_memory: bytes("Committed_AS"),
        free_memory: bytes("MemAvailable"),
        max_swap_pages: pages("SwapTotal"),
        free_swap_pages: pages("SwapFree"),
        // A count that wraps, as BeOS's does.
        page_faults: u32::try_from(proc::counter(&read("/proc/vmstat"), "pgfault") & 0xffff_ffff)
            .unwrap_or(0),
        max_sems: 0,
        used_sems: 0,
        max_ports: 0,
        used_ports: 0,
        max_threads: limit("/proc/sys/kernel/threads-max"),
        used_threads: threads.unwrap_or(0),
        max_teams: limit("/proc/sys/kernel/pid_max"),
        used_teams: u32::try_from(proc::count_teams()).unwrap_or(u32::MAX),
        kernel_name: layout::field(names.sysname().to_bytes()),
        kernel_build_date: layout::field(version),
        kernel_build_time: layout::field(b""),
        kernel_version: version_number(&names.release().to_string_lossy()),
        abi: 0,
    }
}

/// "6.12.5-cloud" is 0x060c05.
fn version_number(release: &str) -> i64 {
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u8>().unwrap_or(0));
    (0..3).fold(0, |number, _| number << 8 | i64::from(parts.next().unwrap_or(0)))
}

/// The description of the machine.
///
/// # Safety
/// `info` is NULL or points to a structure.
#[unsafe(no_mangle)]
unsafe extern "C" fn get_system_info(info: *mut SystemInfo) -> i32 {
    catch_panic(ERROR, || {
        if info.is_null() {
            return wrong(BAD_ADDRESS, "describe the machine", "the pointer to the structure is NULL");
        }
        // SAFETY: not NULL, and then it points to a structure (the caller).
        unsafe { layout::put(info, describe()) };
        OK
    })
}

/// Microseconds since the machine booted, as `start_time` of teams is counted.
#[unsafe(no_mangle)]
extern "C" fn system_time() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_numbers() {
        let table = [("6.12.5-cloud", 0x06_0c05), ("6.18", 0x06_1200), ("junk", 0)];
        for (release, expected) in table {
            assert_eq!(version_number(release), expected, "{release}");
        }
    }
}
