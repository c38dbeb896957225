//! Whether a mapping is what a request asked for.
//!
//! Safe code can write a provider, and hand out any mapping that it has: one of a file that is
//! truncated later, of another area's object, of half of it. An area over such a mapping would
//! fault (SIGBUS), or lend bytes that others write. So who asked compares, before anything is done
//! with the answer.

use std::fmt;
use std::sync::Arc;

use super::{Address, Backing, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::{BackedBy, Mapping};

impl Request<'_> {
    /// What the mapping that answers it is backed by; `None` for a file, which no area is made of.
    fn wanted_backing(&self) -> Option<BackedBy> {
        match self.backing() {
            Backing::Private => Some(BackedBy::Private),
            Backing::Inherited => Some(BackedBy::Inherited),
            Backing::Object(object) => Some(BackedBy::object(object)),
            Backing::File { .. } | Backing::Stored => None,
        }
    }

    /// Compares a mapping with what this request asks for: what it is backed by, its bytes, pages,
    /// protection, and a fixed address.
    ///
    /// [`AreaBuilder`](crate::AreaBuilder) does so with whatever its provider answers. For those
    /// who ask a provider themselves, and for tests of providers.
    ///
    /// (Not compared: placement and page size of memory that belongs to no object, which `Mapping`
    /// reports as they are.)
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with all that differs.
    pub fn check(&self, mapping: &Mapping) -> Result<()> {
        let mut differs = Differs::default();
        match (self.backing(), self.wanted_backing()) {
            (_, Some(wanted)) => differs.note("backing", wanted, mapping.backed_by()),
            (Backing::File { offset, shared, .. }, None) => {
                differs.note("backing", BackedBy::File { offset, shared }, mapping.backed_by());
            }
            (Backing::Stored, None) => match mapping.backed_by() {
                BackedBy::File { .. } => {}
                other => differs.0.push(format!("backing: asked for a file or a device, given {other}")),
            },
            (_, None) => {}
        }
        differs.note("size", self.size(), mapping.size());
        let (page, wanted) = match self.backing() {
            Backing::Object(object) => (object.page_size(), object.span()),
            _ => (mapping.page_size(), self.size()),
        };
        differs.note("page size", page, mapping.page_size());
        differs.note("span", page.round_up(wanted).unwrap_or(usize::MAX), mapping.span());
        differs.note("protection", self.wanted_protection(), mapping.protection());
        let address = mapping.as_ptr().addr();
        match (self.home(), self.address()) {
            (Some((home, offset)), _) => {
                if !mapping.home().is_some_and(|given| Arc::ptr_eq(given, home)) {
                    differs.0.push("it is not inside the reservation".to_owned());
                }
                differs.note("address", home.address().saturating_add(offset), address);
            }
            (None, Address::Exactly(wanted)) => differs.note("address", wanted, address),
            (None, _) => {}
        }
        if differs.0.is_empty() { Ok(()) } else { Err(self.other_answer(&differs)) }
    }

    #[cold]
    fn other_answer(&self, differs: &Differs) -> Error {
        Error::new(
            ErrorKind::Unsupported,
            format!("use a mapping of {} bytes as what was asked for", self.size()),
        )
        .with_facts(differs.0.join("; "))
        .with_remedy("a provider answers with a mapping that it made for this very request, or with an error")
    }
}

/// What differs, in words.
#[derive(Debug, Default)]
struct Differs(Vec<String>);

impl Differs {
    fn note<T: PartialEq + fmt::Display>(&mut self, what: &str, asked: T, given: T) {
        if asked != given {
            self.0.push(format!("{what}: asked for {asked}, given {given}"));
        }
    }
}
