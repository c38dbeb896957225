//! A machine with several NUMA nodes, on any machine: what `cargo xtask vm` boots. Memory
//! policies, page moves, huge page pools and memory attributes can only be tested where there is
//! more than one node, and most machines have one. So a Debian kernel boots under QEMU's emulation,
//! with nodes, distances and an HMAT as asked, and runs one program.
//!
//! | file | what |
//! |---|---|
//! | `options.rs` | what may be asked of a guest |
//! | `layout.rs` | nodes, distances and attributes, from the command line to QEMU's arguments |
//! | `kernel.rs` | which kernel a guest boots |
//! | `setup.rs`, `fetch.rs` | QEMU, kernel and busybox, fetched once |
//! | `folder.rs` | the cache's mutex, and a folder for each run |
//! | `image.rs`, `archive.rs` | the guest's file system |
//! | `machine.rs` | the guest's run |
//! | `init.sh` | the guest's first process |
//! | `programs.rs` | where this machine's programs are |
#![expect(
    clippy::print_stderr,
    reason = "who waits for a guest is reported what is fetched, and of a boot that failed"
)]

mod archive;
mod fetch;
mod folder;
mod image;
mod kernel;
mod layout;
mod machine;
mod options;
pub mod programs;
mod setup;

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use folder::RunFolder;
use layout::Layout;
pub use options::Options;

/// The status for a time limit, as timeout(1) has it.
const TIME_LIMIT: u8 = 124;
/// The status for "there was no guest to run it in".
pub const NO_GUEST: u8 = 125;

/// What a run came to: the status for our own end, and a message if it is not the program's.
#[derive(Debug)]
pub struct Outcome {
    /// The program's exit status (128 + n if signal n ended it), 124, 125 or 2.
    pub code: u8,
    /// Why, where it is not the program's.
    pub message: Option<String>,
}

/// Runs the program in a guest and passes its output on to `stdout` and `stderr`. What guests are
/// made of is kept in `cache`, unless `AREAS_VM_CACHE` names another folder.
///
/// # Errors
/// There is no program, or what a guest needs cannot be had: no guest was started, or QEMU could
/// not be run. What a guest came to is an [`Outcome`], even where it did not boot.
pub fn run(
    options: &Options,
    cache: &Path,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Result<Outcome> {
    let asked = options.clone();
    let layout = match Layout::new(asked.nodes, asked.dist, asked.hmat, asked.lat, asked.bw) {
        Ok(layout) => layout,
        Err(message) => return Ok(Outcome { code: 2, message: Some(message) }),
    };
    // Before anything is fetched for a program that is not there.
    let (program, args) = match options.program.split_first() {
        Some((program, args)) => (Path::new(program), args),
        None => (Path::new(""), &[][..]),
    };
    ensure!(options.setup_only || program.exists(), "there is no program {}", program.display());
    let cache = setup::cache_folder(cache)?;
    let mutex = folder::lock(&cache.join("mutex"))?;
    let kit = setup::prepare(&cache, &options.kernel)?;
    if options.setup_only {
        return Ok(Outcome { code: 0, message: None });
    }
    let folder = RunFolder::create(&cache, options.keep)?;
    drop(mutex);

    let image = folder.path().join("initrd");
    write_image(&image, &kit, options, &layout, (program, args))?;
    let machine = machine::Machine {
        kit: &kit,
        layout: &layout,
        image: &image,
        folder: folder.path(),
        append: &options.append.join(" "),
        swap_mib: options.swap,
        extra: &options.qemu,
        multi: options.multi,
        limit: Duration::from_secs(options.timeout),
    };
    let ended = machine::run(&machine, stdout, stderr)?;
    if let Some(out) = &options.out {
        bring_back(&folder.path().join("tar"), out)?;
    }
    Ok(outcome(ended, options))
}

/// Packs the program with what it runs on, if the guest's memory can hold that.
fn write_image(
    image: &Path,
    kit: &setup::Kit,
    options: &Options,
    layout: &Layout,
    (program, args): (&Path, &[OsString]),
) -> Result<()> {
    let payload = image::Payload {
        program,
        args,
        env: &options.env,
        with: &options.with,
        modules: &options.modules,
        swap: options.swap.is_some(),
        out: options.out.is_some(),
    };
    let bytes = image::write(image, kit, &payload)?;
    // The image is in memory twice while the kernel unpacks it.
    ensure!(
        bytes >> 20 < layout.total_mib() / 3,
        "the image with the program has {} MiB, too much for a guest of {} MiB: give --nodes with more memory, or \
         strip the program",
        bytes >> 20,
        layout.total_mib()
    );
    Ok(())
}

/// What the guest's end says to whoever started it.
fn outcome(ended: machine::Ended, options: &Options) -> Outcome {
    match ended {
        machine::Ended::Status(code) => Outcome { code, message: None },
        machine::Ended::TimeLimit => Outcome {
            code: TIME_LIMIT,
            message: Some(format!(
                "the program was still running after {} s; --timeout S gives it more",
                options.timeout
            )),
        },
        machine::Ended::NoGuest(why) => Outcome {
            code: NO_GUEST,
            message: Some(format!(
                "{why}(kernel: {}; --keep keeps the image and the whole logs)",
                options.kernel
            )),
        },
    }
}

fn bring_back(tar: &Path, out: &Path) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    if fs::metadata(tar).is_ok_and(|metadata| metadata.len() > 0) {
        let status =
            Command::new("tar").arg("-C").arg(out).arg("-xf").arg(tar).arg("--no-same-owner").status()?;
        ensure!(status.success(), "tar cannot unpack what the program left in /out into {}", out.display());
    }
    Ok(())
}
