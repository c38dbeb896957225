//! Commands about areas of any kind that change hands.

use std::time::Duration;

use areas::registry::{self, Transferred};
use areas::{Address, Area, Lock, Protection, Received, Rejected, Transfer};
use rustix::process::{Signal, getpid, kill_process};

use super::reply::SEPARATOR;
use super::serve::{Failure, Holdings, done};
use super::{area, limits};

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
    match *words {
        ["make", kind, name, size, max] => make(holdings, kind, name, (size, max), Lock::None),
        ["make", kind, name, size, max, lock] => make(holdings, kind, name, (size, max), lock.parse()?),
        ["adopt", name] => adopt(holdings, name),
        ["adopt-to-read", name, own] => adopt_to_read(holdings, name, own),
        ["transfer", handle, team, form] => transfer(holdings, handle.parse()?, team.parse()?, form),
        ["transfer-and-die", handle, team] => transfer_and_die(holdings, handle, team),
        ["join"] => done(registry::join()?),
        ["join-once"] => {
            registry::join_once();
            done(())
        }
        ["refuse"] => Ok(registry::refuse_transfer()?.to_string()),
        ["transferred"] => transferred(),
        ["wait-transferred", millis] => {
            Ok(reported(&registry::wait_transferred(Some(Duration::from_millis(millis.parse()?)))?))
        }
        ["take"] => take(holdings),
        ["kind", handle] => kind(any(holdings, handle)?),
        ["describe", handle] => Ok(each!(any(holdings, handle)?, area => describe(area))),
        ["text", handle, at, len] => text(any(holdings, handle)?, at.parse()?, len.parse()?),
        ["put", handle, at, text] => put(any(holdings, handle)?, at.parse()?, text),
        ["lent", handle] => lent(any(holdings, handle)?),
        ["resize-taken", handle, size] => resize(any(holdings, handle)?, size.parse()?),
        ["protect", handle, "r"] => {
            done(each!(any(holdings, handle)?, area => area.protect(Protection::READ))?)
        }
        ["populate-any", handle] => done(each!(any(holdings, handle)?, area => area.populate())?),
        ["freeze-any", handle] => freeze(holdings, handle.parse()?),
        ["release", handle] => release(holdings, handle.parse()?),
        ["area-for", address] => Ok(registry::at(address.parse()?)?.id().to_string()),
        _ => limits::perform(words, holdings),
    }
}

fn adopt(holdings: &mut Holdings, name: &str) -> Result<String, Failure> {
    let clone = registry::find(name)?.open()?;
    Ok(keep(holdings, Received::Shared(clone)))
}

fn adopt_to_read(holdings: &mut Holdings, name: &str, own: &str) -> Result<String, Failure> {
    let source = registry::find(name)?;
    let clone = source.cloning().protection(Protection::READ).name(own).open_resizable()?;
    Ok(keep(holdings, Received::Resizable(clone)))
}

/// No process says after it that it was done.
fn transfer_and_die(holdings: &mut Holdings, handle: &str, team: &str) -> Result<String, Failure> {
    transfer(holdings, handle.parse()?, team.parse()?, "any")?;
    kill_process(getpid(), Signal::KILL)?;
    Err("it is dead".to_owned().into())
}

fn transferred() -> Result<String, Failure> {
    let came: Vec<String> = registry::transferred()?.iter().map(reported).collect();
    Ok(came.join(&SEPARATOR.to_string()))
}

/// Takes what came first. A second time there is nothing.
fn take(holdings: &mut Holdings) -> Result<String, Failure> {
    let came = registry::transferred()?.into_iter().next().ok_or("nothing came".to_owned())?;
    let taken = came.take()?;
    match came.take() {
        Err(error) if error.kind() == areas::ErrorKind::NoSuchArea => Ok(keep(holdings, taken)),
        other => Err(format!("taken twice: {other:?}").into()),
    }
}

fn kind(received: &Received) -> Result<String, Failure> {
    let kind = match received {
        Received::Shared(_) => "shared",
        Received::Resizable(_) => "resizable",
        Received::Frozen(_) => "frozen",
        _ => "other",
    };
    Ok(kind.to_owned())
}

fn text(received: &Received, at: usize, len: usize) -> Result<String, Failure> {
    let mut bytes = vec![0; len];
    match received {
        Received::Shared(area) => area.read_at(at, &mut bytes)?,
        Received::Resizable(area) => area.read_at(at, &mut bytes)?,
        Received::Frozen(area) => bytes.copy_from_slice(&area[at..at + len]),
        other => return Err(format!("{other:?}").into()),
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn put(received: &mut Received, at: usize, text: &str) -> Result<String, Failure> {
    match received {
        Received::Shared(area) => done(area.write_at(at, text.as_bytes())?),
        Received::Resizable(area) => done(area.write_at(at, text.as_bytes())?),
        other => Err(format!("{other:?} is not to be written").into()),
    }
}

fn lent(received: &Received) -> Result<String, Failure> {
    match received {
        Received::Frozen(area) => Ok(format!("{} {:?}", area.len(), area.iter().max())),
        other => Err(format!("{other:?} lends nothing").into()),
    }
}

fn resize(received: &mut Received, size: usize) -> Result<String, Failure> {
    match received {
        Received::Shared(area) => done(area.grow(size)?),
        Received::Resizable(area) => done(area.resize(size)?),
        other => Err(format!("{other:?} does not grow").into()),
    }
}

fn freeze(holdings: &mut Holdings, handle: u32) -> Result<String, Failure> {
    let frozen = match holdings.any.remove(&handle) {
        Some(Received::Shared(area)) => area.freeze().map_err(|rejected| rejected.error)?,
        Some(Received::Resizable(area)) => area.freeze().map_err(|rejected| rejected.error)?,
        other => return Err(format!("{other:?}").into()),
    };
    holdings.any.insert(handle, Received::Frozen(frozen));
    done(())
}

fn release(holdings: &mut Holdings, handle: u32) -> Result<String, Failure> {
    holdings.any.remove(&handle).ok_or("no such area".to_owned())?;
    done(())
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
    (size, max): (&str, &str),
    lock: Lock,
) -> Result<String, Failure> {
    let (size, max) = (size.parse()?, max.parse()?);
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
        area.granted().fallbacks().len(),
    )
}
