//! `areas` in real containers, with podman and runc: what docs/containers.md and docs/sandboxes.md
//! say of them. `cargo xtask test --step containers` runs these tests, one after the other; where
//! there can be no containers, each says that it was skipped.

#[path = "../cli/harness.rs"]
#[expect(dead_code, reason = "made for the command's other tests, which use all of it")]
mod harness;
mod podman;
mod sharing;
mod walls;
