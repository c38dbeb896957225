//! What may be done with the pages, and who else sees them: as the kernel has it.

use std::os::fd::AsFd;

use areas::{BackedBy, Backing, Extent, Mapping, Object, PageSize, Protection, Request};

use super::{Bench, Check};
use crate::maps;
use crate::notes::Notes;

pub(super) const MAPS: Check = Check {
    name: "maps",
    expected: "the kernel shows just these addresses, with the protection that was asked",
    run: shown,
};

fn shown(bench: &Bench<'_>, notes: &mut Notes) {
    for &size in bench.sizes {
        let Some(mut mapping) = bench.plain(size, notes) else { continue };
        let range = maps::range(&mapping);
        compare(&format!("{size} B"), &mapping, &format!("rw-{}", bench.shown()), notes);
        let Some(()) = notes.expect(&format!("{size} B: changing the protection"), maps::mark(&mut mapping))
        else {
            continue;
        };
        match maps::marked(&range) {
            Some(shown) if shown == range => {}
            shown => notes.wrong(format!("{size} B: it says {range:x?}, the kernel {shown:x?}")),
        }
    }
    notes.seen(format!("rw-{} from the first byte to the last page", bench.shown()));
}

fn compare(what: &str, mapping: &Mapping, expected: &str, notes: &mut Notes) -> bool {
    let seen = match maps::permissions(&maps::range(mapping)) {
        Ok(seen) if seen == expected => return true,
        Ok(seen) => format!("the kernel says {seen}, not {expected}"),
        Err(why) => why,
    };
    notes.wrong(format!("{what}: {seen}"));
    false
}

pub(super) const PROTECTION: Check = Check {
    name: "protection",
    expected: "loads, stores and fetches are allowed as asked, or it is an error",
    run: protection,
};

fn protection(bench: &Bench<'_>, notes: &mut Notes) {
    let asked = [
        Protection::READ,
        Protection::READ_WRITE,
        Protection::empty(),
        Protection::READ | Protection::EXECUTE,
    ];
    let size = bench.small();
    let (mut given, mut refused) = (Vec::new(), Vec::new());
    for asked in asked {
        let mut mapping = match bench.map(&bench.request(size).protection(asked)) {
            Ok(mapping) => mapping,
            Err(error) if asked == Protection::READ_WRITE => {
                notes.wrong(format!("{asked}: {error}"));
                continue;
            }
            Err(_) => {
                refused.push(asked.to_string());
                continue;
            }
        };
        if mapping.protection() != asked {
            notes.wrong(format!("asked for {asked}, got {}", mapping.protection()));
        }
        compare(&format!("asked for {asked}"), &mapping, &format!("{asked}{}", bench.shown()), notes);
        // What is stored lends no bytes, whatever may be done with it.
        let lends = |may: bool| may && !bench.stored;
        if mapping.as_bytes().is_ok() != lends(asked.contains(Protection::READ))
            || mapping.as_bytes_mut().is_ok() != lends(asked.contains(Protection::READ_WRITE))
        {
            notes.wrong(format!("asked for {asked}: the bytes are lent otherwise"));
        }
        given.push(asked.to_string());
    }
    note(notes, &given, &refused);
}

/// What was given and what was refused, in a line.
pub(super) fn note(notes: &mut Notes, given: &[String], refused: &[String]) {
    for (list, verb) in [(given, "given"), (refused, "refused")] {
        if !list.is_empty() {
            notes.seen(format!("{} {verb}", list.join(", ")));
        }
    }
}

pub(super) const BACKING: Check = Check {
    name: "backing",
    expected: "what lies behind the pages is what was asked: private memory, shared memory, this object, a file; or it is an error",
    run: backing,
};

fn backing(bench: &Bench<'_>, notes: &mut Notes) {
    let size = bench.small();
    let object = Object::create("conformance", size, Extent::Fixed, PageSize::base());
    let Some(object) = notes.expect("an object for the check", object) else { return };
    let file = |shared| Backing::File { file: object.as_fd(), offset: 0, shared };
    // Whether others may write what we see; how the kernel shows it.
    let cases = [
        ("private", Request::new(size), false, "rw-p"),
        ("stored", Request::new(size).backed_by(Backing::Stored), true, "rw-s"),
        ("inherited", Request::new(size).backed_by(Backing::Inherited), true, "rw-s"),
        ("object", Request::object(&object), true, "rw-s"),
        ("file", Request::new(size).backed_by(file(true)), true, "rw-s"),
        ("private file", Request::new(size).backed_by(file(false)), true, "rw-p"),
    ];
    let (mut given, mut refused) = (Vec::new(), Vec::new());
    for (name, request, shared, expected) in cases {
        match bench.map(&request) {
            Err(error) if name == if bench.stored { "stored" } else { "private" } => {
                notes.wrong(format!("{name}: {error}"))
            }
            Err(_) => refused.push(name.to_owned()),
            Ok(mapping) => {
                let wanted = match request.backing() {
                    Backing::Object(object) => Some(BackedBy::object(object)),
                    Backing::File { offset, shared, .. } => Some(BackedBy::File { offset, shared }),
                    Backing::Inherited => Some(BackedBy::Inherited),
                    Backing::Private => Some(BackedBy::Private),
                    Backing::Stored if !matches!(mapping.backed_by(), BackedBy::File { .. }) => {
                        notes.wrong(format!("{name}: got {}", mapping.backed_by()));
                        None
                    }
                    _ => None,
                };
                if let Some(wanted) = wanted.filter(|&wanted| wanted != mapping.backed_by()) {
                    notes.wrong(format!("{name}: asked for {wanted}, got {}", mapping.backed_by()));
                }
                if mapping.is_shared() != shared {
                    notes.wrong(format!("{name}: others may write it: {}", mapping.is_shared()));
                }
                compare(name, &mapping, expected, notes);
                given.push(name.to_owned());
            }
        }
    }
    note(notes, &given, &refused);
}
