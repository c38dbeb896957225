//! The guest's root file system: busybox, a handful of files that programs expect, modules, and the
//! program itself with the libraries it is linked to. One cpio archive, written again for each
//! guest: it takes a few hundredths of a second.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::BufWriter;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::archive::Archive;
use crate::programs;
use crate::setup::Kit;

const INIT: &str = include_str!("init.sh");
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";
const HOSTS: &str = "127.0.0.1 localhost\n";
const FOLDERS: [&str; 12] =
    ["bin", "sbin", "usr/bin", "usr/sbin", "proc", "sys", "dev", "tmp", "run", "root", "etc", "lib/modules"];

/// What to run in the guest, and the surroundings it asked for.
#[derive(Debug)]
pub(crate) struct Payload<'a> {
    /// A program, or a folder of them.
    pub(crate) program: &'a Path,
    pub(crate) args: &'a [OsString],
    pub(crate) env: &'a [(OsString, OsString)],
    /// Programs of this machine that go along, by name.
    pub(crate) with: &'a [String],
    pub(crate) modules: &'a str,
    pub(crate) swap: bool,
    pub(crate) out: bool,
}

type Image = Archive<BufWriter<File>>;

/// Writes the image to `path` and returns its size in bytes.
pub(crate) fn write(path: &Path, kit: &Kit, payload: &Payload<'_>) -> Result<u64> {
    let mut image = Archive::create(path)?;
    base(&mut image, kit)?;
    let run = program(&mut image, payload)?;
    for name in payload.with {
        let found = programs::which(name)
            .with_context(|| format!("there is no program {name} here that could go along (--with)"))?;
        let name = Path::new(name).file_name().context("a program has a name")?;
        image.copy(Path::new("usr/bin").join(name), &found, true)?;
        libraries(&mut image, &found)?;
    }
    image.file("run.sh", 0o755, &run)?;
    let conf = format!(
        "MODULES={}\nSWAP={}\nOUT={}\n",
        quoted(OsStr::new(payload.modules)).to_string_lossy(),
        if payload.swap { "1" } else { "" },
        if payload.out { "1" } else { "" }
    );
    image.file("vm.conf", 0o644, conf.as_bytes())?;
    image.finish().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(fs::metadata(path)?.len())
}

fn base(image: &mut Image, kit: &Kit) -> Result<()> {
    for folder in FOLDERS {
        image.directory(folder)?;
    }
    // What the kernel gives its first process to speak on, until that mounts a better /dev.
    image.character_device("dev/console", 0o600, (5, 1))?;
    image.file("init", 0o755, INIT.as_bytes())?;
    for (name, text) in [("passwd", PASSWD), ("group", GROUP), ("hosts", HOSTS)] {
        image.file(format!("etc/{name}"), 0o644, text.as_bytes())?;
    }
    image.copy("bin/busybox", &kit.busybox, true)?;
    let listed =
        Command::new(&kit.busybox).arg("--list").output().context("cannot run the unpacked busybox")?;
    ensure!(listed.status.success(), "{} --list failed", kit.busybox.display());
    for applet in String::from_utf8_lossy(&listed.stdout).lines().filter(|&applet| applet != "busybox") {
        image.symlink(format!("bin/{applet}"), "busybox")?;
    }
    if let Some(modules) = &kit.modules {
        for entry in fs::read_dir(modules)? {
            let entry = entry?;
            image.copy(Path::new("lib/modules").join(entry.file_name()), &entry.path(), false)?;
        }
    } else {
        image.file("lib/modules/deps", 0o644, b"")?;
    }
    Ok(())
}

/// Puts the program into /payload and returns the script that runs it.
fn program(image: &mut Image, payload: &Payload<'_>) -> Result<Vec<u8>> {
    let mut script = Vec::new();
    for (name, value) in payload.env {
        script.extend_from_slice(b"export ");
        script.extend_from_slice(name.as_bytes());
        script.extend_from_slice(b"=");
        script.extend_from_slice(quoted(value).as_bytes());
        script.extend_from_slice(b"\n");
    }
    let mut args = OsString::new();
    for arg in payload.args {
        args.push(" ");
        args.push(quoted(arg));
    }
    let source = fs::canonicalize(payload.program)
        .with_context(|| format!("cannot find the program {}", payload.program.display()))?;
    image.directory("payload")?;
    if source.is_dir() {
        folder(image, &source, Path::new("payload"))?;
        if executable(&source.join("run"))? {
            script.extend_from_slice(b"exec /payload/run");
            script.extend_from_slice(args.as_bytes());
            script.extend_from_slice(b"\n");
        } else {
            script.extend_from_slice(&run_each(&args));
        }
    } else {
        // The name as given: a symbolic link may be what shows a program which of its faces to
        // show.
        let name = payload.program.file_name().or(source.file_name()).context("a program has a name")?;
        let inside = Path::new("payload").join(name);
        image.copy(&inside, &source, true)?;
        libraries(image, &source)?;
        script.extend_from_slice(b"exec ");
        script.extend_from_slice(quoted(Path::new("/").join(inside).as_os_str()).as_bytes());
        script.extend_from_slice(args.as_bytes());
        script.extend_from_slice(b"\n");
    }
    Ok(script)
}

