//! Injected errors: each system call of each operation fails, with what its man page says that it
//! can.

mod about;
mod chapter;
mod errnos;
mod overlooked;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use serde::Serialize;

use crate::Options;
use crate::bystander::Looker;
use crate::call::{Call, END};
use crate::contents::NAMES;
use crate::held::Held;
use crate::operation::{Hands, Operation};
use crate::report::{self, Bar};
use crate::stage::Stage;
use crate::trace::{CAN_FAIL, Ended, Side, Stop, Then, Tracer};
use crate::victim::{ACCOUNT, Account, said};
pub(crate) use about::text_at;
use about::{about, code_of};

/// The outcome of one operation.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Row {
    pub(crate) operation: &'static str,
    pub(crate) what: &'static str,
    /// All system calls of a run without a fault, and those that the library makes.
    pub(crate) calls: usize,
    pub(crate) ours: usize,
    pub(crate) faults: usize,
    /// Faults that became an error.
    pub(crate) reported: usize,
    /// Faults after which it went right all the same, as it may.
    pub(crate) overlooked: usize,
    pub(crate) missed: usize,
    pub(crate) left_out: usize,
    /// How often each of the rules was needed.
    pub(crate) rules: BTreeMap<usize, usize>,
    /// Why it could not be tried here.
    pub(crate) skipped: Option<String>,
    pub(crate) wrong: Vec<String>,
}

impl Row {
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Reported => self.reported += 1,
            Outcome::Overlooked(rule) => {
                self.overlooked += 1;
                *self.rules.entry(rule).or_default() += 1;
            }
            Outcome::Missed => self.missed += 1,
        }
    }
}

/// The name of an error number.
pub(crate) fn name_of(errno: i32) -> String {
    format!("{:?}", Errno::from_raw(errno))
}

pub(crate) fn main(options: &Options) -> Result<bool> {
    ensure!(CAN_FAIL, "calls cannot be made to fail on this architecture: its registers are not known here");
    let operations = options.operations()?;
    let bar = Bar::new("inject", operations.len());
    let mut rows = Vec::new();
    for operation in operations {
        bar.at(operation.name);
        let row = one(operation, options).with_context(|| format!("inject into {}", operation.name))?;
        if let Some(why) = &row.skipped {
            bar.say(&format!("{:<17} SKIPPED: {why}", operation.name));
            rows.push(row);
            continue;
        }
        let Row { calls, ours, faults, reported, overlooked, missed, left_out, .. } = row;
        bar.say(&format!(
            "{:<17} {ours} of {calls} calls, {faults} faults: {reported} reported, {overlooked} overlooked, {missed} missed, \
             {left_out} left out: {}",
            operation.name,
            if row.wrong.is_empty() { "good" } else { "WRONG" }
        ));
        row.wrong.iter().for_each(|wrong| bar.say(&format!("  {wrong}")));
        rows.push(row);
    }
    drop(bar);
    if let Some(folder) = &options.report {
        report::write(folder, "injected-errors", &rows, &chapter::chapter(&rows))?;
    }
    Ok(rows.iter().all(|row| row.wrong.is_empty()))
}

/// One fault: the call, and what it is to say.
#[derive(Clone, Copy, Debug)]
struct Fault {
    call: Call,
    /// Whether it is made from the program's own code.
    own: bool,
    /// How many of its kind there are up to it. (Not of all: with threads, others come
    /// concurrently.)
    nth: usize,
    errno: i32,
}

fn one(operation: &'static Operation, options: &Options) -> Result<Row> {
    let _held = match (operation.needs)() {
        Ok(held) => held,
        Err(why) => {
            let Operation { name, what, .. } = *operation;
            return Ok(Row { operation: name, what, skipped: Some(why), ..Row::default() });
        }
    };
    let mut trial = Trial::new(operation)?;
    let (reference, account) = trial.undisturbed()?;
    let ours: Vec<(usize, Call)> = (0..)
        .zip(&reference.calls)
        .filter(|(_, call)| reference.is_ours(call))
        .map(|(index, &call)| (index, call))
        .collect();
    let mut row = Row {
        operation: operation.name,
        what: operation.what,
        calls: reference.calls.len(),
        ours: ours.len(),
        ..Row::default()
    };
    if row.ours == 0 {
        row.wrong
            .push(format!("none of its {} calls is known as the library's: nothing was tried", row.calls));
    }
    let mut number = 0;
    for (index, call) in ours {
        for &errno in errnos::of(&call).with_context(|| format!("{} in {}", call.name(), operation.name))? {
            number += 1;
            if !options.tries(number) {
                row.left_out += 1;
                continue;
            }
            let own = reference.is_own(&call);
            let fault = Fault { call, own, nth: reference.count(index + 1, &call, own), errno };
            row.faults += 1;
            match trial.fail_at_last(fault, &account.held) {
                Ok(outcome) => row.count(outcome),
                Err(error) => {
                    let at = format!(
                        "{} with {} at call {index}, {}",
                        operation.name,
                        name_of(errno),
                        call.name()
                    );
                    row.wrong.push(format!("{at}: {error:#}"));
                    trial = Trial::new(operation)?;
                }
            }
        }
    }
    if row.missed * 5 > row.faults {
        row.wrong.push(format!("{} of {} runs did not come to their call", row.missed, row.faults));
    }
    Ok(row)
}

