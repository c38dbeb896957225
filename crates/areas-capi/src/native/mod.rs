//! Our own interface: `include/areas.h`, which is generated from what is public here (`cargo xtask
//! headers`).
//!
//! | file | what |
//! |---|---|
//! | `area.rs` | the handle of an area, whatever its kind; its address, size and id; its release |
//! | `attributes.rs` | what is asked of a new area, and making it |
//! | `clones.rs` | clones of published areas |
//! | `info.rs`, `finding.rs` | the description of an area; finding areas by name, id, address, one after the other |
//! | `forgetting.rs` | addresses that the program has taken away from areas itself |
//! | `changes.rs` | publishing, resizing, protecting, freezing, populating |
//! | `granted.rs`, `residency.rs`, `verification.rs`, `migration.rs` | what was given, where it is, whether that is right, and moving it |
//! | `notes.rs` | what is noted beside an area |
//! | `copying.rs` | bytes in and out, checked |
//! | `sync.rs` | mutexes, events and sequence locks in areas |
//! | `passing.rs`, `gate.rs` | areas that change hands; for other users and containers, at a path |
//! | `provider.rs`, `custom.rs` | where areas come from: the kernel, layers, a C program's own |
//! | `nodes.rs`, `placement.rs`, `machine.rs`, `targets.rs`, `words.rs` | nodes, placements, the machine, nodes by what they are good at, numbers for words |
//! | `errors.rs` | numbers of errors, and the last one's words |
//! | `sized.rs` | structures that know their size, so that they can grow |

#![expect(unreachable_pub, reason = "the header is generated from what is public")]

mod area;
mod attributes;
mod changes;
mod clones;
mod copying;
mod custom;
mod errors;
mod finding;
mod forgetting;
mod gate;
mod granted;
mod info;
mod machine;
mod migration;
mod nodes;
mod notes;
mod passing;
mod placement;
mod provider;
mod residency;
mod sized;
mod sync;
mod targets;
mod verification;
mod words;
