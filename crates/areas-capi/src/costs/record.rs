//! C's structures, as the headers have them: their sizes and fields come from `abi/*.layout.txt`.

use std::ffi::c_void;

const LAYOUTS: [&str; 3] = [
    include_str!("../../abi/areas.layout.txt"),
    include_str!("../../abi/be.layout.txt"),
    include_str!("../../abi/aml.layout.txt"),
];

/// The numbers behind a name.
fn numbers(name: &str) -> Vec<usize> {
    let lines = LAYOUTS.iter().flat_map(|layout| layout.lines());
    let line = lines.filter_map(|line| line.split_once(' ')).find(|(found, _)| *found == name);
    let (_, numbers) = line.unwrap_or_else(|| panic!("no layout has {name}"));
    numbers.split(' ').map(|number| number.parse().unwrap()).collect()
}

/// A structure, zeroed.
pub(super) struct Record {
    name: &'static str,
    size: usize,
    words: Vec<u64>,
}

impl Record {
    /// All zeros.
    pub(super) fn zeroed(name: &'static str) -> Self {
        let size = numbers(name)[0];
        Record { name, size, words: vec![0; size.div_ceil(8)] }
    }

    /// One of `areas.h`, which begins with its size.
    pub(super) fn begun(name: &'static str) -> Self {
        let record = Record::zeroed(name);
        let size = record.size as u64;
        record.set("struct_size", size)
    }

    /// Sets a field, which was 0.
    pub(super) fn set(mut self, field: &str, value: u64) -> Self {
        let found = numbers(&format!("{}.{field}", self.name));
        let (offset, size) = (found[0], found[1]);
        assert!(size <= 8 && (size == 8 || value >> (8 * size) == 0), "{field}");
        // Little-endian, as all machines are that this library is built for.
        self.words[offset / 8] |= value << (8 * (offset % 8));
        self
    }

    /// Puts node 0 into a set of nodes.
    pub(super) fn node_0(mut self, field: &str) -> Self {
        let offset = numbers(&format!("{}.{field}", self.name))[0];
        self.words[offset / 8] |= 1;
        self
    }

    /// The same as [`set`](Self::set) with an address.
    pub(super) fn point<T>(self, field: &str, at: *const T) -> Self {
        self.set(field, at.expose_provenance() as u64)
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn as_ptr(&self) -> *const c_void {
        self.words.as_ptr().cast()
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut c_void {
        self.words.as_mut_ptr().cast()
    }
}
