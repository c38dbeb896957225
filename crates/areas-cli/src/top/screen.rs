//! The terminal: taken over, drawn on, and restored.
//!
//! It is taken over attributes first, and restored attributes last: as long as they are not as they
//! were, there is something to restore.

use std::io::{self, Write as _};

use ratatui_core::buffer::{Buffer, Cell};
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::output::style::Terminal;

/// The other screen, without a cursor; cleared, as some terminals show there what was before.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[0m\x1b[2J";
const LEAVE: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";

/// What a terminal without a size is taken for.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// What becomes of what was typed and not read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Typed {
    /// The shell gets it: it was typed ahead.
    Kept,
    /// It was typed for a screen that did not answer, and is not for the shell.
    Dropped,
}

/// How the terminal was.
#[derive(Clone, Debug)]
pub(super) struct Before(Termios);

impl Before {
    /// Asks how it is now.
    pub(super) fn ask() -> io::Result<Self> {
        Ok(Before(tcgetattr(stdin())?))
    }

    /// Gives the terminal back, if it is not as it was. Where it has gone, there is nothing to give
    /// back to.
    pub(super) fn restore(&self, typed: Typed) {
        let is_as_it_was = tcgetattr(stdin()).is_ok_and(|now| now.local_modes == self.0.local_modes);
        if !is_as_it_was {
            let _ = write_all(LEAVE.as_bytes());
            let actions = match typed {
                Typed::Kept => OptionalActions::Now,
                Typed::Dropped => OptionalActions::Flush,
            };
            let _ = tcsetattr(stdin(), actions, &self.0);
        }
    }
}

/// What is on the terminal.
#[derive(Debug)]
pub(super) struct Screen {
    before: Before,
    shown: Buffer,
    /// The next picture.
    pub(super) next: Buffer,
    terminal: Terminal,
    entered: bool,
}

impl Screen {
    pub(super) fn new(before: Before, terminal: Terminal) -> Self {
        let none = Buffer::empty(Rect::ZERO);
        Screen { before, shown: none.clone(), next: none, terminal, entered: false }
    }

    /// Takes the terminal over; what is to be seen has to be drawn whole.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        let mut raw = self.before.0.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        self.entered = true;
        write_all(ENTER.as_bytes())?;
        self.forget();
        Ok(())
    }

    /// Restores it, if it was taken.
    pub(super) fn leave(&mut self) {
        if std::mem::take(&mut self.entered) {
            self.before.restore(Typed::Kept);
        }
    }

    /// What is on the terminal is not known any more, nor its size.
    pub(super) fn forget(&mut self) {
        let (width, height) = size(self.terminal);
        let area = Rect::new(0, 0, width, height);
        self.shown = Buffer::empty(Rect::ZERO);
        self.next = Buffer::empty(area);
    }

    /// Shows the next picture: what is new in it, in one piece. Nothing is written where nothing is
    /// new.
    pub(super) fn show(&mut self) -> io::Result<()> {
        let mut text = String::new();
        if self.shown.area != self.next.area {
            self.shown = Buffer::empty(self.next.area);
            text += "\x1b[0m\x1b[2J";
        }
        write_changes(&self.shown, &self.next, &mut text);
        std::mem::swap(&mut self.shown, &mut self.next);
        self.next = Buffer::empty(self.shown.area);
        if text.is_empty() { Ok(()) } else { write_all(text.as_bytes()) }
    }
}

fn size(terminal: Terminal) -> (u16, u16) {
    let said = tcgetwinsize(stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    match said {
        // More cells than any screen has would be a burden.
        Some(size) => (size.ws_col.min(1000), size.ws_row.min(500)),
        None => (terminal.columns.unwrap_or(USUAL_SIZE.0), USUAL_SIZE.1),
    }
}

/// As much of it as the terminal takes; a signal interrupts nothing.
fn write_all(mut bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    while !bytes.is_empty() {
        match rustix::io::write(stdout(), bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    out.flush()
}

/// What turns one picture into the other.
fn write_changes(before: &Buffer, after: &Buffer, text: &mut String) {
    use std::fmt::Write as _;
    let mut at = None;
    let mut style = None;
    for (x, y, cell) in before.diff_iter(after) {
        if at != Some((x, y)) {
            // Writing to a string cannot fail.
            let _ = write!(text, "\x1b[{};{}H", y + 1, x + 1);
        }
        let wanted = (cell.fg, cell.modifier);
        if style != Some(wanted) {
            text.push_str(&sequence(cell));
            style = Some(wanted);
        }
        text.push_str(cell.symbol());
        // Behind a wide character, terminals do not agree where they are.
        at = (cell.symbol().len() == 1).then_some((x + 1, y));
    }
    if style.is_some() {
        text.push_str("\x1b[0m");
    }
}

/// What makes a terminal write as a cell looks.
fn sequence(cell: &Cell) -> String {
    let mut codes = String::from("\x1b[0");
    for (modifier, code) in [
        (Modifier::BOLD, ";1"),
        (Modifier::DIM, ";2"),
        (Modifier::UNDERLINED, ";4"),
        (Modifier::REVERSED, ";7"),
    ] {
        if cell.modifier.contains(modifier) {
            codes += code;
        }
    }
    codes += match cell.fg {
        Color::Red => ";31",
        Color::Green => ";32",
        Color::Yellow => ";33",
        Color::Blue => ";34",
        Color::Magenta => ";35",
        Color::Cyan => ";36",
        Color::LightGreen => ";92",
        _ => "",
    };
    codes + "m"
}

#[cfg(test)]
mod tests {
    use ratatui_core::style::Style;

    use super::*;

    #[test]
    fn only_what_changes_is_written() {
        let mut before = Buffer::empty(Rect::new(0, 0, 10, 2));
        before.set_string(0, 0, "abc", Style::new());
        let mut after = before.clone();
        let mut text = String::new();
        write_changes(&before, &after, &mut text);
        assert_eq!(text, "");
        after.set_string(1, 0, "xy", Style::new().add_modifier(Modifier::BOLD));
        after.set_string(4, 1, "区z", Style::new().fg(Color::Red));
        write_changes(&before, &after, &mut text);
        assert_eq!(text, "\x1b[1;2H\x1b[0;1mxy\x1b[2;5H\x1b[0;31m区\x1b[2;7Hz\x1b[0m");
    }
}
