//! The report of a real run, in docs/benchmarks.md, between two marks; its pictures beside it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::process;

const BEGIN: &str = "<!-- written by `cargo xtask bench --docs` from here -->\n";
const END: &str = "<!-- to here -->\n";

/// Puts what was written to `folder` into the docs.
pub(super) fn keep(folder: &Path) -> Result<()> {
    let docs = process::workspace().join("docs");
    let page = docs.join("benchmarks.md");
    let pictures = docs.join("benchmarks");
    fs::create_dir_all(&pictures)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|end| end == "svg")) {
            fs::copy(&path, pictures.join(name))
                .with_context(|| format!("cannot keep {}", path.display()))?;
        }
    }
    let report = folder.join("report.md");
    let report = fs::read_to_string(&report).with_context(|| format!("cannot read {}", report.display()))?;
    let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    let text = replaced(&text, &report)
        .with_context(|| format!("{} has no place for the report: {BEGIN}{END}", page.display()))?;
    fs::write(&page, text).with_context(|| format!("cannot write {}", page.display()))?;
    eprintln!("written: {}", page.display());
    Ok(())
}

/// The page with another report in it.
fn replaced(page: &str, report: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let report = report.replace("](", "](benchmarks/");
    Some(format!("{before}{BEGIN}\n{}\n\n{END}{after}", report.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let page = format!("# A\n{BEGIN}old\n{END}rest\n");
        let new = replaced(&page, "new ![x](a.svg)\n").unwrap();
        assert_eq!(new, format!("# A\n{BEGIN}\nnew ![x](benchmarks/a.svg)\n\n{END}rest\n"));
        assert_eq!(replaced(&new, "new ![x](a.svg)\n").unwrap(), new);
        assert!(replaced("nothing", "x").is_none());
    }
}
