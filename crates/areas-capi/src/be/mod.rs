//! BeOS's and Haiku's interface: `include/be/`.
//!
//! | file | what |
//! |---|---|
//! | `areas.rs` | areas: made, cloned, found, resized, protected, handed over, deleted |
//! | `places.rs`, `clones.rs`, `words.rs` | where they come to lie, and grow with their clones; protections and locks |
//! | `info.rs` | descriptions of areas |
//! | `ranges.rs` | reserved ranges of addresses |
//! | `teams.rs`, `threads.rs`, `system.rs` | the companions that programs with areas use |
//! | `proc.rs` | what they read |
//! | `texts.rs`, `debugger.rs` | `strerror` of BeOS's errors; a call for the debugger |
//! | `errors.rs`, `layout.rs` | numbers and structures of the headers |

mod areas;
mod clones;
mod debugger;
mod errors;
mod info;
mod layout;
mod places;
mod proc;
mod ranges;
mod system;
mod teams;
mod texts;
mod threads;
mod words;
