//! What a run is going to do, said before it begins; which step it is at; and that it is still at
//! it, where a step says nothing for a while.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Options, STEPS, Step};

/// How long a step runs before that is said, and said again.
const SILENCE: Duration = Duration::from_secs(60);

/// The steps of a run.
pub(super) struct Plan {
    steps: Vec<&'static str>,
    left_out: Vec<(&'static str, &'static str)>,
    begun: usize,
    start: Instant,
}

impl Plan {
    pub(super) fn of(options: &Options) -> Self {
        let (mut steps, mut left_out) = (Vec::new(), Vec::new());
        for step in &STEPS {
            match options.leaves_out(step) {
                Some(why) => left_out.push((step.name, why)),
                None => steps.push(step.name),
            }
        }
        Self { steps, left_out, begun: 0, start: Instant::now() }
    }

    pub(super) fn has(&self, step: &Step) -> bool {
        self.steps.contains(&step.name)
    }

    /// Says that a step begins, and, until what it gives is dropped, that it goes on.
    pub(super) fn begin(&mut self, step: &Step) -> Option<Reminder> {
        if !self.has(step) {
            return None;
        }
        self.begun += 1;
        let seconds = self.start.elapsed().as_secs();
        eprintln!("==> {} (step {} of {}, {seconds} s so far)", step.name, self.begun, self.steps.len());
        Some(Reminder::new(step.name))
    }
}

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} steps: {}", self.steps.len(), self.steps.join(", "))?;
        let reasons: BTreeSet<&str> = self.left_out.iter().map(|(_, why)| *why).collect();
        for reason in reasons {
            let steps = self.left_out.iter().filter(|(_, why)| *why == reason).map(|(step, _)| *step);
            write!(f, "\nleft out ({reason}): {}", steps.collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}

/// A step whose time is printed once a minute.
pub(super) struct Reminder {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reminder {
    fn new(name: &'static str) -> Self {
        let (end, ended) = mpsc::channel();
        let start = Instant::now();
        let thread = thread::spawn(move || {
            while ended.recv_timeout(SILENCE) == Err(RecvTimeoutError::Timeout) {
                eprintln!("... {name}: {} s", start.elapsed().as_secs());
            }
        });
        Self { end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Reminder {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn plan(words: &[&str]) -> Plan {
        Plan::of(&Line::parse_from([&["test"], words].concat()).options)
    }

    #[test]
    fn all_steps_are_reported_and_what_is_left_out() {
        let all = plan(&[]);
        assert_eq!((all.steps.len(), all.left_out.len()), (STEPS.len(), 0));
        assert!(all.to_string().contains("set-up, format, "), "{all}");
        let some = plan(&["--no-vm"]).to_string();
        assert!(some.ends_with("\nleft out (--no-vm): guests"), "{some}");
    }

    #[test]
    fn one_step_is_chosen_by_either_word() {
        for word in ["--only", "--step"] {
            assert_eq!(plan(&[word, "c"]).steps, ["set-up", "c"]);
        }
    }

    #[test]
    fn a_step_is_counted_as_it_begins() {
        let mut plan = plan(&["--only", "c"]);
        let begin = |plan: &mut Plan, name: &str| {
            let step = STEPS.iter().find(|step| step.name == name).unwrap();
            plan.begin(step).is_some()
        };
        assert!(begin(&mut plan, "set-up") && !begin(&mut plan, "format") && begin(&mut plan, "c"));
        assert_eq!(plan.begun, 2);
    }
}
