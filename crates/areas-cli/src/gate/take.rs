//! `areas take`: an area that is offered at a socket, published and held here.

use std::process::ExitCode;
use std::time::Duration;

use areas::gate::TakeOptions;
use areas::{Error, ErrorKind, Lock, ReceiveOptions};

use super::args::{Take, User};
use crate::asking::ask::AT_LEAST;
use crate::failure::Result;
use crate::hold::hold;
use crate::holder::ToHold;

pub(crate) fn run(take: &Take, quiet: bool) -> Result<ExitCode> {
    let area = options(take).take(&take.path)?;
    let name = take.name.clone().or_else(|| area.name().cloned()).ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, format!("publish the area from {:?}", take.path))
            .with_facts("it has no name there")
            .with_remedy("give it one: `--name NAME`")
    })?;
    hold(vec![ToHold { area, name, note: None, exclusive: take.exclusive }], &take.holding, quiet)
}

fn options(take: &Take) -> TakeOptions {
    let mut bounds = ReceiveOptions::new();
    if let Some(size) = take.max_size {
        bounds = bounds.max_bytes(usize::try_from(size.0).unwrap_or(usize::MAX));
    }
    if take.no_lock {
        bounds = bounds.lock_at_most(Lock::None);
    }
    let mut options = TakeOptions::new()
        .bounds(bounds)
        .wait(take.timeout.map_or(Duration::ZERO, |timeout| timeout.max(AT_LEAST)));
    for user in &take.from {
        options = match user {
            User::Number(number) => options.from(*number),
            User::Any => options.from_any_user(),
        };
    }
    options
}
