//! Kill at every system call: each operation is killed as it enters each of its calls and as it
//! comes back, and then others look at what is left.

mod chapter;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::Options;
use crate::bystander::Looker;
use crate::call::END;
use crate::contents::{NAMES, VICTIM};
use crate::operation::{Hands, Operation, Subject};
use crate::report::{self, Bar};
use crate::stage::{Identity, Stage, holders_of, objects_of};
use crate::trace::{Ended, Side, Stop, Then, Tracer};
use crate::victim::said;
use crate::watch::Watch;

/// The outcome of one operation.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Row {
    pub(crate) operation: &'static str,
    pub(crate) what: &'static str,
    /// The system calls of a run that no process disturbs; the last one is the end.
    pub(crate) calls: Vec<String>,
    pub(crate) killed: usize,
    /// Runs that ended before they came to the call: those of several threads are not all alike.
    pub(crate) missed: usize,
    /// Points that were left out.
    pub(crate) left_out: usize,
    pub(crate) objects: usize,
    /// Why it could not be tried here.
    pub(crate) skipped: Option<String>,
    pub(crate) wrong: Vec<String>,
}

/// After so many an operation has had enough.
const MAX_WRONG: usize = 3;

pub(crate) fn main(options: &Options) -> Result<bool> {
    let operations = options.operations()?;
    let bar = Bar::new("kill", operations.len());
    let mut rows = Vec::new();
    for operation in operations {
        bar.at(operation.name);
        let row = one(operation, options).with_context(|| format!("kill in {}", operation.name))?;
        let Row { killed, missed, left_out, objects, .. } = row;
        if let Some(why) = &row.skipped {
            bar.say(&format!("{:<17} SKIPPED: {why}", operation.name));
            rows.push(row);
            continue;
        }
        bar.say(&format!(
            "{:<17} {:>3} calls, {killed} killed, {missed} missed, {left_out} left out, {objects} objects: {}",
            operation.name,
            row.calls.len() - 1,
            if row.wrong.is_empty() { "nothing left" } else { "WRONG" }
        ));
        row.wrong.iter().for_each(|wrong| bar.say(&format!("  {wrong}")));
        rows.push(row);
    }
    drop(bar);
    if let Some(folder) = &options.report {
        report::write(folder, "kill", &rows, &chapter::chapter(&rows))?;
    }
    Ok(rows.iter().all(|row| row.wrong.is_empty()))
}

/// A point at which to kill.
#[derive(Clone, Copy, Debug)]
struct Point {
    index: usize,
    side: Side,
}

fn one(operation: &'static Operation, options: &Options) -> Result<Row> {
    let mut row = Row { operation: operation.name, what: operation.what, ..Row::default() };
    let _held = match (operation.needs)() {
        Ok(held) => held,
        Err(why) => {
            row.skipped = Some(why);
            return Ok(row);
        }
    };
    let mut trial = Trial::new(operation)?;
    row.calls = trial.count()?;
    trial.offered = row.calls.iter().position(|call| call == "sendmsg");
    let last = row.calls.len() - 1;
    let points: Vec<Point> = (0..row.calls.len())
        .flat_map(|index| [Side::Entry, Side::Exit].map(|side| Point { index, side }))
        // The end is no call that anybody comes back from.
        .filter(|point| point.index != last || point.side == Side::Entry)
        .collect();
    let mut all_objects = BTreeSet::new();
    for (number, &point) in points.iter().enumerate() {
        if !options.tries(number) {
            row.left_out += 1;
            continue;
        }
        match trial.kill_at(point, number) {
            Ok(Some(objects)) => {
                row.killed += 1;
                all_objects.extend(objects);
            }
            Ok(None) => row.missed += 1,
            Err(error) => {
                let Point { index, side } = point;
                let call = &row.calls[index];
                row.wrong.push(format!(
                    "{} killed at {side:?} of call {index}, {call}: {error:#}",
                    operation.name
                ));
                if row.wrong.len() == MAX_WRONG {
                    break;
                }
                // What is wrong now shall not be found again at the next point.
                trial = Trial::new(operation)?;
            }
        }
    }
    row.objects = all_objects.len();
    let holders = holders_of(&all_objects);
    if !holders.is_empty() {
        row.wrong.push(format!("processes {holders:?} have memory of the dead"));
    }
    if row.missed * 5 > row.killed + row.missed {
        row.wrong.push(format!(
            "{} of {} runs did not come to their call",
            row.missed,
            row.killed + row.missed
        ));
    }
    Ok(row)
}

