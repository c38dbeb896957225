//! What is recorded: the tour, and `areas top` in the middle of some work.

use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::svg;
use super::terminal::Terminal;

/// One picture.
#[derive(Clone, Copy)]
pub(super) struct Scene {
    pub(super) name: &'static str,
    take: fn(&Stage) -> Result<String>,
}

pub(super) const SCENES: [Scene; 2] = [Scene { name: "top", take: top }, Scene { name: "tour", take: tour }];

/// Runs a scene in a registry of its own, and draws it.
pub(super) fn picture(program: &Path, scene: Scene) -> Result<String> {
    let stage = Stage::new(program, scene.name)?;
    (scene.take)(&stage).with_context(|| format!("cannot record {}", scene.name))
}

/// A registry and a folder that go with the scene.
struct Stage {
    program: PathBuf,
    folder: PathBuf,
}

impl Stage {
    fn new(program: &Path, name: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("areas-picture-{name}-{}", std::process::id()));
        let registry = folder.join("registry");
        fs::create_dir_all(&registry).with_context(|| format!("cannot make {}", registry.display()))?;
        fs::set_permissions(&registry, Permissions::from_mode(0o700))?;
        Ok(Stage { program: program.to_owned(), folder })
    }

    /// `areas …` with this registry, in this folder, and with nothing else of the user's taste.
    fn areas(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.folder).env("AREAS_DIR", self.folder.join("registry"));
        command.env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
        for variable in ["NO_COLOR", "COLUMNS", "LINES", "AREAS_WITHOUT"] {
            command.env_remove(variable);
        }
        command
    }

    /// A file of so many MiB, no page of which is empty.
    fn file(&self, name: &str, mib: usize) -> Result<()> {
        let mut file = File::create(self.folder.join(name))?;
        let piece: Vec<u8> = (0..1 << 20).map(|at: u32| (at.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
        (0..mib).try_for_each(|_| file.write_all(&piece)).context("cannot write a file")
    }

    /// Starts what holds an area, and waits until it is there.
    fn hold(&self, arguments: &[&str]) -> Result<Holder> {
        let mut child = self.areas(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("the pipe that was asked for")?;
        let holder = Holder(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(!line.is_empty(), "areas {arguments:?} holds nothing");
        Ok(holder)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // It is below the folder for temporary files, which is cleared anyhow.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A process that holds an area, until this is dropped.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tour(stage: &Stage) -> Result<String> {
    stage.file("model.bin", 64)?;
    let mut terminal =
        Terminal::start(&stage.areas(&["tour", "model.bin"]), "areas tour model.bin", 100, 100)?;
    terminal.finish()?;
    Ok(svg::draw(terminal.screen(), "areas tour: a file in shared memory, from its maker to its last holder"))
}

fn top(stage: &Stage) -> Result<String> {
    stage.file("model.bin", 24)?;
    let _held = [
        stage.hold(&["put", "model.bin", "--name", "model", "--freeze"])?,
        stage.hold(&["create", "--name", "frames", "--size", "64M"])?,
        stage.hold(&["create", "--name", "index", "--size", "6M", "--populate"])?,
    ];
    let top = ["top", "--interval", "0.5", "--sort", "ram"];
    let mut terminal = Terminal::start(&stage.areas(&top), "areas top", 100, 12)?;
    terminal.wait_for(&["model", "frames", "index"])?;
    // Comes while it is watched.
    let _new = stage.hold(&["create", "--name", "batch", "--size", "12M", "--populate"])?;
    terminal.wait_for(&["batch", "+12.0 MiB"])?;
    let picture =
        svg::draw(terminal.screen(), "areas top: what takes memory, what grows, where it is, who holds it");
    terminal.send("q")?;
    terminal.finish()?;
    Ok(picture)
}
