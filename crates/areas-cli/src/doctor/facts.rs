//! Where checks learn something: files of `/proc` and `/sys` below a root, so that another
//! machine's do as well, and what was tried in a child.
//!
//! What these files say is the kernel's or another process's text: it is read up to a limit, and
//! what is not as it should be is unknown, with a reason.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use areas::files::{MountLine, unescape};
use areas::machine::{self, Answer};

/// No file that is asked here is longer, but for mountinfo on machines of many containers.
const LONGEST: u64 = 4 << 20;

/// What is known of a machine and of a process on it.
#[derive(Debug)]
pub(crate) struct Facts {
    root: PathBuf,
    /// The results of system calls; empty for another machine.
    answers: Vec<(&'static str, Answer)>,
    /// What AREAS_DIR says, for this process.
    pub(crate) areas_dir: Option<PathBuf>,
}

/// Why something is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// There is no such file.
    Missing(PathBuf),
    /// It cannot be read.
    Failed(PathBuf, ErrorKind),
    /// It says something else than it should.
    Odd(PathBuf, String),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unread::Missing(path) => write!(f, "there is no {}", path.display()),
            Unread::Failed(path, kind) => write!(f, "{} cannot be read: {kind}", path.display()),
            Unread::Odd(path, text) => write!(f, "{} says {text:?}", path.display()),
        }
    }
}

pub(crate) type Known<T> = Result<T, Unread>;

