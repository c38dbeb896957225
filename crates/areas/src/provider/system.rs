//! The kernel itself as a provider: mmap, mbind, and pages of the size that was asked for.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Address, Backing, Provider, Request, address, transparent};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::{Mapping, Plan, Sharing};
use crate::nodes::{NodeSet, Placement};
use crate::object::Extent;
use crate::page::{PageSize, Pages};
use crate::populate;
use crate::size::Bytes;
use crate::sys;
use crate::sys::memory::{Advice, At, MapFlags};

/// The kernel: private and shared memory, files, base and huge pages, at any or an exact address,
/// placed on nodes.
///
/// It needs no set-up and can be a `static`. Memory comes zeroed, and no page is taken before it is
/// touched or populated, except hugetlb pages: those are taken at once, on the nodes that were
/// asked for, because a pool that runs dry later would be a SIGBUS.
#[doc(alias = "aml_area_linux")]
#[derive(Clone, Copy, Default)]
pub struct System(());

impl System {
    /// The kernel, as a constant.
    #[must_use]
    pub const fn new() -> Self {
        System(())
    }
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("System")
    }
}

impl Provider for System {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let what = || format!("map {}", Bytes::from(request.size()));
        if request.size() == 0 && !matches!(request.backing(), Backing::Object(_)) {
            return Err(Error::new(ErrorKind::InvalidInput, what()).with_facts("the size is 0"));
        }
        let resolved;
        let placement = match request.placement_asked() {
            Some(placement) if placement.is_default() => None,
            Some(placement) if request.is_resolved() || is_left_to_the_kernel(placement) => Some(placement),
            Some(placement) => {
                resolved = resolve(*placement)?;
                Some(&resolved).filter(|placement| !placement.is_default())
            }
            None => None,
        };
        match (request.backing(), request.page_request()) {
            (Backing::Object(object), _) => map_one(request, object.page_size(), placement),
            (_, Pages::Base) => map_one(request, PageSize::base(), placement),
            (Backing::File { .. }, _) => Err(Error::new(ErrorKind::Unsupported, what())
                .with_facts("a file's pages are what its file system makes of them")
                .with_remedy("ask for base pages")),
            (_, Pages::Pool(page)) => map_one(request, page, placement),
            (_, Pages::PreferPool(page)) => map_one(request, page, placement).or_else(|because| {
                let mut mapping = map_one(request, PageSize::base(), placement)?;
                mapping.record_fallback(format!("{page} hugetlb pages"), "base pages", because);
                Ok(mapping)
            }),
            (_, Pages::Auto) => map_one(request, PageSize::HUGE_2M, placement).or_else(|because| {
                let mut wanted = request.clone();
                if request.home().is_none() && !matches!(request.address(), Address::Exactly(_)) {
                    wanted = wanted.aligned(PageSize::HUGE_2M.bytes().max(request.alignment()));
                }
                let mut mapping = map_one(&wanted, PageSize::base(), placement)?;
                let given = match mapping.advise(Advice::HugePages) {
                    Ok(()) => transparent::given(Path::new("/"), false),
                    Err(_) => "base pages (the kernel has no transparent huge pages)".to_owned(),
                };
                mapping.record_fallback("2 MiB hugetlb pages", given, because);
                Ok(mapping)
            }),
        }
    }
}

/// The placement for the nodes that this process may use now.
pub(crate) fn resolve(placement: Placement) -> Result<Placement> {
    if placement.is_default() {
        return Ok(placement);
    }
    // Policies that name no node need no look.
    let allowed = match placement.policy().nodes().is_some() || placement.home_node().is_some() {
        true => allowed_nodes()?,
        false => NodeSet::EMPTY,
    };
    placement.resolve(allowed)
}

/// Whether a placement need not be resolved for memory that the kernel is about to map and place:
/// of a single node it says itself whether it may be used. (Of several it would silently take those
/// that are allowed.)
pub(crate) fn is_left_to_the_kernel(placement: &Placement) -> bool {
    placement.is_one_node() && placement.home_node().is_none() && !placement.is_balanced()
}

