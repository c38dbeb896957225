//! Bytes between areas and files: `areas get`, `areas cmp`, `areas fill`.
//!
//! | file | what |
//! |---|---|
//! | `args.rs` | their options |
//! | `get.rs`, `cmp.rs`, `fill.rs` | the commands |
//! | `bytes.rs` | an area's or a file's bytes, read by calls, with their holes |
//! | `pieces.rs` | work shared out among threads, piece by piece |
//! | `new_file.rs` | a file that is there when it is complete, and not before |

pub(crate) mod args;
mod bytes;
pub(crate) mod cmp;
pub(crate) mod fill;
pub(crate) mod get;
mod new_file;
mod pieces;
