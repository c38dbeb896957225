//! What this library can do besides plain memory: NUMA placement, and nothing with devices.

#![expect(unsafe_code, reason = "symbols without mangling")]

use std::ffi::{c_int, c_ulong};

use crate::edge::catch_panic;

/// `AML_BACKEND_LIBNUMA`: placement on nodes. (It needs no libnuma.)
const NUMA: c_ulong = 1 << 1;

/// 1 if all of the backends of a mask are there and work, else 0.
#[unsafe(no_mangle)]
extern "C" fn aml_support_backends(backends: c_ulong) -> c_int {
    catch_panic(0, || {
        let others = backends & !NUMA != 0;
        let numa = backends & NUMA != 0;
        c_int::from(!others && (!numa || areas::allowed_nodes().is_ok()))
    })
}
