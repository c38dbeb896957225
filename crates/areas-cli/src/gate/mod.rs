//! Areas for other users and for containers: offered at a socket, and taken there.

pub(crate) mod args;
pub(crate) mod offer;
pub(crate) mod take;
