//! The machine is out of open files (ENFILE): `fs.file-max`, which counts those of all processes,
//! and exempts root. The agents here are another user's.

use std::fs;

use areas::ErrorKind;

use crate::guest;
use crate::support::{Agent, Folder, refused};

const USER: u32 = 1000;
const LIMIT: &str = "/proc/sys/fs/file-max";

/// As long as this lives, no process but root can open anything.
#[derive(Debug)]
struct NoFiles(String);

impl NoFiles {
    fn now() -> Self {
        let before = fs::read_to_string(LIMIT).unwrap();
        fs::write(LIMIT, "1").unwrap();
        NoFiles(before)
    }
}

impl Drop for NoFiles {
    fn drop(&mut self) {
        fs::write(LIMIT, self.0.trim()).unwrap();
    }
}

/// It names the limit of the machine, not the one of the process.
#[track_caller]
fn says_whose_limit(text: &str) {
    for part in ["fs.file-max", "/proc/sys/fs/file-nr"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert!(!text.contains("RLIMIT_NOFILE"), "{text}");
}

#[test]
fn every_call_says_that_the_machine_is_out_of_files_and_all_is_well_afterwards() {
    guest!();
    let folder = Folder::of_user(USER);
    let [mut holder, mut other, mut newcomer, mut late] =
        std::array::from_fn(|_| Agent::start_as(&folder, USER, None));
    let ring = holder.publish("ring");
    other.publish("others");
    // Met, and cloned once.
    let clone = holder.clone_of("others").unwrap();
    holder.drop_area(clone);
    holder.find("ring").unwrap();
    // Never met by the holder.
    late.publish("late");
    let descriptors: Vec<String> =
        [&mut holder, &mut newcomer].into_iter().map(|agent| agent.ask("descriptors")).collect();
    let links = folder.links();
    {
        let _none = NoFiles::now();
        // Making and publishing.
        let text = refused(holder.try_publish("more"), ErrorKind::Limit);
        assert!(text.contains("memfd_create") && text.contains("ENFILE"), "{text}");
        says_whose_limit(&text);
        says_whose_limit(&refused(newcomer.try_publish("first"), ErrorKind::Limit));
        // Joining.
        says_whose_limit(&refused(newcomer.try_ask("join").map(drop), ErrorKind::Registry));
        // Finding: what it has found before it finds. For another name it would have to meet who
        // came, and says that it cannot.
        assert_eq!(holder.find("others").unwrap().pid, other.pid());
        assert_eq!(holder.find("ring").unwrap().pid, holder.pid());
        says_whose_limit(&refused(holder.find("late"), ErrorKind::Registry));
        says_whose_limit(&refused(holder.try_list(), ErrorKind::Registry));
        says_whose_limit(&refused(newcomer.find("ring"), ErrorKind::Registry));
        // Cloning.
        says_whose_limit(&refused(holder.try_ask("read-only others").map(drop), ErrorKind::Limit));
        // Nothing of what was there is lost.
        assert!(holder.has_bytes_of(ring, "ring"));
        holder.keep().unwrap();
        assert_eq!(folder.links(), links, "no process is taken for dead");
    }
    let after: Vec<String> =
        [&mut holder, &mut newcomer].into_iter().map(|agent| agent.ask("descriptors")).collect();
    assert_eq!(after, descriptors, "what was refused left nothing open");
    newcomer.publish("first");
    holder.publish("more");
    for agent in [&mut holder, &mut other, &mut newcomer, &mut late] {
        assert_eq!(agent.list().names(), ["first", "late", "more", "others", "ring"]);
        for name in ["first", "late", "more", "others", "ring"] {
            assert!(agent.clone_of(name).is_ok());
        }
    }
    assert_eq!(folder.links().len(), 4);
}
