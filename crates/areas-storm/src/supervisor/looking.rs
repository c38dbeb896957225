//! What is looked at while the storm is under way: who lives, who died, what is found of them, and
//! what hangs.

use std::time::Duration;

use anyhow::{Context as _, Result};
use areas::{ErrorKind, registry};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

use super::Supervisor;
use crate::board::{SLOTS, Who, now};
use crate::finding::Rule;
use crate::op::Op;
use crate::sabotage::Sabotage;
use crate::worker::{is_planned, life_name};

impl Supervisor {
    /// Those who live, as the board has them.
    pub(super) fn living(&mut self) -> Vec<(usize, Who)> {
        let mut living = Vec::new();
        for number in 0..SLOTS {
            if self.places[number].is_none() {
                self.places[number] = self.storm.board.look(number);
            }
            // Places are taken from the first one on.
            let Some(place) = &self.places[number] else { break };
            if let Some(who) = place.living() {
                living.push((number, who));
            }
        }
        living
    }

    /// Reaps whoever died: no process may find them any more.
    pub(super) fn remove_dead(&mut self) -> Result<()> {
        let mut dead = Vec::new();
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    self.storm.deeds.reaped += 1;
                    if status.terminating_signal() == Some(Signal::KILL.as_raw()) {
                        self.storm.deeds.killed += 1;
                    }
                    self.workers.remove(&pid.as_raw_nonzero().get());
                    if !is_planned(status) {
                        self.storm.found(Rule::Death, &format!("process {pid} ended by {status:?}"));
                    }
                    dead.push(pid);
                }
                Ok(None) | Err(rustix::io::Errno::CHILD) => break,
                Err(errno) => return Err(errno).context("wait"),
            }
        }
        if self.storm.options.sabotage == Some(Sabotage::DeadName)
            && self.storm.started.elapsed() > Duration::from_secs(1)
        {
            dead.extend(self.workers.keys().filter_map(|&pid| Pid::from_raw(pid)));
        }
        if dead.is_empty() {
            return Ok(());
        }
        self.check_dead(&dead);
        Ok(())
    }

    /// Nothing of these processes is listed, nor found by the name that each of them had alone.
    fn check_dead(&self, dead: &[Pid]) {
        let listing = match registry::list() {
            Ok(listing) => listing,
            Err(error) => return self.storm.found(Rule::Error, &format!("list: {error:#}")),
        };
        for pid in dead.iter().map(|pid| pid.as_raw_nonzero().get().unsigned_abs()) {
            let living = std::path::Path::new(&format!("/proc/{pid}")).exists();
            // Numbers of processes are given again after a while.
            if living && self.storm.options.sabotage != Some(Sabotage::DeadName) {
                continue;
            }
            if let Some(source) = listing.areas.iter().find(|source| source.pid() == pid) {
                self.storm.found(
                    Rule::DeadName,
                    &format!(
                        "area {} {:?} is listed in process {pid}, which was reaped",
                        source.id(),
                        source.name()
                    ),
                );
            }
            if let Some(team) = listing.unreadable.iter().find(|team| team.pid == pid) {
                self.storm.found(
                    Rule::DeadName,
                    &format!("process {pid} was reaped, and is said to be unreadable: {}", team.reason),
                );
            }
        }
        for place in self.places.iter().flatten() {
            let who = place.who();
            if !dead.iter().any(|pid| u64::from(pid.as_raw_nonzero().get().unsigned_abs()) == who.pid) {
                continue;
            }
            match registry::find(life_name(&self.storm.tag, who.life)) {
                Ok(source) if u64::from(source.pid()) == who.pid && place.living().is_none() => {
                    self.storm.found(
                        Rule::DeadName,
                        &format!("{:?} is found in process {}, which was reaped", source.name(), who.pid),
                    )
                }
                Err(error) if error.kind() != ErrorKind::NoSuchArea => {
                    self.storm.found(Rule::Error, &format!("find a dead name: {error:#}"));
                }
                _ => {}
            }
        }
    }

    /// Counts what the storm was to force: ids and slots that were used again.
    pub(super) fn look_around(&mut self) {
        let Ok(listing) = registry::list() else { return };
        self.storm.deeds.most_areas = self.storm.deeds.most_areas.max(listing.areas.len());
        for source in &listing.areas {
            let id = source.id().get();
            if let Ok(info) = source.info()
                && self.ids.insert(id, info.object.1).is_some_and(|before| before != info.object.1)
            {
                self.storm.deeds.ids_reused += 1;
            }
            if self.slots.insert(id >> 19, source.pid()).is_some_and(|before| before != source.pid()) {
                self.storm.deeds.slots_reused += 1;
            }
        }
    }

    /// Looks for operations that do not end.
    pub(super) fn watch(&mut self) {
        let deadline = Duration::from_secs(self.storm.options.deadline);
        let living = self.living();
        self.storm.deeds.most_processes = self.storm.deeds.most_processes.max(living.len());
        for (number, who) in living {
            let waited = Duration::from_nanos(now().saturating_sub(who.begun));
            if who.op == 0 || waited < deadline {
                continue;
            }
            let op =
                usize::try_from(who.op - 1).ok().and_then(|at| Op::ALL.get(at)).map_or("?", |op| op.name());
            let others: Vec<String> = self
                .stopped
                .iter()
                .map(|stopped| format!("{} (life {})", stopped.pid, stopped.life))
                .collect();
            self.storm.found(
                Rule::Hang,
                &format!(
                    "process {} (worker {}, seed {}, place {}) is in {op:?} since {waited:?}; stopped now: [{}]; {}",
                    who.pid,
                    who.group,
                    who.seed,
                    number,
                    others.join(", "),
                    crate::proc::doing(who.pid)
                ),
            );
            if let Some(pid) = i32::try_from(who.pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}