/// The nodes that this process may take memory from: its cpuset, among others.
///
/// # Errors
/// [`ErrorKind::NotPermitted`] where a sandbox forbids the question.
#[doc(alias = "MPOL_F_MEMS_ALLOWED")]
#[doc(alias = "numa_get_mems_allowed")]
pub fn allowed_nodes() -> Result<NodeSet> {
    sys::policy::allowed_nodes()
        .or_else(|errno| {
            // Docker's filter forbids the call, and not the file that says the same.
            let reported = match errno {
                sys::Errno::PERM | sys::Errno::ACCESS => nodes_of_status(),
                _ => None,
            };
            reported.ok_or(errno)
        })
        .map_err(|errno| {
            Error::new(ErrorKind::NotPermitted, "ask which nodes may be used")
                .with_system_call("get_mempolicy(MPOL_F_MEMS_ALLOWED)", errno)
                .with_remedy(
                    "containers need CAP_SYS_NICE or a seccomp profile that allows get_mempolicy and mbind",
                )
        })
}

/// The nodes that `/proc` says this process may take memory from.
fn nodes_of_status() -> Option<NodeSet> {
    let status = sys::text::read_to_string("/proc/thread-self/status").ok()?;
    let nodes = status.lines().find_map(|line| line.strip_prefix("Mems_allowed_list:"))?;
    NodeSet::from_kernel_list(nodes.trim()).ok().filter(|nodes| !nodes.is_empty())
}

/// Maps with pages of one size, places, and takes the hugetlb pages.
fn map_one(request: &Request<'_>, page: PageSize, placement: Option<&Placement>) -> Result<Mapping> {
    let mut plan = plan_of(request, page, placement)?;
    let mut mapping = map_planned(request, &mut plan)?;
    if let Backing::Object(object) = request.backing() {
        mapping.note_object(object);
    }
    if let Some(placement) = placement {
        // What the kernel does not want may be a node that is not allowed.
        let whole = 0..plan.span;
        mapping.place(whole, placement).map_err(|error| resolve(*placement).err().unwrap_or(error))?;
    }
    if let Some(placer) = request.placer() {
        placer.place(&mut mapping)?;
    }
    if plan.flags.contains(MapFlags::HUGETLB) {
        take_pool_pages(&mapping, plan.span, placement.copied())?;
    }
    Ok(mapping)
}

/// Checks all of a request that can be checked before there is a mapping.
#[inline]
fn plan_of<'a>(
    request: &'a Request<'_>,
    page: PageSize,
    placement: Option<&'a Placement>,
) -> Result<Plan<'a>> {
    let size = request.size();
    let Backed { bytes, sharing, mut flags, file } = backed(request, page)?;
    check_file(request, page, placement, file.map(|(_, offset)| offset))?;
    if file.is_none() && page != PageSize::base() {
        flags |= MapFlags::HUGETLB | MapFlags::from_bits_retain(u32::from(page.log2()) << 26);
    }
    let Some(span) = page.round_up(bytes) else {
        return Err(Error::new(ErrorKind::InvalidInput, format!("map {}", Bytes::from(size)))
            .with_facts("rounded up to whole pages it is more than there are addresses"));
    };
    if let (Backing::Object(_), true) = (request.backing(), size > span) {
        return Err(Error::new(ErrorKind::OutOfRange, format!("map {} of an object", Bytes::from(size)))
            .with_facts(format!("it has {} of addresses", Bytes::from(span))));
    }
    refuse_impossible(size)?;
    let at = chosen_address(request, page)?;
    check_alignment(request)?;
    let protection = request.wanted_protection();
    Ok(Plan { at, size, span, page, protection, sharing, flags, file, placement })
}

/// What the kernel is given as the memory behind a mapping.
struct Backed<'a> {
    /// How much of it is to be mapped.
    bytes: usize,
    sharing: Sharing,
    flags: MapFlags,
    file: Option<(BorrowedFd<'a>, u64)>,
}

