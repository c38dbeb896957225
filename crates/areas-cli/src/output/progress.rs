//! How far something is: a bar on stderr, where that is a terminal and quiet was not asked for.

use std::time::{Duration, Instant};

use areas::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::style::{Terminal, shows_progress};

/// What is smaller is done before anybody has seen the bar.
const WORTH_SHOWING: u64 = 16 << 20;

/// What takes less time is done before anybody has read the count.
const WORTH_WAITING: Duration = Duration::from_millis(500);

/// A bar that goes away when it is dropped.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Of something that has so many bytes, or an unknown number of them.
    pub(crate) fn new(what: &str, total: Option<u64>, quiet: bool) -> Self {
        if quiet || !shows_progress() || total.is_some_and(|total| total < WORTH_SHOWING) {
            return Bar(ProgressBar::hidden());
        }
        let terminal = Terminal::stderr();
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let (template, characters) = match (total.is_some(), terminal.utf8) {
            (true, true) => ("{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec}", "█▉▊▋▌▍▎▏ "),
            (true, false) => ("{msg} [{wide_bar}] {bytes}/{total_bytes} {binary_bytes_per_sec}", "=> "),
            (false, _) => ("{msg} {bytes} {binary_bytes_per_sec}", "=> "),
        };
        // The templates are constants, and the tests draw them.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars(characters));
        bar.set_message(terminal.plain(what).into_owned());
        Bar(bar)
    }

    /// For calls of the library.
    pub(crate) fn follow(&self) -> impl FnMut(Progress) {
        |progress| self.0.set_position(progress.done as u64)
    }

    pub(crate) fn set(&self, done: u64) {
        self.0.set_position(done);
    }
}

/// How many of some things are done; it shows only once that takes long, and goes away when it is
/// dropped.
#[derive(Debug)]
pub(crate) struct Count {
    bar: ProgressBar,
    begun: Instant,
    /// Whether a process may see it.
    shown: bool,
}

impl Count {
    pub(crate) fn new(what: &str, total: u64, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{msg} {pos}/{len}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(Terminal::stderr().plain(what).into_owned());
        Count { bar, begun: Instant::now(), shown: !quiet && shows_progress() }
    }

    /// One more is done.
    pub(crate) fn more(&self) {
        self.bar.inc(1);
        if self.shown && self.bar.is_hidden() && self.begun.elapsed() > WORTH_WAITING {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
