//! `cargo xtask headers`: writes `areas.h` from what is public in the C crate's `native` module,
//! comments included. A test compares, so that neither is changed without the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::process;

/// Writes `crates/areas-capi/include/areas.h` from its source, `crates/areas-capi/src/native/`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {}

/// The files that have a part of the header, in its order.
const PARTS: [&str; 24] = [
    "errors",
    "words",
    "nodes",
    "placement",
    "provider",
    "custom",
    "area",
    "notes",
    "attributes",
    "clones",
    "info",
    "finding",
    "forgetting",
    "changes",
    "copying",
    "granted",
    "residency",
    "verification",
    "migration",
    "passing",
    "sync",
    "gate",
    "machine",
    "targets",
];

/// The names of types there and here.
const TYPES: [(&str, &str); 41] = [
    ("Handle", "areas_area"),
    ("Attributes", "areas_attributes"),
    ("Cloning", "areas_cloning"),
    ("AreaInfo", "areas_info"),
    ("Holding", "areas_holder"),
    ("Given", "areas_grant"),
    ("Measured", "areas_residency"),
    ("Stretch", "areas_run"),
    ("Verified", "areas_verification"),
    ("Elsewhere", "areas_misplaced"),
    ("Moved", "areas_migration"),
    ("Unmoved", "areas_unmoved"),
    ("Receiving", "areas_receiving"),
    ("Gate", "areas_offer"),
    ("Offering", "areas_offering"),
    ("Taking", "areas_taking"),
    ("Answered", "areas_answer"),
    ("Nodes", "areas_nodeset"),
    ("Placed", "areas_placement"),
    ("Source", "areas_provider"),
    ("Counts", "areas_statistics"),
    ("Part", "areas_part"),
    ("Operations", "areas_provider_operations"),
    ("Asked", "areas_request"),
    ("Mapped", "areas_mapping"),
    ("MachineNode", "areas_node"),
    ("SideCache", "areas_side_cache"),
    ("OnArea", "areas_on_area"),
    ("OnUnreadable", "areas_on_unreadable"),
    ("OnHolder", "areas_on_holder"),
    ("OnProgress", "areas_on_progress"),
    ("OnFallback", "areas_on_fallback"),
    ("OnRun", "areas_on_run"),
    ("OnMisplaced", "areas_on_misplaced"),
    ("OnUnmoved", "areas_on_unmoved"),
    ("OnNode", "areas_on_node"),
    ("OnDone", "areas_on_done"),
    ("Wanted", "areas_targets"),
    ("Best", "areas_ranked"),
    ("OnRanked", "areas_on_ranked"),
    ("Writing", "areas_writer"),
];

/// Structures that begin with their size, and so with a macro.
const SIZED: [&str; 14] = [
    "attributes",
    "cloning",
    "info",
    "grant",
    "residency",
    "verification",
    "migration",
    "provider_operations",
    "receiving",
    "offering",
    "answer",
    "taking",
    "statistics",
    "targets",
];

const OPENING: &str = "\
/*
 * Areas: chunks of memory as first-class things. Ask for one by size; say where it must live; name
 * it; let other processes clone it; freeze it; see where every page really is. The kernel takes the
 * memory back when its last holder goes, however it goes.
 *
 * Functions that return a number return 0 or more where they succeed, and one of AREAS_ERROR_...
 * where they fail; those that return a pointer return NULL then. areas_error_text() and
 * areas_error_help() say what it was, for each thread. A call that fails leaves things as they
 * were. NULL and numbers that mean nothing are errors; a handle is NULL or one that was not
 * released. Structures that begin with struct_size are initialised with the macro of their name in
 * capitals (areas_info info = AREAS_INFO;). No call is async-signal-safe. Functions that are called
 * back return: they do not jump away or throw.
 *
 * A thread may be cancelled (pthread_cancel, deferred) in any call. Those that wait are
 * cancellation points, where their comment says so; all others come to their end first, and what
 * they call back runs with cancellation disabled. Threads that the library starts for the time of a
 * call get none of the program's signals. Calls may be made in destructors and in functions of
 * atexit, and in threads with 32 KiB of stack (with a library that is built without optimisation:
 * 128 KiB). Where malloc has no memory left, the program is aborted, as it is by most libraries:
 * AREAS_ERROR_NO_MEMORY is about areas.
 *
 * Once loaded, libareas.so stays: dlclose leaves it where it is. A shared object of your own with
 * libareas.a in it has to be linked with -z nodelete, or must not be unloaded.
 *
 * Generated from crates/areas-capi/src/native by `cargo xtask headers`: change it there.
 */";

