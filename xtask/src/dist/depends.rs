//! What a Debian package depends on: the packages of the libraries that its programs ask for, in
//! the versions whose symbols they use. Read from the programs, as `dpkg-shlibdeps` does, which is
//! not everywhere that dpkg-deb is.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::output;

/// The packages of libraries that Rust's standard library asks for.
fn package(library: &str) -> Option<&'static str> {
    match library {
        "libgcc_s.so.1" => Some("libgcc-s1"),
        "libc.so.6" | "libm.so.6" | "libdl.so.2" | "libpthread.so.0" | "librt.so.1" => Some("libc6"),
        _ if library.starts_with("ld-linux") => Some("libc6"),
        _ => None,
    }
}

/// The value of a `Depends` for these programs and libraries.
pub(super) fn of(files: &[&Path]) -> Result<String> {
    let mut needed: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for file in files {
        let said = output(Command::new("readelf").args(["--wide", "--dynamic", "--version-info"]).arg(file))?;
        for (library, version) in asked(&said) {
            let Some(package) = package(&library) else {
                bail!("{} asks for {library}, and which package has that is not known here", file.display());
            };
            let most = needed.entry(package).or_default();
            *most = version.max(std::mem::take(most));
        }
    }
    let mut parts = Vec::new();
    for (package, version) in needed {
        let version: Vec<_> = version.iter().map(ToString::to_string).collect();
        let version = version.join(".");
        parts.push(if version.is_empty() { package.to_owned() } else { format!("{package} (>= {version})") });
    }
    Ok(parts.join(", "))
}

/// The libraries that a program asks for, and the highest version of each's symbols that it uses.
fn asked(readelf: &str) -> BTreeMap<String, Vec<u32>> {
    let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let mut current = None;
    for line in readelf.lines() {
        if let Some(library) = line.split_once("(NEEDED)").and_then(|(_, rest)| in_brackets(rest)) {
            found.entry(library.to_owned()).or_default();
        } else if let Some((_, rest)) = line.split_once(" File: ") {
            current = rest.split_whitespace().next();
        } else if let (Some(library), Some((_, rest))) = (current, line.split_once(" Name: ")) {
            let name = rest.split_whitespace().next().unwrap_or_default();
            let most = found.entry(library.to_owned()).or_default();
            *most = numbers(name).max(std::mem::take(most));
        }
    }
    found
}

fn in_brackets(text: &str) -> Option<&str> {
    Some(text.split_once('[')?.1.split_once(']')?.0)
}

/// `GLIBC_2.34` as its numbers; a version without any (`GLIBC_PRIVATE`) as none.
fn numbers(name: &str) -> Vec<u32> {
    let version = name.rsplit('_').next().unwrap_or_default();
    let numbers: Result<Vec<u32>, _> = version.split('.').map(str::parse).collect();
    numbers.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_the_highest_of_each_library() {
        let said = " 0x1 (NEEDED)             Shared library: [libgcc_s.so.1]\n\
                    \x20 0x1 (NEEDED)             Shared library: [libc.so.6]\n\
                    \x20 000000: Version: 1  File: libc.so.6  Cnt: 3\n\
                    \x20 0x0010:   Name: GLIBC_2.9  Flags: none  Version: 8\n\
                    \x20 0x0020:   Name: GLIBC_2.34  Flags: WEAK  Version: 7\n\
                    \x20 0x0030:   Name: GLIBC_PRIVATE  Flags: none  Version: 6\n\
                    \x20 0x0040: Version: 1  File: libgcc_s.so.1  Cnt: 1\n\
                    \x20 0x0050:   Name: GCC_3.3.1  Flags: none  Version: 2\n";
        let found: Vec<_> = asked(said).into_iter().collect();
        assert_eq!(found, [("libc.so.6".into(), vec![2, 34]), ("libgcc_s.so.1".into(), vec![3, 3, 1])]);
    }

    #[test]
    fn a_program_of_this_machine_depends_on_its_c_library() {
        let us = std::env::current_exe().unwrap();
        let depends = of(&[&us]).unwrap();
        assert!(depends.contains("libc6 (>= 2."), "{depends}");
    }
}
