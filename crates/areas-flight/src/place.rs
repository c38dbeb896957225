//! Where a server is: `HOST:PORT`, and an area there: `HOST:PORT/NAME`.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::str::FromStr;

use areas::{Error, ErrorKind, Name, Result};

use crate::hex::unhex;

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// `HOST:PORT`.
    authority: String,
    /// What was said of it in front.
    pub(crate) scheme: Option<Scheme>,
}

/// Whether what comes and goes is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Plain,
    Tls,
}

/// An area at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) place: Place,
    pub(crate) name: Name,
}

/// What may stand in front: as Flight's own locations have it, and as people say it.
const SCHEMES: [(&str, Scheme); 5] = [
    ("grpc://", Scheme::Plain),
    ("grpc+tcp://", Scheme::Plain),
    ("grpc+tls://", Scheme::Tls),
    ("grpcs://", Scheme::Tls),
    ("tls://", Scheme::Tls),
];

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |detail: &'static str| {
            Err(Error::new(ErrorKind::InvalidInput, format!("find a server at {text:?}"))
                .with_facts(detail)
                .with_remedy("say `HOST:PORT`, as `areas serve` shows it"))
        };
        let said = SCHEMES.iter().find_map(|(prefix, scheme)| Some((text.strip_prefix(prefix)?, *scheme)));
        let (rest, scheme) = said.map_or((text, None), |(rest, scheme)| (rest, Some(scheme)));
        if rest.contains("://") {
            return refuse("it is none of grpc://, grpc+tcp://, grpc+tls://, grpcs:// and tls://");
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let Some((host, port)) = authority.rsplit_once(':') else { return refuse("it has no port") };
        if port.parse::<u16>().map_or(true, |port| port == 0) {
            return refuse("its port is not a number from 1 to 65535");
        }
        let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let fits = match inside {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
            }
        };
        match fits {
            true => Ok(Place { authority: authority.to_owned(), scheme }),
            false => refuse("its host is neither a name nor an address (of IPv6: `[::1]`)"),
        }
    }
}

impl Place {
    pub(crate) fn uri(&self, encrypted: bool) -> String {
        format!("{}://{}", if encrypted { "https" } else { "http" }, self.authority)
    }

    /// Whether it is this machine for sure.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.authority.rsplit_once(':').map_or("", |(host, _)| host);
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

impl Location {
    pub(crate) fn new(text: OsString) -> Result<Self> {
        let bytes = text.as_bytes();
        let refuse = || {
            Error::new(ErrorKind::InvalidInput, format!("find an area at {text:?}"))
                .with_facts("it is not a server and a name after a slash")
                .with_remedy("say `HOST:PORT/NAME`; `areas ls --at HOST:PORT` lists the names")
        };
        let scheme = SCHEMES
            .iter()
            .find(|(prefix, _)| bytes.starts_with(prefix.as_bytes()))
            .map_or(0, |(prefix, _)| prefix.len());
        let slash = bytes[scheme..].iter().position(|&byte| byte == b'/').ok_or_else(refuse)? + scheme;
        let place = std::str::from_utf8(&bytes[..slash]).map_err(|_| refuse())?.parse()?;
        let name = &bytes[slash + 1..];
        let name = match name.strip_prefix(b"hex:") {
            Some(digits) => std::str::from_utf8(digits).ok().and_then(unhex).ok_or_else(refuse)?,
            None => name.strip_prefix(b"name:").unwrap_or(name).to_vec(),
        };
        Ok(Location { place, name: Name::new(name)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine() {
        let check = |place: &str| place.parse::<Place>().unwrap().is_loopback();
        assert!(check("localhost:1") && check("127.1.2.3:1") && check("[::1]:1"));
        assert!(!check("128.0.0.1:1") && !check("localhost.example.org:1") && !check("[::2]:1"));
    }

    #[test]
    fn what_stands_in_front() {
        let check = |place: &str| place.parse::<Place>().unwrap().scheme;
        assert_eq!((check("a:1"), check("grpc+tcp://a:1")), (None, Some(Scheme::Plain)));
        assert_eq!((check("tls://a:1"), check("grpc+tls://a:1/")), (Some(Scheme::Tls), Some(Scheme::Tls)));
        assert_eq!("a:1".parse::<Place>().unwrap().uri(true), "https://a:1");
    }

    #[test]
    fn servers_and_areas_there() {
        let cases = [
            ("a:1/x", Some(("a:1", &b"x"[..]))),
            ("grpc://a.b-c:65535/models/x", Some(("a.b-c:65535", b"models/x"))),
            ("grpc+tcp://127.0.0.1:80/x y", Some(("127.0.0.1:80", b"x y"))),
            ("[::1]:80/hex:ff2f", Some(("[::1]:80", b"\xff/"))),
            ("a:1/name:hex:ff", Some(("a:1", b"hex:ff"))),
            ("a:1", None),
            ("a:1/", None),
            ("a/x", None),
            ("a:0/x", None),
            ("a:65536/x", None),
            (":1/x", None),
            ("::1:80/x", None),
            ("[::g]:80/x", None),
            ("user@a:1/x", None),
            ("http://a:1/x", None),
            ("grpc+tls://a:1/x", Some(("a:1", b"x"))),
            ("grpcs://[::1]:1/x", Some(("[::1]:1", b"x"))),
            ("tls://a:1/x/y", Some(("a:1", b"x/y"))),
            ("https://a:1/x", None),
            ("a:1/hex:f", None),
        ];
        for (text, expected) in cases {
            let location = Location::new(text.into()).ok();
            let location =
                location.as_ref().map(|found| (found.place.authority.as_str(), found.name.as_bytes()));
            assert_eq!(location, expected, "{text}");
        }
    }
}
