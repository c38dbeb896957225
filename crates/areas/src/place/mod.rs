//! Where memory must live.
