//! Holding areas in front: publish them, say so, and wait until a signal comes or a command ends;
//! or hand them to a process in the background.

use std::process::{Command, ExitCode};
use std::sync::mpsc;

use crate::asking::listen;
use crate::command;
use crate::detach;
use crate::event::Event;
use crate::failure::{Result, code_of_signal};
use crate::growing::Growing;
use crate::holder::{Holder, ToHold, publish};
use crate::holding::Holding;
use crate::signals;

/// Publishes areas under their names and holds them; gives the exit code.
pub(crate) fn hold(areas: Vec<ToHold>, holding: &Holding, quiet: bool) -> Result<ExitCode> {
    hold_growing(areas, None, holding, quiet)
}

/// The same, of which the first one grows as a stream comes in.
pub(crate) fn hold_growing(
    areas: Vec<ToHold>,
    growing: Option<Growing>,
    holding: &Holding,
    quiet: bool,
) -> Result<ExitCode> {
    let (sender, events) = mpsc::channel();
    // First of all, so that no signal between the ready line and here ends us in another way.
    if !holding.detach {
        signals::watch(!holding.command.is_empty(), sender.clone())?;
    }
    // All of them, or an error, and then none: they go with this call.
    let held = areas.into_iter().map(publish).collect::<Result<Vec<_>>>()?;
    if holding.detach {
        return detach::hand_over(held, holding, quiet);
    }
    listen::listen(sender.clone());
    let runs = holding.command.first().map(|program| program.to_string_lossy().into_owned());
    let mut holder = Holder::of(held, runs);
    let code = match holding.command.split_first() {
        None => {
            holder.print_ready(holding, quiet)?;
            holder.grow_with(growing.map(|growing| growing.start(sender)).transpose()?);
            match holder.next(&events) {
                Some(Event::Signal(signal)) => code_of_signal(signal),
                // Only a command ends, and only a dead watcher hangs up.
                _ => 1,
            }
        }
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments);
            holder.name_areas_for(&mut command);
            match command::start(command, program, &sender)? {
                Ok(mut running) => {
                    holder.grow_with(growing.map(|growing| growing.start(sender)).transpose()?);
                    running.serve(|| holder.next(&events))?
                }
                Err(code) => code,
            }
        }
    };
    Ok(ExitCode::from(code))
}
