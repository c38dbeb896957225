//! Where in `/proc` a team's table is shown, and whether the team is dead.

use std::collections::HashSet;

use super::{Reason, is_table, stat_under};
use crate::error::in_words;
use crate::registry::directory::Link;
use crate::registry::process::{ProcessStat, is_shown};
use crate::sys;

/// Where a team's descriptors can be seen.
#[derive(Debug)]
pub(super) enum Place {
    /// In this folder of `/proc`.
    At(String),
    Unreadable(Reason),
    Dead,
}

pub(super) fn locate(link: &Link) -> Place {
    let process = format!("/proc/{}", link.pid);
    let stat = match ProcessStat::read(&format!("{process}/stat")) {
        Ok(stat) => stat,
        Err(_) if !sys::process::exists(link.pid) => return Place::Dead,
        Err(error) => {
            let why = if is_shown() { "hidepid?" } else { "no /proc is mounted here (a chroot?)" };
            let text = format!("{process}/stat cannot be read ({}): {why}", in_words(&error));
            return Place::Unreadable(Reason::of_file(text, &error));
        }
    };
    if stat.start_time != link.start_time {
        return Place::Dead;
    }
    let shows_table = |folder: &str| match stat_under(folder, link.descriptor) {
        Ok(stat) => Ok(is_table(&stat, link)),
        Err(sys::Errno::NOENT | sys::Errno::SRCH) => Ok(false),
        Err(errno) => Err(errno),
    };
    let folder = format!("{process}/fd");
    if let Ok(true) = shows_table(&folder) {
        return Place::At(folder);
    }
    match among_threads(&process, shows_table) {
        Among::At(folder) => Place::At(folder),
        Among::Nowhere => Place::Dead,
        Among::Unreadable(_) if !sys::process::exists(link.pid) => Place::Dead,
        Among::Unreadable(reason) => Place::Unreadable(reason),
    }
}

/// What a process's threads show of its table.
enum Among {
    /// In this folder of `/proc`.
    At(String),
    Nowhere,
    Unreadable(Reason),
}

/// The leader may have left while other threads live, and a thread can have descriptors of its own.
fn among_threads(process: &str, shows_table: impl Fn(&str) -> sys::Result<bool>) -> Among {
    /// How often its threads are looked at: one that came while we looked may have been started by
    /// one that has ended since.
    const LOOKS: usize = 16;
    let mut known = HashSet::new();
    let mut refused = None;
    for _ in 0..LOOKS {
        let threads = match sys::text::names_in(format!("{process}/task"), usize::MAX) {
            Ok(threads) => threads,
            Err(error) => {
                let text = format!("{process}/task cannot be read ({})", in_words(&error));
                return Among::Unreadable(Reason::of_file(text, &error));
            }
        };
        let mut any_new = false;
        for thread in threads {
            let folder = format!("{process}/task/{}/fd", thread.display());
            if !known.insert(thread) {
                continue;
            }
            any_new = true;
            match shows_table(&folder) {
                Ok(true) => return Among::At(folder),
                Ok(false) => {}
                Err(errno) => {
                    let thread = folder.trim_end_matches("/fd");
                    match ProcessStat::read(&format!("{thread}/stat")) {
                        // The kernel shows a zombie's descriptors, of which there are none, to root
                        // alone.
                        Ok(stat) if stat.holds_nothing() => {}
                        // A thread that has ended concurrently.
                        Err(_) if std::fs::metadata(thread).is_err() => {}
                        _ => refused = Some(errno),
                    }
                }
            }
        }
        if !any_new {
            let Some(errno) = refused else { return Among::Nowhere };
            return Among::Unreadable(Reason::new(
                format!(
                    "{process}/fd cannot be read ({}): another group, a capability that we lack, another user namespace, \
                     or not dumpable (PR_SET_DUMPABLE)",
                    crate::Errno::from(errno)
                ),
                Some(errno),
            ));
        }
    }
    Among::Unreadable(Reason::new(
        format!("{process}/task: its threads come and go faster than they can be looked at"),
        None,
    ))
}

/// Whether it is proven that the team that a link names is no more: without opening its table.
pub(in crate::registry) fn is_proven_dead(link: &Link) -> bool {
    matches!(locate(link), Place::Dead)
}