#[inline]
fn backed<'a>(request: &'a Request<'_>, page: PageSize) -> Result<Backed<'a>> {
    let bytes = request.size();
    Ok(match request.backing() {
        Backing::Private => {
            Backed { bytes, sharing: Sharing::Exclusive, flags: MapFlags::PRIVATE, file: None }
        }
        Backing::Inherited => Backed { bytes, sharing: Sharing::Shared, flags: MapFlags::SHARED, file: None },
        Backing::Object(object) => {
            let mut flags = MapFlags::SHARED;
            if page != PageSize::base() && object.has_reserve() {
                // No hugetlb page is reserved for what lies beyond its end.
                flags |= MapFlags::NORESERVE;
            }
            let fd = object
                .own_fd()
                .map_err(|_| crate::object::closed(format!("map {} of an object", Bytes::from(bytes))))?;
            let file = Some((fd, object.offset()));
            Backed { bytes: object.span(), sharing: Sharing::Shared, flags, file }
        }
        Backing::Stored => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("map {} that is stored", Bytes::from(bytes)),
            )
            .with_facts("the kernel has no file of its own")
            .with_remedy("ask a provider over a file or a device: `Storage::of(file)`"));
        }
        Backing::File { file, offset, shared } => {
            let (sharing, flags) = match shared {
                true => (Sharing::Shared, MapFlags::SHARED),
                false => (Sharing::PrivateFile, MapFlags::PRIVATE),
            };
            Backed { bytes, sharing, flags, file: Some((file, offset)) }
        }
    })
}

/// A shared file takes no placement, and each mapping of a file begins at a whole page of it.
#[inline]
fn check_file(
    request: &Request<'_>,
    page: PageSize,
    placement: Option<&Placement>,
    offset: Option<u64>,
) -> Result<()> {
    let size = Bytes::from(request.size());
    if let (Some(placement), Backing::File { shared: true, .. }) = (placement, request.backing()) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("place {size} of a shared file as {placement}"),
        )
        .with_facts("the page cache ignores memory policies")
        .with_remedy("map the file privately, or put it into an area: `areas put FILE`"));
    }
    match offset {
        Some(offset) if !offset.is_multiple_of(page.bytes() as u64) => {
            Err(Error::new(ErrorKind::InvalidInput, format!("map {size} from offset {offset}"))
                .with_facts(format!("the offset is not a multiple of the page size, {page}")))
        }
        _ => Ok(()),
    }
}

/// The address that was asked for, if it can be one.
#[inline]
fn chosen_address(request: &Request<'_>, page: PageSize) -> Result<At> {
    let size = Bytes::from(request.size());
    match request.address() {
        Address::Any | Address::AtOrAbove(_) | Address::Random | Address::RandomAtOrAbove(_) => {
            Ok(At::Anywhere)
        }
        // Root may map there, and could not hold what it got: Rust's pointers to memory are never
        // null.
        Address::Exactly(0) => Err(Error::new(ErrorKind::InvalidInput, format!("map {size} at 0x0"))
            .with_facts("memory cannot be mapped at address 0")
            .with_remedy("choose another address, or let the kernel choose one")),
        Address::Exactly(address) if !address.is_multiple_of(page.bytes()) => {
            Err(Error::new(ErrorKind::InvalidInput, format!("map {size} at {address:#x}"))
                .with_facts(format!("the address is not a multiple of the page size, {page}")))
        }
        Address::Exactly(address) => Ok(At::Exactly(address)),
    }
}

/// Maps where the request wants it: inside a reservation, where there is room to grow, as its
/// address says, or where the kernel likes.
#[inline]
fn map_planned(request: &Request<'_>, plan: &mut Plan<'_>) -> Result<Mapping> {
    let align = plan.page.bytes().max(request.alignment());
    if let Some((reservation, offset)) = request.home() {
        return Mapping::inside(plan, reservation, offset);
    }
    if let Some(mapping) = in_roomy_place(request, plan, align) {
        return mapping;
    }
    let base_pages = plan.page == PageSize::base();
    match request.address() {
        Address::AtOrAbove(hint) => address::at_or_above(plan, hint, align),
        Address::Random => address::at_random(plan, 0, align),
        Address::RandomAtOrAbove(lowest) => address::at_random(plan, lowest, align),
        Address::Any if align > plan.page.bytes() => Mapping::aligned(plan, align),
        Address::Any if base_pages && avoids_merging(request, plan.placement) => Mapping::unmerged(plan),
        Address::Any | Address::Exactly(_) => Mapping::new(plan),
    }
}

