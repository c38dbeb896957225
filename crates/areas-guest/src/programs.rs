//! Programs of this machine: where they are, and commands as one would type them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `program` is in PATH.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // An ordinary user's PATH often lacks the folders where Debian has tools that need no root.
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A command as one would type it.
pub fn shown(command: &Command) -> String {
    let mut text = Path::new(command.get_program())
        .file_name()
        .map_or_else(|| command.get_program().to_string_lossy(), |name| name.to_string_lossy())
        .into_owned();
    for arg in command.get_args() {
        let arg = arg.to_string_lossy();
        let plain = !arg.is_empty() && arg.chars().all(|c| c.is_alphanumeric() || "-_=./,:+@".contains(c));
        let _ = if plain { write!(text, " {arg}") } else { write!(text, " '{arg}'") };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_typed() {
        assert_eq!(shown(Command::new("/usr/bin/cargo").args(["test", "a b", ""])), "cargo test 'a b' ''");
    }

    #[test]
    fn programs_are_found_by_name() {
        assert!(which("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(which("no-such-program"), None);
    }
}
