//! `DoGet`: sends an area's own memory, none of it copied; and not to a client that pins it without
//! reading.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_flight::Ticket;
use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as _, Frame};
use prost::Message as _;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;

use super::accept::Line;
use super::admit::Admission;
use super::service::Service;
use super::stream::Messages;
use crate::{complain, grpc};

/// No request is larger: a name, or a ticket.
pub(crate) const MAX_REQUEST: usize = 64 << 10;
/// A request is short: it is there at once, or there is something wrong.
const REQUEST: Duration = Duration::from_secs(20);
/// So much is handed to the connection at a time.
const PIECE: usize = 256 << 10;

/// What a client takes at least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Least {
    /// Bytes a second,
    pub(crate) rate: u64,
    /// on the average of so long.
    pub(crate) window: Duration,
}

/// `DoGet` by itself, everything else by what tonic makes of the service.
#[derive(Clone, Debug)]
pub(crate) struct Calls<S> {
    pub(crate) others: S,
    pub(crate) service: Service,
    pub(crate) admission: Admission,
    pub(crate) least: Least,
    pub(crate) quiet: bool,
}

impl<S: NamedService> NamedService for Calls<S> {
    const NAME: &'static str = S::NAME;
}

type Response = http::Response<Body>;

impl<S, B> tower_service::Service<http::Request<Body>> for Calls<S>
where
    S: tower_service::Service<http::Request<Body>, Response = http::Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.others.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != grpc::DO_GET {
            let answer = self.others.call(request);
            return Box::pin(async { Ok(answer.await?.map(Body::new)) });
        }
        let (service, admission) = (self.service.clone(), self.admission.clone());
        let (least, quiet) = (self.least, self.quiet);
        Box::pin(async move {
            let answered = answer(request, &service, &admission, least, quiet).await;
            Ok(answered.unwrap_or_else(Status::into_http))
        })
    }
}

async fn answer(
    request: http::Request<Body>,
    service: &Service,
    admission: &Admission,
    least: Least,
    quiet: bool,
) -> Result<Response, Status> {
    let line = admission.admit(
        request.headers().get(http::header::AUTHORIZATION).map(http::HeaderValue::as_bytes),
        request.extensions(),
    )?;
    let asked = tokio::time::timeout(REQUEST, ticket(request.into_body())).await;
    let ticket = asked.map_err(|_| Status::deadline_exceeded("the request did not come whole"))??;
    let messages = service.messages(&ticket.ticket).await?;
    let taken = Arc::new(Taken::default());
    if let Some(line) = line.filter(|_| least.rate > 0) {
        tokio::spawn(watch(Arc::downgrade(&taken), line, least, quiet));
    }
    let mut response = http::Response::new(Body::new(Sending::new(messages, taken)));
    let kind = http::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    Ok(response)
}

/// The one message of a request.
async fn ticket(body: Body) -> Result<Ticket, Status> {
    let refused = |text: &str| Status::invalid_argument(text);
    let mut body = pin!(body);
    let mut bytes = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        if let Ok(data) = frame?.into_data() {
            if bytes.len() + data.len() > MAX_REQUEST {
                return Err(Status::out_of_range(format!("a request has {MAX_REQUEST} bytes at most")));
            }
            bytes.extend_from_slice(&data);
        }
    }
    let prefix = bytes.first_chunk().copied().ok_or_else(|| refused("the request has no message"))?;
    bytes.advance(grpc::PREFIX);
    match grpc::length_of(prefix) {
        Some(length) if length == bytes.len() => Ticket::decode(bytes.freeze())
            .map_err(|error| refused(&format!("the request is not a ticket: {error}"))),
        _ => Err(refused("the request is not one message, or it is compressed")),
    }
}

/// How much of what was handed to the connection has left for the client's kernel.
#[derive(Debug, Default)]
struct Taken(AtomicU64);

/// A part of the area on its way: counted once it is not needed any more.
struct Piece {
    bytes: Bytes,
    taken: Arc<Taken>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.taken.0.fetch_add(self.bytes.len() as u64, Ordering::Relaxed);
    }
}

/// Ends the connection of a client that takes too little. `taken` is there as long as anything of
/// the area is on its way.
async fn watch(taken: Weak<Taken>, line: Arc<Line>, least: Least, quiet: bool) {
    let enough = least.rate.saturating_mul(least.window.as_secs().max(1));
    // A piece that is on its way is not seen to move.
    let slowest = Duration::from_secs((2 * PIECE as u64).div_ceil(least.rate));
    let window = if enough >= 2 * PIECE as u64 { least.window } else { least.window.max(slowest) };
    let mut before = 0;
    loop {
        tokio::time::sleep(window).await;
        let Some(now) = taken.upgrade().map(|taken| taken.0.load(Ordering::Relaxed)) else { return };
        if now - before < enough {
            if !quiet {
                let (seconds, took) = (window.as_secs(), areas::Bytes(now - before));
                complain(&format!(
                    "client {} is cut off: it took {took:#} in {seconds} s (`--min-rate` says how few are too few)",
                    line.peer
                ));
            }
            return line.cut();
        }
        before = now;
    }
}

/// The answer: the messages, and that they are all.
struct Sending {
    messages: Messages,
    parts: VecDeque<Bytes>,
    ended: bool,
    taken: Arc<Taken>,
}

impl Sending {
    fn new(messages: Messages, taken: Arc<Taken>) -> Self {
        Sending { messages, parts: VecDeque::new(), ended: false, taken }
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        let part = self.parts.front_mut()?;
        let piece = part.split_to(part.len().min(PIECE));
        if part.is_empty() {
            self.parts.pop_front();
        }
        Some(Bytes::from_owner(Piece { bytes: piece, taken: Arc::clone(&self.taken) }))
    }
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        loop {
            if let Some(piece) = this.next_piece() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let end = match this.messages.next() {
                Some(data) => match grpc::head_of(&data) {
                    Some(head) => {
                        let parts = [head, data.data_body].into_iter();
                        this.parts.extend(parts.filter(|part| !part.is_empty()));
                        continue;
                    }
                    None => {
                        Status::out_of_range("a batch of the table is longer than a message can be: 4 GiB")
                    }
                },
                None => Status::ok(""),
            };
            this.ended = true;
            let mut trailers = HeaderMap::new();
            // It is a code and, perhaps, a text of letters.
            let _ = end.add_header(&mut trailers);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
    }
}
