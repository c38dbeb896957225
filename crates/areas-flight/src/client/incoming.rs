//! What a `DoGet` brings: one message of Flight after the other, of which only the head is
//! collected. Its body is handed on in the parts in which it came from the connection, so that it
//! is copied once: into the area.

use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body as _;
use tonic::body::Body;
use tonic::{Code, Status};

use super::answer::before;
use crate::grpc::{self, PREFIX};

/// The head of a message of Arrow is as large as its schema, or as the table has columns. More
/// makes no sense.
const MAX_HEADER: usize = 16 << 20;

/// Why nothing more comes.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The connection failed, or the server says why.
    Failed(Status),
    /// What came makes no sense.
    Nonsense(String),
}

impl From<Status> for Ended {
    fn from(status: Status) -> Self {
        Ended::Failed(status)
    }
}

type Result<T> = std::result::Result<T, Ended>;

/// The beginning of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Arrow's header.
    pub(crate) header: Bytes,
    /// So many bytes follow.
    pub(crate) body: usize,
}

/// An answer that is on its way.
#[derive(Debug)]
pub(crate) struct Incoming {
    answer: Body,
    /// For how long nothing may come.
    silence: Duration,
    /// What came and was not read yet.
    came: Bytes,
    /// Of the message that is read, so much is left,
    left: usize,
    /// and of its body.
    body: usize,
    /// The server has said that this is all.
    ended: bool,
}

impl Incoming {
    pub(crate) fn new(answer: http::Response<Body>, silence: Duration) -> std::result::Result<Self, Status> {
        let (parts, answer) = answer.into_parts();
        if parts.status != http::StatusCode::OK {
            return Err(Status::unknown(format!("it answers with HTTP's {}", parts.status)));
        }
        match status_in(parts.headers) {
            Some(status) if status.code() != Code::Ok => Err(status),
            said => {
                Ok(Incoming { answer, silence, came: Bytes::new(), left: 0, body: 0, ended: said.is_some() })
            }
        }
    }

    /// The next message; what of the last one was not read is passed over. `None`: the server says
    /// that it was all.
    pub(crate) async fn head(&mut self) -> Result<Option<Head>> {
        self.body = 0;
        while self.left > 0 {
            self.some(self.left).await?;
        }
        if !self.fill().await? {
            return Ok(None);
        }
        let mut prefix = [0; PREFIX];
        self.left = PREFIX;
        for byte in &mut prefix {
            *byte = self.byte().await?;
        }
        self.left = grpc::length_of(prefix).ok_or_else(|| nonsense("a message is compressed"))?;
        let mut header = Bytes::new();
        while self.left > 0 {
            let key = self.number().await?;
            match (u32::try_from(key >> 3), key & 7) {
                (Ok(grpc::HEADER), 2) if header.is_empty() => {
                    let length = self.length().await?;
                    if length > MAX_HEADER {
                        return Err(nonsense(&format!("the head of a message has {length} bytes")));
                    }
                    header = self.all(length).await?;
                }
                (Ok(grpc::BODY), 2) => {
                    self.body = self.length().await?;
                    return Ok(Some(Head { header, body: self.body }));
                }
                (_, 0) => _ = self.number().await?,
                (_, 1) => self.pass(8).await?,
                (Ok(1..), 2) => {
                    let length = self.length().await?;
                    self.pass(length).await?;
                }
                (_, 5) => self.pass(4).await?,
                _ => return Err(nonsense("a message is none of Flight's")),
            }
        }
        Ok(Some(Head { header, body: 0 }))
    }

    /// The next part of the message's body, as it came; `None` at its end.
    pub(crate) async fn part(&mut self) -> Result<Option<Bytes>> {
        if self.body == 0 {
            return Ok(None);
        }
        let part = self.some(self.body).await?;
        self.body -= part.len();
        Ok(Some(part))
    }

    async fn pass(&mut self, mut len: usize) -> Result<()> {
        while len > 0 {
            len -= self.some(len).await?.len();
        }
        Ok(())
    }

    async fn all(&mut self, len: usize) -> Result<Bytes> {
        let first = self.some(len).await?;
        if first.len() == len {
            return Ok(first);
        }
        // As it comes: what is reported of a length is not yet there.
        let mut all = BytesMut::from(&first[..]);
        while all.len() < len {
            all.extend_from_slice(&self.some(len - all.len()).await?);
        }
        Ok(all.freeze())
    }

    /// A length, within the message.
    async fn length(&mut self) -> Result<usize> {
        let length = self.number().await?;
        let length = usize::try_from(length).ok().filter(|&length| length <= self.left);
        length.ok_or_else(|| nonsense("a part of a message is longer than the message"))
    }

    /// A number in protobuf's form.
    async fn number(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte().await?;
            // Bits beyond the 64th are lost, as anywhere.
            number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(nonsense("a number in a message has no end"))
    }

    async fn byte(&mut self) -> Result<u8> {
        Ok(self.some(1).await?.first().copied().unwrap_or_default())
    }

