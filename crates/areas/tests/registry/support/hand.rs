//! Commands about areas of any kind that change hands.

use std::fs;
use std::time::Duration;

use areas::registry::{self, Transferred};
use areas::{Address, Area, Lock, Protection, Received, Rejected, Transfer};
use rustix::process::{Resource, Rlimit, Signal, getpid, getrlimit, kill_process, setrlimit};

use super::reply::SEPARATOR;
use super::serve::{Failure, Holdings};
use super::{area, raw};

/// One expression for each kind.
macro_rules! each {
    ($received:expr, $area:ident => $value:expr) => {
        match $received {
            Received::Shared($area) => $value,
            Received::Resizable($area) => $value,
            Received::Frozen($area) => $value,
            other => return Err(format!("{other:?}").into()),
        }
    };
}

pub(crate) fn perform(words: &[&str], holdings: &mut Holdings) -> Result<String, Failure> {
    let nothing = Ok(String::new());
    match *words {
        ["make", kind, name, size, max] => {
            make(holdings, kind, name, size.parse()?, max.parse()?, Lock::None)
        }
        ["make", kind, name, size, max, lock] => {
            make(holdings, kind, name, size.parse()?, max.parse()?, lock.parse()?)
        }
        ["transfer", handle, team, form] => transfer(holdings, handle.parse()?, team.parse()?, form),
        // No process says after it that it was done.
        ["transfer-and-die", handle, team] => {
            transfer(holdings, handle.parse()?, team.parse()?, "any")?;
            kill_process(getpid(), Signal::KILL)?;
            Err("it is dead".to_owned().into())
        }
        ["join"] => Ok(registry::join().map(|()| String::new())?),
        ["join-once"] => {
            registry::join_once();
            Ok(String::new())
        }
        ["refuse"] => Ok(registry::refuse_transfer()?.to_string()),
        ["transferred"] => {
            let came: Vec<String> = registry::transferred()?.iter().map(reported).collect();
            Ok(came.join(&SEPARATOR.to_string()))
        }
        ["wait-transferred", millis] => {
            Ok(reported(&registry::wait_transferred(Some(Duration::from_millis(millis.parse()?)))?))
        }
        ["take"] => {
            let came = registry::transferred()?.into_iter().next().ok_or("nothing came".to_owned())?;
            let taken = came.take()?;
            // A second time there is nothing.
            match came.take() {
                Err(error) if error.kind() == areas::ErrorKind::NoSuchArea => Ok(keep(holdings, taken)),
                other => Err(format!("taken twice: {other:?}").into()),
            }
        }
        ["kind", handle] => Ok(match any(holdings, handle)? {
            Received::Shared(_) => "shared",
            Received::Resizable(_) => "resizable",
            Received::Frozen(_) => "frozen",
            _ => "other",
        }
        .to_owned()),
        ["describe", handle] => {
            let received = any(holdings, handle)?;
            Ok(each!(received, area => describe(area)))
        }
        ["text", handle, at, len] => {
            let (at, len) = (at.parse::<usize>()?, len.parse::<usize>()?);
            let mut bytes = vec![0; len];
            match any(holdings, handle)? {
                Received::Shared(area) => area.read_at(at, &mut bytes)?,
                Received::Resizable(area) => area.read_at(at, &mut bytes)?,
                Received::Frozen(area) => bytes.copy_from_slice(&area[at..at + len]),
                other => return Err(format!("{other:?}").into()),
            }
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        ["put", handle, at, text] => {
            match any(holdings, handle)? {
                Received::Shared(area) => area.write_at(at.parse()?, text.as_bytes())?,
                Received::Resizable(area) => area.write_at(at.parse()?, text.as_bytes())?,
                other => return Err(format!("{other:?} is not to be written").into()),
            }
            nothing
        }
        ["resize-taken", handle, size] => {
            match any(holdings, handle)? {
                Received::Shared(area) => area.grow(size.parse()?)?,
                Received::Resizable(area) => area.resize(size.parse()?)?,
                other => return Err(format!("{other:?} does not grow").into()),
            }
            nothing
        }
        ["protect", handle, "r"] => {
            each!(any(holdings, handle)?, area => area.protect(Protection::READ))?;
            nothing
        }
        ["freeze-any", handle] => {
            let handle = handle.parse()?;
            let frozen = match holdings.any.remove(&handle) {
                Some(Received::Shared(area)) => area.freeze().map_err(|rejected| rejected.error)?,
                Some(Received::Resizable(area)) => area.freeze().map_err(|rejected| rejected.error)?,
                other => return Err(format!("{other:?}").into()),
            };
            holdings.any.insert(handle, Received::Frozen(frozen));
            nothing
        }
        ["adopt", name] => {
            let clone = registry::find(name)?.open()?;
            Ok(keep(holdings, Received::Shared(clone)))
        }
        ["adopt-to-read", name, own] => {
            let source = registry::find(name)?;
            let clone = source.cloning().protection(Protection::READ).name(own).open_resizable()?;
            Ok(keep(holdings, Received::Resizable(clone)))
        }
        ["lent", handle] => match any(holdings, handle)? {
            Received::Frozen(area) => Ok(format!("{} {:?}", area.len(), area.iter().max())),
            other => Err(format!("{other:?} lends nothing").into()),
        },
        ["release", handle] => {
            holdings.any.remove(&handle.parse()?).ok_or("no such area".to_owned())?;
            nothing
        }
        ["area-for", address] => Ok(registry::at(address.parse()?)?.id().to_string()),
        ["populate-any", handle] => {
            each!(any(holdings, handle)?, area => area.populate())?;
            nothing
        }
        // The soft limit; the hard one stays, so that it can be raised again.
        ["limit", what, value] => {
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
                    let used: u64 = fs::read_to_string("/proc/self/statm")?
                        .split(' ')
                        .next()
                        .unwrap_or_default()
                        .parse()?;
                    Some(used * 4096 + more.parse::<u64>()?)
                }
                None if value == "none" => maximum,
                None => Some(value.parse()?),
            };
            setrlimit(resource, Rlimit { current, maximum })?;
            nothing
        }
        ["refuse-fstatfs"] => {
            raw::refuse(libc::SYS_fstatfs);
            nothing
        }
        ["refuse-sockets"] => {
            raw::refuse(libc::SYS_socket);
            nothing
        }
        // So many of one file, or as many as may be open but for some.
        ["open-many", count] => {
            const LEFT: u64 = 256;
            let count: u64 = count.parse()?;
            let wanted = Some(count + LEFT);
            if setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum: wanted }).is_err() {
                let maximum = getrlimit(Resource::Nofile).maximum;
                setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
            }
            let count = getrlimit(Resource::Nofile).current.unwrap_or(count).saturating_sub(LEFT);
            let first = fs::File::open("/dev/null")?;
            for _ in 0..count {
                holdings.files.push(first.try_clone()?);
            }
            nothing
        }
        // So many more can be opened, and then no more.
        ["descriptors-left", left] => {
            let maximum = getrlimit(Resource::Nofile).maximum;
            setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum })?;
            holdings.files.clear();
            let mut opened = Vec::new();
            while let Ok(file) = fs::File::open("/dev/null") {
                opened.push(file);
            }
            opened.truncate(opened.len() - left.parse::<usize>()?);
            holdings.files.extend(opened);
            nothing
        }
        ["replace-descriptor", number, path] => {
            use rustix::fs::{CWD, Mode, OFlags, openat};
            let file = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            super::forge::replace_descriptor(&file.into(), number.parse()?)?;
            nothing
        }
        ["umask", mask] => {
            let mask = u32::from_str_radix(mask, 8)?;
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
            nothing
        }
        ["free-address", bytes] => {
            // Mapped for a moment, by the kernel's choice.
            let area = areas::builder(bytes.parse()?).private()?;
            Ok(area.as_ptr().addr().to_string())
        }
        ["occupy", address] => {
            let at = Address::Exactly(address.parse()?);
            holdings.blocks.push(areas::builder(1 << 16).at(at).private()?);
            nothing
        }
        _ => Err(format!("no such command: {words:?}").into()),
    }
}

