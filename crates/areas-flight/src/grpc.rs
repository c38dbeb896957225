//! gRPC's messages as they are on the wire, for the one call that carries an area's bytes: so that
//! these are sent from the area itself, and come into it from the buffer that the connection was
//! read into. (tonic collects each message in a buffer of its own, on either side.)

use arrow_flight::FlightData;
use bytes::{BufMut as _, Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

/// The path of `DoGet`.
pub(crate) const DO_GET: &str = "/arrow.flight.protocol.FlightService/DoGet";

/// What stands before each message: whether it is compressed, and its length.
pub(crate) const PREFIX: usize = 5;

/// Of `FlightData`: Arrow's header of the message,
pub(crate) const HEADER: u32 = 2;
/// and its body.
pub(crate) const BODY: u32 = 1000;

/// A message's prefix and its length; `None` if it is compressed, which was not asked for.
pub(crate) fn length_of(prefix: [u8; PREFIX]) -> Option<usize> {
    let [compressed, length @ ..] = prefix;
    usize::try_from(u32::from_be_bytes(length)).ok().filter(|_| compressed == 0)
}

/// A whole small message.
pub(crate) fn message(message: &impl prost::Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    // Small, as is said.
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    let _ = message.encode(&mut bytes);
    bytes.freeze()
}

/// All of a message but its body, which follows; `None` if both are longer than a message of gRPC
/// can be.
pub(crate) fn head_of(data: &FlightData) -> Option<Bytes> {
    let field = |number, bytes: &Bytes| match bytes.is_empty() {
        true => 0,
        false => key_len(number) + encoded_len_varint(bytes.len() as u64),
    };
    let around = field(HEADER, &data.data_header) + data.data_header.len() + field(BODY, &data.data_body);
    let length = u32::try_from(around.checked_add(data.data_body.len())?).ok()?;
    let mut head = BytesMut::with_capacity(PREFIX + around);
    head.put_u8(0);
    head.put_u32(length);
    for (number, bytes) in [(HEADER, &data.data_header), (BODY, &data.data_body)] {
        if !bytes.is_empty() {
            encode_key(number, WireType::LengthDelimited, &mut head);
            encode_varint(bytes.len() as u64, &mut head);
        }
        if number == HEADER {
            head.extend_from_slice(bytes);
        }
    }
    Some(head.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn it_is_what_any_reader_of_the_protocol_reads() {
        for (header, body) in [(0, 0), (3, 0), (0, 7), (200, 100), (130, 3 << 20)] {
            let data = FlightData::new().with_data_header(vec![1; header]).with_data_body(vec![2; body]);
            let head = head_of(&data).unwrap();
            let whole = [&head[..], &data.data_body[..]].concat();
            let (prefix, rest) = whole.split_first_chunk().unwrap();
            assert_eq!(length_of(*prefix), Some(rest.len()));
            assert_eq!(FlightData::decode(rest).unwrap(), data, "{header} {body}");
            assert_eq!(message(&data), whole, "{header} {body}");
        }
        assert_eq!(length_of([1, 0, 0, 0, 1]), None);
    }
}
