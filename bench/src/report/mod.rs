//! The outcome: `report.md` for people, `report.json` for programs, pictures for both.

mod markdown;
mod plot;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

pub use markdown::in_short;

use crate::outcome::Report;

/// Writes all of it.
pub fn write(report: &Report, folder: &Path) -> Result<()> {
    let put = |name: &str, text: &str| {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    };
    put("report.json", &(serde_json::to_string_pretty(report)? + "\n"))?;
    let pictures = plot::draw(report, folder)?;
    put("report.md", &markdown::full(report, &pictures))
}