/// What may grow where it is lies where there is room behind it, if its addresses are for us to
/// choose (`mapping/roomy/`).
#[inline]
fn in_roomy_place(request: &Request<'_>, plan: &Plan<'_>, align: usize) -> Option<Result<Mapping>> {
    let Backing::Object(object) = request.backing() else { return None };
    let random = match (object.extent(), request.address()) {
        (Extent::Resizable { .. }, Address::Any) => None,
        (Extent::Resizable { .. }, Address::Random) => Some(address::random()),
        _ => return None,
    };
    Mapping::roomy(plan, align, random)
}

/// Whether it is better off below the anchor (`mapping/unmerged.rs`). Private memory that is not
/// placed is best merged with its neighbours; of files, and of what children inherit, there are
/// few, and the kernel chooses.
fn avoids_merging(request: &Request<'_>, placement: Option<&Placement>) -> bool {
    match request.backing() {
        Backing::Private => placement.is_some(),
        Backing::Object(_) => true,
        Backing::Inherited | Backing::File { .. } | Backing::Stored => false,
    }
}

/// Faults the first `len` bytes of a pool mapping in, where a missing page is an error and not yet
/// a SIGBUS.
pub(crate) fn take_pool_pages(mapping: &Mapping, len: usize, placement: Option<Placement>) -> Result<()> {
    let writable = mapping.protection().contains(crate::Protection::WRITE);
    let advice = if writable { Advice::PopulateWrite } else { Advice::PopulateRead };
    let base = mapping.check(0, len, mapping.span())?;
    sys::memory::advise(base, len, advice).map_err(|errno| {
        let place = placement.map_or(String::new(), |placement| format!(" placed as {placement}"));
        let error = Error::new(
            ErrorKind::NoMemory,
            format!("take {} in {} pages{place}", Bytes::from(len), mapping.page_size()),
        )
        .with_system_call(format!("madvise({base:p}, {}, {advice:?})", Bytes::from(len)), errno);
        populate::pool_ran_dry(error, mapping, 0..len, placement.unwrap_or_default())
    })
}

/// Where the address is the kernel's choice, it is aligned; an address that was chosen must be.
#[inline]
fn check_alignment(request: &Request<'_>) -> Result<()> {
    let align = request.alignment();
    let what = || {
        format!("map {} at a multiple of {}", Bytes::from(request.size()), Bytes::from(request.alignment()))
    };
    if !align.is_power_of_two() {
        return Err(Error::new(ErrorKind::InvalidInput, what()).with_facts("that is not a power of two"));
    }
    let chosen = match (request.home(), request.address()) {
        (Some((reservation, offset)), _) => reservation.address().saturating_add(offset),
        (None, Address::Exactly(address)) => address,
        (None, _) => return Ok(()),
    };
    if chosen.is_multiple_of(align) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidInput, what())
        .with_facts(format!("the address asked for is {chosen:#x}")))
}

/// Sizes that plainly cannot be: larger than RAM and swap together.
#[inline]
pub(crate) fn refuse_impossible(size: usize) -> Result<()> {
    /// Below this no machine is too small, and the question is saved.
    const WORTH_ASKING: usize = 64 << 20;
    if size < WORTH_ASKING {
        return Ok(());
    }
    /// What the machine had of RAM when it was last asked: it hardly ever loses some. 0 is not
    /// known yet.
    static RAM: AtomicU64 = AtomicU64::new(0);
    if size as u64 <= RAM.load(Ordering::Relaxed) {
        return Ok(());
    }
    let (ram, swap) = sys::process::memory();
    RAM.store(ram, Ordering::Relaxed);
    if size as u64 <= ram.saturating_add(swap) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::NoMemory, format!("map {}", Bytes::from(size)))
        .with_facts(format!("the machine has {:#} of RAM and {:#} of swap", Bytes(ram), Bytes(swap)))
        .with_remedy("ask for less; addresses without memory behind them are a reserve: `.growable(max)`"))
}
