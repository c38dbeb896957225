//! New areas of every kind.

use std::sync::atomic::Ordering;

use anyhow::Result;
use areas::{
    Area, Lock, Mapping, NodeSet, Pages, Policy, Private, Provider as _, Request, Resizable, Shared, System,
};
use areas_testing::{pagemap, status};

use super::pool::Pool;
use super::{Act, With, checked, is};

/// Larger than what malloc may take in the meantime, so that what is left behind is seen.
const LARGE: usize = 4 << 20;
const SMALL: usize = 64 << 10;

/// A shared area that is made by a function; it must hold bytes.
fn making(
    run: fn(&mut Option<Area<Shared>>) -> areas::Result<()>,
    check: fn(&mut Option<Area<Shared>>) -> Result<(), String>,
) -> Result<Box<dyn Act>> {
    With::new(None, run, check).unchanged(|area| is(area.is_none(), || "there is one".to_owned())).boxed()
}

fn holds(area: &mut Option<Area<Shared>>) -> Result<(), String> {
    let Some(area) = area else { return Err("there is none".to_owned()) };
    checked(area.store(area.size() - 8, 0x1234_5678_u64, Ordering::Relaxed))?;
    is(checked(area.load::<u64>(area.size() - 8, Ordering::Relaxed))? == 0x1234_5678, || {
        "it holds other bytes".to_owned()
    })?;
    is(checked(area.load::<u64>(0, Ordering::Relaxed))? == 0, || "it is not zeroed".to_owned())
}

pub(super) fn private() -> Result<Box<dyn Act>> {
    With::new(
        None::<Area<Private>>,
        |area| {
            *area = Some(areas::builder(LARGE).place(Policy::Bind(NodeSet::ALL)).private()?);
            Ok(())
        },
        |area| {
            let Some(area) = area else { return Err("there is none".to_owned()) };
            area[LARGE - 1] = 1;
            is(area[0] == 0 && area.len() == LARGE, || "it is not as asked".to_owned())?;
            checked(area.verify()).and_then(|found| is(found.holds(), || format!("{found:?}")))
        },
    )
    .boxed()
}

pub(super) fn shared() -> Result<Box<dyn Act>> {
    making(
        |area| {
            *area = Some(areas::builder(SMALL).shared()?);
            Ok(())
        },
        holds,
    )
}

pub(super) fn placed() -> Result<Box<dyn Act>> {
    making(
        |area| {
            *area = Some(areas::builder(SMALL).place(Policy::Interleave(NodeSet::ALL)).shared()?);
            Ok(())
        },
        holds,
    )
}

pub(super) fn growable() -> Result<Box<dyn Act>> {
    making(
        |area| {
            *area = Some(areas::builder(SMALL).growable(LARGE).shared()?);
            Ok(())
        },
        |area| {
            holds(area)?;
            let Some(area) = area else { return Err("there is none".to_owned()) };
            checked(area.grow(LARGE))?;
            is(area.size() == LARGE, || "it does not grow".to_owned())
        },
    )
}

pub(super) fn resizable() -> Result<Box<dyn Act>> {
    With::new(
        None::<Area<Resizable>>,
        |area| {
            *area = Some(areas::builder(SMALL).resizable(LARGE)?);
            Ok(())
        },
        |area| {
            let Some(area) = area else { return Err("there is none".to_owned()) };
            checked(area.resize(LARGE))?;
            is(area.size() == LARGE, || "it does not grow".to_owned())
        },
    )
    .boxed()
}

pub(super) fn locked() -> Result<Box<dyn Act>> {
    making(
        |area| {
            *area = Some(areas::builder(SMALL).lock(Lock::Full).shared()?);
            Ok(())
        },
        |area| {
            holds(area)?;
            let locked = status::own().bytes("VmLck");
            is(locked == Some(SMALL as u64), || format!("locked in RAM are {locked:?} bytes"))
        },
    )
}

/// Who may not see page frames cannot prove that they lie side by side.
pub(super) fn may_see_frames() -> Result<Option<Pool>, String> {
    match areas::builder(SMALL).lock(Lock::Contiguous).shared() {
        Ok(_) => Ok(None),
        Err(error) => Err(format!("{error}")),
    }
}

pub(super) fn contiguous() -> Result<Box<dyn Act>> {
    making(
        |area| {
            *area = Some(areas::builder(SMALL).lock(Lock::Contiguous).shared()?);
            Ok(())
        },
        |area| {
            holds(area)?;
            let Some(area) = area else { return Err("there is none".to_owned()) };
            let frames = pagemap::frames(area.as_ptr().addr(), SMALL);
            let adjacent = frames.windows(2).all(|pair| pair[1] == pair[0] + 1);
            is(adjacent, || format!("its frames are {frames:x?}"))
        },
    )
}

pub(super) fn huge() -> Result<Box<dyn Act>> {
    making(
        |area| {
            let mut made = areas::builder(LARGE).pages(Pages::Auto).shared()?;
            made.populate()?;
            *area = Some(made);
            Ok(())
        },
        |area| {
            holds(area)?;
            let Some(area) = area else { return Err("there is none".to_owned()) };
            let resident = checked(area.residency())?.resident();
            is(resident == LARGE as u64, || format!("{resident} bytes are in RAM"))
        },
    )
}

pub(super) fn unmap() -> Result<Box<dyn Act>> {
    let mut mapping = System::new().map(&Request::new(LARGE))?;
    mapping.as_bytes_mut()?.fill(7);
    With::new(
        Some(mapping),
        |mapping| match mapping.take().map(Mapping::unmap) {
            Some(Err(rejected)) => {
                *mapping = Some(rejected.value);
                Err(rejected.error)
            }
            Some(Ok(())) | None => Ok(()),
        },
        |mapping| is(mapping.is_none(), || "it is still there".to_owned()),
    )
    .unchanged(|mapping| {
        let bytes = mapping.as_ref().and_then(|mapping| mapping.as_bytes().ok());
        is(bytes.is_some_and(|bytes| bytes.iter().all(|&byte| byte == 7)), || {
            "it did not come back".to_owned()
        })
    })
    .boxed()
}
