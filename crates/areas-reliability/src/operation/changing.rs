//! Changes of what is there: size, protection, freezing, populating, passing on.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use areas::{
    Address, Area, Frozen, Lock, PageSize, Pages, Protection, Received, Resizable, Shared, registry,
};
use areas_testing::maps;

use super::joining::{is_found, published, unpublished};
use super::pool::Pool;
use super::{Act, With, checked, is};
use crate::contents::{SIZE, VICTIM, has_pattern, pattern};

pub(super) fn grow() -> Result<Box<dyn Act>> {
    let mut area = areas::builder(SIZE).growable(8 * SIZE).shared()?;
    area.write_at(0, &pattern(VICTIM, SIZE))?;
    area.publish(VICTIM)?;
    With::new(
        area,
        |area| area.grow(2 * SIZE),
        |area| {
            is(area.size() == 2 * SIZE, || format!("its size is {}", area.size()))?;
            is(checked(area.load::<u64>(2 * SIZE - 8, Ordering::Relaxed))? == 0, || {
                "new bytes are not zero".to_owned()
            })?;
            is_found(area)
        },
    )
    .unchanged(|area| is(area.size() == SIZE, || format!("its size is {}", area.size())))
    .boxed()
}

const HUGE: usize = 2 << 20;

/// Growing takes one more hugetlb page than the area has, and both are tried twice after an error.
pub(crate) fn pool_has_pages() -> Result<Option<Pool>, String> {
    // Besides those that a trial before may not have released yet.
    Pool::with(8).map(Some)
}

pub(super) fn grow_in_pool() -> Result<Box<dyn Act>> {
    let mut area = areas::builder(HUGE).pages(Pages::Pool(PageSize::HUGE_2M)).growable(4 * HUGE).shared()?;
    area.write_at(0, &pattern(VICTIM, SIZE))?;
    area.publish(VICTIM)?;
    With::new(
        area,
        |area| area.grow(2 * HUGE),
        |area| {
            is(area.size() == 2 * HUGE, || format!("its size is {}", area.size()))?;
            is(checked(area.load::<u64>(2 * HUGE - 8, Ordering::Relaxed))? == 0, || {
                "new bytes are not zero".to_owned()
            })?;
            is_found(area)
        },
    )
    .unchanged(|area| is(area.size() == HUGE, || format!("its size is {}", area.size())))
    .boxed()
}

/// Where there is room behind: addresses that were free a moment ago, and many of them.
fn room() -> Result<Address> {
    Ok(Address::Exactly(areas::Reservation::new(256 << 20, 1 << 21)?.address()))
}

fn resizing(
    run: fn(&mut Area<Resizable>) -> areas::Result<()>,
    check: fn(&mut Area<Resizable>) -> Result<(), String>,
) -> Result<Box<dyn Act>> {
    let mut area = areas::builder(2 * SIZE).at(room()?).resizable(4 * SIZE)?;
    area.write_at(0, &pattern(VICTIM, SIZE))?;
    area.publish(VICTIM)?;
    With::new(area, run, check).unchanged(|area| has_size(area, 2 * SIZE, 4 * SIZE)).boxed()
}

fn has_size(area: &Area<Resizable>, size: usize, reserve: usize) -> Result<(), String> {
    let found = (area.size(), area.reserve());
    is(found == (size, reserve), || format!("its size and reserve are {found:?}"))?;
    let mut bytes = vec![0; SIZE];
    checked(area.read_at(0, &mut bytes))?;
    is(bytes == pattern(VICTIM, SIZE), || "it has other bytes".to_owned())?;
    let info = checked(checked(registry::find(VICTIM))?.info())?;
    is((info.size, info.reserve) == (size, reserve), || format!("others see {info:?}"))
}

pub(super) fn resize() -> Result<Box<dyn Act>> {
    resizing(|area| area.resize(3 * SIZE), |area| has_size(area, 3 * SIZE, 4 * SIZE))
}

pub(super) fn resize_beyond() -> Result<Box<dyn Act>> {
    resizing(|area| area.resize(6 * SIZE), |area| has_size(area, 6 * SIZE, 6 * SIZE))
}

/// At whatever address: where there is room to grow (docs/design/room-to-grow.md).
pub(super) fn resize_in_arena() -> Result<Box<dyn Act>> {
    let mut area = areas::builder(2 * SIZE).resizable(4 * SIZE)?;
    area.write_at(0, &pattern(VICTIM, SIZE))?;
    area.publish(VICTIM)?;
    let address = area.as_ptr().addr();
    With::new(
        (area, address),
        |(area, _)| area.resize(6 * SIZE),
        |(area, address)| {
            is(area.as_ptr().addr() == *address, || "it has moved".to_owned())?;
            has_size(area, 6 * SIZE, 6 * SIZE)
        },
    )
    .unchanged(|(area, _)| has_size(area, 2 * SIZE, 4 * SIZE))
    .boxed()
}

pub(super) fn shrink() -> Result<Box<dyn Act>> {
    resizing(|area| area.resize(SIZE), |area| has_size(area, SIZE, 4 * SIZE))
}

