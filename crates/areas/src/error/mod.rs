//! One error type for the whole library: a small bug report.
//!
//! An [`Error`] says what was being done, with which values, which system call failed and what the
//! kernel said, what was found out at that moment (limits, free memory, which process is in the
//! way), and what to do about it. It is built at the place of the failure, because facts such as a
//! limit's use are gone a moment later.

mod errno;
pub(crate) mod pool;
pub(crate) mod remedy;

use std::borrow::Cow;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

pub use errno::Errno;

/// The result of everything in this library that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure an [`Error`] is: what a program can act upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request makes no sense: size 0, a bad name, an unknown word.
    InvalidInput,
    /// An offset or range lies outside the area.
    OutOfRange,
    /// A NUMA node does not exist, or this process may not use it.
    NodeNotAllowed,
    /// No area of that name or id.
    NoSuchArea,
    /// Another area has the name that was to be this one's alone.
    NameTaken,
    /// No live process of that number; or, where areas are to be handed over, none that holds any.
    NoSuchTeam,
    /// The machine, a node or a huge-page pool does not have that much memory.
    NoMemory,
    /// The addresses asked for are taken or unusable.
    AddressInUse,
    /// A limit of this process (`RLIMIT_*`) or of the system is exceeded.
    Limit,
    /// The kernel does not permit it to this user.
    NotPermitted,
    /// The area lives in a process that this one may not read.
    Unreadable,
    /// The memory is still in use in a way that forbids the operation.
    Busy,
    /// The area is frozen: no process can write it any more.
    Frozen,
    /// The area was mapped without the protection that the operation needs.
    ReadOnly,
    /// The registry's folder or tables are not as they must be.
    Registry,
    /// This kernel or machine cannot do it.
    Unsupported,
    /// A deadline has passed.
    TimedOut,
    /// A process died while it had a lock, or in the middle of a write: what that guards may be
    /// half changed.
    OwnerDied,
    /// Reading or writing a file failed.
    Io,
    /// A system call failed in a way that has no kind of its own.
    System,
}

impl ErrorKind {
    /// Each of them, in the order above, for code that passes kinds on as a number or a word.
    #[doc(hidden)]
    pub const ALL: [ErrorKind; 20] = [
        ErrorKind::InvalidInput,
        ErrorKind::OutOfRange,
        ErrorKind::NodeNotAllowed,
        ErrorKind::NoSuchArea,
        ErrorKind::NameTaken,
        ErrorKind::NoSuchTeam,
        ErrorKind::NoMemory,
        ErrorKind::AddressInUse,
        ErrorKind::Limit,
        ErrorKind::NotPermitted,
        ErrorKind::Unreadable,
        ErrorKind::Busy,
        ErrorKind::Frozen,
        ErrorKind::ReadOnly,
        ErrorKind::Registry,
        ErrorKind::Unsupported,
        ErrorKind::TimedOut,
        ErrorKind::OwnerDied,
        ErrorKind::Io,
        ErrorKind::System,
    ];
}

/// What failed, with everything that was known at that moment.
///
/// `{}` prints one line, `{:#}` adds the remedy on a second one:
///
/// ```text
/// cannot lock area "ring": mlock2(0x7f3a40000000, 64 MiB, MLOCK_ONFAULT): ENOMEM; RLIMIT_MEMLOCK is 8 MiB, 6 MiB in use, 64 MiB wanted
///   help: raise it: `ulimit -l 71680`, or LimitMEMLOCK=73400320 in the systemd unit; or use no lock
/// ```
///
/// It is one pointer wide, so that a `Result` stays cheap where nothing fails.
pub struct Error(Box<Report>);

#[derive(Debug)]
struct Report {
    kind: ErrorKind,
    what: Cow<'static, str>,
    system_call: Option<Cow<'static, str>>,
    errno: Option<Errno>,
    facts: Option<Cow<'static, str>>,
    remedy: Option<Cow<'static, str>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What is in it is only read: nothing that a panic left half done can be seen through it, its
/// causes included. (So areas, which keep the errors that made them fall back, may be had on both
/// sides of `catch_unwind`, as Arrow's buffers want of their owners.)
impl UnwindSafe for Error {}
impl RefUnwindSafe for Error {}

impl Error {
    /// A new error: `what` completes the sentence "cannot …", with the values that matter in it.
    ///
    /// Public so that custom providers can report in the same form.
    #[must_use]
    pub fn new(kind: ErrorKind, what: impl Into<Cow<'static, str>>) -> Self {
        Error(Box::new(Report {
            kind,
            what: what.into(),
            system_call: None,
            errno: None,
            facts: None,
            remedy: None,
            source: None,
        }))
    }

