//! The processes that look: a bystander, which holds areas all the while and has seen the dead
//! alive, and newcomers.
//!
//! The upper half is the other process, the lower half the driver's handle of it; they talk in
//! lines.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use areas::{Address, Area, ErrorKind, Frozen, Lock, Received, Resizable, Shared, Transfer, registry};

use crate::contents::{NAMES, SIZE, VICTIM, has_pattern, pattern};
use crate::operation::handing::{FIRST_GIVEN, SEQUENCES};
use crate::stage::Stage;

struct Holdings {
    shared: Vec<Area<Shared>>,
    frozen: Area<Frozen>,
    resizable: Area<Resizable>,
    /// What is to be given to a victim.
    gift: Option<Area<Shared>>,
}

impl Holdings {
    fn new() -> Result<Self> {
        let fixed = areas::builder(SIZE).shared()?;
        let growable = areas::builder(SIZE).growable(4 * SIZE).shared()?;
        let locked = areas::builder(SIZE).lock(Lock::Full).shared()?;
        let mut shared = vec![fixed, growable, locked];
        for (area, name) in shared.iter_mut().zip([NAMES[0], NAMES[2], NAMES[3]]) {
            area.write_at(0, &pattern(name, SIZE))?;
            area.publish(name)?;
        }
        let frozen = areas::builder(SIZE).shared()?;
        frozen.write_at(0, &pattern(NAMES[1], SIZE))?;
        let mut frozen = frozen.freeze()?;
        frozen.publish(NAMES[1])?;
        let mut resizable = areas::builder(SIZE).resizable(4 * SIZE)?;
        resizable.write_at(0, &pattern(NAMES[4], SIZE))?;
        // Marked as one that others have, as it is by the first clone: each run of an operation
        // makes the same calls then.
        let _ = resizable.object();
        resizable.publish(NAMES[4])?;
        Ok(Holdings { shared, frozen, resizable, gift: None })
    }

    /// Makes what will be given away.
    fn wrap(&mut self) -> Result<()> {
        let mut area = areas::builder(SIZE).shared()?;
        area.write_at(0, &pattern(VICTIM, SIZE))?;
        area.publish(VICTIM)?;
        self.gift = Some(area);
        Ok(())
    }

    /// Gives it away.
    fn give(&mut self, pid: &str) -> Result<()> {
        let pid = pid.parse().context("a process number")?;
        match self.gift.take().context("nothing to give")?.transfer(pid, Address::Any) {
            Ok(Transfer::Given(_)) => Ok(()),
            Ok(other) => bail!("it became {other:?}"),
            Err(rejected) => Err(rejected.error).context("give it"),
        }
    }

    /// Every byte of its own areas, and that it finds them.
    fn check(&self) -> Result<()> {
        for (area, name) in self.shared.iter().zip([NAMES[0], NAMES[2], NAMES[3]]) {
            has_pattern(area, name, SIZE).map_err(|wrong| anyhow!(wrong))?;
        }
        ensure!(self.frozen[..] == pattern(NAMES[1], SIZE), "the frozen area has other bytes");
        let mut bytes = vec![0; SIZE];
        self.resizable.read_at(0, &mut bytes)?;
        ensure!(bytes == pattern(NAMES[4], SIZE), "the resizable area has other bytes");
        ensure!(self.resizable.size() == SIZE, "the resizable area has {} bytes", self.resizable.size());
        for name in NAMES {
            let found = registry::find(name).with_context(|| format!("find {name}"))?;
            ensure!(found.pid() == std::process::id(), "{name} is found in process {}", found.pid());
        }
        Ok(())
    }
}

/// The names that are listed must be these.
fn listed(expected: &[&str]) -> Result<()> {
    let listing = registry::list().context("list")?;
    ensure!(listing.unreadable.is_empty(), "listed as unreadable: {:?}", listing.unreadable);
    let mut names: Vec<String> = listing.areas.iter().map(|source| source.name().to_string()).collect();
    names.sort();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    ensure!(names == expected, "listed are {names:?} instead of {expected:?}");
    for source in &listing.areas {
        source.info().with_context(|| format!("look at {}", source.name()))?;
    }
    Ok(())
}

/// So many areas must have come from a victim, whole; they are found, and dropped again.
fn arrived(count: usize) -> Result<()> {
    let came = registry::transferred().context("what came")?;
    ensure!(came.len() == count, "{} areas came instead of {count}", came.len());
    for transferred in came {
        let found = registry::find(VICTIM).context("find what came")?;
        ensure!(found.id() == transferred.id() && found.is_own(), "its name leads to {found:?}");
        // What was offered was claimed before, and the claim came with it, whenever its giver was
        // killed.
        ensure!(found.id().get() % SEQUENCES >= FIRST_GIVEN, "it came without its claim: {}", found.id());
        let Received::Shared(area) = transferred.take().context("take it")? else {
            bail!("it is no shared area any more");
        };
        has_pattern(&area, VICTIM, SIZE).map_err(|wrong| anyhow!(wrong))?;
    }
    Ok(())
}

