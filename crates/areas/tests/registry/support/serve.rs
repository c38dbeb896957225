//! The helper process's end: it takes one command a line and answers each with one line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::process::Command;

use areas::registry::{self, Source};
use areas::{Area, AreaId, Frozen, Rejected, Shared};
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::CapabilitySet;

use super::channel::{Channel, Ear};
use super::reply::SEPARATOR;
use super::{
    area, bystanders, exclusive, forge, identity, launch, mute, notes, raw, resizing, walking, workload,
};

/// Why a command was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library refused.
    Areas(areas::Error),
    /// The agent itself could not: a mistake in the test, or a wrong result.
    Helper(String),
}

impl From<areas::Error> for Failure {
    fn from(error: areas::Error) -> Self {
        Failure::Areas(error)
    }
}

macro_rules! helpers {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Failure::Helper(format!("{error:?}"))
            }
        }
    )*};
}
helpers!(std::io::Error, rustix::io::Errno, std::num::ParseIntError, String);

/// What an agent holds.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    pub(crate) areas: BTreeMap<u32, Area<Shared>>,
    pub(crate) next: u32,
    pub(crate) resizables: resizing::Resizables,
    /// Threads that use the registry in the background.
    pub(crate) busy: Option<workload::Busy>,
    /// Areas of any kind that change hands.
    pub(crate) any: BTreeMap<u32, areas::Received>,
    /// Private memory that is in the way.
    pub(crate) blocks: Vec<Area<areas::Private>>,
    /// Kept open for links that lead to them.
    pub(crate) files: Vec<File>,
    /// Files of other code in this process, which knows nothing of areas.
    pub(crate) bystanders: Vec<File>,
    /// What takes all mappings that there are.
    pub(crate) filler: Vec<areas::Mapping>,
    /// Keeps what is held published.
    keeper: Option<registry::Keeper>,
    /// What was found some time ago.
    source: Option<Source>,
}

impl Holdings {
    pub(crate) fn keep(&mut self, area: Area<Shared>) -> String {
        let id = area.id().map_or("-".to_owned(), |id| id.to_string());
        self.areas.insert(self.next, area);
        self.next += 1;
        format!("{} {id}", self.next - 1)
    }

    fn remembered(&self) -> Result<&Source, Failure> {
        self.source.as_ref().ok_or_else(|| Failure::Helper("nothing is remembered".to_owned()))
    }

    pub(crate) fn area(&self, handle: &str) -> Result<&Area<Shared>, Failure> {
        self.areas.get(&handle.parse()?).ok_or_else(|| Failure::Helper(format!("no area {handle}")))
    }
}

/// The agent, if this process is to be one; else nothing.
pub(crate) fn begin() {
    if std::env::var_os(launch::ROLE).is_some() {
        let channel = std::io::stdin().as_fd().try_clone_to_owned().expect("the channel");
        serve(Channel::new(UnixStream::from(channel)), Holdings::default());
    }
}

fn serve(mut channel: Channel, mut holdings: Holdings) -> ! {
    // Whoever does not listen any more has ended.
    let gone = |_| std::process::exit(0);
    channel.send(&format!("hello {}", std::process::id())).unwrap_or_else(gone);
    listen(channel, &mut holdings)
}

fn listen(mut channel: Channel, holdings: &mut Holdings) -> ! {
    while let Ok(Some(line)) = channel.receive() {
        let words: Vec<&str> = line.split(' ').collect();
        let done = match *words.as_slice() {
            ["exec"] => {
                // The new program greets; if there is none, the test sees that the agent has ended.
                let error = launch::exec(channel);
                panic!("exec: {error}");
            }
            ["leave-leader"] => leave_leader(channel, std::mem::take(holdings)),
            ["fork", ear] => fork(ear, holdings),
            ["fork-as", pid, ear] => choose_next(pid).and_then(|()| fork(ear, holdings)),
            _ => perform(&words, holdings),
        };
        let answer = match done {
            Ok(answer) => format!("ok {answer}"),
            Err(Failure::Areas(error)) => {
                format!("refused {:?} {}", error.kind(), format!("{error:#}").replace('\n', " "))
            }
            Err(Failure::Helper(why)) => format!("failed {}", why.replace('\n', " ")),
        };
        if channel.send(&answer).is_err() {
            break;
        }
    }
    std::process::exit(0)
}

