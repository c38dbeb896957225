//! This process's own team, and what it has published.
//!
//! | file | what |
//! |---|---|
//! | `team.rs` | its table, its link, its ids, its transfer socket |
//! | `held.rs` | an area that it has published, and the key by which it knows it |
//! | `by_address.rs` | whose an address is, for who does not wait for the state |
//! | `addresses/` | sorted arrays that one thread writes and all read |

mod addresses;
pub(super) mod by_address;
mod held;
mod team;

pub(super) use held::{Counted, Held, Key};
pub(crate) use team::LABEL as TABLE_LABEL;
pub(super) use team::Team;
