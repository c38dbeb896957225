//! The command line: whatever is typed is understood or refused.
#![no_main]
#![allow(dead_code, unreachable_pub, reason = "the command's own files, of which only parsing is used")]

#[path = "../../crates/areas-cli/src/args.rs"]
mod args;
#[path = "../../crates/areas-cli/src/choice.rs"]
mod choice;
#[path = "../../crates/areas-cli/src/column.rs"]
mod column;
#[path = "../../crates/areas-cli/src/doctor/args.rs"]
mod doctor_args;
#[path = "../../crates/areas-cli/src/flight/args.rs"]
mod flight_args;
mod flight {
    pub(crate) use crate::flight_args as args;
}
#[path = "../../crates/areas-cli/src/gate/args.rs"]
mod gate_args;
mod gate {
    pub(crate) use crate::gate_args as args;
}
#[path = "../../crates/areas-cli/src/placing.rs"]
mod placing;
#[path = "../../crates/areas-cli/src/scan/args.rs"]
mod scan_args;
mod scan {
    pub(crate) use crate::scan_args as args;
}
#[path = "../../crates/areas-cli/src/target.rs"]
mod target;
#[path = "../../crates/areas-cli/src/top/args.rs"]
mod top_args;
mod top {
    pub(crate) use crate::top_args as args;
}

mod doctor {
    pub(crate) use super::doctor_args as args;
}

#[path = "../../crates/areas-cli/src/watch/args.rs"]
mod watch_args;
mod watch {
    pub(crate) use crate::watch_args as args;
}
#[path = "../../crates/areas-cli/src/holders/args.rs"]
mod holders_args;
mod holders {
    pub(crate) use crate::holders_args as args;
}
#[path = "../../crates/areas-cli/src/inout/args.rs"]
mod inout_args;
mod inout {
    pub(crate) use crate::inout_args as args;
}
#[path = "../../crates/areas-cli/src/run/args.rs"]
mod run_args;
mod run {
    pub(crate) use crate::run_args as args;
}

#[path = "../../crates/areas-cli/src/cat/args.rs"]
mod cat_args;
mod cat {
    pub(crate) use crate::cat_args as args;
}
#[path = "../../crates/areas-cli/src/create/args.rs"]
mod create_args;
mod create {
    pub(crate) use crate::create_args as args;
}
#[path = "../../crates/areas-cli/src/detach/args.rs"]
mod detach_args;
mod detach {
    pub(crate) use crate::detach_args as args;
}
#[path = "../../crates/areas-cli/src/ls/args.rs"]
mod ls_args;
mod ls {
    pub(crate) use crate::ls_args as args;
}
#[path = "../../crates/areas-cli/src/moving/args.rs"]
mod moving_args;
mod moving {
    pub(crate) use crate::moving_args as args;
}
#[path = "../../crates/areas-cli/src/nodes/args.rs"]
mod nodes_args;
mod nodes {
    pub(crate) use crate::nodes_args as args;
}
#[path = "../../crates/areas-cli/src/put/args.rs"]
mod put_args;
mod put {
    pub(crate) use crate::put_args as args;
}
#[path = "../../crates/areas-cli/src/resize/args.rs"]
mod resize_args;
mod resize {
    pub(crate) use crate::resize_args as args;
}
#[path = "../../crates/areas-cli/src/show/args.rs"]
mod show_args;
mod show {
    pub(crate) use crate::show_args as args;
}
#[path = "../../crates/areas-cli/src/tour/args.rs"]
mod tour_args;
mod tour {
    pub(crate) use crate::tour_args as args;
}
#[path = "../../crates/areas-cli/src/holding.rs"]
mod holding;
#[path = "../../crates/areas-cli/src/kilobytes.rs"]
mod kilobytes;
#[path = "../../crates/areas-cli/src/publishing.rs"]
mod publishing;
#[path = "../../crates/areas-cli/src/seconds.rs"]
mod seconds;

/// What `choice.rs` tells on stderr, for which there is no reader here.
mod output {
    pub(crate) fn complain(_: &str) {}
}

use std::cell::RefCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use clap::{CommandFactory, FromArgMatches};

thread_local! {
    // To build it takes longer than to read a line by it.
    static COMMAND: RefCell<clap::Command> = RefCell::new({
        let mut command = args::Args::command();
        command.build();
        command
    });
}

// Words are separated by newlines.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let words = bytes.split(|&byte| byte == b'\n').map(OsStr::from_bytes);
    let line = [OsStr::new("areas")].into_iter().chain(words);
    let read = COMMAND.with_borrow_mut(|command| {
        let mut matches = command.try_get_matches_from_mut(line)?;
        // What does not fit together is found here, and told by the same command.
        args::Args::from_arg_matches_mut(&mut matches).map_err(|error| error.format(command))
    });
    match read {
        Ok(args::Args { command: args::Command::Put(put_args::Put { placing, .. }), .. })
        | Ok(args::Args { command: args::Command::Create(create_args::Create { placing, .. }), .. }) => {
            // By property, a machine is asked; by number, it is plain data.
            let _ = placing.placement(true).map(|placement| placement.to_string());
        }
        Ok(_) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
