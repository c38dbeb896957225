//! Areas out of a file: what they hold stays, what is cut off is an error and no signal, and
//! nothing of it is lent.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use areas::provider::Storage;
use areas::{
    Address, Area, Backing, ErrorKind, Lock, Node, PageSize, Pages, Policy, Protection, Provider, Request,
    Stored, System,
};

use super::page;
use super::support::folder::Folder;

fn node() -> Node {
    areas::allowed_nodes().unwrap().first().unwrap()
}

/// A file of so many pages, filled with their numbers from 1 on, open twice.
fn numbered(folder: &Folder, pages: usize) -> (File, File) {
    let path = folder.join("stored");
    let bytes: Vec<u8> = (1..=pages).flat_map(|number| vec![u8::try_from(number).unwrap(); page()]).collect();
    std::fs::write(&path, bytes).unwrap();
    let open = || File::options().read(true).write(true).open(&path).unwrap();
    (open(), open())
}

fn stored(storage: &Storage, size: usize) -> areas::Result<Area<Stored>> {
    areas::builder(size).provider(storage).stored()
}

fn first(area: &Area<Stored>) -> u8 {
    let mut byte = [0];
    area.read_at(0, &mut byte).unwrap();
    byte[0]
}

#[test]
fn a_cursor_over_a_stored_area_goes_through_the_file() {
    let folder = Folder::new();
    let (file, other) = numbered(&folder, 2);
    let area = stored(&Storage::of(file).unwrap(), 2 * page()).unwrap();
    let mut cursor = area.cursor();
    cursor.seek(SeekFrom::End(-6)).unwrap();
    cursor.write_all(b"stored").unwrap();
    assert_eq!(cursor.read(&mut [0]).unwrap(), 0);
    let mut bytes = [0; 6];
    other.read_exact_at(&mut bytes, 2 * page() as u64 - 6).unwrap();
    assert_eq!(&bytes, b"stored");
    // Cut off by another process: what is still there, then an error, and no signal.
    other.set_len(page() as u64).unwrap();
    cursor.set_position(1);
    assert_eq!(cursor.write(&vec![9; 2 * page() - 1]).unwrap(), page() - 1);
    cursor.set_position(0);
    let mut all = vec![0; 2 * page()];
    assert_eq!(cursor.read(&mut all).unwrap(), page());
    assert!(all[1..page()].iter().all(|&byte| byte == 9));
    cursor.set_position(page() as u64);
    assert_eq!(cursor.read(&mut bytes).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn areas_are_parts_of_a_file() {
    let folder = Folder::new();
    let (file, other) = numbered(&folder, 8);
    let storage = Storage::of(file).unwrap();
    assert_eq!(
        (storage.size(), storage.free(), storage.node()),
        (8 * page() as u64, 8 * page() as u64, None)
    );
    let areas: Vec<_> = (1..=3).map(|pages| stored(&storage, pages * page() - 1).unwrap()).collect();
    for (area, (offset, byte)) in areas.iter().zip([(0, 1), (1, 2), (3, 4)]) {
        assert_eq!((area.offset(), first(area)), (offset * page() as u64, byte));
    }
    // A write reaches the file, and one to the file is seen.
    areas[1].write_at(page() + 5, b"there").unwrap();
    areas[1].sync().unwrap();
    let mut bytes = [0; 5];
    other.read_exact_at(&mut bytes, 2 * page() as u64 + 5).unwrap();
    assert_eq!(&bytes, b"there");
    other.write_all_at(b"here!", page() as u64).unwrap();
    areas[1].read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"here!");
    // Beyond the area is beyond it, although the file goes on.
    let mut much = vec![0; page()];
    assert_eq!(areas[0].read_at(1, &mut much).unwrap_err().kind(), ErrorKind::OutOfRange);
    assert_eq!(areas[0].write_at(page() - 2, b"ab").unwrap_err().kind(), ErrorKind::OutOfRange);
    let error = stored(&storage, 3 * page()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoMemory);
    assert!(error.to_string().contains("free"), "{error}");
    // A hole is used again, by what fits best; what it holds is what was stored.
    drop(areas.into_iter().nth(1));
    assert_eq!(storage.free(), storage.size());
    let again = stored(&storage, 2 * page()).unwrap();
    assert_eq!((again.offset(), first(&again)), (0, 1));
    drop(storage);
    again.write_at(0, &[9]).unwrap();
    other.read_exact_at(&mut bytes[..1], 0).unwrap();
    assert_eq!(bytes[0], 9);
}

#[test]
fn what_is_cut_off_is_an_error_and_no_signal() {
    let folder = Folder::new();
    let (file, other) = numbered(&folder, 4);
    let storage = Storage::of(file).unwrap();
    let mut area = stored(&storage, 4 * page()).unwrap();
    other.set_len(page() as u64 + 10).unwrap();
    let mut bytes = vec![7; 2 * page()];
    let error = area.read_at(2 * page(), &mut bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfRange, "{error}");
    assert!(format!("{error:#}").contains("the file has become shorter"), "{error:#}");
    assert_eq!(area.write_at(2 * page(), b"x").unwrap_err().kind(), ErrorKind::OutOfRange);
    assert!(area.populate().is_err());
    // What is there is there; and it does not grow again.
    area.write_at(page(), b"y").unwrap();
    area.read_at(page(), &mut bytes[..page()]).unwrap();
    assert_eq!((bytes[0], bytes[9], bytes[10]), (b'y', 2, 0));
    assert_eq!(other.metadata().unwrap().len(), page() as u64 + 10);
    other.set_len(0).unwrap();
    assert_eq!(area.read_at(0, &mut bytes[..1]).unwrap_err().kind(), ErrorKind::OutOfRange);
    drop(area);
    assert_eq!(storage.free(), storage.size());
}

#[test]
fn a_copy_stays_with_its_area() {
    let folder = Folder::new();
    let (file, other) = numbered(&folder, 4);
    let storage = Storage::of(file).unwrap();
    let copied = storage.copied();
    let mut area =
        areas::builder(2 * page()).place(Policy::Bind(node().into())).provider(&copied).stored().unwrap();
    area.write_at(0, b"mine").unwrap();
    area.populate().unwrap();
    assert!(area.verify().unwrap().holds());
    area.sync().unwrap();
    let mut bytes = [0; 4];
    area.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"mine");
    other.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(bytes, [1; 4]);
    // Both take from the same file.
    assert_eq!((storage.free(), copied.free()), (2 * page() as u64, 2 * page() as u64));
    drop(area);
    assert_eq!(first(&stored(&storage, 1).unwrap()), 1);
    assert_eq!(format!("{copied:?}"), format!("{storage:?}.copied()"));
}

