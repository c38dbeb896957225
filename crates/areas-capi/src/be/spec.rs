//! Where a program wants an area, as BeOS's calls have it: an address specification, and a size in
//! whole pages.

use areas::{Address, PageSize};

use super::errors::{BAD_ADDRESS, BAD_VALUE, NO_MEMORY, Status, wrong};

/// Where a program wants an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spec {
    Any,
    Exact(usize),
    Base(usize),
    /// Where the source is.
    Clone,
    Random,
    RandomBase(usize),
}

/// Refuses the specifications that are the kernel's own (`B_ANY_KERNEL_ADDRESS`,
/// `B_ANY_KERNEL_BLOCK_ADDRESS`): before any pointer is looked at, as Haiku's kernel does.
pub(super) fn refuse_the_kernels(spec: u32) -> Result<(), Status> {
    match spec {
        4 | 5 => Err(wrong(BAD_VALUE, "place an area", "the address specification is the kernel's own")),
        _ => Ok(()),
    }
}

impl Spec {
    /// From the number and the address of a call.
    pub(super) fn new(spec: u32, address: usize) -> Result<Self, Status> {
        Ok(match spec {
            0 => Spec::Any,
            // The kernel has those from the middle on.
            1 if address.cast_signed() < 0 => {
                return Err(wrong(BAD_VALUE, "place an area", "the address is one of the kernel's"));
            }
            1 => Spec::Exact(address),
            2 => Spec::Base(address),
            3 => Spec::Clone,
            6 => Spec::Random,
            7 => Spec::RandomBase(address),
            _ => {
                return Err(wrong(BAD_VALUE, "place an area", "the address specification is unknown"));
            }
        })
    }

    /// In the library's words. An exact range is checked: outside the addresses of a process is
    /// something else than taken.
    pub(super) fn address(self, size: usize) -> Result<Address, Status> {
        Ok(match self {
            Spec::Any | Spec::Clone => Address::Any,
            Spec::Base(hint) => Address::AtOrAbove(hint),
            Spec::Random => Address::Random,
            Spec::RandomBase(lowest) => Address::RandomAtOrAbove(lowest),
            Spec::Exact(address) => {
                if !is_in_user_range(address, size) {
                    return Err(wrong(
                        BAD_ADDRESS,
                        "place an area",
                        "it is outside the addresses of a process",
                    ));
                }
                if !address.is_multiple_of(page()) {
                    return Err(wrong(
                        BAD_VALUE,
                        "place an area",
                        "the address is not a multiple of the page size",
                    ));
                }
                Address::Exactly(address)
            }
        })
    }
}

/// Where the addresses of a process end.
const END: usize = 1 << 47;

/// Whether a process can have these addresses: not the first page, and nothing from 2^47 less a
/// page on.
pub(super) fn is_in_user_range(address: usize, size: usize) -> bool {
    let end = END - page();
    address >= page() && address.checked_add(size).is_some_and(|last| last <= end)
}

pub(super) fn page() -> usize {
    PageSize::base().bytes()
}

/// A size in whole pages.
pub(super) fn whole_pages(what: &'static str, size: usize) -> Result<usize, Status> {
    let rounded = size.checked_next_multiple_of(page()).filter(|&size| size > 0);
    let size =
        rounded.ok_or_else(|| wrong(BAD_VALUE, what, "the size is 0, or more than there are addresses"))?;
    if size >= END {
        return Err(wrong(NO_MEMORY, what, "the size is more than a process can have"));
    }
    Ok(size)
}