fn any<'a>(holdings: &'a mut Holdings, handle: &str) -> Result<&'a mut Received, Failure> {
    let handle = handle.parse()?;
    holdings.any.get_mut(&handle).ok_or_else(|| Failure::Helper(format!("no area {handle}")))
}

/// `HANDLE ID`
fn keep(holdings: &mut Holdings, received: Received) -> String {
    let id = match &received {
        Received::Shared(area) => area.id(),
        Received::Resizable(area) => area.id(),
        Received::Frozen(area) => area.id(),
        _ => None,
    };
    holdings.any.insert(holdings.next, received);
    holdings.next += 1;
    format!("{} {}", holdings.next - 1, id.map_or("-".to_owned(), |id| id.to_string()))
}

/// An area of a kind, which says its name at its beginning. `max` 0: it does not grow. Unpublished:
/// the name "-".
fn make(
    holdings: &mut Holdings,
    kind: &str,
    name: &str,
    size: usize,
    max: usize,
    lock: Lock,
) -> Result<String, Failure> {
    let mut builder = areas::builder(size).lock(lock);
    if max > 0 && kind != "resizable" {
        builder = builder.growable(max);
    }
    let made = if kind == "resizable" {
        let mut area = builder.resizable(max)?;
        area.write_at(0, name.as_bytes())?;
        area.publish(name)?;
        Received::Resizable(area)
    } else {
        let mut area = builder.shared()?;
        area.write_at(0, name.as_bytes())?;
        if name != "-" {
            area.publish(name)?;
        }
        match kind {
            "frozen" => Received::Frozen(area.freeze().map_err(|rejected| rejected.error)?),
            _ => Received::Shared(area),
        }
    };
    Ok(keep(holdings, made))
}