    /// The system call that failed, with its arguments, and what the kernel said.
    #[must_use]
    pub fn with_system_call(mut self, call: impl Into<Cow<'static, str>>, errno: impl Into<Errno>) -> Self {
        self.0.system_call = Some(call.into());
        self.0.errno = Some(errno.into());
        self
    }

    /// What was found out at the moment of the failure.
    #[must_use]
    pub fn with_facts(mut self, facts: impl Into<Cow<'static, str>>) -> Self {
        self.0.facts = Some(facts.into());
        self
    }

    /// What the reader can do about it.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<Cow<'static, str>>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    /// Another error that led to this one. What it says can be done is said here as well, where
    /// this one has no remedy of its own.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        if self.0.remedy.is_none()
            && let Some(Error(cause)) = source.downcast_ref::<Error>()
        {
            self.0.remedy.clone_from(&cause.remedy);
        }
        self.0.source = Some(source);
        self
    }

    /// What sort of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was being done: it completes "cannot …".
    #[must_use]
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// The system call that failed, with its arguments.
    #[must_use]
    pub fn system_call(&self) -> Option<&str> {
        self.0.system_call.as_deref()
    }

    /// What the kernel said, if it was the kernel that refused.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        self.0.errno
    }

    /// What was found out at the moment of the failure.
    #[must_use]
    pub fn facts(&self) -> Option<&str> {
        self.0.facts.as_deref()
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}{}", self.0.what, self.0.why())?;
        if let (true, Some(remedy)) = (f.alternate(), &self.0.remedy) {
            write!(f, "\n  help: {remedy}")?;
        }
        Ok(())
    }
}

impl Report {
    /// What follows on "cannot …".
    fn why(&self) -> String {
        let mut why = String::new();
        if let Some(call) = &self.system_call {
            why += &format!(": {call}");
        }
        if let Some(errno) = &self.errno {
            why += &format!(": {errno}");
        }
        if let Some(facts) = &self.facts {
            why += if self.system_call.is_some() { "; " } else { ": " };
            why += facts;
        }
        if let Some(source) = &self.source {
            why += &format!(" ({})", self.cause(&**source));
        }
        why
    }

    /// Another error that led to this one. Of one that has the same words in front these are said
    /// once.
    fn cause(&self, source: &(dyn std::error::Error + 'static)) -> String {
        if let Some(error) = source.downcast_ref::<std::io::Error>() {
            return in_words(error);
        }
        match source.downcast_ref::<Error>() {
            Some(Error(report)) if report.what == self.what => {
                let why = report.why();
                why.strip_prefix(": ").map_or_else(|| source.to_string(), str::to_owned)
            }
            _ => source.to_string(),
        }
    }
}

/// An error of the standard library, with the name of the kernel's number instead of that: "no such
/// file or directory (ENOENT)".
#[doc(hidden)]
#[must_use]
pub fn in_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    match (text.rsplit_once(" (os error "), error.raw_os_error()) {
        (Some((words, _)), Some(number)) => {
            let mut letters = words.chars();
            let first = letters.next().map(|first| first.to_ascii_lowercase());
            format!("{}{} ({})", first.unwrap_or(' '), letters.as_str(), Errno::from_raw(number))
        }
        _ => text,
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What `unwrap` and `main` print: the whole report, as a person reads it, and the kind for
        // the programmer.
        write!(f, "{self:#}\n  kind: {:?}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::InvalidInput | ErrorKind::OutOfRange | ErrorKind::NodeNotAllowed => {
                std::io::ErrorKind::InvalidInput
            }
            ErrorKind::NoSuchArea | ErrorKind::NoSuchTeam => std::io::ErrorKind::NotFound,
            ErrorKind::NameTaken => std::io::ErrorKind::AlreadyExists,
            ErrorKind::NoMemory => std::io::ErrorKind::OutOfMemory,
            ErrorKind::NotPermitted | ErrorKind::Unreadable | ErrorKind::ReadOnly | ErrorKind::Frozen => {
                std::io::ErrorKind::PermissionDenied
            }
            ErrorKind::Busy => std::io::ErrorKind::ResourceBusy,
            ErrorKind::Unsupported => std::io::ErrorKind::Unsupported,
            ErrorKind::TimedOut => std::io::ErrorKind::TimedOut,
            _ => std::io::ErrorKind::Other,
        };
        std::io::Error::new(kind, error)
    }
}

