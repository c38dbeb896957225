//! A server, as the client sees it: connections, encrypted or not, with the token, within a time.

use std::time::Duration;

use areas::{Error, ErrorKind, Name, Result};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightDescriptor, FlightInfo, Ticket};
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE, TE};
use tonic::body::Body;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tower_service::Service as _;

use super::answer::{Answer, before};
use super::incoming::Incoming;
use super::pace::Pace;
use crate::args::Reaching;
use crate::failure::{in_words, of_status};
use crate::place::{Place, Scheme};
use crate::token::{self, Token};
use crate::wire::{self, Ask, Offered};
use crate::{grpc, tls};

/// A connection that says nothing for so long is given up, and another one is tried.
const SILENCE: Duration = Duration::from_secs(10);
/// What may be on its way: enough for a fast network.
const WINDOW: u32 = 8 << 20;
/// A frame of HTTP/2: a larger one is collected before any of it is seen, smaller ones are more
/// calls of the kernel.
const FRAME: u32 = 256 << 10;
/// What is reported of an area is no larger: its schema, mostly.
const MAX_MESSAGE: usize = 16 << 20;

pub(crate) type Client = FlightServiceClient<InterceptedService<Channel, Auth>>;

/// Adds the token to each call.
#[derive(Clone, Debug)]
pub(crate) struct Auth(Option<MetadataValue<Ascii>>);

impl Interceptor for Auth {
    fn call(&mut self, mut request: Request<()>) -> std::result::Result<Request<()>, Status> {
        if let Some(header) = &self.0 {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}

/// A server.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) place: Place,
    endpoint: Endpoint,
    encrypted: bool,
    auth: Auth,
    /// For how long nothing may come before it is given up.
    pub(crate) timeout: Duration,
    /// How long it may say nothing in one call.
    silence: Duration,
    /// How slow it may be.
    pub(crate) pace: Pace,
}

/// A connection: for what tonic asks, and for what it brings.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    channel: Channel,
}

/// What a server says of an area.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// It is one of ours.
    Ours(Offered),
    /// Of another server: what Flight has of it.
    Foreign(Box<FlightInfo>),
}

impl Peer {
    /// A server, of which each call is waited for as long as `timeout` is, or [`SILENCE`] where
    /// another connection would be tried then.
    pub(crate) fn new(place: Place, reaching: &Reaching, tries_again: bool) -> Result<Self> {
        let failed =
            |detail: String| Error::new(ErrorKind::InvalidInput, format!("reach {place}")).with_facts(detail);
        let encrypted = match (place.scheme, &reaching.tls_ca) {
            (Some(Scheme::Plain), Some(_)) => {
                return Err(failed("grpc:// is not encrypted, and certificates were named".to_owned())
                    .with_remedy("say `grpc+tls://HOST:PORT`, or leave `--tls-ca` out"));
            }
            (scheme, ca) => scheme == Some(Scheme::Tls) || ca.is_some(),
        };
        let endpoint =
            Endpoint::from_shared(place.uri(encrypted)).map_err(|error| failed(error.to_string()))?;
        let endpoint = match encrypted {
            true => endpoint
                .tls_config(tls::of_client(reaching.tls_ca.as_deref(), 2 * reaching.timeout)?)
                .map_err(|error| {
                    let path = reaching.tls_ca.as_deref().unwrap_or(std::path::Path::new(""));
                    failed(in_words(&error))
                        .with_remedy(format!("are there certificates in PEM in {path:?}?"))
                })?,
            false => endpoint,
        };
        let silence = if tries_again { SILENCE.min(reaching.timeout) } else { reaching.timeout };
        let endpoint = endpoint
            .tcp_nodelay(true)
            .http2_keep_alive_interval(silence)
            .keep_alive_timeout(silence)
            .max_frame_size(FRAME)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        let header = token_of(&place, reaching)?.map(|token| {
            let mut header =
                MetadataValue::try_from(token.header()).map_err(|error| failed(error.to_string()))?;
            header.set_sensitive(true);
            Ok::<_, Error>(header)
        });
        Ok(Peer {
            place: place.clone(),
            endpoint,
            encrypted,
            auth: Auth(header.transpose()?),
            timeout: reaching.timeout,
            silence,
            pace: Pace { least: reaching.min_rate.0, window: reaching.timeout, whole: reaching.max_time },
        })
    }

    pub(crate) async fn connect(&self) -> std::result::Result<Connection, Status> {
        let failed = |error: tonic::transport::Error| Status::from_error(error.into());
        let channel = self.within(async { self.endpoint.connect().await.map_err(failed) }).await?;
        let client = FlightServiceClient::with_interceptor(channel.clone(), self.auth.clone());
        Ok(Connection { client: client.max_decoding_message_size(MAX_MESSAGE), channel })
    }

