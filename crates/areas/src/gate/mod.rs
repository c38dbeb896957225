//! Areas for other users and for containers: *offered* at a socket with a path, and *taken* there.
//!
//! No daemon is needed, and none of the two sides has to be found in the other's
//! [`registry`](crate::registry). A path to the socket is enough: a volume that two containers
//! share, say. What goes over is a descriptor, so that both have the same memory, and nothing is
//! copied.
//!
//! ```
//! use areas::gate::{self, OfferOptions, Outcome};
//! use std::time::Duration;
//! # let folder = std::env::temp_dir().join(format!("areas-doc-gate-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("model.sock");
//! let model = areas::builder(1 << 20).name("doc: model").shared()?;
//! let source = areas::registry::find("doc: model")?;
//! let mut offer = OfferOptions::new().open(&source, &path)?; // to this user; `.to(1000)` for another
//!
//! // In another process, of another user or in a container:
//! let taker = std::thread::spawn({ let path = path.clone(); move || gate::take(path) });
//!
//! // A process that connects is checked, and given the area or refused:
//! let answer = offer.answer(Some(Duration::from_secs(10)))?.expect("a process connected");
//! assert!(matches!(answer.outcome, Outcome::Given));
//! let taken = taker.join().unwrap()?;
//! assert_eq!(taken.size(), 1 << 20); // the same memory
//! # drop(offer);
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What each side believes
//!
//! Both believe the kernel alone. The one that offers asks it who connects (`SO_PEERCRED`): a user
//! that was not named gets a refusal, and no descriptor. The one that takes asks who listens,
//! before it looks at what came; what came is held against its bounds, as all that
//! [`receive`](crate::receive) takes is. A user that has no number in this user namespace is never
//! taken for user 65534.
//!
//! # What reading only means
//!
//! A process that has a descriptor that is open for reading only can reopen its memory by way of
//! `/proc`, as far as the memory's file mode lets its user. So an area that is offered [for reading
//! only](OfferOptions::read_only) is given only to those that the kernel keeps from writing: to
//! other users than the one that made it, but not to root. To all others, after
//! [`Area::freeze`](crate::Area::freeze), or after [`OfferOptions::seal`]: then the kernel lets no
//! process write through it, whatever its rights. `docs/design/gate.md` has what was tried.
//!
//! # When it ends
//!
//! Takers keep what they have: it is theirs as much as the maker's. The offer holds no memory. Once
//! no process publishes the area any more, or it is retired, those that connect get the error that
//! it is gone. Where the process that offers has ended, no process listens, and a taker gets that
//! error.

mod access;
mod answering;
mod answers;
mod inherited;
mod offer;
mod path;
mod place;
mod refusal;
mod taking;
mod who;

pub use answers::{Answer, Ended, Outcome};
pub use offer::{Offer, OfferOptions, Reach};
pub use refusal::Refusal;
pub use taking::{TakeOptions, take};
pub use who::Peer;

#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    refusal::fuzz(bytes);
}
