//! BeOS's and Haiku's interface: `include/be/`.
//!
//! | file | what |
//! |---|---|
//! | `making.rs`, `finding.rs`, `areas.rs`, `transfer.rs` | areas: made and cloned, found, resized, protected and deleted, handed over |
//! | `spec.rs`, `places.rs`, `clearing.rs` | where they come to lie: as a program says, and what gives way |
//! | `reserves.rs`, `growth.rs` | addresses behind them, and growing, with their clones |
//! | `words.rs` | protections and locks |
//! | `info.rs` | descriptions of areas |
//! | `ranges.rs` | reserved ranges of addresses |
//! | `teams.rs`, `threads.rs`, `system.rs` | the companions that programs with areas use |
//! | `proc.rs` | what they read |
//! | `texts.rs`, `debugger.rs` | `strerror` of BeOS's errors; a call for the debugger |
//! | `errors.rs`, `layout.rs` | numbers and structures of the headers |

mod areas;
mod clearing;
mod debugger;
mod errors;
mod finding;
mod growth;
mod info;
mod layout;
mod making;
mod places;
mod proc;
mod ranges;
mod reserves;
mod spec;
mod system;
mod teams;
mod texts;
mod threads;
mod transfer;
mod words;
