//! Python's `multiprocessing.shared_memory`: another process, which times what it does itself.

use std::process::Command;

use anyhow::Result;

use crate::agent::Agent;
use crate::bench::Bench;

const PROGRAM: &str = include_str!("../../peers/shared_memory.py");

/// A Python that listens, or it is skipped.
pub fn start(bench: &mut Bench) -> Result<Option<Agent>> {
    let mut agent = match Agent::of(Command::new("python3").args(["-c", PROGRAM])) {
        Ok(agent) => agent,
        Err(error) => {
            bench.skip("Python", format!("{error:#}"));
            return Ok(None);
        }
    };
    match agent.ask("version") {
        Ok(_) => Ok(Some(agent)),
        Err(error) => {
            bench.skip("Python", format!("{error:#}"));
            Ok(None)
        }
    }
}
