//! `areas scan`: all shared memory that can be seen, ours or not, and whether anybody holds it.
//! `areas reap`: what no process holds, freed.
//!
//! | file | what |
//! |---|---|
//! | `args.rs` | what can be said on the command line |
//! | `walk.rs`, `blind.rs` | all processes, and what a look at them leaves out |
//! | `mounts.rs`, `namespace.rs` | which file systems are memory, and of which namespaces |
//! | `posix.rs`, `sysv.rs`, `huge.rs`, `nameless.rs` | the kinds of memory |
//! | `proof.rs` | the kernel's word that no process has a file |
//! | `published.rs` | what registries say of areas |
//! | `memory.rs`, `rows.rs`, `json.rs` | what is reported of it |
//! | `reap.rs`, `left.rs` | freeing, and what is left where that is interrupted |

pub(crate) mod args;
mod blind;
mod huge;
mod json;
mod left;
mod memory;
mod mounts;
mod nameless;
mod namespace;
mod posix;
mod proof;
mod published;
pub(crate) mod reap;
mod rows;
mod sysv;
mod walk;

use std::cmp::Reverse;
use std::process::ExitCode;

use crate::failure::Result;
use crate::kilobytes::in_bytes;
use crate::output;
use args::{By, Kind, Scan};
use blind::Blind;
use memory::{Memory, State};
use mounts::Mounts;
use published::Registries;
use walk::{Walk, Wanted};

/// What is reported where nothing was found of what was asked for.
const NOTHING_LEAKED: u8 = 3;

/// Who holds memory of which the kernel says that it is held, and no process is seen.
const UNSEEN: &str = "its holder is not seen: a process that may not be looked into, or a descriptor on its way through a socket";

/// All that was found.
#[derive(Debug)]
struct Survey {
    memories: Vec<Memory>,
    blind: Blind,
    /// What could not be looked at, for people.
    trouble: Vec<String>,
}

pub(crate) fn run(scan: &Scan, quiet: bool) -> Result<ExitCode> {
    let registries = Registries::read(scan.all_users)?;
    let mut survey = survey(&registries, quiet);
    let is_whole = registries.unread.is_empty();
    survey.trouble.extend(registries.unread);
    let all = Total::of(&survey.memories);
    survey.memories.retain(|memory| is_asked_for(scan, memory));
    sort(&mut survey.memories, scan);
    match (scan.json, quiet) {
        (true, _) => json::print(&survey, &all)?,
        (false, true) => rows::names(&survey.memories)?,
        (false, false) => rows::print(scan, &survey, &all)?,
    }
    if !scan.json || !is_whole {
        survey.trouble.iter().for_each(|trouble| output::complain(trouble));
    }
    let nothing = scan.leaked && survey.memories.is_empty();
    Ok(match (is_whole, nothing) {
        (false, _) => ExitCode::FAILURE,
        (true, true) => ExitCode::from(NOTHING_LEAKED),
        (true, false) => ExitCode::SUCCESS,
    })
}

/// Looks at everything.
fn survey(registries: &Registries, quiet: bool) -> Survey {
    let mounts = Mounts::read();
    let mut blind = Blind::new(&mounts);
    let mut trouble = Vec::new();
    let mut walk = Walk::new(&Wanted::of(&mounts), &mut blind, quiet);
    let mut memories = posix::memories(&mounts, &mut walk, &mut trouble);
    memories.extend(huge::memories(&mounts, &mut walk, &mut trouble));
    memories.extend(sysv::memories(&mut walk, &mut trouble));
    memories.extend(nameless::memories(&mounts, &mut walk, registries));
    let swapped = is_swapped();
    for memory in memories.iter_mut().filter(|memory| memory.resident.is_none()) {
        memory.resident = if swapped { proof::resident(memory) } else { memory.allocated };
    }
    Survey { memories, blind, trouble }
}

fn is_asked_for(scan: &Scan, memory: &Memory) -> bool {
    let by_kind =
        if scan.kind.is_empty() { memory.kind != Kind::Registry } else { scan.kind.contains(&memory.kind) };
    (by_kind || scan.all && memory.kind == Kind::Registry) && (!scan.leaked || memory.state == State::Leaked)
}

fn sort(memories: &mut [Memory], scan: &Scan) {
    let taken = |memory: &Memory| Reverse(memory.allocated.or(memory.size));
    // What is equal is in one order always.
    memories.sort_by(|one, other| {
        (one.kind, &one.name, one.object).cmp(&(other.kind, &other.name, other.object))
    });
    match scan.sort {
        By::State => memories.sort_by_key(|memory| (memory.state, taken(memory))),
        By::Size => memories.sort_by_key(|memory| Reverse(memory.size)),
        By::Ram => memories.sort_by_key(taken),
        By::Kind => memories.sort_by_key(|memory| memory.kind),
        By::Name => memories.sort_by(|one, other| one.name.cmp(&other.name)),
        By::User => memories.sort_by_key(|memory| memory.owner),
    }
    if scan.reverse {
        memories.reverse();
    }
}

/// Whether anything of this machine is swapped out at all; if that is not known, it may be.
fn is_swapped() -> bool {
    let text = areas::files::read_to_string("/proc/meminfo").unwrap_or_default();
    in_bytes(&text, "SwapTotal:").zip(in_bytes(&text, "SwapFree:")).is_none_or(|(total, free)| total != free)
}

/// How many memories there are, and what they take: of each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Total {
    all: Sum,
    leaked: Sum,
    idle: Sum,
    unknown: Sum,
    /// The registry's own.
    registry: Sum,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    memories: usize,
    /// As far as it is known.
    allocated: u64,
}

impl Total {
    fn of(memories: &[Memory]) -> Self {
        let mut total = Total::default();
        // A file that has several names is one memory.
        let mut seen = std::collections::BTreeSet::new();
        for memory in memories.iter().filter(|memory| memory.object.is_none_or(|object| seen.insert(object)))
        {
            let add = |sum: &mut Sum| {
                sum.memories += 1;
                sum.allocated = sum.allocated.saturating_add(memory.allocated.unwrap_or(0));
            };
            add(&mut total.all);
            if memory.kind == Kind::Registry {
                add(&mut total.registry);
            }
            match memory.state {
                State::Leaked => add(&mut total.leaked),
                State::Idle => add(&mut total.idle),
                State::Unknown => add(&mut total.unknown),
                State::Held => {}
            }
        }
        total
    }
}
