//! Arrow's messages: those that lie in an area, as they lie there, and those that are made of an
//! area's plain bytes.
//!
//! Plain bytes are record batches of one column of `uint8`, so that any client reads them. What
//! another process wrote into an area, and what comes from another machine, is verified before
//! anything in it is believed.

use std::ops::Range;

use arrow_flight::{FlightData, SchemaAsIpc};
use arrow_ipc::writer::IpcWriteOptions;
use arrow_ipc::{
    Buffer, FieldNode, Message, MessageArgs, MessageHeader, MetadataVersion, RecordBatch, RecordBatchArgs,
    root_as_message,
};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use flatbuffers::FlatBufferBuilder;

/// What stands before each message of a stream: this, and the length of the header.
const CONTINUATION: [u8; 4] = [0xff; 4];
pub(crate) const PREFIX: usize = 8;
/// Headers and bodies are multiples of it.
pub(crate) const ALIGNMENT: usize = 8;
/// The end of a stream.
pub(crate) const END: [u8; PREFIX] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// What stands before a header of so many bytes in a stream, and behind it.
pub(crate) fn around(header: usize) -> ([u8; PREFIX], &'static [u8]) {
    let padded = header.next_multiple_of(ALIGNMENT);
    let mut prefix = END;
    // No message of Flight is as long as that.
    let length = i32::try_from(padded).unwrap_or(i32::MAX);
    prefix[CONTINUATION.len()..].copy_from_slice(&length.to_le_bytes());
    (prefix, &[0; ALIGNMENT][..padded - header])
}

/// The table that an area holds: the messages of Arrow's stream format, where they lie.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The first one is the schema.
    messages: Vec<Lies>,
    pub(crate) rows: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Lies {
    header: Range<usize>,
    body: Range<usize>,
}

impl Table {
    /// The one that bytes are, from the first byte to the end of the stream; `None` if they are
    /// anything else.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let mut table = Table { messages: Vec::new(), rows: 0 };
        let mut at = 0;
        while at < bytes.len() {
            let prefix: &[u8; PREFIX] = bytes.get(at..)?.first_chunk()?;
            let (mark, length) = prefix.split_at(CONTINUATION.len());
            if mark != CONTINUATION {
                return None;
            }
            let length = usize::try_from(i32::from_le_bytes(length.try_into().ok()?)).ok()?;
            if length == 0 {
                break;
            }
            at = table.add(bytes, at + PREFIX, length)?;
        }
        // A schema alone is a table of no rows.
        (!table.messages.is_empty()).then_some(table)
    }

    /// One more message; where the next one begins.
    fn add(&mut self, bytes: &[u8], begin: usize, length: usize) -> Option<usize> {
        let header = begin..begin.checked_add(length)?;
        let message = root_as_message(bytes.get(header.clone())?).ok()?;
        let is_schema = message.header_type() == MessageHeader::Schema;
        if is_schema != self.messages.is_empty() {
            return None;
        }
        match message.header_type() {
            MessageHeader::Schema => {
                message.header_as_schema()?;
            }
            MessageHeader::RecordBatch => {
                let rows = message.header_as_record_batch()?.length();
                self.rows = self.rows.checked_add(rows).filter(|_| rows >= 0)?;
            }
            MessageHeader::DictionaryBatch => {}
            _ => return None,
        }
        let end = header.end.checked_add(usize::try_from(message.bodyLength()).ok()?)?;
        let body = header.end..end;
        bytes.get(body.clone())?;
        self.messages.push(Lies { header, body });
        Some(end)
    }

    /// The schema with what stands before it, as a `FlightInfo` has it.
    pub(crate) fn schema(&self, bytes: &Bytes) -> Bytes {
        self.messages
            .first()
            .map_or_else(Bytes::new, |first| bytes.slice(first.header.start - PREFIX..first.header.end))
    }

    /// A message for Flight, which shares the area's memory.
    pub(crate) fn message(&self, bytes: &Bytes, at: usize) -> Option<FlightData> {
        let Lies { header, body } = self.messages.get(at)?.clone();
        Some(FlightData {
            data_header: bytes.slice(header),
            data_body: bytes.slice(body),
            ..FlightData::default()
        })
    }
}

/// The schema of plain bytes; `name` and `note` go with it as metadata.
pub(crate) fn schema_of_bytes(name: &str, note: Option<&str>) -> Schema {
    let mut metadata = std::collections::HashMap::from([("areas.name".to_owned(), name.to_owned())]);
    if let Some(note) = note {
        metadata.insert("areas.note".to_owned(), note.to_owned());
    }
    Schema::new_with_metadata(vec![Field::new("bytes", DataType::UInt8, false)], metadata)
}

/// A schema as the first message.
pub(crate) fn schema_message(schema: &Schema) -> FlightData {
    FlightData::from(SchemaAsIpc::new(schema, &IpcWriteOptions::default()))
}

/// A batch of plain bytes, which shares their memory unless they end between two multiples of 8.
pub(crate) fn batch_of(bytes: Bytes) -> FlightData {
    let padded = bytes.len().next_multiple_of(ALIGNMENT);
    let number = |len: usize| i64::try_from(len).unwrap_or(i64::MAX);
    let data_header = batch_header(number(bytes.len()), number(padded)).into();
    let data_body = match padded == bytes.len() {
        true => bytes,
        false => {
            let mut copy = Vec::with_capacity(padded);
            copy.extend_from_slice(&bytes);
            copy.resize(padded, 0);
            copy.into()
        }
    };
    FlightData { data_header, data_body, ..FlightData::default() }
}

