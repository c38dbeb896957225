//! Areas of which the program has unmapped a part itself.

#![expect(
    unsafe_code,
    reason = "takes addresses away from the library: that is the trial; the block has its proof"
)]

use anyhow::{Result, ensure};
use areas::{Area, PageSize, Resizable, registry};

use super::{Act, With, checked, is};
use crate::contents::{SIZE, VICTIM, pattern};

/// An area with a hole in its addresses, and what is left of it.
struct Cut {
    area: Option<Area<Resizable>>,
    left: Vec<Area<Resizable>>,
}

/// Where the hole is, in pages of the 16 that the area has.
const HOLE: std::ops::Range<usize> = 4..8;

fn hole() -> std::ops::Range<usize> {
    let page = PageSize::base().bytes();
    HOLE.start * page..HOLE.end * page
}

fn has(area: &Area<Resizable>, from: usize) -> Result<(), String> {
    let mut bytes = vec![0; area.size()];
    checked(area.read_at(0, &mut bytes))?;
    let all = pattern(VICTIM, SIZE);
    is(Some(&bytes[..]) == all.get(from..from + bytes.len()), || format!("{area} has other bytes"))
}

/// Those of the victim's name that this process has published.
fn published() -> Result<usize, String> {
    let listing = checked(registry::list())?;
    Ok(listing
        .areas
        .iter()
        .filter(|area| area.is_own() && area.name().as_bytes() == VICTIM.as_bytes())
        .count())
}

/// A part in the middle is gone: two areas are left.
pub(super) fn cut() -> Result<Box<dyn Act>> {
    let mut area = areas::builder(SIZE).resizable(SIZE)?;
    area.write_at(0, &pattern(VICTIM, SIZE))?;
    area.publish(VICTIM)?;
    let at = area.as_ptr().wrapping_add(hole().start).cast();
    // SAFETY: addresses of an area that lends no references, and that is reconciled before it is
    // used again.
    let status = unsafe { libc::munmap(at, hole().len()) };
    ensure!(status == 0, "munmap: {}", std::io::Error::last_os_error());
    With::new(
        Cut { area: Some(area), left: Vec::new() },
        |it| {
            let Some(area) = it.area.take() else { return Ok(()) };
            match area.reconcile() {
                Ok(left) => it.left = left,
                Err(rejected) => {
                    it.area = Some(rejected.value);
                    return Err(rejected.error);
                }
            }
            Ok(())
        },
        |it| {
            let [first, second] = &it.left[..] else { return Err(format!("left are {:?}", it.left)) };
            is((first.size(), second.size()) == (hole().start, SIZE - hole().end), || {
                format!("left are {:?}", it.left)
            })?;
            has(first, 0)?;
            has(second, hole().end)?;
            let found = published()?;
            is(found == 2, || format!("{found} parts are published"))
        },
    )
    .unchanged(|it| {
        let Some(area) = &it.area else { return Err("it did not come back".to_owned()) };
        let missing = checked(area.missing())?;
        is(missing == [hole()], || format!("it misses {missing:?}"))?;
        is(area.size() == SIZE && published()? == 1, || "it is not as it was".to_owned())
    })
    .boxed()
}
