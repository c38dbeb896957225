//! Claims: what the tour says, with a mark that says whether it was found to be so.

use std::process::ExitCode;
use std::time::Duration;

use crate::failure::Result;
use crate::output;
use crate::output::style::{Look, Terminal};

/// Prints claims and counts them.
#[derive(Debug)]
pub(super) struct Claims {
    terminal: Terminal,
    /// Only what does not hold, and the sum.
    quiet: bool,
    steps: usize,
    held: usize,
    failed: usize,
}

impl Claims {
    pub(super) fn new(quiet: bool) -> Self {
        Claims { terminal: Terminal::stdout(), quiet, steps: 0, held: 0, failed: 0 }
    }

    pub(super) fn title(&self, text: &str) -> Result<()> {
        self.print(&(self.terminal.paint(Look::Bold, text) + "\n"))
    }

    /// The next step begins.
    pub(super) fn step(&mut self, title: &str) -> Result<()> {
        self.steps += 1;
        let title = format!("{}. {title}", self.steps);
        self.print(&format!("\n{}\n", self.terminal.paint(Look::Bold, &title)))
    }

    /// An explanation.
    pub(super) fn say(&self, text: &str) -> Result<()> {
        self.print(&self.wrapped("   ", "   ", text))
    }

    /// Something to look at: its lines stay as they are.
    pub(super) fn display(&self, text: &str) -> Result<()> {
        let lines: String = text.lines().map(|line| format!("   {line}\n")).collect();
        self.print(&lines)
    }

    /// What is left of the terminal for what [`Claims::display`] shows.
    pub(super) fn terminal(&self) -> Terminal {
        let columns = self.terminal.columns.map(|columns| columns.saturating_sub(3).max(20));
        Terminal { columns, ..self.terminal }
    }

    /// Says something that was measured, and whether it holds.
    pub(super) fn claim(&mut self, holds: bool, text: &str) -> Result<()> {
        let (look, mark) = if holds { (Look::Good, "✓") } else { (Look::Bad, "✗") };
        let mark = self.terminal.plain(mark);
        let rest = " ".repeat(3 + mark.chars().count() + 1);
        *(if holds { &mut self.held } else { &mut self.failed }) += 1;
        // The mark may have colours, which take no room.
        if holds && self.quiet {
            return Ok(());
        }
        let text = self.wrapped(&rest, &rest, text);
        output::print(&format!("   {} {}", self.terminal.paint(look, &mark), text.trim_start()))
    }

    /// What is left out where quiet is asked for.
    fn print(&self, text: &str) -> Result<()> {
        if self.quiet { Ok(()) } else { output::print(text) }
    }

    /// Lines no longer than the terminal is wide, broken between words.
    fn wrapped(&self, first: &str, rest: &str, text: &str) -> String {
        wrapped(first, rest, &self.terminal.plain(text), self.terminal.columns.map(usize::from))
    }

    /// The last line, and the exit code.
    pub(super) fn sum_up(&self, took: Duration) -> Result<ExitCode> {
        let all = self.held + self.failed;
        let seconds = took.as_secs_f64();
        let (look, text, code) = match self.failed {
            0 => (Look::Good, format!("All {all} claims hold."), ExitCode::SUCCESS),
            failed => (Look::Bad, format!("{failed} of {all} claims FAILED."), ExitCode::FAILURE),
        };
        let gap = if self.quiet { "" } else { "\n" };
        output::print(&format!("{gap}{} ({seconds:.1} s)\n", self.terminal.paint(look, &text)))?;
        Ok(code)
    }
}

/// A text in lines of at most so many columns, where there is a limit and no word is longer.
fn wrapped(first: &str, rest: &str, text: &str, columns: Option<usize>) -> String {
    let columns = columns.unwrap_or(usize::MAX);
    let mut lines = String::new();
    let mut line = first.to_owned();
    let mut begun = false;
    for word in text.split(' ') {
        if begun && line.chars().count() + 1 + word.chars().count() > columns {
            lines += &line;
            lines.push('\n');
            line = rest.to_owned();
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line += word;
        begun = true;
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        let cases = [
            (None, "- one two three\n"),
            (Some(80), "- one two three\n"),
            (Some(9), "- one two\n  three\n"),
            (Some(8), "- one\n  two\n  three\n"),
            (Some(1), "- one\n  two\n  three\n"),
        ];
        for (columns, expected) in cases {
            assert_eq!(wrapped("- ", "  ", "one two three", columns), expected, "{columns:?}");
        }
    }
}
