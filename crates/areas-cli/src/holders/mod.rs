//! Who holds areas, and under which name: `areas hold`, `publish`, `rename`, `freeze`, `drop`.

pub(crate) mod args;
pub(crate) mod drop;
pub(crate) mod freeze;
pub(crate) mod hold;
pub(crate) mod publish;
pub(crate) mod rename;
