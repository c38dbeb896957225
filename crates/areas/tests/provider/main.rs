//! Providers: the kernel as one, layers over it, and a user's own; policies as the kernel has them
//! (get_mempolicy) and pages where they are (move_pages).

#[expect(dead_code, reason = "the tests of areas and errors use the rest")]
#[path = "../area_support/mod.rs"]
mod support;

mod custom;
mod files;
mod fixed;
mod policies;
mod storage;
mod system;
mod wrong;

/// The size of a base page.
fn page() -> usize {
    rustix::param::page_size()
}