/// An area of the victim's name is there, under one id, or under two while it moves.
fn there() -> Result<()> {
    let count =
        registry::list()?.areas.iter().filter(|area| area.name().as_bytes() == VICTIM.as_bytes()).count();
    ensure!((1..=2).contains(&count), "{count} areas have its name while it changes hands");
    registry::find(VICTIM).map(drop).context("find it while it changes hands")
}

/// While a victim is stopped in the middle of something: whatever is there already must be whole.
fn glance(holdings: &Holdings) -> Result<()> {
    holdings.check()?;
    registry::list().context("list while it is under way")?;
    match registry::find(VICTIM) {
        Ok(source) => {
            let size = source.info().context("look at what was found")?.size;
            ensure!(size > 0, "found with a size of 0");
            ensure!(
                source.id().to_string().parse::<i32>().is_ok_and(|id| id > 0),
                "found with id {}",
                source.id()
            );
        }
        Err(error) if error.kind() == ErrorKind::NoSuchArea => {}
        Err(error) => return Err(error).context("find it while it is under way"),
    }
    Ok(())
}

/// The bystander's own part: answers each line with "ok" or with what is wrong.
pub(crate) fn serve() -> Result<bool> {
    let mut holdings = Holdings::new()?;
    say("ok");
    for line in std::io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let result = match words[..] {
            ["glance"] => glance(&holdings),
            ["settled", ref more @ ..] => holdings.check().and_then(|()| {
                let expected: Vec<&str> = NAMES.iter().chain(more).copied().collect();
                listed(&expected)?;
                ensure!(
                    more.contains(&VICTIM) || registry::find(VICTIM).is_err(),
                    "the dead one's area is found"
                );
                Ok(())
            }),
            ["wrap"] => holdings.wrap(),
            ["give", pid] => holdings.give(pid),
            ["there"] => there(),
            ["arrived", count] => count.parse().context("a number").and_then(arrived),
            ["keep"] => registry::ensure_published().context("keep"),
            ["find", name] => registry::find(name).map(drop).with_context(|| format!("find {name}")),
            _ => bail!("no such question: {line}"),
        };
        match result {
            Ok(()) => say("ok"),
            Err(error) => say(&format!("{error:#}").replace('\n', "; ")),
        }
    }
    Ok(true)
}

/// The newcomer's own part: it sees what it should, joins, is found, and goes.
pub(crate) fn come(expected: &[String]) -> Result<bool> {
    let result = (|| {
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        listed(&expected)?;
        ensure!(
            registry::find(VICTIM).is_err() || expected.contains(&VICTIM),
            "the dead one's area is found"
        );
        let area = areas::builder(SIZE).name("newcomer").shared().context("join and publish")?;
        area.write_at(0, &pattern("newcomer", SIZE))?;
        let clone = registry::find("newcomer").context("find itself")?.open_read_only()?;
        has_pattern(&clone, "newcomer", SIZE).map_err(|wrong| anyhow!(wrong))?;
        Ok::<_, anyhow::Error>(area)
    })();
    match &result {
        Ok(_) => say("ok"),
        Err(error) => say(&format!("{error:#}").replace('\n', "; ")),
    }
    // Held until the other side has looked.
    let _ = std::io::stdin().lines().next();
    Ok(result.is_ok())
}

fn say(line: &str) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}

/// A process that looks, seen from the driver. It goes with the value.
#[derive(Debug)]
pub(crate) struct Looker {
    who: &'static str,
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Looker {
    pub(crate) fn bystander(stage: &Stage) -> Result<Self> {
        Self::start(stage, "the bystander", &["bystander"])
    }

    /// One that has just come, and sees these areas.
    pub(crate) fn newcomer(stage: &Stage, expected: &[&str]) -> Result<Self> {
        let args: Vec<&str> = ["newcomer"].iter().chain(expected).copied().collect();
        Self::start(stage, "a newcomer", &args)
    }

    fn start(stage: &Stage, who: &'static str, args: &[&str]) -> Result<Self> {
        let mut child = stage.command(args)?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (to, from) = (child.stdin.take(), child.stdout.take().context("its pipe")?);
        let mut looker = Looker { who, child, to, from: BufReader::new(from) };
        looker.answer()?;
        Ok(looker)
    }

    fn answer(&mut self) -> Result<()> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        match line.trim_end() {
            "ok" => Ok(()),
            "" => bail!("{} has died", self.who),
            wrong => bail!("{} says: {wrong}", self.who),
        }
    }

    pub(crate) fn ask(&mut self, question: &str) -> Result<()> {
        let to = self.to.as_mut().context("it has gone")?;
        writeln!(to, "{question}").with_context(|| format!("{} has died", self.who))?;
        self.answer()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        drop(self.to.take());
        // Killed rather than ended: what it leaves is for the next one to clear.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
