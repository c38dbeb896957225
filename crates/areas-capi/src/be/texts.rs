//! Error numbers in words: what `strerror` gives to programs that include BeOS's headers.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::fmt;
use std::io::Write as _;

use super::errors::Status;
use crate::edge::catch_panic;

const fn general(number: i32) -> Status {
    i32::MIN + number
}

const fn system(number: i32) -> Status {
    general(0x1000 + number)
}

const fn storage(number: i32) -> Status {
    general(0x6000 + number)
}

/// What are numbers of errno on BeOS.
const fn posix(number: i32) -> Status {
    general(0x7000 + number)
}

/// All errors of `Errors.h`, in its order.
const TEXTS: [(Status, &CStr); 57] = [
    (0, c"No Error"),
    (-1, c"General system error"),
    (general(0), c"Out of memory"),
    (general(1), c"I/O error"),
    (general(2), c"Permission denied"),
    (general(3), c"Index not in range for the data set"),
    (general(4), c"Bad argument type passed to function"),
    (general(5), c"Invalid Argument"),
    (general(6), c"Mismatched values passed to function"),
    (general(7), c"Name not found"),
    (general(8), c"Name already in use"),
    (general(9), c"Operation timed out"),
    (general(10), c"Interrupted system call"),
    (general(11), c"Operation would block"),
    (general(12), c"Operation canceled"),
    (general(13), c"Initialization failed"),
    (general(14), c"Device/File/Resource busy"),
    (general(15), c"Operation not allowed"),
    (general(16), c"Bad data"),
    (general(17), c"Don't do that!"),
    (system(0), c"Bad semaphore ID"),
    (system(1), c"No more semaphores"),
    (system(0x100), c"Bad thread ID"),
    (system(0x101), c"No more threads"),
    (system(0x102), c"Thread is inappropriate state"),
    (system(0x103), c"Operation on invalid team"),
    (system(0x104), c"No more teams"),
    (system(0x200), c"Bad port ID"),
    (system(0x201), c"No more ports"),
    (system(0x300), c"Bad image ID"),
    (system(0x301), c"Bad address"),
    (system(0x302), c"Not an executable"),
    (system(0x303), c"Missing library"),
    (system(0x304), c"Symbol not found"),
    (system(0x400), c"Debugger already installed for this team"),
    (storage(0), c"Bad file descriptor"),
    (storage(1), c"File not found"),
    (storage(2), c"File or Directory already exists"),
    (storage(3), c"No such file or directory"),
    (storage(4), c"File name too long"),
    (storage(5), c"Not a directory"),
    (storage(6), c"Directory not empty"),
    (storage(7), c"No space left on device"),
    (storage(8), c"Read-only file system"),
    (storage(9), c"Is a directory"),
    (storage(10), c"Too many open files"),
    (storage(11), c"Cross-device link"),
    (storage(12), c"Too many symbolic links"),
    (storage(13), c"Broken pipe"),
    (storage(14), c"Operation not supported"),
    (storage(15), c"Partition too small to contain filesystem"),
    (posix(1), c"Argument too big"),
    (posix(4), c"File too large"),
    (posix(7), c"No such device"),
    (posix(16), c"Range error"),
    (posix(41), c"Value too large for defined type"),
    (posix(43), c"Operation not supported"),
];

/// Room for a number that is not listed, in words.
type Unknown = [u8; 40];

thread_local! {
    /// It has no destructor, and so is there as long as the thread is.
    static UNKNOWN: Cell<Unknown> = const { Cell::new([0; 40]) };
}

fn known(error: Status) -> Option<&'static CStr> {
    TEXTS.iter().find(|&&(number, _)| number == error).map(|&(_, text)| text)
}

/// A number that is none of ours, in words that end with a NUL.
fn unknown(error: impl fmt::Display) -> Unknown {
    let mut text = [0; 40];
    let room = text.len() - 1;
    // As much as there is room for.
    let _ = write!(&mut text[..room], "Unknown Error ({error})");
    text
}

/// An error in words: one of BeOS's, or of errno. The words stay until the thread's next call.
#[unsafe(no_mangle)]
extern "C" fn areas_be_strerror(error: i32) -> *mut c_char {
    catch_panic(std::ptr::null_mut(), || {
        if let Some(text) = known(error) {
            return text.as_ptr().cast_mut();
        }
        if error > 0 {
            // SAFETY: any number is an argument of it.
            return unsafe { libc::strerror(error) };
        }
        UNKNOWN.with(|place| {
            place.set(unknown(error));
            place.as_ptr().cast()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each error number that the header defines has a text.
    #[test]
    fn no_error_of_the_header_is_without_words() {
        let header = include_str!("../../include/be/support/Errors.h");
        let mut numbers = vec![-1, 0];
        for line in header.lines() {
            let Some((_, value)) = line.strip_prefix("#define B_").and_then(|rest| rest.split_once(" (B_"))
            else {
                continue;
            };
            let (base, number) = value.trim_end_matches(')').split_once(" + ").unwrap();
            let number = match number.strip_prefix("0x") {
                Some(digits) => i32::from_str_radix(digits, 16).unwrap(),
                None => number.parse().unwrap(),
            };
            match base {
                "GENERAL_ERROR_BASE" if line.contains("_BASE (") || line.contains("B_ERRORS_END") => {}
                "GENERAL_ERROR_BASE" => numbers.push(general(number)),
                "OS_ERROR_BASE" => numbers.push(system(number)),
                "STORAGE_ERROR_BASE" => numbers.push(storage(number)),
                "POSIX_ERROR_BASE" => numbers.push(posix(number)),
                _ => panic!("{line}"),
            }
        }
        numbers.sort_unstable();
        let mut reported: Vec<Status> = TEXTS.iter().map(|&(number, _)| number).collect();
        reported.sort_unstable();
        assert_eq!(reported, numbers);
    }

    #[test]
    fn a_number_without_a_text_is_reported() {
        let text = unknown(i32::MIN + 0x7fff);
        assert_eq!(CStr::from_bytes_until_nul(&text).unwrap(), c"Unknown Error (-2147450881)");
        // It ends, however long.
        assert!(CStr::from_bytes_until_nul(&unknown("9".repeat(99))).is_ok());
    }
}
