//! Other processes: they hold areas, look for them, run commands. Each does what it is asked on its
//! standard input, a line at a time, and answers with one line; it ends when its standard input
//! ends.
//!
//! | asked | does | answers |
//! |---|---|---|
//! | `hold PREFIX COUNT` | publishes areas PREFIX-0 … of 4 KiB | how many |
//! | `meet PREFIX TEAMS EACH` | remembers the names of areas PREFIX-team-0 …, and meets their teams | how many |
//! | `time OPERATION TIMES` | does one of `OPERATIONS` so often | nanoseconds |
//! | `threads COUNT TIMES` | `at`, by several threads at once | nanoseconds of the slowest |
//! | `crowd WHO OWN NEXT EACH` | is one of a crowd (`crowd.rs`), which then is asked to `make`, `open` and `drop` | how many |
//! | `ring WHO out\|in NAME` | is one end of a ring of frames (`jobs.rs`) | 0 |
//! | `pass FRAMES` | passes so many | a sum of what was read |
//! | `read WHO NAME SIZE` | reads one large block | its sum |
//! | `segments COUNT` | makes System V segments in a namespace of its own | how many |
//! | `run TIMES PROGRAM …` | runs a program so often | nanoseconds |

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Barrier;
use std::time::Instant;
use std::{fs, io};

use anyhow::{Context as _, Result, bail, ensure};
use areas::registry::{self, Source};
use areas::{Area, ErrorKind, Shared};

use crate::measure::{Side, nanoseconds};

/// Another process, from the side of the one that talks to it.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    talk: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Agent {
    /// This program, as an agent; with a registry of its own if that is said.
    pub fn start(registry: Option<&std::path::Path>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("agent");
        if let Some(folder) = registry {
            command.env("AREAS_DIR", folder);
        }
        Agent::of(&mut command)
    }

    /// Any program that speaks as agents do.
    pub fn of(command: &mut Command) -> Result<Self> {
        inherit_nothing()?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        let answers = BufReader::new(child.stdout.take().context("the pipe that was asked for")?);
        Ok(Agent { talk: child.stdin.take(), child, answers })
    }

    /// Says something; the answer comes later.
    pub fn say(&mut self, what: &str) -> Result<()> {
        let talk = self.talk.as_mut().context("the agent was asked to end")?;
        writeln!(talk, "{what}").with_context(|| format!("ask an agent: {what}"))
    }

    /// The answer to what was said.
    pub fn answer(&mut self) -> Result<u64> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let line = line.trim();
        line.parse().with_context(|| format!("an agent said {line:?}"))
    }

    pub fn ask(&mut self, what: &str) -> Result<u64> {
        self.say(what)?;
        self.answer()
    }

    /// Another process's work as a side: `what` with `{}` for how often.
    pub fn side<'a>(&'a mut self, who: &str, what: &'a str) -> Side<'a> {
        Side::new(who, move |times| self.ask(&what.replace("{}", &times.to_string())))
    }

    /// Ends it at once, as a crash would.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It reads the end of its input, and ends.
        self.talk = None;
        let _ = self.child.wait();
    }
}

/// What can be timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    FindWarm,
    FindFirst,
    FindMiss,
    Get,
    Info,
    At,
    List,
}

const OPERATIONS: [(&str, Operation); 7] = [
    ("find-warm", Operation::FindWarm),
    ("find-first", Operation::FindFirst),
    ("find-miss", Operation::FindMiss),
    ("get", Operation::Get),
    ("info", Operation::Info),
    ("at", Operation::At),
    ("list", Operation::List),
];

/// An agent's own side.
#[derive(Default)]
struct Served {
    held: Vec<Area<Shared>>,
    /// The last byte of each: to ask about one, its area need not be looked at.
    ends: Vec<usize>,
    names: Vec<String>,
    /// How many names were looked for the first time.
    asked: usize,
    met: Vec<Source>,
    crowd: Option<crate::crowd::One>,
    ring: Option<Box<dyn crate::jobs::End>>,
}

/// Does as it is asked, until its input ends.
pub fn serve() -> Result<()> {
    raise_limit();
    let mut served = Served::default();
    for line in io::stdin().lines() {
        let line = line?;
        match served.does(&line) {
            Ok(answer) => println!("{answer}"),
            Err(error) => println!("{line}: {error:#}"),
        }
        io::stdout().flush()?;
    }
    Ok(())
}