/// A registry with a bystander, in which one operation is killed again and again.
struct Trial {
    operation: &'static Operation,
    stage: Stage,
    bystander: Option<Looker>,
    /// What is the bystander's.
    others: BTreeSet<Identity>,
    /// The call by which an area is offered, if one is given away.
    offered: Option<usize>,
}

impl Trial {
    fn new(operation: &'static Operation) -> Result<Self> {
        let stage = Stage::new()?;
        let bystander = (!operation.alone).then(|| Looker::bystander(&stage)).transpose()?;
        let others = bystander.as_ref().map(|bystander| objects_of(bystander.pid())).unwrap_or_default();
        Ok(Trial { operation, stage, bystander, others, offered: None })
    }

    fn expected(&self) -> &'static [&'static str] {
        if self.operation.alone { &[] } else { &NAMES }
    }

    fn victim(&self) -> Result<Child> {
        if self.operation.alone {
            self.stage.clear();
        }
        let mut command = self.stage.command(&["victim", self.operation.name])?;
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().context("start a victim")
    }

    /// The calls of a run that no process disturbs, the end included.
    fn count(&mut self) -> Result<Vec<String>> {
        let mut victim = self.victim()?;
        let mut calls = Vec::new();
        let ended = Tracer::attach(&victim, self.operation.subject).and_then(|tracer| {
            self.hand_over(&mut Watch::new()?, victim.id())?;
            tracer.follow(&mut |stop| {
                if stop.side == Side::Entry {
                    calls.push(stop.call.name());
                }
                Ok(if stop.call.number == END { Then::Kill } else { Then::GoOn })
            })
        });
        let ended = ended.with_context(|| said(&mut victim))?;
        drop(victim.stdin.take());
        let _ = victim.wait();
        ensure!(ended == Ended::Killed, "undisturbed, it ended as {ended:?}: {}", said(&mut victim));
        self.arrived(true)?;
        Ok(calls)
    }

    /// Puts an area at the victim's transfer socket, where the operation is to take it in.
    fn hand_over(&mut self, watch: &mut Watch, to: u32) -> Result<()> {
        if let (Hands::Takes, Some(bystander)) = (self.operation.hands, &mut self.bystander) {
            bystander.ask("wrap")?;
            watch.add(bystander.pid(), |object| self.others.contains(&object))?;
            bystander.ask(&format!("give {to}"))?;
            ensure!(
                watch.areas().count() == 1,
                "{:?} are given instead of one",
                watch.areas().collect::<Vec<_>>()
            );
            let giver = objects_of(bystander.pid());
            ensure!(watch.areas().all(|area| !giver.contains(&area)), "the giver has kept it");
        }
        Ok(())
    }

    /// What was offered before the giver died is the bystander's, and nothing else is.
    fn arrived(&mut self, offered: bool) -> Result<()> {
        if let (Hands::Gives, Some(bystander)) = (self.operation.hands, &mut self.bystander) {
            bystander.ask(&format!("arrived {}", u8::from(offered)))?;
        }
        Ok(())
    }

    /// Kills it there and looks; the objects that it had, or `None` if it did not come there.
    fn kill_at(&mut self, point: Point, number: usize) -> Result<Option<BTreeSet<Identity>>> {
        let mut victim = self.victim()?;
        let mut objects = BTreeSet::new();
        let mut watch = Watch::new()?;
        let ended = Tracer::attach(&victim, self.operation.subject).and_then(|tracer| {
            self.hand_over(&mut watch, victim.id())?;
            watch.add(victim.id(), |object| self.others.contains(&object))?;
            let (operation, others) = (self.operation, &self.others);
            let bystander = &mut self.bystander;
            tracer.follow(&mut |stop: &Stop| {
                if (stop.index, stop.side) != (point.index, point.side) {
                    return Ok(Then::GoOn);
                }
                let pid = u32::try_from(stop.pid.as_raw()).context("a process number")?;
                objects = objects_of(pid).difference(others).copied().collect();
                watch.add(pid, |object| others.contains(&object))?;
                // A bystander that looks accepts what was offered to it: the other times no
                // process has when the giver dies.
                if let Some(bystander) = bystander
                    && (operation.hands != Hands::Gives || looks(number))
                {
                    bystander.ask("glance").context("while it is stopped")?;
                    if operation.always_found {
                        bystander.ask("there").context("while it is stopped")?;
                    }
                }
                Ok(Then::Kill)
            })
        });
        let ended = ended.with_context(|| said(&mut victim))?;
        if self.operation.subject == Subject::Child {
            if point.side == Side::Entry {
                self.parent_is_whole(&mut victim, ended, &objects)?;
            }
            // The other time it dies with its child.
            let _ = victim.kill();
        }
        drop(victim.stdin.take());
        let _ = victim.wait();
        let offered = self.operation.hands == Hands::Gives
            && (ended != Ended::Killed
                || self.offered.is_some_and(|call| (point.index, point.side) >= (call, Side::Exit)));
        if self.operation.hands == Hands::Gives {
            // The bystander's, or the kernel's on its way to it: neither more nor less.
            watch.wait_for_areas(usize::from(offered)).context("the giver is dead")?;
        }
        if looks(number) {
            self.arrived(offered)?;
        }
        self.aftermath(&objects, number, offered)?;
        watch.wait_for_all()?;
        match ended {
            Ended::Killed => Ok(Some(objects)),
            Ended::Exited(0) => Ok(None),
            other => anyhow::bail!("it ended by itself as {other:?}: {}", said(&mut victim)),
        }
    }

    /// A child that dies takes nothing of its parent's with it, and leaves nothing.
    fn parent_is_whole(
        &mut self,
        parent: &mut Child,
        ended: Ended,
        objects: &BTreeSet<Identity>,
    ) -> Result<()> {
        let from = parent.stdout.as_mut().context("its pipe")?;
        let mut lines = BufReader::new(from).lines();
        let _address = lines.next();
        let said = lines.next().context("the parent has died too")??;
        ensure!(said == "ok", "{said}");
        ensure!(ended == Ended::Killed || ended == Ended::Exited(0), "the child ended as {ended:?}");
        let kept = objects_of(parent.id());
        if let Some(bystander) = &mut self.bystander {
            bystander.ask(&format!("settled {VICTIM}")).context("with the parent alive")?;
            let of_dead: BTreeSet<Identity> = objects.difference(&kept).copied().collect();
            ensure!(objects_of(bystander.pid()).is_disjoint(&of_dead), "the child's memory is still held");
        }
        Ok(())
    }

    /// What others see when it is dead. Who looks first clears away what it left; both must be able
    /// to.
    fn aftermath(&mut self, objects: &BTreeSet<Identity>, number: usize, offered: bool) -> Result<()> {
        let expected = self.expected();
        if let Some(bystander) = &mut self.bystander
            && looks(number)
        {
            bystander.ask("settled")?;
        }
        let newcomer = Looker::newcomer(&self.stage, expected)?;
        if !looks(number) {
            self.arrived(offered)?;
        }
        let last = match &mut self.bystander {
            Some(bystander) => {
                bystander.ask("find newcomer")?;
                drop(newcomer);
                bystander.ask("settled")?;
                ensure!(
                    objects_of(bystander.pid()).is_disjoint(objects),
                    "the bystander still has memory of the dead"
                );
                bystander.pid()
            }
            None => {
                drop(newcomer);
                let next = Looker::newcomer(&self.stage, expected)?;
                let linked = next.pid();
                // A link stays until a process comes: it is there although its team is killed here.
                drop(next);
                linked
            }
        };
        let linked = self.stage.linked();
        ensure!(linked == [last], "links of {linked:?} are left, and only {last} should have one");
        let (spaces, litter) = (self.stage.spaces(), self.stage.litter());
        ensure!(spaces.len() == 1 && litter.is_empty(), "left lying: {spaces:?} {litter:?}");
        Ok(())
    }
}

/// Whether the bystander looks before anybody else does.
fn looks(number: usize) -> bool {
    number.is_multiple_of(2)
}
