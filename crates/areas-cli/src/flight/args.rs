//! What can be said to `areas serve` and `areas fetch`, and of a server to `areas ls --at`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use areas::{Bytes, Name};
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::holding::Holding;
use crate::placing::Placing;
use crate::publishing::{Publishing, name};
use crate::seconds::some_seconds;

/// Serve frozen areas to other machines, over Arrow Flight
///
/// Only areas that were named are served, only while they are frozen, and only to those who have
/// the token. `areas fetch` brings one into an area over there; any client of Arrow Flight reads
/// them, tables that Python put (areas.arrow.put) with their own schema, all else as a column of
/// bytes. It serves until a signal ends it, and holds areas only while it sends them. The program
/// areas-flight does it, which `cargo xtask install` brings.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas serve model    # at a free port of 127.0.0.1; the token is in ~/.config/areas/flight.token
  areas serve 'models/*' --listen 10.0.0.1:7070 --tls-cert cert.pem --tls-key key.pem")]
pub(crate) struct Serve {
    /// Names, and patterns of names with `*`, `?` and `[…]`, also of areas to come: `name:a*` is a
    /// name always, `hex:ff` its bytes
    #[arg(value_name = "NAME", required_unless_present = "all")]
    pub(crate) names: Vec<OsString>,
    /// All frozen areas of this registry, also those to come
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    /// The address and the port; port 0 is a free one. Without --tls-cert nothing is encrypted: not
    /// the bytes, and not the token
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub(crate) listen: String,
    /// The file with the token, made with a new one if it is not there [default:
    /// ~/.config/areas/flight.token]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
    /// Encrypt all that comes and goes (TLS): the server's certificate, in PEM, and those that
    /// vouch for it
    #[arg(long, value_name = "FILE", requires = "tls_key", value_hint = clap::ValueHint::FilePath)]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM; refused if others may read it
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_hint = clap::ValueHint::FilePath)]
    pub(crate) tls_key: Option<PathBuf>,
    /// Cut off a client that takes less than that a second, while memory is held for it; 0: never
    /// [default: 1K]
    #[arg(long, value_name = "SIZE")]
    pub(crate) min_rate: Option<Bytes>,
    /// For --min-rate: on the average of so many seconds, or of those that half a MiB takes at that
    /// rate, where these are more [default: 300]
    #[arg(long, value_name = "SECONDS", value_parser = some_seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Print readiness as JSON, on one line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Fetch an area from another machine, publish it here, and hold it
///
/// It comes into a new area of its size, all of whose pages were taken first, where they are
/// wanted. Then it is frozen, compared with the checksum that the server sent, and published: a
/// process that finds it finds all of it. Where a connection fails, it goes on where it was. An
/// area of this machine and registry is not sent at all but cloned, unless it is to be placed
/// elsewhere. The program areas-flight does it, which `cargo xtask install` brings.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas fetch 10.0.0.1:7070/model --token-file token
  areas fetch grpc+tls://host:7070/model --token-file token --tls-ca ca.pem
  areas fetch 10.0.0.1:7070/model --name model --policy interleave -- python serve.py")]
pub(crate) struct Fetch {
    /// The server, and the area's name there: `hex:ff` gives its bytes
    #[arg(value_name = "HOST:PORT/NAME")]
    pub(crate) location: OsString,
    /// The name that others find it by here; without it, the one that it has there
    #[arg(long, value_parser = OsStringValueParser::new().try_map(name))]
    pub(crate) name: Option<Name>,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
    /// How many connections at most, each for a part of it
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) streams: u8,
    /// Refuse what is larger
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<Bytes>,
    /// Have it sent also where it is an area of this machine and registry
    #[arg(long)]
    pub(crate) copy: bool,
    #[command(flatten)]
    pub(crate) publishing: Publishing,
    #[command(flatten)]
    pub(crate) holding: Holding,
    #[command(flatten)]
    pub(crate) placing: Placing,
}

/// What is said of a server.
#[derive(Debug, clap::Args)]
pub(crate) struct Reaching {
    /// The file with the server's token; of servers at this machine's own addresses (127.0.0.1) it
    /// is the one that they make by default
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
    /// Encrypt, and trust a server for which these certificates vouch (PEM); without it, as for
    /// `grpc+tls://HOST:PORT`, those that the machine trusts
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Give up after so many seconds in which nothing comes [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = some_seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Give up where less than that comes a second, on the average of that time; 0: never [default:
    /// 1K]
    #[arg(long, value_name = "SIZE")]
    pub(crate) min_rate: Option<Bytes>,
    /// Give up after so many seconds, however much has come
    #[arg(long, value_name = "SECONDS", value_parser = some_seconds)]
    pub(crate) max_time: Option<Duration>,
}
