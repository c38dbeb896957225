//! Which kernel a guest boots.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Which kernel a guest boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Debian's 6.12 for clouds: small and quick to boot.
    Cloud,
    /// Debian's 6.12 with all drivers.
    Full,
    /// The kernel that a package such as `linux-image-cloud-amd64` (6.1 in Debian 12) depends on.
    Package(String),
    /// A bzImage of the user's own, with what it needs built in.
    File(PathBuf),
}

impl FromStr for Kernel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cloud" => Ok(Self::Cloud),
            "full" => Ok(Self::Full),
            _ if text.starts_with("linux-image-") && !text.contains('/') => Ok(Self::Package(text.into())),
            _ if Path::new(text).is_file() => Ok(Self::File(text.into())),
            _ => Err(format!("'{text}' is not 'cloud', 'full', a package linux-image-… or a kernel file")),
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cloud => f.write_str("cloud"),
            Self::Full => f.write_str("full"),
            Self::Package(name) => f.write_str(name),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Kernel {
    /// The packages that would do, best first: releases after Debian 12 have 6.12 or newer under
    /// the plain name.
    pub(super) fn packages(&self) -> Vec<&str> {
        match self {
            Self::Cloud => vec!["linux-image-6.12-cloud-amd64", "linux-image-cloud-amd64"],
            Self::Full => vec!["linux-image-6.12-amd64", "linux-image-amd64"],
            Self::Package(name) => vec![name],
            Self::File(_) => vec![],
        }
    }

    /// The kernel's folder in the cache; a file has none.
    pub(super) fn folder(&self) -> Option<String> {
        match self {
            Self::Cloud => Some("kernel-cloud".into()),
            Self::Full => Some("kernel-full".into()),
            Self::Package(name) => Some(format!("kernel-{name}")),
            Self::File(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_named_three_ways() {
        assert_eq!("cloud".parse(), Ok(Kernel::Cloud));
        assert_eq!("linux-image-amd64".parse(), Ok(Kernel::Package("linux-image-amd64".into())));
        assert!("/no/such/kernel".parse::<Kernel>().unwrap_err().contains("kernel file"));
    }
}
