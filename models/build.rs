//! Sets `cfg(loom)` for the product's files here, and for no dependency; and leaves single fences
//! out of copies of them, so that the models can show that they would notice.

use std::path::Path;
use std::{env, fs};

const ADDRESSES: &str = "../crates/areas/src/registry/own/addresses/mod.rs";

fn main() {
    println!("cargo::rustc-cfg=loom");
    println!("cargo::rustc-check-cfg=cfg(loom)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={ADDRESSES}");
    let product = fs::read_to_string(ADDRESSES).expect("the product's file");
    // What is included may have no documentation of its own.
    let product: String =
        product.lines().filter(|line| !line.starts_with("//!")).map(|line| format!("{line}\n")).collect();
    for (name, what) in [
        ("writer_unfenced", "fence(Ordering::Release);"),
        ("reader_unfenced", "fence(Ordering::Acquire);"),
        ("uncounted", "if self.changes.load(Ordering::Relaxed) == before"),
    ] {
        let with = if what.starts_with("if") { "" } else { "();" };
        assert_eq!(product.matches(what).count(), 1, "there is one `{what}` to leave out");
        let out = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join(format!("{name}.rs"));
        fs::write(out, product.replace(what, with)).expect("a copy");
    }
}
