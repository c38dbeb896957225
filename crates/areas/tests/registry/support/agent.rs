//! The test's end of an agent: a helper process that holds areas, looks for others', and has the
//! properties that a test asks of it.

use std::process::{Child, ExitStatus};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::channel::{Channel, Ear};
use super::folder::{Folder, is_zombie};
use super::launch::Launch;
use super::reply::{Held, Listed, Refused, Seen};

/// A helper process. It goes with the value.
#[derive(Debug)]
pub(crate) struct Agent {
    channel: Channel,
    pid: u32,
    /// `None` for one that another agent has forked.
    child: Option<Child>,
    /// Whether its number means it in our pid namespace too: only then may we send it signals.
    local: bool,
}

impl Agent {
    /// One that uses the folder's registry.
    pub(crate) fn start(folder: &Folder) -> Self {
        Launch::new(folder).start()
    }

    /// The same as an ordinary user, with one capability if it is named.
    pub(crate) fn start_as(folder: &Folder, user: u32, capability: Option<&str>) -> Self {
        let mut agent = Agent::start(folder);
        agent.become_user(user, user, capability);
        agent
    }

    pub(crate) fn new(channel: Channel, child: Option<Child>) -> Self {
        let mut agent = Agent { channel, pid: 0, child, local: true };
        agent.greet();
        agent.local = agent.child.as_ref().is_none_or(|child| child.id() == agent.pid);
        agent
    }

    fn greet(&mut self) {
        let hello = self.receive();
        self.pid = hello.strip_prefix("hello ").expect("a greeting").parse().expect("its number");
    }

    fn receive(&mut self) -> String {
        match self.channel.receive() {
            Ok(Some(line)) => line,
            Ok(None) => panic!("agent {} has ended", self.pid),
            Err(error) => panic!("agent {} hangs: {error}", self.pid),
        }
    }

    /// Its process number, in its pid namespace.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Has it do something; the library may refuse it.
    pub(crate) fn try_ask(&mut self, command: &str) -> Result<String, Refused> {
        self.begin(command);
        self.end()
    }

