//! A terminal: one side is a command's, the other one a test's, which types, and reads what is
//! shown.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

/// Longer than anything takes that is to be seen, on a machine with much else to do.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A terminal with a command on it.
pub(crate) struct Pty {
    ours: std::fs::File,
    /// Kept open, so that the terminal stays when the command has ended, and can be asked how it
    /// is.
    theirs: OwnedFd,
    before: Termios,
    child: Child,
    screen: vt100::Parser,
    /// All that was written.
    pub(crate) written: Vec<u8>,
}

impl Pty {
    /// Runs it as the first process of a session of its own, with this terminal as the one that it
    /// is controlled by.
    pub(crate) fn start(command: &Command, columns: u16, rows: u16) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
        set_size(&ours, columns, rows);
        let mut session = Command::new("setsid");
        session
            .arg("--ctty")
            .arg("env")
            .arg("--default-signal")
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        let end = || theirs.try_clone().unwrap();
        let child = session.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let before = tcgetattr(&theirs).unwrap();
        let screen = vt100::Parser::new(size(rows), size(columns), 0);
        Pty { ours: ours.into(), theirs, before, child, screen, written: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn send(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        set_size(&self.ours, columns, rows);
        self.screen.screen_mut().set_size(size(rows), size(columns));
    }

    /// Reads what comes within that time; whether anything came.
    fn read(&mut self, limit: Duration) -> bool {
        let limit = Timespec { tv_sec: 0, tv_nsec: i64::from(limit.subsec_nanos()) };
        let mut fds = [PollFd::new(&self.ours, PollFlags::IN)];
        poll(&mut fds, Some(&limit)).unwrap();
        if !fds[0].revents().contains(PollFlags::IN) {
            return false;
        }
        let mut bytes = [0; 65_536];
        match self.ours.read(&mut bytes) {
            Ok(read) => {
                self.screen.process(&bytes[..read]);
                self.written.extend_from_slice(&bytes[..read]);
                read > 0
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) => panic!("cannot read the terminal: {error}"),
        }
    }

    /// Waits until the screen is as wanted; gives what it shows.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, mut wanted: impl FnMut(&vt100::Screen) -> bool) -> String {
        let start = Instant::now();
        loop {
            if wanted(self.screen.screen()) {
                return self.screen.screen().contents();
            }
            assert!(start.elapsed() < TIMEOUT, "{what}: is not seen:\n{}", self.screen.screen().contents());
            self.read(Duration::from_millis(50));
        }
    }

    /// Waits until the screen shows this text.
    #[track_caller]
    pub(crate) fn wait_for_text(&mut self, text: &str) -> String {
        self.wait_for(text, |screen| screen.contents().contains(text))
    }

    /// Reads all that comes until nothing has come for that long.
    pub(crate) fn settle(&mut self, quiet: Duration) -> String {
        while self.read(quiet) {}
        self.screen.screen().contents()
    }

    /// What the screen shows now, of what has been read.
    pub(crate) fn screen(&self) -> &vt100::Screen {
        self.screen.screen()
    }

    /// Waits for the command's end; gives its exit code, or 1000 + n if signal n ended it.
    pub(crate) fn wait(&mut self) -> i32 {
        let start = Instant::now();
        loop {
            self.read(Duration::from_millis(10));
            if let Some(status) = self.child.try_wait().unwrap() {
                while self.read(Duration::from_millis(10)) {}
                return crate::harness::code_of(status);
            }
            assert!(start.elapsed() < TIMEOUT, "it does not end:\n{}", self.screen.screen().contents());
        }
    }

    /// Whether the terminal is in the hands of a program that draws.
    pub(crate) fn is_taken(&self) -> bool {
        !tcgetattr(&self.theirs).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    /// The terminal is as it was before: its attributes, its cursor, and which of its screens is
    /// seen.
    #[track_caller]
    pub(crate) fn assert_as_it_was(&self) {
        let now = tcgetattr(&self.theirs).unwrap();
        assert_eq!(
            (now.local_modes, now.input_modes, now.output_modes, now.control_modes),
            (
                self.before.local_modes,
                self.before.input_modes,
                self.before.output_modes,
                self.before.control_modes
            )
        );
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen(), "the other screen is still seen");
        assert!(!screen.hide_cursor(), "the cursor is still hidden");
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(cells: u16) -> std::num::NonZeroU16 {
    std::num::NonZeroU16::new(cells).unwrap()
}

fn set_size(terminal: &impl std::os::fd::AsFd, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}
