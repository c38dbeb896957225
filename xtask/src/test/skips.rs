//! Checks that could not be made here, said aloud. A test that lacks something (root, a newer
//! kernel, a huge page pool) passes, but appends a line `SKIPPED: TEST: REASON` to the file that
//! AREAS_SKIP_LOG names.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The variable that says where a test writes.
pub(crate) const VARIABLE: &str = "AREAS_SKIP_LOG";

/// The file of this run.
#[derive(Debug)]
pub(crate) struct SkipLog {
    path: PathBuf,
}

impl SkipLog {
    /// An empty file; its folder is made if it is not there.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes note of a test that has no log of its own.
    pub(crate) fn note(&self, test: &str, why: &str) -> Result<()> {
        let mut log = fs::File::options().append(true).open(&self.path)?;
        writeln!(log, "SKIPPED: {test}: {why}")
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Adds the lines of another log, if it was written: a guest has its own.
    pub(crate) fn add(&self, other: &Path) -> Result<()> {
        if other.exists() {
            let lines = fs::read(other)?;
            let mut log = fs::File::options().append(true).open(&self.path)?;
            log.write_all(&lines).with_context(|| format!("cannot write {}", self.path.display()))?;
        }
        Ok(())
    }

    /// The reasons so far, by test.
    pub(crate) fn read(&self) -> BTreeMap<String, Vec<String>> {
        by_test(&String::from_utf8_lossy(&fs::read(&self.path).unwrap_or_default()))
    }
}

/// The name of a test without its modules.
pub(crate) fn short(test: &str) -> &str {
    test.rsplit("::").next().unwrap_or(test)
}

/// One test is one entry, however many lines it wrote.
pub(crate) fn by_test(lines: &str) -> BTreeMap<String, Vec<String>> {
    let mut tests: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines.lines() {
        let line = line.trim();
        let line = line.strip_prefix("SKIPPED:").unwrap_or(line).trim();
        if !line.is_empty() {
            // A colon in a path has no blank behind it.
            let (test, reason) = line.split_once(": ").unwrap_or((line, "no reason given"));
            let reasons = tests.entry(test.to_owned()).or_default();
            if !reasons.iter().any(|known| known == reason) {
                reasons.push(reason.to_owned());
            }
        }
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_tests() {
        let tests = by_test(
            "SKIPPED: area::huge: no pool\n\nSKIPPED: area::huge: no pool\nSKIPPED: area::huge: no root: why\nother\n",
        );
        assert_eq!(tests.len(), 2);
        assert_eq!(tests["area::huge"], ["no pool", "no root: why"]);
        assert_eq!(tests["other"], ["no reason given"]);
    }
}
