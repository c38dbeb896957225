//! Memory: the kernel has it back when the last holder is killed, and what remains is next to
//! nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::support::{Agent, Folder, eventually};
use areas_testing::meminfo;

/// Shared memory of the whole machine, in MiB.
fn shared_memory() -> u64 {
    meminfo::bytes("Shmem") >> 20
}

const SIZE: u64 = 256;
/// What others on this machine may add or take in the meantime.
const NOISE: u64 = 100;

/// Pages of a team's table that the kernel has given memory for.
fn table_pages(folder: &Folder, team: &Agent) -> u64 {
    let table = folder.teams().join(folder.link_of(team.pid()).name());
    fs::metadata(table).unwrap().blocks() * 512 / rustix::param::page_size() as u64
}

#[test]
fn a_table_takes_memory_for_what_is_in_it_and_looking_takes_none() {
    let folder = Folder::new();
    let (mut holder, mut reader) = (Agent::start(&folder), Agent::start(&folder));
    let page = rustix::param::page_size() as u64;
    let pages_of = |areas: u64, bytes: u64| (areas * bytes).div_ceil(page);
    let look = |reader: &mut Agent, prefix: &str| {
        assert_eq!(reader.list().names().iter().filter(|name| name.starts_with(prefix)).count(), 100);
        reader.ask(&format!("find-all {prefix} 100"));
        assert!(reader.clone_of(&format!("{prefix}-99")).is_ok());
        let missing = reader.find("absent").map(|seen| seen.id);
        assert!(missing.is_err(), "{missing:?}");
    };
    // A page for the header and the index, one of ids; and 192 bytes an area.
    holder.ask("publish-many ring 100");
    let short = table_pages(&folder, &holder);
    assert!(short <= 2 + pages_of(100, 192), "{short} pages");
    assert!(page > 4096 || short * page <= 100 * 512, "512 bytes an area and less: {short} pages");
    look(&mut reader, "ring");
    assert_eq!(table_pages(&folder, &holder), short, "who looks fills no holes");
    // Of a long name 288 bytes more, behind all records: 100 of these begin behind what 100 others
    // have not.
    let long = "long".repeat(40);
    holder.ask(&format!("publish-many {long} 100"));
    let both = table_pages(&folder, &holder);
    let most = short + pages_of(100, 192) + pages_of(100, 288) + 1 + 1;
    assert!((short + pages_of(100, 288)..=most).contains(&both), "{short} pages, then {both}, of {most}");
    look(&mut reader, &long);
    look(&mut reader, "ring");
    assert_eq!(table_pages(&folder, &holder), both, "who looks fills no holes");
}

#[test]
fn machine_memory_is_back_after_the_last_holder_was_killed() {
    let folder = Folder::new();
    let (mut holder, mut cloner) = (Agent::start(&folder), Agent::start(&folder));
    let before = shared_memory();
    let answer = holder.ask(&format!("publish big {}", SIZE << 20));
    let (handle, _) = answer.split_once(' ').unwrap();
    holder.ask(&format!("populate {handle}"));
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
