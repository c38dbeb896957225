//! Structures that begin with their own size, so that programs and libraries of different ages
//! understand each other.
//!
//! What a program gives may be longer than what this library knows: then the rest must be zero,
//! which asks for nothing. What a program wants filled in may be longer too: then the rest becomes
//! zero, which says nothing.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::mem::MaybeUninit;

use areas::{Error, ErrorKind, Result};

/// No structure of ours will ever be that long: a larger size was never set.
const TOO_LONG: usize = 1 << 14;

/// A structure of the header that begins with `size_t struct_size`.
///
/// # Safety
/// It is `repr(C)`, begins with a `usize`, and holds nothing that is not valid as zeros.
pub(super) unsafe trait Versioned: Copy {
    /// What C calls it.
    const NAME: &'static str;
    /// The bytes that it had in the first version of the header.
    const FIRST: usize;
}

fn check<T: Versioned>(stated: usize) -> Result<()> {
    const { assert!(T::FIRST <= size_of::<T>(), "it was shorter once, never longer") };
    let wrong = |detail: String| {
        Err(Error::new(ErrorKind::InvalidInput, format!("use a struct {}", T::NAME))
            .with_facts(detail)
            .with_remedy(format!("initialise it: `{} it = {};`", T::NAME, T::NAME.to_uppercase())))
    };
    match stated {
        0 => wrong("its struct_size is 0".to_owned()),
        _ if stated < T::FIRST => {
            wrong(format!("its struct_size is {stated}, and the first version had {}", T::FIRST))
        }
        _ if stated > TOO_LONG => wrong(format!("its struct_size is {stated}")),
        _ => Ok(()),
    }
}

fn is_null<T: Versioned>() -> Error {
    Error::new(ErrorKind::InvalidInput, format!("use a struct {}", T::NAME))
        .with_facts("the pointer to it is NULL")
}

/// Reads what a program has filled in.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for NULL, a size that cannot be, and for a longer one whose rest
/// asks for something.
///
/// # Safety
/// `from` is NULL, or points to as many bytes as its first member says, at least to that member.
pub(super) unsafe fn read<T: Versioned>(from: *const T) -> Result<T> {
    if from.is_null() {
        return Err(is_null::<T>());
    }
    // SAFETY: it points to its first member at least (the caller), a `usize` (the trait).
    let stated = unsafe { from.cast::<usize>().read_unaligned() };
    check::<T>(stated)?;
    for at in size_of::<T>()..stated {
        // SAFETY: `stated` bytes are there (the caller).
        let byte = unsafe { from.cast::<u8>().add(at) };
        // SAFETY: it is one of the `stated` bytes, which may be read (the caller); any byte is a
        // `u8`.
        if unsafe { byte.read() } != 0 {
            return Err(Error::new(ErrorKind::InvalidInput, format!("use a struct {}", T::NAME))
                .with_facts(format!(
                    "its byte {at} is not 0, and this library knows {} bytes of it",
                    size_of::<T>()
                ))
                .with_remedy("the program was built for a newer libareas: install that one"));
        }
    }
    let mut value = MaybeUninit::<T>::zeroed();
    let len = stated.min(size_of::<T>());
    // SAFETY: `stated` bytes are readable there (the caller), `size_of::<T>()` writable here, and
    // C's memory is not part of ours.
    unsafe { std::ptr::copy_nonoverlapping(from.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), len) };
    // SAFETY: whatever is in it came from C as a value of this type, or is zero, which is valid
    // (the trait).
    Ok(unsafe { value.assume_init() })
}

/// Room for what a program wants filled in.
#[derive(Debug)]
pub(super) struct Room<T> {
    to: *mut T,
    stated: usize,
}

/// Looks whether a program has room for an answer, before the question is asked.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for NULL and for a size that cannot be.
///
/// # Safety
/// `to` is NULL, or points to as many writable bytes as its first member says, at least to that
/// member.
pub(super) unsafe fn room<T: Versioned>(to: *mut T) -> Result<Room<T>> {
    if to.is_null() {
        return Err(is_null::<T>());
    }
    // SAFETY: it points to its first member at least (the caller), a `usize` (the trait).
    let stated = unsafe { to.cast::<usize>().read_unaligned() };
    check::<T>(stated)?;
    Ok(Room { to, stated })
}

