//! Processes, as `/proc` shows them: whether one lives, and since when; what it has mapped and
//! open; which of them hold an object.

mod holders;
mod maps;
mod shown;

use std::ffi::CString;

use crate::sys;
use crate::sys::file::Stat;
pub(super) use holders::holders;
#[cfg(fuzzing)]
pub(super) use holders::may_be_written;
pub(crate) use holders::writers;
pub use holders::{Holder, processes};
pub use maps::MapLine;
pub(super) use maps::protection_of;
#[cfg(fuzzing)]
pub(super) use maps::shared_mapping;
pub use shown::{Shown, may_hold, open_in};

/// Where this process's descriptors can be seen, also once its leader has ended: `/proc/self` is
/// the leader's.
pub(crate) const OWN_DESCRIPTORS: &str = "/proc/thread-self/fd";

/// What `/proc/PID/stat` says of a process or thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// A letter: `T` is stopped, `t` stopped by a tracer, `Z` ended and not waited for yet.
    pub state: u8,
    /// The kernel's flags of the thread (`PF_…`).
    flags: u64,
    /// In clock ticks since boot.
    pub start_time: u64,
}

impl ProcessStat {
    /// Of a process.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub fn of(pid: u32) -> std::io::Result<Self> {
        ProcessStat::read(&format!("/proc/{pid}/stat"))
    }

    pub(super) fn read(path: &str) -> std::io::Result<Self> {
        let text = sys::text::read(path)?;
        ProcessStat::parse(&text).ok_or_else(|| std::io::Error::other("not what the kernel writes"))
    }

    /// The name in parentheses may hold anything, parentheses included: what follows the last one
    /// counts.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let behind = text.iter().rposition(|&byte| byte == b')')? + 1;
        let mut fields = std::str::from_utf8(&text[behind..]).ok()?.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        // Fields 9 and 22 of proc_pid_stat(5); the state is field 3.
        let flags = fields.nth(9 - 4)?.parse().ok()?;
        let start_time = fields.nth(22 - 10)?.parse().ok()?;
        Some(ProcessStat { state, flags, start_time })
    }

    /// Whether it is one of the kernel's own threads: it has no addresses, and is of no process.
    fn is_kernels(self) -> bool {
        const PF_KTHREAD: u64 = 0x0020_0000;
        self.flags & PF_KTHREAD != 0
    }

    /// Whether it has ended, and only its number is left.
    #[must_use]
    pub fn holds_nothing(self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// Whether it can hold no memory of others: it has ended, or is one of the kernel's own.
    pub(super) fn has_no_memory(self) -> bool {
        self.holds_nothing() || self.is_kernels()
    }
}

/// Whether a process of that number lives: a process, not a thread, none of the kernel's own, and
/// not one that has ended and only waits to be fetched.
pub(super) fn process_lives(pid: u32) -> bool {
    let Ok(text) = sys::text::read_to_string(format!("/proc/{pid}/status")) else {
        return sys::process::exists(pid);
    };
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next());
        value.unwrap_or_default().to_owned()
    };
    let is_process = field("Tgid:") == pid.to_string();
    let ended = matches!(&*field("State:"), "Z" | "X");
    // Where the first thread has ended, others may live; and where there is no descriptor to look
    // at them with, they may, too.
    let others = || match sys::text::names_in(format!("/proc/{pid}/task"), usize::MAX) {
        Ok(threads) => threads.len() > 1,
        Err(_) => sys::process::exists(pid),
    };
    // Only processes without addresses are asked about.
    let is_kernels = field("VmSize:").is_empty() && ProcessStat::of(pid).is_ok_and(ProcessStat::is_kernels);
    is_process && (!ended || others()) && !is_kernels
}

/// Whether it is proven that the process of that number which started at that time has ended.
pub(super) fn is_dead(pid: u32, start_time: u64) -> bool {
    match ProcessStat::of(pid) {
        Ok(stat) => stat.start_time != start_time || (stat.holds_nothing() && !process_lives(pid)),
        // What may not be looked at may live.
        Err(_) => !sys::process::exists(pid),
    }
}

/// The name of a process's command; `None` where it cannot be read.
#[must_use]
pub fn command_of(pid: u32) -> Option<String> {
    let comm = sys::text::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(comm.trim_ascii_end()).into_owned())
}

/// Whether `/proc` is there, and shows this process: after a `chroot` it need not.
pub(super) fn is_shown() -> bool {
    std::path::Path::new(OWN_DESCRIPTORS).exists()
}

/// What a path leads to, through links: for `/proc/PID/fd/N` the open file itself.
pub(super) fn stat_of(path: &str) -> sys::Result<Stat> {
    sys::file::look_through(&CString::new(path).map_err(|_| sys::Errno::INVAL)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_have_any_name() {
        let behind = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        for name in ["cat", ") Z 1 2 3", "a b", "(((", "\n"] {
            let text = format!("42 ({name}){behind}");
            assert_eq!(
                ProcessStat::parse(text.as_bytes()),
                Some(ProcessStat { state: b'S', flags: 6, start_time: 4711 }),
                "{name:?}"
            );
        }
        for wrong in
            ["", "42 (cat", "42 (cat)", "42 (cat) S 1", "42 (cat) S a b c d e f g h i j k l m n o p q r s t"]
        {
            assert_eq!(ProcessStat::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn our_own_is_read_right() {
        let stat = ProcessStat::read("/proc/self/stat").unwrap();
        assert!(!stat.holds_nothing());
        assert!(stat.start_time > 0 && stat.start_time < sys::process::boot_time() / 1_000_000);
    }
}