/// As many open files as may be: root has enough for any row, whatever it was started with.
pub fn raise_limit() -> u64 {
    const ENOUGH: u64 = 60_200;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a place for the answer.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    let enough = libc::rlimit { rlim_cur: ENOUGH, rlim_max: ENOUGH };
    // SAFETY: both limits to one number, which only who may is allowed; the structure outlives the
    // call.
    if limit.rlim_max < ENOUGH && unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const enough) } == 0 {
        return ENOUGH;
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as it was answered, the soft limit raised to the hard one.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    limit.rlim_cur
}

/// Has a program that is run inherit the standard streams alone: a peer in this process may leave
/// descriptors without close-on-exec, and agents count theirs.
fn inherit_nothing() -> io::Result<()> {
    // SAFETY: it sets a flag of descriptors, and closes none.
    let set = unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Served {
    fn does(&mut self, line: &str) -> Result<u64> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["hold", prefix, count] => {
                for i in 0..count.parse()? {
                    let area = areas::builder(4096).name(format!("{prefix}-{i}")).shared()?;
                    self.ends.push(area.as_ptr().addr() + 4_095);
                    self.held.push(area);
                }
                Ok(self.held.len() as u64)
            }
            ["meet", prefix, teams, each] => self.meet(prefix, teams.parse()?, each.parse()?),
            ["forbid-pidfd"] => forbid_pidfd().map(|()| 0),
            ["time", operation @ ("clone" | "clone-read-only"), name, times] => {
                let start = Instant::now();
                for _ in 0..times.parse::<u64>()? {
                    let source = registry::find(name)?;
                    drop(if operation == "clone" { source.open()? } else { source.open_read_only()? });
                }
                Ok(nanoseconds(start.elapsed()))
            }
            ["time", operation, times] => self.time(operation, times.parse()?),
            ["threads", count, times] => self.threads(count.parse()?, times.parse()?),
            ["segments", count] => segments(count.parse()?),
            ["crowd", who, own, next, each] => {
                let each = each.parse()?;
                self.crowd = Some(crate::crowd::One::new(who, own, next, each)?);
                Ok(each as u64)
            }
            [step @ ("make" | "open" | "drop")] => {
                let one = self.crowd.as_mut().context("it is one of no crowd")?;
                match step {
                    "make" => one.make(),
                    "open" => one.open(),
                    _ => one.drop(),
                }
            }
            ["ring", who, end, name] => {
                self.ring = Some(crate::jobs::end(who, end == "out", name)?);
                Ok(0)
            }
            ["pass", frames] => self.ring.as_mut().context("it is no end of a ring")?.pass(frames.parse()?),
            ["read", who, name, size] => crate::jobs::read(who, name, size.parse()?),
            ["run", times, program, ref rest @ ..] => {
                let start = Instant::now();
                for _ in 0..times.parse::<u64>()? {
                    let status = Command::new(program)
                        .args(rest)
                        .stdin(Stdio::null())
                        .stdout(Stdio::null())
                        .status()?;
                    ensure!(status.success(), "{status}");
                }
                Ok(nanoseconds(start.elapsed()))
            }
            _ => bail!("not understood"),
        }
    }

    fn meet(&mut self, prefix: &str, teams: usize, each: usize) -> Result<u64> {
        let mut names: Vec<String> =
            (0..each).flat_map(|i| (0..teams).map(move |team| format!("{prefix}-{team}-{i}"))).collect();
        let all = names.len();
        // A step without a common divisor meets each once, in no order that a cache would like.
        let step =
            (1..).map(|i| i * 7_919 % all.max(1)).find(|&step| divisor(step.max(1), all) == 1).unwrap_or(1);
        self.names = (0..all).map(|i| std::mem::take(&mut names[i * step.max(1) % all])).collect();
        self.asked = 0;
        self.met = registry::list()?.areas.into_iter().filter(|source| !source.is_own()).collect();
        ensure!(self.met.len() >= all, "{} areas are there, not {all}", self.met.len());
        // A folder that changed within the last clock ticks is read at each call, as its time may
        // hide another change.
        std::thread::sleep(std::time::Duration::from_millis(300));
        if all > 0 {
            self.found(0)?;
        }
        Ok(all as u64)
    }

    fn found(&self, i: usize) -> Result<()> {
        let name = &self.names[i];
        let found = registry::find(name)?;
        ensure!(found.name().as_bytes() == name.as_bytes(), "found {found:?} for {name}");
        Ok(())
    }

    fn time(&mut self, operation: &str, times: u64) -> Result<u64> {
        let Some(&(_, operation)) = OPERATIONS.iter().find(|(name, _)| *name == operation) else {
            bail!("no such operation");
        };
        let times = usize::try_from(times)?;
        let first = self.asked;
        if operation == Operation::FindFirst {
            ensure!(first + times < self.names.len(), "all names were looked for");
            self.asked += times;
        }
        let start = Instant::now();
        for i in 0..times {
            match operation {
                Operation::FindWarm => self.found(0)?,
                // The very first was found as the teams were met.
                Operation::FindFirst => self.found(first + i + 1)?,
                Operation::FindMiss => match registry::find("nobody's") {
                    Err(error) if error.kind() == ErrorKind::NoSuchArea => {}
                    other => bail!("{other:?}"),
                },
                Operation::Get => {
                    let source = &self.met[i * 31 % self.met.len()];
                    ensure!(registry::get(source.id())?.id() == source.id(), "another area");
                }
                Operation::Info => {
                    ensure!(self.met[i * 31 % self.met.len()].info()?.size == 4096, "another size")
                }
                Operation::At => self.at(i)?,
                Operation::List => {
                    ensure!(registry::list()?.areas.len() >= self.met.len(), "areas are missing")
                }
            }
        }
        Ok(nanoseconds(start.elapsed()))
    }

    /// Whose is an address of the `i`-th area, or so?
    fn at(&self, i: usize) -> Result<()> {
        // No order that the processor could guess.
        let id = registry::id_at(self.ends[i.wrapping_mul(2_654_435_761) % self.ends.len()])?;
        ensure!(id.get() > 0, "no id");
        Ok(())
    }

    fn threads(&self, count: usize, times: usize) -> Result<u64> {
        let addresses = &self.ends;
        let together = Barrier::new(count);
        let slowest = std::thread::scope(|scope| {
            let one = || {
                together.wait();
                let start = Instant::now();
                for i in 0..times {
                    let address = addresses[i.wrapping_mul(2_654_435_761) % addresses.len()];
                    if registry::id_at(address).is_err() {
                        return None;
                    }
                }
                Some(nanoseconds(start.elapsed()))
            };
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().ok().flatten()).collect::<Option<Vec<_>>>()
        });
        slowest.and_then(|times| times.into_iter().max()).context("an address was no area's")
    }
}

fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// From now on the kernel refuses this process `pidfd_getfd` (EPERM), as many a sandbox does.
fn forbid_pidfd() -> Result<()> {
    // The native numbers only, which is what this program uses.
    #[expect(clippy::cast_possible_truncation, reason = "codes of the filter's language, which are 16 bits")]
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    #[expect(clippy::cast_possible_truncation, reason = "codes of the filter's language, which are 16 bits")]
    const IF: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    #[expect(clippy::cast_possible_truncation, reason = "codes of the filter's language, which are 16 bits")]
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let code = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let number = u32::try_from(libc::SYS_pidfd_getfd)?;
    let mut filter = [
        // The call's number is the first word of what a filter sees.
        code(LOAD, 0, 0, 0),
        code(IF, 0, 1, number),
        code(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned()),
        code(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: u16::try_from(filter.len())?, filter: filter.as_mut_ptr() };
    // SAFETY: numbers.
    let status = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    ensure!(status == 0, "prctl(PR_SET_NO_NEW_PRIVS): {}", io::Error::last_os_error());
    // SAFETY: the filter outlives the call, which copies it.
    let status = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    ensure!(status == 0, "prctl(PR_SET_SECCOMP): {}", io::Error::last_os_error());
    Ok(())
}

/// System V segments, in a namespace that goes with this process.
fn segments(count: u64) -> Result<u64> {
    // SAFETY: this process gets a namespace of its own.
    if unsafe { libc::unshare(libc::CLONE_NEWIPC) } != 0 {
        bail!("unshare(CLONE_NEWIPC): {}", io::Error::last_os_error());
    }
    fs::write("/proc/sys/kernel/shmmni", (count + 16).to_string()).context("/proc/sys/kernel/shmmni")?;
    for _ in 0..count {
        // SAFETY: makes a segment, maps nothing.
        if unsafe { libc::shmget(libc::IPC_PRIVATE, 4096, libc::IPC_CREAT | 0o600) } < 0 {
            bail!("shmget: {}", io::Error::last_os_error());
        }
    }
    Ok(count)
}
