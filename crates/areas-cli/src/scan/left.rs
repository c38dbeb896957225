//! What an `areas reap` that was interrupted has left: a file under the name that it was given
//! before it was to go, which says what it was called.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How such names begin; the process that takes the file away follows, a number, and the file's own
/// name.
const START: &[u8] = b".areas-reap-";

/// No file's name is longer.
const LONGEST: usize = 255;

/// What a file that was left was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Was<'a> {
    pub(super) name: &'a [u8],
    /// Whether the end of it may be missing, which had no room.
    pub(super) is_cut: bool,
}

impl std::fmt::Display for Was<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let more = if self.is_cut { "…" } else { "" };
        write!(f, "{}{more}", areas::escape_invisible_bytes(self.name))
    }
}

/// What a file was called before it was left; `None` of all other files.
pub(super) fn was(path: &Path) -> Option<Was<'_>> {
    let name = path.file_name()?.as_bytes();
    let (process, rest) = number(name.strip_prefix(START)?)?;
    let (_, rest) = number(rest.strip_prefix(b"-")?)?;
    let was = rest.strip_prefix(b".").filter(|was| !was.is_empty())?;
    (process != 0).then_some(Was { name: was, is_cut: name.len() == LONGEST })
}

/// The name under which this process takes a file away, at this attempt.
pub(super) fn name_for(name: &Path, attempt: u32) -> PathBuf {
    let own = was(name).map_or_else(|| name.as_os_str().as_bytes(), |was| was.name);
    let mut bytes = START.to_vec();
    bytes.extend_from_slice(format!("{}-{attempt}.", std::process::id()).as_bytes());
    bytes.extend_from_slice(own);
    bytes.truncate(LONGEST);
    OsStr::from_bytes(&bytes).into()
}

/// The digits at the beginning, and what follows.
fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count());
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_was() {
        for name in ["psm_1", "sem.x", ".hidden", "a.b-c", "x"] {
            let away = name_for(Path::new(name), 3);
            assert_eq!(was(&away).unwrap().name, name.as_bytes());
            // One that is taken away a second time has its own name still.
            assert_eq!(was(&name_for(&away, 0)).unwrap().name, name.as_bytes());
        }
        let long = "x".repeat(255);
        let away = name_for(Path::new(&long), 15);
        assert_eq!(away.as_os_str().len(), 255);
        let left = was(&away).unwrap();
        assert!(left.is_cut && long.as_bytes().starts_with(left.name) && left.name.len() > 200);
        assert_eq!(left.to_string(), format!("{}…", "x".repeat(left.name.len())));
        assert_eq!(was(Path::new("f/.areas-reap-12-0.x\n")).unwrap().to_string(), "x\\n");
    }

    #[test]
    fn what_others_call_so_is_theirs() {
        for name in [
            "psm_1",
            ".areas-reap-",
            ".areas-reap-12-0",
            ".areas-reap-12-0.",
            ".areas-reap-x-0.a",
            ".areas-reap-0-0.a",
        ] {
            assert_eq!(was(Path::new(name)), None, "{name}");
        }
    }
}
