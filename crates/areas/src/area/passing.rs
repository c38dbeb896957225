//! Passing areas over Unix sockets: to other users, to containers, to whoever may not be found in the registry.
//!
//! What travels is the object's descriptor and a short message about it. The receiver believes the kernel (seals, size, what
//! the descriptor is open for) and checks the rest.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Area, Frozen, Resizable, Shared};
use crate::error::{Error, Kind, Result};
use crate::lock::Lock;
use crate::object::{Extent, Object};
use crate::place::Placement;
use crate::protection::Protection;
use crate::provider::{Provider, Request, System};
use crate::registry::Name;
use crate::sys;

/// What came from another process: over a socket, or [transferred](crate::registry::Transferred).
#[derive(Debug)]
#[non_exhaustive]
pub enum Received {
    /// Others may write it.
    Shared(Area<Shared>),
    /// Others may write it, and change its size.
    Resizable(Area<Resizable>),
    /// Nobody writes it any more.
    Frozen(Area<Frozen>),
}

impl Area<Shared> {
    /// Sends it over a connected Unix socket, with the rights that this process has. The receiver takes it with [`receive`].
    ///
    /// It stays alive on its way: the memory goes when nobody holds it, in a socket's queue or otherwise.
    ///
    /// # Errors
    /// [`Kind::Io`] with what the socket said; [`Kind::Unsupported`] for a low area, whose descriptor is one of `/dev/mem`.
    pub fn send(&self, socket: impl AsFd) -> Result<()> {
        let object = self.object();
        let fd = object.own_fd().map_err(|_| crate::object::closed(format!("send {self} over a socket")))?;
        self.send_as(socket.as_fd(), fd)
    }

    /// The same, for reading only, which the kernel enforces: the descriptor is open for reading only, and another user
    /// cannot open the memory anew.
    ///
    /// # Errors
    /// [`Kind::Io`] with what the socket said.
    pub fn send_read_only(&self, socket: impl AsFd) -> Result<()> {
        self.object().refuse_physical(|| format!("send {self} for reading only"))?;
        // Whoever gets a descriptor can open its file again through /proc, as far as its mode allows.
        let set = self.object().own_fd().and_then(|fd| sys::file::set_mode(fd, 0o600));
        set.map_err(|errno| {
            Error::new(Kind::System, format!("send {self} for reading only")).call("fchmod(0600)", errno)
        })?;
        let read_only = self.object().reopen_read_only()?;
        self.send_as(socket.as_fd(), read_only.as_fd())
    }

    fn send_as(&self, socket: BorrowedFd<'_>, descriptor: BorrowedFd<'_>) -> Result<()> {
        // All of the machine's memory would travel with it.
        self.object().refuse_physical(|| format!("send {self}"))?;
        Message::of(self.object(), self.name.as_ref(), self.lock).send(socket, descriptor, &self.to_string())
    }
}

impl Area<Frozen> {
    /// Sends it over a connected Unix socket. The receiver takes it with [`receive`].
    ///
    /// # Errors
    /// [`Kind::Io`] with what the socket said.
    pub fn send(&self, socket: impl AsFd) -> Result<()> {
        let object = self.object();
        let fd = object.own_fd().map_err(|_| crate::object::closed(format!("send {self} over a socket")))?;
        Message::of(object, self.name.as_ref(), self.lock).send(socket.as_fd(), fd, &self.to_string())
    }
}

/// Takes an area that was sent over a connected Unix socket, and maps it, with the lock that it had.
///
/// Its name is the one that it had there; it is published by nobody until somebody calls
/// [`publish`](Area::publish). Seals and size are the kernel's word; an object that could shrink under its holders is
/// refused.
///
/// # Errors
/// [`Kind::Io`] if the socket fails or is closed; [`Kind::InvalidInput`] if what came is no area; [`Kind::Limit`] for a lock
/// beyond `RLIMIT_MEMLOCK`. Descriptors that came along are closed.
pub fn receive(socket: impl AsFd) -> Result<Received> {
    const WHAT: &str = "receive an area over a socket";
    let mut bytes = [0; Message::BYTES];
    let (got, mut descriptors) = sys::socket::receive(socket.as_fd(), &mut bytes)
        .map_err(|errno| Error::new(Kind::Io, WHAT).call("recvmsg", errno))?;
    if got < bytes.len() {
        return Err(Error::new(Kind::Io, WHAT)
            .detail(format!("the other side closed after {got} of {} bytes", bytes.len())));
    }
    let wrong = |detail: &str| Error::new(Kind::InvalidInput, WHAT).detail(detail.to_owned());
    let message = Message::decode(&bytes).ok_or_else(|| {
        wrong("the message is not one of ours")
            .help("the other side must send with `Area::send`, of the same version")
    })?;
    let descriptor = match (descriptors.pop(), descriptors.is_empty()) {
        (Some(descriptor), true) => descriptor,
        (None, _) => return Err(wrong("no descriptor came with the message")),
        (Some(_), false) => return Err(wrong("more than one descriptor came with the message")),
    };
    message.open(descriptor)
}

