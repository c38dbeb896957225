//! The last error of each thread: C gets a number, and may ask for the words behind it.

use std::cell::{OnceCell, RefCell};
use std::ffi::{CStr, CString};

use areas::Error;

/// An error, and what was said of it, put in words when somebody asks.
#[derive(Debug)]
pub(crate) struct Kept {
    error: Error,
    words: [OnceCell<CString>; 3],
}

/// Which words of the last error.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Words {
    /// One line: what was tried, with which values, what the kernel said.
    Line,
    /// The same, with what to do about it on a second line.
    Help,
    /// What to do about it alone; empty where that is not known.
    Remedy,
}

thread_local! {
    static LAST: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// Keeps what a call of this thread failed with, until the next one fails.
pub(crate) fn keep(error: Error) {
    // A thread that is being torn down has nobody to ask.
    let _ = LAST.try_with(|last| last.borrow_mut().replace(Kept { error, words: Default::default() }));
}

impl Kept {
    pub(crate) fn into_error(self) -> Error {
        self.error
    }
}

/// Takes the last error out, so that there is none: its words stay where they are.
pub(crate) fn take() -> Option<Kept> {
    LAST.try_with(|last| last.borrow_mut().take()).ok().flatten()
}

/// Puts what was taken out back, with the words that C may still have.
pub(crate) fn put_back(kept: Option<Kept>) {
    let _ = LAST.try_with(|last| *last.borrow_mut() = kept);
}

/// Looks at the last error.
pub(crate) fn look<T>(at: impl FnOnce(&Error) -> T) -> Option<T> {
    LAST.try_with(|last| last.borrow().as_ref().map(|kept| at(&kept.error))).ok().flatten()
}

/// The last error in words, where they stay until the next call of this thread fails; an empty string if none has.
pub(crate) fn in_words(which: Words) -> *const std::ffi::c_char {
    let made = LAST.try_with(|last| {
        last.borrow().as_ref().map(|Kept { error, words }| {
            let text = || match which {
                Words::Line => format!("{error}"),
                Words::Help => format!("{error:#}"),
                Words::Remedy => error.remedy().unwrap_or_default().to_owned(),
            };
            words[which as usize].get_or_init(|| without_nul(text())).as_ptr()
        })
    });
    made.ok().flatten().unwrap_or(CStr::as_ptr(c""))
}

/// A name in a message may hold anything.
fn without_nul(text: String) -> CString {
    CString::new(text).unwrap_or_else(|error| {
        let mut bytes = error.into_vec();
        bytes.retain(|&byte| byte != 0);
        CString::new(bytes).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use areas::Kind;

    use super::*;

    /// What this thread's last failed call said.
    fn last() -> Option<String> {
        look(|error| format!("{error:#}"))
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

    #[test]
    fn words_stay_where_they_are_until_the_next_failure() {
        keep(Error::new(Kind::Busy, "do this").help("do that\0 instead"));
        let words = [Words::Line, Words::Help, Words::Remedy].map(in_words);
        assert_eq!(words, [Words::Line, Words::Help, Words::Remedy].map(in_words));
        // Put aside and back, for a call of somebody else's code that may fail without the caller's being told.
        let before = take();
        assert!(before.is_some() && take().is_none());
        keep(Error::new(Kind::Busy, "do something else"));
        put_back(before);
        assert_eq!(words, [Words::Line, Words::Help, Words::Remedy].map(in_words));
        assert!(take().is_some_and(|kept| kept.into_error().to_string() == "cannot do this"));
    }
}
