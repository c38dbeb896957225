//! One guest's life: QEMU is started, the program's output is passed on while it runs, and its
//! status is brought back.
//!
//! The guest writes to virtio ports, QEMU writes what comes from them to files, and the files are
//! followed here. That way nothing blocks when this side is slow, and what a guest said before it
//! died can still be read.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::layout::Layout;
use crate::setup::Kit;

/// The guest's side of each is named in init.sh.
const PORTS: [&str; 4] = ["stdout", "stderr", "status", "tar"];
/// Boots take four seconds; on a machine with much else to do, more.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
const ATTEMPTS: u32 = 3;
/// Kernel parameters of every guest: quiet, the same addresses each time, and no page moved behind
/// a test's back.
const PARAMETERS: &str = "console=ttyS0 quiet panic=-1 nokaslr mitigations=off no_timer_check nowatchdog \
                          rcupdate.rcu_cpu_stall_suppress=1 numa_balancing=disable";

/// The machine around the program.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    pub(crate) kit: &'a Kit,
    pub(crate) layout: &'a Layout,
    pub(crate) image: &'a Path,
    /// An empty folder for QEMU's files.
    pub(crate) folder: &'a Path,
    pub(crate) append: &'a str,
    pub(crate) swap_mib: Option<u32>,
    pub(crate) extra: &'a [OsString],
    pub(crate) multi: bool,
    /// For the program, from when the guest has booted.
    pub(crate) limit: Duration,
}

/// How a guest ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The program's own exit status, 128 + n if signal n ended it.
    Status(u8),
    /// The program was still running.
    TimeLimit,
    /// No status came back; the text says what is known.
    NoGuest(String),
}

/// Runs the guest and passes on its output.
pub(crate) fn run(machine: &Machine<'_>, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Result<Ended> {
    let mut last = String::new();
    for attempt in 1..=ATTEMPTS {
        match once(machine, stdout, stderr)? {
            Once::Ended(ended) => return Ok(ended),
            Once::NotBooted(why) => {
                last = why;
                if attempt < ATTEMPTS {
                    eprintln!("vm: the guest did not boot (attempt {attempt} of {ATTEMPTS}), trying again");
                }
            }
        }
    }
    Ok(Ended::NoGuest(format!("the guest did not boot in {ATTEMPTS} attempts; the last: {last}")))
}

enum Once {
    Ended(Ended),
    /// Worth another attempt: the program has not been started, so nothing of it has been seen.
    NotBooted(String),
}

fn once(machine: &Machine<'_>, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Result<Once> {
    for port in PORTS {
        File::create(machine.folder.join(port))?;
    }
    let mut command = command(machine)?;
    let mut qemu =
        Running(command.spawn().with_context(|| format!("cannot run {:?}", command.get_program()))?);
    let mut output = Follow::open(&machine.folder.join("stdout"))?;
    let mut errors = Follow::open(&machine.folder.join("stderr"))?;
    let (mut started, mut booted) = (Instant::now(), false);
    let ended = loop {
        // Asked first: what is read afterwards is then all there is.
        let ended = qemu.0.try_wait()?;
        output.pass(stdout).context("cannot pass the program's output on")?;
        errors.pass(stderr).context("cannot pass the program's errors on")?;
        if ended.is_some() {
            break ended;
        }
        if !booted && status_line(machine, "BOOTED").is_some() {
            (started, booted) = (Instant::now(), true);
        }
        if started.elapsed() > if booted { machine.limit } else { BOOT_LIMIT } {
            break None;
        }
        thread::sleep(Duration::from_millis(20));
    };
    drop(qemu);
    let booted = booted || status_line(machine, "BOOTED").is_some();
    // An "EXIT" counts even if QEMU was killed after it: the program was through.
    if let Some(status) = status_line(machine, "EXIT").and_then(|rest| rest.parse().ok()) {
        return Ok(Once::Ended(Ended::Status(status)));
    }
    let how = match ended {
        None if booted => return Ok(Once::Ended(Ended::TimeLimit)),
        None => format!("it was still booting after {} s", BOOT_LIMIT.as_secs()),
        Some(status) => how_it_ended(status),
    };
    let report = format!("{how}\n{}", logs(machine));
    let refused = ended.is_some_and(|status| status.code().is_some_and(|code| code != 0));
    if booted || refused { Ok(Once::Ended(Ended::NoGuest(report))) } else { Ok(Once::NotBooted(report)) }
}

