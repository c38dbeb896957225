//! Memory: the kernel has it back when the last holder is killed, and what remains is next to nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::support::{Agent, Folder, eventually};

/// Shared memory of the whole machine, in MiB.
fn shared_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Shmem:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

const SIZE: u64 = 256;
/// What others on this machine may add or take meanwhile.
const NOISE: u64 = 100;

#[test]
fn machine_memory_is_back_after_the_last_holder_was_killed() {
    let folder = Folder::new();
    let (mut holder, mut cloner) = (Agent::start(&folder), Agent::start(&folder));
    let before = shared_memory();
    let answer = holder.tell(&format!("publish big {}", SIZE << 20));
    let (handle, _) = answer.split_once(' ').unwrap();
    holder.tell(&format!("populate {handle}"));
    cloner.clone_as("big", "big").unwrap();
    let full = shared_memory();
    assert!(full + NOISE >= before + SIZE, "{before} MiB, and with the area {full}");
    // One of two holders: nothing changes.
    holder.kill();
    let mut reader = Agent::start(&folder);
    assert_eq!(reader.find("big").unwrap().pid, cloner.pid());
    assert!(shared_memory() + NOISE >= before + SIZE);
    cloner.kill();
    eventually("the memory is back", || shared_memory() < before + NOISE);

    let mut links = 0;
    for (path, metadata) in folder.remains() {
        if metadata.is_symlink() {
            links += 1;
            assert!(fs::metadata(&path).is_err(), "{} leads nowhere", path.display());
        } else if !metadata.is_dir() {
            assert!(metadata.is_file() && metadata.blocks() * 512 <= 4 * 4096, "{}", path.display());
        }
    }
    assert!((1..=2).contains(&links), "{links}");
    reader.list();
    assert_eq!(folder.links(), [], "the next use clears the links away");
    reader.publish("big");
    assert_eq!(reader.list().names(), ["big"]);
}
