//! Providers that give something else than was asked: an error, never an area that is not what it
//! says.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Mutex;

use areas::{
    Address, Backing, ErrorKind, Extent, Mapping, Object, PageSize, Pages, Placed, Policy, Protection,
    Provider, Request, Reservation, Result, System,
};

use super::page;
use super::support::folder::Folder;

/// Answers every request with another one of its own.
#[derive(Debug)]
struct Wrong(fn(&Request<'_>) -> Result<Mapping>);

impl Provider for Wrong {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        (self.0)(request)
    }
}

#[test]
fn fewer_or_more_bytes_are_refused() {
    for map in [(|_| System::new().map(&Request::new(1))) as fn(&Request<'_>) -> Result<Mapping>, |request| {
        System::new().map(&Request::new(2 * request.size()))
    }] {
        let error = areas::builder(3 * page()).provider(&Wrong(map)).private().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        let facts = error.facts().unwrap();
        assert!(facts.contains("its provider Wrong(") && facts.contains("size: asked for"), "{error:?}");
    }
}

#[test]
fn shared_memory_is_never_lent_as_private() {
    let shared = Wrong(|request| System::new().map(&request.clone().backed_by(Backing::Inherited)));
    let error = areas::builder(page()).provider(&shared).private().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn private_memory_is_never_taken_for_shared() {
    let private = Wrong(|request| System::new().map(&Request::new(request.size())));
    let error = areas::builder(page()).provider(&private).shared().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
}

#[test]
fn a_part_of_an_object_is_not_an_area() {
    // Frozen, it would lend bytes behind its end.
    let part = Wrong(|request| match request.backing() {
        Backing::Object(object) => {
            let file = Backing::File { file: object.as_fd(), offset: 0, shared: true };
            System::new().map(&Request::new(1).backed_by(file))
        }
        _ => System::new().map(request),
    });
    let error = areas::builder(3 * page()).provider(&part).shared().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    // Nor is its file: it was asked for as an object, whose pages the kernel's provider knows how
    // to take.
    assert!(areas::builder(page()).provider(&part).shared().is_err());
    assert!(areas::builder(1).growable(2 * page()).provider(&part).shared().is_err());
}

type Answer = fn(&Request<'_>, &File, &Object) -> Result<Mapping>;

/// Answers with what it has: a file that anybody can cut short, an object that is another's.
struct Other {
    file: File,
    object: Object,
    answer: Answer,
}

impl fmt::Debug for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Other")
    }
}

impl Provider for Other {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        (self.answer)(request, &self.file, &self.object)
    }
}

fn of_file(file: &File, shared: bool) -> Backing<'_> {
    Backing::File { file: file.as_fd(), offset: 0, shared }
}

/// Each with what the error says of it.
const ANSWERS: [(&str, Answer); 7] = [
    ("given a shared file from offset 0x0", |request, file, _| {
        System::new().map(&Request::new(request.size().max(1)).backed_by(of_file(file, true)))
    }),
    ("given a private copy of a file from offset 0x0", |request, file, _| {
        System::new().map(&Request::new(request.size().max(1)).backed_by(of_file(file, false)))
    }),
    ("given a shared file from offset", |request, file, _| {
        let end = Backing::File { file: file.as_fd(), offset: page() as u64, shared: true };
        System::new().map(&Request::new(request.size().max(1)).backed_by(end))
    }),
    // It has the very size, and all that is written to it.
    ("given object ", |_, _, object| System::new().map(&Request::object(object))),
    ("given memory shared with forked children", |request, _, _| {
        System::new().map(&Request::new(request.size().max(1)).backed_by(Backing::Inherited))
    }),
    ("protection: asked for rw-, given r--", |request, _, _| {
        System::new().map(&request.clone().protection(Protection::READ))
    }),
    ("protection: asked for rw-, given ---", |request, _, _| {
        let mut mapping = System::new().map(request)?;
        mapping.protect(Protection::empty())?;
        Ok(mapping)
    }),
];

