//! The C programs that the README and docs/c.md show, taken out of them: what a stranger copies is
//! what is compiled and run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::folders;

/// A program of one of these pages.
#[derive(Debug)]
pub struct Program {
    /// What it is written for: `areas`, `be` or `aml`.
    pub interface: &'static str,
    /// Its source.
    pub text: String,
}

impl Program {
    /// Writes it into a folder, and says where.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        let file = folder.join(format!("readme-{}.c", self.interface));
        fs::write(&file, &self.text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }
}

/// The programs of both: one an interface.
///
/// # Errors
/// Where a page cannot be read, or has other programs.
pub fn programs() -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    for page in ["README.md", "docs/c.md"] {
        let page = folders::workspace().join(page);
        let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
        programs.extend(of(&text));
    }
    let mut interfaces: Vec<_> = programs.iter().map(|program| program.interface).collect();
    interfaces.sort_unstable();
    ensure!(interfaces == ["aml", "areas", "be"], "README.md and docs/c.md have programs for {interfaces:?}");
    Ok(programs)
}

/// The blocks of C in a text, by the first header that they include.
fn of(text: &str) -> Vec<Program> {
    let interface = |block: &str| match block.lines().next() {
        Some("#include <areas.h>") => "areas",
        Some("#include <OS.h>") => "be",
        Some("#include <aml.h>") => "aml",
        _ => "unknown",
    };
    let blocks = text.split("\n```c\n").skip(1).filter_map(|rest| rest.split_once("```"));
    blocks.map(|(block, _)| Program { interface: interface(block), text: block.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_c_are_found() {
        let text = "one\n```c\n#include <OS.h>\nint main(void);\n```\n```sh\nls\n```\n\n```c\nint x;\n```\n";
        let found = of(text);
        let found: Vec<_> = found.iter().map(|program| (program.interface, program.text.as_str())).collect();
        assert_eq!(found, [("be", "#include <OS.h>\nint main(void);\n"), ("unknown", "int x;\n")]);
    }
}