impl Facts {
    /// Of this machine and this process. Makes system calls in a child.
    pub(crate) fn here() -> Self {
        let areas_dir = std::env::var_os("AREAS_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        Facts { root: PathBuf::from("/"), answers: machine::answers(), areas_dir }
    }

    /// Of another machine.
    pub(crate) fn of(root: &Path) -> Self {
        Facts { root: root.to_owned(), answers: Vec::new(), areas_dir: None }
    }

    /// Whether it is this machine, and this process.
    pub(crate) fn is_here(&self) -> bool {
        self.root == Path::new("/")
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether system calls could be tried at all; if not, why not.
    pub(crate) fn why_untried(&self) -> Option<&'static str> {
        match self.answers.iter().any(|(_, answer)| *answer != Answer::Unasked) {
            true => None,
            false if self.is_here() => Some("no child process could be made to try them"),
            false => Some("they can only be tried on the machine itself"),
        }
    }

    /// The result of a system call; `None` where it was not made.
    pub(crate) fn answer(&self, name: &str) -> Option<Answer> {
        let (_, answer) = self.answers.iter().find(|(known, _)| *known == name)?;
        (*answer != Answer::Unasked).then_some(*answer)
    }

    /// Where a path of the machine is, seen from here.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The path on the machine of what is there.
    pub(crate) fn shown<'a>(&self, path: &'a Path) -> std::borrow::Cow<'a, Path> {
        match path.strip_prefix(&self.root) {
            Ok(rest) if !self.is_here() => Path::new("/").join(rest).into(),
            _ => path.into(),
        }
    }

    /// A file's text, without what is around it.
    pub(crate) fn text(&self, path: impl AsRef<Path>) -> Known<String> {
        let path = path.as_ref();
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => Unread::Missing(path.to_owned()),
            kind => Unread::Failed(path.to_owned(), kind),
        };
        let there = self.path(path);
        // A copy of another machine's files may hold anything: what is not a plain file could keep
        // us waiting.
        if !std::fs::metadata(&there).map_err(failed)?.is_file() {
            return Err(Unread::Odd(path.to_owned(), "nothing: it is not a file".to_owned()));
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(there).map_err(failed)?;
        file.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// A number.
    pub(crate) fn number(&self, path: impl AsRef<Path>) -> Known<u64> {
        let path = path.as_ref();
        let text = self.text(path)?;
        text.parse().map_err(|_| odd(path, &text))
    }

    /// The word in brackets: `always [madvise] never`.
    pub(crate) fn chosen(&self, path: impl AsRef<Path>) -> Known<String> {
        let path = path.as_ref();
        let text = self.text(path)?;
        let word =
            text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(word, _)| word.to_owned());
        word.ok_or_else(|| odd(path, &text))
    }

    /// A field of `/proc/self/status`, or of another process's: what is behind its name.
    pub(crate) fn status_of(&self, process: &str, field: &str) -> Known<String> {
        self.field(Path::new("/proc").join(process).join("status"), field)
    }

    pub(crate) fn status(&self, field: &str) -> Known<String> {
        self.status_of("self", field)
    }

    /// Bytes, by a field of `/proc/meminfo`.
    pub(crate) fn meminfo(&self, field: &str) -> Known<u64> {
        self.bytes("/proc/meminfo", field)
    }

    /// A field in kilobytes, in bytes.
    pub(crate) fn bytes(&self, path: impl AsRef<Path>, field: &str) -> Known<u64> {
        let path = path.as_ref();
        let text = self.field(path, field)?;
        let kilobytes = text.strip_suffix(" kB").and_then(|number| number.trim().parse::<u64>().ok());
        kilobytes.and_then(|number| number.checked_mul(1024)).ok_or_else(|| odd(path, &text))
    }

    /// What is behind a name and a colon.
    pub(crate) fn field(&self, path: impl AsRef<Path>, field: &str) -> Known<String> {
        let path = path.as_ref();
        let text = self.text(path)?;
        let found = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        found
            .map(|value| value.trim().to_owned())
            .ok_or_else(|| Unread::Odd(path.to_owned(), format!("no {field}")))
    }

    /// A limit of a process, soft and hard, as `/proc/PID/limits` names it; `None` is unlimited.
    pub(crate) fn limit_of(&self, process: &str, name: &str) -> Known<(Option<u64>, Option<u64>)> {
        let path = Path::new("/proc").join(process).join("limits");
        let text = self.text(&path)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.ok_or_else(|| Unread::Odd(path.clone(), format!("no {name}")))?;
        let mut numbers = line.split_ascii_whitespace().map(|word| match word {
            "unlimited" => Some(None),
            number => number.parse().ok().map(Some),
        });
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(soft), Some(hard)) => Ok((soft, hard)),
            _ => Err(odd(&path, line.trim())),
        }
    }

    pub(crate) fn limit(&self, name: &str) -> Known<(Option<u64>, Option<u64>)> {
        self.limit_of("self", name)
    }

    /// The names in a folder, in order.
    pub(crate) fn names(&self, path: impl AsRef<Path>) -> Known<Vec<String>> {
        const MAX: usize = 100_000;
        let path = path.as_ref();
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => Unread::Missing(path.to_owned()),
            kind => Unread::Failed(path.to_owned(), kind),
        };
        let entries = std::fs::read_dir(self.path(path)).map_err(failed)?;
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            Some(entry.ok()?.file_name().to_string_lossy().into_owned())
        };
        let mut names: Vec<String> = entries.take(MAX).filter_map(name).collect();
        names.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        Ok(names)
    }

    /// Whether a file is missing because the kernel has no such thing, and not because nothing of
    /// its kind can be seen here.
    pub(crate) fn lacks(&self, why: &Unread) -> bool {
        let Unread::Missing(path) = why else { return false };
        let others =
            [("/proc/sys", "/proc/sys/kernel"), ("/proc", "/proc/self/status"), ("/sys", "/sys/kernel")];
        let other = others.iter().find(|(folder, _)| path.starts_with(folder));
        other.is_some_and(|(_, other)| self.exists(other))
    }

    pub(crate) fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).exists()
    }

    /// The user whose rights the process has.
    pub(crate) fn user(&self) -> Known<u32> {
        if self.is_here() {
            return Ok(rustix::process::geteuid().as_raw());
        }
        let uids = self.status("Uid")?;
        let effective = uids.split_ascii_whitespace().nth(1).and_then(|uid| uid.parse().ok());
        effective.ok_or_else(|| odd(Path::new("/proc/self/status"), &uids))
    }

    /// Whether the process has a capability, by its number.
    pub(crate) fn has_capability(&self, number: u32) -> Known<bool> {
        let text = self.status("CapEff")?;
        let bits = u64::from_str_radix(&text, 16).map_err(|_| odd(Path::new("/proc/self/status"), &text))?;
        Ok(bits >> number & 1 == 1)
    }

    /// The mounts that the process sees, the last one at a place only.
    pub(crate) fn mounts(&self) -> Known<Vec<Mount>> {
        let text = self.text("/proc/self/mountinfo")?;
        let mut mounts: Vec<Mount> = Vec::new();
        for mount in text.lines().map(str::as_bytes).filter_map(Mount::parse) {
            mounts.retain(|before| before.point != mount.point);
            mounts.push(mount);
        }
        Ok(mounts)
    }
}

