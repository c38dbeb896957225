//! Texts of `/proc` and `/sys`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| areas::fuzz::proc(bytes));