/// Runs every program of the folder; the first that fails decides the status.
fn run_each(args: &OsStr) -> Vec<u8> {
    let head: &[u8] =
        b"code=0\nfor each in /payload/*; do\n  [ -f \"$each\" ] && [ -x \"$each\" ] || continue\n  \
                        echo \"=== ${each##*/}\"\n  \"$each\"";
    let tail: &[u8] =
        b"\n  status=$?\n  [ $status = 0 ] || echo \"=== ${each##*/}: exit status $status\"\n  \
                        [ $code = 0 ] && code=$status\ndone\nexit $code\n";
    [head, args.as_bytes(), tail].concat()
}

fn folder(image: &mut Image, from: &Path, to: &Path) -> Result<()> {
    let mut entries = fs::read_dir(from)
        .with_context(|| format!("cannot read the folder {}", from.display()))?
        .collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (source, inside) = (entry.path(), to.join(entry.file_name()));
        let metadata = fs::metadata(&source).with_context(|| format!("cannot read {}", source.display()))?;
        if metadata.is_dir() {
            image.directory(&inside)?;
            folder(image, &source, &inside)?;
        } else if metadata.is_file() {
            let runs = executable(&source)?;
            image.copy(&inside, &source, runs)?;
            if runs {
                libraries(image, &source)?;
            }
        } else {
            bail!("{} is neither a file nor a folder: it cannot travel into a guest", source.display());
        }
    }
    Ok(())
}

fn executable(file: &Path) -> Result<bool> {
    match fs::metadata(file) {
        Ok(metadata) => Ok(metadata.is_file() && metadata.permissions().mode() & 0o100 != 0),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// Adds the libraries that the loader would use here, under the same paths. A static program or a
/// script has none.
fn libraries(image: &mut Image, program: &Path) -> Result<()> {
    let listed = Command::new("ldd")
        .arg(program)
        .output()
        .context("cannot run ldd, which lists the libraries that a program needs (package libc-bin)")?;
    for library in libraries_listed(&listed.stdout)? {
        if !image.contains(&library) {
            image.copy(&library, &library, true)?;
        }
    }
    Ok(())
}

/// Paths in lines such as `libc.so.6 => /lib/libc.so.6 (0x…)` and `/lib64/ld-linux-x86-64.so.2
/// (0x…)`.
fn libraries_listed(listed: &[u8]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in listed.split(|&byte| byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        let path = match line.split_once(" => ") {
            Some((name, path)) if path.starts_with("not found") => {
                bail!("the program needs {}, which this machine does not have", name.trim())
            }
            Some((_, path)) => path,
            None => line.trim(),
        };
        // The address stands last, so a path may have blanks.
        if let Some((path, _)) = path.rsplit_once(" (0x").filter(|(path, _)| path.starts_with('/')) {
            found.push(path.into());
        }
    }
    Ok(found)
}

/// A word that a shell reads back as it is.
fn quoted(word: &OsStr) -> OsString {
    let mut text = vec![b'\''];
    for &byte in word.as_bytes() {
        if byte == b'\'' {
            text.extend_from_slice(b"'\\''");
        } else {
            text.push(byte);
        }
    }
    text.push(b'\'');
    OsString::from_vec(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted() {
        for (word, expected) in [("a b", "'a b'"), ("", "''"), ("it's", r"'it'\''s'"), ("$x\n", "'$x\n'")] {
            assert_eq!(quoted(OsStr::new(word)), expected);
        }
    }

    #[test]
    fn ldd_is_read() {
        let listed = b"\tlinux-vdso.so.1 (0x00007ffc)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                       \tlibx.so => /opt/my libs/libx.so (0x00007e)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007d)\n";
        let expected =
            ["/lib/x86_64-linux-gnu/libc.so.6", "/opt/my libs/libx.so", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(libraries_listed(listed).unwrap(), expected.map(PathBuf::from));
        assert!(libraries_listed(b"\tstatically linked\n").unwrap().is_empty());
        let missing = libraries_listed(b"\tliby.so.1 => not found\n").unwrap_err();
        assert!(missing.to_string().contains("needs liby.so.1"), "{missing}");
    }
}