fn odd(path: &Path, text: &str) -> Unread {
    const MAX: usize = 60;
    let mut short: String = text.chars().take(MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    Unread::Odd(path.to_owned(), short)
}

/// A mount, of a line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) point: String,
    pub(crate) kind: String,
    /// Those of the mount and those of the file system.
    pub(crate) options: Vec<String>,
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Self> {
        let MountLine { point, options, kind, kind_options, .. } = MountLine::of(line)?;
        let point = unescape(point).unwrap_or_else(|odd| odd);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut all: Vec<String> = Vec::new();
        for option in text(options).split(',').chain(text(kind_options).split(',')) {
            if !all.iter().any(|known| known == option) {
                all.push(option.to_owned());
            }
        }
        Some(Mount { point: text(&point), kind: text(kind), options: all })
    }

    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|known| known == option)
    }

    /// What an option is set to.
    pub(crate) fn value(&self, option: &str) -> Option<&str> {
        self.options.iter().find_map(|known| known.strip_prefix(option)?.strip_prefix('='))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Facts) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let facts = Facts::of(root.path());
        (root, facts)
    }

    #[test]
    fn what_is_not_as_it_should_be_is_unknown_and_says_why() {
        let (root, facts) = tree(&[
            ("proc/sys/vm/max_map_count", b"65530\n"),
            ("proc/sys/vm/odd", b"\x1b[2J\xff many\n"),
            ("proc/self/status", b"Uid:\t0\t1000\t0\t0\nCapEff:\t0000000000800000\nVmLck:\t      12 kB\nVmPin:\tx kB\n"),
            ("proc/self/limits", b"Limit                     Soft Limit           Hard Limit           Units\n\
                Max open files            1024                 unlimited            files\nMax file size   1\n"),
        ]);
        std::fs::create_dir(root.path().join("proc/sys/vm/folder")).unwrap();
        assert_eq!(facts.number("/proc/sys/vm/max_map_count"), Ok(65530));
        let why = |path: &str| facts.number(path).unwrap_err().to_string();
        assert_eq!(why("/proc/sys/vm/odd"), "/proc/sys/vm/odd says \"\\u{1b}[2J\u{fffd} many\"");
        assert_eq!(why("/proc/sys/vm/none"), "there is no /proc/sys/vm/none");
        assert_eq!(why("/proc/sys/vm/folder"), "/proc/sys/vm/folder says \"nothing: it is not a file\"");
        assert_eq!(facts.user(), Ok(1000));
        assert_eq!((facts.has_capability(23), facts.has_capability(21)), (Ok(true), Ok(false)));
        assert_eq!(facts.bytes("/proc/self/status", "VmLck"), Ok(12 << 10));
        assert!(facts.bytes("/proc/self/status", "VmPin").is_err());
        assert_eq!(facts.limit("Max open files"), Ok((Some(1024), None)));
        assert!(facts.limit("Max file size").is_err() && facts.limit("Max wishes").is_err());
    }

    #[test]
    fn what_is_mounted_over_is_not_there() {
        let (_root, facts) = tree(&[(
            "proc/self/mountinfo",
            b"1 2 0:3 / /dev/shm rw,nosuid shared:4 - tmpfs tmpfs rw,size=1k\nnonsense\n1 2 0:4 / /dev/shm ro - tmpfs x rw,size=2k\n",
        )]);
        let mounts = facts.mounts().unwrap();
        assert_eq!(mounts.len(), 1);
        assert_eq!(
            (mounts[0].value("size"), mounts[0].has("ro"), mounts[0].has("nosuid")),
            (Some("2k"), true, false)
        );
    }
}
