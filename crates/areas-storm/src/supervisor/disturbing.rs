//! What makes the lives of workers hard: kills, stops, a folder that goes, sequences that run out.

use std::fs::OpenOptions;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::{Stopped, Supervisor};
use crate::board::{Call, Place, SLOTS, Who};
use crate::storm::Deeds;

/// Of a thousand times that others are disturbed, those at which a group is killed; before them,
/// one process is.
const KILL_GROUP: Range<u32> = 120..135;

/// … at which one is stopped for a while.
const STOP: Range<u32> = 135..235;

/// Processes that live at once, for each worker: with more, none forks, and more are killed.
const CROWD: usize = 4;

/// A process that we may stop: not for so long that others' deadlines pass.
const LONGEST_STOP: u64 = 800;

impl Supervisor {
    /// Kills, stops, and takes the folder away.
    pub(super) fn disturb(&mut self) {
        let living = self.living();
        let crowded = living.len() > self.storm.options.processes * CROWD || living.len() > SLOTS - 64;
        let _ = self.shared.set_call(if crowded { Call::Crowded } else { Call::GoOn });
        let one = self.random.choice(living);
        let pid = |who: &Who| i32::try_from(who.pid).ok().and_then(Pid::from_raw);
        // What chance has not brought about in half of the time is done now.
        let late = self.storm.started.elapsed().as_secs_f64() > self.storm.options.minutes * 30.0;
        let choice = match self.storm.deeds {
            Deeds { group_kills: 0, .. } if late => KILL_GROUP.start,
            Deeds { stops: 0, .. } if late => STOP.start,
            _ => self.random.u32(0..1000),
        };
        match choice {
            choice if choice < KILL_GROUP.start || crowded && choice % 2 == 0 => {
                if let Some((number, who)) = one
                    && let Some(pid) = pid(&who)
                    && self.places[number]
                        .as_ref()
                        .and_then(Place::living)
                        .is_some_and(|now| now.life == who.life)
                    && kill_process(pid, Signal::KILL).is_ok()
                {
                    self.storm.deeds.kills += 1;
                }
            }
            choice if KILL_GROUP.contains(&choice) => {
                // Its leader is not reaped yet, so the number is still the group's.
                let leaders: Vec<i32> = self.workers.keys().copied().collect();
                if let Some(leader) = self.random.choice(leaders).and_then(Pid::from_raw)
                    && kill_process_group(leader, Signal::KILL).is_ok()
                {
                    self.storm.deeds.group_kills += 1;
                }
            }
            choice if STOP.contains(&choice) => {
                if let Some((_, who)) = one
                    && let Some(pid) = pid(&who)
                    && self.stopped.len() < 6
                    && kill_process(pid, Signal::STOP).is_ok()
                {
                    self.storm.deeds.stops += 1;
                    let time = Duration::from_millis(self.random.u64(1..LONGEST_STOP));
                    self.stopped.push(Stopped { pid, life: who.life, until: Instant::now() + time });
                }
            }
            _ => {}
        }
    }

    /// Lets those go on whose time has come.
    pub(super) fn wake(&mut self, all: bool) {
        let now = Instant::now();
        self.stopped.retain(|Stopped { pid, until, .. }| {
            let stays = *until > now && !all;
            if !stays {
                // It may have been killed in the meantime; the process with its number now is not
                // stopped, and does not mind.
                let _ = kill_process(*pid, Signal::CONT);
            }
            stays
        });
    }

    /// As a cleaner of temporary files would: whoever has areas publishes them again.
    pub(super) fn remove_folder(&mut self) {
        let epoch = self.shared.epoch();
        let registry = self.storm.run.join("registry");
        if self.shared.set_epoch(epoch + 1).is_err() {
            return;
        }
        // Others may add to it at the same time.
        for _ in 0..100 {
            match std::fs::remove_dir_all(&registry) {
                Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {}
                _ => break,
            }
        }
        let _ = self.shared.set_epoch(epoch + 2);
        self.storm.deeds.folders_removed += 1;
    }

    /// Sends every slot's next lease of sequence numbers to the last two blocks: they run out, go
    /// round, and meet numbers that are in use.
    pub(super) fn narrow_sequences(&mut self) {
        let Ok(spaces) = std::fs::read_dir(self.storm.run.join("registry")) else { return };
        // A lease is the next block + 1; it lies behind 64 bytes, four bytes a slot
        // (registry/directory/mod.rs).
        let next = [511_u32, 512][usize::from(self.random.bool())];
        let leases: Vec<u8> = (0..4096).flat_map(|_| next.to_le_bytes()).collect();
        for space in spaces.flatten() {
            if let Ok(control) = OpenOptions::new().write(true).open(space.path().join("control")) {
                let _ = control.write_all_at(&leases, 64);
            }
        }
    }
}
