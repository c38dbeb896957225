//! Offering an area: who may have it, with which rights, and where.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::access;
use super::answers::{Answers, Given};
use super::inherited;
use super::place::{Bound, Place, failed};
use super::who::{self, Users};
use crate::error::{Error, ErrorKind, Result};
use crate::registry::{Rights, Source};
use crate::sys;
use crate::sys::checked_fd::CheckedFd;

/// To whom an area is offered, and with which rights.
///
/// | choice | default |
/// |---|---|
/// | [`to`](OfferOptions::to), [`to_any_user`](OfferOptions::to_any_user) | this process's own user only |
/// | [`read_only`](OfferOptions::read_only) | with the rights that this process has |
/// | [`seal`](OfferOptions::seal) | all that write it now, or are given the right, may write |
#[derive(Clone, Debug)]
#[must_use = "an area is offered by `open`"]
pub struct OfferOptions {
    users: Users,
    read_only: bool,
    seal: bool,
}

impl Default for OfferOptions {
    fn default() -> Self {
        OfferOptions::new()
    }
}

impl OfferOptions {
    /// The defaults.
    pub const fn new() -> Self {
        OfferOptions { users: Users::Default, read_only: false, seal: false }
    }

    /// Offers it to this user: only those that are named get it. Root is named like any user, by 0.
    ///
    /// Numbers are those of this process's user namespace. A user that has none in it cannot be
    /// named.
    pub fn to(mut self, user: u32) -> Self {
        self.users.add(user);
        self
    }

    /// Offers it to all that can connect, users without a number here included: all that reach the
    /// socket's folder. The folder's mode is the only protection then.
    pub fn to_any_user(mut self) -> Self {
        self.users = Users::Any;
        self
    }

    /// The older name of [`to_any_user`](OfferOptions::to_any_user).
    #[deprecated(since = "0.2.0", note = "use `to_any_user`")]
    pub fn to_everybody(self) -> Self {
        self.to_any_user()
    }

    /// Offers it for reading only. The kernel enforces that, or the area is not given: a user who
    /// could reopen the memory for writing (root, and the user who made it) is refused, unless it
    /// is frozen or [sealed](OfferOptions::seal).
    ///
    /// A process that is not root but has `CAP_DAC_OVERRIDE` could do the same, and cannot be
    /// recognised by the one that offers.
    pub const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Seals the memory against new writers first (`F_SEAL_FUTURE_WRITE`), permanently: existing
    /// writable mappings stay; no other process ever writes it, whatever its rights, its maker's
    /// other processes included. What is offered is for reading only then.
    ///
    /// This cannot be undone. [`Area::freeze`](crate::Area::freeze) goes on from there, once it has
    /// no writable mapping.
    #[doc(alias = "F_SEAL_FUTURE_WRITE")]
    pub const fn seal(mut self) -> Self {
        self.seal = true;
        self.read_only = true;
        self
    }

    /// Offers an area at a socket, which is made. A process that connects waits until
    /// [`Offer::answer`] is called.
    ///
    /// The socket has mode 0600. Where other users are named, each of them gets the right to
    /// connect in its access list (acl(5)); on a file system without such lists all users get it
    /// ([`Offer::reach`]), and is refused all the same. A socket that is there is replaced where it
    /// is this user's and no process listens any more. Links of other users on the way are not
    /// followed.
    ///
    /// # Errors
    /// Nothing is left at the path.
    /// - [`ErrorKind::NotPermitted`] for reading only, to a user whom nothing would keep from
    ///   writing; for an area that may only be read here, without
    ///   [`read_only`](OfferOptions::read_only); for a path through another user's link, or a
    ///   socket of another user's;
    /// - [`ErrorKind::Busy`] where another process listens there;
    /// - [`ErrorKind::NoSuchArea`] if it is gone or retired;
    /// - [`ErrorKind::Unsupported`] for resizable and low areas, and for what is left of an area
    ///   that was cut;
    /// - [`ErrorKind::InvalidInput`] for a path without a name, for a name that is too long for a
    ///   socket (some 80 bytes), and for a user number that stands for users without one;
    /// - [`ErrorKind::Io`] where the socket cannot be made.
    pub fn open(&self, source: &Source, path: impl AsRef<Path>) -> Result<Offer> {
        let path = path.as_ref();
        let what = || format!("offer area {} {:?} at {path:?}", source.id(), source.name());
        self.check(source, &what)?;
        let mut listening = Place::new(path, &what)?.listen(&what)?;
        let reach = self.widen(&listening.bound, &what)?;
        self.seal_it(source, &what)?;
        let mut answers = Answers::new(source.clone(), self.read_only, self.users.clone());
        answers.begin_with(std::mem::take(&mut listening.early));
        Ok(Offer {
            answers,
            listener: listening.socket,
            bound: Some(listening.bound),
            path: path.to_owned(),
            reach,
        })
    }

