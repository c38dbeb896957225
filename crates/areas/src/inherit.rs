//! What a program inherits from the thread that starts it: the task's memory policy, and whether it
//! gets transparent huge pages.
//!
//! The kernel keeps both across `fork` and `exec`, so that a program which knows nothing of either
//! can be started under them, as `numactl` does.

use crate::error::{Error, ErrorKind, Result};
use crate::nodes::Placement;
use crate::provider::resolve;
use crate::sys;

/// Makes a call under that policy of the calling thread (set_mempolicy(2)): threads and processes
/// that it starts inherit it. Afterwards the thread's policy is what it was.
///
/// It counts for memory that has no policy of its own; areas that were placed have one.
///
/// ```
/// use areas::{NodeSet, Policy};
/// let status = areas::inherit::with_policy(Policy::Interleave(NodeSet::ALL), || {
///     std::process::Command::new("true").status() // runs interleaved
/// })?;
/// assert!(status.unwrap().success());
/// # Ok::<(), areas::Error>(())
/// ```
///
/// # Errors
/// The call was not made then. [`ErrorKind::NodeNotAllowed`] for a node that does not exist or may
/// not be used, [`ErrorKind::InvalidInput`] for a policy over no node and for a home node, which a
/// thread's policy has none of; [`ErrorKind::Unsupported`] where the kernel does not know the
/// policy (weighted interleaving: Linux 6.9; preferred-many: 5.15; balancing: 5.15, and 6.10),
/// [`ErrorKind::System`] where a sandbox forbids it.
#[doc(alias = "set_mempolicy")]
#[doc(alias = "numactl")]
pub fn with_policy<T>(placement: impl Into<Placement>, call: impl FnOnce() -> T) -> Result<T> {
    let placement = placement.into();
    let what = || format!("start a program with memory policy {placement}");
    if placement.home_node().is_some() {
        return Err(Error::new(ErrorKind::InvalidInput, what())
            .with_facts("a thread's policy has no home node")
            .with_remedy("leave the home node out"));
    }
    let resolved = resolve(placement)?;
    sys::policy::within(&resolved, call).map_err(|errno| {
        let error =
            |kind| Error::new(kind, what()).with_system_call(format!("set_mempolicy({resolved})"), errno);
        match errno {
            // The nodes were looked at.
            sys::Errno::INVAL | sys::Errno::NOSYS => error(ErrorKind::Unsupported)
                .with_remedy("this kernel does not know the policy: `areas doctor` lists those that it has"),
            _ => error(ErrorKind::System)
                .with_remedy("a sandbox may forbid it: allow set_mempolicy and get_mempolicy"),
        }
    })
}

/// Whether this process, and programs that it starts from now on, get no transparent huge pages
/// (`PR_SET_THP_DISABLE`), whatever the machine's setting is and whatever they ask for. It was so
/// before.
///
/// # Errors
/// [`ErrorKind::System`] where the kernel or a sandbox refuses.
#[doc(alias = "PR_SET_THP_DISABLE")]
pub fn disable_huge_pages(disabled: bool) -> Result<bool> {
    sys::process::set_huge_pages_disabled(disabled).map_err(|errno| {
        Error::new(ErrorKind::System, "turn transparent huge pages off for this process")
            .with_system_call(format!("prctl(PR_SET_THP_DISABLE, {})", u8::from(disabled)), errno)
            .with_facts("a sandbox may forbid it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::{Node, NodeSet, Policy};

    /// As the kernel reports of a program that was started.
    fn policies_of_cat() -> Vec<String> {
        let output = std::process::Command::new("cat").arg("/proc/self/numa_maps").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().filter_map(|line| line.split(' ').nth(1)).map(str::to_owned).collect()
    }

    #[test]
    fn a_program_inherits_the_policy_and_we_keep_ours() {
        let before = sys::policy::of_thread().unwrap();
        let node = Node::new(0).unwrap();
        let reported = with_policy(Policy::Bind(NodeSet::single(node)), policies_of_cat).unwrap();
        if reported.is_empty() {
            let line = "SKIPPED: inherit: this kernel has no /proc/PID/numa_maps\n";
            std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
        }
        assert!(reported.iter().all(|policy| policy == "bind:0"), "{reported:?}");
        assert_eq!(sys::policy::of_thread().unwrap(), before);
    }

    #[test]
    fn what_a_thread_cannot_have_is_refused_before_anything_is_started() {
        let none = || -> () { panic!("it was called") };
        let home = Placement::new(Policy::Bind(NodeSet::ALL)).home(Node::new(0).unwrap());
        assert_eq!(with_policy(home, none).unwrap_err().kind(), ErrorKind::InvalidInput);
        let nowhere = Policy::Bind(NodeSet::single(Node::new(1000).unwrap()));
        assert_eq!(with_policy(nowhere, none).unwrap_err().kind(), ErrorKind::NodeNotAllowed);
    }

    #[test]
    fn huge_pages_are_off_for_programs_that_are_started() {
        let before = disable_huge_pages(true).unwrap();
        let status = std::process::Command::new("cat").arg("/proc/self/status").output().unwrap();
        disable_huge_pages(before).unwrap();
        let status = String::from_utf8(status.stdout).unwrap();
        assert!(status.lines().any(|line| line.split_whitespace().eq(["THP_enabled:", "0"])), "{status}");
    }
}
