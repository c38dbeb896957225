//! A writer of cpio archives in the "newc" format, the one the kernel unpacks as its first root
//! file system (Documentation/driver-api/early-userspace/buffer-format.rst). Written here since it
//! is forty lines, needs no root for owners and device nodes, and spares a folder of copies.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// An archive being written. Everything in it belongs to root.
///
/// # Invariants
/// `written` counts the bytes given to `out` and is a multiple of 4 between entries. `names` holds
/// every path so far, so that each is written once and after its parents.
#[derive(Debug)]
pub(crate) struct Archive<W> {
    out: W,
    written: u64,
    names: BTreeSet<Vec<u8>>,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, written: 0, names: BTreeSet::new() }
    }

    /// Whether `path` is in the archive already.
    pub(crate) fn contains(&self, path: &[u8]) -> bool {
        self.names.contains(relative(path))
    }

    /// A folder and its parents; one that is there already is left as it is.
    pub(crate) fn directory(&mut self, path: &[u8]) -> io::Result<()> {
        let path = relative(path);
        if path.is_empty() || self.contains(path) {
            return Ok(());
        }
        self.parents(path)?;
        self.entry(path, DIRECTORY | 0o755, (0, 0), b"")
    }

    pub(crate) fn file(&mut self, path: &[u8], mode: u32, content: &[u8]) -> io::Result<()> {
        self.parents(path)?;
        self.entry(relative(path), REGULAR | mode, (0, 0), content)
    }

    /// The file `from` of the host, readable for all in the guest and executable if it is
    /// here.
    pub(crate) fn copy(&mut self, path: &[u8], from: &Path, executable: bool) -> Result<()> {
        let content = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        if u32::try_from(content.len()).is_err() {
            bail!(
                "{} has {} bytes, and a cpio archive holds files below 4 GiB",
                from.display(),
                content.len()
            );
        }
        let mode = if executable { 0o755 } else { 0o644 };
        self.file(path, mode, &content)
            .with_context(|| format!("cannot write {} to the image", from.display()))
    }

    pub(crate) fn symlink(&mut self, path: &[u8], target: &[u8]) -> io::Result<()> {
        self.parents(path)?;
        self.entry(relative(path), SYMLINK | 0o777, (0, 0), target)
    }

    pub(crate) fn character_device(&mut self, path: &[u8], mode: u32, device: (u32, u32)) -> io::Result<()> {
        self.parents(path)?;
        self.entry(relative(path), CHARACTER_DEVICE | mode, device, b"")
    }

    /// Ends the archive and returns the number of bytes written.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        self.entry(b"TRAILER!!!", 0, (0, 0), b"")?;
        self.out.flush()?;
        Ok(self.written)
    }

    fn parents(&mut self, path: &[u8]) -> io::Result<()> {
        match relative(path).iter().rposition(|&byte| byte == b'/') {
            Some(end) => {
                let parent = relative(path)[..end].to_vec();
                self.directory(&parent)
            }
            None => Ok(()),
        }
    }

    fn entry(&mut self, path: &[u8], mode: u32, device: (u32, u32), content: &[u8]) -> io::Result<()> {
        if !self.names.insert(path.to_vec()) {
            return Err(io::Error::other(format!("{} is in the image twice", String::from_utf8_lossy(path))));
        }
        let number =
            |len: usize| u32::try_from(len).map_err(|_| io::Error::other("an entry of 4 GiB or more"));
        let (inode, links) = (number(self.names.len())?, 1 + u32::from(mode & DIRECTORY != 0));
        // magic, then inode mode uid gid links mtime size device(major minor) rdevice(major minor)
        // name-size check
        let fields = [
            inode,
            mode,
            0,
            0,
            links,
            0,
            number(content.len())?,
            0,
            0,
            device.0,
            device.1,
            number(path.len() + 1)?,
            0,
        ];
        let mut header = String::from("070701");
        for field in fields {
            header += &format!("{field:08x}");
        }
        self.put(header.as_bytes())?;
        self.put(path)?;
        self.put(b"\0")?;
        self.align()?;
        self.put(content)?;
        self.align()
    }

    fn align(&mut self) -> io::Result<()> {
        while !self.written.is_multiple_of(4) {
            self.put(b"\0")?;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

impl Archive<io::BufWriter<File>> {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self::new(io::BufWriter::new(file)))
    }
}

/// Names in an archive are relative to the root.
fn relative(path: &[u8]) -> &[u8] {
    let start = path.iter().position(|&byte| byte != b'/').unwrap_or(path.len());
    &path[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The archive read back: name, mode, content.
    fn entries(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut at = 0;
        let mut found = Vec::new();
        loop {
            assert_eq!(&bytes[at..at + 6], b"070701");
            let field = |n: usize| {
                let start = at + 6 + 8 * n;
                u32::from_str_radix(std::str::from_utf8(&bytes[start..start + 8]).unwrap(), 16).unwrap()
            };
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let name = String::from_utf8(bytes[at + 110..at + 110 + name_size - 1].to_vec()).unwrap();
            let content = (at + 110 + name_size).next_multiple_of(4);
            if name == "TRAILER!!!" {
                assert_eq!(content, bytes.len());
                return found;
            }
            found.push((name, mode, bytes[content..content + size].to_vec()));
            at = (content + size).next_multiple_of(4);
        }
    }

    #[test]
    fn parents_come_first_and_once() {
        let mut bytes = Vec::new();
        let mut archive = Archive::new(&mut bytes);
        archive.file(b"/a/b/c", 0o644, b"hello").unwrap();
        archive.symlink(b"a/d", b"b/c").unwrap();
        archive.directory(b"a/b").unwrap();
        archive.character_device(b"dev/console", 0o600, (5, 1)).unwrap();
        assert!(archive.contains(b"/a/d"));
        assert!(!archive.contains(b"/a/e"));
        let written = archive.finish().unwrap();
        assert_eq!(written, bytes.len() as u64);
        let found = entries(&bytes);
        let expected: [(&str, u32, &[u8]); 6] = [
            ("a", 0o040_755, b""),
            ("a/b", 0o040_755, b""),
            ("a/b/c", 0o100_644, b"hello"),
            ("a/d", 0o120_777, b"b/c"),
            ("dev", 0o040_755, b""),
            ("dev/console", 0o020_600, b""),
        ];
        assert_eq!(found.len(), expected.len());
        for (entry, (name, mode, content)) in found.iter().zip(expected) {
            assert_eq!((entry.0.as_str(), entry.1, entry.2.as_slice()), (name, mode, content));
        }
    }

    #[test]
    fn a_path_twice_is_an_error() {
        let mut archive = Archive::new(Vec::new());
        archive.file(b"x", 0o644, b"1").unwrap();
        assert!(archive.file(b"/x", 0o644, b"2").unwrap_err().to_string().contains("twice"));
    }
}
