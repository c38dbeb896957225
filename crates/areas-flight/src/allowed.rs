//! Which names a server offers, as the command line says it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use areas::{Error, ErrorKind, Name, Result};

use crate::hex::unhex;

/// What the command line says of a name: the name, a pattern, `name:` or `hex:` in front of what is
/// one for sure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    Name(Name),
    Pattern(glob::Pattern),
    /// Whatever there is.
    All,
}

impl Allowed {
    pub(crate) fn new(text: OsString) -> Result<Self> {
        let bytes = text.as_bytes();
        if let Some(name) = bytes.strip_prefix(b"name:") {
            return Name::new(name).map(Allowed::Name);
        }
        if let Some(digits) = bytes.strip_prefix(b"hex:") {
            let name = std::str::from_utf8(digits).ok().and_then(unhex).ok_or_else(|| {
                Error::new(ErrorKind::InvalidInput, format!("read a name from {text:?}"))
                    .with_facts("bytes have two hexadecimal digits each")
            })?;
            return Name::new(name).map(Allowed::Name);
        }
        match text.to_str().filter(|text| text.contains(['*', '?', '['])) {
            Some(pattern) => glob::Pattern::new(pattern).map(Allowed::Pattern).map_err(|error| {
                Error::new(ErrorKind::InvalidInput, format!("read {pattern:?} as a pattern of names"))
                    .with_facts(format!("at character {}: {}", error.pos + 1, error.msg))
                    .with_remedy(format!("an area of that name is `name:{pattern}`"))
            }),
            None => Name::new(bytes).map(Allowed::Name),
        }
    }

    pub(crate) fn fits(&self, name: &Name) -> bool {
        match self {
            Allowed::Name(allowed) => allowed == name,
            Allowed::Pattern(pattern) => pattern.matches(&String::from_utf8_lossy(name.as_bytes())),
            Allowed::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns() {
        let fits = |allowed: &str, name: &str| {
            Allowed::new(allowed.into()).unwrap().fits(&Name::new(name.as_bytes()).unwrap())
        };
        for (allowed, name, expected) in [
            ("model", "model", true),
            ("model", "models", false),
            ("models/*", "models/a", true),
            ("models/*", "secret", false),
            ("name:a*", "a*", true),
            ("name:a*", "ab", false),
            ("hex:6d", "m", true),
            ("123", "123", true),
        ] {
            assert_eq!(fits(allowed, name), expected, "{allowed} {name}");
        }
        for wrong in ["", "hex:6", "hex:zz", "a[", "name:"] {
            assert_eq!(Allowed::new(wrong.into()).unwrap_err().kind(), ErrorKind::InvalidInput, "{wrong}");
        }
    }
}
