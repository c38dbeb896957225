//! Another team's table, spoilt: looking there ends, inside the table.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| areas::fuzz::table(bytes));