/// What the kernel says of the pages at an address: `rw-s`.
fn permissions(area: *const u8) -> String {
    maps::at(area.addr()).map_or("none".to_owned(), |vma| vma.permissions)
}

pub(super) fn protect() -> Result<Box<dyn Act>> {
    With::new(
        published()?,
        |area| area.protect(Protection::READ),
        |area| {
            let found = permissions(area.as_ptr());
            is(found == "r--s", || format!("the kernel says {found}"))?;
            is_found(area)
        },
    )
    .unchanged(|area| is_writable(area))
    .boxed()
}

fn is_writable(area: &Area<Shared>) -> Result<(), String> {
    let found = permissions(area.as_ptr());
    is(found == "rw-s" && area.protection() == Protection::READ_WRITE, || {
        format!("the kernel says {found}, the area {}", area.protection())
    })?;
    checked(area.store(0, pattern(VICTIM, 1)[0], Ordering::Relaxed))
}

/// An area on its way to be frozen.
struct Freezing {
    area: Option<Area<Shared>>,
    frozen: Option<Area<Frozen>>,
    address: usize,
}

fn freezing(area: Area<Shared>) -> Result<Box<dyn Act>> {
    let address = area.as_ptr().addr();
    With::new(
        Freezing { area: Some(area), frozen: None, address },
        |it| {
            let Some(area) = it.area.take() else { return Ok(()) };
            match area.freeze_within(Duration::from_millis(20)) {
                Ok(frozen) => it.frozen = Some(frozen),
                Err(rejected) => {
                    it.area = Some(rejected.value);
                    return Err(rejected.error);
                }
            }
            Ok(())
        },
        |it| {
            let Some(frozen) = &it.frozen else { return Err("it is not frozen".to_owned()) };
            let found = permissions(frozen.as_ptr());
            is(found == "r--s", || format!("the kernel says {found}"))?;
            is(checked(frozen.object().is_frozen())?, || "it is not sealed".to_owned())?;
            is(frozen.as_ptr().addr() == it.address, || "it is elsewhere".to_owned())?;
            is(frozen[..] == pattern(VICTIM, SIZE), || "it has other bytes".to_owned())?;
            checked(checked(registry::find(VICTIM))?.open_frozen()).map(drop)
        },
    )
    .unchanged(|it| {
        let Some(area) = &it.area else { return Err("it did not come back".to_owned()) };
        is(area.as_ptr().addr() == it.address, || "it came back elsewhere".to_owned())?;
        is_writable(area)?;
        is_found(area)
    })
    .boxed()
}

pub(super) fn freeze() -> Result<Box<dyn Act>> {
    freezing(published()?)
}

pub(super) fn freeze_locked() -> Result<Box<dyn Act>> {
    let area = areas::builder(SIZE).lock(Lock::Full).shared()?;
    area.write_at(0, &pattern(VICTIM, SIZE))?;
    let mut area = area;
    area.publish(VICTIM)?;
    freezing(area)
}

/// Several pieces of what a thread takes at a time.
const LARGE: usize = 20 << 20;

pub(super) fn populate() -> Result<Box<dyn Act>> {
    With::new(
        areas::builder(LARGE).shared()?,
        |area| area.populate(),
        |area| {
            let resident = checked(area.residency())?.resident();
            is(resident == LARGE as u64, || format!("{resident} bytes are in RAM"))
        },
    )
    .boxed()
}

pub(super) fn fill() -> Result<Box<dyn Act>> {
    let mut file = tempfile::tempfile()?;
    file.write_all(&pattern(VICTIM, SIZE))?;
    let stage: (File, Area<Shared>) = (file, areas::builder(SIZE).shared()?);
    With::new(
        stage,
        |(file, area)| area.fill_from(&*file, &mut |_| {}),
        |(_, area)| has_pattern(area, VICTIM, SIZE),
    )
    .boxed()
}

struct Passing {
    here: UnixStream,
    there: UnixStream,
    area: Option<Area<Shared>>,
    came: Option<Received>,
}

fn passing() -> Result<Passing> {
    let (here, there) = UnixStream::pair()?;
    there.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(Passing { here, there, area: Some(unpublished()?), came: None })
}

pub(super) fn is_it(came: Option<&Received>) -> Result<(), String> {
    match came {
        Some(Received::Shared(area)) => has_pattern(area, VICTIM, SIZE),
        other => Err(format!("what came is {other:?}")),
    }
}

pub(super) fn send() -> Result<Box<dyn Act>> {
    With::new(
        passing()?,
        |it| it.area.as_ref().map_or(Ok(()), |area| area.send_read_only(&it.here)),
        |it| is_it(checked(areas::receive(&it.there)).map(Some)?.as_ref()),
    )
    .boxed()
}

pub(super) fn receive() -> Result<Box<dyn Act>> {
    let mut it = passing()?;
    if let Some(area) = it.area.take() {
        // What was taken out of the socket by a try that then fails is gone: the next one takes the
        // next.
        area.send(&it.here)?;
        area.send(&it.here)?;
    }
    With::new(
        it,
        |it| {
            it.came = Some(areas::receive(&it.there)?);
            Ok(())
        },
        |it| is_it(it.came.as_ref()),
    )
    .boxed()
}
