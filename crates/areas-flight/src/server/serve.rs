//! `areas serve`: listens, says so, and answers until a signal comes.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use areas::{Error, Kind, Result};
use arrow_flight::flight_service_server::FlightServiceServer;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};

use super::allow::{Allowed, Offer};
use super::service::Service;
use crate::args::Serve;
use crate::failure::io_error;
use crate::token::{self, Token};
use crate::{complain, runtime, wire};

/// No request is larger: a name, or a ticket.
const MOST_REQUEST: usize = 64 << 10;
/// So many calls on one connection at once.
const MOST_STREAMS: u32 = 64;
/// What a connection may have on its way: enough for a fast network.
const WINDOW: u32 = 8 << 20;
/// A frame of HTTP/2: larger ones are fewer.
const FRAME: u32 = 1 << 20;
/// A client of which nothing is heard for so long is asked whether it is there, and has as long to answer.
const SILENCE: Duration = Duration::from_secs(20);

pub(crate) fn run(serve: Serve) -> Result<ExitCode> {
    let offer = Arc::new(Offer::new(if serve.all { vec![Allowed::All] } else { serve.names.clone() }));
    offer.check()?;
    let path = token_path(&serve)?;
    let token = Token::read_or_make(&path)?;
    let listener = listen(serve.listen)?;
    let address = listener.local_addr().map_err(|error| io_error("ask for the port", error))?;
    if serve.while_stdin {
        end_with_input()?;
    }
    runtime()?
        .block_on(answer(&serve, offer, token, listener, |offer| tell_ready(&serve, offer, address, &path)))
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
        Error::new(Kind::InvalidInput, "find the token's file")
            .detail("neither XDG_CONFIG_HOME nor HOME is set")
            .help("name one: `--token-file F`")
    })
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listener =
        TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|error| {
        io_error(format!("listen at {address}"), error).help("`--listen ADDRESS:0` takes a free port")
    })
}

/// Until a signal ends it.
async fn answer(
    serve: &Serve,
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
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let service = FlightServiceServer::new(Service::new(Arc::clone(&offer)))
        .max_decoding_message_size(MOST_REQUEST)
        .max_encoding_message_size(usize::MAX);
    let serving = Server::builder()
        .max_concurrent_streams(MOST_STREAMS)
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .max_frame_size(FRAME)
        .http2_keepalive_interval(Some(SILENCE))
        .http2_keepalive_timeout(Some(SILENCE))
        .add_service(InterceptedService::new(service, move |request| admit(request, &token)))
        .serve_with_incoming(incoming);
    ready(&offer)?;
    // What is on its way is cut off: whoever fetches tells that from an end.
    let code = tokio::select! {
        ended = serving => {
            ended.map_err(|error| Error::new(Kind::Io, what()).caused_by(error))?;
            1
        }
        _ = hangup.recv() => 128 + 1,
        _ = interrupt.recv() => 128 + 2,
        _ = terminate.recv() => 128 + 15,
    };
    Ok(ExitCode::from(code))
}

/// Before anything else of a request is looked at.
fn admit(request: Request<()>, token: &Token) -> std::result::Result<Request<()>, Status> {
    match request.metadata().get("authorization") {
        Some(given) if token.is_in(given.as_bytes()) => Ok(request),
        Some(_) => Err(Status::unauthenticated("the token is not this server's")),
        None => {
            Err(Status::unauthenticated("no token came: the header `authorization` is to be `Bearer TOKEN`"))
        }
    }
}

/// That it serves.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    schema: u32,
    event: &'static str,
    address: String,
    port: u16,
    token_file: &'a str,
    areas: Vec<String>,
    pid: u32,
}

fn tell_ready(serve: &Serve, offer: &Offer, address: SocketAddr, token: &Path) -> Result<()> {
    if !address.ip().is_loopback() && !serve.quiet {
        complain(&format!(
            "whoever can watch the network to {address} sees the token and the bytes: they are not encrypted (a tunnel of ssh or WireGuard would do that)"
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
            areas: names.collect(),
            pid: std::process::id(),
        };
        println!("{}", String::from_utf8_lossy(&wire::encode(&ready)));
        return Ok(());
    }
    match serve.quiet {
        true => println!("{address}"),
        false => {
            let (count, noun) = (offered.len(), if offered.len() == 1 { "area" } else { "areas" });
            println!(
                "{count} frozen {noun} served at {address} by process {} until it ends; the token is in {token:?}",
                std::process::id()
            );
        }
    }
    Ok(())
}