    /// The same at the socket that a supervisor has given to this process (`LISTEN_PID`,
    /// `LISTEN_FDS`, as systemd does): who may connect to it was the supervisor's choice. `None`
    /// where none was given.
    ///
    /// # Errors
    /// As [`open`](OfferOptions::open); [`ErrorKind::InvalidInput`] for several sockets, or one of
    /// another kind than `ListenSequentialPacket=`.
    #[doc(alias = "sd_listen_fds")]
    pub fn open_inherited(&self, source: &Source) -> Result<Option<Offer>> {
        let what = || format!("offer area {} {:?} at a supervisor's socket", source.id(), source.name());
        let Some(socket) = inherited::listener(&what)? else { return Ok(None) };
        self.check(source, &what)?;
        sys::listening::set_nonblocking(socket.as_fd())
            .map_err(|errno| failed(what(), "fcntl(F_SETFL)", errno))?;
        let listener = CheckedFd::new(socket).map_err(|errno| failed(what(), "fstat", errno))?;
        self.seal_it(source, &what)?;
        let answers = Answers::new(source.clone(), self.read_only, self.users.clone());
        Ok(Some(Offer { answers, listener, bound: None, path: PathBuf::new(), reach: Reach::Supervisor }))
    }

    /// Whether it makes sense, before anything is made.
    fn check(&self, source: &Source, what: &dyn Fn() -> String) -> Result<()> {
        self.users.check(what)?;
        if self.users == Users::Default && who::own().is_none() {
            return Err(Error::new(ErrorKind::NotPermitted, what())
                .with_facts("this process's own user has no number in its user namespace")
                .with_remedy("name the users to whom it is offered"));
        }
        let given = Given::open(source, self.read_only && !self.seal, what)?;
        if self.seal || !self.read_only {
            return Ok(());
        }
        let own = who::own();
        let named: Vec<u32> = match &self.users {
            Users::Default => own.into_iter().collect(),
            Users::These(users) => users.iter().copied().collect(),
            // Each is looked at when it comes.
            Users::Any => Vec::new(),
        };
        for user in named {
            if let Some(why) = given.lets_write(Some(user), what)? {
                return Err(Error::new(ErrorKind::NotPermitted, what())
                    .with_facts(format!("it is to be for reading only, and user {user} could still write it: {why}"))
                    .with_remedy(
                        "freeze it (`areas put --freeze`, `Area::freeze`), or seal it against new writers (`--seal`)",
                    ));
            }
        }
        Ok(())
    }

    /// Lets those connect who may have it.
    fn widen(&self, bound: &Bound, what: &dyn Fn() -> String) -> Result<Reach> {
        let any_user = || {
            let widened = bound.let_any_user_connect();
            widened.map_err(|errno| failed(what(), "chmod(0622), of the socket", errno))?;
            Ok(Reach::AnyUser)
        };
        let others: BTreeSet<u32> = match &self.users {
            Users::Default => return Ok(Reach::Owner),
            Users::Any => return any_user(),
            Users::These(users) => {
                users.iter().copied().filter(|&user| user != sys::process::user()).collect()
            }
        };
        if others.is_empty() {
            return Ok(Reach::Owner);
        }
        match bound.set_access_list(&access::list(&others)) {
            Ok(()) => Ok(Reach::Named),
            // A file system without such lists.
            Err(sys::Errno::OPNOTSUPP | sys::Errno::NOSYS) => any_user(),
            Err(errno) => Err(failed(what(), "setxattr(system.posix_acl_access), of the socket", errno)),
        }
    }

    fn seal_it(&self, source: &Source, what: &dyn Fn() -> String) -> Result<()> {
        if !self.seal {
            return Ok(());
        }
        if Given::open(source, true, what)?.is_sealed() {
            return Ok(());
        }
        source.open_object(Rights::Writing)?.seal_future_writers(what)
    }
}

/// Who can connect to the socket of an offer. (Who is *given* the area is another question: those
/// to whom it is offered.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reach {
    /// The user that made it, and root.
    Owner,
    /// They, and the users to whom it is offered.
    Named,
    /// All that may enter its folder.
    AnyUser,
    /// Whom the supervisor lets connect.
    Supervisor,
}

impl Reach {
    /// The older name of [`Reach::AnyUser`].
    #[deprecated(since = "0.2.0", note = "use `AnyUser`")]
    #[expect(non_upper_case_globals, reason = "it was a variant")]
    pub const Everybody: Reach = Reach::AnyUser;
}

/// An area that is offered at a socket. Dropping it takes the socket away; what was given stays
/// with those who have it.
///
/// A forked child has a copy, of which it does not take the socket away.
#[derive(Debug)]
#[must_use = "an offer that is dropped is over"]
pub struct Offer {
    // First the name goes, while the socket still listens.
    pub(super) bound: Option<Bound>,
    pub(super) listener: CheckedFd,
    pub(super) answers: Answers,
    path: PathBuf,
    reach: Reach,
}

impl Offer {
    /// Where it is offered, as it was asked; `None` for a supervisor's socket.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.bound.is_some().then_some(&*self.path)
    }

    /// What is offered, as it was found last.
    #[must_use]
    pub fn source(&self) -> &Source {
        self.answers.source()
    }

    /// Who can connect.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.reach
    }
}
