//! Which area is meant: `NAME|ID`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use areas::registry::{self, Source};
use areas::{AreaId, Error, ErrorKind, Name};

/// Says that a name follows, whatever it looks like.
const NAME: &str = "name:";
/// Says that a name's bytes follow, two digits each.
const HEX: &str = "hex:";

/// An area as it is named on the command line: digits are an id, `name:123` forces a name,
/// `hex:ff00` gives its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The digits, which need not be an id that an area can have.
    Id(String),
    Name(Name),
}

impl Target {
    pub(crate) fn new(text: OsString) -> areas::Result<Self> {
        match text.to_str() {
            Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Target::Id(digits.to_owned()))
            }
            _ => name_of(text.as_bytes()).map(Target::Name),
        }
    }

    /// Looks it up. Where it is not there, the error says where it was looked for.
    pub(crate) fn find(&self) -> areas::Result<Source> {
        let found = match self {
            Target::Name(name) => registry::find(name.as_bytes()),
            Target::Id(digits) => match digits.parse().ok().and_then(|number| AreaId::new(number).ok()) {
                Some(id) => registry::get(id),
                None => {
                    return Err(Error::new(ErrorKind::NoSuchArea, format!("look at area {digits}"))
                        .with_facts("no area ever has that id")
                        .with_remedy(format!(
                            "`areas ls` lists the ids; an area of that name is `name:{digits}`"
                        )));
                }
            },
        };
        found.map_err(|error| match (error.kind(), error.facts().map(str::to_owned)) {
            (ErrorKind::NoSuchArea, Some(facts)) => error.with_facts(format!("{facts}; {}", looked_in())),
            _ => error,
        })
    }
}

/// Which registry an area was looked for in.
fn looked_in() -> String {
    let of = registry::looked_into();
    match registry::path() {
        Ok(Some(path)) => format!("looked in {}, the registry of user {of}", path.display()),
        _ => match std::env::var_os("AREAS_DIR").filter(|named| !named.is_empty()) {
            Some(named) => {
                format!("there is no registry yet in {}, the folder of AREAS_DIR", named.display())
            }
            None => format!("there is no registry of user {of} yet (/dev/shm/areas-{of})"),
        },
    }
}

/// Areas as they are named for a listing: one as [`Target`] has it, or all whose names fit a
/// pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    One(Target),
    Names(glob::Pattern),
}

impl Pattern {
    pub(crate) fn new(text: OsString) -> areas::Result<Self> {
        match text.to_str() {
            Some(pattern) if !is_forced(pattern) && pattern.contains(['*', '?', '[']) => {
                glob::Pattern::new(pattern).map(Pattern::Names).map_err(|error| {
                    Error::new(ErrorKind::InvalidInput, format!("read {pattern:?} as a pattern of names"))
                        .with_facts(format!("at character {}: {}", error.pos + 1, error.msg))
                        .with_remedy(format!("an area of that name is `name:{pattern}`"))
                })
            }
            _ => Target::new(text).map(Pattern::One),
        }
    }

    /// Whether it is this area.
    pub(crate) fn fits(&self, id: AreaId, name: &Name) -> bool {
        match self {
            Pattern::One(Target::Id(digits)) => digits.parse() == Ok(id.get()),
            Pattern::One(Target::Name(asked)) => asked == name,
            Pattern::Names(pattern) => pattern.matches(&String::from_utf8_lossy(name.as_bytes())),
        }
    }

    /// Whether it is memory that was made under this name.
    pub(crate) fn fits_label(&self, label: &[u8]) -> bool {
        match self {
            Pattern::One(Target::Id(_)) => false,
            Pattern::One(Target::Name(asked)) => asked.as_bytes() == label,
            Pattern::Names(pattern) => pattern.matches(&String::from_utf8_lossy(label)),
        }
    }
}

/// A name as [`Target`] has it, where no id can stand.
pub(crate) fn name_of(text: &[u8]) -> areas::Result<Name> {
    match text.strip_prefix(HEX.as_bytes()) {
        Some(digits) => of_hex(digits).and_then(Name::new),
        None => Name::new(text.strip_prefix(NAME.as_bytes()).unwrap_or(text)),
    }
}

/// Whether a text says itself that it is a name: one that is called so has to be said after
/// `name:`.
pub(crate) fn is_forced(text: &str) -> bool {
    text.starts_with(NAME) || text.starts_with(HEX)
}

/// A name that is not UTF-8, in the form that [`Target::new`] takes; `None` for text, which JSON
/// can hold.
pub(crate) fn in_hex(name: &Name) -> Option<String> {
    bytes_in_hex(name.as_bytes())
}

/// The same of any bytes.
pub(crate) fn bytes_in_hex(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).is_err().then(|| hex_of(bytes))
}

/// Bytes as [`any_bytes`] reads them.
pub(crate) fn hex_of(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{HEX}{digits}")
}

/// What is said on the command line, which need not be an area's name: `hex:ff00` gives its bytes.
pub(crate) fn any_bytes(text: OsString) -> areas::Result<Vec<u8>> {
    match text.as_bytes().strip_prefix(HEX.as_bytes()) {
        Some(digits) => of_hex(digits),
        None => Ok(text.as_bytes().to_vec()),
    }
}

fn of_hex(digits: &[u8]) -> areas::Result<Vec<u8>> {
    bytes_of(digits).ok_or_else(|| {
        let text = String::from_utf8_lossy(digits);
        Error::new(ErrorKind::InvalidInput, format!("read a name from \"{HEX}{text}\""))
            .with_facts("bytes have two hexadecimal digits each")
            .with_remedy(format!("an area of that name is `name:{HEX}{text}`"))
    })
}

/// Bytes of two hexadecimal digits each.
pub(crate) fn bytes_of(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = digits.as_chunks();
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    bytes.filter(|_| rest.is_empty())
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
            ("hex:61", name("a")),
            ("hex:C3a9", name("é")),
            ("name:hex:61", name("hex:61")),
            ("hexa", name("hexa")),
            ("hex:6", None),
            ("hex:6x", None),
            ("hex:é", None),
            ("hex:00", None),
            ("hex:", None),
            ("", None),
            ("name:", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Target::new(text.into()).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_reported_and_taken_in_hexadecimal() {
        let name = Name::new(b"a\xff\x01").unwrap();
        let text = in_hex(&name).unwrap();
        assert_eq!(text, "hex:61ff01");
        assert_eq!(Target::new(text.into()).unwrap(), Target::Name(name));
        assert_eq!(in_hex(&Name::new("größe\n").unwrap()), None);
    }

    #[test]
    fn patterns_fit_names() {
        let id = AreaId::new(17).unwrap();
        let fits = |pattern: &str, name: &str| {
            Pattern::new(pattern.into()).unwrap().fits(id, &Name::new(name).unwrap())
        };
        for (pattern, name, expected) in [
            ("frame*", "frame 1", true),
            ("frame*", "a frame", false),
            ("f?ame", "frame", true),
            ("[a-c]*", "b", true),
            ("name:f*", "frame", false),
            ("name:f*", "f*", true),
            ("17", "frame", true),
            ("18", "18", false),
            ("frame", "frame", true),
            ("frame", "frames", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern:?} {name:?}");
        }
        assert!(Pattern::new("[a".into()).is_err());
        assert!(Pattern::new("f*".into()).unwrap().fits_label(b"frame"));
    }

    #[test]
    fn ids_that_no_area_has_are_not_there() {
        for digits in ["0", "2147483648", "99999999999999999999"] {
            let error = Target::Id(digits.to_owned()).find().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoSuchArea, "{digits}");
        }
    }
}
