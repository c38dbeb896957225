//! `areas doctor`: what of this machine, of this process or of one area is not as it could be, and
//! the line that mends it.
//!
//! | file | what |
//! |---|---|
//! | `check.rs` | a check: what was looked at, what was found, what mends it |
//! | `facts.rs` | where checks learn something: files below a root, and calls that a child tried |
//! | `kernel.rs`, `calls.rs`, `limits.rs`, `memory.rs`, `huge.rs`, `groups.rs`, `numa.rs`, `sight.rs`, `registry.rs` | a group of checks each |
//! | `area/` | the checks of one area |
//! | `render.rs` | text and JSON |

mod area;
pub(crate) mod args;
mod calls;
mod check;
mod facts;
mod groups;
mod huge;
mod kernel;
mod limits;
#[cfg(test)]
mod machines;
mod memory;
mod numa;
mod registry;
#[cfg(test)]
mod remedies;
mod render;
mod sight;

use std::process::ExitCode;

use areas::{Error, ErrorKind, escape_invisible};

use args::Doctor;
use check::{Counts, Group};
use facts::Facts;

use crate::failure::Result;
use crate::output::style::Terminal;
use crate::output::{self, json};

pub(crate) fn run(doctor: &Doctor) -> Result<ExitCode> {
    if let Some(root) = &doctor.root
        && !root.is_dir()
    {
        let what = format!("look at the machine in {root:?}");
        return Err(Error::new(ErrorKind::Io, what).with_facts("there is no such folder").into());
    }
    let facts = doctor.root.as_deref().map_or_else(Facts::here, Facts::of);
    // Before anything is looked up: what is deadly is known now.
    areas::machine::leave_out(&calls::deadly(&facts));
    let (groups, area) = match &doctor.area {
        Some(target) => {
            let source = target.find()?;
            (area::groups(&facts, &source)?, Some(source.id().get()))
        }
        None => (machine(&facts), None),
    };
    if doctor.json {
        json::print(render::Json::new(&groups, area), false)?;
    } else {
        output::print(&render::text(&groups, doctor.all, Terminal::stdout()))?;
    }
    Ok(match Counts::of(&groups).broken {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// What the machine has, and lets this process do.
fn machine(facts: &Facts) -> Vec<Group> {
    [
        kernel::group,
        calls::group,
        limits::group,
        memory::group,
        huge::group,
        groups::group,
        numa::group,
        sight::group,
        registry::group,
    ]
    .map(|group| group(facts))
    .into()
}

/// A word for a shell: as it is where it means nothing to one, else in quotes; with what is
/// invisible escaped, as bash takes it.
fn quoted(word: &str) -> String {
    quoted_bytes(word.as_bytes())
}

/// The same of bytes that need not be UTF-8.
pub(crate) fn quoted_bytes(bytes: &[u8]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%".contains(c);
    if let Ok(word) = std::str::from_utf8(bytes) {
        if !word.is_empty() && word.chars().all(plain) && !word.starts_with('-') {
            return word.to_owned();
        }
        if matches!(escape_invisible(word), std::borrow::Cow::Borrowed(_)) {
            return format!("'{}'", word.replace('\'', r"'\''"));
        }
    }
    let bytes: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("$'{bytes}'")
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_what_a_shell_takes_for_them() {
        for word in ["plain-1.x", "", "-x", "a b", "it's", "a\nb\u{202e}", "$(reboot)", "größe"] {
            let line = format!("printf %s {}", quoted(word));
            let output = std::process::Command::new("bash").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word, "{line}");
        }
    }
}