impl<T: Versioned> Room<T> {
    /// Fills it in.
    ///
    /// # Safety
    /// What was promised to [`room`] still holds.
    pub(super) unsafe fn fill(self, value: &T) {
        let Room { to, stated } = self;
        let (to, len) = (to.cast::<u8>(), stated.min(size_of::<T>()));
        // SAFETY: `stated` bytes are writable there (the caller), the value is ours, and not part
        // of C's memory.
        unsafe { std::ptr::copy_nonoverlapping(std::ptr::from_ref(value).cast::<u8>(), to, len) };
        // SAFETY: `len <= stated`.
        let rest = unsafe { to.add(len) };
        // SAFETY: the rest of the `stated` bytes (the caller).
        unsafe { rest.write_bytes(0, stated - len) };
        // SAFETY: the first member, which says what it said before.
        unsafe { to.cast::<usize>().write_unaligned(stated) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct Short {
        struct_size: usize,
        one: u64,
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct Long {
        struct_size: usize,
        one: u64,
        two: u64,
    }

    // SAFETY: numbers, the first of them a `usize`.
    unsafe impl Versioned for Short {
        const NAME: &'static str = "it";
        const FIRST: usize = 16;
    }

    // SAFETY: numbers, the first of them a `usize`.
    unsafe impl Versioned for Long {
        const NAME: &'static str = "it";
        const FIRST: usize = 16;
    }

    #[test]
    fn old_and_new_understand_each_other() {
        let short = Short { struct_size: 16, one: 7 };
        // SAFETY: it has the 16 bytes that it says.
        let read_short = unsafe { read::<Long>((&raw const short).cast()) }.unwrap();
        assert_eq!((read_short.one, read_short.two), (7, 0));
        let long = Long { struct_size: 24, one: 7, two: 0 };
        // SAFETY: it has the 24 bytes that it says.
        assert_eq!(unsafe { read::<Short>((&raw const long).cast()) }.unwrap().one, 7);
        let asks = Long { two: 1 << 40, ..long };
        // SAFETY: `asks` is as long as its first member says.
        let error = unsafe { read::<Short>((&raw const asks).cast()) }.unwrap_err();
        assert!(error.to_string().contains("byte 21 is not 0"), "{error}");
    }

    #[test]
    fn answers_fit_the_one_who_asks() {
        let mut short = [Short { struct_size: 16, one: 0 }, Short { struct_size: 1, one: 1 }];
        // SAFETY: it has the 16 bytes that it says.
        let space = unsafe { room::<Long>(short.as_mut_ptr().cast()) }.unwrap();
        // SAFETY: `it` is as large as `room` read, and nothing else uses it.
        unsafe { space.fill(&Long { struct_size: 0, one: 5, two: 6 }) };
        assert_eq!(short, [Short { struct_size: 16, one: 5 }, Short { struct_size: 1, one: 1 }]);
        let mut long = Long { struct_size: 24, one: 1, two: 1 };
        // SAFETY: it has the 24 bytes that it says.
        let space = unsafe { room::<Short>((&raw mut long).cast()) }.unwrap();
        // SAFETY: `it` is as large as `room` read, and nothing else uses it.
        unsafe { space.fill(&Short { struct_size: 0, one: 5 }) };
        assert_eq!(long, Long { struct_size: 24, one: 5, two: 0 });
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        for struct_size in [0, 1, 15, TOO_LONG + 1, usize::MAX] {
            let it = Short { struct_size, one: 0 };
            // SAFETY: its first member is there, and no more is read.
            assert_eq!(unsafe { read::<Short>(&raw const it) }.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        // SAFETY: NULL.
        assert_eq!(unsafe { read::<Short>(std::ptr::null()) }.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