#[test]
fn what_it_cannot_do_is_refused() {
    let folder = Folder::new();
    let (file, _other) = numbered(&folder, 4);
    let storage = Storage::of(file).unwrap();
    let builder = areas::builder(page()).provider(&storage);
    for (error, kind, text) in [
        (builder.private().unwrap_err(), ErrorKind::Unsupported, "which others may change"),
        (builder.shared().unwrap_err(), ErrorKind::Unsupported, "which others may change"),
        (
            builder.clone().name("x").stored().unwrap_err(),
            ErrorKind::InvalidInput,
            "only shared areas have names",
        ),
        (builder.clone().growable(99).stored().unwrap_err(), ErrorKind::InvalidInput, "can grow"),
        (
            builder.clone().lock(Lock::Lazy).stored().unwrap_err(),
            ErrorKind::Unsupported,
            "to be locked as lazy",
        ),
        (
            builder.clone().place(Policy::Local).stored().unwrap_err(),
            ErrorKind::Unsupported,
            "wants its pages placed as local",
        ),
        (
            builder.clone().pages(Pages::Pool(PageSize::HUGE_2M)).stored().unwrap_err(),
            ErrorKind::Unsupported,
            "what its file system makes",
        ),
        (
            builder.clone().at(Address::Exactly(1)).stored().unwrap_err(),
            ErrorKind::InvalidInput,
            "a multiple of",
        ),
        (
            builder.clone().at(Address::Random).stored().unwrap_err(),
            ErrorKind::Unsupported,
            "the kernel's choice",
        ),
        (
            areas::builder(0).provider(&storage).stored().unwrap_err(),
            ErrorKind::InvalidInput,
            "the size is 0",
        ),
        (
            areas::builder(1).stored().unwrap_err(),
            ErrorKind::Unsupported,
            "the kernel has no file of its own",
        ),
        (
            areas::builder(1).provider(&(&storage).split([(node(), 1)])).stored().unwrap_err(),
            ErrorKind::Unsupported,
            "places its parts",
        ),
    ] {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    assert_eq!(storage.free(), storage.size(), "what was refused is free");
}

#[test]
fn nothing_is_lent() {
    let folder = Folder::new();
    let (file, _other) = numbered(&folder, 4);
    let storage = Storage::of(file).unwrap();
    let mut mapping = storage.map(&Request::new(9).backed_by(Backing::Stored)).unwrap();
    assert_eq!(mapping.as_bytes().unwrap_err().kind(), ErrorKind::Unsupported);
    let mut bytes = [0; 9];
    mapping.copy_in(0, b"by copies").unwrap();
    mapping.copy_out(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"by copies");
    mapping.protect(Protection::READ).unwrap();
    assert_eq!(mapping.copy_in(0, b"x").unwrap_err().kind(), ErrorKind::ReadOnly);
    mapping.protect(Protection::empty()).unwrap();
    assert_eq!(mapping.copy_out(0, &mut bytes).unwrap_err().kind(), ErrorKind::ReadOnly);
}

#[test]
fn a_provider_that_answers_with_other_memory_makes_no_area() {
    #[derive(Debug)]
    struct Anonymous;
    impl Provider for Anonymous {
        fn map(&self, request: &Request<'_>) -> areas::Result<areas::Mapping> {
            System::new().map(&Request::new(request.size()))
        }
    }
    let error = areas::builder(1).provider(&Anonymous).stored().unwrap_err();
    assert!(error.to_string().contains("asked for a file or a device, given private memory"), "{error}");
}

#[test]
fn what_is_no_file_stores_nothing() {
    let folder = Folder::new();
    let error = Storage::of(File::open("/dev/null").unwrap()).unwrap_err();
    assert!(error.to_string().contains("is not a memory device"), "{error}");
    let error = Storage::of(File::open("/").unwrap()).unwrap_err();
    assert!(error.to_string().contains("neither a file nor a memory device"), "{error}");
    std::fs::write(folder.join("short"), b"short").unwrap();
    let error = Storage::of(File::open(folder.join("short")).unwrap()).unwrap_err();
    assert!(
        format!("{error:#}").contains("it has 5 bytes") && error.kind() == ErrorKind::InvalidInput,
        "{error:#}"
    );
}

/// It shows, and writes nowhere.
#[test]
fn a_file_that_is_open_for_reading_alone() {
    let folder = Folder::new();
    let _files = numbered(&folder, 4);
    let shown = Storage::of(File::open(folder.join("stored")).unwrap()).unwrap();
    assert_eq!(stored(&shown, 1).unwrap_err().kind(), ErrorKind::NotPermitted);
    let area = areas::builder(1).provider(&shown).protection(Protection::READ).stored().unwrap();
    assert_eq!(area.write_at(0, b"x").unwrap_err().kind(), ErrorKind::ReadOnly);
    assert!(shown.copied().map(&Request::new(1).backed_by(Backing::Stored)).is_ok());
}

/// A program may close descriptors that it does not know: then it is said, and no other file is
/// mapped.
#[test]
#[expect(unsafe_code, reason = "closes a descriptor behind the library's back")]
fn a_descriptor_that_was_taken_away_is_noticed() {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    let folder = Folder::new();
    let (file, _other) = numbered(&folder, 4);
    let number = file.as_raw_fd();
    let storage = Storage::of(file).unwrap();
    let area = stored(&storage, page()).unwrap();
    // SAFETY: the number is the storage's, which is asked about it below; nothing else has it.
    drop(unsafe { OwnedFd::from_raw_fd(number) });
    let error = stored(&storage, page()).unwrap_err();
    assert!(format!("{error:#}").contains("its descriptor was closed"), "{error:#}");
    assert_eq!((error.kind(), first(&area)), (ErrorKind::Io, 1));
}

#[test]
fn a_chosen_address_is_kept() {
    let folder = Folder::new();
    let (file, _other) = numbered(&folder, 4);
    let storage = Storage::of(file).unwrap();
    let free = areas::Reservation::new(page(), page()).unwrap().address();
    match areas::builder(page()).at(Address::Exactly(free)).provider(&storage).stored() {
        Ok(area) => assert_eq!(area.as_ptr().addr(), free),
        // Another test's thread was quicker.
        Err(error) => assert_eq!(error.kind(), ErrorKind::AddressInUse),
    }
    let whole = areas::Reservation::new(4 * page(), page()).unwrap();
    let area = areas::builder(page()).inside(&whole, page()).provider(&storage).stored().unwrap();
    assert_eq!(area.as_ptr().addr(), whole.address() + page());
    let mapping = storage.map(&Request::new(1).backed_by(Backing::Stored).aligned(1 << 20)).unwrap();
    assert!(mapping.as_ptr().addr().is_multiple_of(1 << 20));
}
