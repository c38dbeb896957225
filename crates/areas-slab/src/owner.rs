//! What the owner of a slab has: the table in its area, and the books in its own memory.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use areas::presence::Presence;
use areas::{Error, ErrorKind, Result};

use crate::books::Books;
use crate::layout::Table;
use crate::reader::Reader;

/// The owner of a slab.
pub(crate) struct Owner {
    // In the order in which they go: no process finds the area any more before the mark is free.
    pub(crate) table: Arc<Table>,
    books: Mutex<Books>,
    presence: Presence,
    /// In a forked child: what it has of its parent's blocks.
    pub(crate) heir: OnceLock<Reader>,
}

impl Owner {
    pub(crate) fn new(table: Arc<Table>, books: Books, presence: Presence) -> Self {
        Owner { table, books: Mutex::new(books), presence, heir: OnceLock::new() }
    }

    pub(crate) fn books(&self, what: &'static str) -> Result<MutexGuard<'_, Books>> {
        // Before the mutex: another thread of the parent may have held it as this process was
        // forked.
        if self.presence.is_inherited() {
            return Err(Error::new(ErrorKind::NotPermitted, what)
                .with_facts("the slab is the parent's: a forked child has none of it")
                .with_remedy("make one in the child; or have the parent give slices to it"));
        }
        Ok(self.books.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// In a forked child: what it has of its parent's slices it reads.
    pub(crate) fn inherit(&self, reader: Reader) {
        let _ = self.heir.set(reader);
        self.presence.leave();
    }
}
