//! A record of another team's table: a sane area or none.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| areas::fuzz::record(bytes));
