//! What can be said to `areas-flight`. People say it to `areas serve`, `areas fetch` and `areas ls
//! --at`, which have the words that explain it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use areas::Bytes;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Parser, Subcommand};

use crate::allowed::Allowed;
use crate::place::Place;

/// Frozen areas over Arrow Flight
///
/// `areas serve`, `areas fetch` and `areas ls --at` start it: see their help.
#[derive(Debug, Parser)]
#[command(name = "areas-flight", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(Serve),
    List(List),
    Fetch(Fetch),
}

/// Serve frozen areas to those who have the token, until a signal comes
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Names, and patterns of names with `*`, `?` and `[…]`
    #[arg(value_name = "NAME", required_unless_present = "all", value_parser = OsStringValueParser::new().try_map(Allowed::new))]
    pub(crate) names: Vec<Allowed>,
    /// All frozen areas of this registry, also those to come
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    /// The address and the port; port 0 is a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// The file with the token; it is made if it is not there
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The server's certificate, in PEM, and those that vouch for it: all that comes and goes is
    /// encrypted
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Cut off a client that takes less than that a second
    #[arg(long, value_name = "SIZE", default_value = "1K")]
    pub(crate) min_rate: Bytes,
    /// On the average of so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Print readiness as JSON, on one line
    #[arg(long)]
    pub(crate) json: bool,
    /// Report what fails as JSON, too: for a program that started this one
    #[arg(long)]
    pub(crate) json_errors: bool,
    /// No remarks
    #[arg(long)]
    pub(crate) quiet: bool,
    /// End when the standard input does: with the process that has its other end
    #[arg(long)]
    pub(crate) while_stdin: bool,
}

/// What a client says of the server.
#[derive(Debug, clap::Args)]
pub(crate) struct Reaching {
    /// The file with the server's token
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The certificates that vouch for the server, in PEM: nothing goes unencrypted
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Give up after so many seconds in which nothing comes
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Give up where less than that comes a second, on the average of that time
    #[arg(long, value_name = "SIZE", default_value = "1K")]
    pub(crate) min_rate: Bytes,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) max_time: Option<Duration>,
}

/// Print what a server offers, as JSON
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Where it is
    #[arg(value_name = "HOST:PORT")]
    pub(crate) at: Place,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
}

/// Fetch an area for the process that started this one
///
/// The standard input is a Unix socket, over which areas are passed; the standard output gets a
/// line of JSON for each thing that happens.
#[derive(Debug, clap::Args)]
pub(crate) struct Fetch {
    /// Where it is, and its name there
    #[arg(value_name = "HOST:PORT/NAME")]
    pub(crate) location: OsString,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
    /// How many connections at most
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) streams: u8,
    /// Refuse what is larger
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<Bytes>,
    /// Also where the area is of this machine and registry
    #[arg(long)]
    pub(crate) copy: bool,
    /// Show how far it is, on the standard error
    #[arg(long)]
    pub(crate) progress: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|&seconds: &f64| seconds > 0.0);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "it is not a number of seconds".to_owned())
}
