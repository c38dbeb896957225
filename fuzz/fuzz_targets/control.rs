//! The control file with any contents, and cut short.
#![no_main]

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;

// Where no other registry is. Nothing else runs yet, so that the environment may be changed.
libfuzzer_sys::fuzz_target!(
    init: {
        let folder = std::env::temp_dir().join(format!("areas-fuzz-{}", std::process::id()));
        DirBuilder::new().mode(0o700).recursive(true).create(&folder).expect("a folder");
        // SAFETY: libFuzzer calls this before it starts any thread.
        unsafe { std::env::set_var("AREAS_DIR", &folder) };
    },
    |bytes: &[u8]| areas::fuzz::control(bytes)
);
