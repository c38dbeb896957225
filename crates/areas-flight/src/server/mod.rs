//! The server: frozen areas of an allow-list, for those who have the token.

mod accept;
mod admit;
mod allow;
mod get;
mod serve;
mod service;
mod stream;

pub(crate) use serve::run;