/// Threads take turns as they like: a run that did not come to its call is made so many times more.
const AGAIN: usize = 3;

/// The outcome of one fault.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Reported,
    /// By this rule.
    Overlooked(usize),
    Missed,
}

/// A run, and what was seen of it.
#[derive(Debug, Default)]
struct Run {
    calls: Vec<Call>,
    /// Where the program's own code is mapped.
    code: Vec<(u64, u64)>,
    /// The C library's `syscall`, through which Rust code makes calls of its own.
    syscall: u64,
    /// What the call that failed was about.
    hit: Option<String>,
    account: Option<Account>,
}

impl Run {
    /// Whether the program's own code made the call, and not a library that it was linked with.
    fn is_own(&self, call: &Call) -> bool {
        let in_code = |at: u64| self.code.iter().any(|&(start, end)| (start..end).contains(&at));
        in_code(call.from) || call.returns.is_some_and(in_code)
    }

    /// How many of the first calls are of a kind.
    fn count(&self, first: usize, kind: &Call, own: bool) -> usize {
        let name = kind.name();
        self.calls[..first].iter().filter(|call| call.name() == name && self.is_own(call) == own).count()
    }

    /// Whether the library made the call: from its own code, through `syscall` or `munmap`, or a
    /// call about files (through the standard library). The rest is malloc's, and that of threads
    /// that begin and end.
    fn is_ours(&self, call: &Call) -> bool {
        /// Bytes of a function that is a few moves and one call.
        const SYSCALL_BYTES: u64 = 96;
        let through = (self.syscall..self.syscall + SYSCALL_BYTES).contains(&call.from);
        let name = call.name();
        if call.number == END || errnos::cannot_fail(&name) {
            return false;
        }
        self.is_own(call) || through || errnos::is_about_files(&name)
    }
}

/// After that long without a change the library believes the time stamp of the registry's folder.
const SETTLED: Duration = Duration::from_millis(150);

struct Trial {
    operation: &'static Operation,
    stage: Stage,
    bystander: Option<Looker>,
}

impl Trial {
    fn new(operation: &'static Operation) -> Result<Self> {
        let stage = Stage::new()?;
        let bystander = (!operation.alone).then(|| Looker::bystander(&stage)).transpose()?;
        // A folder that has just changed is read again at each look: all runs shall make the same
        // calls.
        std::thread::sleep(SETTLED);
        Ok(Trial { operation, stage, bystander })
    }

    fn run(&mut self, fault: Option<Fault>) -> Result<Run> {
        if self.operation.alone {
            self.stage.clear();
        }
        let mut command = self.stage.command(&["victim", self.operation.name, "--inspect"])?;
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut victim = command.spawn().context("start a victim")?;
        let mut run = Run::default();
        let registry = self.stage.registry().to_string_lossy().into_owned();
        let mut at_stop = |stop: &Stop| {
            if run.code.is_empty() {
                run.code = code_of(stop.pid.as_raw())?;
            }
            if stop.side == Side::Exit {
                return Ok(Then::GoOn);
            }
            run.calls.push(stop.call);
            match fault {
                Some(Fault { call, own, nth, errno })
                    if stop.call.name() == call.name()
                        && run.is_own(&stop.call) == own
                        && run.count(run.calls.len(), &call, own) == nth =>
                {
                    run.hit = Some(about(stop.pid.as_raw(), &stop.call, &registry));
                    // Linux closes, whatever it says.
                    let closes = call.name() == "close";
                    Ok(if closes { Then::DoAndTell(errno) } else { Then::Refuse(errno) })
                }
                _ => Ok(Then::GoOn),
            }
        };
        let ended = Tracer::attach(&victim, self.operation.subject).and_then(|tracer| {
            if let (Hands::Takes, Some(bystander)) = (self.operation.hands, &mut self.bystander) {
                for _ in 0..2 {
                    bystander.ask("wrap")?;
                    bystander.ask(&format!("give {}", victim.id()))?;
                }
            }
            tracer.follow(&mut at_stop)
        });
        // A parent waits for that.
        drop(victim.stdin.take());
        let ended = ended.with_context(|| said(&mut victim))?;
        let mut text = String::new();
        if let Some(stdout) = &mut victim.stdout {
            std::io::Read::read_to_string(stdout, &mut text)?;
        }
        ensure!(ended == Ended::Exited(0), "it ended as {ended:?}; {}", said(&mut victim));
        let _ = victim.wait();
        let mut lines = text.lines();
        run.syscall = lines
            .next()
            .and_then(|address| u64::from_str_radix(address, 16).ok())
            .context("no address of `syscall`")?;
        if let Some(account) = lines.find_map(|line| line.strip_prefix(ACCOUNT)) {
            run.account = Some(serde_json::from_str(account)?);
        }
        Ok(run)
    }

