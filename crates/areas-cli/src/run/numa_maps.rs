//! `/proc/PID/numa_maps`: of each mapping its policy, what it is, and how many of its pages are on
//! which node (Documentation/filesystems/proc.rst). What a program calls its files is in it:
//! nothing of it is believed but numbers, and words that are known.

use std::collections::BTreeMap;

/// What memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    Heap,
    Stack,
    /// Anonymous memory that is neither.
    Other,
    /// Memory objects, `/dev/shm`, System V's segments.
    Shared,
    File,
    /// Hugetlb pages.
    Pool,
}

/// Bytes in RAM, by node and by what they are for; and by the policy of their mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) nodes: BTreeMap<u32, BTreeMap<Use, u64>>,
    pub(super) policies: BTreeMap<String, u64>,
}

impl Usage {
    /// Adds a process's. Lines that make no sense are passed over.
    pub(super) fn add(&mut self, text: &[u8]) {
        for line in text.split(|&byte| byte == b'\n') {
            // Names may be in any encoding; blanks in them are escaped.
            self.add_line(&String::from_utf8_lossy(line));
        }
    }

    fn add_line(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let _address = words.next()?;
        let policy = words.next().filter(|policy| !policy.is_empty())?;
        let (mut pages, mut size, mut of) = (Vec::new(), None, Use::Other);
        for word in words {
            match word.split_once('=') {
                None => match word {
                    "heap" => of = Use::Heap,
                    "stack" => of = Use::Stack,
                    "huge" => of = Use::Pool,
                    _ => {}
                },
                // Hugetlb pages are in a file, too.
                Some(("file", path)) if of != Use::Pool => of = of_file(path),
                Some(("kernelpagesize_kB", number)) => size = number.parse::<u64>().ok(),
                Some((name, number)) => {
                    let node = name.strip_prefix('N').and_then(|node| node.parse::<u32>().ok());
                    if let (Some(node), Ok(number)) = (node, number.parse::<u64>()) {
                        pages.push((node, number));
                    }
                }
            }
        }
        let size = size?.checked_mul(1024)?;
        for (node, number) in pages {
            let bytes = number.saturating_mul(size);
            let sum = self.nodes.entry(node).or_default().entry(of).or_default();
            *sum = sum.saturating_add(bytes);
            let sum = self.policies.entry(policy.to_owned()).or_default();
            *sum = sum.saturating_add(bytes);
        }
        Some(())
    }

    /// All of it.
    pub(super) fn total(&self) -> u64 {
        self.nodes.values().flat_map(BTreeMap::values).fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }
}

fn of_file(path: &str) -> Use {
    let shared = ["/memfd:", "/dev/shm/", "/SYSV", "/dev/zero"];
    if shared.iter().any(|start| path.starts_with(start)) { Use::Shared } else { Use::File }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_the_kernel_writes_them() {
        let text = b"5581c0000000 bind:1 file=/usr/bin/my\\040prog mapped=2 N0=2 kernelpagesize_kB=4\n\
            5581c1000000 bind:1 heap anon=3 dirty=3 N0=1 N1=2 kernelpagesize_kB=4\n\
            7f0000000000 default anon=512 dirty=512 N1=512 kernelpagesize_kB=4\n\
            7f1000000000 interleave:0-1 file=/memfd:area:x\\040(deleted) dirty=4 N0=2 N1=2 kernelpagesize_kB=4\n\
            7f2000000000 default file=/anon_hugepage\\040(deleted) huge anon=1 dirty=1 N1=1 kernelpagesize_kB=2048\n\
            7f2000000000 default huge file=/anon_hugepage anon=1 N1=1 kernelpagesize_kB=2048\n\
            7ffd00000000 bind:1 stack anon=3 dirty=3 N1=3 kernelpagesize_kB=4\n\
            7ffd10000000 default\n\
            \xff\xfe nonsense N1=99999999999999999999 N=1 Nx=1 N0=18446744073709551615 kernelpagesize_kB=18446744073709551615\n";
        let mut usage = Usage::default();
        usage.add(text);
        let on = |node: u32, of: Use| usage.nodes[&node].get(&of).copied().unwrap_or(0);
        assert_eq!((on(0, Use::File), on(0, Use::Heap), on(1, Use::Heap)), (8192, 4096, 8192));
        assert_eq!((on(1, Use::Other), on(0, Use::Shared), on(1, Use::Stack)), (512 * 4096, 8192, 12288));
        assert_eq!(on(1, Use::Pool), 4 << 20);
        assert_eq!(usage.policies["bind:1"], 8192 + 12288 + 12288);
        assert_eq!(usage.total(), 8192 + 12288 + 512 * 4096 + 4 * 4096 + (4 << 20) + 12288);
    }
}
