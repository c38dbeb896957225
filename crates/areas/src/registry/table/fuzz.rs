//! Tables and records made of a fuzzer's bytes: looking there ends, inside the table, with sane
//! records or none.

use std::cell::RefCell;

use super::id::AreaId;
use super::layout::{BY_SEQUENCE, INDEX, RECORD_BYTES, RECORDS_AT, header, of_short};
use super::name::Name;
use super::note::Note;
use super::order::Order;
use super::record::{decode, encode, field, u32_of};
use super::*;
use crate::object::{Extent, Piece};
use crate::provider::{Backing, Provider, Request, System};
use crate::registry::transfer::PendingTransfer;
use crate::sys::file::Identity;
use crate::{Lock, Node, NodeSet, PageSize, Placement, Policy, Protection};

/// How many areas the honest table has before it is spoilt.
const HONEST: u32 = 40;

thread_local! {
    static TABLE: RefCell<Table> = RefCell::new(honest());
}

fn honest() -> Table {
    let mapping =
        System::new().map(&Request::new(TABLE_BYTES).backed_by(Backing::Inherited)).expect("memory");
    let owner = Owner { slot: 7, pid: 1, start_time: 2, table: Identity { device: 3, inode: 4 } };
    let mut table = Table::create(mapping, &owner).expect("a table");
    table.open_block(0).expect("a block");
    for sequence in 1..=HONEST {
        let area = Announcement {
            // Each name twice, so that there are chains.
            name: Name::from_table(format!("n{}", sequence / 2).as_bytes()).expect("a name"),
            descriptor: 9,
            object: Identity { device: 1, inode: u64::from(sequence) },
            address: 0x7000_0000_0000 + (u64::from(sequence) << 21),
            span: 1 << 20,
            extent: Extent::Growable { max: 1 << 20 },
            piece: Piece::WHOLE,
            exact: None,
            physical: None,
            protection: Protection::READ_WRITE,
            lock: Lock::Lazy,
            page: PageSize::base(),
            placement: Placement::new(Policy::Bind(NodeSet::single(Node::MAX))).home(Node::MAX).into(),
            // Some in a place of their own.
            note: Note::new(vec![b'n'; (sequence % 3) as usize * 100]).expect("a note"),
            claiming: false,
        };
        let id = AreaId::from_parts(7, sequence);
        table.insert(id, sequence.into(), &area).expect("it is written").expect("there is room");
    }
    table
}

/// From this length on, an input may claim an index and a count of records as large as there are.
/// To search those takes 100 times as long, and what can go wrong there does so in small ones: so
/// most inputs stay below.
const MAY_BE_LARGE: usize = 12 * 128;

/// The bytes are words put somewhere into an honest table: 1 byte says in which part, 3 where, 8
/// what.
pub(crate) fn table(bytes: &[u8]) {
    TABLE.with_borrow_mut(|table| {
        let mut before = Vec::new();
        for step in bytes.chunks_exact(12).take(256) {
            let at = usize::from(step[1]) | usize::from(step[2]) << 8 | usize::from(step[3]) << 16;
            let at = match step[0] % 8 {
                0 => header::INDEX,
                1 => header::HIGH_WATER,
                2 => at % 4096,
                3 => BY_SEQUENCE + at % 4096,
                // The parts of the index that small sizes have.
                4 | 5 => INDEX + at % 8192,
                6 => RECORDS_AT + at % (64 * RECORD_BYTES),
                _ => at * 4 % (TABLE_BYTES - 8),
            } & !7;
            let word = u64::from_le_bytes(step[4..].try_into().unwrap_or_default());
            let word = match at {
                header::INDEX if bytes.len() < MAY_BE_LARGE => word & !0x7f | (5 + word % 6),
                header::HIGH_WATER if bytes.len() < MAY_BE_LARGE => word % 200,
                _ => word,
            };
            before.push((at, table.view().u64_at(at)));
            table.put(at, word).expect("inside the table");
        }
        let view = table.view();
        let _ = view.owner();
        for sequence in [0, 1, 2, HONEST, 1023, 1024, u32::MAX] {
            if let Some((number, generation, record)) = view.by_sequence(sequence) {
                assert!(number < RECORDS && generation != 0 && generation % 2 == 0);
                assert_eq!(record.id.sequence(), sequence);
            }
        }
        for name in [&b"n1"[..], b"n7", b"", b"none"] {
            if let Some((number, _, record)) = view.find(name) {
                assert!(number < RECORDS);
                assert_eq!(record.name.as_bytes(), name);
            }
        }
        assert!(view.records().all(|(number, generation, _)| number < RECORDS && generation % 2 == 0));
        let (mut order, mut after) = (Order::default(), 0);
        while let Some(next) = order.next(view, after) {
            assert!(next.address > after, "a walk goes on");
            after = next.address;
        }
        let _ = (view.transfer_socket(PendingTransfer::VERSION), view.next_given());
        for (at, word) in before.into_iter().rev() {
            table.put(at, word).expect("inside the table");
        }
        assert!(table.view().find(b"n7").is_some(), "it is honest again");
    });
}

/// The bytes are a record.
pub(crate) fn record(bytes: &[u8]) {
    let mut record = [0; RECORD_BYTES];
    let len = bytes.len().min(RECORD_BYTES);
    record[..len].copy_from_slice(&bytes[..len]);
    if let Some(decoded) = decode(&record) {
        assert!(decoded.name.as_bytes().len() <= Name::MAX);
        let hash = of_short(u32_of(&record, field::HASH));
        let again = encode(decoded.id, decoded.created, &decoded.area, hash);
        assert_eq!(decode(&again).as_ref(), Some(&decoded));
    }
}
