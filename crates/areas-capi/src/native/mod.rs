//! Our own interface.
