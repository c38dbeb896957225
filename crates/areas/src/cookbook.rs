//! What people do with areas, a chapter a task. Each example is a test.
//!
//! | chapter | |
//! |---|---|
//! | [`sharing`] | Sharing between processes |
//! | [`placing`] | Placing on nodes, and checking |
//! | [`freezing`] | Freezing and lending |
//! | [`growing`] | Growing |
//! | [`streaming`] | Frames from one process to others |
//! | [`locking`] | Staying in RAM |
//! | [`providing`] | Memory from somewhere else |
//!
//! Whole programs are in `crates/areas/examples/`.

#[doc = include_str!("../cookbook/sharing.md")]
pub mod sharing {}

#[doc = include_str!("../cookbook/placing.md")]
pub mod placing {}

#[doc = include_str!("../cookbook/freezing.md")]
pub mod freezing {}

#[doc = include_str!("../cookbook/growing.md")]
pub mod growing {}

#[doc = include_str!("../cookbook/streaming.md")]
pub mod streaming {}

#[doc = include_str!("../cookbook/locking.md")]
pub mod locking {}

#[doc = include_str!("../cookbook/providing.md")]
pub mod providing {}