fn batch_header(rows: i64, body: i64) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let nodes = builder.create_vector(&[FieldNode::new(rows, 0)]);
    // The first one would say which rows are null.
    let buffers = builder.create_vector(&[Buffer::new(0, 0), Buffer::new(0, rows)]);
    let batch =
        RecordBatchArgs { length: rows, nodes: Some(nodes), buffers: Some(buffers), ..Default::default() };
    let batch = RecordBatch::create(&mut builder, &batch).as_union_value();
    let message = MessageArgs {
        version: MetadataVersion::V5,
        header_type: MessageHeader::RecordBatch,
        header: Some(batch),
        bodyLength: body,
        custom_metadata: None,
    };
    let message = Message::create(&mut builder, &message);
    builder.finish(message, None);
    builder.finished_data().to_vec()
}

/// What a message of plain bytes is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    Schema,
    /// These of its body.
    Bytes(Range<usize>),
}

/// A message of plain bytes by its header, whose body has so many; or why it is none.
pub(crate) fn plain(header: &[u8], body: usize) -> Result<Plain, String> {
    let message = root_as_message(header).map_err(|error| format!("a message is invalid: {error}"))?;
    if message.header_type() == MessageHeader::Schema {
        return Ok(Plain::Schema);
    }
    let batch = message
        .header_as_record_batch()
        .ok_or_else(|| format!("a message is a {:?}, and not a record batch", message.header_type()))?;
    let buffer = batch.buffers().filter(|buffers| buffers.len() == 2 && batch.compression().is_none());
    let buffer =
        buffer.map(|buffers| *buffers.get(1)).ok_or("a record batch is not one column of plain bytes")?;
    let range = usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
    let range = range.and_then(|(from, len)| Some(from..from.checked_add(len)?));
    let range = range.filter(|range| range.end <= body && i64::try_from(range.len()) == Ok(batch.length()));
    range.map(Plain::Bytes).ok_or_else(|| {
        format!(
            "a record batch of {} rows says that bytes {}+{} of {} are its column",
            batch.length(),
            buffer.offset(),
            buffer.length(),
            body
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain_of(data: &FlightData) -> Result<Plain, String> {
        plain(&data.data_header, data.data_body.len())
    }

    /// A stream of a schema and batches of plain bytes.
    fn stream(batches: &[&[u8]]) -> Vec<u8> {
        let schema = schema_message(&schema_of_bytes("x", None));
        let batches = batches.iter().map(|batch| batch_of(Bytes::copy_from_slice(batch)));
        let mut stream = Vec::new();
        for message in std::iter::once(schema).chain(batches) {
            let (prefix, padding) = around(message.data_header.len());
            stream.extend([&prefix[..], &message.data_header[..], padding, &message.data_body].concat());
        }
        stream.extend(END);
        stream
    }

    #[test]
    fn a_table_is_found_and_its_messages_lie_in_it() {
        let bytes = Bytes::from(stream(&[&[1; 100], &[2; 3]]));
        let table = Table::of(&bytes).unwrap();
        assert_eq!((table.rows, table.messages.len()), (103, 3));
        for (at, expected) in [(0, Plain::Schema), (1, Plain::Bytes(0..100)), (2, Plain::Bytes(0..3))] {
            let message = table.message(&bytes, at).unwrap();
            assert_eq!(plain_of(&message), Ok(expected));
            assert!(bytes.as_ptr_range().contains(&message.data_header.as_ptr()), "it is a copy");
        }
        assert_eq!(table.message(&bytes, 3), None);
        Schema::try_from(arrow_flight::IpcMessage(table.schema(&bytes))).unwrap();
    }

    #[test]
    fn what_follows_the_end_does_not_matter_and_what_is_cut_is_no_table() {
        let whole = stream(&[&[1; 100]]);
        let mut longer = whole.clone();
        longer.resize(8192, 0);
        assert_eq!(Table::of(&longer).unwrap().rows, 100);
        for len in (0..whole.len() - PREFIX).step_by(4) {
            if let Some(table) = Table::of(&whole[..len]) {
                // Between two messages a stream may end.
                assert!(table.messages.iter().all(|lies| lies.body.end <= len), "{len}");
            }
        }
        assert!(
            Table::of(&[0; 4096]).is_none() && Table::of(&[0xff; 4096]).is_none() && Table::of(b"").is_none()
        );
    }

    #[test]
    fn batches_of_plain_bytes() {
        for len in [1, 7, 8, 9, 4096, 100_000] {
            let bytes = Bytes::from(vec![7; len]);
            let batch = batch_of(bytes.clone());
            assert_eq!(batch.data_body.len() % ALIGNMENT, 0);
            assert_eq!(
                len % ALIGNMENT == 0,
                batch.data_body.as_ptr() == bytes.as_ptr(),
                "copied only where it must be"
            );
            assert_eq!(plain_of(&batch), Ok(Plain::Bytes(0..len)));
            assert!(batch.data_body.starts_with(&bytes));
            let cut = FlightData { data_body: batch.data_body.slice(1..), ..batch };
            assert_eq!(plain_of(&cut).is_ok(), len % ALIGNMENT != 0, "{len}");
        }
    }

    proptest! {
        #[test]
        fn spoilt_messages_are_refused_or_within_bounds(at in 0_usize..400, value: u8, cut in 0_usize..400) {
            let mut spoilt = stream(&[&[1; 100]]);
            let len = spoilt.len();
            spoilt[at % len] = value;
            spoilt.truncate(len - cut % len);
            let bytes = Bytes::from(spoilt);
            if let Some(table) = Table::of(&bytes) {
                for at in 0..table.messages.len() {
                    let _ = plain_of(&table.message(&bytes, at).unwrap());
                }
            }
        }
    }
}
