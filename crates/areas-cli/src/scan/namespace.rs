//! Namespaces of processes, as `/proc` names them.

use std::ffi::OsString;

/// The namespace of a process, as `/proc` names it.
pub(super) fn namespace(process: &str, which: &str) -> Option<OsString> {
    std::fs::read_link(format!("{process}/ns/{which}")).ok().map(Into::into)
}
