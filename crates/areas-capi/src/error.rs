//! The last error of each thread: C gets a number, and may ask for the words behind it.

#![expect(unsafe_code, reason = "a key whose destructor comes last; each block has its proof")]

use std::cell::OnceCell;
use std::ffi::{CStr, CString};

use areas::Error;

use crate::slot::Slot;

/// An error, and what was said of it, put in words when it is asked for.
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
    static LAST: Slot<Kept> = const { Slot::new() };
    /// Drops what is in there when the thread ends.
    static END: End = const { End };
}

struct End;

impl Drop for End {
    fn drop(&mut self) {
        drop(LAST.with(Slot::take));
    }
}

/// Keeps what a call of this thread failed with, until the next one fails.
pub(crate) fn keep(error: Error) {
    put_back(Some(Kept { error, words: Default::default() }));
}

impl Kept {
    pub(crate) fn into_error(self) -> Error {
        self.error
    }
}

/// Takes the last error out, so that there is none: its words stay where they are.
pub(crate) fn take() -> Option<Kept> {
    LAST.with(Slot::take)
}

/// Puts what was taken out back, with the words that C may still have.
pub(crate) fn put_back(kept: Option<Kept>) {
    drop(LAST.with(|last| last.put(kept)));
    if END.try_with(|_| ()).is_err() {
        late::drop_at_the_end();
    }
}

/// Looks at the last error.
pub(crate) fn look<T>(at: impl FnOnce(&Error) -> T) -> Option<T> {
    LAST.with(|last| last.look(|kept| at(&kept.error)))
}

/// The last error in words, where they stay until the next call of this thread fails; an empty
/// string if none has.
pub(crate) fn in_words(which: Words) -> *const std::ffi::c_char {
    let made = LAST.with(|last| {
        last.look(|Kept { error, words }| {
            let text = || match which {
                Words::Line => format!("{error}"),
                Words::Help => format!("{error:#}"),
                Words::Remedy => error.remedy().unwrap_or_default().to_owned(),
            };
            words[which as usize].get_or_init(|| without_nul(text())).as_ptr()
        })
    });
    made.unwrap_or(CStr::as_ptr(c""))
}

/// Errors of a thread that ends: of calls in destructors of keys (`pthread_key_create`), which come
/// after those of thread-local values. What is kept then is dropped by such a destructor, too. (At
/// the end of the process, in `atexit`, nothing drops it.)
mod late {
    use std::ffi::c_void;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{LAST, Slot};

    /// No key yet; else the key.
    const NONE: u64 = u64::MAX;
    static KEY: AtomicU64 = AtomicU64::new(NONE);

    unsafe extern "C" fn drop_last(_: *mut c_void) {
        drop(LAST.with(Slot::take));
    }

    /// Where there is no key to be had, what is kept last is never dropped.
    pub(super) fn drop_at_the_end() {
        let mut known = KEY.load(Ordering::Acquire);
        if known == NONE {
            let mut key: libc::pthread_key_t = 0;
            // SAFETY: there is room for the key, and the function is part of this library, which
            // stays as long as threads use it.
            if unsafe { libc::pthread_key_create(&raw mut key, Some(drop_last)) } != 0 {
                return;
            }
            known = match KEY.compare_exchange(NONE, key.into(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => key.into(),
                Err(others) => {
                    // SAFETY: made above, and used by nothing.
                    unsafe { libc::pthread_key_delete(key) };
                    others
                }
            };
        }
        let Ok(key) = libc::pthread_key_t::try_from(known) else { return };
        // SAFETY: a key that was made and is never deleted. The value only has to be another than
        // NULL.
        unsafe { libc::pthread_setspecific(key, std::ptr::from_ref(&KEY).cast()) };
    }
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
    use areas::ErrorKind;

    use super::*;

    /// What this thread's last failed call said.
    fn last() -> Option<String> {
        look(|error| format!("{error:#}"))
    }

    #[test]
    fn each_thread_has_its_own() {
        keep(Error::new(ErrorKind::Busy, "do this"));
        std::thread::spawn(|| {
            assert_eq!(last(), None);
            keep(Error::new(ErrorKind::Busy, "do that"));
        })
        .join()
        .unwrap();
        assert_eq!(last().as_deref(), Some("cannot do this"));
    }

    #[test]
    fn words_stay_where_they_are_until_the_next_failure() {
        keep(Error::new(ErrorKind::Busy, "do this").with_remedy("do that\0 instead"));
        let words = [Words::Line, Words::Help, Words::Remedy].map(in_words);
        assert_eq!(words, [Words::Line, Words::Help, Words::Remedy].map(in_words));
        // Put aside and back, for a call of other code that may fail without the caller's being
        // notified.
        let before = take();
        assert!(before.is_some() && take().is_none());
        keep(Error::new(ErrorKind::Busy, "do something else"));
        put_back(before);
        assert_eq!(words, [Words::Line, Words::Help, Words::Remedy].map(in_words));
        assert!(take().is_some_and(|kept| kept.into_error().to_string() == "cannot do this"));
    }
}
