//! A provider of one's own: AML's shark, with no unsafe code, and another one around it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use areas::{Error, ErrorKind, Mapping, Provider, Rejected, Request, Result, System};
use areas_testing::smaps;

use super::page;

/// Fills what it maps with bites, and keeps what is released for the next one who asks for the
/// same.
#[derive(Debug)]
struct Shark {
    linux: System,
    bite: u8,
    kept: Mutex<Vec<Mapping>>,
    mapped: AtomicUsize,
}

impl Shark {
    const fn new(bite: u8) -> Self {
        Shark { linux: System::new(), bite, kept: Mutex::new(Vec::new()), mapped: AtomicUsize::new(0) }
    }

    fn kept(&self) -> usize {
        self.kept.lock().unwrap().len()
    }

    fn mapped(&self) -> usize {
        self.mapped.load(Ordering::Relaxed)
    }
}

impl Provider for Shark {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let mut kept = self.kept.lock().unwrap();
        let same = kept.iter().position(|mapping| mapping.size() == request.size());
        let mut mapping = match same {
            Some(at) => kept.swap_remove(at),
            None => {
                self.mapped.fetch_add(1, Ordering::Relaxed);
                self.linux.map(request)?
            }
        };
        mapping.as_bytes_mut()?.fill(self.bite);
        Ok(mapping)
    }

    fn unmap(&self, mut mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        if let Ok(bytes) = mapping.as_bytes_mut() {
            bytes.fill(0);
        }
        self.kept.lock().unwrap().push(mapping);
        Ok(())
    }
}

/// Gives out so many bytes at most, of whatever provider. Its own refusals are in the library's
/// form.
#[derive(Debug)]
struct Rationed<P> {
    inner: P,
    left: AtomicUsize,
}

impl<P: Provider> Provider for Rationed<P> {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let take = |left: usize| left.checked_sub(request.size());
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).map_err(|left| {
            Error::new(ErrorKind::NoMemory, format!("ration {} bytes", request.size()))
                .with_facts(format!("{left} are left"))
                .with_remedy("give something back")
        })?;
        self.inner.map(request).inspect_err(|_| {
            self.left.fetch_add(request.size(), Ordering::Relaxed);
        })
    }

    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        let size = mapping.size();
        self.inner.unmap(mapping)?;
        self.left.fetch_add(size, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn an_area_comes_from_it_and_goes_back_to_it() {
    let shark = Shark::new(b'#');
    let mut area = areas::builder(5000).provider(&shark).private().unwrap();
    assert_eq!((area.len(), area.mapped()), (5000, 2 * page()));
    assert!(area.iter().all(|&byte| byte == b'#'));
    area.fill(1);
    let address = area.as_ptr();
    shark.unmap(area.into_mapping()).unwrap();
    assert_eq!((shark.kept(), shark.mapped()), (1, 1));
    assert!(smaps::at(address.addr()).is_some(), "it keeps what was released");
    let again = areas::builder(5000).provider(&shark).private().unwrap();
    assert_eq!((again.as_ptr(), shark.kept(), shark.mapped()), (address, 0, 1));
    assert!(again.iter().all(|&byte| byte == b'#'));
    // A drop asks no process: the mapping unmaps itself.
    drop(again);
    assert_eq!(shark.kept(), 0);
}

#[test]
fn through_a_reference_to_any_provider() {
    let shark = Shark::new(7);
    let any: &dyn Provider = &shark;
    let mapping = any.map(&Request::new(10)).unwrap();
    assert_eq!(mapping.as_bytes().unwrap(), [7; 10]);
    any.unmap(mapping).unwrap();
    // A reference to a provider is one, and so is a reference to that.
    let nested: &dyn Provider = &&&shark;
    nested.unmap(nested.map(&Request::new(10)).unwrap()).unwrap();
    assert_eq!((shark.kept(), shark.mapped()), (1, 1));
    let boxed: Box<dyn Provider> = Box::new(Shark::new(8));
    assert_eq!(areas::builder(3).provider(&*boxed).private().unwrap().as_bytes().unwrap(), [8; 3]);
}

#[test]
fn one_of_ones_own_around_another() {
    let provider = Rationed { inner: Shark::new(9), left: AtomicUsize::new(10_000) };
    let builder = areas::builder(6000).provider(&provider);
    let area = builder.private().unwrap();
    assert!(area.iter().all(|&byte| byte == 9));
    let refused = builder.private().unwrap_err();
    assert_eq!(
        format!("{refused:#}"),
        "cannot ration 6000 bytes: 4000 are left\n  help: give something back"
    );
    provider.unmap(area.into_mapping()).unwrap();
    assert_eq!(provider.inner.kept(), 1);
    drop(builder.private().unwrap());
    // What the inner one refuses is not taken off the ration.
    let provider = Rationed { inner: Shark::new(9), left: AtomicUsize::new(usize::MAX) };
    assert_eq!(
        areas::builder(1 << 50).provider(&provider).private().unwrap_err().kind(),
        ErrorKind::NoMemory
    );
    assert_eq!(provider.left.load(Ordering::Relaxed), usize::MAX);
}

#[test]
fn a_provider_in_a_static_serves_many_threads() {
    static SHARK: Shark = Shark::new(3);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let area = areas::builder(4096).provider(&SHARK).private().unwrap();
                    assert!(area.iter().all(|&byte| byte == 3));
                    SHARK.unmap(area.into_mapping()).unwrap();
                }
            });
        }
    });
    // However the threads took turns, no more than one mapping a thread was needed.
    assert!((1..=4).contains(&SHARK.mapped()) && SHARK.kept() == SHARK.mapped());
}

#[test]
fn what_it_cannot_do_it_says() {
    // The shark bites into bytes, and shared memory lends none.
    let error = areas::builder(100).provider(&Shark::new(1)).shared().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