    /// The run that all others are compared with: of no fault, and right.
    fn undisturbed(&mut self) -> Result<(Run, Account)> {
        let run = self.run(None)?;
        let account = run.account.clone().context("undisturbed, it reported nothing")?;
        ensure!(
            account.failed.is_none() && account.wrong.is_empty() && account.at_first.is_none(),
            "undisturbed, it went wrong: {account:?}"
        );
        self.aftermath()?;
        Ok((run, account))
    }

    /// Again where the run did not come to its call, a few times.
    fn fail_at_last(&mut self, fault: Fault, reference: &Held) -> Result<Outcome> {
        for _ in 0..AGAIN {
            match self.fail_at(fault, reference)? {
                Outcome::Missed => {}
                outcome => return Ok(outcome),
            }
        }
        self.fail_at(fault, reference)
    }

    fn fail_at(&mut self, fault: Fault, reference: &Held) -> Result<Outcome> {
        let run = self.run(Some(fault))?;
        let account = run.account.context("it reported nothing")?;
        let name = fault.call.name();
        let about = run.hit.clone().unwrap_or_default();
        let covering = overlooked::rule_for(self.operation.name, &name, &about, fault.errno);
        let rule = covering.map(|(_, rule)| rule);
        let leaves = rule.is_some_and(|rule| rule.leaves);
        if run.hit.is_some() {
            ensure!(account.wrong.is_empty(), "{}", account.wrong.join("; "));
            if let Some(wrong) = &account.at_first {
                ensure!(rule.is_some_and(|rule| rule.answers), "the result: {wrong} ({about})");
            }
            let more = account.held.beyond(reference);
            ensure!(leaves || more.is_empty(), "held in the end: {} ({about})", more.join(", "));
            let less = account.held.lacks(reference);
            let lacks = rule.is_some_and(|rule| rule.lacks);
            ensure!(lacks || less.is_empty(), "lacking in the end: {} ({about})", less.join(", "));
        }
        self.aftermath()?;
        if run.hit.is_none() {
            return Ok(Outcome::Missed);
        }
        match account.failed {
            Some(text) => {
                let again = fault.errno == libc::EINTR && errnos::is_made_again(&name);
                ensure!(!again, "a signal came, and the call was not made again: {text}");
                // What counts as an answer (a holder that has gone) is reported as such.
                if rule.is_none() {
                    names_it(&text, &name, fault.errno)?;
                }
                Ok(Outcome::Reported)
            }
            None => {
                let (number, _) =
                    covering.with_context(|| format!("it was overlooked; it was about {about:?}"))?;
                Ok(Outcome::Overlooked(number))
            }
        }
    }

    /// What others see afterwards.
    fn aftermath(&mut self) -> Result<()> {
        if let (Hands::Gives, Some(bystander)) = (self.operation.hands, &mut self.bystander) {
            bystander.ask("arrived 1")?;
        }
        let none: &[&str] = if self.operation.alone { &[] } else { &NAMES };
        if !self.stage.litter().is_empty() {
            // What only those who join clear away. Killed, it leaves a link of its own.
            drop(Looker::newcomer(&self.stage, none)?);
            std::thread::sleep(SETTLED);
        }
        let last = match &mut self.bystander {
            Some(bystander) => {
                bystander.ask("settled")?;
                bystander.pid()
            }
            None => Looker::newcomer(&self.stage, none)?.pid(),
        };
        let linked = self.stage.linked();
        ensure!(linked == [last], "links of {linked:?} are left, and only {last} should have one");
        let (spaces, litter) = (self.stage.spaces(), self.stage.litter());
        ensure!(spaces.len() == 1 && litter.is_empty(), "left lying: {spaces:?} {litter:?}");
        Ok(())
    }
}

/// An error must say which call failed, and how.
fn names_it(text: &str, call: &str, errno: i32) -> Result<()> {
    let number = text.contains(&name_of(errno)) || text.contains(&format!("(os error {errno})"));
    ensure!(number, "the error does not say {}: {text}", name_of(errno));
    ensure!(
        errnos::words_for(call).any(|word| text.contains(word)),
        "the error does not name {call}: {text}"
    );
    Ok(())
}
