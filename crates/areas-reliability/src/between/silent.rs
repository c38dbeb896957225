//! A file system that does not answer: one file, which can be opened, and then nothing more is said
//! about it.
//!
//! Who waits for it can be ended by no signal; only the end of the process that serves it ends the
//! waiting.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Mounted for as long as the value lives.
#[derive(Debug)]
pub(super) struct Silent {
    server: Child,
    folder: PathBuf,
}

impl Silent {
    pub(super) fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).context("a folder to mount on")?;
        let mut command = Command::new(std::env::current_exe()?);
        let mut server = command
            .arg("between-silent")
            .arg(folder)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let from = server.stdout.take().context("its pipe")?;
        let silent = Silent { server, folder: folder.to_owned() };
        let mut line = String::new();
        BufReader::new(from).read_line(&mut line)?;
        ensure!(line.trim_end() == "ok", "it could not be mounted");
        Ok(silent)
    }

    pub(super) fn pid(&self) -> u32 {
        self.server.id()
    }

    /// Why there can be none here.
    pub(super) fn missing() -> Option<String> {
        let folder = tempfile::tempdir().ok()?;
        match Silent::new(folder.path()) {
            Ok(_) => None,
            Err(error) => Some(format!("no file system that does not answer (/dev/fuse, mount): {error:#}")),
        }
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // With the last descriptor of /dev/fuse all who wait get an error.
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = umount2(&self.folder, MntFlags::MNT_DETACH);
    }
}

/// Requests of the protocol (linux/fuse.h) that are answered.
mod request {
    pub(super) const LOOKUP: u32 = 1;
    pub(super) const GETATTR: u32 = 3;
    pub(super) const OPEN: u32 = 14;
    pub(super) const INIT: u32 = 26;
}

const ROOT: u64 = 1;
const FILE: u64 = 2;

/// Words of a message, as the kernel has them.
fn words(of: &[u64]) -> Vec<u8> {
    of.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// `struct fuse_attr`: which file, of what mode; no bytes, no times.
fn attributes(of: u64) -> Vec<u8> {
    let mode = if of == ROOT { 0o40_755 } else { 0o100_666 };
    words(&[of, 5, 0, 0, 0, 0, 0, pair(0, mode), pair(1, 0), 0, pair(4096, 0)])
}

/// The server's own part.
pub(super) fn serve(folder: &Path) -> Result<bool> {
    let mut device = File::options().read(true).write(true).open("/dev/fuse").context("/dev/fuse")?;
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
    mount(Some("silent"), folder, Some("fuse.silent"), MsFlags::empty(), Some(options.as_str()))
        .context("mount")?;
    println!("ok");
    std::io::stdout().flush()?;
    // Room for the largest request that it has asked for, and more.
    let mut request = vec![0; 1 << 18];
    let mut opened = false;
    loop {
        let len = device.read(&mut request).context("read /dev/fuse")?;
        let word = |at: usize| {
            request.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
        };
        let (kind, unique, node) = (u32::try_from(word(0) >> 32)?, word(8), word(16));
        ensure!(len >= 40, "a request of {len} bytes");
        let body = match kind {
            request::INIT => {
                // Version 7.31; as much as it takes to be talked to.
                words(&[pair(7, 31), pair(1 << 17, 0), pair(12 | 12 << 16, 1 << 17), pair(1, 1), 0, 0, 0, 0])
            }
            // Nothing of it may be remembered: each question comes here.
            request::LOOKUP if !opened => [words(&[FILE, 0, 0, 0, 0]), attributes(FILE)].concat(),
            request::GETATTR if !opened => [words(&[0, 0]), attributes(node)].concat(),
            request::OPEN if !opened => {
                opened = true;
                words(&[1, 0])
            }
            _ => continue,
        };
        let mut answer = words(&[pair(u32::try_from(16 + body.len())?, 0), unique]);
        answer.extend(body);
        device.write_all(&answer).context("write /dev/fuse")?;
    }
}