    /// Has it do something, which must work.
    #[track_caller]
    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.try_ask(command)
            .unwrap_or_else(|refused| panic!("{command}: {}: {}", refused.kind, refused.text))
    }

    /// Has it begin, while others do something else.
    pub(crate) fn begin(&mut self, command: &str) {
        self.channel.send(command).expect("the agent listens");
    }

    /// The outcome.
    pub(crate) fn end(&mut self) -> Result<String, Refused> {
        let answer = self.receive();
        match answer.split_once(' ').unwrap_or((&answer, "")) {
            ("ok", answer) => Ok(answer.to_owned()),
            ("refused", error) => {
                let (kind, text) = error.split_once(' ').expect("a kind and a text");
                Err(Refused { kind: kind.to_owned(), text: text.to_owned() })
            }
            _ => panic!("agent {} failed: {answer}", self.pid),
        }
    }

    /// Publishes an area of one page, filled with what belongs to its name.
    #[track_caller]
    pub(crate) fn publish(&mut self, name: &str) -> Held {
        self.try_publish(name).unwrap_or_else(|refused| panic!("publish {name}: {}", refused.text))
    }

    pub(crate) fn try_publish(&mut self, name: &str) -> Result<Held, Refused> {
        self.try_ask(&format!("publish {name} 4096")).map(|answer| Held::parse(&answer))
    }

    pub(crate) fn drop_area(&mut self, area: Held) {
        self.ask(&format!("drop {}", area.handle));
    }

    /// The area's id now.
    pub(crate) fn id(&mut self, area: Held) -> Option<i32> {
        self.ask(&format!("id {}", area.handle)).parse().ok()
    }

    pub(crate) fn find(&mut self, name: &str) -> Result<Seen, Refused> {
        self.try_ask(&format!("find {name}")).map(|answer| Seen::parse(&answer))
    }

    pub(crate) fn get(&mut self, id: i32) -> Result<Seen, Refused> {
        self.try_ask(&format!("get {id}")).map(|answer| Seen::parse(&answer))
    }

    pub(crate) fn try_list(&mut self) -> Result<Listed, Refused> {
        self.try_ask("list").map(|answer| Listed::parse(&answer))
    }

    #[track_caller]
    pub(crate) fn list(&mut self) -> Listed {
        self.try_list().unwrap_or_else(|refused| panic!("list: {}", refused.text))
    }

    /// Clones an area, checks that its bytes are those that belong to the name, and keeps the
    /// clone.
    pub(crate) fn clone_of(&mut self, name: &str) -> Result<Held, Refused> {
        self.try_ask(&format!("clone {name}")).map(|answer| Held::parse(&answer))
    }

    /// The same, and publishes the clone.
    pub(crate) fn clone_as(&mut self, name: &str, own_name: &str) -> Result<Held, Refused> {
        self.try_ask(&format!("clone {name} {own_name}")).map(|answer| Held::parse(&answer))
    }

    /// Whether the bytes of an area that it holds are those that belong to a name.
    pub(crate) fn has_bytes_of(&mut self, area: Held, name: &str) -> bool {
        self.ask(&format!("check {} {name}", area.handle)) == "true"
    }

    pub(crate) fn keep(&mut self) -> Result<(), Refused> {
        self.try_ask("keep").map(drop)
    }

    /// Has it fork: the child is an agent too, with everything that a child inherits.
    pub(crate) fn fork(&mut self) -> Agent {
        self.fork_by("fork")
    }

    /// The same; in a pid namespace of its own, with that number.
    pub(crate) fn fork_as(&mut self, pid: u32) -> Agent {
        let agent = self.fork_by(&format!("fork-as {pid}"));
        assert_eq!(agent.pid, pid, "it has the number that was asked for");
        agent
    }

    fn fork_by(&mut self, command: &str) -> Agent {
        let ear = Ear::new().expect("a socket");
        self.ask(&format!("{command} {}", ear.name));
        let mut child = Agent::new(ear.accept().expect("the child calls"), None);
        child.local = self.local;
        child
    }

    /// Has it call `exec`: the same process, a new program.
    pub(crate) fn exec(&mut self) {
        let before = self.pid;
        self.begin("exec");
        self.greet();
        assert_eq!(self.pid, before, "exec keeps the number");
    }

    /// Makes it an ordinary user's process, readable for that user's others, with one capability if
    /// it is named.
    pub(crate) fn become_user(&mut self, user: u32, group: u32, capability: Option<&str>) {
        self.ask(&format!("become {user} {group} {}", capability.unwrap_or("none")));
    }

    fn number(&self) -> Pid {
        assert!(self.local, "process {} of another pid namespace is another process here", self.pid);
        Pid::from_raw(self.pid.cast_signed()).expect("a process number")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.number(), signal).expect("the agent is there");
    }

    /// `kill -9`, and its status is fetched.
    pub(crate) fn kill(mut self) -> u32 {
        self.end_now();
        self.pid
    }

    /// `kill -9` of its whole process group.
    pub(crate) fn kill_group(mut self) {
        kill_process_group(self.number(), Signal::KILL).expect("the group is there");
        self.end_now();
    }

    /// `kill -9`, and no process fetches its status as long as the value is kept.
    pub(crate) fn kill_unreaped(&self) {
        self.signal(Signal::KILL);
        super::eventually("a killed process becomes a zombie", || is_zombie(self.pid));
    }

    /// Waits until it has ended by itself, without fetching its status.
    pub(crate) fn wait_unreaped(&self) {
        super::eventually("it ends by itself", || is_zombie(self.pid));
    }

    /// The status with which it ended by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.as_mut().expect("a child of the test's own").wait().expect("its status")
    }

    fn end_now(&mut self) {
        match &mut self.child {
            Some(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            None => {
                // Its parent has not fetched its status, so that the number is still its own.
                self.signal(Signal::KILL);
                super::eventually("a killed process ends", || {
                    is_zombie(self.pid) || !std::path::Path::new(&format!("/proc/{}", self.pid)).exists()
                });
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // A forked one ends as its channel does.
        if self.child.is_some() {
            self.end_now();
        }
    }
}
