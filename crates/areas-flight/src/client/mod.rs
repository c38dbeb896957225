//! The client: what is offered there, and bringing it here.

mod bytes;
mod list;
mod peer;
mod table;

pub(crate) use bytes::Download;
pub(crate) use list::list;
pub(crate) use peer::{Found, MOST_MESSAGE, Peer};
pub(crate) use table::TableDownload;
