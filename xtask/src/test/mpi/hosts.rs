//! Two hosts on this machine: for each a network, pid, uts, ipc and mount namespace, a folder for
//! its registry, and a cable to a switch in a third network. All of it goes with the processes that
//! this one holds.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::built::Built;

/// The network between them. It is seen by no other process.
const NETWORK: &str = "10.77.0";
pub(super) const NAMES: [&str; 2] = ["host-a", "host-b"];

/// A process that holds namespaces; they end with it.
struct Holder(Child);

impl Holder {
    /// Runs `script`, which says a line when it is ready, and stays.
    fn start(flags: &[&str], script: &str) -> Result<Self> {
        // Nothing is left if this process is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare"]).args(flags).args(["sh", "-ec", script]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = Self(command.spawn().context("cannot run setpriv and unshare")?);
        let out = holder.0.stdout.take().context("the pipe that was asked for")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        if line.trim() != "ready" {
            let _ = holder.0.kill();
            let mut child = holder;
            let mut said = String::new();
            if let Some(mut err) = child.0.stderr.take() {
                std::io::Read::read_to_string(&mut err, &mut said)?;
            }
            bail!("cannot make namespaces ({}): {said}", flags.join(" "));
        }
        Ok(holder)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Nothing else could be done about a failure.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The hosts, and what `mpirun` needs to reach them.
pub(super) struct Hosts<'a> {
    pub(super) built: &'a Built,
    switch: Holder,
    hosts: Vec<Holder>,
    folder: PathBuf,
}

/// Why there can be none here, where that is not an error.
pub(super) fn lacking() -> Option<&'static str> {
    let root = fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0);
    if !root {
        return Some("hosts are namespaces, and making them takes root");
    }
    let mut unshare = Command::new("unshare");
    unshare.args([
        "--net",
        "--mount",
        "--uts",
        "--ipc",
        "--pid",
        "--fork",
        "--mount-proc",
        "ip",
        "link",
        "add",
        "cable",
        "type",
        "veth",
    ]);
    let made = unshare.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success());
    (!made).then_some("this machine forbids network and pid namespaces, or has no veth devices")
}

impl<'a> Hosts<'a> {
    pub(super) fn make(built: &'a Built, name: &str) -> Result<Self> {
        let folder = built.work.join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let up = "ip link set lo up; ip link add switch type bridge; ip link set switch up; echo ready; exec sleep infinity";
        let switch = Holder::start(&["--net", "--mount"], up)?;
        let mut hosts = Vec::new();
        for (number, name) in NAMES.iter().enumerate() {
            let flags =
                ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"];
            let script = format!(
                "hostname {name}; mount -t tmpfs tmpfs /dev/shm; ip link set lo up; echo ready; exec sleep infinity"
            );
            let host = Holder::start(&flags, &script)?;
            let pid = host.pid();
            let cable = format!(
                "ip link add port{number} type veth peer name eth0 netns {pid} && ip link set port{number} master switch up"
            );
            in_network(switch.pid(), &cable)?;
            let address = 2 + number;
            in_network(pid, &format!("ip addr add {NETWORK}.{address}/24 dev eth0 && ip link set eth0 up"))?;
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.join(name).join("areas"))?;
            fs::create_dir_all(folder.join(name).join("tmp"))?;
            hosts.push(host);
        }
        in_network(switch.pid(), &format!("ip addr add {NETWORK}.1/24 dev switch"))?;
        let made = Self { built, switch, hosts, folder };
        made.write_agent("")?;
        Ok(made)
    }

    /// What `mpirun` starts its daemon on a host with, as it would ssh. `limits` is a shell command
    /// for the second host.
    pub(super) fn write_agent(&self, limits: &str) -> Result<()> {
        let mut text = "#!/bin/sh\nhost=$1; shift\nlimits=:\ncase $host in\n".to_owned();
        for (number, name) in NAMES.iter().enumerate() {
            let limits = if number == 1 && !limits.is_empty() { limits } else { ":" };
            text += &format!("{name}) pid={}; limits='{limits}' ;;\n", self.hosts[number].pid());
        }
        text += &format!(
            "esac\nexec {} sh -c \"$limits; $*\"\n",
            entering("$pid", &self.folder.join("$host").to_string_lossy()).join(" ")
        );
        let agent = self.agent();
        fs::write(&agent, text)?;
        fs::set_permissions(&agent, fs::Permissions::from_mode(0o755))
            .context("cannot make the agent executable")
    }

    fn agent(&self) -> PathBuf {
        self.folder.join("agent")
    }

    /// The folder of this set of hosts.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// `mpirun`, from the switch's network, with so many ranks on each of the hosts.
    pub(super) fn mpirun(&self, per_host: usize) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.switch.pid()))
            .args(["--", "mpirun"])
            .args(super::job::OPTIONS);
        command.args(["--mca", "plm_rsh_agent"]).arg(self.agent());
        let network = format!("{NETWORK}.0/24");
        command.args(["--mca", "btl_tcp_if_include", &network, "--mca", "oob_tcp_if_include", &network]);
        let hosts: Vec<String> = NAMES.iter().map(|name| format!("{name}:{per_host}")).collect();
        command.args(["--host", &hosts.join(","), "-np", &(per_host * NAMES.len()).to_string()]);
        command.env("TMPDIR", &self.folder);
        command
    }

    /// Runs a program on a host.
    pub(super) fn on(&self, host: usize, words: &[&str]) -> Result<Output> {
        let enter =
            entering(&self.hosts[host].pid().to_string(), &self.folder.join(NAMES[host]).to_string_lossy());
        let mut command = Command::new(&enter[0]);
        command.args(&enter[1..]).args(words).stdin(Stdio::null());
        command.output().with_context(|| format!("cannot run {} on {}", words.join(" "), NAMES[host]))
    }

    /// Runs `areas` on a host, which succeeds.
    pub(super) fn areas(&self, host: usize, words: &[&str]) -> Result<Vec<u8>> {
        let program = self.built.areas.to_string_lossy().into_owned();
        let words: Vec<&str> = std::iter::once(program.as_str()).chain(words.iter().copied()).collect();
        let output = self.on(host, &words)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "on {}: {} ({}): {said}",
            NAMES[host],
            words.join(" "),
            output.status
        );
        Ok(output.stdout)
    }

    /// Processes of the hosts that run `program`: their ids here, and the environment that each was
    /// started with.
    pub(super) fn processes(&self, program: &Path) -> Vec<(u32, String)> {
        let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program))
            .map(|pid| {
                (
                    pid,
                    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/environ")).unwrap_or_default())
                        .into_owned(),
                )
            })
            .collect()
    }
}

/// How to get onto a host.
fn entering(pid: &str, folder: &str) -> Vec<String> {
    let namespaces =
        [("net", "net"), ("mount", "mnt"), ("uts", "uts"), ("ipc", "ipc"), ("pid", "pid_for_children")];
    let mut words = vec!["nsenter".to_owned()];
    words.extend(namespaces.map(|(option, file)| format!("--{option}=/proc/{pid}/ns/{file}")));
    words.extend(["--", "env"].map(str::to_owned));
    words.extend([format!("AREAS_DIR={folder}/areas"), format!("TMPDIR={folder}/tmp")]);
    words
}

/// Runs a line in the network namespace of a process.
fn in_network(pid: u32, line: &str) -> Result<()> {
    let network = format!("--net=/proc/{pid}/ns/net");
    let output =
        Command::new("nsenter").args([&network, "--", "sh", "-ec", line]).stdin(Stdio::null()).output()?;
    ensure!(
        output.status.success(),
        "{line} ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
