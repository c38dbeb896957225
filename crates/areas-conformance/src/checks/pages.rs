//! Which pages: of the size that was asked for, and none before it is placed.

use areas::{PageSize, Pages, Request};

use super::{Bench, Check};
use crate::maps;
use crate::notes::Notes;

pub(super) const UNTOUCHED: Check =
    Check { name: "untouched", expected: "no page is there before somebody uses it", run: untouched };

fn untouched(bench: &Bench<'_>, notes: &mut Notes) {
    if bench.may_touch {
        notes.not_here("it may touch what it maps");
        return;
    }
    for &size in bench.sizes {
        let private = areas::builder(size).provider(bench.provider).private();
        if let Some(area) = notes.expect(&format!("{size} B"), private)
            && let Some(residency) = notes.expect("measuring it", area.residency())
            && residency.absent() != residency.size()
        {
            notes.wrong(format!("private memory, just mapped: {residency}"));
        }
        // Those that refuse to share have said so in another check.
        if let Ok(area) = areas::builder(size).provider(bench.provider).shared()
            && let Some(residency) = notes.expect("measuring it", area.residency())
            && residency.absent() != residency.size()
        {
            notes.wrong(format!("shared memory, just mapped: {residency}"));
        }
    }
    notes.seen("all of them are absent at first");
}

pub(super) const POOL: Check = Check {
    name: "pool-pages",
    expected: "pages of the size that was asked for, or it is an error",
    run: pool,
};

fn pool(bench: &Bench<'_>, notes: &mut Notes) {
    for page in [PageSize::HUGE_2M, PageSize::HUGE_1G] {
        match bench.map(&Request::new(bench.small()).pages(Pages::Pool(page))) {
            Err(error) => notes.seen(format!("{page} refused: {:?}", error.kind())),
            Ok(mapping) => {
                let kernel = maps::kernel_page_size(mapping.as_ptr().addr());
                if mapping.page_size() != page || kernel != Some(page.bytes()) {
                    notes.wrong(format!(
                        "asked for pages of {page}, got pages of {}; the kernel says {}",
                        mapping.page_size(),
                        kernel.map_or("nothing".to_owned(), |bytes| areas::Bytes::from(bytes).to_string())
                    ));
                }
                notes.seen(format!("{page} given"));
            }
        }
    }
}

pub(super) const FALLBACK: Check = Check {
    name: "page-fallback",
    expected: "where the request allows smaller pages and gets them, a fallback is on record",
    run: fallback,
};

fn fallback(bench: &Bench<'_>, notes: &mut Notes) {
    let wanted = PageSize::HUGE_2M;
    for (name, pages) in [("preferred", Pages::PreferPool(wanted)), ("automatic", Pages::Auto)] {
        match bench.map(&Request::new(bench.small()).pages(pages)) {
            Err(error) => notes.seen(format!("{name}: refused: {:?}", error.kind())),
            Ok(mapping) if mapping.page_size() == wanted => notes.seen(format!("{name}: {wanted} given")),
            Ok(mapping) => match mapping.fallbacks().last() {
                None => notes.wrong(format!(
                    "{name} pages of {wanted}: got pages of {}, and no fallback is on record",
                    mapping.page_size()
                )),
                Some(fallback) if fallback.asked.is_empty() || fallback.given.is_empty() => {
                    notes.wrong(format!("{name} pages of {wanted}: the fallback says nothing: {fallback:?}"));
                }
                Some(fallback) => notes.seen(format!("{name}: {} instead, on record", fallback.given)),
            },
        }
    }
}