/// The command.
pub(crate) fn main(_: &Options) -> ExitCode {
    let written = generated().and_then(|text| {
        let file = file();
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask headers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The header that is in the repository is the one that comes from the source.
#[cfg(test)]
fn compare() -> Result<()> {
    let (wanted, file) = (generated()?, file());
    let found = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let differ = found.lines().zip(wanted.lines()).enumerate().find(|(_, (found, wanted))| found != wanted);
    if let Some((line, (found, wanted))) = differ {
        anyhow::bail!(
            "{}:{}: {found:?} instead of {wanted:?}; run `cargo xtask headers`",
            file.display(),
            line + 1
        );
    }
    ensure!(found == wanted, "{} has another length; run `cargo xtask headers`", file.display());
    Ok(())
}

fn crate_folder() -> PathBuf {
    process::workspace().join("crates/areas-capi")
}

fn file() -> PathBuf {
    crate_folder().join("include/areas.h")
}

fn macros() -> String {
    let mut text = "
#ifdef __cplusplus
template <class T> inline T areas_begun() { T it = T(); it.struct_size = sizeof(T); return it; }
#define AREAS_BEGUN(type) areas_begun<type>()
#else
#define AREAS_BEGUN(type) { .struct_size = sizeof(type) }
#endif

/* Names that were here before version 0.2, for one version more. Define AREAS_NO_OLD_NAMES to do
 * without them. */
#ifndef AREAS_NO_OLD_NAMES
#define size_of_this struct_size
#define gathered collapsed
#define AREAS_PATIENCE AREAS_DEFAULT_TIMEOUT
#define AREAS_OWNER_NOBODY AREAS_OWNER_NONE
#define areas_stayed areas_unmoved
#define areas_on_stayed areas_on_unmoved
#define AREAS_WHY_BUSY AREAS_UNMOVED_BUSY
#define AREAS_WHY_MAPPED_BY_OTHERS AREAS_UNMOVED_MAPPED_BY_OTHERS
#define AREAS_WHY_NO_ROOM AREAS_UNMOVED_NO_ROOM
#define AREAS_WHY_GONE AREAS_UNMOVED_GONE
#define AREAS_WHY_OTHER AREAS_UNMOVED_OTHER
#define areas_keep areas_ensure_published
#endif

"
    .to_owned();
    for name in SIZED {
        text += &format!("#define AREAS_{} AREAS_BEGUN(areas_{name})\n", name.to_uppercase());
    }
    text
}

fn generated() -> Result<String> {
    let sources = crate_folder().join("src/native");
    let mut config = cbindgen::Config {
        language: cbindgen::Language::C,
        cpp_compat: true,
        include_guard: Some("AREAS_H".into()),
        header: Some(OPENING.into()),
        no_includes: true,
        sys_includes: ["stddef.h", "stdint.h"].map(String::from).to_vec(),
        after_includes: Some(macros()),
        style: cbindgen::Style::Both,
        usize_is_size_t: true,
        documentation_style: cbindgen::DocumentationStyle::C99,
        tab_width: 4,
        line_length: 100,
        ..cbindgen::Config::default()
    };
    config.export.rename = TYPES.iter().map(|&(ours, theirs)| (ours.to_owned(), theirs.to_owned())).collect();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for part in PARTS {
        let file = sources.join(format!("{part}.rs"));
        ensure!(file.exists(), "{} is not there", file.display());
        builder = builder.with_src(file);
    }
    let mut text = Vec::new();
    builder.generate().with_context(|| format!("cannot read {}", shown(&sources)))?.write(&mut text);
    Ok(String::from_utf8(text)?)
}

fn shown(path: &Path) -> String {
    path.strip_prefix(process::workspace()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn areas_h_is_as_generated() {
        super::compare().unwrap();
    }
}
