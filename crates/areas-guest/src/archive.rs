//! The archive that the kernel unpacks as its first root file system: cpio's "newc" format
//! (Documentation/driver-api/early-userspace/buffer-format.rst), which the crate `cpio` writes.
//! Written entry by entry, it needs no root for owners and device nodes, and spares a folder of
//! copies.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use cpio::newc::{Builder, ModeFileType, trailer};

/// An archive being written. Everything in it belongs to root.
///
/// # Invariants
/// `names` holds every path so far, so that each is written once and after its parents.
#[derive(Debug)]
pub(crate) struct Archive<W> {
    out: W,
    names: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, names: BTreeSet::new() }
    }

    /// Whether `path` is in the archive already.
    pub(crate) fn contains(&self, path: &Path) -> bool {
        name(path).is_ok_and(|name| self.names.contains(name))
    }

    /// A folder and its parents; one that is there already is left as it is.
    pub(crate) fn directory(&mut self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        if name(path)?.is_empty() || self.contains(path) {
            return Ok(());
        }
        self.entry(path, ModeFileType::Directory, 0o755, (0, 0), b"")
    }

    pub(crate) fn file(&mut self, path: impl AsRef<Path>, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entry(path.as_ref(), ModeFileType::Regular, mode, (0, 0), content)
    }

    /// The file `from` of the host, readable for all in the guest and executable if it is
    /// here.
    pub(crate) fn copy(&mut self, path: impl AsRef<Path>, from: &Path, executable: bool) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
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

    pub(crate) fn symlink(&mut self, path: impl AsRef<Path>, target: &str) -> io::Result<()> {
        self.entry(path.as_ref(), ModeFileType::Symlink, 0o777, (0, 0), target.as_bytes())
    }

    pub(crate) fn character_device(&mut self, path: &str, mode: u32, device: (u32, u32)) -> io::Result<()> {
        self.entry(Path::new(path), ModeFileType::Char, mode, device, b"")
    }

    /// Ends the archive.
    pub(crate) fn finish(self) -> io::Result<()> {
        trailer(self.out)?.flush()
    }

    fn entry(
        &mut self,
        path: &Path,
        kind: ModeFileType,
        mode: u32,
        device: (u32, u32),
        content: &[u8],
    ) -> io::Result<()> {
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        let name = name(path)?;
        if !self.names.insert(name.to_owned()) {
            return Err(io::Error::other(format!("{name} is in the image twice")));
        }
        let number =
            |len: usize| u32::try_from(len).map_err(|_| io::Error::other("an entry of 4 GiB or more"));
        let entry = Builder::new(name)
            .ino(number(self.names.len())?)
            .nlink(if matches!(kind, ModeFileType::Directory) { 2 } else { 1 })
            .mode(mode)
            .set_mode_file_type(kind)
            .rdev_major(device.0)
            .rdev_minor(device.1);
        let mut writer = entry.write(&mut self.out, number(content.len())?);
        writer.write_all(content)?;
        writer.finish()?;
        Ok(())
    }
}

impl Archive<BufWriter<File>> {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self::new(BufWriter::new(file)))
    }
}

/// The name of a path in an archive: relative to the root, and text.
fn name(path: &Path) -> io::Result<&str> {
    path.strip_prefix("/").unwrap_or(path).to_str().ok_or_else(|| {
        io::Error::other(format!("{} is not UTF-8, as names in the image are", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::io::Read as _;
    use std::os::unix::ffi::OsStrExt as _;

    use cpio::newc::Reader;

    use super::*;

    /// The archive read back, a line for each entry: name, mode, device, content.
    fn entries(mut bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        loop {
            let mut reader = Reader::new(bytes).unwrap();
            let entry = reader.entry().clone();
            if entry.is_trailer() {
                assert_eq!(reader.finish().unwrap(), b"");
                return found;
            }
            let mut content = String::new();
            reader.read_to_string(&mut content).unwrap();
            let (major, minor) = (entry.rdev_major(), entry.rdev_minor());
            found.push(format!("{} {:06o} {major}:{minor} '{content}'", entry.name(), entry.mode()));
            bytes = reader.finish().unwrap();
        }
    }

    #[test]
    fn parents_come_first_and_once() {
        let mut bytes = Vec::new();
        let mut archive = Archive::new(&mut bytes);
        archive.file("/a/b/c", 0o644, b"hello").unwrap();
        archive.symlink("a/d", "b/c").unwrap();
        archive.directory("a/b").unwrap();
        archive.character_device("dev/console", 0o600, (5, 1)).unwrap();
        assert!(archive.contains(Path::new("/a/d")));
        assert!(!archive.contains(Path::new("/a/e")));
        archive.finish().unwrap();
        let expected = [
            "a 040755 0:0 ''",
            "a/b 040755 0:0 ''",
            "a/b/c 100644 0:0 'hello'",
            "a/d 120777 0:0 'b/c'",
            "dev 040755 0:0 ''",
            "dev/console 020600 5:1 ''",
        ];
        assert_eq!(entries(&bytes), expected);
    }

    #[test]
    fn a_path_twice_or_no_text_is_an_error() {
        let mut archive = Archive::new(Vec::new());
        archive.file("x", 0o644, b"1").unwrap();
        assert!(archive.file("/x", 0o644, b"2").unwrap_err().to_string().contains("twice"));
        let odd = Path::new(OsStr::from_bytes(b"\xff"));
        assert!(archive.file(odd, 0o644, b"").unwrap_err().to_string().contains("UTF-8"));
    }
}
