//! Whether a process lives and runs, and whose child it is, by `/proc/PID/stat`.

use crate::Process;

/// Some of its fields. Groups and sessions of other pid namespaces are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// `R` running, `S` asleep, `T` stopped, `Z` a zombie: its first thread has ended.
    pub state: char,
    /// The process that it is a child of.
    pub parent: u32,
    /// Its session's leader.
    pub session: u32,
    /// Its terminal; 0 without one.
    pub terminal: i32,
    /// What the kernel notes of it: `PF_…` in its `sched.h`.
    pub flags: u32,
    /// Threads that live.
    pub threads: u32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
}

/// Of a process; `None` where there is none any more.
pub fn of(process: impl Into<Process>) -> Option<Stat> {
    parse(&process.into().read("stat").ok()?)
}

impl Stat {
    /// Whether a signal has stopped it.
    pub fn is_stopped(&self) -> bool {
        self.state == 'T'
    }

    /// Whether the kernel is tearing it down, or has done so.
    pub fn is_exiting(&self) -> bool {
        /// `PF_EXITING`
        const EXITING: u32 = 4;
        matches!(self.state, 'Z' | 'X') || self.flags & EXITING != 0
    }
}

/// The name in parentheses may have blanks and parentheses in it: what counts is behind the last.
fn parse(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        terminal: fields.get(4)?.parse().ok()?,
        flags: fields.get(6)?.parse().ok()?,
        threads: fields.get(17)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_have_anything_in_them() {
        let text = "12 (a) Z 1 () T 7 12 11 34816 -1 4194304 1 2 3 4 5 6 7 8 20 0 3 0 4711 1 2";
        let expected = Stat {
            state: 'T',
            parent: 7,
            session: 11,
            terminal: 34816,
            flags: 0x40_0000,
            threads: 3,
            start_time: 4711,
        };
        assert_eq!(parse(text), Some(expected));
        assert!(expected.is_stopped() && !expected.is_exiting());
        assert!(Stat { flags: 0x40_0004, ..expected }.is_exiting());
        assert!(Stat { state: 'Z', ..expected }.is_exiting());
        assert_eq!(parse("12 (a) Z 1"), None);
    }

    #[test]
    fn this_process_lives() {
        let own = of(Process::Own).unwrap();
        assert_eq!(own.parent, std::os::unix::process::parent_id());
        assert!(own.threads > 0 && !own.is_stopped() && !own.is_exiting());
        // The highest number there can be, and one.
        assert_eq!(of(1 << 22 | 1), None);
    }
}
