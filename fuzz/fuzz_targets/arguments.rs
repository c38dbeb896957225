//! The command line: whatever is typed is understood or refused.
#![no_main]
#![allow(dead_code, unreachable_pub, reason = "the command's own files, of which only parsing is used")]

#[path = "../../crates/areas-cli/src/args.rs"]
mod args;
#[path = "../../crates/areas-cli/src/choice.rs"]
mod choice;
#[path = "../../crates/areas-cli/src/column.rs"]
mod column;
#[path = "../../crates/areas-cli/src/holding.rs"]
mod holding;
#[path = "../../crates/areas-cli/src/kilobytes.rs"]
mod kilobytes;
#[path = "../../crates/areas-cli/src/placing.rs"]
mod placing;
#[path = "../../crates/areas-cli/src/publishing.rs"]
mod publishing;
#[path = "../../crates/areas-cli/src/seconds.rs"]
mod seconds;
#[path = "../../crates/areas-cli/src/target.rs"]
mod target;

/// What can be said to each subcommand, where `args.rs` looks for it. (A
/// path within `mod cat { … }` would begin in a folder that is not there.)
macro_rules! arguments {
    ($($name:ident, $args:ident: $path:literal;)*) => {$(
        #[path = $path]
        mod $args;
        mod $name {
            pub(crate) use crate::$args as args;
        }
    )*};
}
arguments! {
    cat, cat_args: "../../crates/areas-cli/src/cat/args.rs";
    create, create_args: "../../crates/areas-cli/src/create/args.rs";
    detach, detach_args: "../../crates/areas-cli/src/detach/args.rs";
    doctor, doctor_args: "../../crates/areas-cli/src/doctor/args.rs";
    flight, flight_args: "../../crates/areas-cli/src/flight/args.rs";
    gate, gate_args: "../../crates/areas-cli/src/gate/args.rs";
    holders, holders_args: "../../crates/areas-cli/src/holders/args.rs";
    inout, inout_args: "../../crates/areas-cli/src/inout/args.rs";
    ls, ls_args: "../../crates/areas-cli/src/ls/args.rs";
    moving, moving_args: "../../crates/areas-cli/src/moving/args.rs";
    nodes, nodes_args: "../../crates/areas-cli/src/nodes/args.rs";
    put, put_args: "../../crates/areas-cli/src/put/args.rs";
    resize, resize_args: "../../crates/areas-cli/src/resize/args.rs";
    run, run_args: "../../crates/areas-cli/src/run/args.rs";
    scan, scan_args: "../../crates/areas-cli/src/scan/args.rs";
    show, show_args: "../../crates/areas-cli/src/show/args.rs";
    top, top_args: "../../crates/areas-cli/src/top/args.rs";
    tour, tour_args: "../../crates/areas-cli/src/tour/args.rs";
    watch, watch_args: "../../crates/areas-cli/src/watch/args.rs";
}

/// What `choice.rs` prints on stderr, for which there is no reader here.
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
        // What does not fit together is found here, and reported by the same command.
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
