//! Enumerations that may get more variants, closed: for the edges of this workspace, where each
//! variant needs a number or a word.
//!
//! To other crates these enumerations are `#[non_exhaustive]`, so that a `match` there has to have
//! an arm for what it does not know. At the C edge such an arm would report a policy of which the
//! program has never heard as "default", and of a lock that it is "none". Here the compiler asks
//! for an arm when a variant is added, and then for one at the edges.

use crate::lock::Lock;
use crate::mover::UnmovedReason;
use crate::nodes::{Node, NodeSet, Policy};
use crate::object::Extent;
use crate::page::PageSize;
use crate::ranking::RankedBy;
use crate::residency::PageLocation;
use crate::topology::{CacheIndexing, CacheWrites};

macro_rules! closed {
    ($($open:ident => $closed:ident {
        $($variant:ident $(($($item:ident: $type:ty),*))? $({$($field:ident: $named:ty),*})?,)*
    })*) => {$(
        #[doc = concat!("[`", stringify!($open), "`], closed.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "they are those of the other one")]
        pub enum $closed {
            $($variant $(($($type),*))? $({$($field: $named),*})?,)*
        }

        impl From<$open> for $closed {
            fn from(open: $open) -> Self {
                match open {
                    $($open::$variant $(($($item),*))? $({$($field),*})? =>
                        $closed::$variant $(($($item),*))? $({$($field),*})?,)*
                }
            }
        }
    )*};
}

closed! {
    Policy => ClosedPolicy {
        Default,
        Local,
        Bind(nodes: NodeSet),
        Preferred(node: Node),
        PreferredMany(nodes: NodeSet),
        Interleave(nodes: NodeSet),
        WeightedInterleave(nodes: NodeSet),
    }
    Lock => ClosedLock {
        None,
        Lazy,
        Full,
        Contiguous,
        Low,
        Full32,
        Contiguous32,
    }
    Extent => ClosedExtent {
        Fixed,
        Growable { max: usize },
        Resizable { max: usize },
    }
    PageLocation => ClosedPageLocation {
        On { node: Node, page: PageSize },
        InRam { page: PageSize },
        Swapped,
        Absent,
    }
    UnmovedReason => ClosedUnmovedReason {
        Busy,
        MappedByOthers,
        NoRoom,
        Gone,
        Other(errno: crate::Errno),
    }
    CacheIndexing => ClosedCacheIndexing {
        Direct,
        Indexed,
        Other,
    }
    CacheWrites => ClosedCacheWrites {
        Back,
        Through,
        Other,
    }
    RankedBy => ClosedRankedBy {
        Hmat { class: u8 },
        Distance,
        Free,
        Capacity,
    }
}
