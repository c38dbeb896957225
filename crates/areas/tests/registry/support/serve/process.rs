//! What becomes of the process, and what it has open.

use std::fs::{self, File};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::process::Command;

use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::CapabilitySet;

use super::super::{forge, identity, mute, raw};
use super::{Failure, Holdings, number_of};

pub(super) fn perform(words: &[&str], holdings: &mut Holdings) -> Result<String, Failure> {
    let nothing = Ok(String::new());
    match *words {
        ["chroot", path] => {
            rustix::process::chroot(path)?;
            nothing
        }
        ["become", user, group, capability] => {
            let capability = match capability {
                "none" => CapabilitySet::empty(),
                "net-bind-service" => CapabilitySet::NET_BIND_SERVICE,
                other => return Err(format!("unknown capability {other}").into()),
            };
            identity::become_user(user.parse()?, group.parse()?, capability)?;
            nothing
        }
        ["effective-user", user] => {
            identity::set_effective_user(user.parse()?)?;
            nothing
        }
        ["threads"] => Ok(fs::read_dir("/proc/self/task")?.count().to_string()),
        ["new-user-namespace"] => {
            identity::new_user_namespace()?;
            nothing
        }
        ["run", program, ..] => {
            let status = Command::new(program).args(&words[2..]).status()?;
            if status.success() { nothing } else { Err(format!("{words:?}: {status}").into()) }
        }
        // For what only this process's mount namespace shows.
        ["mode", path] => Ok(format!("{:o}", fs::metadata(path)?.permissions().mode() & 0o7777)),
        ["fails", program, ..] => {
            let output = Command::new(program).args(&words[2..]).output()?;
            Ok((!output.status.success()).to_string())
        }
        ["dumpable", yes] => {
            identity::set_dumpable(yes == "yes")?;
            nothing
        }
        ["kill", pid] => {
            rustix::process::kill_process(child(pid)?, Signal::KILL)?;
            rustix::process::waitpid(Some(child(pid)?), WaitOptions::empty())?;
            nothing
        }
        ["descriptors"] => Ok(fs::read_dir("/proc/thread-self/fd")?.count().to_string()),
        ["twin", ..] => Ok(raw::twin(&words[1..].join(" "))?),
        ["open-silent", path] => {
            holdings.files.push(raw::mount_silent(path)?);
            // Its root is the one thing that can be opened, for nothing.
            let root = File::options().read(true).custom_flags(libc::O_PATH).open(path)?;
            let answer = format!("{} 1", number_of(&root));
            holdings.files.push(root);
            Ok(answer)
        }
        ["serve-mute", path] => {
            mute::serve(raw::mount_silent(path)?);
            nothing
        }
        ["flushes"] => Ok(mute::flushes().to_string()),
        ["lock-file", path] => {
            let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
            rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
            holdings.files.push(file);
            nothing
        }
        // By another process, that is: one's own record locks are not in one's way.
        ["is-locked", path] => {
            let file = File::options().read(true).write(true).open(path)?;
            match rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => Ok("false".to_owned()),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok("true".to_owned()),
                Err(errno) => Err(errno.into()),
            }
        }
        ["open", path] => {
            let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
            let folder = fs::metadata(path)?.is_dir();
            let file = File::options().read(true).write(!folder).custom_flags(flags).open(path)?;
            Ok(forge::keep(holdings, file)?)
        }
        // As programs do that must not wait for a page: what they have now (and what they will
        // have).
        ["lock-everything", "future"] => {
            rustix::mm::mlockall(rustix::mm::MlockAllFlags::FUTURE)?;
            nothing
        }
        ["lock-everything"] => {
            let all = rustix::mm::MlockAllFlags::CURRENT | rustix::mm::MlockAllFlags::FUTURE;
            rustix::mm::mlockall(all)?;
            nothing
        }
        ["exit"] => std::process::exit(7),
        ["abort"] => {
            // No core is written, which would take the time that it takes.
            let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
            rustix::process::setrlimit(rustix::process::Resource::Core, none)?;
            std::process::abort()
        }
        ["exec-only-child"] => raw::exec_only_child(),
        _ => Err(Failure::Unknown),
    }
}

fn child(pid: &str) -> Result<Pid, Failure> {
    Pid::from_raw(pid.parse()?).ok_or_else(|| "process 0".to_owned().into())
}