fn how_it_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "the guest turned itself off (a kernel panic, or too little memory?)".into(),
        (Some(code), _) => format!("QEMU ended with status {code}"),
        (None, signal) => format!("QEMU was ended by signal {}", signal.unwrap_or(0)),
    }
}

/// The end of what QEMU and the guest's kernel said.
fn logs(machine: &Machine<'_>) -> String {
    let mut text = String::new();
    for (who, file, lines) in [("QEMU", "qemu.log", 10), ("the guest's kernel", "kernel.log", 30)] {
        let said = fs::read(machine.folder.join(file)).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).replace('\r', "");
        let said: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        if !said.is_empty() {
            text += &format!("{who} said last:\n");
            for line in &said[said.len().saturating_sub(lines)..] {
                text += &format!("    {line}\n");
            }
        }
    }
    text
}

/// The first word after `key` in the status port's file.
fn status_line(machine: &Machine<'_>, key: &str) -> Option<String> {
    let text = fs::read_to_string(machine.folder.join("status")).ok()?;
    // A line is complete once its end is there.
    let (complete, _) = text.rsplit_once('\n')?;
    let rest = complete.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
    rest.split_whitespace().next().map(str::to_owned)
}

fn command(machine: &Machine<'_>) -> Result<Command> {
    let file = |name: &str| machine.folder.join(name);
    let option = |name: &str, path: PathBuf| {
        let mut text = OsString::from(name);
        // QEMU reads a comma as the end of an option's value, two as one of its characters.
        text.push(path.to_string_lossy().replace(',', ",,"));
        text
    };
    // No KVM, even where it could be had: it hangs where it is offered but does not work, and time
    // in a guest is nothing to measure anyway.
    let threads = if machine.multi { "tcg,thread=multi" } else { "tcg,thread=single" };
    let mut qemu = machine.kit.qemu();
    qemu.args(["-accel", threads, "-cpu", "max,la57=off", "-nodefaults", "-no-user-config", "-no-reboot"]);
    qemu.args(["-display", "none", "-monitor", "none"]);
    qemu.args(machine.layout.qemu_args());
    qemu.arg("-serial").arg(option("file:", file("kernel.log")));
    qemu.args(["-device", "virtio-serial-pci"]);
    for (number, port) in PORTS.iter().enumerate() {
        qemu.arg("-chardev").arg(option(&format!("file,id={port},path="), file(port)));
        qemu.arg("-device").arg(format!("virtserialport,nr={},chardev={port},name={port}", number + 1));
    }
    if let Some(mib) = machine.swap_mib {
        let disk = file("swap.img");
        File::create(&disk)?.set_len(u64::from(mib) << 20)?;
        qemu.arg("-drive").arg(option("format=raw,if=none,id=swap,cache=unsafe,file=", disk));
        qemu.args(["-device", "nvme,drive=swap,serial=swap"]);
    }
    qemu.arg("-kernel").arg(&machine.kit.kernel).arg("-initrd").arg(machine.image);
    qemu.arg("-append").arg(format!("{PARAMETERS} {}", machine.append));
    qemu.args(machine.extra);
    let log = File::create(file("qemu.log"))?;
    qemu.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(qemu)
}

/// A child that does not outlive this value.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a child that has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file that grows, read from where it was left.
#[derive(Debug)]
struct Follow {
    path: PathBuf,
    at: u64,
}

impl Follow {
    fn open(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), at: 0 })
    }

    fn pass(&mut self, to: &mut dyn Write) -> io::Result<()> {
        // Opened again each time: QEMU creates the file again when it starts.
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.at))?;
        let mut new = Vec::new();
        file.read_to_end(&mut new)?;
        if !new.is_empty() {
            self.at += new.len() as u64;
            to.write_all(&new)?;
            to.flush()?;
        }
        Ok(())
    }
}
