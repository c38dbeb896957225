//! The number under which both sides know that they can exchange areas.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use zenoh::shm::ProtocolID;

/// The number of this registry, as Zenoh's protocol.
///
/// Sessions send each other the protocols that they know, and Zenoh sends bytes to one that does
/// not know a message's. The number is made of the registry's folder, the pid namespace and the
/// user: so it is the same only where an area that one finds is found by the other. Processes that
/// share `/dev/shm` and nothing else (containers, say) get bytes, and not messages that they cannot
/// open.
///
/// # Errors
/// There is no registry, or it cannot be looked at.
pub fn protocol() -> zenoh::Result<ProtocolID> {
    areas::registry::join()?;
    let folder = areas::registry::path()?
        .ok_or("this process has joined no registry: set AREAS_DIR to a folder of its own")?;
    let folder = fs::metadata(&folder)
        .map_err(|why| format!("cannot look at the registry, {}: {why}", folder.display()))?;
    let pids = fs::metadata("/proc/self/ns/pid")
        .map_err(|why| format!("cannot look at /proc/self/ns/pid: {why}"))?;
    Ok(number([folder.dev(), folder.ino(), u64::from(folder.uid()), pids.dev(), pids.ino()]))
}

/// FNV-1a of the words, with the highest bit set: Zenoh's own protocol is number 0, and others
/// number theirs from there.
fn number(words: [u64; 5]) -> ProtocolID {
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    words.iter().flat_map(|word| word.to_le_bytes()).fold(0x811c_9dc5, mix) | 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_counts() {
        let same = number([1, 2, 3, 4, 5]);
        assert_eq!(same, number([1, 2, 3, 4, 5]));
        assert_ne!(same >> 31, 0);
        for part in 0..5 {
            let mut words = [1, 2, 3, 4, 5];
            words[part] += 1 << 40;
            assert_ne!(number(words), same, "part {part}");
        }
    }
}
