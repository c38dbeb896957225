//! What programs and people ask for, checked: texts that are read as sizes, nodes and policies, and
//! placements held against the nodes that this process may use.
//!
//! The types are plain data and lie below [errors](crate::Error), which print them; what is wrong
//! with a request is an error, so that it is found out here.

mod nodes;
mod placement;
mod size;