/// Ends the leader; another thread goes on.
fn leave_leader(mut channel: Channel, mut holdings: Holdings) -> ! {
    std::thread::spawn(move || {
        super::eventually("the leader has ended", || super::folder::has_no_leader(std::process::id()));
        let _ = channel.send("ok");
        listen(channel, &mut holdings)
    });
    raw::end_thread()
}

fn fork(ear: &str, holdings: &mut Holdings) -> Result<String, Failure> {
    match raw::fork()? {
        Some(child) => Ok(child.to_string()),
        None => match Ear::call(ear) {
            Ok(channel) => serve(channel, std::mem::take(holdings)),
            Err(_) => std::process::exit(1),
        },
    }
}

/// The next process of our pid namespace gets that number.
fn choose_next(pid: &str) -> Result<(), Failure> {
    let pid: u32 = pid.parse()?;
    Ok(fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string())?)
}

fn perform(words: &[&str], holdings: &mut Holdings) -> Result<String, Failure> {
    let nothing = Ok(String::new());
    match *words {
        ["publish", name, size] => Ok(holdings.keep(area::create(name, size.parse()?)?)),
        ["close", handle] => {
            raw::close(holdings.area(handle)?.as_fd().as_raw_fd());
            nothing
        }
        ["unnamed"] => Ok(holdings.keep(areas::builder(4096).shared()?)),
        ["drop", handle] => {
            holdings.areas.remove(&handle.parse()?);
            nothing
        }
        ["drop-all"] => {
            holdings.areas.clear();
            nothing
        }
        ["id", handle] => Ok(holdings.area(handle)?.id().map_or("-".to_owned(), |id| id.to_string())),
        ["address", handle] => Ok(holdings.area(handle)?.as_ptr().addr().to_string()),
        ["at", handle] => {
            let area = holdings.area(handle)?;
            let last = area.as_ptr().addr() + area.mapped() - 1;
            if registry::at(last + 1).is_ok_and(|behind| Some(behind.id()) == area.id()) {
                return Err("the address behind the area is taken for the area's".to_owned().into());
            }
            // In a forked child, its first call may be either.
            let (by_id, id) = (registry::id_at(last)?, registry::at(last)?.id());
            match by_id == id && registry::id_at(area.as_ptr().addr())? == id {
                true => Ok(id.to_string()),
                false => Err(format!("{by_id} and {id} are at one address").into()),
            }
        }
        ["busy", threads] => {
            holdings.busy = Some(workload::Busy::start(threads.parse()?));
            nothing
        }
        ["idle"] => {
            holdings.busy.take().ok_or("not busy".to_owned())?.stop()?;
            nothing
        }
        ["wait", name, millis] => {
            let timeout = std::time::Duration::from_millis(millis.parse()?);
            Ok(seen(&registry::wait(name, Some(timeout))?))
        }
        ["check", handle, name] => Ok(area::is_filled(holdings.area(handle)?, name)?.to_string()),
        ["fill", handle, name] => area::fill(holdings.area(handle)?, name).map(|()| String::new()),
        ["populate", handle] => {
            let handle = handle.parse()?;
            holdings.areas.get_mut(&handle).ok_or("no such area".to_owned())?.populate()?;
            nothing
        }
        ["find", name] => Ok(seen(&registry::find(name)?)),
        ["get", id] => Ok(seen(&registry::get(AreaId::new(id.parse()?)?)?)),
        // In seconds, by the wall clock.
        ["age", name] => {
            let created = registry::find(name)?.info()?.created();
            let age = std::time::SystemTime::now().duration_since(created);
            Ok(age.map_err(|_| "it is of the future".to_owned())?.as_secs().to_string())
        }
        ["size", name] => Ok(registry::find(name)?.info()?.size.to_string()),
        ["list"] => list(),
        ["list-while", millis] => {
            let end = std::time::Instant::now() + std::time::Duration::from_millis(millis.parse()?);
            let mut rounds = 0;
            while std::time::Instant::now() < end {
                registry::list()?;
                rounds += 1;
            }
            Ok(rounds.to_string())
        }
        ["clone", name] => Ok(holdings.keep(area::clone(&registry::find(name)?, name, None)?)),
        ["clone", name, own] => Ok(holdings.keep(area::clone(&registry::find(name)?, name, Some(own))?)),
        // Published with the right to read, and no other.
        ["clone-for-reading", name, own] => {
            let source = registry::find(name)?;
            Ok(holdings.keep(source.cloning().name(own).protection(areas::Protection::READ).open()?))
        }
        ["clone-of-id", id] => {
            let clone = registry::get(AreaId::new(id.parse()?)?)?.open()?;
            Ok(holdings.keep(clone))
        }
        ["chroot", path] => {
            rustix::process::chroot(path)?;
            nothing
        }
        ["remember", name] => {
            holdings.source = Some(registry::find(name)?);
            nothing
        }
        // What was remembered, whatever has happened since.
        ["remembered", "size"] => Ok(holdings.remembered()?.info()?.size.to_string()),
        ["remembered", "clone"] => {
            let clone = holdings.remembered()?.open()?;
            Ok(holdings.keep(clone))
        }
        ["remembered", "read-only"] => {
            let clone = holdings.remembered()?.open_read_only()?;
            Ok(holdings.keep(clone))
        }
        ["remembered", "fork", threads, children] => {
            workload::fork_while_asked(holdings.remembered()?, threads.parse()?, children.parse()?)
        }
        ["unpublish", handle] => {
            let area = holdings.areas.get_mut(&handle.parse()?).ok_or("no such area".to_owned())?;
            Ok(area.unpublish().map_or("-".to_owned(), |name| name.to_string()))
        }
        ["retire", handle] => {
            holdings.areas.get_mut(&handle.parse()?).ok_or("no such area".to_owned())?.retire()?;
            nothing
        }
        ["publish-again", handle, name] => {
            let area = holdings.areas.get_mut(&handle.parse()?).ok_or("no such area".to_owned())?;
            Ok(area.publish(name)?.to_string())
        }
        ["is-retired", id] => Ok(registry::get(AreaId::new(id.parse()?)?)?.info()?.retired.to_string()),
        ["exclusive", ..] => exclusive::perform(&words[1..], holdings),
        ["note", ..] => notes::perform(&words[1..], holdings),
        ["keep"] => Ok(registry::ensure_published().map(|()| String::new())?),
        ["path"] => Ok(registry::path()?.map_or("-".to_owned(), |path| path.display().to_string())),
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
        ["keeper", "end"] => {
            holdings.keeper = None;
            nothing
        }
        ["keeper", "trouble"] => {
            let keeper = holdings.keeper.as_ref().ok_or_else(|| "no keeper".to_owned())?;
            Ok(keeper.trouble().unwrap_or_else(|| "-".to_owned()).replace('\n', " "))
        }
        ["keeper", millis] => {
            let interval = std::time::Duration::from_millis(millis.parse()?);
            holdings.keeper = Some(registry::Keeper::start(interval)?);
            nothing
        }
        ["threads"] => Ok(fs::read_dir("/proc/self/task")?.count().to_string()),
        ["remark"] => Ok(registry::path_remark()?.unwrap_or_else(|| "-".to_owned())),
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
        ["lose-record-lock"] => {
            // Closing any descriptor of a file drops the process's record locks on it.
            drop(File::open(forge::own_table()?)?);
            nothing
        }
        ["take-record-lock"] => {
            // A child has its parent's table, and may do with it what it likes.
            let table = File::options().read(true).write(true).open(forge::own_table()?)?;
            rustix::fs::fcntl_lock(&table, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
            holdings.files.push(table);
            nothing
        }
        ["close-table"] => {
            // What a program does that closes all descriptors which it does not know: here, one is
            // put in its place.
            let table = forge::own_table()?;
            let number = table.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            forge::replace_descriptor(&File::open("/dev/null")?, number.parse()?)?;
            nothing
        }
        ["close-all"] => {
            bystanders::close_everything()?;
            nothing
        }
        ["close-door"] => {
            bystanders::close_door()?;
            nothing
        }
        ["bystanders", path, count] => {
            bystanders::come(holdings, path, count.parse()?).map(|()| String::new())
        }
        ["bystanders-are-well"] => bystanders::are_well(holdings).map(|()| String::new()),
        ["growable", name] => {
            let area = areas::builder(4096).growable(1 << 20).name(name).shared()?;
            Ok(holdings.keep(area))
        }
        ["grow", handle, size] => {
            holdings.area(handle)?.grow(size.parse()?)?;
            nothing
        }
        ["freeze", handle] => freeze(holdings, handle.parse()?, |area| area.freeze()),
        ["freeze-within", handle, millis] => {
            let timeout = std::time::Duration::from_millis(millis.parse()?);
            freeze(holdings, handle.parse()?, |area| area.freeze_within(timeout))
        }
        ["descriptors"] => Ok(fs::read_dir("/proc/thread-self/fd")?.count().to_string()),
        ["twin", ..] => Ok(raw::twin(&words[1..].join(" "))?),
        ["read-only", name] => Ok(holdings.keep(registry::find(name)?.open_read_only()?)),
        ["announce", table, path, seals] => forge::announce(holdings, table, path, seals),
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
        // Another file in place of an area's descriptor: it was closed by mistake, and the number
        // was the next one to be given.
        ["replace", handle, path] => {
            let number = holdings.area(handle)?.as_fd().as_raw_fd();
            let file = File::options().read(true).write(true).open(path)?;
            forge::replace_descriptor(&file, number)?;
            holdings.files.push(file);
            nothing
        }
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
        // Of what a process holds: the size, and the numbers of all who hold it.
        ["unpublished", pid] => {
            let pid: u32 = pid.parse()?;
            let mut answer = String::new();
            for memory in registry::unpublished()? {
                let holders: Vec<u32> = memory.holders.iter().map(|holder| holder.pid).collect();
                if holders.contains(&pid) {
                    let size = memory.size.map_or("-".to_owned(), |size| size.to_string());
                    let holders: Vec<String> = holders.iter().map(ToString::to_string).collect();
                    let _ = write!(answer, "{size} {}{SEPARATOR}", holders.join(","));
                }
            }
            Ok(answer)
        }
        ["holders", name] => Ok(registry::find(name)?.holders().len().to_string()),
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
        ["table-in-memory"] => {
            let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(forge::own_table()?)?);
            Ok((blocks * 512).to_string())
        }
        ["table-size"] => Ok(forge::table_size()?.to_string()),
        ["forge", kind, seals, size] => forge::object(holdings, kind, seals, size.parse()?),
        ["shrink-tables", folder, count] => forge::shrink_tables(folder, count.parse()?),
        ["copy", table, how] => forge::copy(holdings, table, how),
        ["exit"] => std::process::exit(7),
        ["abort"] => {
            // No core is written, which would take the time that it takes.
            let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
            rustix::process::setrlimit(rustix::process::Resource::Core, none)?;
            std::process::abort()
        }
        ["exec-only-child"] => raw::exec_only_child(),
        _ => resizing::perform(words, holdings)
            .or_else(|| walking::perform(words, holdings))
            .unwrap_or_else(|| workload::perform(words, holdings)),
    }
}

