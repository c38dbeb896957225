//! The outcome, for people: a bar while it runs, and the report afterwards.

use std::fmt::Write as _;
use std::fs;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// How far it is: a bar on terminals, and a line an operation everywhere.
#[derive(Debug)]
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    pub(crate) fn new(what: &'static str, operations: usize) -> Self {
        if !std::io::stderr().is_terminal() {
            return Bar(None);
        }
        let bar = ProgressBar::new(operations as u64);
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        bar.set_prefix(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar(Some(bar))
    }

    pub(crate) fn at(&self, operation: &'static str) {
        if let Some(bar) = &self.0 {
            if !bar.message().is_empty() {
                bar.inc(1);
            }
            bar.set_message(operation);
        }
    }

    pub(crate) fn say(&self, line: &str) {
        match &self.0 {
            Some(bar) => bar.suspend(|| println!("{line}")),
            None => println!("{line}"),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Writes rows as JSON, and the chapter.
pub(crate) fn write(folder: &Path, name: &str, rows: &impl Serialize, chapter: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let json = folder.join(format!("{name}.json"));
    fs::write(&json, serde_json::to_string_pretty(rows)? + "\n")
        .with_context(|| format!("write {}", json.display()))?;
    let text = folder.join(format!("{name}.md"));
    fs::write(&text, chapter).with_context(|| format!("write {}", text.display()))
}

pub(crate) fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// Equal neighbours as one: "pread64 ×3".
pub(crate) fn folded(calls: &[String]) -> String {
    let mut text = String::new();
    for group in calls.chunk_by(|one, other| one == other) {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = match group.len() {
            1 => write!(text, "{comma}{}", group[0]),
            n => write!(text, "{comma}{} ×{n}", group[0]),
        };
    }
    text
}

/// The outcome of an operation, in one cell.
pub(crate) fn result_of(skipped: Option<&String>, wrong: &[String], good: &str) -> String {
    match skipped {
        Some(why) => format!("not tried: {why}"),
        None if wrong.is_empty() => good.to_owned(),
        None => wrong.join("; "),
    }
}
