//! The Debian packages: the command, the library that programs run with, and what programs are
//! built with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Tree, VERSION, copy, depends, files, output};
use crate::process;

/// One package. The first that takes a file has it.
struct Package {
    name: &'static str,
    section: &'static str,
    summary: &'static str,
    /// More lines; a blank one is a dot.
    text: &'static str,
    takes: fn(&str) -> bool,
    /// Beyond what the files themselves ask for.
    depends: &'static [&'static str],
    /// Whether the dynamic linker is to look again at which libraries there are.
    libraries: bool,
}

const PACKAGES: [Package; 4] = [
    Package {
        name: "areas-flight",
        section: "utils",
        summary: "named, placed chunks of shared memory: to and from other machines",
        text: " What `areas serve` and `areas fetch` start: frozen areas over Arrow Flight,\n encrypted if that is asked for.\n",
        takes: |file| file == "usr/bin/areas-flight",
        depends: &["areas (= {version})"],
        libraries: false,
    },
    Package {
        name: "areas",
        section: "utils",
        summary: "named, placed chunks of shared memory: the command",
        text: " Puts files into named shared memory, shows who holds what and on which NUMA\n nodes it is, moves, freezes, resizes and frees it. There is no daemon: memory\n goes with its last holder.\n",
        takes: |file| file.starts_with("usr/bin/") || file.starts_with("usr/share/"),
        depends: &[],
        libraries: false,
    },
    Package {
        name: "libareas0",
        section: "libs",
        summary: "named, placed chunks of shared memory: the library",
        text: " Areas for programs in C and C++: its own interface, that of BeOS and Haiku,\n and that of AML.\n",
        takes: |file| file.starts_with("usr/lib/") && file.contains(".so."),
        depends: &[],
        libraries: true,
    },
    Package {
        name: "libareas-dev",
        section: "libdevel",
        summary: "named, placed chunks of shared memory: for building programs",
        text: " Headers, the static library, and files for pkg-config and CMake.\n",
        takes: |_| true,
        depends: &["libareas0 (= {version})", "libc6-dev"],
        libraries: false,
    },
];

/// Where Debian's zsh looks, and where others do.
const ZSH: (&str, &str) = ("usr/share/zsh/site-functions/", "usr/share/zsh/vendor-completions/");

/// Writes the packages.
pub(super) fn make(tree: &Tree, out: &Path) -> Result<Vec<PathBuf>> {
    let all = files(&tree.root)?;
    let mut left: Vec<&str> = all.iter().filter_map(|file| file.to_str()).collect();
    let mut made = Vec::new();
    for package in &PACKAGES {
        let (taken, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(|file| (package.takes)(file));
        left = rest;
        made.push(one(package, &taken, tree, out)?);
    }
    Ok(made)
}

fn one(package: &Package, taken: &[&str], tree: &Tree, out: &Path) -> Result<PathBuf> {
    let architecture = architecture()?;
    let name = format!("{}_{VERSION}_{architecture}", package.name);
    let folder = tree.work.join(&name);
    for file in taken {
        copy(&tree.root.join(file), &folder.join(file.replace(ZSH.0, ZSH.1)))?;
    }
    let papers = folder.join("usr/share/doc").join(package.name);
    write(&papers.join("copyright"), &copyright(&tree.notices)?)?;
    let programs: Vec<PathBuf> = taken.iter().map(|file| tree.root.join(file)).collect();
    let programs: Vec<&Path> = programs
        .iter()
        .map(PathBuf::as_path)
        .filter(|file| !file.is_symlink() && (is_in(file, "bin") || file.to_string_lossy().contains(".so.")))
        .collect();
    let mut depends: Vec<String> = Vec::new();
    depends.extend(Some(depends::of(&programs)?).filter(|list| !list.is_empty()));
    depends.extend(package.depends.iter().map(|each| each.replace("{version}", VERSION)));
    write(&folder.join("DEBIAN/control"), &control(package, architecture, &folder, &depends.join(", "))?)?;
    let list = files(&folder)?;
    let list: Vec<_> =
        list.iter().filter(|file| file.starts_with("usr") && !folder.join(file).is_symlink()).collect();
    write(&folder.join("DEBIAN/md5sums"), &output(Command::new("md5sum").current_dir(&folder).args(list))?)?;
    if package.libraries {
        write(&folder.join("DEBIAN/triggers"), "activate-noawait ldconfig\n")?;
    }
    let file = out.join(format!("{name}.deb"));
    output(Command::new("chmod").args(["-R", "u+rwX,go+rX,go-w"]).arg(&folder))?;
    let mut command = Command::new("dpkg-deb");
    // More threads would cut what is packed into other pieces.
    command.env("SOURCE_DATE_EPOCH", tree.epoch.to_string()).env("DPKG_DEB_THREADS_MAX", "1");
    output(command.args(["--build", "--root-owner-group", "-Zxz", "-z3"]).arg(&folder).arg(&file))
        .context("no Debian packages: --no-deb does without them")?;
    Ok(file)
}

fn is_in(file: &Path, folder: &str) -> bool {
    file.parent().is_some_and(|parent| parent.ends_with(folder))
}

/// Debian's word for what this is built for.
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("what Debian calls {other} is not known here"),
    }
}

fn control(package: &Package, architecture: &str, folder: &Path, depends: &str) -> Result<String> {
    let mut bytes = 0;
    for file in files(folder)? {
        // As dpkg counts: whole KiB.
        bytes += fs::symlink_metadata(folder.join(file))?.len().next_multiple_of(1024);
    }
    let name = std::env::var("DEBFULLNAME").unwrap_or_else(|_| "The areas developers".into());
    let address = std::env::var("DEBEMAIL").unwrap_or_else(|_| "root@localhost".into());
    Ok(format!(
        "Package: {}\nVersion: {VERSION}\nArchitecture: {architecture}\nMaintainer: {name} <{address}>\n\
         Installed-Size: {}\nDepends: {depends}\nSection: {}\nPriority: optional\nDescription: {}\n{}",
        package.name,
        bytes / 1024,
        package.section,
        package.summary,
        package.text
    ))
}

/// Our licence, and those of the crates that are linked in.
fn copyright(notices: &str) -> Result<String> {
    let mut text = String::from("Areas is licensed under MIT or Apache-2.0, at your choice.\n\n");
    for file in ["LICENSE-MIT", "LICENSE-APACHE"] {
        let file = process::workspace().join(file);
        text += &fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        text += "\n";
    }
    Ok(text + notices)
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(file.parent().context("a file is in a folder")?)?;
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_the_package_where_it_is_looked_for() {
        let of =
            |file: &str| PACKAGES.iter().find(|package| (package.takes)(file)).map(|package| package.name);
        assert_eq!(of("usr/bin/areas"), Some("areas"));
        assert_eq!(of("usr/bin/areas-flight"), Some("areas-flight"));
        assert_eq!(of("usr/share/man/man1/areas.1"), Some("areas"));
        for file in ["usr/lib/libareas.so.0", "usr/lib/libareas-cut.so.0.1.0"] {
            assert_eq!(of(file), Some("libareas0"));
        }
        for file in
            ["usr/lib/libareas.so", "usr/lib/libareas.a", "usr/include/areas.h", "usr/lib/pkgconfig/areas.pc"]
        {
            assert_eq!(of(file), Some("libareas-dev"));
        }
    }
}
