//! A server, as the client sees it: connections, with the token, within a time.

use std::time::Duration;

use areas::{Error, Kind, Name, Result};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightDescriptor, FlightInfo};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::args::Reaching;
use crate::failure::of_status;
use crate::place::Place;
use crate::token::{self, Token};
use crate::wire::{self, Ask, CHUNK, Offered};

/// A connection that says nothing for so long is given up, and another one is tried.
const SILENCE: Duration = Duration::from_secs(10);
/// What may be on its way: enough for a fast network.
const WINDOW: u32 = 8 << 20;
/// Of our server's messages: a chunk, and what is around it.
pub(crate) const MOST_MESSAGE: usize = CHUNK + (64 << 10);

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
    auth: Auth,
    /// For how long nothing may come before it is given up.
    pub(crate) patience: Duration,
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
    pub(crate) fn new(place: Place, reaching: &Reaching) -> Result<Self> {
        let failed = |detail: String| Error::new(Kind::InvalidInput, format!("reach {place}")).detail(detail);
        let endpoint = Endpoint::from_shared(place.uri()).map_err(|error| failed(error.to_string()))?;
        let silence = SILENCE.min(reaching.timeout);
        let endpoint = endpoint
            .connect_timeout(silence)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(silence)
            .keep_alive_timeout(silence)
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
            auth: Auth(header.transpose()?),
            patience: reaching.timeout,
        })
    }

    pub(crate) async fn connect(&self, most: usize) -> std::result::Result<Client, Status> {
        let channel = self.endpoint.connect().await;
        let channel = channel.map_err(|error| Status::from_error(error.into()))?;
        let client = FlightServiceClient::with_interceptor(channel, self.auth.clone());
        Ok(client.max_decoding_message_size(most))
    }

    /// What comes of a call, if it comes before the server has said nothing for too long.
    pub(crate) async fn within<T>(&self, call: impl Answer<T>) -> std::result::Result<T, Status> {
        before(SILENCE.min(self.patience), call).await
    }

    /// Asks for an area: as our servers understand it, or else as any does. To compute a checksum takes a while.
    pub(crate) async fn ask(&self, client: &mut Client, name: &Name) -> std::result::Result<Found, Status> {
        let ours = FlightDescriptor::new_cmd(wire::encode(&Ask::new(name)));
        let refused = match before(self.patience, client.get_flight_info(ours)).await {
            Ok(info) => match wire::decode(&info.get_ref().app_metadata) {
                Some(offered) => return Ok(Found::Ours(offered)),
                None => Status::not_found(""),
            },
            // Of the connection, or of the token: a second question has no other answer. Ours is exact.
            Err(status) if !speaks_otherwise(&status) => return Err(status),
            Err(status) => status,
        };
        let Ok(path) = std::str::from_utf8(name.as_bytes()) else { return Err(refused) };
        let theirs = FlightDescriptor::new_path(vec![path.to_owned()]);
        let info = before(self.patience, client.get_flight_info(theirs)).await?;
        Ok(Found::Foreign(Box::new(info.into_inner())))
    }

    pub(crate) fn failed(&self, what: &str, status: &Status) -> Error {
        let error = of_status(what.to_owned(), status);
        match status.code() {
            Code::Unavailable if status.message().is_empty() => error.detail("the connection failed"),
            _ => error,
        }
    }
}

/// A call that is on its way.
pub(crate) trait Answer<T>: Future<Output = std::result::Result<T, Status>> {}

impl<T, F: Future<Output = std::result::Result<T, Status>>> Answer<T> for F {}

/// What comes of a call within that time.
async fn before<T>(limit: Duration, call: impl Answer<T>) -> std::result::Result<T, Status> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(_) => Err(Status::deadline_exceeded(format!("nothing came for {} s", limit.as_secs_f64()))),
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

/// The token in the file that was named. Without one, the one in the usual file goes to servers of this machine, and to no others.
fn token_of(place: &Place, reaching: &Reaching) -> Result<Option<Token>> {
    match (&reaching.token_file, token::default_path().filter(|_| place.is_loopback())) {
        (Some(path), _) => Token::read(path)?.map(Some).ok_or_else(|| {
            Error::new(Kind::Io, format!("read a token from {path:?}"))
                .detail("no such file or directory")
                .help("copy it from where the server runs, which tells its path")
        }),
        (None, Some(path)) => Token::read(&path),
        (None, None) => Ok(None),
    }
}
