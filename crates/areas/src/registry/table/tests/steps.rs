//! Tables after steps in any order, and what is noise.

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(u8),
    Remove(usize),
    Find(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<u8>().prop_map(Step::Insert),
        3 => any::<usize>().prop_map(Step::Remove),
        2 => any::<u8>().prop_map(Step::Find),
    ];
    prop::collection::vec(step, 1..600)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    /// The table against a plain list of (record number, record).
    #[test]
    fn behaves_like_a_list(steps in steps(), names in 1..200_u8) {
        let mut table = table();
        let mut model: Vec<(u32, Record)> = Vec::new();
        let mut sequence = 0;
        let oldest = |model: &[(u32, Record)], name: &[u8]| {
            model.iter().filter(|(_, r)| r.name.as_bytes() == name).min_by_key(|(_, r)| r.age()).map(|(n, _)| *n)
        };
        for step in steps {
            match step {
                Step::Insert(name) => {
                    sequence += 1;
                    let new = record(sequence, format!("area {}", name % names).as_bytes());
                    let number = insert(&mut table, &new).unwrap().unwrap();
                    prop_assert!(model.iter().all(|(taken, _)| *taken != number));
                    model.push((number, new));
                }
                Step::Remove(_) if model.is_empty() => {}
                Step::Remove(which) => {
                    let (number, gone) = model.remove(which % model.len());
                    table.remove(number).unwrap();
                    prop_assert!(table.view().record(number).is_none());
                    prop_assert!(table.view().by_sequence(gone.id.sequence()).is_none());
                }
                Step::Find(name) => {
                    let name = format!("area {}", name % names).into_bytes();
                    prop_assert_eq!(table.view().find(&name).map(|found| found.0), oldest(&model, &name));
                }
            }
            prop_assert_eq!(table.live() as usize, model.len());
        }
        for (number, record) in &model {
            prop_assert_eq!(&table.view().record(*number).unwrap().1, record);
            let name = record.name.as_bytes();
            prop_assert_eq!(table.view().find(name).map(|found| found.0), oldest(&model, name));
        }
        prop_assert_eq!(table.view().records().count(), model.len());
    }

    /// Walking in the order of addresses, with areas that come and go between the steps, against a
    /// plain map: address to record and the step at which it came.
    #[test]
    fn a_walk_skips_nothing_that_stays(steps in prop::collection::vec((any::<u8>(), 0..4_u8), 1..400), counted in any::<bool>()) {
        let mut table = table();
        let mut model = std::collections::BTreeMap::new();
        let mut order = Order::default();
        let (mut after, mut sequence, mut begun) = (0, 0, 0);
        for (now, (place, what)) in steps.into_iter().enumerate() {
            let address = (u64::from(place) + 1) << 12;
            match what {
                0 | 1 if !model.contains_key(&address) => {
                    sequence += 1;
                    let mut new = record(sequence, b"ring");
                    new.area.address = address;
                    model.insert(address, (insert(&mut table, &new).unwrap().unwrap(), now));
                }
                0 => table.remove(model.remove(&address).unwrap().0).unwrap(),
                _ => {}
            }
            if !counted {
                // An owner that does not count.
                table.put(header::CHANGES, 0_u64).unwrap();
            }
            if after == 0 {
                begun = now;
            }
            let next = order.next(table.view(), after).map(|next| next.address);
            let stays = model.range(after + 1..).find(|(_, (_, came))| *came <= begun).map(|(&address, _)| address);
            match next {
                // Where it begins, `stays` is simply the first one.
                Some(next) => {
                    prop_assert!(next > after && model.contains_key(&next));
                    prop_assert!(stays.is_none_or(|stays| next <= stays), "{stays:?} was skipped");
                }
                None => prop_assert_eq!(stays, None),
            }
            after = next.unwrap_or(0);
        }
    }

    /// Which part of an object an area is comes back, or what no owner has is refused.
    #[test]
    fn parts_of_objects_come_back(
        kind in 0..5_u8, first in 0..40_u64, pages in 0..40_u64, shift in prop::sample::select(vec![0_u32, 1, 9, 40, 52]), uneven in prop::sample::select(vec![0_u64, 0, 0, 1, 4095]),
    ) {
        let mut put = record(1, b"part").area;
        let first = (first << 12 << shift).wrapping_add(uneven);
        put.span = pages << 12;
        let max = usize::try_from(put.span).unwrap();
        (put.extent, put.piece) = match kind {
            0 => (Extent::Fixed, Piece { first, limit: Some(put.span) }),
            1 => (Extent::Growable { max }, Piece { first, limit: None }),
            2 => (Extent::Resizable { max }, Piece { first, limit: None }),
            3 => (Extent::Resizable { max }, Piece { first, limit: Some(put.span) }),
            _ => (Extent::Resizable { max }, Piece::WHOLE),
        };
        let bytes = encode(AreaId::from_parts(7, 1), 1, &put, 0);
        let is_sane = pages > 0
            && (put.piece.is_whole()
                || first.is_multiple_of(4096)
                    && (first > 0 || put.piece.limit.is_some())
                    && first.checked_add(put.span).is_some_and(|end| i64::try_from(end).is_ok()));
        match decode(&bytes) {
            Some(record) => {
                prop_assert!(is_sane);
                prop_assert_eq!(record.area, put);
            }
            None => prop_assert!(!is_sane, "{:?}", put),
        }
        // Each kind of part in bytes of noise, too.
        let mut hostile = bytes;
        hostile[field::EXTENT] = kind.wrapping_add(4);
        if let Some(record) = decode(&hostile) {
            let again = encode(record.id, record.created, &record.area, 0);
            prop_assert_eq!(decode(&again).unwrap(), record);
        }
    }

    /// Whatever bytes a record has, decoding gives a sane record or none.
    #[test]
    fn hostile_records_do_no_harm(noise in prop::collection::vec(any::<u8>(), RECORD_BYTES)) {
        let bytes: [u8; RECORD_BYTES] = noise.try_into().unwrap();
        if let Some(record) = decode(&bytes) {
            prop_assert!(record.name.as_bytes().len() <= Name::MAX);
            let again = encode(record.id, record.created, &record.area, of_short(u32_of(&bytes, field::HASH)));
            prop_assert_eq!(decode(&again).unwrap(), record);
        }
    }

    /// Whatever a table's index and header say, looking there ends, inside the table.
    #[test]
    fn hostile_tables_do_no_harm(noise in prop::collection::vec((0..TABLE_BYTES - 8, any::<u64>()), 1..200), index in any::<u64>()) {
        let mut table = table();
        for sequence in 1..100 {
            insert(&mut table, &record(sequence, format!("n{sequence}").as_bytes())).unwrap();
        }
        for (at, word) in noise {
            table.put(at & !7, word).unwrap();
            table.put((INDEX + at % 4096) & !7, word).unwrap();
        }
        table.put(header::INDEX, index).unwrap();
        let view = table.view();
        let _ = view.owner();
        for sequence in 1..100 {
            let _ = view.find(format!("n{sequence}").as_bytes());
            let _ = view.by_sequence(sequence);
        }
        let _ = view.records().count();
        let mut order = Order::default();
        let mut after = 0;
        while let Some(next) = order.next(view, after) {
            prop_assert!(next.address > after);
            after = next.address;
        }
    }
}
