//! Names and targets of links in the registry's folder, and `/proc/PID/stat`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| areas::fuzz::link(bytes));
