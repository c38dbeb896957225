//! The report of a real run, in docs/benchmarks.md, between two marks; its pictures beside it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::process;

const BEGIN: &str = "<!-- written by `cargo xtask bench --docs` from here -->\n";
const END: &str = "<!-- to here -->\n";
const PYTHON_BEGIN: &str = "<!-- written by `cargo xtask bench python --docs` from here -->\n";
const PYTHON_END: &str = "<!-- to here: Python -->\n";

/// Puts what was written to `folder` into the docs.
pub(super) fn keep(folder: &Path) -> Result<()> {
    let pictures = process::workspace().join("docs/benchmarks");
    fs::create_dir_all(&pictures)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|end| end == "svg")) {
            fs::copy(&path, pictures.join(name))
                .with_context(|| format!("cannot keep {}", path.display()))?;
        }
    }
    put(&folder.join("report.md"), BEGIN, END)
}

/// The same for the Python package, which has marks of its own, and no pictures.
pub(super) fn keep_python(folder: &Path) -> Result<()> {
    put(&folder.join("python.md"), PYTHON_BEGIN, PYTHON_END)
}

/// Puts a report between its marks.
fn put(report: &Path, begin: &str, end: &str) -> Result<()> {
    let page = process::workspace().join("docs/benchmarks.md");
    let report = fs::read_to_string(report).with_context(|| format!("cannot read {}", report.display()))?;
    let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    let text = replaced(&text, &report, begin, end)
        .with_context(|| format!("{} has no place for the report: {begin}{end}", page.display()))?;
    fs::write(&page, text).with_context(|| format!("cannot write {}", page.display()))?;
    eprintln!("written: {}", page.display());
    Ok(())
}

/// The page with another report in it.
fn replaced(page: &str, report: &str, begin: &str, end: &str) -> Option<String> {
    let (before, rest) = page.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    let report = report.replace("](", "](benchmarks/");
    Some(format!("{before}{begin}\n{}\n\n{end}{after}", report.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let page = format!("# A\n{BEGIN}old\n{END}rest\n");
        let new = replaced(&page, "new ![x](a.svg)\n", BEGIN, END).unwrap();
        assert_eq!(new, format!("# A\n{BEGIN}\nnew ![x](benchmarks/a.svg)\n\n{END}rest\n"));
        assert_eq!(replaced(&new, "new ![x](a.svg)\n", BEGIN, END).unwrap(), new);
        assert!(replaced("nothing", "x", BEGIN, END).is_none());
    }
}
