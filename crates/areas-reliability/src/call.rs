//! System calls, named so that a reader knows which one it was: `fcntl(F_SETLK)`,
//! `madvise(MADV_DONTFORK)`.

use syscalls::Sysno;

/// No system call has this number: a victim makes it as the operation begins.
pub(crate) const BEGIN: u64 = 0x4152_4501;
/// And this one as it has ended.
pub(crate) const END: u64 = 0x4152_4502;

/// A system call that a victim enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) args: [u64; 6],
    /// Where it was made.
    pub(crate) from: u64,
    /// Where the function that made it returns to, if that is known: for `munmap`, which the
    /// library has the C library call.
    pub(crate) returns: Option<u64>,
}

impl Call {
    pub(crate) fn sysno(&self) -> Option<Sysno> {
        usize::try_from(self.number).ok().and_then(Sysno::new)
    }

    /// Its name, with the word that says what it is to do where one call has many uses.
    pub(crate) fn name(&self) -> String {
        let name = match (self.number, self.sysno()) {
            (END, _) => return "the end".to_owned(),
            (_, Some(sysno)) => sysno.name().to_owned(),
            (number, None) => format!("call {number}"),
        };
        let low = |arg: usize| i32::try_from(self.args[arg] & 0x7fff_ffff).unwrap_or(i32::MAX);
        let word = match name.as_str() {
            "fcntl" => word_of(&FCNTL, low(1)),
            "madvise" => word_of(&MADVISE, low(2)),
            // Ours are for all processes; the standard library's are private.
            "futex" if low(1) & libc::FUTEX_PRIVATE_FLAG != 0 => Some("private"),
            "futex" => word_of(&FUTEX, low(1) & 0x7f),
            _ => None,
        };
        match word {
            Some(word) => format!("{name}({word})"),
            None => name,
        }
    }
}

fn word_of(words: &[(i32, &'static str)], number: i32) -> Option<&'static str> {
    words.iter().find(|(value, _)| *value == number).map(|(_, word)| *word)
}

const FCNTL: [(i32, &str); 8] = [
    (libc::F_ADD_SEALS, "F_ADD_SEALS"),
    (libc::F_GET_SEALS, "F_GET_SEALS"),
    (libc::F_GETFL, "F_GETFL"),
    (libc::F_GETLK, "F_GETLK"),
    (libc::F_SETLK, "F_SETLK"),
    (libc::F_OFD_GETLK, "F_OFD_GETLK"),
    (libc::F_OFD_SETLK, "F_OFD_SETLK"),
    (libc::F_DUPFD_CLOEXEC, "F_DUPFD_CLOEXEC"),
];
const MADVISE: [(i32, &str); 9] = [
    (libc::MADV_DONTDUMP, "MADV_DONTDUMP"),
    (libc::MADV_DONTFORK, "MADV_DONTFORK"),
    (libc::MADV_WIPEONFORK, "MADV_WIPEONFORK"),
    (libc::MADV_HUGEPAGE, "MADV_HUGEPAGE"),
    (libc::MADV_POPULATE_READ, "MADV_POPULATE_READ"),
    (libc::MADV_POPULATE_WRITE, "MADV_POPULATE_WRITE"),
    (libc::MADV_COLLAPSE, "MADV_COLLAPSE"),
    (libc::MADV_DONTNEED, "MADV_DONTNEED"),
    (libc::MADV_FREE, "MADV_FREE"),
];
const FUTEX: [(i32, &str); 3] =
    [(libc::FUTEX_WAIT, "WAIT"), (libc::FUTEX_WAKE, "WAKE"), (libc::FUTEX_WAKE_OP, "WAKE_OP")];
