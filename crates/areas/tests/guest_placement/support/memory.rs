//! The kinds of memory that can be placed, made alike, and measured in two ways.

#![expect(unsafe_code, reason = "touches raw memory; the block has its proof")]

use std::fs::File;
use std::os::fd::AsFd as _;

use areas::{
    Area, Backing, Mapping, PageLocation, PageSize, Pages, Placement, Private, Provider as _, Request,
    Residency, Result, Shared, System, Verification,
};

use super::{HUGE, PAGE, pages};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Private,
    /// A memfd.
    Shared,
    /// A file mapped privately: pages that were written are ours and obey the policy.
    PrivateFile,
    PoolPrivate,
    PoolShared,
}

impl Sort {
    pub(crate) const ALL: [Sort; 5] =
        [Sort::Private, Sort::Shared, Sort::PrivateFile, Sort::PoolPrivate, Sort::PoolShared];
    pub(crate) const BASE: [Sort; 3] = [Sort::Private, Sort::Shared, Sort::PrivateFile];

    pub(crate) fn is_pool(self) -> bool {
        matches!(self, Sort::PoolPrivate | Sort::PoolShared)
    }

    pub(crate) fn page(self) -> usize {
        if self.is_pool() { HUGE } else { PAGE }
    }

    fn pages(self) -> Pages {
        if self.is_pool() { Pages::Pool(PageSize::HUGE_2M) } else { Pages::Base }
    }
}

/// Placed memory of one of the kinds.
#[derive(Debug)]
pub(crate) enum Memory {
    Private(Area<Private>),
    Shared(Area<Shared>),
    File(Mapping),
}

/// Memory of so many pages, placed, not touched yet (but for hugetlb pages, which are taken at
/// once).
pub(crate) fn placed(sort: Sort, count: usize, placement: impl Into<Placement>) -> Result<Memory> {
    let (size, placement) = (count * sort.page(), placement.into());
    let builder = areas::builder(size).pages(sort.pages()).place(placement);
    Ok(match sort {
        Sort::Private | Sort::PoolPrivate => Memory::Private(builder.private()?),
        Sort::Shared | Sort::PoolShared => Memory::Shared(builder.shared()?),
        Sort::PrivateFile => {
            let path = format!("/tmp/placed-{}", std::process::id());
            let file =
                File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
            std::fs::remove_file(path).unwrap();
            file.set_len(size as u64).unwrap();
            let backing = Backing::File { file: file.as_fd(), offset: 0, shared: false };
            Memory::File(System::new().map(&Request::new(size).backed_by(backing).placed(placement))?)
        }
    })
}

impl Memory {
    pub(crate) fn start(&self) -> *mut u8 {
        match self {
            Memory::Private(area) => area.as_ptr(),
            Memory::Shared(area) => area.as_ptr(),
            Memory::File(mapping) => mapping.as_ptr(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Memory::Private(area) => area.mapped(),
            Memory::Shared(area) => area.mapped(),
            Memory::File(mapping) => mapping.span(),
        }
    }

    fn page(&self) -> usize {
        match self {
            Memory::Private(area) => area.granted().page_size().bytes(),
            Memory::Shared(area) => area.granted().page_size().bytes(),
            Memory::File(_) => PAGE,
        }
    }

    /// Writes to each page, on this thread.
    pub(crate) fn touch(&self) {
        // SAFETY: the whole mapping is ours and writable, and the tests make no reference into it.
        unsafe { pages::touch(self.start(), self.len(), self.page()) };
    }

    /// As the library does it, where it does.
    pub(crate) fn populate(&mut self) {
        match self {
            Memory::Private(area) => area.populate().unwrap(),
            Memory::Shared(area) => area.populate().unwrap(),
            Memory::File(_) => self.touch(),
        }
    }

    /// The node of each page, all of which are in RAM, as the kernel says and as the library does.
    #[track_caller]
    pub(crate) fn nodes(&self) -> Vec<u32> {
        let reported = pages::nodes_of(self.start(), self.len(), self.page());
        let measured = match self {
            Memory::Private(area) => area.residency(),
            Memory::Shared(area) => area.residency(),
            Memory::File(_) => return reported,
        };
        assert_eq!(expand(&measured.unwrap(), self.page()), reported, "move_pages and residency()");
        reported
    }

    /// What `verify` says; nothing for files, which have no area.
    pub(crate) fn verify(&self) -> Option<Verification> {
        match self {
            Memory::Private(area) => Some(area.verify().unwrap()),
            Memory::Shared(area) => Some(area.verify().unwrap()),
            Memory::File(_) => None,
        }
    }
}

/// The node of each page of that size, all of which are in RAM.
#[track_caller]
pub(crate) fn expand(residency: &Residency, page: usize) -> Vec<u32> {
    let runs = residency.runs().iter().flat_map(|run| match run.place {
        PageLocation::On { node, page: size } => {
            assert!(size.bytes() >= page);
            std::iter::repeat_n(node.get(), run.range.len() / page)
        }
        other => panic!("{:?} is {other:?}", run.range),
    });
    runs.collect()
}
