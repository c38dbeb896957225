//! `areas top`: areas, live.
//!
//! | file | what |
//! |---|---|
//! | `args.rs` | what can be said on the command line |
//! | `reading.rs`, `detail.rs` | one look at all memories, and at one; what has become of them since the last look |
//! | `view.rs`, `keys.rs` | what is shown of it, and what keys change |
//! | `columns.rs`, `draw.rs` | how it is shown: plain data into the cells of a screen |
//! | `screen.rs`, `wake.rs` | the terminal, and waiting for keys, signals and time |
//! | `parent.rs`, `live.rs` | the two processes: one that waits, one that reads and draws |
//! | `once.rs` | one table, without a terminal |
//!
//! The terminal is as it was, however this ends: each of the two processes ensures that when the
//! other one is killed.

pub(crate) mod args;
mod columns;
mod detail;
mod draw;
mod keys;
pub(crate) mod live;
mod once;
mod parent;
mod reading;
mod screen;
mod view;
mod wake;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use areas::{Error, ErrorKind};

use self::args::Top;
use crate::failure::Result;
use crate::{stdio, users};

pub(crate) fn run(top: &Top) -> Result<ExitCode> {
    users::is_there("watch areas live")?;
    if top.once || top.json {
        return once::run(top);
    }
    let refused = |why: &'static str| {
        Error::new(ErrorKind::Unsupported, "watch areas live")
            .with_facts(why)
            .with_remedy("`areas top --once` prints one table, `--json` one document for programs")
    };
    let is_terminal = |closed: io::Result<()>, is: bool| closed.is_ok() && is;
    if !is_terminal(stdio::input(), io::stdin().is_terminal())
        || !is_terminal(stdio::output(), io::stdout().is_terminal())
    {
        return Err(refused("the standard input and output are not both a terminal").into());
    }
    if std::env::var("TERM").is_ok_and(|term| term == "dumb") {
        return Err(refused("TERM says that the terminal is dumb: it cannot be drawn on").into());
    }
    // What keeps areas from being read is printed before the screen is taken over.
    areas::registry::list()?;
    parent::run(top)
}
