//! Which area is meant: `NAME|ID`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use areas::registry::{self, Source};
use areas::{AreaId, Error, Kind, Name};

/// An area as it is named on the command line: digits are an id, `name:123` forces a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The digits, which need not be an id that an area can have.
    Id(String),
    Name(Name),
}

impl Target {
    pub(crate) fn new(text: OsString) -> areas::Result<Self> {
        let bytes = text.as_bytes();
        if let Some(name) = bytes.strip_prefix(b"name:") {
            return Name::new(name).map(Target::Name);
        }
        match text.to_str() {
            Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Target::Id(digits.to_owned()))
            }
            _ => Name::new(bytes).map(Target::Name),
        }
    }

    /// Looks it up.
    pub(crate) fn find(&self) -> areas::Result<Source> {
        match self {
            Target::Name(name) => registry::find(name.as_bytes()),
            Target::Id(digits) => match digits.parse().ok().and_then(|number| AreaId::new(number).ok()) {
                Some(id) => registry::get(id),
                None => Err(Error::new(Kind::NoSuchArea, format!("look at area {digits}"))
                    .detail("no area ever has that id")
                    .help(format!("`areas ls` lists the ids; an area that is called so is `name:{digits}`"))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_ids_and_all_else_is_a_name() {
        let name = |text: &str| Some(Target::Name(Name::new(text).unwrap()));
        let cases = [
            ("123", Some(Target::Id("123".to_owned()))),
            ("0", Some(Target::Id("0".to_owned()))),
            ("99999999999999999999", Some(Target::Id("99999999999999999999".to_owned()))),
            ("name:123", name("123")),
            ("name:name:x", name("name:x")),
            ("-1", name("-1")),
            ("1a", name("1a")),
            ("١٢٣", name("١٢٣")),
            ("Name:x", name("Name:x")),
            ("", None),
            ("name:", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Target::new(text.into()).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn ids_that_no_area_has_are_not_there() {
        for digits in ["0", "2147483648", "99999999999999999999"] {
            let error = Target::Id(digits.to_owned()).find().unwrap_err();
            assert_eq!(error.kind(), Kind::NoSuchArea, "{digits}");
        }
    }
}
