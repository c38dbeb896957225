//! The process that reads and draws, until a key or a signal ends it. Its parent, which waits for
//! it, is in `parent.rs`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use areas::{Error, ErrorKind};
use nix::sys::signal::{SigSet, Signal as NixSignal};
use rustix::process::{Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal};
use rustix::stdio::stdin;
use signal_hook::consts::signal::SIGINT;

use super::args::TopScreen;
use super::detail::Detail;
use super::draw::{self, Frame};
use super::keys::Keys;
use super::reading::{History, Reading};
use super::screen::{Before, Screen, Typed};
use super::view::{Action, Page, View};
use super::wake::Wake;
use crate::failure::{Result, io_error};
use crate::output::style::Terminal;
use crate::signals::is_in_front;

/// How long an escape may be the beginning of a key: over a slow line the rest comes later.
const REST_OF_A_KEY: Duration = Duration::from_millis(50);

/// Of the time that passes, no more than this part is spent on looking: on a machine with very many
/// areas looks become rarer.
const SHARE_OF_TIME: u32 = 5;

pub(crate) fn run(screen: &TopScreen) -> Result<ExitCode> {
    let failed = |error| io_error("show the screen", error);
    // Where the parent has gone, the shell has the terminal: to restore it then is not a reason to
    // be stopped.
    SigSet::from(NixSignal::SIGTTOU).thread_block().map_err(|error| failed(error.into()))?;
    let before = Before::ask().map_err(failed)?;
    let wake = Wake::new().map_err(failed)?;
    set_parent_process_death_signal(Some(Signal::HUP)).map_err(|error| failed(error.into()))?;
    if getppid().map(Pid::as_raw_pid) != Some(screen.parent) {
        // It has gone before it could be heard of.
        wake.end();
    }
    leave_when_panicking(before.clone());
    let terminal = Terminal::stdout();
    let mut live = Live {
        view: View::new(&screen.top),
        interval: screen.top.interval(),
        terminal,
        screen: Screen::new(before, terminal),
        wake,
        keys: Keys::default(),
        history: History::default(),
        reading: None,
        detail: None,
        read_at: None,
    };
    let ended = live.run();
    live.screen.leave();
    ended
}

/// What a panic says is to be seen, and not lost with the screen.
fn leave_when_panicking(before: Before) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before.restore(Typed::Kept);
        hook(panic);
    }));
}

#[derive(Debug)]
struct Live {
    view: View,
    interval: Duration,
    terminal: Terminal,
    screen: Screen,
    wake: Wake,
    keys: Keys,
    history: History,
    /// What was seen last.
    reading: Option<Reading>,
    detail: Option<Detail>,
    read_at: Option<Instant>,
}

impl Live {
    fn run(&mut self) -> Result<ExitCode> {
        self.enter()?;
        loop {
            if let Some(signal) = self.wake.ended() {
                return Ok(ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)));
            }
            if self.wake.stopped() {
                self.suspend()?;
            }
            if self.wake.continued() {
                self.enter()?;
            }
            if self.wake.resized() {
                self.screen.forget();
            }
            if self.next_look() == Some(Duration::ZERO) {
                self.look();
            }
            self.draw()?;
            let limit = if self.keys.is_waiting() { Some(REST_OF_A_KEY) } else { self.next_look() };
            let typed = self.wake.wait(limit).map_err(|error| io_error("read the terminal", error))?;
            if let Some(code) = self.press(&typed)? {
                return Ok(code);
            }
        }
    }

    /// How long until it is time to look again; `None` while that is not wanted.
    fn next_look(&self) -> Option<Duration> {
        let Some(read_at) = self.read_at else { return Some(Duration::ZERO) };
        let took = self.reading.as_ref().map_or(Duration::ZERO, |reading| reading.took);
        let pause = self.interval.max(took * SHARE_OF_TIME);
        (!self.view.paused).then(|| pause.saturating_sub(read_at.elapsed()))
    }

    /// Looks at all areas. What goes wrong is reported on the screen, and may be better the next
    /// time.
    fn look(&mut self) {
        let now = Instant::now();
        self.read_at = Some(now);
        match Reading::take() {
            Ok(mut reading) => {
                self.history.update(&mut reading.memories, now);
                self.reading = Some(reading);
                self.view.trouble = None;
            }
            Err(error) => self.view.trouble = Some(areas::escape_invisible(&error.to_string()).into_owned()),
        }
        self.look_closely();
        #[cfg(debug_assertions)]
        if std::env::var_os("AREAS_TEST_TOP_PANICS").is_some() {
            panic!("as a test has asked for");
        }
    }

    /// Looks at the chosen area, if it is shown.
    fn look_closely(&mut self) {
        let memories = self.reading.iter().flat_map(|reading| &reading.memories);
        let chosen = match self.view.page {
            Page::Area => memories.into_iter().find(|memory| Some(memory.key) == self.view.chosen),
            Page::List | Page::Help => return,
        };
        self.detail = chosen.map(Detail::of);
    }

    fn draw(&mut self) -> Result<()> {
        let Some(reading) = &self.reading else {
            // Nothing could be read at all: that is an error of the command, and not of the
            // picture.
            return match self.view.trouble.take() {
                Some(why) => Err(Error::new(ErrorKind::Registry, "look at the areas").with_facts(why).into()),
                None => Ok(()),
            };
        };
        let (detail, interval, terminal) = (self.detail.as_ref(), self.interval, self.terminal);
        let frame = Frame { reading, detail, interval, terminal };
        draw::draw(&mut self.view, frame, &mut self.screen.next);
        match self.screen.show() {
            Ok(()) => {}
            // The terminal has hung up.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                self.wake.end()
            }
            Err(error) => return Err(io_error("write to the terminal", error).into()),
        }
        Ok(())
    }

    /// Does what was typed; gives an exit code where that ends it.
    fn press(&mut self, typed: &[u8]) -> Result<Option<ExitCode>> {
        let waited = typed.is_empty() && self.keys.is_waiting();
        self.keys.feed(typed);
        let shown = draw::shown(self.screen.next.area.height);
        while let Some(key) = self.keys.next().or_else(|| waited.then(|| self.keys.give_up_waiting())?) {
            let Some(reading) = &self.reading else { continue };
            match self.view.press(key, reading, shown) {
                Action::Draw => {}
                Action::Read => self.look_closely(),
                Action::Redraw => self.screen.forget(),
                Action::Suspend => self.suspend()?,
                Action::Quit => return Ok(Some(ExitCode::SUCCESS)),
                Action::Interrupt => {
                    return Ok(Some(ExitCode::from(128 + u8::try_from(SIGINT).unwrap_or(0))));
                }
            }
        }
        Ok(None)
    }

    /// Gives the terminal back and stops; the parent sees that, and stops the rest of the job.
    fn suspend(&mut self) -> Result<()> {
        self.screen.leave();
        stop()?;
        self.enter()
    }

    /// Takes the terminal over, once we are in front of it; a job in the background stops, as any
    /// that wants the terminal.
    fn enter(&mut self) -> Result<()> {
        while self.wake.ended().is_none() && is_in_front(stdin()) == Some(false) {
            stop()?;
        }
        // That we go on is known.
        let _ = self.wake.continued();
        if self.wake.ended().is_none() {
            self.screen.enter().map_err(|error| io_error("take the terminal over", error))?;
        }
        Ok(())
    }
}

fn stop() -> Result<()> {
    kill_process(getpid(), Signal::STOP).map_err(|error| io_error("stop", error.into()).into())
}