fn transfer(holdings: &mut Holdings, handle: u32, team: u32, form: &str) -> Result<String, Failure> {
    let number = |text: &str| text.parse::<usize>().map_err(Failure::from);
    let address = match form.split_once(':').unwrap_or((form, "")) {
        ("any", _) => Address::Any,
        ("exactly", at) => Address::Exactly(number(at)?),
        ("above", at) => Address::AtOrAbove(number(at)?),
        ("random", _) => Address::Random,
        _ => return Err(format!("no form {form}").into()),
    };
    let received = holdings.any.remove(&handle).ok_or("no such area".to_owned())?;
    macro_rules! hand_over {
        ($kind:path, $area:expr) => {
            match $area.transfer(team, address) {
                Ok(Transfer::Given(id)) => Ok(format!("given {id}")),
                Ok(Transfer::Own(area)) => {
                    let id = area.id().map_or("-".to_owned(), |id| id.to_string());
                    holdings.any.insert(handle, $kind(area));
                    Ok(id)
                }
                Ok(other) => Err(format!("{other:?}").into()),
                Err(Rejected { error, value, .. }) => {
                    holdings.any.insert(handle, $kind(value));
                    Err(error.into())
                }
            }
        };
    }
    match received {
        Received::Shared(area) => hand_over!(Received::Shared, area),
        Received::Resizable(area) => hand_over!(Received::Resizable, area),
        Received::Frozen(area) => hand_over!(Received::Frozen, area),
        other => Err(format!("{other:?}").into()),
    }
}

/// `ID FROM FORMER NAME`
fn reported(came: &Transferred) -> String {
    format!("{} {} {} {}", came.id(), came.from(), came.former_id(), came.source().name())
}

/// `ID ADDRESS SIZE SPAN PROTECTION LOCK LOCKED FALLBACKS`; LOCKED is what the kernel says.
fn describe<K: areas::AreaKind>(area: &Area<K>) -> String {
    let address = area.as_ptr().addr();
    format!(
        "{} {address} {} {} {} {} {} {}",
        area.id().map_or("-".to_owned(), |id| id.to_string()),
        area.size(),
        area.reserve(),
        area.protection(),
        area.lock(),
        area::locked_at(address),
        area.granted().fallbacks.len(),
    )
}
