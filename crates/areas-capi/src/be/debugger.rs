//! A program that calls for its debugger.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{CStr, c_char};
use std::io::Write as _;

use crate::edge::catch_panic;

/// Writes a message, and raises SIGTRAP: a debugger stops there and may go on; without one the
/// signal does what the program has it do.
///
/// # Safety
/// `message` is NULL or a C string.
#[unsafe(no_mangle)]
unsafe extern "C" fn debugger(message: *const c_char) {
    catch_panic((), || {
        let mut line = b"debugger: ".to_vec();
        if !message.is_null() {
            // SAFETY: not NULL, and then it is a string (the caller).
            line.extend_from_slice(unsafe { CStr::from_ptr(message) }.to_bytes());
        }
        line.push(b'\n');
        // To the descriptor, in one piece: the program may be in the middle of a call on C's
        // stream. Where it cannot be written, the signal is what is left.
        let _ = std::io::stderr().write_all(&line);
    });
    // SAFETY: the signal is the calling thread's own, which is what the program asks for.
    unsafe { libc::raise(libc::SIGTRAP) };
}
