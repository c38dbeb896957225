//! How `libareas_cut.so` is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The library keeps the address of `areas_cut_register`, and programs those of what is
    // interposed: it stays once it is loaded.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
