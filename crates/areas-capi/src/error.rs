//! The last error of each thread: C gets a number, and may ask for the words behind it.

use std::cell::RefCell;

use areas::Error;

thread_local! {
    static LAST: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// Keeps what a call of this thread failed with, until the next one fails.
pub(crate) fn keep(error: Error) {
    // A thread that is being torn down has nobody to ask.
    let _ = LAST.try_with(|last| last.borrow_mut().replace(error));
}

#[cfg(test)]
mod tests {
    use areas::Kind;

    use super::*;

    /// What this thread's last failed call said.
    fn last() -> Option<String> {
        LAST.with(|last| last.borrow().as_ref().map(|error| format!("{error:#}")))
    }

    #[test]
    fn each_thread_has_its_own() {
        keep(Error::new(Kind::Busy, "do this"));
        std::thread::spawn(|| {
            assert_eq!(last(), None);
            keep(Error::new(Kind::Busy, "do that"));
        })
        .join()
        .unwrap();
        assert_eq!(last().as_deref(), Some("cannot do this"));
    }
}
