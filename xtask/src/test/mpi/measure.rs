//! How fast `areas-spread` is, beside ordinary memory in the same job: for `cargo xtask reach
//! table`.

use anyhow::{Context as _, Result};

use super::built::Built;
use super::hosts;
use super::job::signal;
use super::spread::Scene;

/// Seconds of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    /// Areas made, with all their pages.
    pub(crate) made: f64,
    /// Read, sent into the areas, and checked.
    pub(crate) moved: f64,
    /// Read and sent into memory of malloc's, one after the other, and not checked.
    pub(crate) plain: f64,
    /// Sent alone, into pages that are there.
    pub(crate) broadcast: f64,
}

/// Several runs of `size` bytes with an optimised library; or why there can be none here.
pub(crate) fn measure(size: usize, rounds: u32) -> Result<Result<Vec<Measured>, String>> {
    if let Some(why) = super::lacking().or_else(|| hosts::lacking().map(str::to_owned)) {
        return Ok(Err(why));
    }
    let built = Built::optimised()?;
    let scene = Scene::make(&built, "measured", size)?;
    let mut runs = Vec::new();
    for _ in 0..rounds {
        let mut job = scene.spread(&scene.file, &[], &["--freeze", "--compare"])?;
        // What it says last.
        job.until("MPI_Bcast alone in")?;
        let said = job.said();
        runs.push(Measured::read(&said).with_context(|| format!("areas-spread says no times:\n{said}"))?);
        signal(job.pid(), "TERM");
        job.end()?;
        scene.nothing_left()?;
    }
    Ok(Ok(runs))
}

impl Measured {
    fn read(said: &str) -> Option<Self> {
        let seconds = |before: &str| -> Option<f64> {
            said.split(before).nth(1)?.trim_start().split_once(" s")?.0.parse().ok()
        };
        Some(Self {
            made: seconds("areas made and populated in")?,
            moved: seconds("read, sent and checked in")?,
            plain: seconds("not checked: read and sent in")?,
            broadcast: seconds("MPI_Bcast alone in")?,
        })
    }
}

#[test]
fn times_are_read_from_what_it_says() {
    let said = "  areas made and populated in 0.500 s, read, sent and checked in 1.250 s (0.86 GB/s), both in 1.750 s (0.61 GB/s)
  into ordinary memory, not checked: read and sent in 2.000 s (0.54 GB/s), MPI_Bcast alone in 0.750 s (1.43 GB/s)\n";
    let read = Measured { made: 0.5, moved: 1.25, plain: 2.0, broadcast: 0.75 };
    assert_eq!(Measured::read(said), Some(read));
    assert_eq!(Measured::read("nothing"), None);
}
