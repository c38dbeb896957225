//! Commands on areas that grow and shrink for all holders. Their handles are their own.

use std::sync::Arc;

use areas::{Area, ErrorKind, Extent, Protection, Reservation, Resizable, registry};

use super::raw::{self, Peeked};
use super::serve::{Failure, Holdings};

/// What an agent holds of them.
#[derive(Debug, Default)]
pub(crate) struct Resizables {
    areas: Vec<Area<Resizable>>,
    /// Addresses that were reserved for clones.
    reservations: Vec<Arc<Reservation>>,
}

impl Resizables {
    fn keep(&mut self, area: Area<Resizable>) -> String {
        self.areas.push(area);
        (self.areas.len() - 1).to_string()
    }

    fn area(&mut self, handle: &str) -> Result<&mut Area<Resizable>, Failure> {
        let area = self.areas.get_mut(handle.parse::<usize>()?);
        area.ok_or_else(|| Failure::Helper(format!("no resizable area {handle}")))
    }
}

pub(crate) fn perform(words: &[&str], holdings: &mut Holdings) -> Option<Result<String, Failure>> {
    let held = &mut holdings.resizables;
    Some(match *words {
        ["resizable", name, size, max] => create(held, name, size, max),
        ["join", source, name] => join(held, source, name, None),
        ["join-inside", source, name, reserve] => join(held, source, name, Some(reserve)),
        ["join-to-read", source] => join_to_read(held, source),
        ["resize", handle, size] => resize(held, handle, size),
        ["extent", handle] => held.area(handle).map(|area| format!("{} {}", area.size(), area.reserve())),
        ["known-extent", name] => known_extent(name),
        ["put-byte", handle, offset, byte] => put_byte(held, handle, offset, byte),
        ["get-byte", handle, offset] => get_byte(held, handle, offset),
        ["peek", handle, offset] => peek(held, handle, offset),
        ["resize-storm", handle, seed, rounds, most] => storm(held, handle, seed, rounds, most),
        _ => return None,
    })
}

fn create(held: &mut Resizables, name: &str, size: &str, max: &str) -> Result<String, Failure> {
    Ok(held.keep(areas::builder(size.parse()?).name(name).resizable(max.parse()?)?))
}

fn join(held: &mut Resizables, source: &str, name: &str, reserve: Option<&str>) -> Result<String, Failure> {
    let source = registry::find(source)?;
    let clone = match reserve {
        Some(bytes) => {
            let reservation = Reservation::new(bytes.parse()?, 4096)?;
            let clone = source.cloning().name(name).inside(&reservation, 0).open_resizable()?;
            held.reservations.push(reservation);
            clone
        }
        None => source.cloning().name(name).open_resizable()?,
    };
    Ok(held.keep(clone))
}

fn join_to_read(held: &mut Resizables, source: &str) -> Result<String, Failure> {
    let source = registry::find(source)?;
    Ok(held.keep(source.cloning().protection(Protection::READ).open_resizable()?))
}

fn resize(held: &mut Resizables, handle: &str, size: &str) -> Result<String, Failure> {
    held.area(handle)?.resize(size.parse()?)?;
    Ok(String::new())
}

/// What the registry says of the oldest area of a name.
fn known_extent(name: &str) -> Result<String, Failure> {
    let info = registry::find(name)?.info()?;
    match info.extent {
        Extent::Resizable { max } => Ok(format!("{} {max}", info.size)),
        other => Err(Failure::Helper(format!("{other:?}"))),
    }
}

fn put_byte(held: &mut Resizables, handle: &str, offset: &str, byte: &str) -> Result<String, Failure> {
    held.area(handle)?.write_at(offset.parse()?, &[byte.parse()?])?;
    Ok(String::new())
}

fn get_byte(held: &mut Resizables, handle: &str, offset: &str) -> Result<String, Failure> {
    let mut byte = [0];
    held.area(handle)?.read_at(offset.parse()?, &mut byte)?;
    Ok(byte[0].to_string())
}

/// Reads a byte as a program in C does, through the pointer and with no call of the library.
fn peek(held: &mut Resizables, handle: &str, offset: &str) -> Result<String, Failure> {
    let address = held.area(handle)?.as_ptr().wrapping_add(offset.parse()?);
    Ok(match raw::peek(address)? {
        Peeked::Byte(byte) => byte.to_string(),
        Peeked::Signal(signal) => format!("signal {signal}"),
    })
}

/// Sets ever other sizes and writes to the last byte of each. Who is quicker wins, and no process
/// is harmed: a write beyond the end of the moment is an error.
fn storm(
    held: &mut Resizables,
    handle: &str,
    seed: &str,
    rounds: &str,
    most: &str,
) -> Result<String, Failure> {
    let (seed, rounds, most): (usize, usize, usize) = (seed.parse()?, rounds.parse()?, most.parse()?);
    let area = held.area(handle)?;
    for round in 0..rounds {
        let size = (1 + (seed * 31 + round * 17) % most) * 4096;
        area.resize(size)?;
        match area.write_at(size - 1, &[1]) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::OutOfRange => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(String::new())
}
