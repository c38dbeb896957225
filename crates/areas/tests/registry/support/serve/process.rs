//! What becomes of the process, and what it has open.

use std::fs::{self, File};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::process::Command;

use areas_testing::{Process, descriptors};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::CapabilitySet;

use super::super::{forge, identity, mute, raw};
use super::{Failure, Holdings, done, number_of};

pub(super) fn perform(words: &[&str], holdings: &mut Holdings) -> Result<String, Failure> {
    match *words {
        ["chroot", path] => done(rustix::process::chroot(path)?),
        ["become", user, group, capability] => become_user(user, group, capability),
        ["effective-user", user] => done(identity::set_effective_user(user.parse()?)?),
        ["new-user-namespace"] => done(identity::new_user_namespace()?),
        ["dumpable", yes] => done(identity::set_dumpable(yes == "yes")?),
        ["threads"] => Ok(fs::read_dir("/proc/self/task")?.count().to_string()),
        ["descriptors"] => Ok(descriptors::count(Process::Thread)?.to_string()),
        // For what only this process's mount namespace shows.
        ["mode", path] => Ok(format!("{:o}", fs::metadata(path)?.permissions().mode() & 0o7777)),
        ["run", program, ..] => {
            let status = Command::new(program).args(&words[2..]).status()?;
            if status.success() { done(()) } else { Err(format!("{words:?}: {status}").into()) }
        }
        ["fails", program, ..] => {
            let output = Command::new(program).args(&words[2..]).output()?;
            Ok((!output.status.success()).to_string())
        }
        ["kill", pid] => kill(child(pid)?),
        ["twin", ..] => Ok(raw::twin(&words[1..].join(" "))?),
        ["open", path] => open(holdings, path),
        ["open-silent", path] => open_silent(holdings, path),
        ["serve-mute", path] => {
            mute::serve(raw::mount_silent(path)?);
            done(())
        }
        ["flushes"] => Ok(mute::flushes().to_string()),
        ["lock-file", path] => lock_file(holdings, path),
        ["is-locked", path] => is_locked(path),
        // As programs do that must not wait for a page: what they have now (and what they will
        // have).
        ["lock-everything", "future"] => done(mlockall(MlockAllFlags::FUTURE)?),
        ["lock-everything"] => done(mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)?),
        ["exit"] => std::process::exit(7),
        ["abort"] => abort(),
        ["exec-only-child"] => raw::exec_only_child(),
        _ => Err(Failure::Unknown),
    }
}

fn become_user(user: &str, group: &str, capability: &str) -> Result<String, Failure> {
    let capability = match capability {
        "none" => CapabilitySet::empty(),
        "net-bind-service" => CapabilitySet::NET_BIND_SERVICE,
        other => return Err(format!("unknown capability {other}").into()),
    };
    done(identity::become_user(user.parse()?, group.parse()?, capability)?)
}

fn kill(child: Pid) -> Result<String, Failure> {
    rustix::process::kill_process(child, Signal::KILL)?;
    rustix::process::waitpid(Some(child), WaitOptions::empty())?;
    done(())
}

fn open(holdings: &mut Holdings, path: &str) -> Result<String, Failure> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let folder = fs::metadata(path)?.is_dir();
    let file = File::options().read(true).write(!folder).custom_flags(flags).open(path)?;
    Ok(forge::keep(holdings, file)?)
}

/// A mount's root: the one thing of it that can be opened, for nothing.
fn open_silent(holdings: &mut Holdings, path: &str) -> Result<String, Failure> {
    holdings.files.push(raw::mount_silent(path)?);
    let root = File::options().read(true).custom_flags(libc::O_PATH).open(path)?;
    let answer = format!("{} 1", number_of(&root));
    holdings.files.push(root);
    Ok(answer)
}

fn lock_file(holdings: &mut Holdings, path: &str) -> Result<String, Failure> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)?;
    holdings.files.push(file);
    done(())
}

/// By another process, that is: one's own record locks are not in one's way.
fn is_locked(path: &str) -> Result<String, Failure> {
    let file = File::options().read(true).write(true).open(path)?;
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok("false".to_owned()),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok("true".to_owned()),
        Err(errno) => Err(errno.into()),
    }
}

/// No core is written, which would take the time that it takes.
fn abort() -> Result<String, Failure> {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(rustix::process::Resource::Core, none)?;
    std::process::abort()
}

fn child(pid: &str) -> Result<Pid, Failure> {
    Pid::from_raw(pid.parse()?).ok_or_else(|| "process 0".to_owned().into())
}
