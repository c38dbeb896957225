//! Ranges against a plain model: a vector of bytes that says what each access must do.

use std::sync::atomic::Ordering;

use areas::{Area, ErrorKind, Shared};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Access {
    Read { offset: usize, len: usize },
    Write { offset: usize, bytes: Vec<u8> },
    Load { offset: usize },
    Store { offset: usize, value: u32 },
    Copy { offset: usize, at: usize, len: usize },
    Slice { offset: usize, len: usize, inner: usize, bytes: Vec<u8> },
    Grow { size: usize },
}

/// Offsets near 0, near the end, near a page's end, near where numbers end, and anywhere.
fn offset() -> impl Strategy<Value = usize> {
    prop_oneof![
        0..20_usize,
        4080..4112_usize,
        8180..8200_usize,
        12270..12300_usize,
        (0..20_usize).prop_map(|back| usize::MAX - back),
        (0..20_usize).prop_map(|back| usize::MAX / 2 + back),
        any::<usize>(),
        0..12288_usize,
    ]
}

fn len() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), 0..16_usize, 0..9000_usize]
}

fn access() -> impl Strategy<Value = Access> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..64);
    prop_oneof![
        (offset(), len()).prop_map(|(offset, len)| Access::Read { offset, len }),
        (offset(), bytes()).prop_map(|(offset, bytes)| Access::Write { offset, bytes }),
        offset().prop_map(|offset| Access::Load { offset }),
        (offset(), any::<u32>()).prop_map(|(offset, value)| Access::Store { offset, value }),
        (offset(), offset(), prop_oneof![len(), any::<usize>()]).prop_map(|(offset, at, len)| Access::Copy {
            offset,
            at,
            len
        }),
        (offset(), len(), offset(), bytes()).prop_map(|(offset, len, inner, bytes)| Access::Slice {
            offset,
            len,
            inner,
            bytes
        }),
        prop_oneof![0..12400_usize, any::<usize>()].prop_map(|size| Access::Grow { size }),
    ]
}

/// What an area is, in the simplest words.
struct Model {
    bytes: Vec<u8>,
    /// Where it may grow to; `None` for a fixed one.
    max: Option<usize>,
}

impl Model {
    fn has(&self, offset: usize, len: usize) -> bool {
        offset.checked_add(len).is_some_and(|end| end <= self.bytes.len())
    }

    /// What an access to bytes comes to.
    fn access(&self, offset: usize, len: usize) -> Result<(), ErrorKind> {
        if self.has(offset, len) { Ok(()) } else { OUTSIDE }
    }

    /// What an access to a word of four bytes comes to.
    fn access_word(&self, offset: usize) -> Result<(), ErrorKind> {
        self.access(offset, 4)?;
        if offset.is_multiple_of(4) { Ok(()) } else { Err(ErrorKind::InvalidInput) }
    }
}

fn kind<T>(result: areas::Result<T>) -> Result<T, ErrorKind> {
    result.map_err(|error| error.kind())
}

type Checked = Result<(), TestCaseError>;

const OUTSIDE: Result<(), ErrorKind> = Err(ErrorKind::OutOfRange);

fn run(area: &Area<Shared>, model: &mut Model, access: &Access) -> Checked {
    match *access {
        Access::Read { offset, len } => read(area, model, offset, len)?,
        Access::Write { offset, ref bytes } => write(area, model, offset, bytes)?,
        Access::Load { offset } => load(area, model, offset)?,
        Access::Store { offset, value } => store(area, model, offset, value)?,
        Access::Copy { offset, at, len } => copy(area, model, offset, at, len)?,
        Access::Slice { offset, len, inner, ref bytes } => slice(area, model, (offset, len), inner, bytes)?,
        Access::Grow { size } => grow(area, model, size)?,
    }
    prop_assert_eq!(area.size(), model.bytes.len());
    Ok(())
}

fn read(area: &Area<Shared>, model: &Model, offset: usize, len: usize) -> Checked {
    let mut into = vec![0x77; len];
    let expected = model.access(offset, len);
    prop_assert_eq!(kind(area.read_at(offset, &mut into)), expected);
    match expected {
        Ok(()) => prop_assert!(into == model.bytes[offset..offset + len]),
        Err(_) => prop_assert!(into.iter().all(|&byte| byte == 0x77)),
    }
    Ok(())
}

