//! A terminal with a program on it: what it writes becomes a screen.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Nothing that is recorded takes as long.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) struct Terminal {
    ours: File,
    child: Child,
    parser: vt100::Parser,
}

impl Terminal {
    /// Starts a program on a terminal of its own, below a line that says so.
    pub(super) fn start(command: &Command, line: &str, columns: u16, rows: u16) -> Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .context("cannot make a terminal")?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
        tcsetwinsize(&ours, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            session.current_dir(folder);
        }
        session.stdin(theirs.try_clone()?).stdout(theirs.try_clone()?).stderr(theirs);
        let child = session.spawn().context("cannot run setsid")?;
        let size = |cells| NonZeroU16::new(cells).context("a terminal has a size");
        let mut parser = vt100::Parser::new(size(rows)?, size(columns)?, 0);
        parser.process(format!("\x1b[2m$\x1b[0m \x1b[1m{line}\x1b[0m\r\n").as_bytes());
        Ok(Terminal { ours: ours.into(), child, parser })
    }

    pub(super) fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    pub(super) fn send(&mut self, keys: &str) -> Result<()> {
        self.ours.write_all(keys.as_bytes()).context("cannot type")
    }

    /// Waits until the screen shows all of these.
    pub(super) fn wait_for(&mut self, texts: &[&str]) -> Result<()> {
        let start = Instant::now();
        while !texts.iter().all(|text| self.screen().contents().contains(text)) {
            self.read()?;
            if start.elapsed() > LIMIT {
                bail!("{texts:?} is not seen, but:\n{}", self.screen().contents());
            }
        }
        Ok(())
    }

    /// Waits until the program has ended well.
    pub(super) fn finish(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            let more = self.read()?;
            match self.child.try_wait()? {
                Some(_) if more => {}
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("it failed ({status}):\n{}", self.screen().contents()),
                None if start.elapsed() > LIMIT => bail!("it does not end:\n{}", self.screen().contents()),
                None => {}
            }
        }
    }

    /// Reads what comes soon; whether something came.
    fn read(&mut self) -> Result<bool> {
        let soon = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        let mut fds = [PollFd::new(&self.ours, PollFlags::IN)];
        match poll(&mut fds, Some(&soon)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for the terminal"),
        }
        if !fds[0].revents().contains(PollFlags::IN) {
            return Ok(false);
        }
        let mut bytes = [0; 65_536];
        match self.ours.read(&mut bytes) {
            Ok(read) => {
                self.parser.process(&bytes[..read]);
                Ok(read > 0)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            // No process has the other side open any more.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => Ok(false),
            Err(error) => Err(error).context("cannot read the terminal"),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
