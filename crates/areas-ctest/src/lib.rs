//! How C and C++ programs are compiled here, linked with the libraries, and watched; and those
//! programs that more than one place tries: the README's and the recipes.
//!
//! | module | what |
//! |---|---|
//! | [`folders`] | the workspace, cargo's target folder, the cargo that builds it: for xtask, too |
//! | [`toolchain`] | the libraries, built; compilers, languages, interfaces |
//! | [`readme`] | the C programs that the README shows |
//! | [`recipes`] | areas as the memory of io_uring, OpenCL, UCX: what each needs |
//!
//! What is tried with them is in `tests/c_programs/`, which `cargo nextest run -p areas-ctest`
//! and the step `c` of `cargo xtask test` run.

pub mod folders;
pub mod readme;
pub mod recipes;
pub mod toolchain;
