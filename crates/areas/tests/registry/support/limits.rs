//! Commands about what the process may have: limits, calls that are refused, addresses that are
//! taken.

use std::fs::{self, File};

use areas::Address;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

use super::serve::{Failure, Holdings, done};
use super::{forge, raw};

pub(super) fn perform(words: &[&str], holdings: &mut Holdings) -> Result<String, Failure> {
    match *words {
        ["limit", what, value] => limit(what, value),
        ["open-many", count] => open_many(holdings, count.parse()?),
        ["descriptors-left", left] => leave_descriptors(holdings, left.parse()?),
        ["refuse-fstatfs"] => {
            raw::refuse(libc::SYS_fstatfs);
            done(())
        }
        ["refuse-sockets"] => {
            raw::refuse(libc::SYS_socket);
            done(())
        }
        ["replace-descriptor", number, path] => replace_descriptor(number.parse()?, path),
        ["umask", mask] => {
            umask(Mode::from_raw_mode(u32::from_str_radix(mask, 8)?));
            done(())
        }
        ["free-address", bytes] => free_address(bytes.parse()?),
        ["occupy", address] => occupy(holdings, address.parse()?),
        _ => Err(format!("no such command: {words:?}").into()),
    }
}

/// The soft limit; the hard one stays, so that it can be raised again.
fn limit(what: &str, value: &str) -> Result<String, Failure> {
    let resource = match what {
        "files" => Resource::Nofile,
        "file-size" => Resource::Fsize,
        "addresses" => Resource::As,
        "locked" => Resource::Memlock,
        other => return Err(format!("no limit {other}").into()),
    };
    let maximum = getrlimit(resource).maximum;
    let current = match value.strip_prefix('+') {
        // Of addresses: beyond what is in use.
        Some(more) => {
            let used: u64 =
                fs::read_to_string("/proc/self/statm")?.split(' ').next().unwrap_or_default().parse()?;
            Some(used * 4096 + more.parse::<u64>()?)
        }
        None if value == "none" => maximum,
        None => Some(value.parse()?),
    };
    done(setrlimit(resource, Rlimit { current, maximum })?)
}

/// So many of one file, or as many as may be open but for some.
fn open_many(holdings: &mut Holdings, count: u64) -> Result<String, Failure> {
    const LEFT: u64 = 256;
    let wanted = Some(count + LEFT);
    if setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum: wanted }).is_err() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    let count = getrlimit(Resource::Nofile).current.unwrap_or(count).saturating_sub(LEFT);
    let first = File::open("/dev/null")?;
    for _ in 0..count {
        holdings.files.push(first.try_clone()?);
    }
    done(())
}

/// So many more can be opened, and then no more.
fn leave_descriptors(holdings: &mut Holdings, left: usize) -> Result<String, Failure> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum })?;
    holdings.files.clear();
    let mut opened = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        opened.push(file);
    }
    opened.truncate(opened.len() - left);
    holdings.files.extend(opened);
    done(())
}

fn replace_descriptor(number: i32, path: &str) -> Result<String, Failure> {
    let file = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    forge::replace_descriptor(&file.into(), number)?;
    done(())
}

/// Mapped for a moment, by the kernel's choice.
fn free_address(bytes: usize) -> Result<String, Failure> {
    let area = areas::builder(bytes).private()?;
    Ok(area.as_ptr().addr().to_string())
}

fn occupy(holdings: &mut Holdings, address: usize) -> Result<String, Failure> {
    let at = Address::Exactly(address);
    holdings.blocks.push(areas::builder(1 << 16).at(at).private()?);
    done(())
}
