//! A memory device, made by sysfs alone of memory that the guest sets aside as it boots.

use std::fs;
use std::path::Path;

pub(crate) const DEVICE: &str = "/dev/dax0.0";

/// What ndctl does: the namespace that holds the memory becomes a device's.
pub(crate) fn make() {
    let nd = Path::new("/sys/bus/nd");
    let seed =
        fs::read_to_string(nd.join("devices/region0/dax_seed")).expect("the kernel has no reserved memory");
    let seed = seed.trim();
    let write = |path: &str, text: &str| {
        fs::write(nd.join(path), text).unwrap_or_else(|error| panic!("{path} = {text}: {error}"));
    };
    write("drivers/nd_pmem/unbind", "namespace0.0");
    for (name, text) in [
        ("mode", "ram"),
        ("align", "2097152"),
        ("uuid", "01234567-89ab-cdef-0123-456789abcdef"),
        ("namespace", "namespace0.0"),
    ] {
        write(&format!("devices/{seed}/{name}"), text);
    }
    write("drivers/dax_pmem/bind", seed);
}
