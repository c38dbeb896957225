//! What the whole process uses: addresses, mappings, descriptors. For what a provider leaves behind
//! without reporting it.

/// One look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage {
    bytes: usize,
    mappings: usize,
    descriptors: usize,
}

fn look() -> Usage {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| {
        line.strip_prefix("VmSize:")?.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()
    });
    Usage {
        bytes: kilobytes.unwrap_or(0).saturating_mul(1024),
        mappings: std::fs::read_to_string("/proc/self/maps").map_or(0, |maps| maps.lines().count()),
        descriptors: std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
    }
}

/// What grows by at least `bytes` of addresses, one mapping, or one descriptor a round, in words.
///
/// Other threads come and go, too: so a growth counts only if it is there the second and the third
/// time.
pub(crate) fn growth(rounds: usize, bytes: usize, mut round: impl FnMut()) -> Vec<String> {
    let mut lasting: Option<[bool; 3]> = None;
    for _ in 0..3 {
        let before = look();
        (0..rounds).for_each(|_| round());
        let after = look();
        let grown = [
            after.bytes.saturating_sub(before.bytes) >= rounds.saturating_mul(bytes),
            after.mappings.saturating_sub(before.mappings) >= rounds,
            after.descriptors.saturating_sub(before.descriptors) >= rounds,
        ];
        let so_far = lasting.unwrap_or([true; 3]);
        let both = [so_far[0] && grown[0], so_far[1] && grown[1], so_far[2] && grown[2]];
        if !both.contains(&true) {
            return Vec::new();
        }
        lasting = Some(both);
    }
    let words = ["addresses", "mappings", "descriptors"];
    let lasting = lasting.unwrap_or_default();
    words
        .iter()
        .zip(lasting)
        .filter(|(_, grows)| *grows)
        .map(|(word, _)| {
            format!("the process has more {word} after each of {rounds} rounds, three times over")
        })
        .collect()
}

/// RAM and swap of the machine, in bytes.
pub(crate) fn machine() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
    };
    field("MemTotal:")?.checked_add(field("SwapTotal:").unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn growth_is_seen_and_named() {
        let mut files = Vec::new();
        let grown = growth(20, 1 << 40, || files.push(File::open("/proc/self/status").unwrap()));
        assert_eq!(grown, ["the process has more descriptors after each of 20 rounds, three times over"]);
        assert!(growth(20, 1 << 40, || drop(File::open("/proc/self/status").unwrap())).is_empty());

        let mut memory: Vec<areas::Mapping> = Vec::new();
        let grown = growth(20, 16 << 20, || {
            memory.push(areas::Provider::map(&areas::System::new(), &areas::Request::new(16 << 20)).unwrap());
        });
        assert_eq!(grown, ["the process has more addresses after each of 20 rounds, three times over"]);
    }

    #[test]
    fn the_machine_has_memory() {
        assert!(machine().is_some_and(|bytes| bytes > 1 << 20));
    }
}
