//! The process in which an operation runs: it makes everything ready, says so, runs the operation,
//! and looks at the outcome.

#![expect(unsafe_code, reason = "marks for the tracer, and fork; each block has its proof")]

use std::io::{Read as _, Write as _};
use std::process::Child;

use anyhow::{Context as _, Result};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use serde::{Deserialize, Serialize};

use crate::call::{BEGIN, END};
use crate::contents::VICTIM;
use crate::held::Held;
use crate::operation::{Act, Operation, Subject};

/// What a victim that was left alive reports.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Account {
    /// The error of the first run, in full; `None` if it went well.
    pub(crate) failed: Option<String>,
    /// What was found wrong by looking.
    pub(crate) wrong: Vec<String>,
    /// What it came to at first, if that was success and yet not what it should be, and only the
    /// next run was right.
    pub(crate) at_first: Option<String>,
    /// What is held when all that the operation made is dropped again.
    pub(crate) held: Held,
}

/// Begins the line with the account.
pub(crate) const ACCOUNT: &str = "account ";

pub(crate) fn mark(number: u64) {
    let number = libc::c_long::try_from(number).unwrap_or(libc::c_long::MAX);
    // SAFETY: no kernel has a call of this number: it does nothing and answers ENOSYS.
    let _ = unsafe { libc::syscall(number) };
}

pub(crate) fn main(operation: &Operation, inspect: bool) -> Result<bool> {
    let mut act = (operation.prepare)().with_context(|| format!("prepare {}", operation.name))?;
    // What is made once in a process is not the operation's: buffers, and what the look itself
    // needs.
    let _ = Held::now();
    let before = Held::now();
    println!("{:x}", libc::syscall as *const () as usize);
    std::io::stdout().flush()?;
    ptrace::traceme().context("PTRACE_TRACEME")?;
    raise(Signal::SIGSTOP).context("raise")?;
    if operation.subject != Subject::Itself {
        // SAFETY: this process has one thread.
        match unsafe { fork() }.context("fork")? {
            ForkResult::Child => {}
            ForkResult::Parent { child } => {
                let status = waitpid(child, None).context("waitpid")?;
                return Ok(parent(status));
            }
        }
    }
    mark(BEGIN);
    let outcome = act.run();
    mark(END);
    if inspect {
        let account = inspect_it(operation, act.as_mut(), outcome, &before);
        println!("{ACCOUNT}{}", serde_json::to_string(&account)?);
        std::io::stdout().flush()?;
    }
    Ok(true)
}

/// The parent of a child that was killed, or not: what it has is as it was.
fn parent(child: WaitStatus) -> bool {
    let whole = || -> areas::Result<bool> {
        let found = areas::registry::find(VICTIM)?;
        Ok(found.pid() == std::process::id() && areas::registry::get(found.id()).is_ok())
    };
    match whole() {
        Ok(true) => println!("ok"),
        Ok(false) => println!("the parent of {child:?} finds another area than its own"),
        Err(error) => println!("the parent of {child:?} lost its area: {error:#}"),
    }
    let _ = std::io::stdout().flush();
    // Held until the other side has looked.
    let _ = std::io::stdin().lines().next();
    true
}

fn inspect_it(
    operation: &Operation,
    act: &mut dyn Act,
    outcome: areas::Result<()>,
    before: &Held,
) -> Account {
    let mut account = Account::default();
    let mut note = |what: &str, result: Result<(), String>| {
        if let Err(wrong) = result {
            account.wrong.push(format!("{what}: {wrong}"));
        }
    };
    if let Err(error) = outcome {
        let text = format!("{:?}: {error:#}", error.kind());
        drop(error);
        // First of all, as looking at the rest may take something.
        if !operation.cold {
            let now = Held::now();
            let left = now.beyond(before);
            let lost = now.lacks(before);
            note("left behind by the failure", none(&left));
            note("lost by the failure", none(&lost));
        }
        note("after the failure", act.unchanged());
        note("tried again", act.run().map_err(|error| format!("{error:#}")));
        account.failed = Some(text);
    }
    let mut checked = act.check();
    if account.failed.is_none()
        && let Err(wrong) = &checked
    {
        account.at_first = Some(wrong.clone());
        checked = act.run().map_err(|error| format!("{error:#}")).and_then(|()| act.check());
    }
    account.wrong.extend(checked.err().map(|wrong| format!("the result: {wrong}")));
    act.undo();
    account.held = Held::now();
    if operation.threads {
        account.held.forget_anonymous();
    }
    account
}

fn none(list: &[String]) -> Result<(), String> {
    if list.is_empty() { Ok(()) } else { Err(list.join(", ")) }
}

/// What a victim wrote before it ended, for messages.
pub(crate) fn said(victim: &mut Child) -> String {
    let _ = victim.kill();
    let mut text = String::new();
    if let Some(stderr) = &mut victim.stderr {
        let _ = stderr.read_to_string(&mut text);
    }
    if text.is_empty() { "it said nothing".to_owned() } else { format!("it said: {}", text.trim()) }
}
