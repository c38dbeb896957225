//! Forking, reaping, exec, and the ways to die.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use areas::registry;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use super::held::{Held, Memory};
use super::{Child, DEEPEST, Worker};
use crate::board::{Call, Who, new_life};
use crate::finding::{Findings, Rule};
use crate::fork::{self, Forked};
use crate::op::Op;

/// What areas of threads are called: a child that was forked at that time has them too, and no
/// process in it to drop them.
pub(super) const THREADS: &str = "of-a-thread";
/// Children at once.
const MAX_CHILDREN: usize = 3;

/// Whether a process may end like that: by itself, or by a signal that we send.
pub(crate) fn is_planned(status: WaitStatus) -> bool {
    match status.terminating_signal() {
        Some(signal) => signal == Signal::KILL.as_raw() || signal == Signal::ABORT.as_raw(),
        None => status.exit_status() == Some(0),
    }
}

impl Worker {
    fn may_fork(&self) -> bool {
        self.options.depth < DEEPEST && self.children.len() < MAX_CHILDREN && self.shared.call() == Call::GoOn
    }

    pub(super) fn fork(&mut self) {
        if !self.may_fork() {
            return;
        }
        self.fork_as(Op::Fork);
    }

    /// Forks while threads of this process are in the middle of calls.
    pub(super) fn fork_among_threads(&mut self) {
        if !self.may_fork() {
            return;
        }
        let names: Vec<String> = (0..2).map(|_| self.common_name()).collect();
        let own = format!("{}-{THREADS}", self.options.tag);
        let wrong = std::thread::scope(|scope| {
            let threads: Vec<_> = names
                .iter()
                .map(|name| {
                    let own = &own;
                    scope.spawn(move || -> Option<areas::Error> {
                        for _ in 0..30 {
                            let area = match areas::builder(100).name(own).shared() {
                                Ok(area) => area,
                                Err(error) => return Some(error),
                            };
                            match registry::find(name) {
                                Err(error) if !Op::Find.allows(error.kind()) => return Some(error),
                                _ => drop(area),
                            }
                        }
                        None
                    })
                })
                .collect();
            // The child does not come back from this: the threads are not in it.
            self.fork_as(Op::ForkThreaded);
            threads.into_iter().find_map(|thread| thread.join().ok().flatten())
        });
        if let Some(error) = wrong {
            self.found(Rule::Error, &format!("a thread, during fork: {error:#}"));
        }
    }

    fn fork_as(&mut self, op: Op) {
        let life = new_life();
        let seed = self.random.u64(..);
        self.slot.begin(op);
        match fork::fork() {
            Ok(Forked::Parent { child }) => {
                self.children.push(Child { pid: child, life });
                self.slot.end(op, None);
            }
            Ok(Forked::Child) => {
                self.orphans |= op == Op::ForkThreaded;
                self.live_as_child(life, seed)
            }
            Err(error) => {
                self.found(Rule::Error, &format!("fork: {error}"));
                self.slot.end(op, Some(areas::ErrorKind::System));
            }
        }
    }

    /// The life of a child: it has all that its parent has.
    fn live_as_child(&mut self, life: u64, seed: u64) -> ! {
        // Not our place on the board any more; this drops no record lock of the parent's.
        let who = Who {
            pid: u64::from(std::process::id()),
            life,
            seed,
            group: self.slot.who.group,
            ..Who::default()
        };
        let (Ok(slot), Ok(findings)) = (self.board.claim(who), Findings::open(&self.options.run)) else {
            fork::leave(96)
        };
        let Ok(shared) = self.board.shared() else { fork::leave(96) };
        let mut options = self.options.clone();
        (options.life, options.seed, options.before) = (life, seed, None);
        options.depth += 1;
        let mut random = fastrand::Rng::with_seed(seed);
        // Some only call exec or die: they are to cost nothing, and to leave nothing.
        let left = if random.u32(0..5) == 0 { 0 } else { random.u64(5..400) };
        let mut child = Worker {
            options,
            board: self.board.clone(),
            slot,
            shared,
            findings,
            held: std::mem::take(&mut self.held),
            locks: self.locks.take(),
            children: Vec::new(),
            left,
            epoch: 0,
            next_name: self.next_name,
            orphans: self.orphans,
            sabotage: None,
            random,
        };
        for held in &mut child.held {
            held.entry = None;
            held.is_life = false;
        }
        if left == 0 {
            child.die();
        }
        child.come_into_inheritance();
        child.live()
    }