/// Whatever a provider answers with, and whatever layer is between, an area is over what was asked
/// for, or there is none.
#[test]
fn no_area_is_over_anything_else() {
    let folder = Folder::new();
    let path = folder.join("short");
    for (says, answer) in ANSWERS {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        let object = Object::create("other", page(), Extent::Fixed, PageSize::base()).unwrap();
        let other = Other { file, object, answer };
        let node = areas::allowed_nodes().unwrap().first().unwrap();
        let placed = Placed::new(&other, Policy::Local.into());
        let layers: [(&str, &dyn Provider); 9] = [
            ("none", &other),
            ("or", &refusing().or(&other)),
            ("striped", &(&other).striped(node.into(), 1)),
            ("spilled", &(&other).spilled([node])),
            ("split", &(&other).split([(node, 1)])),
            ("guarded", &(&other).guarded(1)),
            ("limited", &(&other).limited(1 << 20)),
            ("counted", &(&other).counted()),
            ("placed", &placed),
        ];
        for (layer, provider) in layers {
            let builder = areas::builder(page()).provider(provider);
            let errors = [
                ("private", builder.private().map(drop)),
                ("shared", builder.shared().map(drop)),
                ("growable", builder.clone().growable(4 * page()).shared().map(drop)),
                ("resizable", builder.resizable(4 * page()).map(drop)),
                ("in other pages", builder.clone().pages(Pages::Auto).shared().map(drop)),
            ];
            for (kind, result) in errors {
                let error = result.expect_err(&format!("{says}, {layer}, {kind}"));
                if !matches!(layer, "striped" | "spilled" | "split" | "placed" | "guarded") {
                    let facts = error.facts().unwrap_or_default();
                    assert!(
                        facts.contains("its provider ") && facts.contains(says),
                        "{layer}, {kind}: {error:?}"
                    );
                }
            }
        }
    }
}

/// Has nothing.
fn refusing() -> impl Provider {
    Wrong(|_| Err(areas::Error::new(ErrorKind::NoMemory, "map what it does not have")))
}

#[test]
fn a_fixed_address_is_kept_or_there_is_no_area() {
    let elsewhere = Wrong(|request| {
        let plain = Request::new(request.size());
        System::new().map(&match request.backing() {
            Backing::Object(object) => Request::object(object),
            _ => plain,
        })
    });
    let free = {
        let room = Reservation::new(16 * page(), page()).unwrap();
        room.address()
    };
    let at = areas::builder(page()).at(Address::Exactly(free)).provider(&elsewhere);
    for error in [at.private().map(drop).unwrap_err(), at.shared().map(drop).unwrap_err()] {
        assert!(error.facts().unwrap().contains("address: asked for"), "{error:?}");
    }
    let room = Reservation::new(16 * page(), page()).unwrap();
    let inside = areas::builder(page()).inside(&room, page()).provider(&elsewhere);
    for error in [inside.private().map(drop).unwrap_err(), inside.shared().map(drop).unwrap_err()] {
        assert!(error.facts().unwrap().contains("it is not inside the reservation"), "{error:?}");
    }
    assert_eq!(room.room_at(0), 16 * page(), "what was refused is unmapped");
}

#[test]
fn one_answer_is_not_for_two_requests() {
    /// Keeps what it mapped for one area, and gives it to the next.
    #[derive(Debug, Default)]
    struct Late(Mutex<Option<Mapping>>);
    impl Provider for Late {
        fn map(&self, request: &Request<'_>) -> Result<Mapping> {
            let now = System::new().map(request)?;
            self.0
                .lock()
                .unwrap()
                .replace(now)
                .ok_or_else(|| areas::Error::new(ErrorKind::NoMemory, "map the first"))
        }
    }
    let late = Late::default();
    let builder = areas::builder(page()).provider(&late);
    assert_eq!(builder.shared().unwrap_err().kind(), ErrorKind::NoMemory);
    let error = builder.shared().unwrap_err();
    assert!(error.facts().unwrap().contains("backing: asked for object "), "{error:?}");
    // Private memory is all the same, and each mapping is one area's.
    assert_eq!(builder.private().unwrap_err().kind(), ErrorKind::Unsupported);
    drop(builder.private().unwrap());
}
