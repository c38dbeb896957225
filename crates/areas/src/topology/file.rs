//! Files of sysfs: read with a bound. What cannot be read is noted, with the file and what stands
//! in it, and is not known; all else stands.
//!
//! The tree may be any folder that a caller names, so a file of it may be a pipe, a device,
//! endless, or not text.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::oddity::{MAX_ODDITIES, Oddity};
use crate::error::Errno;
use crate::nodes::Node;
use crate::nodes::list::{self, excerpt};
use crate::sys;

/// More than any file that is read here has: a list of 8192 CPUs, every other one, is 21 KiB.
const MAX_BYTES: u64 = 64 * 1024;
/// More than any folder that is listed here has.
const MAX_ENTRIES: usize = 64 * 1024;

/// What was found that cannot be believed, in the order of reading.
#[derive(Debug, Default)]
pub(super) struct Notes(RefCell<Vec<Oddity>>);

impl Notes {
    fn add(&self, oddity: Oddity) {
        let mut all = self.0.borrow_mut();
        // Not all of a tree that lies everywhere is reported. A file that is read twice is reported
        // once.
        if all.len() < MAX_ODDITIES && !all.contains(&oddity) {
            all.push(oddity);
        }
    }

    pub(super) fn into_inner(self) -> Vec<Oddity> {
        self.0.into_inner()
    }
}

/// A folder in the tree. What is not there is `None`: a fact that the kernel does not report.
/// What is there and makes no sense is `None`, too, and noted.
#[derive(Clone, Debug)]
pub(super) struct Folder<'a> {
    path: PathBuf,
    /// Whose it is, if it is a node's.
    node: Option<Node>,
    notes: &'a Notes,
}

impl<'a> Folder<'a> {
    pub(super) fn at(path: impl Into<PathBuf>, notes: &'a Notes) -> Self {
        Folder { path: path.into(), node: None, notes }
    }

    pub(super) fn sub(&self, name: impl AsRef<Path>) -> Self {
        Folder { path: self.path.join(name), ..self.clone() }
    }

    /// A folder outside the tree.
    pub(super) fn elsewhere(&self, path: &str) -> Self {
        Folder { path: path.into(), ..self.clone() }
    }

    /// The folder of a node.
    pub(super) fn of_node(&self, node: Node) -> Self {
        Folder { node: Some(node), ..self.sub(format!("node{node}")) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// What `parse` makes of a file.
    pub(super) fn parse<T>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let read = text(&self.path.join(name)).and_then(|text| text.map(|text| parse(&text)).transpose());
        read.unwrap_or_else(|why| {
            self.note(name, why);
            None
        })
    }

    /// A file that holds one number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.parse(name, number)
    }

    /// The *n* of all entries that are called `prefix`*n*, in ascending order.
    pub(super) fn numbered(&self, prefix: &str, suffix: &str, max: u32) -> Vec<u32> {
        let names = match sys::text::names_in(&self.path, MAX_ENTRIES) {
            Ok(names) => names,
            Err(error) => {
                if error.raw_os_error() == Some(libc::EOVERFLOW) {
                    self.note("", format!("it has more than {MAX_ENTRIES} entries"));
                } else if !is_absent(&error) {
                    self.note("", in_words("open, getdents64", &error));
                }
                return Vec::new();
            }
        };
        let mut numbers = Vec::new();
        for name in names {
            let digits = name.to_str().and_then(|name| name.strip_prefix(prefix)?.strip_suffix(suffix));
            match digits {
                Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                    match list::number(digits, max) {
                        Ok(number) => numbers.push(number),
                        Err(why) => self.note("", why),
                    }
                }
                _ => {}
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Notes that a file in this folder, or the folder itself (`""`), makes no sense.
    pub(super) fn note(&self, name: &str, why: String) {
        let file = if name.is_empty() { self.path.clone() } else { self.path.join(name) };
        self.notes.add(Oddity { node: self.node, file, why });
    }
}

/// Reads digits with at most a newline behind them.
pub(super) fn number(text: &str) -> Result<u64, String> {
    let digits = text.strip_suffix('\n').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{} is not a number", excerpt(text)));
    }
    digits.parse().map_err(|_| format!("{} is more than 2^64 - 1", excerpt(digits)))
}

/// The whole text of a file, or `None` if there is none. The error is a phrase.
fn text(path: &Path) -> Result<Option<String>, String> {
    // A pipe does not hold us until it is written.
    let mut file = match sys::text::open(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(in_words("open", &error)),
    };
    let mut bytes = bounded(&mut file).map_err(|error| in_words("read", &error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it is longer than {MAX_BYTES} bytes"));
    }
    // Some kernels (seen up to 5.15) print the NUL that ends their string, too.
    bytes.truncate(bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1));
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let lossy = String::from_utf8_lossy(error.as_bytes()).into_owned();
            Err(format!("{} is not text", excerpt(&lossy)))
        }
    }
}

fn bounded(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// `open: EACCES`.
fn in_words(call: &str, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(errno) => format!("{call}: {}", Errno::from_raw(errno)),
        None => error.to_string(),
    }
}