/// A consuming call that failed: the error, and the value back, unchanged.
#[must_use = "the value is inside: take it out, or drop it knowingly"]
pub struct Rejected<T> {
    /// Why it failed.
    pub error: Error,
    /// What was given to the call, as it was.
    pub value: T,
}

impl<T> Rejected<T> {
    pub(crate) fn new(error: Error, value: T) -> Self {
        Rejected { error, value }
    }
}

impl<T> fmt::Debug for Rejected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl<T> fmt::Display for Rejected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl<T> std::error::Error for Rejected<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

/// For `?` where the value is not wanted back: it is dropped.
impl<T> From<Rejected<T>> for Error {
    fn from(rejected: Rejected<T>) -> Self {
        rejected.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Error {
        Error::new(ErrorKind::Limit, "lock area \"ring\"")
            .with_system_call("mlock2(0x7f3a40000000, 64 MiB, ONFAULT)", Errno::NOMEM)
            .with_facts("RLIMIT_MEMLOCK is 8 MiB, 6 MiB in use")
            .with_remedy("raise it: `ulimit -l 65536`")
    }

    #[test]
    fn all_kinds_are_listed() {
        let places: Vec<usize> = ErrorKind::ALL.iter().map(|&kind| kind as usize).collect();
        assert_eq!(places, (0..ErrorKind::ALL.len()).collect::<Vec<_>>());
        // The last one that there is.
        assert_eq!(ErrorKind::ALL.last(), Some(&ErrorKind::System));
    }

    #[test]
    fn one_line_and_with_help() {
        assert_eq!(
            sample().to_string(),
            "cannot lock area \"ring\": mlock2(0x7f3a40000000, 64 MiB, ONFAULT): ENOMEM; \
             RLIMIT_MEMLOCK is 8 MiB, 6 MiB in use"
        );
        assert_eq!(format!("{:#}", sample()), format!("{}\n  help: raise it: `ulimit -l 65536`", sample()));
    }

    #[test]
    fn facts_survive_every_conversion() {
        let io: std::io::Error = sample().into();
        assert_eq!(io.to_string(), sample().to_string());
        let rejected = Rejected::new(sample(), 7);
        assert_eq!(rejected.to_string(), sample().to_string());
        let back: Error = rejected.into();
        assert_eq!((back.kind(), back.errno()), (ErrorKind::Limit, Some(Errno::NOMEM)));
        assert_eq!(back.remedy(), sample().remedy());
    }

    #[test]
    fn causes_are_reported_by_their_names_and_once() {
        let error = Error::new(ErrorKind::System, "wait for signals")
            .caused_by(std::io::Error::from_raw_os_error(24));
        assert_eq!(error.to_string(), "cannot wait for signals (too many open files (EMFILE))");
        let inner = || {
            Error::new(ErrorKind::Io, "take it")
                .with_system_call("connect", Errno::NOMEM)
                .with_facts("it is full")
        };
        let error = Error::new(ErrorKind::TimedOut, "take it").with_facts("in vain").caused_by(inner());
        assert_eq!(error.to_string(), "cannot take it: in vain (connect: ENOMEM; it is full)");
        let advised = Error::new(ErrorKind::Limit, "hold it").caused_by(sample());
        assert_eq!(advised.remedy(), sample().remedy());
        let own = Error::new(ErrorKind::Limit, "hold it").with_remedy("wait").caused_by(sample());
        assert_eq!(own.remedy(), Some("wait"));
        let error = Error::new(ErrorKind::TimedOut, "hold it").caused_by(inner());
        assert_eq!(error.to_string(), "cannot hold it (cannot take it: connect: ENOMEM; it is full)");
        let error =
            Error::new(ErrorKind::TimedOut, "take it").caused_by(Error::new(ErrorKind::Io, "take it"));
        assert_eq!(error.to_string(), "cannot take it (cannot take it)");
        // One that is not the kernel's.
        assert_eq!(in_words(&std::io::Error::other("a story")), "a story");
    }

    #[test]
    fn one_pointer() {
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }
}
