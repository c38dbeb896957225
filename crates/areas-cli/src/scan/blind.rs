//! What cannot be seen from here: whoever might hold a memory all the same.

use super::mounts::Mounts;
use super::namespace::namespace;

/// What a look at all processes leaves out.
#[derive(Debug, Default)]
pub(super) struct Blind {
    /// Processes that may not be looked into.
    pub(super) refused: Vec<u32>,
    /// Whether `/proc` hides processes of others altogether.
    pub(super) hides: bool,
    /// Whether there may be processes outside of the pid namespace that we are in.
    pub(super) nested: bool,
    /// Descriptors that wait in the queues of sockets, with the process in which each was seen
    /// first.
    pub(super) on_the_way: Vec<(u32, u64)>,
    /// Files that are registered with rings of io_uring, which may have no descriptor any more.
    pub(super) registered: Vec<(u32, u64)>,
}

/// The number of the first pid namespace: the kernel's own constant.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

impl Blind {
    /// What is known before any process was looked at.
    pub(super) fn new(mounts: &Mounts) -> Self {
        let here = namespace("/proc/self", "pid");
        Blind {
            hides: mounts.hides_processes() && !rustix::process::geteuid().is_root(),
            nested: here.is_none_or(|here| here != FIRST_NAMESPACE),
            ..Blind::default()
        }
    }

    /// Why a process of which nothing is seen might hold a memory.
    pub(super) fn reasons(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match self.refused.len() {
            0 => {}
            1 => lines.push("1 process may not be looked into".to_owned()),
            several => lines.push(format!("{several} processes may not be looked into")),
        }
        if self.hides {
            lines.push("/proc hides processes of others (hidepid)".to_owned());
        }
        if self.nested {
            lines.push("processes outside of this pid namespace are not seen".to_owned());
        }
        let sum = |parts: &[(u32, u64)]| parts.iter().map(|&(_, count)| count).sum::<u64>();
        let who = |parts: &[(u32, u64)]| {
            let mut pids: Vec<u32> = parts.iter().map(|&(pid, _)| pid).collect();
            pids.dedup();
            let shown: Vec<String> = pids.iter().take(3).map(u32::to_string).collect();
            let more = if pids.len() > 3 { ", …" } else { "" };
            format!("{}{more}", shown.join(", "))
        };
        if !self.on_the_way.is_empty() {
            lines.push(format!(
                "{} descriptors are on their way through sockets (of process {}): what they hold is not seen",
                sum(&self.on_the_way),
                who(&self.on_the_way)
            ));
        }
        if !self.registered.is_empty() {
            lines.push(format!(
                "{} files are registered with io_uring (of process {}): what they hold is not seen",
                sum(&self.registered),
                who(&self.registered)
            ));
        }
        lines
    }
}