    /// Publishes what was inherited, by the first call, and writes private memory, which the parent
    /// must not see.
    fn come_into_inheritance(&mut self) {
        self.epoch = self.shared.epoch();
        self.keep();
        for mut held in std::mem::take(&mut self.held) {
            if let Memory::Private(_) = held.memory
                && self.random.bool()
            {
                held.object = self.random.u64(1..);
                self.fill(&mut held);
            }
            if held.id().is_some() {
                self.record(&mut held);
            }
            self.check(&mut held);
            self.held.push(held);
        }
    }

    /// Forks a child that publishes a name, and waits for it.
    pub(super) fn wait_for_child(&mut self) {
        if !self.may_fork() {
            return;
        }
        self.next_name += 1;
        let name = format!("{}-gift-{}-{}", self.options.tag, self.slot.who.life, self.next_name);
        let life = new_life();
        let seed = self.random.u64(..);
        match fork::fork() {
            Ok(Forked::Child) => {
                match areas::builder(4096).name(&name).shared() {
                    Ok(gift) => self.held.push(Held::new_shared(gift)),
                    Err(error) => {
                        self.findings.report(Rule::Error, "a child with a gift", &format!("{error:#}"))
                    }
                }
                self.live_as_child(life, seed)
            }
            Ok(Forked::Parent { child }) => {
                self.children.push(Child { pid: child, life });
                let timeout = Duration::from_secs(1);
                self.tried(Op::WaitForChild, |_| registry::wait(&name, Some(timeout)));
            }
            Err(error) => self.found(Rule::Error, &format!("fork: {error}")),
        }
    }

    /// Children that died: no process finds them any more.
    pub(super) fn reap(&mut self) {
        let mut at = 0;
        while at < self.children.len() {
            let Child { pid, life } = self.children[at];
            match rustix::process::waitpid(Pid::from_raw(pid), WaitOptions::NOHANG) {
                Ok(None) => at += 1,
                Ok(Some((_, status))) => {
                    if !is_planned(status) {
                        self.found(Rule::Death, &format!("child {pid} (life {life}) ended by {status:?}"));
                    }
                    self.no_process_finds(life, pid, "it was reaped");
                    self.children.swap_remove(at);
                }
                // Not ours: after exec, say.
                Err(_) => drop(self.children.swap_remove(at)),
            }
        }
    }

    /// Ends this process, one way or the other.
    pub(super) fn die(&mut self) -> ! {
        match self.random.u32(0..6) {
            0 => {
                self.drop_all();
                self.slot.ending(Op::ExitTidily);
                std::process::exit(0)
            }
            1 => {
                self.slot.ending(Op::Exit);
                std::process::exit(0)
            }
            2 => {
                self.slot.ending(Op::Abort);
                std::process::abort()
            }
            3 => {
                self.slot.ending(Op::KillSelf);
                let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
                fork::leave(95)
            }
            _ => self.exec(),
        }
    }

    /// Becomes another program: this one again, with another life.
    fn exec(&mut self) -> ! {
        let mut command = Command::new("/proc/self/exe");
        command.arg("worker").arg("--run").arg(&self.options.run);
        let numbers = [
            ("--group", self.options.group),
            ("--seed", self.random.u64(..)),
            ("--life", new_life()),
            ("--before", self.slot.who.life),
            ("--depth", self.options.depth),
        ];
        for (option, number) in numbers {
            command.arg(option).arg(number.to_string());
        }
        command.args(["--tag", &self.options.tag]);
        self.slot.ending(Op::Exec);
        let error = command.exec();
        self.found(Rule::Error, &format!("exec: {error}"));
        fork::leave(94)
    }
}
