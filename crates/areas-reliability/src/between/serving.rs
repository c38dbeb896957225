//! The peer's process: it does what it is asked, line by line.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use areas::registry;

use super::looking::{By, OFFERED, Offer};
use super::mutation::{self, How};
use super::peer::{Peer, Scene};

/// The peer's own part: answers each line with "ok" or with what is wrong. Its first line is the id
/// of what it offers.
pub(super) fn serve(offer: Offer, by: By, scene: Scene) -> Result<bool> {
    let folder = std::env::var_os("AREAS_DIR").map(PathBuf::from).context("AREAS_DIR")?;
    let mut peer = Peer::new(offer, by, scene, &folder)?;
    say(&registry::find(OFFERED)?.id().to_string())?;
    for line in std::io::stdin().lines() {
        let line = line?;
        let result = match line.split_once(' ') {
            Some(("mutate", name)) => mutate(&mut peer, name),
            Some(("arrange", looker)) => looker.parse().context("a number").and_then(|pid| peer.arrange(pid)),
            _ => bail!("no such order: {line}"),
        };
        match result {
            Ok(()) => say("ok")?,
            Err(error) => say(&format!("{error:#}").replace('\n', "; "))?,
        }
    }
    Ok(true)
}

/// Carries out a change.
fn mutate(peer: &mut Peer, name: &str) -> Result<()> {
    match mutation::named(name)?.how {
        How::Peer(act) | How::PeerStopped(act) => act(peer),
        How::Driver(_) => bail!("{name} is not the peer's to do"),
    }
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
