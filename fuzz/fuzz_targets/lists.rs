//! Lists of nodes and CPUs, sizes, names, policies, ids: what is printed is read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| areas::fuzz::lists(bytes));
