//! The options of run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use areas::{Error, ErrorKind};
use clap::ValueEnum;

use crate::choice::Choice;
use crate::placing::Place;

/// Run a program under a memory policy, on chosen CPUs, and report where its memory was
///
/// The program knows nothing of it: policy and CPUs are what it starts with, and what it starts
/// inherits them. They count for memory that has no policy of its own; pages of files that are in
/// RAM already stay where they are.
///
/// Where its memory was is looked up while it runs (/proc/PID/numa_maps), with all processes that
/// it has started: soon after the start, then once a second, or less often where looking takes
/// long. The last look is reported, with how long before the end it was. Between two looks, and
/// after the last one, nothing is seen. The report goes to the standard error; the standard output
/// is the program's alone.
///
/// There is no --lock: the kernel undoes locks as a program is started.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas run --nodes 1 -- ./solver input            # numactl --membind=1, and numastat -p at the end
  areas run --policy interleave --cpunodebind 0 -- ./server
  areas run --nodes fastest --huge never --json --output report.json -- ./solver

Exit status: the program's; 128+n when signal n ended it; 126 and 127 if it could not be started; 1 if the policy could not be had, and nothing was \
started; 2 wrong usage.")]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) place: Place,
    /// On these CPUs alone: `0-3,8`
    #[arg(long, value_name = "CPUS")]
    pub(crate) cpus: Option<Cpus>,
    /// On the CPUs of these nodes alone: as --nodes, or `all`
    #[arg(long, value_name = "NODES", conflicts_with = "cpus")]
    pub(crate) cpunodebind: Option<Choice>,
    /// Transparent huge pages: none at all (never), or also for the heap of programs that use
    /// glibc's malloc (malloc; glibc 2.35)
    #[arg(long, value_enum, value_name = "PAGES")]
    pub(crate) huge: Option<Huge>,
    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the report into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The program and its arguments
    #[arg(last = true, value_name = "COMMAND", required = true)]
    pub(crate) command: Vec<OsString>,
}

/// Which transparent huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Huge {
    Never,
    Malloc,
}

/// CPUs by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cpus(pub(crate) Vec<usize>);

/// No machine has more, as the kernel counts them (NR_CPUS).
const MAX: usize = 8192;

impl FromStr for Cpus {
    type Err = Error;

    fn from_str(text: &str) -> areas::Result<Self> {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last && last < MAX).then_some(first..=last)
        };
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        let mut cpus: Vec<usize> = ranges
            .ok_or_else(|| {
                Error::new(ErrorKind::InvalidInput, format!("read {text:?} as CPUs"))
                    .with_facts("it is not a list of numbers and ranges")
                    .with_remedy("`0-3,8`; `areas nodes` shows the CPUs of each node")
            })?
            .into_iter()
            .flatten()
            .collect();
        cpus.sort_unstable();
        cpus.dedup();
        Ok(Cpus(cpus))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_as_the_kernel_writes_them() {
        let cases = [
            ("0", Some(vec![0])),
            ("0-3,8", Some(vec![0, 1, 2, 3, 8])),
            ("8,0-1,1", Some(vec![0, 1, 8])),
            ("", None),
            ("3-1", None),
            ("0-8192", None),
            ("a", None),
            ("0,", None),
            ("-1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse().ok(), expected.map(Cpus), "{text:?}");
        }
    }
}
