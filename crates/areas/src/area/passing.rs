//! Passing areas over Unix sockets: to other users, to containers, to processes that cannot be
//! found in the registry.
//!
//! What travels is the object's descriptor and a short message about it. The receiver
//! (`receiving.rs`) believes the kernel (seals, size, what the descriptor is open for) and checks
//! the rest.

use std::os::fd::{AsFd, BorrowedFd};

use super::{Area, Frozen, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::lock::Lock;
use crate::object::Object;
use crate::registry::{Name, Note};
use crate::sys;

impl Area<Shared> {
    /// Sends it over a connected Unix socket, with the rights that this process has. The receiver
    /// takes it with [`receive`](crate::receive).
    ///
    /// It stays alive on its way: the memory is freed when it has no holder left, a socket's queue
    /// included.
    ///
    /// While the socket's queue is full it waits, unless the socket does not (`O_NONBLOCK`) or has
    /// a timeout (`SO_SNDTIMEO`): then it fails with `EAGAIN`, and nothing was sent.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let area = areas::builder(4096).shared()?; // it needs no name
    /// area.send(&ours)?;
    /// // In the other process:
    /// let areas::AnyArea::Shared(received) = areas::receive(&theirs)? else { panic!("it is shared") };
    /// received.write_at(0, b"the same memory")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// ```
    /// let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    /// let mut model = areas::builder(4096).shared()?;
    /// model.write_at(0, b"weights")?;
    /// model.freeze()?.send(&ours)?;
    /// let received = areas::receive(&theirs)?; // in another process
    /// assert_eq!(received.into_frozen().unwrap()[..7], *b"weights");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Io`] with what the socket said; [`ErrorKind::Unsupported`] for a low area,
    /// whose descriptor is one of `/dev/mem`.
    pub fn send(&self, socket: impl AsFd) -> Result<()> {
        let object = self.object();
        self.refuse_part(|| format!("send {self} over a socket"))?;
        let fd = object.own_fd().map_err(|_| crate::object::closed(format!("send {self} over a socket")))?;
        self.send_as(socket.as_fd(), fd)
    }

    /// The same, for reading only, which the kernel enforces: the descriptor is open for reading
    /// only, and another user cannot reopen the memory for writing.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] with what the socket said.
    pub fn send_read_only(&self, socket: impl AsFd) -> Result<()> {
        self.object().refuse_physical(|| format!("send {self} for reading only"))?;
        self.refuse_part(|| format!("send {self} for reading only"))?;
        // A process that gets a descriptor can reopen its file through /proc, as far as its mode
        // allows.
        self.object().set_rights(&format!("send {self} for reading only"), 0o600)?;
        let read_only = self.object().reopen_read_only()?;
        self.send_as(socket.as_fd(), read_only.as_fd())
    }

    fn send_as(&self, socket: BorrowedFd<'_>, descriptor: BorrowedFd<'_>) -> Result<()> {
        // All of the machine's memory would travel with it.
        self.object().refuse_physical(|| format!("send {self}"))?;
        Message::of(self.object(), self.name.as_ref(), &self.note, self.lock).send(
            socket,
            descriptor,
            &self.to_string(),
        )
    }
}

impl Area<Frozen> {
    /// Sends it over a connected Unix socket. The receiver takes it with
    /// [`receive`](crate::receive).
    ///
    /// # Errors
    /// [`ErrorKind::Io`] with what the socket said.
    pub fn send(&self, socket: impl AsFd) -> Result<()> {
        let object = self.object();
        self.refuse_part(|| format!("send {self} over a socket"))?;
        let fd = object.own_fd().map_err(|_| crate::object::closed(format!("send {self} over a socket")))?;
        Message::of(object, self.name.as_ref(), &self.note, self.lock).send(
            socket.as_fd(),
            fd,
            &self.to_string(),
        )
    }
}

/// What is sent of an area beside its descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Up to where it may grow; `None` if it may not.
    pub(super) max: Option<usize>,
    pub(super) exact: Option<u64>,
    pub(super) lock: Lock,
    pub(super) name: Option<Name>,
    pub(super) note: Note,
}