/// What is told of an area beside its descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    /// Up to where it may grow; `None` if it may not.
    max: Option<usize>,
    exact: Option<u64>,
    lock: Lock,
    name: Option<Name>,
}

impl Message {
    const MAGIC: [u8; 8] = *b"AREAfd\0\x01";
    const NAME: usize = 32;
    const BYTES: usize = Message::NAME + Name::MAX + 1;

    fn of(object: &Object, name: Option<&Name>, lock: Lock) -> Self {
        let max = object.extent().max();
        Message { max, exact: object.exact(), lock, name: name.cloned() }
    }

    fn encode(&self) -> [u8; Message::BYTES] {
        let mut bytes = [0; Message::BYTES];
        let name = self.name.as_ref().map(Name::as_bytes).unwrap_or_default();
        bytes[..8].copy_from_slice(&Self::MAGIC);
        bytes[8..16].copy_from_slice(&(self.max.unwrap_or(0) as u64).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.exact.map_or(0, |exact| exact + 1).to_le_bytes());
        bytes[24] = self.lock.number();
        bytes[25] = u8::try_from(name.len()).unwrap_or(0);
        bytes[Self::NAME..Self::NAME + name.len()].copy_from_slice(name);
        bytes
    }

    fn decode(bytes: &[u8; Message::BYTES]) -> Option<Self> {
        let number = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        if bytes[..8] != Self::MAGIC {
            return None;
        }
        let max = usize::try_from(number(8)?).ok()?;
        let len = usize::from(bytes[25]);
        let name = bytes.get(Self::NAME..Self::NAME + len)?;
        Some(Message {
            max: (max != 0).then_some(max),
            exact: number(16)?.checked_sub(1),
            lock: Lock::from_number(bytes[24])?,
            name: if len == 0 { None } else { Some(Name::from_table(name)?) },
        })
    }

    fn send(&self, socket: BorrowedFd<'_>, descriptor: BorrowedFd<'_>, whose: &str) -> Result<()> {
        sys::socket::send(socket, &self.encode(), descriptor).map_err(|errno| {
            Error::new(Kind::Io, format!("send {whose} over a socket"))
                .call("sendmsg(SCM_RIGHTS)", errno)
                .help("it must be a connected Unix socket, and the other side still there")
        })
    }

    fn open(self, descriptor: OwnedFd) -> Result<Received> {
        let writable = sys::file::is_writable(descriptor.as_fd()).map_err(|errno| {
            Error::new(Kind::System, "receive an area over a socket").call("fcntl(F_GETFL)", errno)
        })?;
        let page = crate::PageSize::base();
        let max = self.max.filter(|max| max.is_multiple_of(page.bytes()));
        let told = max.map_or(Extent::Fixed, |max| Extent::Growable { max });
        let object = Object::adopt(descriptor, told, self.exact)?;
        let frozen = object.is_frozen()?;
        let protection = if writable && !frozen { Protection::READ_WRITE } else { Protection::READ };
        let mapping = System::new().map(&Request::object(&object).protection(protection))?;
        let mut area: Area<Shared> = Area::over(mapping, Some(object), Placement::default());
        area.name = self.name;
        let whose = area.to_string();
        area.apply_lock(self.lock, &whose)?;
        Ok(if frozen { Received::Frozen(area.into_kind()) } else { Received::Shared(area) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_come_back(max in any::<Option<u32>>(), exact in any::<Option<u32>>(), lock in 0..7_u8, name in prop::collection::vec(1..=255_u8, 0..256)) {
            let message = Message {
                max: max.map(|max| max as usize).filter(|&max| max != 0),
                exact: exact.map(u64::from),
                lock: Lock::from_number(lock).unwrap(),
                name: Name::from_table(&name).filter(|name| !name.as_bytes().is_empty()),
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
