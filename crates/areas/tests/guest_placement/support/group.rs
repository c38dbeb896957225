//! Control groups: what a container is made of.

use std::fs;
use std::path::PathBuf;

/// A group below the root, removed when it is dropped. Whoever was in it must have ended.
#[derive(Debug)]
pub(crate) struct Group(PathBuf);

impl Group {
    /// A group with that controller, set up as `(file, value)`.
    pub(crate) fn new(controller: &str, settings: &[(&str, &str)]) -> Self {
        let top = PathBuf::from("/sys/fs/cgroup");
        fs::write(top.join("cgroup.subtree_control"), format!("+{controller}")).unwrap();
        let group = Group(top.join(format!("test-{controller}")));
        fs::create_dir(&group.0).unwrap();
        for (file, value) in settings {
            group.set(file, value);
        }
        group
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn set(&self, file: &str, value: &str) {
        fs::write(self.0.join(file), value).unwrap_or_else(|error| panic!("{file}: {error}"));
    }

    /// Takes this process into the group.
    pub(crate) fn enter(&self) {
        self.set("cgroup.procs", "0");
    }

    pub(crate) fn number(&self, file: &str) -> u64 {
        fs::read_to_string(self.0.join(file)).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that has just ended may still be counted for a moment.
        let gone = (0..100).any(|_| {
            let gone = fs::remove_dir(&self.0).is_ok();
            if !gone {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            gone
        });
        assert!(gone || std::thread::panicking(), "the group is not empty");
    }
}
