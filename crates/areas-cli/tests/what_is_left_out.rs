//! What `cargo test` at the root leaves out: it tests this crate alone, as `cargo run` is the
//! command. It says so, behind the tests; where tools ask for a list of tests, there is none here.

#![expect(clippy::print_stdout, reason = "to say it is what it is there for")]

use std::fs;
use std::path::Path;

fn main() {
    if std::env::args().skip(1).any(|argument| argument == "--list") {
        return;
    }
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let entries = fs::read_dir(&crates).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != env!("CARGO_PKG_NAME"))
        .collect();
    names.sort_unstable();
    // Built from its package, this crate has no neighbours.
    if !names.iter().any(|name| name == "areas") {
        return;
    }
    println!(
        "\n`cargo test` without --workspace tests {} alone. Left out:\n  crates: {}\n  \
         and: programs in C, Python, guests with several NUMA nodes, containers, MPI, fuzzing, packages\n\
         `cargo xtask test` runs all of it; `cargo xtask test --help` names the parts.\n",
        env!("CARGO_PKG_NAME"),
        names.join(", ")
    );
}