/// What is not frozen is kept; what is, goes.
fn freeze(
    holdings: &mut Holdings,
    handle: u32,
    by: impl FnOnce(Area<Shared>) -> Result<Area<Frozen>, Rejected<Area<Shared>>>,
) -> Result<String, Failure> {
    let area = holdings.areas.remove(&handle).ok_or("no such area".to_owned())?;
    match by(area) {
        Ok(_) => Ok(String::new()),
        Err(refused) => {
            holdings.areas.insert(handle, refused.value);
            Err(refused.error.into())
        }
    }
}

fn child(pid: &str) -> Result<Pid, Failure> {
    Pid::from_raw(pid.parse()?).ok_or_else(|| "process 0".to_owned().into())
}

fn seen(source: &Source) -> String {
    format!("{} {} {}", source.id(), source.pid(), source.name())
}

fn list() -> Result<String, Failure> {
    let listing = registry::list()?;
    let mut answer = String::new();
    for area in &listing.areas {
        let _ = write!(answer, "+{}{SEPARATOR}", seen(area));
    }
    for team in &listing.unreadable {
        let _ = write!(answer, "-{} {}{SEPARATOR}", team.pid, team.reason);
    }
    Ok(answer)
}

/// The raw number of a file that is kept.
pub(crate) fn number_of(file: &File) -> i32 {
    file.as_raw_fd()
}
