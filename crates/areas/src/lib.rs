//! Chunks of memory as first-class things on Linux.
