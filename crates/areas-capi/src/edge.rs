//! What every function of the edge does: no panic goes on into C.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`; gives `broken` should it panic, which is a bug of ours and is told on stderr by the panic itself.
pub(crate) fn guarded<T>(broken: T, body: impl FnOnce() -> T) -> T {
    // What a panic leaves half changed in the library is behind its own mutexes, which it treats as poisoned or not.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(guarded(-1, || 7), 7);
        assert_eq!(guarded(-1, || panic!("as asked by a test")), -1);
    }
}
