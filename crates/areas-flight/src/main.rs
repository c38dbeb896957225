//! Frozen areas over Arrow Flight: what `areas serve`, `areas fetch` and `areas ls --at` start.
//!
//! A program of its own, so that neither the library nor the `areas` command depends on gRPC and
//! its runtime.
//!
//! | file | what |
//! |---|---|
//! | `args.rs`, `allowed.rs`, `place.rs` | what can be said on the command line; which names are offered; where a server is |
//! | `server/` | the server: which areas it offers, what it answers, what it sends |
//! | `client/` | the client: connections, ranges of bytes that are fetched at once and go on after a failure, tables of other servers |
//! | `worker.rs` | what `areas fetch` and `areas.fetch` say to the process that fetches for them, and hear from it |
//! | `wire.rs` | what our client and our server say to each other beside Arrow's messages |
//! | `grpc.rs`, `ipc.rs` | gRPC's messages; Arrow's |
//! | `checksum.rs`, `token.rs`, `tls.rs`, `host.rs`, `hex.rs` | whether the bytes are those; who may have them; what is encrypted; whether it is the same machine; bytes as digits |
//! | `failure.rs` | errors |

#![expect(clippy::print_stderr, reason = "a command speaks to who started it")]

mod allowed;
mod args;
mod checksum;
mod client;
mod failure;
mod grpc;
mod hex;
mod host;
mod ipc;
mod place;
mod server;
mod tls;
mod token;
mod wire;
mod worker;

use std::process::ExitCode;

use areas::{Error, ErrorKind, escape_invisible};
use clap::Parser as _;

use args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Command::Serve(serve) => server::run(serve),
        Command::List(list) => client::list(&list),
        Command::Fetch(fetch) => return worker::run(&fetch),
    };
    done.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        ExitCode::from(code_of(&error))
    })
}

/// As `areas` has it.
fn code_of(error: &Error) -> u8 {
    match error.kind() {
        ErrorKind::InvalidInput => 2,
        ErrorKind::NoSuchArea => 3,
        ErrorKind::TimedOut => 4,
        _ => 1,
    }
}

/// An error, or a remark, for people.
fn complain(text: &str) {
    let text = text.split('\n').map(escape_invisible).collect::<Vec<_>>().join("\n");
    eprintln!("areas: {text}");
}

/// A line for whoever reads the standard output.
fn print(line: &str) -> areas::Result<()> {
    use std::io::Write as _;
    let mut output = std::io::stdout().lock();
    let written = writeln!(output, "{line}").and_then(|()| output.flush());
    written.map_err(|error| failure::io_error("write to the standard output", error))
}

/// What runs the calls of gRPC.
fn runtime() -> areas::Result<tokio::runtime::Runtime> {
    let what = "start the threads that send and receive";
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failure::io_error(what, error))
}
