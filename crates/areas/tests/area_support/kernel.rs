//! What the kernel says of memory: `/proc/self/smaps`, mincore, st_blocks. Never what the library
//! remembers.

#![expect(unsafe_code, reason = "mincore and raw reads; each block has its proof")]

use std::os::fd::AsFd;

/// One line of `/proc/self/maps`, and what smaps has below it.
#[derive(Clone, Debug)]
pub(crate) struct Vma {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// `rw-s`
    pub(crate) permissions: String,
    pub(crate) path: String,
    details: Vec<(String, String)>,
}

impl Vma {
    /// A value in kB, in bytes.
    #[track_caller]
    pub(crate) fn bytes(&self, field: &str) -> usize {
        let (_, text) = self.details.iter().find(|(name, _)| name == field).unwrap();
        text.trim_end_matches("kB").trim().parse::<usize>().unwrap() * 1024
    }

    /// Whether `VmFlags` has it: "lo" locked, "lf" locked on fault, "dd" not dumped, "mw" may be
    /// made writable.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.details.iter().any(|(name, text)| name == "VmFlags" && text.split(' ').any(|one| one == flag))
    }
}

/// All mappings of this process.
pub(crate) fn maps() -> Vec<Vma> {
    parse(&std::fs::read_to_string("/proc/self/maps").unwrap())
}

fn parse(text: &str) -> Vec<Vma> {
    let mut vmas: Vec<Vma> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap();
        if let Some((name, rest)) = line.split_once(':')
            && first.ends_with(':')
        {
            vmas.last_mut().unwrap().details.push((name.to_owned(), rest.trim().to_owned()));
            continue;
        }
        let (start, end) = first.split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| usize::from_str_radix(text, 16).unwrap());
        vmas.push(Vma {
            start,
            end,
            permissions: words.next().unwrap().to_owned(),
            path: words.nth(3).unwrap_or_default().to_owned(),
            details: Vec::new(),
        });
    }
    vmas
}

/// The mapping at an address, with all that smaps knows; `None` where nothing is mapped.
pub(crate) fn vma_at(address: *const u8) -> Option<Vma> {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    parse(&smaps).into_iter().find(|vma| (vma.start..vma.end).contains(&address.addr()))
}

/// Bytes from `address` on that are in RAM, by mincore: for shared memory, whoever brought them in.
pub(crate) fn in_core(address: *const u8, len: usize) -> usize {
    let page = rustix::param::page_size();
    let mut pages = vec![0_u8; len.div_ceil(page)];
    // SAFETY: the vector has a byte for each page of the range; mincore reads no memory of the
    // range.
    let status = unsafe { libc::mincore(address.cast_mut().cast(), len, pages.as_mut_ptr()) };
    assert_eq!(status, 0, "mincore: {}", std::io::Error::last_os_error());
    pages.iter().filter(|page| **page & 1 == 1).count() * page
}

/// The page frame of each base page from `address` on, by `/proc/self/pagemap`, for root: 0 where
/// none is mapped.
pub(crate) fn frames(address: *const u8, len: usize) -> Vec<u64> {
    use std::os::unix::fs::FileExt;
    let page = rustix::param::page_size();
    let mut words = vec![0_u8; len.div_ceil(page) * 8];
    let table = std::fs::File::open("/proc/self/pagemap").unwrap();
    table.read_exact_at(&mut words, (address.addr() / page * 8) as u64).unwrap();
    let words = words.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    words.map(|word| if word >> 63 == 1 { word & ((1 << 55) - 1) } else { 0 }).collect()
}

/// Bytes of memory that an object has.
#[expect(clippy::cast_sign_loss, reason = "a count")]
pub(crate) fn allocated(object: impl AsFd) -> u64 {
    rustix::fs::fstat(object).unwrap().st_blocks as u64 * 512
}

/// Reads a byte as a peer in C would: no look at any size, no call of the library.
///
/// # Safety
/// `address` is mapped, readable, and backed by an object that reaches that far.
pub(crate) unsafe fn peek(address: *const u8) -> u8 {
    // SAFETY: the caller's promise; any byte is a u8.
    unsafe { address.read_volatile() }
}

/// Writes a byte as a peer in C would.
///
/// # Safety
/// `address` is mapped, writable, shared memory of which there is no reference, and backed by an
/// object that reaches that far.
pub(crate) unsafe fn poke(address: *mut u8, value: u8) {
    // SAFETY: the caller's promise.
    unsafe { address.write_volatile(value) }
}
