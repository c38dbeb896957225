//! Files as memory: from an offset, shared with the file or not.

#![expect(unsafe_code, reason = "looks at file memory, which is never lent; each block has its proof")]

use std::fs::File;
use std::os::fd::AsFd;

use areas::{Backing, ErrorKind, Pages, Policy, Protection, Provider, Request, System};

use super::page;
use super::support::folder::Folder;
use super::support::kernel;

/// A file of three pages: filled with 1, 2 and 3.
fn three_pages(folder: &Folder) -> File {
    let path = folder.join("three");
    std::fs::write(&path, (1..=3_u8).flat_map(|byte| vec![byte; page()]).collect::<Vec<u8>>()).unwrap();
    File::options().read(true).write(true).open(path).unwrap()
}

fn request(file: &File, page_number: usize, shared: bool) -> Request<'_> {
    let offset = (page_number * page()) as u64;
    Request::new(page()).backed_by(Backing::File { file: file.as_fd(), offset, shared })
}

#[test]
fn from_an_offset_shared_or_not() {
    let folder = Folder::new();
    let file = three_pages(&folder);
    let read = |number| {
        let bytes = std::fs::read(folder.join("three")).unwrap();
        bytes[number * page()]
    };
    for (number, shared) in [(1, true), (2, false)] {
        let mapping = System::new().map(&request(&file, number, shared)).unwrap();
        let expected = u8::try_from(number + 1).unwrap();
        // SAFETY: one page of the file is mapped, and the file has it.
        assert_eq!(unsafe { kernel::peek(mapping.as_ptr()) }, expected);
        // SAFETY: that page is writable, and nothing has a reference to it, because files' memory
        // is never lent.
        unsafe { kernel::poke(mapping.as_ptr(), 9) };
        assert_eq!(read(number), if shared { 9 } else { expected }, "whether a write reaches the file");
        // The file can change under us either way.
        assert!(mapping.is_shared());
        assert_eq!(mapping.as_bytes().unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn what_a_file_cannot_do_is_refused() {
    let folder = Folder::new();
    let file = three_pages(&folder);
    let kernel = System::new();
    let read_only = File::open(folder.join("three")).unwrap();
    let cases = [
        (kernel.map(&request(&file, 0, true).placed(Policy::Local)), ErrorKind::Unsupported),
        (kernel.map(&request(&file, 0, true).pages(Pages::Auto)), ErrorKind::Unsupported),
        (kernel.map(&request(&read_only, 0, true)), ErrorKind::NotPermitted),
        (
            kernel.map(&Request::new(1).backed_by(Backing::File {
                file: file.as_fd(),
                offset: 1,
                shared: true,
            })),
            ErrorKind::InvalidInput,
        ),
        (
            kernel.map(&Request::new(0).backed_by(Backing::File {
                file: file.as_fd(),
                offset: 0,
                shared: true,
            })),
            ErrorKind::InvalidInput,
        ),
    ];
    for (number, (result, kind)) in cases.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), kind, "case {number}: {error:?}");
    }
    // A private copy of a file that may only be read may be written.
    let copy = kernel.map(&request(&read_only, 0, false).placed(Policy::Local)).unwrap();
    assert_eq!(copy.policy().unwrap(), Policy::Local);
    // SAFETY: mapped and writable, and never lent.
    unsafe { kernel::poke(copy.as_ptr(), 9) };
    let shown = kernel.map(&request(&read_only, 0, true).protection(Protection::READ)).unwrap();
    // SAFETY: mapped and readable.
    assert_eq!(unsafe { kernel::peek(shown.as_ptr()) }, 1);
}

#[test]
fn an_area_is_never_a_file() {
    // A provider that maps a file instead of private memory: its bytes could change under a
    // reference.
    #[derive(Debug)]
    struct OfFile(File);
    impl Provider for OfFile {
        fn map(&self, request: &Request<'_>) -> areas::Result<areas::Mapping> {
            let backing = Backing::File { file: self.0.as_fd(), offset: 0, shared: false };
            System::new().map(&request.clone().backed_by(backing))
        }
    }
    let folder = Folder::new();
    let provider = OfFile(three_pages(&folder));
    let error = areas::builder(page()).provider(&provider).private().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
