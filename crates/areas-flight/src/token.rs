//! The secret that a server asks for, and the file that it is in.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use areas::{Error, ErrorKind, Result};

use crate::failure::io_error;
use crate::hex::hex;

/// A new token has so many random bytes.
const RANDOM: usize = 32;
/// A token has so many characters at least,
const MIN: usize = 16;
/// and at most.
const MAX: usize = 4096;

/// A secret text. It is not shown by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// The one in a file; where there is no such file, it is made, for its owner alone, with a new
    /// token.
    pub(crate) fn read_or_make(path: &Path) -> Result<Self> {
        match Self::read(path)? {
            Some(token) => Ok(token),
            None => Self::make(path),
        }
    }

    /// The one in a file; `None` where there is no such file.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let Some(text) = read_secret(path, "a token", MAX as u64 + 2)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&text);
        Self::new(text.trim_end_matches(['\n', '\r'])).map(Some).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("read a token from {path:?}"))
                .with_facts(format!("it is not one line of {MIN} to {MAX} visible ASCII characters"))
                .with_remedy("remove it, and `areas serve` makes a new one")
        })
    }

    fn new(text: &str) -> Option<Self> {
        let fits = (MIN..=MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Token(text.to_owned()))
    }

    fn make(path: &Path) -> Result<Self> {
        let what = || format!("make a token in {path:?}");
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|error| io_error(what(), error))?;
        }
        let mut random = [0; RANDOM];
        // So few bytes come at once, once the machine has any.
        let got =
            rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).map_err(|errno| {
                Error::new(ErrorKind::System, what()).with_system_call("getrandom(32 bytes)", errno)
            })?;
        if got != RANDOM {
            return Err(Error::new(ErrorKind::System, what())
                .with_facts(format!("getrandom returned {got} bytes of {RANDOM}")));
        }
        let token = hex(&random);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = opened.map_err(|error| io_error(what(), error))?;
        if let Err(error) = writeln!(file, "{token}") {
            // A part of a token would be refused from now on.
            let _ = std::fs::remove_file(path);
            return Err(io_error(what(), error));
        }
        Ok(Token(token))
    }

    /// What goes into the header `authorization`.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether a header is that one. How long it takes says nothing of where they differ.
    pub(crate) fn is_in(&self, header: &[u8]) -> bool {
        let ours = self.header();
        let differs = ours.bytes().zip(header).fold(0, |differs, (ours, theirs)| differs | (ours ^ theirs));
        differs == 0 && ours.len() == header.len()
    }
}

/// What is in a file that only its owner may read, and of which no more than `most` bytes are read;
/// `None` where there is no such file.
pub(crate) fn read_secret(path: &Path, what: &str, most: u64) -> Result<Option<Vec<u8>>> {
    let failed = |error| io_error(format!("read {what} from {path:?}"), error);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    // Asked of what is open, not of what has the name by now.
    let status = file.metadata().map_err(failed)?;
    let refuse = |detail: String, help: String| {
        Error::new(ErrorKind::NotPermitted, format!("read {what} from {path:?}"))
            .with_facts(detail)
            .with_remedy(help)
    };
    if status.mode() & 0o077 != 0 {
        let detail = format!("others may read or write it: its mode is {:04o}", status.mode() & 0o7777);
        return Err(refuse(
            detail,
            format!("`chmod 600 {}`; if others may have read it, make a new one", path.display()),
        ));
    }
    let user = rustix::process::geteuid().as_raw();
    if status.uid() != user && status.uid() != 0 {
        let detail = format!("it belongs to user {}, and this is user {user}", status.uid());
        return Err(refuse(detail, "use a file of this user's own".to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

/// Where a token is if no process says where.
pub(crate) fn default_path() -> Option<PathBuf> {
    let named = |variable| std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    let folder = named("XDG_CONFIG_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| named("HOME").map(|home| home.join(".config")));
    folder.map(|folder| folder.join("areas/flight.token"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn made_once_and_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/token");
        assert_eq!(Token::read(&path).unwrap(), None);
        let made = Token::read_or_make(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(Token::read_or_make(&path).unwrap(), made);
        assert_ne!(Token::read_or_make(&folder.path().join("other")).unwrap(), made);
        assert_eq!(made.0.len(), 2 * RANDOM);
    }

    #[test]
    fn what_others_may_read_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        Token::read_or_make(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o644] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(Token::read(&path).unwrap_err().kind(), ErrorKind::NotPermitted, "{mode:o}");
        }
    }

    #[test]
    fn only_the_whole_header_will_do() {
        let token = Token::new("0123456789abcdef").unwrap();
        assert!(token.is_in(b"Bearer 0123456789abcdef"));
        for wrong in [
            "",
            "Bearer ",
            "Bearer 0123456789abcdee",
            "Bearer 0123456789abcdef0",
            "Bearer 0123456789abcde",
            "0123456789abcdef",
        ] {
            assert!(!token.is_in(wrong.as_bytes()), "{wrong}");
        }
        for wrong in ["", "short", "0123456789 abcdef", "0123456789abcdé0"] {
            assert!(Token::new(wrong).is_none(), "{wrong}");
        }
        assert!(!format!("{token:?}").contains("0123"));
    }
}
