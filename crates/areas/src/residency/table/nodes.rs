//! On which nodes the pages are that our page tables have.

use std::collections::BTreeMap;
use std::ops::Range;
use std::ptr::NonNull;

use super::{ATTEMPTS, Table, UNKNOWN, View, WHAT, huge_in};
use crate::error::{Error, ErrorKind, Result};
use crate::nodes::Node;
use crate::page::PageSize;
use crate::residency::totals::{self, Totals};
use crate::residency::{Builder, PageLocation};
use crate::sys;
use crate::sys::pages::{PRESENT, ZERO_PAGE};

impl Table {
    /// Asks for the nodes of pages that are present: of each base page, or once for each huge one.
    pub(super) fn ask(
        &mut self,
        view: &View,
        part: Range<usize>,
        huge: bool,
        built: &mut Builder,
    ) -> Result<()> {
        let pool = self.page != PageSize::base();
        let page = match (pool, huge) {
            (true, _) => self.page,
            (false, true) => PageSize::transparent(),
            (false, false) => PageSize::base(),
        };
        let mut at = part.start;
        while at < part.end {
            let from = at;
            self.addresses.clear();
            while at < part.end && self.addresses.len() < self.status.len() {
                let address = view.address(at);
                self.addresses.push(address.as_ptr());
                // The first and the last of the range may be parts of a huge page. (A power of two:
                // no division for each page.)
                let behind = address.addr().get() & (page.bytes() - 1);
                at = (at + page.bytes() - behind).min(part.end);
            }
            if !self.forbidden {
                self.nodes_of_batch()?;
                if self.forbidden {
                    self.totals = totals::of(&(view.number(view.range.start)..view.number(view.range.end)));
                }
            }
            if self.forbidden {
                self.by_totals(view, from..part.end, page, built);
                return Ok(());
            }
            let (mut done, mut index) = (from, 0);
            let mut doubtful = Vec::new();
            for same in self.status[..self.addresses.len()].chunk_by(|one, next| one == next) {
                index += same.len();
                let next = self.addresses.get(index).map_or(at, |next| view.offset(next.addr() as u64));
                let node = u32::try_from(same[0]).ok().and_then(Node::checked);
                if same[0] == -libc::ENOENT {
                    doubtful.push(done..next);
                }
                let place = match (same[0], node) {
                    (_, Some(node)) => PageLocation::On { node, page },
                    (UNKNOWN, None) => PageLocation::InRam { page },
                    (_, None) => PageLocation::Absent,
                };
                built.push(next - done, place);
                done = next;
            }
            doubtful.into_iter().for_each(|part| self.doubt(part));
        }
        Ok(())
    }

    /// Pages that are present, where the kernel may not be asked for their nodes one by one: all
    /// that a mapping has are on one node, or it is not known which.
    pub(super) fn by_totals(&self, view: &View, part: Range<usize>, page: PageSize, built: &mut Builder) {
        let (mut at, end) = (view.number(part.start), view.number(part.end));
        while at < end {
            let mapped = self.totals.iter().find(|totals| totals.range.contains(&at));
            let next = mapped.map_or(end, |totals| totals.range.end.min(end));
            let place = match mapped.and_then(Totals::only_node) {
                Some(node) => PageLocation::On { node, page },
                None => PageLocation::InRam { page },
            };
            built.push(next - at, place);
            at = next;
        }
    }

    /// How many bytes of a view are on which node, where single pages are not known: of those
    /// mappings that are all inside.
    pub(in crate::residency) fn totals(&self, view: &View) -> BTreeMap<Node, u64> {
        let mut sums = BTreeMap::new();
        if self.forbidden {
            let range = view.number(view.range.start)..view.number(view.range.end);
            let inside = |totals: &Totals| range.start <= totals.range.start && totals.range.end <= range.end;
            // Of those on one node each page is known.
            for totals in
                totals::of(&range).into_iter().filter(|totals| totals.nodes.len() > 1 && inside(totals))
            {
                totals.nodes.into_iter().for_each(|(node, bytes)| *sums.entry(node).or_default() += bytes);
            }
        }
        sums
    }

    /// `status` for `addresses`, unless it is forbidden to ask. What is not there after all (the
    /// zero page, what has gone in the meantime) is negative.
    pub(super) fn nodes_of_batch(&mut self) -> Result<()> {
        let count = self.addresses.len();
        for _ in 0..ATTEMPTS {
            match sys::pages::nodes_of(&self.addresses, &mut self.status[..count]) {
                Ok(()) => {}
                // A sandbox, or a kernel without page migration.
                Err(sys::Errno::PERM | sys::Errno::ACCESS | sys::Errno::NOSYS) => {
                    self.forbidden = true;
                    return Ok(());
                }
                Err(errno) => {
                    let call = format!("move_pages(0, {count}, {:p}, …)", self.addresses[0]);
                    return Err(Error::new(ErrorKind::System, WHAT).with_system_call(call, errno));
                }
            }
            if !self.status[..count].contains(&-libc::ENOENT) {
                break;
            }
            // Being moved, most likely: it is back in a moment.
            std::thread::yield_now();
        }
        for index in 0..count {
            match self.status[index] {
                0.. => {}
                status if status == -libc::EFAULT => {}
                status if status == -libc::ENOENT => {
                    self.status[index] = self.node_of_present(self.addresses[index])?
                }
                status => {
                    return Err(Error::new(ErrorKind::System, WHAT).with_system_call(
                        format!("move_pages(0, {count}, …), page {:p}", self.addresses[index]),
                        sys::Errno::from_raw_os_error(-status),
                    ));
                }
            }
        }
        Ok(())
    }

    /// The node of a page that `move_pages` does not find, if our page tables still have it.
    ///
    /// Before 6.6, `move_pages` overlooks pages that are marked inaccessible: by `PROT_NONE`, or
    /// for a moment by automatic NUMA balancing, which a read access undoes.
    pub(super) fn node_of_present(&mut self, address: *const u8) -> Result<i32> {
        let (start, page) = (address.addr(), sys::page_size());
        // The caller goes through `regions`: one page fills one of them, which is put back.
        let kept = self.regions[0];
        let (found, _) = self.walk(start, start + page)?;
        let there = found > 0 && self.regions[0].categories & (PRESENT | ZERO_PAGE) == PRESENT;
        self.regions[0] = kept;
        self.last = None;
        let Some(address) = NonNull::new(address.cast_mut()).filter(|_| there) else {
            return Ok(-libc::ENOENT);
        };
        let node = match sys::policy::node_at(address) {
            // Forbidden, though move_pages is not.
            Err(sys::Errno::PERM) => return Ok(UNKNOWN),
            node => node,
        };
        node.map_err(|errno| {
            let error = |kind| Error::new(kind, WHAT).with_system_call(format!("get_mempolicy({address:p}, MPOL_F_NODE)"), errno);
            match errno {
                sys::Errno::FAULT => error(ErrorKind::ReadOnly)
                    .with_facts("its protection allows no access, and this kernel reports the node of accessible pages only")
                    .with_remedy("allow reading first, or use Linux 6.6 or later"),
                _ => error(ErrorKind::System),
            }
        })
    }

    /// Transparent huge pages in a range, by the totals of `/proc/self/smaps`: what there is before
    /// 6.7. `None` if an entry with such pages reaches beyond the range.
    pub(in crate::residency) fn huge_by_totals(view: &View) -> Option<u64> {
        let smaps = sys::text::read_to_string("/proc/thread-self/smaps").ok()?;
        let start = view.base.addr().get();
        huge_in(&smaps, start..start.checked_add(view.range.len())?)
    }
}
