//! What wakes up a process that holds areas, from whichever thread it comes.

use std::io;

use areas::PageBuffer;

use crate::request::Asked;

/// What wakes a holder up.
#[derive(Debug)]
pub(crate) enum Event {
    /// A signal came in.
    Signal(i32),
    /// The command has ended.
    Ended,
    /// Another `areas` command asks for something.
    Asked(Asked),
    /// Something came of a stream.
    Came(Came),
}

/// What comes of a stream.
#[derive(Debug)]
pub(crate) enum Came {
    /// A buffer, and how many bytes of it.
    Bytes(PageBuffer, usize),
    /// The end, or why there is no more.
    End(io::Result<()>),
}
