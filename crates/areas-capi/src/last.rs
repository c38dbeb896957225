//! The last error of this thread, whichever interface it came through: its text and remedy outlive the error code.

use std::cell::RefCell;

use areas::Error;

thread_local! {
    static LAST: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// Keeps the error that a call of this thread is about to return as a number.
pub(crate) fn keep(error: Error) {
    // A thread that is about to end may have no such place any more; then nobody can ask either.
    let _ = LAST.try_with(|last| last.replace(Some(error)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_its_own() {
        keep(Error::new(areas::Kind::Busy, "test"));
        let other = std::thread::spawn(|| LAST.with_borrow(Option::is_none)).join().unwrap();
        assert!(other);
        assert!(
            LAST.with_borrow(|last| last.as_ref().is_some_and(|error| error.kind() == areas::Kind::Busy))
        );
    }
}
