//! Slabs: one that is made, and one that is read.

use anyhow::Result;
use areas::{Area, Rejected, Shared};
use areas_slab::{Handle, Lease, Reader, Slab, Slice};

use super::{Act, With, checked, is};
use crate::contents::SIZE;

const BYTES: &[u8] = b"in a block";

fn area() -> Result<Area<Shared>> {
    Ok(areas::builder(SIZE.max(1 << 20)).shared()?)
}

/// The area that it is made in, until it is made.
struct Making {
    area: Option<Area<Shared>>,
    made: Option<(Slab, Slice)>,
}

pub(super) fn make() -> Result<Box<dyn Act>> {
    let making = Making { area: Some(area()?), made: None };
    let run = |it: &mut Making| {
        let Some(area) = it.area.take() else { return Ok(()) };
        match Slab::builder().slots(64).over(area) {
            Ok(slab) => {
                let slice = slab.put(BYTES)?;
                it.made = Some((slab, slice));
                Ok(())
            }
            Err(Rejected { error, value }) => {
                it.area = Some(value);
                Err(error)
            }
        }
    };
    let check = |it: &mut Making| {
        let Some((slab, slice)) = &it.made else { return Err("there is none".to_owned()) };
        let mut bytes = [0; BYTES.len()];
        checked(slice.read_at(0, &mut bytes))?;
        is(bytes == BYTES && checked(slab.usage())?.blocks == 1, || format!("it has {bytes:?}"))
    };
    With::new(making, run, check)
        .unchanged(|it| {
            is(it.area.is_some() && it.made.is_none(), || "the area did not come back".to_owned())
        })
        .boxed()
}

/// A slab, with a slice that is to be read through another mapping of the same memory.
struct Reading {
    slab: Slab,
    slice: Slice,
    again: Option<Area<Shared>>,
    read: Option<(Reader, Lease)>,
}

pub(super) fn read() -> Result<Box<dyn Act>> {
    let mut slab = Slab::builder().slots(64).over(area()?).map_err(|rejected| rejected.error)?;
    slab.publish(crate::contents::VICTIM)?;
    let slice = slab.put(BYTES)?;
    let again = Some(areas::registry::find(crate::contents::VICTIM)?.open()?);
    let run = |it: &mut Reading| {
        let Some(area) = it.again.take() else { return Ok(()) };
        match Reader::attach(area) {
            Ok(reader) => {
                let handle = Handle::from_bytes(&it.slice.handle().to_bytes())?;
                it.read = Some((reader.clone(), reader.open(&handle)?));
                Ok(())
            }
            Err(Rejected { error, value }) => {
                it.again = Some(value);
                Err(error)
            }
        }
    };
    let check = |it: &mut Reading| {
        let Some((_, lease)) = &it.read else { return Err("nothing was read".to_owned()) };
        is(checked(lease.to_vec())? == BYTES, || "it has other bytes".to_owned())?;
        is(checked(it.slab.usage())?.blocks == 1, || "another number of blocks".to_owned())
    };
    With::new(Reading { slab, slice, again, read: None }, run, check)
        .unchanged(|it| {
            is(it.again.is_some() && it.read.is_none(), || "the area did not come back".to_owned())
        })
        .boxed()
}