    /// Begins a `DoGet`.
    pub(crate) async fn get(
        &self,
        connection: &mut Connection,
        ticket: &Ticket,
    ) -> std::result::Result<Incoming, Status> {
        let mut request = http::Request::new(Body::new(Whole(Some(grpc::message(ticket)))));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = http::Uri::from_static(grpc::DO_GET);
        *request.version_mut() = http::Version::HTTP_2;
        let headers = request.headers_mut();
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        if let Some(token) =
            self.auth.0.as_ref().and_then(|token| HeaderValue::from_bytes(token.as_bytes()).ok())
        {
            headers.insert(AUTHORIZATION, token);
        }
        let channel = &mut connection.channel;
        let answer = self.within(async {
            let failed = |error: tonic::transport::Error| Status::from_error(error.into());
            std::future::poll_fn(|cx| channel.poll_ready(cx)).await.map_err(failed)?;
            channel.call(request).await.map_err(failed)
        });
        Incoming::new(answer.await?, self.silence)
    }

    /// What comes of a call, if it comes before the server has said nothing for too long.
    pub(crate) async fn within<T>(&self, call: impl Answer<T>) -> std::result::Result<T, Status> {
        before(self.silence, call).await
    }

    /// Asks for an area: as our servers understand it, or else as any does. To compute a checksum
    /// takes a while.
    pub(crate) async fn ask(&self, client: &mut Client, name: &Name) -> std::result::Result<Found, Status> {
        let ours = FlightDescriptor::new_cmd(wire::encode(&Ask::new(name)));
        let refused = match before(self.timeout, client.get_flight_info(ours)).await {
            Ok(info) => match wire::decode(&info.get_ref().app_metadata) {
                Some(offered) => return Ok(Found::Ours(offered)),
                None => Status::not_found(""),
            },
            // Of the connection, or of the token: a second question has no other answer. Ours is
            // exact.
            Err(status) if !speaks_otherwise(&status) => return Err(status),
            Err(status) => status,
        };
        let Ok(path) = std::str::from_utf8(name.as_bytes()) else { return Err(refused) };
        let theirs = FlightDescriptor::new_path(vec![path.to_owned()]);
        let info = before(self.timeout, client.get_flight_info(theirs)).await?;
        Ok(Found::Foreign(Box::new(info.into_inner())))
    }

    pub(crate) fn failed(&self, what: &str, status: &Status) -> Error {
        let error = of_status(what.to_owned(), status);
        let error = match status.code() {
            Code::Unavailable if status.message().is_empty() => error.with_facts("the connection failed"),
            _ => error,
        };
        match self.about_encryption(error.facts().unwrap_or_default()) {
            Some(help) => error.with_remedy(help),
            None => error,
        }
    }

    /// What to do where one side encrypts and the other does not, and where it is not believed.
    /// (What rustls and h2 say of it is in the tests.)
    fn about_encryption(&self, said: &str) -> Option<String> {
        match self.encrypted {
            true if said.contains("InvalidContentType") => {
                Some(format!("the server does not encrypt, it seems: nothing was sent to it; `areas serve --tls-cert F --tls-key F` does ({})", self.place))
            }
            true if ["UnknownIssuer", "BadSignature", "CaUsedAsEndEntity"].iter().any(|why| said.contains(why)) => Some(
                "`--tls-ca F` names the file with the certificate that signed the server's, copied from there"
                    .to_owned(),
            ),
            true if said.contains("Expired") || said.contains("NotValidYet") => {
                Some("it needs a new certificate, unless the clock here or there is wrong".to_owned())
            }
            true if said.contains("not valid for name") => {
                Some("call the server by a name, or an address, that its certificate has".to_owned())
            }
            false if said.contains("frame with invalid size") || said.contains("FRAME_SIZE_ERROR") => Some(format!(
                "the server encrypts, it seems: `grpc+tls://{}/…`, with `--tls-ca F`",
                self.place
            )),
            // Whoever closes the connection before his answer is read says no more than that.
            false if CLOSED.iter().any(|why| said.contains(why)) => Some(format!(
                "it closed the connection; if the server encrypts: `grpc+tls://{}/…`, with `--tls-ca F`",
                self.place
            )),
            _ => None,
        }
    }
}

/// What hyper and h2 say where a server that was asked in plain ends the connection, as one does
/// that encrypts.
const CLOSED: [&str; 4] =
    ["broken pipe", "Connection reset by peer", "operation was canceled", "connection closed"];

/// All of a request, at once.
struct Whole(Option<bytes::Bytes>);

impl http_body::Body for Whole {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<std::result::Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

/// Whether a server may have refused what it did not understand.
fn speaks_otherwise(status: &Status) -> bool {
    !matches!(
        status.code(),
        Code::Unauthenticated
            | Code::PermissionDenied
            | Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
    ) && !status.message().contains("nothing is offered under that name")
        && !status.message().contains("it is not frozen")
}

/// The token in the file that was named. Without one, the one in the usual file goes to servers of
/// this machine, and to no others.
fn token_of(place: &Place, reaching: &Reaching) -> Result<Option<Token>> {
    match (&reaching.token_file, token::default_path().filter(|_| place.is_loopback())) {
        (Some(path), _) => Token::read(path)?.map(Some).ok_or_else(|| {
            Error::new(ErrorKind::Io, format!("read a token from {path:?}"))
                .with_facts("no such file or directory")
                .with_remedy("copy it from the server's machine: the server prints its path")
        }),
        (None, Some(path)) => Token::read(&path),
        (None, None) => Ok(None),
    }
}