impl Message {
    const MAGIC: [u8; 8] = *b"AREAfd\0\x02";
    const NAME: usize = 32;
    const NOTE: usize = Message::NAME + Name::MAX + 1;
    pub(crate) const BYTES: usize = Message::NOTE + Note::MAX;

    pub(crate) fn of(object: &Object, name: Option<&Name>, note: &Note, lock: Lock) -> Self {
        let max = object.extent().max();
        Message { max, exact: object.exact(), lock, name: name.cloned(), note: note.clone() }
    }

    pub(crate) fn encode(&self) -> [u8; Message::BYTES] {
        let mut bytes = [0; Message::BYTES];
        let name = self.name.as_ref().map(Name::as_bytes).unwrap_or_default();
        bytes[..8].copy_from_slice(&Self::MAGIC);
        bytes[8..16].copy_from_slice(&(self.max.unwrap_or(0) as u64).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.exact.map_or(0, |exact| exact + 1).to_le_bytes());
        bytes[24] = self.lock.number();
        bytes[25] = u8::try_from(name.len()).unwrap_or(0);
        bytes[Self::NAME..Self::NAME + name.len()].copy_from_slice(name);
        let note = self.note.as_bytes();
        bytes[26..28].copy_from_slice(&u16::try_from(note.len()).unwrap_or(0).to_le_bytes());
        bytes[Self::NOTE..Self::NOTE + note.len()].copy_from_slice(note);
        bytes
    }

    /// Whether bytes are, or may become, the beginning of a message of ours.
    pub(super) fn begins(bytes: &[u8]) -> bool {
        bytes.iter().zip(Self::MAGIC).all(|(&byte, magic)| byte == magic)
    }

    pub(super) fn decode(bytes: &[u8; Message::BYTES]) -> Option<Self> {
        let number = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        if bytes[..8] != Self::MAGIC {
            return None;
        }
        let max = usize::try_from(number(8)?).ok()?;
        let len = usize::from(bytes[25]);
        let name = bytes.get(Self::NAME..Self::NAME + len)?;
        let len = usize::from(u16::from_le_bytes([bytes[26], bytes[27]]));
        let note = bytes.get(Self::NOTE..Self::NOTE + len)?;
        Some(Message {
            max: (max != 0).then_some(max),
            exact: number(16)?.checked_sub(1),
            lock: Lock::from_number(bytes[24])?,
            name: if name.is_empty() { None } else { Some(Name::from_table(name)?) },
            note: Note::from_table(note)?,
        })
    }

    fn send(&self, socket: BorrowedFd<'_>, descriptor: BorrowedFd<'_>, whose: &str) -> Result<()> {
        sys::socket::send(socket, &self.encode(), descriptor).map_err(|errno| {
            Error::new(ErrorKind::Io, format!("send {whose} over a socket"))
                .with_system_call("sendmsg(SCM_RIGHTS)", errno)
                .with_remedy(match errno {
                    sys::Errno::AGAIN => "nothing was sent: the socket's queue is full; try again when the other side has received",
                    _ => "it must be a connected Unix socket, and the other side still there",
                })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_come_back(max in any::<Option<u32>>(), exact in any::<Option<u32>>(), lock in 0..7_u8, name in prop::collection::vec(1..=255_u8, 0..256), note in prop::collection::vec(any::<u8>(), 0..=Note::MAX)) {
            let message = Message {
                max: max.map(|max| max as usize).filter(|&max| max != 0),
                exact: exact.map(u64::from),
                lock: Lock::from_number(lock).unwrap(),
                name: Name::from_table(&name).filter(|name| !name.as_bytes().is_empty()),
                note: Note::from_table(&note).unwrap(),
            };
            prop_assert_eq!(Message::decode(&message.encode()).unwrap(), message);
        }

        #[test]
        fn hostile_messages_do_no_harm(noise in prop::collection::vec(any::<u8>(), Message::BYTES), ours in any::<bool>()) {
            let mut bytes: [u8; Message::BYTES] = noise.try_into().unwrap();
            if ours {
                bytes[..8].copy_from_slice(&Message::MAGIC);
            }
            if let Some(message) = Message::decode(&bytes) {
                prop_assert_eq!(Message::decode(&message.encode()).unwrap(), message);
            }
        }
    }
}
