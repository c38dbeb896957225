//! What goes over instead of an area: a packet that says why not. Its size is fixed, and it says
//! nothing of the area.
//!
//! | bytes | what |
//! |---|---|
//! | 0-7 | `AREAno`, 0, and the version of this packet: 1 |
//! | 8 | why, as a number ([`Refusal`]); what a reader does not know it calls a refusal without a reason |
//! | 9-11 | 0 |
//! | 12-15 | the number by which the other side knows the reader's user; all ones for none |
//!
//! An area goes as [`Area::send`](crate::Area::send) sends it, with a version of its own in the
//! same place.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// Why an area was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// It is not offered to that user.
    NotOffered,
    /// It is gone: no process publishes it, or it is retired.
    Gone,
    /// That user, or all together, have too many connections on which an area went and was not
    /// fetched.
    Busy,
    /// It is offered for reading only, and nothing would keep that user from writing.
    NotEnforced,
    /// It could not be opened or sent: the process that offers it knows why.
    Failed,
}

impl Refusal {
    const ALL: [Refusal; 5] =
        [Refusal::NotOffered, Refusal::Gone, Refusal::Busy, Refusal::NotEnforced, Refusal::Failed];

    fn number(self) -> u8 {
        match self {
            Refusal::NotOffered => 1,
            Refusal::Gone => 2,
            Refusal::Busy => 3,
            Refusal::NotEnforced => 4,
            Refusal::Failed => 5,
        }
    }
}

/// As in a sentence: "refused: …".
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::NotOffered => "it is not offered to that user",
            Refusal::Gone => "the area is gone",
            Refusal::Busy => "too many were given to that user and not fetched",
            Refusal::NotEnforced => "it is for reading only, and that user could still write it",
            Refusal::Failed => "it could not be opened or sent",
        })
    }
}

/// The packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// `None` for one that this version does not know.
    pub(super) why: Option<Refusal>,
    /// The reader's user, as the other side knows it.
    pub(super) user: Option<u32>,
}

impl Packet {
    pub(super) const BYTES: usize = 16;
    const BEGINNING: [u8; 7] = *b"AREAno\0";
    const VERSION: u8 = 1;

    pub(super) fn new(why: Refusal, user: Option<u32>) -> Self {
        Packet { why: Some(why), user }
    }

    pub(super) fn encode(self) -> [u8; Packet::BYTES] {
        let mut bytes = [0; Packet::BYTES];
        bytes[..7].copy_from_slice(&Self::BEGINNING);
        bytes[7] = Self::VERSION;
        bytes[8] = self.why.map_or(0, Refusal::number);
        bytes[12..].copy_from_slice(&self.user.unwrap_or(u32::MAX).to_le_bytes());
        bytes
    }

    /// Whether a packet says that no area goes over, in whatever version.
    pub(super) fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(&Self::BEGINNING)
    }

    /// What a packet says that begins so; `None` for another version.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Packet::BYTES] = bytes.try_into().ok()?;
        if !Self::begins(bytes) || bytes[7] != Self::VERSION {
            return None;
        }
        let user = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        Some(Packet {
            why: Refusal::ALL.into_iter().find(|why| why.number() == bytes[8]),
            user: (user != u32::MAX).then_some(user),
        })
    }

    /// The same as an error of who wanted to take. `offerer` is who said so.
    pub(super) fn error(self, what: String, offerer: &str) -> Error {
        let us = match self.user {
            Some(user) => format!("user {user}, as which it knows this process"),
            None => "this process's user, which has no number in its user namespace".to_owned(),
        };
        let (kind, detail, help) = match self.why {
            Some(Refusal::NotOffered) => (
                ErrorKind::NotPermitted,
                format!("{offerer} refuses: it is not offered to {us}"),
                "have it offered to that user: `areas offer NAME --socket PATH --to USER`",
            ),
            Some(Refusal::Gone) => (
                ErrorKind::NoSuchArea,
                format!("{offerer} refuses: the area is gone, no further process gets it"),
                "have its maker publish it, and offer it, again",
            ),
            Some(Refusal::Busy) => (
                ErrorKind::Busy,
                format!("{offerer} refuses: too many were given to {us} and not fetched"),
                "try again later; end the processes that connect there and do not read",
            ),
            Some(Refusal::NotEnforced) => (
                ErrorKind::NotPermitted,
                format!("{offerer} refuses: it is for reading only, and {us} could still write it"),
                "have it frozen, or sealed (`areas offer --seal`); or take it as another user than root",
            ),
            Some(Refusal::Failed) => (
                ErrorKind::System,
                format!("{offerer} refuses: the area could not be opened or sent"),
                "the process that offers it says why",
            ),
            None => (
                ErrorKind::Unsupported,
                format!("{offerer} refuses, for a reason that this version does not know"),
                "use versions of the library that go together",
            ),
        };
        Error::new(kind, what).with_facts(detail).with_remedy(help)
    }
}

/// Any bytes: read, or not, and written as they were.
#[cfg(fuzzing)]
pub(super) fn fuzz(bytes: &[u8]) {
    if let Some(packet) = Packet::decode(bytes) {
        assert!(Packet::begins(bytes));
        assert_eq!(Packet::decode(&packet.encode()), Some(packet));
        assert!(!format!("{:#}", packet.error("take it".to_owned(), "process 1")).is_empty());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_comes_back() {
        for why in Refusal::ALL {
            for user in [None, Some(0), Some(1000), Some(u32::MAX - 1)] {
                let packet = Packet::new(why, user);
                assert_eq!(Packet::decode(&packet.encode()), Some(packet));
                let text = format!("{:#}", packet.error("take \"x\"".to_owned(), "process 7"));
                assert!(text.contains("process 7") && text.contains("help: "), "{text}");
            }
        }
    }

    #[test]
    fn what_comes_later_is_a_refusal_without_a_reason() {
        let mut bytes = Packet::new(Refusal::Gone, None).encode();
        bytes[8] = 200;
        assert_eq!(Packet::decode(&bytes), Some(Packet { why: None, user: None }));
        bytes[7] = 2;
        assert!(Packet::begins(&bytes));
        assert_eq!(Packet::decode(&bytes), None);
    }

    proptest! {
        #[test]
        fn any_bytes_do_no_harm(noise in prop::collection::vec(any::<u8>(), 0..40), ours in any::<bool>()) {
            let mut bytes = noise;
            if ours {
                bytes.splice(0..bytes.len().min(8), *b"AREAno\0\x01");
            }
            if let Some(packet) = Packet::decode(&bytes) {
                prop_assert!(bytes.len() == Packet::BYTES);
                prop_assert_eq!(Packet::decode(&packet.encode()), Some(packet));
            }
        }
    }
}
