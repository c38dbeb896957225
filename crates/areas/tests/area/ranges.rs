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
}

fn kind<T>(result: areas::Result<T>) -> Result<T, ErrorKind> {
    result.map_err(|error| error.kind())
}

fn run(area: &Area<Shared>, model: &mut Model, access: &Access) -> Result<(), TestCaseError> {
    let outside = Err(ErrorKind::OutOfRange);
    match *access {
        Access::Read { offset, len } => {
            let mut into = vec![0x77; len];
            let expected = if model.has(offset, len) { Ok(()) } else { outside };
            prop_assert_eq!(kind(area.read_at(offset, &mut into)), expected);
            match expected {
                Ok(()) => prop_assert!(into == model.bytes[offset..offset + len]),
                Err(_) => prop_assert!(into.iter().all(|&byte| byte == 0x77)),
            }
        }
        Access::Write { offset, ref bytes } => {
            let expected = if model.has(offset, bytes.len()) { Ok(()) } else { outside };
            prop_assert_eq!(kind(area.write_at(offset, bytes)), expected);
            if expected.is_ok() {
                model.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
            }
        }
        Access::Load { offset } => {
            let expected = match (model.has(offset, 4), offset % 4) {
                (false, _) => outside.map(|()| 0),
                (true, 0) => Ok(u32::from_ne_bytes(model.bytes[offset..offset + 4].try_into().unwrap())),
                _ => Err(ErrorKind::InvalidInput),
            };
            prop_assert_eq!(kind(area.load::<u32>(offset, Ordering::Relaxed)), expected);
        }
        Access::Store { offset, value } => {
            let expected = match (model.has(offset, 4), offset % 4) {
                (false, _) => outside,
                (true, 0) => Ok(()),
                _ => Err(ErrorKind::InvalidInput),
            };
            prop_assert_eq!(kind(area.store(offset, value, Ordering::Relaxed)), expected);
            if expected.is_ok() {
                model.bytes[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
            }
        }
        Access::Copy { offset, at, len } => {
            let overlap = len > 0 && offset.abs_diff(at) < len;
            let expected = match model.has(offset, len) && model.has(at, len) {
                false => outside,
                true if overlap => Err(ErrorKind::InvalidInput),
                true => Ok(()),
            };
            prop_assert_eq!(kind(area.copy_to(offset, area, at, len)), expected);
            if expected.is_ok() {
                model.bytes.copy_within(offset..offset + len, at);
            }
        }
        Access::Slice { offset, len, inner, ref bytes } => {
            let slice = kind(area.slice(offset, len));
            prop_assert_eq!(
                slice.as_ref().map(|_| ()).map_err(|kind| *kind),
                if model.has(offset, len) { Ok(()) } else { outside }
            );
            if let Ok(slice) = slice {
                let inside = inner.checked_add(bytes.len()).is_some_and(|end| end <= len);
                prop_assert_eq!(kind(slice.write_at(inner, bytes)), if inside { Ok(()) } else { outside });
                let mut back = vec![0; bytes.len()];
                prop_assert_eq!(kind(slice.read_at(inner, &mut back)), if inside { Ok(()) } else { outside });
                if inside {
                    prop_assert_eq!(&back, bytes);
                    let start = offset + inner;
                    model.bytes[start..start + bytes.len()].copy_from_slice(bytes);
                }
            }
        }
        Access::Grow { size } => {
            let page = rustix::param::page_size();
            let rounded = size.checked_next_multiple_of(page);
            let expected = match (model.max, rounded) {
                (Some(max), Some(rounded)) if rounded <= max => {
                    model.bytes.resize(rounded.max(model.bytes.len()), 0);
                    Ok(())
                }
                _ => Err(ErrorKind::InvalidInput),
            };
            prop_assert_eq!(kind(area.grow(size)), expected);
        }
    }
    prop_assert_eq!(area.size(), model.bytes.len());
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
