//! Peers, the hosts that they are on, and what the kernel says of memory.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(90);

/// One test at a time: they look at what the whole machine has.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn skipped(test: &str, why: &str) {
    let line = format!("SKIPPED: {test}: {why}");
    eprintln!("{line}");
    append("AREAS_SKIP_LOG", &line);
}

/// A line of the report, for the terminal and for the file that AREAS_ZENOH_REPORT names.
pub(crate) fn report(line: &str) {
    println!("{line}");
    append("AREAS_ZENOH_REPORT", line);
}

fn append(variable: &str, line: &str) {
    if let Some(path) = std::env::var_os(variable) {
        let mut file = fs::File::options()
            .append(true)
            .create(true)
            .open(path)
            .expect("the file that is to be written to");
        writeln!(file, "{line}").expect("a line can be written");
    }
}

/// How messages are allocated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Areas,
    Posix,
}

/// Where a peer runs: a registry, and perhaps a network and `/dev/shm` of its own.
pub(crate) struct Host {
    folder: PathBuf,
    address: &'static str,
    namespaces: Option<Child>,
}

impl Host {
    /// This machine, with a registry of its own.
    pub(crate) fn here(name: &str) -> Self {
        let folder =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("zenoh-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).expect("a folder for the registry");
        Self { folder, address: "127.0.0.1", namespaces: None }
    }

    /// A network and `/dev/shm` of its own, joined to this one's by a cable; why not, where that
    /// cannot be had.
    pub(crate) fn apart(name: &str) -> Result<Self, String> {
        let script =
            "mount -t tmpfs tmpfs /dev/shm && ip link set lo up && echo ready && exec sleep infinity";
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "sh", "-ec", script]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|why| format!("cannot run setpriv: {why}"))?;
        let mut line = String::new();
        let out = child.stdout.take().expect("the pipe that was asked for");
        let _ = BufReader::new(out).read_line(&mut line);
        let mut host = Self::here(name);
        host.address = "10.78.31.1";
        let pid = child.id();
        let err = child.stderr.take();
        host.namespaces = Some(child);
        if line.trim() != "ready" {
            let mut said = String::new();
            let _ = err.map(|mut err| err.read_to_string(&mut said));
            return Err(format!("no network and mount namespace can be made: {}", said.trim()));
        }
        let cable = format!(
            "ip link add rzen{pid} type veth peer name eth0 netns {pid} && ip addr add 10.78.31.1/30 dev rzen{pid} && ip link set rzen{pid} up \
             && nsenter --net=/proc/{pid}/ns/net sh -ec 'ip addr add 10.78.31.2/30 dev eth0; ip link set eth0 up'"
        );
        let laid = Command::new("sh")
            .args(["-ec", &cable])
            .output()
            .map_err(|why| format!("cannot run sh: {why}"))?;
        if !laid.status.success() {
            return Err(format!("no veth devices: {}", String::from_utf8_lossy(&laid.stderr).trim()));
        }
        Ok(host)
    }

    fn command(&self) -> Command {
        let peer = env!("CARGO_BIN_EXE_peer");
        let mut command = match &self.namespaces {
            None => Command::new(peer),
            Some(holder) => {
                let mut command = Command::new("nsenter");
                for (option, file) in [("net", "net"), ("mount", "mnt")] {
                    command.arg(format!("--{option}=/proc/{}/ns/{file}", holder.id()));
                }
                command.arg(peer);
                command
            }
        };
        command.env("AREAS_DIR", &self.folder);
        command
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut holder) = self.namespaces.take() {
            // The cable goes with the network.
            let _ = holder.kill();
            let _ = holder.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A process that publishes or subscribes. It is killed when this is dropped.
pub(crate) struct Peer {
    child: Child,
    _stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    said: mpsc::Receiver<String>,
}

impl Peer {
    pub(crate) fn start(host: &Host, words: &[&str]) -> Self {
        let mut command = host.command();
        let mut child = command
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the peer can be started");
        let (give, lines) = mpsc::channel();
        let out = child.stdout.take().expect("the pipe that was asked for");
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| give.send(line))
        });
        let (give, said) = mpsc::channel();
        let mut err = child.stderr.take().expect("the pipe that was asked for");
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = err.read_to_string(&mut text);
            let _ = give.send(text);
        });
        Self { _stdin: child.stdin.take(), child, lines, said }
    }

    fn next(&mut self) -> Value {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => serde_json::from_str(&line).expect("a peer says JSON"),
            Err(_) => panic!("a peer said nothing more: {}", self.ended()),
        }
    }

    /// What it said on its standard error, once it has ended; it is killed if it has not.
    pub(crate) fn ended(&mut self) -> String {
        let begun = Instant::now();
        while self.is_alive() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        self.said.recv_timeout(LIMIT).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// With SIGKILL: nothing of it runs any more.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A publisher, and a subscriber that is connected to it.
pub(crate) struct Pair {
    pub(crate) publisher: Peer,
    pub(crate) subscriber: Peer,
    about: Value,
}

impl Pair {
    pub(crate) fn start(
        publishes: &Host,
        subscribes: &Host,
        way: Way,
        flags: &[&str],
        size: usize,
        segment: usize,
    ) -> Self {
        static PORT: AtomicU16 = AtomicU16::new(0);
        let port = 20_000 + std::process::id() % 20_000 + u32::from(PORT.fetch_add(1, Ordering::Relaxed));
        let endpoint = format!("tcp/{}:{port}", subscribes.address);
        let common: Vec<&str> = flags.iter().copied().chain(["--endpoint", &endpoint]).collect();
        let memory = match way {
            Way::Areas => "areas",
            Way::Posix => "posix",
        };
        let (size, segment) = (size.to_string(), segment.to_string());
        let own = ["publish", "--memory", memory, "--size", &size, "--segment", &segment];
        let mut publisher = Peer::start(publishes, &[&common[..], &own].concat());
        let about = publisher.next()["about"].clone();
        let mut subscriber = Peer::start(subscribes, &[&common[..], &["subscribe"]].concat());
        assert_eq!(subscriber.next()["ready"], true);
        Self { publisher, subscriber, about }
    }

    /// What the publisher said of its area.
    pub(crate) fn publisher_about(&self) -> Value {
        self.about.clone()
    }

    pub(crate) fn received(&mut self) -> Value {
        self.subscriber.next()
    }

    pub(crate) fn kill(&mut self) {
        self.publisher.kill();
        self.subscriber.kill();
    }
}

/// Zenoh's files in `/dev/shm`.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) names: BTreeSet<PathBuf>,
    /// What they have of memory.
    pub(crate) bytes: u64,
}

