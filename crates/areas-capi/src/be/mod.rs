//! BeOS's and Haiku's interface.
