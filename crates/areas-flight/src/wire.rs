//! What the two sides say to each other beside Arrow's own messages: JSON, of which each side
//! checks all.

use areas::{AreaId, Error, ErrorKind, Name, Note};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::checksum::Checksum;
use crate::hex::{hex, unhex};

/// The version of what is below.
pub(crate) const VERSION: u32 = 1;

/// So many bytes one message has at most: few clients take more than 4 MiB without being asked to.
pub(crate) const CHUNK: usize = 2 << 20;

/// How a client asks for an area's bytes: the command of a `FlightDescriptor`. (A path asks for
/// what a client of tables reads.)
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ask {
    areas: u32,
    /// The area's name in hexadecimal.
    name: String,
}

impl Ask {
    pub(crate) fn new(name: &Name) -> Self {
        Ask { areas: VERSION, name: hex(name.as_bytes()) }
    }

    pub(crate) fn name(&self) -> areas::Result<Name> {
        Name::new(unhex(&self.name).ok_or_else(|| nonsense("a name"))?)
    }
}

/// What is said of an area that is offered: `app_metadata` of its `FlightInfo`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Offered {
    areas: u32,
    pub(crate) id: i32,
    /// In hexadecimal.
    name: String,
    pub(crate) size: u64,
    /// Of all its bytes; `None` in a listing, where it is not asked for.
    pub(crate) checksum: Option<Checksum>,
    /// Device and inode of its memory.
    pub(crate) object: (u64, u64),
    /// The machine and the registry; the same only for who sees the same areas.
    pub(crate) host: Option<String>,
    /// What is noted beside it, in hexadecimal.
    note: String,
    /// Whether it holds an Arrow table.
    pub(crate) table: bool,
}

impl Offered {
    pub(crate) fn new(info: &areas::registry::Info, checksum: Option<Checksum>, table: bool) -> Self {
        Offered {
            areas: VERSION,
            id: info.id.get(),
            name: hex(info.name.as_bytes()),
            size: info.size as u64,
            checksum,
            object: info.object,
            host: crate::host::identity(),
            note: hex(info.note.as_bytes()),
            table,
        }
    }

    pub(crate) fn name(&self) -> areas::Result<Name> {
        Name::new(unhex(&self.name).ok_or_else(|| nonsense("a name"))?)
    }

    pub(crate) fn note(&self) -> areas::Result<Note> {
        Note::new(unhex(&self.note).ok_or_else(|| nonsense("a note"))?)
    }

    pub(crate) fn id(&self) -> areas::Result<AreaId> {
        AreaId::new(self.id)
    }
}

/// What a `Ticket` is for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Ticket {
    areas: u32,
    pub(crate) id: i32,
    pub(crate) object: (u64, u64),
    #[serde(rename = "as")]
    pub(crate) form: Form,
    /// Of bytes: those from here,
    pub(crate) from: u64,
    /// to here, which is not one of them.
    pub(crate) to: u64,
}

/// In which form an area is sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    Bytes,
    Table,
}

impl Ticket {
    pub(crate) fn new(id: i32, object: (u64, u64), form: Form, from: u64, to: u64) -> Self {
        Ticket { areas: VERSION, id, object, form, from, to }
    }
}

/// What has a version.
pub(crate) trait Versioned {
    fn version(&self) -> u32;
}

macro_rules! versioned {
    ($($kind:ty),*) => { $(impl Versioned for $kind { fn version(&self) -> u32 { self.areas } })* };
}
versioned!(Ask, Offered, Ticket);

/// The bytes of one of them.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    // Numbers and strings under fixed keys: nothing that JSON lacks.
    serde_json::to_vec(value).unwrap_or_default()
}

/// One of them, of our version; `None` for anything else.
pub(crate) fn decode<T: DeserializeOwned + Versioned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice::<T>(bytes).ok().filter(|value| value.version() == VERSION)
}

fn nonsense(what: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("read {what} that the other side sent"))
        .with_facts("it is not in hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let ticket = Ticket::new(7, (1, 2), Form::Bytes, 3, 4);
        assert_eq!(decode::<Ticket>(&encode(&ticket)), Some(ticket));
        let name = Name::new(b"a/\xff").unwrap();
        assert_eq!(decode::<Ask>(&encode(&Ask::new(&name))).unwrap().name().unwrap(), name);
    }

    #[test]
    fn nothing_else_is_read() {
        let spoilt = [
            r#"{"areas":2,"id":7,"object":[1,2],"as":"bytes","from":3,"to":4}"#,
            r#"{"areas":1,"id":7,"object":[1,2],"as":"words","from":3,"to":4}"#,
            r#"{"areas":1,"id":7,"object":[1,2],"as":"bytes","from":-3,"to":4}"#,
            r#"{"areas":1,"id":99999999999,"object":[1,2],"as":"bytes","from":3,"to":4}"#,
            "",
            "[]",
        ];
        for text in spoilt {
            assert_eq!(decode::<Ticket>(text.as_bytes()), None, "{text}");
        }
        for text in ["0", "0g", "é0", "+1"] {
            assert_eq!(unhex(text), None, "{text}");
        }
    }
}
