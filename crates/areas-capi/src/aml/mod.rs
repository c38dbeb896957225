//! AML's interface.