    /// One byte at least and so many at most, of the message that is read.
    async fn some(&mut self, most: usize) -> Result<Bytes> {
        if self.left == 0 {
            return Err(nonsense("a message ends in the middle of a part"));
        }
        if !self.fill().await? {
            return Err(nonsense("the answer ends in the middle of a message"));
        }
        let some = self.came.split_to(most.min(self.left).min(self.came.len()));
        self.left -= some.len();
        Ok(some)
    }

    /// Waits until something has come; whether something has.
    async fn fill(&mut self) -> Result<bool> {
        while !self.came.has_remaining() && !self.ended {
            let answer = &mut self.answer;
            let next = std::future::poll_fn(|cx| Pin::new(&mut *answer).poll_frame(cx));
            let frame = before(self.silence, async { next.await.transpose() }).await?;
            let frame = frame
                .ok_or_else(|| Status::unknown("the answer ended, and it was not said that it is all"))?;
            match frame.into_data() {
                Ok(data) => self.came = data,
                Err(frame) => {
                    let status = frame.into_trailers().ok().and_then(status_in);
                    match status {
                        Some(status) if status.code() == Code::Ok => self.ended = true,
                        Some(status) => return Err(status.into()),
                        None => return Err(nonsense("the answer ends with nothing that gRPC knows")),
                    }
                }
            }
        }
        Ok(self.came.has_remaining())
    }
}

/// What headers say of how it ended.
fn status_in(mut headers: HeaderMap) -> Option<Status> {
    // No process here reads them, and tonic panics where they are not in base64.
    headers.remove("grpc-status-details-bin");
    Status::from_header_map(&headers)
}

fn nonsense(detail: &str) -> Ended {
    Ended::Nonsense(detail.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::task::{Context, Poll};

    use arrow_flight::FlightData;
    use http_body::Frame;
    use proptest::prelude::*;

    use super::*;

    /// An answer in these frames.
    struct Frames(VecDeque<Frame<Bytes>>);

    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }
    }

    fn trailers(code: &'static str) -> Frame<Bytes> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", http::HeaderValue::from_static(code));
        Frame::trailers(headers)
    }

    /// All messages of an answer, whose bytes come in pieces of that size.
    fn read(bytes: &[u8], piece: usize, end: Option<Frame<Bytes>>) -> Result<Vec<(Bytes, Vec<u8>)>> {
        let frames = bytes.chunks(piece).map(|chunk| Frame::data(Bytes::copy_from_slice(chunk))).chain(end);
        let answer = http::Response::new(Body::new(Frames(frames.collect())));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut incoming = Incoming::new(answer, Duration::from_secs(9)).unwrap();
            let mut all = Vec::new();
            while let Some(head) = incoming.head().await? {
                let mut body = Vec::new();
                while let Some(part) = incoming.part().await? {
                    body.extend_from_slice(&part);
                }
                assert_eq!(body.len(), head.body);
                all.push((head.header, body));
            }
            Ok(all)
        })
    }

    fn stream() -> (Vec<FlightData>, Vec<u8>) {
        let data = |header: usize, body: usize| {
            let data = FlightData::new().with_data_header(vec![1; header]).with_data_body(vec![2; body]);
            data.with_app_metadata(vec![3; body % 7])
        };
        let all: Vec<_> = [data(3, 0), data(200, 300), data(0, 0), data(4, 2000)].to_vec();
        let bytes = all.iter().flat_map(grpc::message).collect();
        (all, bytes)
    }

    #[test]
    fn messages_come_whole_in_whatever_pieces() {
        let (sent, bytes) = stream();
        for piece in [1, 2, 7, 128, 1 << 20] {
            let came = read(&bytes, piece, Some(trailers("0"))).unwrap();
            assert_eq!(came.len(), sent.len());
            for (sent, (header, body)) in sent.iter().zip(came) {
                assert_eq!((&sent.data_header, &sent.data_body[..]), (&header, &body[..]));
            }
        }
    }

    #[test]
    fn how_it_ends_is_reported() {
        let (_, bytes) = stream();
        let cut = read(&bytes[..bytes.len() - 1], 64, Some(trailers("0"))).unwrap_err();
        assert!(
            matches!(&cut, Ended::Nonsense(words) if words.contains("in the middle of a message")),
            "{cut:?}"
        );
        for end in [None, Some(trailers("14"))] {
            assert!(matches!(read(&bytes, 64, end), Err(Ended::Failed(_))));
        }
        assert!(matches!(read(&bytes, 64, Some(Frame::trailers(HeaderMap::new()))), Err(Ended::Nonsense(_))));
    }

    proptest! {
        #[test]
        fn spoilt_answers_are_refused_or_read(
            spoilt in prop::collection::vec((0_usize..3000, any::<u8>()), 1..8),
            piece in 1_usize..3000,
        ) {
            let (_, mut bytes) = stream();
            for (at, value) in spoilt {
                let len = bytes.len();
                bytes[at % len] = value;
            }
            // Neither more than there is nor forever; what it is does not matter.
            let _ = read(&bytes, piece, Some(trailers("0")));
        }
    }
}
