//! Claims: what the tour says, with a mark that tells whether it was found to be so.

use std::process::ExitCode;
use std::time::Duration;

use crate::failure::Result;
use crate::output;
use crate::output::style::{Look, Terminal};

/// Tells claims and counts them.
#[derive(Debug)]
pub(super) struct Claims {
    terminal: Terminal,
    steps: usize,
    held: usize,
    failed: usize,
}

impl Claims {
    pub(super) fn new() -> Self {
        Claims { terminal: Terminal::stdout(), steps: 0, held: 0, failed: 0 }
    }

    pub(super) fn title(&self, text: &str) -> Result<()> {
        output::print(&(self.terminal.paint(Look::Bold, text) + "\n"))
    }

    /// The next step begins.
    pub(super) fn step(&mut self, title: &str) -> Result<()> {
        self.steps += 1;
        let title = format!("{}. {title}", self.steps);
        output::print(&format!("\n{}\n", self.terminal.paint(Look::Bold, &title)))
    }

    /// An explanation, or something to look at.
    pub(super) fn say(&self, text: &str) -> Result<()> {
        let lines: String = text.lines().map(|line| format!("   {line}\n")).collect();
        output::print(&lines)
    }

    /// The columns that are left for what [`Claims::say`] shows.
    pub(super) fn terminal(&self) -> Terminal {
        let columns = self.terminal.columns.map(|columns| columns.saturating_sub(3).max(20));
        Terminal { columns, ..self.terminal }
    }

    /// Says something that was measured, and whether it holds.
    pub(super) fn claim(&mut self, holds: bool, text: &str) -> Result<()> {
        let mark = match holds {
            true => self.terminal.paint(Look::Good, &self.terminal.plain("✓")),
            false => self.terminal.paint(Look::Bad, &self.terminal.plain("✗")),
        };
        *(if holds { &mut self.held } else { &mut self.failed }) += 1;
        output::print(&format!("   {mark} {text}\n"))
    }

    /// The last line, and the exit code.
    pub(super) fn sum_up(&self, took: Duration) -> Result<ExitCode> {
        let all = self.held + self.failed;
        let seconds = took.as_secs_f64();
        let (look, text, code) = match self.failed {
            0 => (Look::Good, format!("All {all} claims hold."), ExitCode::SUCCESS),
            failed => (Look::Bad, format!("{failed} of {all} claims FAILED."), ExitCode::FAILURE),
        };
        output::print(&format!("\n{} ({seconds:.1} s)\n", self.terminal.paint(look, &text)))?;
        Ok(code)
    }
}
