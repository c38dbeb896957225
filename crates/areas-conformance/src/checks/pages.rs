//! Which pages: of the size that was asked for, and none before it is placed.

use areas::{PageSize, Pages};

use super::{Bench, Check};
use crate::maps;
use crate::notes::Notes;

pub(super) const UNTOUCHED: Check =
    Check { name: "untouched", expected: "no page is there before it is used", run: untouched };

fn untouched(bench: &Bench<'_>, notes: &mut Notes) {
    if bench.may_touch {
        notes.not_here("it may touch what it maps");
        return;
    }
    let mut measured = 0;
    for &size in bench.sizes {
        // Where no area can be made, other checks have said why.
        let builder = areas::builder(size).provider(bench.provider);
        let private = builder.private().ok().map(|area| ("private", area.residency()));
        let shared = builder.shared().ok().map(|area| ("shared", area.residency()));
        for (kind, residency) in private.into_iter().chain(shared) {
            let Some(residency) = notes.expect("measuring it", residency) else { continue };
            measured += 1;
            if residency.absent() != residency.size() {
                notes.wrong(format!("{kind} memory, just mapped: {residency}"));
            }
        }
    }
    match measured {
        0 => notes.not_here("no area over it could be made"),
        _ => notes.seen("all of them are absent at first"),
    }
}

pub(super) const POOL: Check = Check {
    name: "pool-pages",
    expected: "pages of the size that was asked for, or it is an error",
    run: pool,
};

fn pool(bench: &Bench<'_>, notes: &mut Notes) {
    for page in [PageSize::HUGE_2M, PageSize::HUGE_1G] {
        match bench.map(&bench.request(bench.small()).pages(Pages::Pool(page))) {
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
        match bench.map(&bench.request(bench.small()).pages(pages)) {
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
