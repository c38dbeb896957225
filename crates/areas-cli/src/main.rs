//! The `areas` command: files into named shared memory, and a look at who holds what and where it
//! lives.
//!
//! | file | what |
//! |---|---|
//! | `args.rs` | the command line: all subcommands, each of which has its own arguments |
//! | `publishing.rs`, `holding.rs`, `placing.rs`, `choice.rs`, `target.rs`, `column.rs`, `seconds.rs` | arguments that several have |
//! | `put/`, `contents.rs`, `growing.rs`, `create/` | making areas |
//! | `hold.rs`, `command.rs`, `detach/` | holding them: in front, as long as a command runs, in the background |
//! | `holder.rs`, `event.rs`, `signals.rs` | the process that holds them, and what wakes it up |
//! | `request.rs`, `asking/` | what one holder may be asked by another `areas` command, and asking it |
//! | `holders/` | who holds them: hold, publish, rename, freeze, drop |
//! | `inout/` | bytes between areas and files: get, cmp, fill |
//! | `ls/`, `show/`, `map.rs`, `report.rs`, `cat/`, `nodes/` | looking at what is there |
//! | `moving/`, `resize/` | changing what is there |
//! | `scan/` | all shared memory of the machine: who holds it, and freeing what no process does |
//! | `watch/` | what happens to areas, and waiting for it |
//! | `users.rs` | users, and the registries that root may look into |
//! | `doctor/` | what of the machine, or of an area, is not as it could be, and what mends it |
//! | `top/` | areas, live |
//! | `run/` | other programs, under a memory policy |
//! | `gate/` | areas for other users and for containers |
//! | `flight/` | areas of other machines: what starts `areas-flight` |
//! | `tour/` | the guided tour |
//! | `output/` | tables, JSON, colours, progress, a reader that goes |
//! | `failure.rs` | why a command fails: its message and its exit code |
//! | `stdio.rs` | which standard streams were closed at the start |

mod args;
mod asking;
mod cat;
mod choice;
mod column;
mod command;
mod completions;
mod contents;
mod create;
mod detach;
mod doctor;
mod event;
mod failure;
mod flight;
mod gate;
mod growing;
mod hold;
mod holder;
mod holders;
mod holding;
mod inout;
mod kilobytes;
mod ls;
mod man;
mod map;
mod moving;
mod nodes;
mod output;
mod placing;
mod publishing;
mod put;
mod report;
mod request;
mod resize;
mod run;
mod scan;
mod seconds;
mod show;
mod signals;
mod stdio;
mod target;
mod top;
mod tour;
mod users;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue};

use args::{Args, Command};
use failure::Failure;

fn main() -> ExitCode {
    stdio::pass_on();
    match Args::try_parse().map_or_else(usage, run) {
        Ok(code) => code,
        Err(failure) => output::report_failure(&failure),
    }
}

/// Help and versions are results, which have to reach the reader; what was wrongly used is reported
/// by clap.
fn usage(mut error: clap::Error) -> Result<ExitCode, Failure> {
    if error.use_stderr() {
        // Of a value that means nothing clap says what is wrong, and not what to do.
        let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
        if let Some(remedy) = source.and_then(areas::Error::remedy) {
            let tips = vec![remedy.to_owned().into()];
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
        error.exit();
    }
    stdio::output().and_then(|()| error.print()).map_err(Failure::of_output)?;
    Ok(ExitCode::SUCCESS)
}

fn run(args: Args) -> Result<ExitCode, Failure> {
    let quiet = args.quiet;
    match args.command {
        Command::Put(put) => put::run(&put, quiet),
        Command::Create(create) => create::run(&create, quiet),
        Command::Ls(ls) => ls::run(&ls, quiet),
        Command::Show(show) => show::run(&show),
        Command::Cat(cat) => cat::run(&cat),
        Command::Move(moving) => moving::run(&moving, quiet),
        Command::Resize(resize) => resize::run(&resize, quiet),
        Command::Wait(wait) => watch::wait::run(&wait, quiet),
        Command::Watch(watch) => watch::run(&watch, quiet),
        Command::Scan(scan) => scan::run(&scan, quiet),
        Command::Reap(reap) => scan::reap::run(&reap, quiet),
        Command::Offer(offer) => gate::offer::run(&offer, quiet),
        Command::Take(take) => gate::take::run(&take, quiet),
        Command::Serve(serve) => flight::serve::run(&serve, quiet),
        Command::Fetch(fetch) => flight::fetch::run(&fetch, quiet),
        Command::Nodes(nodes) => nodes::run(&nodes),
        Command::Doctor(doctor) => doctor::run(&doctor),
        Command::Top(top) => top::run(&top),
        Command::TopScreen(screen) => top::live::run(&screen),
        Command::Tour(tour) => tour::run(&tour, quiet),
        Command::Completions(completions) => completions::run(&completions),
        Command::CompleteNames(complete) => completions::names(&complete),
        Command::Man(man) => man::run(&man),
        Command::TourWorker(worker) => tour::worker::run(&worker),
        Command::Get(get) => inout::get::run(&get, quiet),
        Command::Cmp(cmp) => inout::cmp::run(&cmp, quiet),
        Command::Fill(fill) => inout::fill::run(&fill, quiet),
        Command::Hold(hold) => holders::hold::run(&hold, quiet),
        Command::Publish(publish) => holders::publish::run(&publish, quiet),
        Command::Rename(rename) => holders::rename::run(&rename, quiet),
        Command::Freeze(freeze) => holders::freeze::run(&freeze, quiet),
        Command::Drop(drop) => holders::drop::run(&drop, quiet),
        Command::HolderWorker(worker) => detach::run(&worker),
        Command::Run(run) => run::run(&run, quiet),
    }
}
