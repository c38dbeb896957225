//! How `libareas.so` is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Once loaded it stays, whatever dlclose is asked: areas that a program holds, the table by
    // which others see them, handlers around fork and destructors of threads are the process's, and
    // who loads it again finds them (docs/design/odd-programs.md).
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
