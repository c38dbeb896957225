//! What a process may and has, by `/proc/PID/status`.

use std::io;

use crate::Process;

/// The file, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status(String);

/// Of a process.
pub fn of(process: impl Into<Process>) -> io::Result<Status> {
    process.into().read("status").map(Status)
}

/// Of this process.
#[track_caller]
pub fn own() -> Status {
    of(Process::Own).unwrap_or_else(|error| panic!("/proc/self/status: {error}"))
}

impl Status {
    /// A field's value, without blanks around it: `Uid`, `Cpus_allowed_list`.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    /// A field in kB (`VmLck`, `RssAnon`), in bytes; a process that has no memory any more has no
    /// such field.
    pub fn bytes(&self, name: &str) -> Option<u64> {
        Some(self.field(name)?.strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status = Status("Name:\ta b\nVmLck:\t    4096 kB\nUid:\t0\t1\t2\t3\n".into());
        assert_eq!(status.field("Name"), Some("a b"));
        assert_eq!(status.bytes("VmLck"), Some(4096 << 10));
        assert_eq!((status.bytes("VmLc"), status.bytes("Uid")), (None, None));
        assert!(own().bytes("VmRSS").is_some_and(|bytes| bytes > 0));
    }
}
