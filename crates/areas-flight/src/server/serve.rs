//! `areas serve`: listens, says so, and answers until a signal comes.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use areas::{Error, ErrorKind, Result};
use arrow_flight::flight_service_server::FlightServiceServer;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Server, ServerTlsConfig};

use super::accept::Accepted;
use super::admit::Admission;
use super::allow::Offer;
use super::get::{Calls, Least, MAX_REQUEST};
use super::service::Service;
use crate::allowed::Allowed;
use crate::args::Serve;
use crate::failure::{in_words, io_error};
use crate::token::{self, Token};
use crate::{complain, print, runtime, tls, wire, worker};

/// So many calls on one connection at once.
const MAX_STREAMS: u32 = 64;
/// What a client may send before it is read: names and tickets are short.
const WINDOW: u32 = 1 << 20;
/// A client of which nothing is heard for so long is asked whether it is there, and has as long to
/// answer.
const SILENCE: Duration = Duration::from_secs(20);

pub(crate) fn run(serve: Serve) -> Result<ExitCode> {
    serves(&serve).inspect_err(|error| {
        if serve.json_errors {
            // One that cannot be notified gets it on the standard error.
            let _ = worker::say_failed(error);
        }
    })
}

fn serves(serve: &Serve) -> Result<ExitCode> {
    let encryption = serve.tls_cert.as_deref().zip(serve.tls_key.as_deref());
    let encryption = encryption.map(|(cert, key)| tls::of_server(cert, key)).transpose()?;
    let offer = Arc::new(Offer::new(if serve.all { vec![Allowed::All] } else { serve.names.clone() }));
    offer.check()?;
    let path = token_path(serve)?;
    let token = Token::read_or_make(&path)?;
    let listener = listen(serve.listen)?;
    let address = listener.local_addr().map_err(|error| io_error("ask for the port", error))?;
    if serve.while_stdin {
        end_with_input()?;
    }
    let ready = |offer: &Offer| print_ready(serve, offer, address, &path);
    runtime()?.block_on(answer(serve, encryption, offer, token, listener, ready))
}

/// Ends this process when its standard input ends.
fn end_with_input() -> Result<()> {
    let watch = || {
        let ended = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(i32::from(ended.is_err()));
    };
    let started = std::thread::Builder::new().name("watch".to_owned()).spawn(watch);
    started.map(drop).map_err(|error| io_error("watch the standard input", error))
}

fn token_path(serve: &Serve) -> Result<PathBuf> {
    serve.token_file.clone().or_else(token::default_path).ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, "find the token's file")
            .with_facts("neither XDG_CONFIG_HOME nor HOME is set")
            .with_remedy("name one: `--token-file F`")
    })
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener =
        TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|error| {
        io_error(format!("listen at {address}"), error).with_remedy("`--listen ADDRESS:0` takes a free port")
    })
}

/// Until a signal ends it.
async fn answer(
    serve: &Serve,
    encryption: Option<ServerTlsConfig>,
    offer: Arc<Offer>,
    token: Token,
    listener: TcpListener,
    ready: impl FnOnce(&Offer) -> Result<()>,
) -> Result<ExitCode> {
    let what = || format!("serve at {}", serve.listen);
    let failed = |error| io_error(what(), error);
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    let service = Service::new(Arc::clone(&offer));
    let admission = Admission(Arc::new(token));
    let others = FlightServiceServer::new(service.clone())
        .max_decoding_message_size(MAX_REQUEST)
        .max_encoding_message_size(usize::MAX);
    let others = InterceptedService::new(others, {
        let admission = admission.clone();
        move |request| admission.intercept(request)
    });
    let least = Least { rate: serve.min_rate.0, window: serve.timeout };
    let calls = Calls { others, service, admission, least, quiet: serve.quiet };
    let mut server = Server::builder();
    if let Some(encryption) = encryption {
        server = server.tls_config(encryption).map_err(|error| {
            let of = |path: &Option<PathBuf>| path.as_deref().unwrap_or(Path::new("")).to_owned();
            Error::new(
                ErrorKind::InvalidInput,
                format!("encrypt with {:?} and {:?}", of(&serve.tls_cert), of(&serve.tls_key)),
            )
            .with_facts(in_words(&error))
            .with_remedy("the key is to be that of the first certificate in the file")
        })?;
    }
    let serving = server
        .max_concurrent_streams(MAX_STREAMS)
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .http2_keepalive_interval(Some(SILENCE))
        .http2_keepalive_timeout(Some(SILENCE))
        .add_service(calls)
        .serve_with_incoming(Accepted::from(listener));
    ready(&offer)?;
    // What is on its way is cut off: whoever fetches distinguishes that from an end.
    let code = tokio::select! {
        ended = serving => {
            ended.map_err(|error| Error::new(ErrorKind::Io, what()).caused_by(error))?;
            1
        }
        _ = hangup.recv() => 128 + 1,
        _ = interrupt.recv() => 128 + 2,
        _ = terminate.recv() => 128 + 15,
    };
    Ok(ExitCode::from(code))
}

/// That it serves.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    schema: u32,
    event: &'static str,
    address: String,
    port: u16,
    token_file: &'a str,
    tls: bool,
    areas: Vec<String>,
    pid: u32,
}

fn print_ready(serve: &Serve, offer: &Offer, address: SocketAddr, token: &Path) -> Result<()> {
    let encrypted = serve.tls_cert.is_some();
    if !address.ip().is_loopback() && !encrypted && !serve.quiet {
        complain(&format!(
            "the token and the bytes can be read on the network to {address}: they are not encrypted (`--tls-cert F --tls-key F` encrypts them, as a tunnel of ssh or WireGuard does)"
        ));
    }
    let offered = offer.list()?;
    let names =
        offered.iter().map(|opened| String::from_utf8_lossy(opened.info.name.as_bytes()).into_owned());
    if serve.json {
        let ready = Ready {
            schema: 1,
            event: "serving",
            address: address.ip().to_string(),
            port: address.port(),
            token_file: &token.to_string_lossy(),
            tls: encrypted,
            areas: names.collect(),
            pid: std::process::id(),
        };
        return print(&String::from_utf8_lossy(&wire::encode(&ready)));
    }
    let scheme = if encrypted { "grpc+tls://" } else { "" };
    match serve.quiet {
        true => print(&format!("{scheme}{address}")),
        false => {
            let (count, noun) = (offered.len(), if offered.len() == 1 { "area" } else { "areas" });
            print(&format!(
                "{count} frozen {noun} served at {scheme}{address} by process {} until it ends; the token is in {token:?}",
                std::process::id()
            ))
        }
    }
}
