//! Areas on their way to another team: what is sent of one, the id that is claimed for it, and the
//! socket that it waits in.
//!
//! | file | what |
//! |---|---|
//! | `claim.rs` | the id that it will have, claimed by its giver |
//! | `pending.rs` | what is sent, and what of it is believed |
//! | `socket.rs` | a team's transfer socket, and offering there |

mod claim;
mod pending;
mod socket;

pub(super) use claim::Claim;
pub(super) use pending::{Parcel, PendingTransfer};
pub(super) use socket::{Refused, TransferSocket, offer};