fn write(area: &Area<Shared>, model: &mut Model, offset: usize, bytes: &[u8]) -> Checked {
    let expected = model.access(offset, bytes.len());
    prop_assert_eq!(kind(area.write_at(offset, bytes)), expected);
    if expected.is_ok() {
        model.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    Ok(())
}

fn load(area: &Area<Shared>, model: &Model, offset: usize) -> Checked {
    let expected = model
        .access_word(offset)
        .map(|()| u32::from_ne_bytes(model.bytes[offset..offset + 4].try_into().unwrap()));
    prop_assert_eq!(kind(area.load::<u32>(offset, Ordering::Relaxed)), expected);
    Ok(())
}

fn store(area: &Area<Shared>, model: &mut Model, offset: usize, value: u32) -> Checked {
    let expected = model.access_word(offset);
    prop_assert_eq!(kind(area.store(offset, value, Ordering::Relaxed)), expected);
    if expected.is_ok() {
        model.bytes[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
    }
    Ok(())
}

fn copy(area: &Area<Shared>, model: &mut Model, offset: usize, at: usize, len: usize) -> Checked {
    let overlap = len > 0 && offset.abs_diff(at) < len;
    let expected = match model.has(offset, len) && model.has(at, len) {
        false => OUTSIDE,
        true if overlap => Err(ErrorKind::InvalidInput),
        true => Ok(()),
    };
    prop_assert_eq!(kind(area.copy_to(offset, area, at, len)), expected);
    if expected.is_ok() {
        model.bytes.copy_within(offset..offset + len, at);
    }
    Ok(())
}

fn slice(
    area: &Area<Shared>,
    model: &mut Model,
    (offset, len): (usize, usize),
    inner: usize,
    bytes: &[u8],
) -> Checked {
    let slice = kind(area.slice(offset, len));
    prop_assert_eq!(slice.as_ref().map(|_| ()).map_err(|kind| *kind), model.access(offset, len));
    let Ok(slice) = slice else { return Ok(()) };
    let inside = inner.checked_add(bytes.len()).is_some_and(|end| end <= len);
    let expected = if inside { Ok(()) } else { OUTSIDE };
    prop_assert_eq!(kind(slice.write_at(inner, bytes)), expected);
    let mut back = vec![0; bytes.len()];
    prop_assert_eq!(kind(slice.read_at(inner, &mut back)), expected);
    if inside {
        prop_assert_eq!(&back, bytes);
        let start = offset + inner;
        model.bytes[start..start + bytes.len()].copy_from_slice(bytes);
    }
    Ok(())
}

fn grow(area: &Area<Shared>, model: &mut Model, size: usize) -> Checked {
    let page = rustix::param::page_size();
    let expected = match (model.max, size.checked_next_multiple_of(page)) {
        (Some(max), Some(rounded)) if rounded <= max => {
            model.bytes.resize(rounded.max(model.bytes.len()), 0);
            Ok(())
        }
        _ => Err(ErrorKind::InvalidInput),
    };
    prop_assert_eq!(kind(area.grow(size)), expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_access_does_what_a_vector_would(
        size in prop_oneof![1..10_usize, 4090..4100_usize, 8192..8193_usize, 1..9000_usize],
        growable in any::<bool>(),
        accesses in prop::collection::vec(access(), 1..60),
    ) {
        let page = rustix::param::page_size();
        let builder = areas::builder(size);
        let max = growable.then_some(3 * page);
        let area = match max {
            Some(max) => builder.growable(max).shared().unwrap(),
            None => builder.shared().unwrap(),
        };
        // A growable area is whole pages.
        let bytes = if growable { size.next_multiple_of(page) } else { size };
        let mut model = Model { bytes: vec![0; bytes], max };
        for access in &accesses {
            run(&area, &mut model, access)?;
        }
        let mut all = vec![0; model.bytes.len()];
        area.read_at(0, &mut all).unwrap();
        prop_assert!(all == model.bytes);
    }
}