impl Files {
    pub(crate) fn of_zenoh() -> Self {
        let entries =
            fs::read_dir("/dev/shm").expect("a folder").filter_map(Result::ok).map(|entry| entry.path());
        Self::of(entries.filter(|path| path.extension().is_some_and(|end| end == "zenoh")).collect())
    }

    fn of(names: BTreeSet<PathBuf>) -> Self {
        let bytes =
            names.iter().filter_map(|path| fs::metadata(path).ok()).map(|about| about.blocks() * 512).sum();
        Self { names, bytes }
    }

    pub(crate) fn beyond(self, before: &Self) -> Self {
        Self::of(self.names.difference(&before.names).cloned().collect())
    }

    pub(crate) fn remove(&self) {
        for path in &self.names {
            let _ = fs::remove_file(path);
        }
    }
}

/// Bytes in memory of a process's mapping of an inode.
pub(crate) fn resident(pid: u32, inode: &Value) -> usize {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps")).expect("a living process of this user");
    let of_inode = format!(" {inode} ");
    let mut within = false;
    let mut bytes = 0;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [range, _, _, _, _, ..] if range.contains('-') => within = line.contains(&of_inode),
            ["Rss:", kib, "kB"] if within => bytes += kib.parse::<usize>().expect("a number") * 1024,
            _ => {}
        }
    }
    bytes
}

/// Processes that have a memory object mapped, or a descriptor of it.
pub(crate) fn holders(inode: &Value) -> BTreeSet<u32> {
    let in_maps = format!(" {inode} ");
    let pids = fs::read_dir("/proc").expect("procfs").filter_map(Result::ok);
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        let mapped = maps.lines().any(|line| line.contains("/memfd:") && line.contains(&in_maps));
        let descriptors =
            fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().filter_map(Result::ok);
        let opened = |path: PathBuf| {
            fs::read_link(&path).is_ok_and(|to| to.to_string_lossy().starts_with("/memfd:"))
                && fs::metadata(&path).is_ok_and(|about| Some(about.ino()) == inode.as_u64())
        };
        mapped || descriptors.map(|entry| entry.path()).any(opened)
    })
    .collect()
}

/// GB/s of copying that many bytes from one place to another, the best of five.
pub(crate) fn copy_speed(size: usize) -> String {
    let from = vec![1_u8; size];
    let mut to = vec![2_u8; size];
    let best = (0..5).map(|_| {
        let begun = Instant::now();
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&to);
        begun.elapsed().as_secs_f64()
    });
    format!("{:.2}", size as f64 / best.fold(f64::INFINITY, f64::min) / 1e9)
}
