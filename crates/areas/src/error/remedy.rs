//! What to do about a failure, and the facts that lead there: collected at the moment of the
//! failure, in one place.

use super::{Errno, Error};
use crate::size::Bytes;
use crate::sys::limits::{Limit, limit};

/// A value in kilobytes from `/proc/self/status`, in bytes.
fn own_status(field: &str) -> Option<u64> {
    let status = crate::sys::text::read_to_string("/proc/thread-self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

fn in_words(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |bytes| Bytes(bytes).to_string())
}

fn used(field: &str) -> String {
    own_status(field).map_or_else(|| "an unknown part".to_owned(), |bytes| Bytes(bytes).to_string())
}

/// For a failed `mlock2` of `wanted` bytes.
pub(crate) fn locked_memory(error: Error, wanted: usize) -> Error {
    let Some(limit) = limit(Limit::LockedMemory) else {
        return error
            .with_facts(format!("RLIMIT_MEMLOCK is unlimited, {} free", free_memory()))
            .with_remedy("free some memory, or lock less");
    };
    let needed = own_status("VmLck").unwrap_or(0).saturating_add(wanted as u64);
    let error = error.with_facts(format!(
        "RLIMIT_MEMLOCK is {}, {} in use, {} wanted",
        Bytes(limit),
        used("VmLck"),
        Bytes::from(wanted)
    ));
    if needed <= limit {
        return error.with_remedy(format!(
            "that limit is not exceeded: seccomp or vm.max_map_count ({}) is the likely cause",
            mappings()
        ));
    }
    error.with_remedy(format!(
        "raise it: `ulimit -l {}`, or LimitMEMLOCK={} in the systemd unit; or use no lock",
        needed.div_ceil(1024),
        needed
    ))
}

/// For a failed `mmap` with ENOMEM.
pub(crate) fn address_space(error: Error, wanted: usize) -> Error {
    match limit(Limit::AddressSpace) {
        Some(limit) => error
            .with_facts(format!(
                "RLIMIT_AS is {}, {} in use, {} wanted",
                Bytes(limit),
                used("VmSize"),
                Bytes::from(wanted)
            ))
            .with_remedy(format!(
                "raise it: `ulimit -v {}`, or LimitAS= in the systemd unit; or ask for less",
                own_status("VmSize").unwrap_or(limit).saturating_add(wanted as u64).div_ceil(1024)
            )),
        None if counts_strictly() => committed(error, wanted as u64),
        None => error.with_facts(format!("{}; {}", mappings(), overcommit())).with_remedy(
            "ask for less, unmap something, or see `areas doctor` (vm.max_map_count, overcommit)",
        ),
    }
}

fn mappings() -> String {
    let count = crate::sys::text::read_lossy("/proc/thread-self/maps").map_or(0, |maps| maps.lines().count());
    let limit = crate::sys::text::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    format!("{count} of {} mappings in use", limit.trim())
}

fn overcommit() -> String {
    let mode = crate::sys::text::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default();
    format!("vm.overcommit_memory is {}, {} free", mode.trim(), free_memory())
}

/// Whether the kernel refuses what it could not give (`vm.overcommit_memory=2`).
pub(crate) fn counts_strictly() -> bool {
    crate::sys::text::read_to_string("/proc/sys/vm/overcommit_memory").is_ok_and(|mode| mode.trim() == "2")
}

/// For memory that the kernel refuses because it counts strictly; where it does not, as it was.
pub(crate) fn committed(error: Error, wanted: u64) -> Error {
    let (Some(limit), Some(used)) = (machine_memory("CommitLimit"), machine_memory("Committed_AS")) else {
        return error;
    };
    if !counts_strictly() {
        return error;
    }
    let detail = format!(
        "vm.overcommit_memory is 2: CommitLimit is {:#}, Committed_AS is {:#}, {:#} wanted",
        Bytes(limit),
        Bytes(used),
        Bytes(wanted)
    );
    // What the kernel keeps back of it for root and for each program (vm.admin_reserve_kbytes,
    // vm.user_reserve_kbytes), besides.
    const KEPT_BACK: u64 = 136 << 20;
    let needed = used.saturating_add(wanted).saturating_add(wanted / 32).saturating_add(KEPT_BACK);
    let kilobytes = needed.saturating_sub(machine_memory("SwapTotal").unwrap_or(0)) / 1024;
    error.with_facts(detail).with_remedy(format!(
        "ask for less, or `sysctl vm.overcommit_kbytes={kilobytes}` as root; see `areas doctor`"
    ))
}

/// What `/proc/meminfo` calls available.
pub(crate) fn available_memory() -> Option<u64> {
    machine_memory("MemAvailable")
}

/// A value of `/proc/meminfo`, in bytes.
fn machine_memory(field: &str) -> Option<u64> {
    let text = crate::sys::text::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

fn free_memory() -> String {
    available_memory().map_or_else(|| "unknown memory".to_owned(), |bytes| format!("{:#}", Bytes(bytes)))
}

/// For a descriptor that could not be had: this process has all it may have (EMFILE), or the whole
/// machine has (ENFILE).
pub(crate) fn open_files(error: Error) -> Error {
    if error.errno() == Some(Errno::from_raw(libc::ENFILE)) {
        return machine_files(error);
    }
    // Counting them takes a descriptor, which is what there is none of: where it does not work, all
    // are open.
    let open = crate::sys::text::names_in("/proc/thread-self/fd", usize::MAX).map_or_else(
        |_| "all of them open".to_owned(),
        // Less the one that counted.
        |entries| format!("{} descriptors open", entries.len().saturating_sub(1)),
    );
    error
        .with_facts(format!(
            "RLIMIT_NOFILE is {}, {open}",
            limit(Limit::OpenFiles).map_or_else(|| "unlimited".to_owned(), |files| files.to_string())
        ))
        .with_remedy(format!(
            "raise the limit of descriptors (`ulimit -n {}`, LimitNOFILE=), or drop shared areas",
            limit(Limit::OpenFiles)
                .map_or_else(|| "N".to_owned(), |files| files.saturating_mul(2).to_string())
        ))
}

/// For a file that the kernel did not open because the machine has as many open as it may.
fn machine_files(error: Error) -> Error {
    // To read the numbers takes an open file, too: they may be had again by now, or not.
    let numbers = crate::sys::text::read_to_string("/proc/sys/fs/file-nr").ok();
    let detail = match numbers.as_deref().and_then(files_in_use) {
        Some((open, most)) => format!("fs.file-max is {most}, {open} files open on the machine"),
        None => "the machine has as many files open as fs.file-max says".to_owned(),
    };
    error.with_facts(detail).with_remedy(
        "raise it as root (`sysctl fs.file-max=N`); it counts all processes (/proc/sys/fs/file-nr)",
    )
}

/// Open files, and how many there may be, by `/proc/sys/fs/file-nr`.
fn files_in_use(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_ascii_whitespace();
    let open = numbers.next()?.parse().ok()?;
    // What is between them has been 0 since Linux 2.6.
    Some((open, numbers.nth(1)?.parse().ok()?))
}

/// For a size that RLIMIT_FSIZE forbids, which the kernel would answer with a deadly signal.
pub(crate) fn file_size(error: Error, wanted: u64) -> Error {
    error
        .with_facts(format!("RLIMIT_FSIZE is {}, {} wanted", in_words(limit(Limit::FileSize)), Bytes(wanted)))
        .with_remedy(
            "shared memory counts as a file: raise the limit (`ulimit -f unlimited`, LimitFSIZE=infinity)",
        )
}

/// For page frame numbers that pagemap shows as zeros.
pub(crate) fn frame_numbers(error: Error) -> Error {
    error
        .with_facts("/proc/self/pagemap shows page frame numbers to CAP_SYS_ADMIN only")
        .with_remedy(FRAME_NUMBERS)
}

const FRAME_NUMBERS: &str = "run as root, or `setcap cap_sys_admin+ep PROGRAM`";

/// For hugetlb pages that are not where they have to be.
pub(crate) fn pool_run(error: Error, page: crate::PageSize, placement: &crate::Placement) -> Error {
    let file = super::pool::file(page, Some(placement));
    error.with_remedy(format!(
        "`echo N > {}` as root; at boot (`hugepages=N`) they are contiguous",
        file.display()
    ))
}

/// For base pages that are not where they have to be.
pub(crate) fn contiguous_base(error: Error) -> Error {
    error.with_remedy(
        "fill the pool of huge pages: `sysctl vm.nr_hugepages=N` as root, or at boot: `hugepages=N`",
    )
}

/// For memory that has to be reserved when the machine boots.
pub(crate) fn low_memory(error: Error) -> Error {
    error.with_remedy(LOW_MEMORY)
}

const LOW_MEMORY: &str =
    "reserve it at boot (`memmap=4M$8M`, AREAS_LOW_MEMORY); CAP_SYS_RAWIO maps it: `areas doctor`";

/// For a range of `/dev/mem` that the kernel does not let be mapped.
pub(crate) fn dev_mem(error: Error, range: &std::ops::Range<u64>) -> Error {
    error
        .with_facts(format!(
            "/dev/mem does not let {:#x}-{:#x} be mapped",
            range.start,
            range.end.saturating_sub(1)
        ))
        .with_remedy(
            "it must be reserved at boot (`memmap=4M$8M`), and not be a driver's; see `areas doctor`",
        )
}

/// For a demand on page frames that none of several ways has met: what the first of them says would
/// help, and where there is more of it.
pub(crate) fn physical(error: Error, refused: &[Error]) -> Error {
    const MORE: &str = "; or see `areas doctor`";
    let mut help = refused.iter().filter_map(Error::remedy);
    let Some(first) = help.next() else {
        return error;
    };
    let more = help.any(|text| text != first) && first.len() + MORE.len() <= MAX_LINE;
    error.with_remedy(format!("{first}{}", if more { MORE } else { "" }))
}

/// The bytes of a remedy that is read in one line of 100 columns.
const MAX_LINE: usize = 92;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn whose_limit_of_open_files_it_is() {
        let error = |errno| {
            open_files(
                Error::new(ErrorKind::Limit, "open a thing").with_system_call("open", Errno::from_raw(errno)),
            )
        };
        let own = error(libc::EMFILE);
        let (facts, help) = (own.facts().unwrap(), own.remedy().unwrap());
        assert!(facts.contains("RLIMIT_NOFILE is ") && help.contains("ulimit -n"), "{own:#}");
        assert!(!format!("{own:#}").contains("file-max"), "{own:#}");
        let machines = error(libc::ENFILE);
        let most = crate::sys::text::read_to_string("/proc/sys/fs/file-max").unwrap();
        let facts = machines.facts().unwrap();
        assert!(facts.starts_with(&format!("fs.file-max is {}, ", most.trim())), "{facts}");
        let help = machines.remedy().unwrap();
        assert!(help.contains("sysctl fs.file-max=") && help.contains("/proc/sys/fs/file-nr"), "{help}");
        assert!(!format!("{machines:#}").contains("RLIMIT_NOFILE"), "{machines:#}");
    }

    #[test]
    fn what_file_nr_says() {
        assert_eq!(files_in_use("1056\t0\t9223372036854775807\n"), Some((1056, i64::MAX as u64)));
        for text in ["", "1", "1 0", "a 0 1", "1 0 b", "-1 0 1"] {
            assert_eq!(files_in_use(text), None, "{text:?}");
        }
    }
}
