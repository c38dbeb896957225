//! A file that is there when it is complete, and not before: written without a name, or where the
//! file system cannot do that, under one of its own.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use areas::{Error, ErrorKind};
use rustix::fs::{self, AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::event::Event;
use crate::failure::io_error;
use crate::output;
use crate::signals;

/// A file that is being written. Dropped, it leaves nothing.
#[derive(Debug)]
pub(super) struct NewFile {
    file: File,
    folder: OwnedFd,
    /// Its name in the folder, once it is complete.
    name: OsString,
    path: PathBuf,
    /// Its name until then, if it needs one.
    stand_in: Option<OsString>,
    /// The file that it replaces.
    replaces: Option<Metadata>,
    /// Where signals are reported to that would end us, from before it has such a name; until then
    /// they do end us, and it goes with us.
    signals: Option<Sender<Event>>,
}

impl NewFile {
    /// Begins a file.
    ///
    /// # Errors
    /// `ErrorKind::Io` for a file that is there, unless it is to be replaced, and for what is no
    /// regular file in any case.
    pub(super) fn begin(path: &Path, replace: bool, signals: Sender<Event>) -> areas::Result<Self> {
        let failed = |error: io::Error| io_error(format!("write {path:?}"), error);
        let refuse = |detail: &'static str, help: &'static str| {
            Err(Error::new(ErrorKind::Io, format!("write {path:?}")).with_facts(detail).with_remedy(help))
        };
        // What a link leads to is replaced, and not the link.
        let real = match path.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => path.canonicalize().map_err(failed)?,
            _ => path.to_owned(),
        };
        let replaces = match real.metadata() {
            Ok(metadata) if metadata.is_dir() => return refuse("it is a directory", "name a file in it"),
            Ok(metadata) if !metadata.is_file() => {
                return refuse(
                    "it is not a regular file",
                    "`-` writes to the standard output: `areas get NAME - > FILE`",
                );
            }
            Ok(_) if !replace => return refuse("it is there already", "`--force` replaces it"),
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let Some(name) = real.file_name().map(OsStr::to_owned) else {
            return refuse("it names no file", "name a file");
        };
        let parent = real.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = fs::open(parent, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| failed(errno.into()))?;
        if let Some(file) = open_unnamed(&folder).map_err(|errno| failed(errno.into()))? {
            let (stand_in, signals) = (None, Some(signals));
            return Ok(NewFile { file, folder, name, path: path.to_owned(), stand_in, replaces, signals });
        }
        signals::watch(false, signals)?;
        let (file, stand_in) = open_named(&folder, &name).map_err(|errno| failed(errno.into()))?;
        let stand_in = Some(stand_in);
        Ok(NewFile { file, folder, name, path: path.to_owned(), stand_in, replaces, signals: None })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Whether it has a name while it is written.
    pub(super) fn is_named(&self) -> bool {
        self.stand_in.is_some()
    }

    /// It is complete: gives it its name.
    ///
    /// # Errors
    /// `ErrorKind::Io`, and then it is not there.
    pub(super) fn finish(mut self, sync: bool) -> areas::Result<()> {
        let path = self.path.clone();
        let failed = |error: io::Error| io_error(format!("write {path:?}"), error);
        if let Some(old) = self.replaces.take() {
            self.keep_rights(&old).map_err(failed)?;
            if sync {
                self.file.sync_all().map_err(failed)?;
            }
            // For a moment it has a name beside the old one's.
            self.signals.take().map_or(Ok(()), |signals| signals::watch(false, signals))?;
            self.replace().map_err(|errno| failed(errno.into()))?;
        } else {
            if sync {
                self.file.sync_all().map_err(failed)?;
            }
            self.name_it().map_err(|errno| match errno {
                Errno::EXIST => Error::new(ErrorKind::Io, format!("write {path:?}"))
                    .with_facts("another process has made it concurrently")
                    .with_remedy("`--force` replaces it"),
                errno => failed(errno.into()),
            })?;
        }
        if sync {
            // The name, too.
            fs::openat(
                &self.folder,
                ".",
                OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .and_then(fs::fsync)
            .map_err(|errno| failed(errno.into()))?;
        }
        Ok(())
    }

    /// As a program would have left them that had written into the old file.
    fn keep_rights(&self, old: &Metadata) -> io::Result<()> {
        let new = self.file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid())
            && let Err(error) = std::os::unix::fs::fchown(&self.file, Some(old.uid()), Some(old.gid()))
        {
            let owner = format!("{}:{}", new.uid(), new.gid());
            output::complain(&format!(
                "{:?} belongs to {owner} now: it cannot keep its owner: {}",
                self.path,
                areas::in_words(&error)
            ));
            // No set-uid bits for another owner.
            return self.file.set_permissions(PermissionsExt::from_mode(old.mode() & 0o777));
        }
        self.file.set_permissions(PermissionsExt::from_mode(old.mode() & 0o7777))
    }

    /// Gives it its name, which no process has.
    fn name_it(&mut self) -> rustix::io::Result<()> {
        match &self.stand_in {
            None => self.link(&self.name),
            Some(stand_in) => {
                let renamed = fs::renameat_with(
                    &self.folder,
                    stand_in,
                    &self.folder,
                    &self.name,
                    RenameFlags::NOREPLACE,
                );
                match renamed {
                    // A file system that does not know it.
                    Err(Errno::INVAL | Errno::NOSYS) => {
                        // The other name goes when this is dropped.
                        fs::linkat(&self.folder, stand_in, &self.folder, &self.name, AtFlags::empty())
                    }
                    Ok(()) => {
                        self.stand_in = None;
                        Ok(())
                    }
                    refused => refused,
                }
            }
        }
    }

    /// Puts it in the place of another file, at once.
    fn replace(&mut self) -> rustix::io::Result<()> {
        if self.stand_in.is_none() {
            let name = stand_in(&self.name);
            self.link(&name)?;
            self.stand_in = Some(name);
        }
        if let Some(stand_in) = &self.stand_in {
            fs::renameat(&self.folder, stand_in, &self.folder, &self.name)?;
            self.stand_in = None;
        }
        Ok(())
    }

    fn link(&self, name: &OsStr) -> rustix::io::Result<()> {
        let unnamed = format!("/proc/self/fd/{}", self.file.as_fd().as_raw_fd());
        fs::linkat(CWD, unnamed, &self.folder, name, AtFlags::SYMLINK_FOLLOW)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(stand_in) = &self.stand_in {
            let _ = fs::unlinkat(&self.folder, stand_in, AtFlags::empty());
        }
    }
}

/// A file without a name, which is gone with this process however that ends; `None` where there are
/// none.
fn open_unnamed(folder: &OwnedFd) -> rustix::io::Result<Option<File>> {
    match fs::openat(folder, ".", OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, MODE) {
        // To get a name it takes /proc.
        Ok(file) => Ok(Path::new("/proc/self/fd").exists().then(|| file.into())),
        // What file systems and kernels say that cannot do that.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT | Errno::NOSYS) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// A file under a name that nothing else uses.
fn open_named(folder: &OwnedFd, name: &OsStr) -> rustix::io::Result<(File, OsString)> {
    let name = stand_in(name);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDWR | OFlags::CLOEXEC;
    fs::openat(folder, &name, flags, MODE).map(|file| (file.into(), name))
}

/// Of a new file, without what the umask takes.
const MODE: Mode = Mode::from_raw_mode(0o666);

/// A name beside another one.
fn stand_in(name: &OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let end = format!(".areas-{}", std::process::id());
    // Together no longer than a name may be.
    let name = &name.as_bytes()[..name.len().min(250 - end.len())];
    OsString::from_vec([b".", name, end.as_bytes()].concat())
}
