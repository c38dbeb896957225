//! What a `DoGet` sends: one message after the other, each a part of the area's own memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow_flight::FlightData;
use bytes::Bytes;
use futures_core::Stream;
use tonic::Status;

use crate::ipc::{self, Table};
use crate::wire::CHUNK;

/// It holds the area until its last message has gone, and asks for nothing that could be missing by
/// then.
#[derive(Debug)]
pub(crate) enum Messages {
    Table {
        bytes: Bytes,
        table: Arc<Table>,
        at: usize,
    },
    /// The schema first, then what is left.
    Bytes {
        schema: Option<FlightData>,
        left: Bytes,
    },
}

impl Messages {
    /// The next message.
    pub(crate) fn next(&mut self) -> Option<FlightData> {
        match self {
            Messages::Table { bytes, table, at } => {
                let message = table.message(bytes, *at);
                *at += 1;
                message
            }
            Messages::Bytes { schema, left } => schema.take().or_else(|| {
                let chunk = left.split_to(left.len().min(CHUNK));
                (!chunk.is_empty()).then(|| ipc::batch_of(chunk))
            }),
        }
    }
}

/// All of what is there already.
#[derive(Debug)]
pub(crate) struct Listed<T>(pub(crate) std::vec::IntoIter<T>);

impl<T: Unpin> Stream for Listed<T> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.get_mut().0.next().map(Ok))
    }
}

/// Of calls that are not there: never made.
pub(crate) type Nothing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::Plain;

    #[test]
    fn all_bytes_in_order_and_none_copied() {
        let bytes = Bytes::from(vec![3; CHUNK * 2 + 16]);
        let schema = ipc::schema_message(&ipc::schema_of_bytes("x", None));
        let mut messages = Messages::Bytes { schema: Some(schema), left: bytes.clone() };
        let mut came = Vec::new();
        while let Some(message) = messages.next() {
            match ipc::plain(&message.data_header, message.data_body.len()).unwrap() {
                Plain::Schema => assert!(came.is_empty()),
                Plain::Bytes(part) => came.push(message.data_body.slice(part)),
            }
        }
        assert_eq!(came.iter().map(Bytes::len).collect::<Vec<_>>(), [CHUNK, CHUNK, 16]);
        let mut expected = bytes.as_ptr();
        for part in &came {
            assert_eq!(part.as_ptr(), expected);
            expected = part.as_ptr_range().end;
        }
    }
}
