//! Areas that change hands: within a team, to another team, from another team.

use anyhow::Result;
use areas::{Address, Area, Received, Shared, Transfer, registry};

use super::changing::is_it;
use super::joining::{is_found, published};
use super::{Act, With, checked, is};
use crate::contents::{NAMES, VICTIM};

/// Ids that givers claim are these of a team's: at least this, of so many.
pub(crate) const FIRST_GIVEN: i32 = 3 << 17;
pub(crate) const SEQUENCES: i32 = 1 << 19;

/// An area that is to be handed over, and to whom.
struct Giving {
    area: Option<Area<Shared>>,
    to: u32,
    address: usize,
}

fn give(it: &mut Giving) -> areas::Result<()> {
    let Some(area) = it.area.take() else { return Ok(()) };
    match area.transfer(it.to, Address::Any) {
        Ok(Transfer::Own(area)) => it.area = Some(area),
        Ok(_) => {}
        Err(rejected) => {
            it.area = Some(rejected.value);
            return Err(rejected.error);
        }
    }
    Ok(())
}

/// After an error it is as it was: there, at its address, and found.
fn kept(it: &mut Giving) -> Result<(), String> {
    let Some(area) = &it.area else { return Err("it did not come back".to_owned()) };
    is(area.as_ptr().addr() == it.address, || "it came back elsewhere".to_owned())?;
    is_found(area)
}

fn giving(to: u32, check: fn(&mut Giving) -> Result<(), String>) -> Result<Box<dyn Act>> {
    let area = published()?;
    // So that all teams are known, and what an error leaves behind is seen.
    registry::list()?;
    let address = area.as_ptr().addr();
    With::new(Giving { area: Some(area), to, address }, give, check).unchanged(kept).boxed()
}

pub(super) fn to_own_team() -> Result<Box<dyn Act>> {
    giving(std::process::id(), |it| {
        let Some(area) = &it.area else { return Err("it is gone".to_owned()) };
        is(area.as_ptr().addr() != it.address, || "it has not moved".to_owned())?;
        is_found(area)
    })
}

/// To the bystander. Whether it comes there is the bystander's to say.
pub(super) fn to_another() -> Result<Box<dyn Act>> {
    giving(registry::find(NAMES[0])?.pid(), |it| {
        is(it.area.is_none(), || "it is still here".to_owned())?;
        let own = checked(registry::list())?.areas.iter().any(|area| area.is_own() && is_victims(area));
        is(!own, || "it is still published here".to_owned())
    })
}

fn is_victims(area: &registry::Source) -> bool {
    area.name().as_bytes() == VICTIM.as_bytes()
}

/// What the bystander has put at our transfer socket before the operation begins: two, of which the
/// first is taken.
pub(super) fn from_another() -> Result<Box<dyn Act>> {
    registry::join()?;
    With::new(
        Vec::<Received>::new(),
        |came| {
            if came.is_empty()
                && let Some(first) = registry::transferred()?.first()
            {
                came.push(first.take()?);
            }
            Ok(())
        },
        |came| {
            is_it(came.first())?;
            // What is taken for no offer is gone, and the next one came instead. Else this is the
            // second, and is held, too.
            for next in checked(registry::transferred())? {
                came.push(checked(next.take())?);
                is_it(came.last())?;
            }
            let here = checked(registry::list())?.areas.iter().filter(|area| is_victims(area)).count();
            is(here == came.len(), || format!("{here} areas have its name, and {} came", came.len()))
        },
    )
    .boxed()
}
