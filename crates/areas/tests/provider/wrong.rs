//! Providers that give something else than was asked: an error, never an area that is not what it says.

use areas::{Backing, Kind, Mapping, Provider, Request, Result, System};

use super::page;

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
        assert_eq!(error.kind(), Kind::Unsupported, "{error:?}");
        assert!(error.facts().unwrap().contains("the provider gave"), "{error:?}");
    }
}

#[test]
fn shared_memory_is_never_lent_as_private() {
    let shared = Wrong(|request| System::new().map(&request.clone().backed_by(Backing::Inherited)));
    let error = areas::builder(page()).provider(&shared).private().unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[test]
fn private_memory_is_never_taken_for_shared() {
    let private = Wrong(|request| System::new().map(&Request::new(request.size())));
    let error = areas::builder(page()).provider(&private).shared().unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error:?}");
}

#[test]
fn a_part_of_an_object_is_not_an_area() {
    // Frozen, it would lend bytes behind its end.
    let part = Wrong(|request| match request.backing() {
        Backing::Object(object) => {
            let file = Backing::File { file: std::os::fd::AsFd::as_fd(object), offset: 0, shared: true };
            System::new().map(&Request::new(1).backed_by(file))
        }
        _ => System::new().map(request),
    });
    let error = areas::builder(3 * page()).provider(&part).shared().unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error:?}");
    // A whole one of one page is fine, and so is a growable one only with all of its reserve.
    assert!(areas::builder(page()).provider(&part).shared().is_ok());
    assert!(areas::builder(1).growable(2 * page()).provider(&part).shared().is_err());
}
