//! The client: what is offered there, and bringing it here.

mod answer;
mod bytes;
mod incoming;
mod list;
mod pace;
mod peer;
mod table;

pub(crate) use bytes::{Brought, Download};
pub(crate) use list::list;
pub(crate) use peer::{Found, Peer};
pub(crate) use table::TableDownload;
