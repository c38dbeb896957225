//! `meminfo`, of a node or of the whole machine.

use super::node_info::Memory;
use crate::nodes::list::excerpt;

/// Reads lines such as `Node 1 MemFree: 57913400 kB`, or the same without `Node 1`. Of each line
/// that says nothing it is a phrase why; what it should have said is not known.
pub(crate) fn read(text: &str) -> (Memory, Vec<String>) {
    let mut memory = Memory::default();
    let mut odd = Vec::new();
    // A sum of which a part cannot be read is not known.
    let mut spoilt = [false; 6];
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let (index, field) = match name.rsplit(' ').next().unwrap_or(name) {
            "MemTotal" => (0, &mut memory.total),
            "MemFree" => (1, &mut memory.free),
            "Active(file)" | "Inactive(file)" | "SReclaimable" => (2, &mut memory.reclaimable),
            "AnonPages" => (3, &mut memory.anonymous),
            "Shmem" => (4, &mut memory.shared),
            "Unevictable" => (5, &mut memory.unevictable),
            _ => continue,
        };
        match bytes(value).and_then(|bytes| field.unwrap_or(0).checked_add(bytes)) {
            Some(sum) if !spoilt[index] => *field = Some(sum),
            Some(_) => {}
            None => {
                (*field, spoilt[index]) = (None, true);
                if odd.len() < spoilt.len() {
                    odd.push(format!("the line {} has no size in kB", excerpt(line)));
                }
            }
        }
    }
    for (name, field, spoilt) in [("MemTotal", memory.total, spoilt[0]), ("MemFree", memory.free, spoilt[1])]
    {
        if field.is_none() && !spoilt {
            odd.push(format!("it has no {name}: {}", excerpt(text)));
        }
    }
    (memory, odd)
}

fn bytes(value: &str) -> Option<u64> {
    let digits = value.strip_suffix(" kB")?.trim_start();
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse::<u64>().ok()?.checked_mul(1024) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_node_and_of_the_machine() {
        let node = "Node 1 MemTotal:       67108864 kB\nNode 1 MemFree:        57913400 kB\n\
                    Node 1 Active:          7193236 kB\nNode 1 Active(file):      42116 kB\n\
                    Node 1 Inactive(file):    98384 kB\nNode 1 AnonPages:       7151708 kB\n\
                    Node 1 Shmem:             67864 kB\nNode 1 Unevictable:           4 kB\n\
                    Node 1 SReclaimable:      25472 kB\nNode 1 HugePages_Total:     0\n";
        let expected = Memory {
            total: Some(67_108_864 << 10),
            free: Some(57_913_400 << 10),
            reclaimable: Some((42_116 + 98_384 + 25_472) << 10),
            anonymous: Some(7_151_708 << 10),
            shared: Some(67_864 << 10),
            unevictable: Some(4 << 10),
        };
        assert_eq!(read(node), (expected, vec![]));
        assert_eq!(read(&node.replace("Node 1 ", "")), (expected, vec![]));
        assert_eq!(expected.available(), Some((57_913_400 + 42_116 + 98_384 + 25_472) << 10));
    }

    #[test]
    fn what_cannot_be_read_is_unknown_and_the_rest_stands() {
        let reported = |text: &str| {
            let (memory, odd) = read(text);
            (memory.total, memory.free, memory.reclaimable, odd.join("; "))
        };
        let total = "Node 0 MemTotal: 1 kB\n";
        let cases = [
            ("", None, None, None, "it has no MemTotal: \"\"; it has no MemFree: \"\""),
            (total, Some(1024), None, None, "it has no MemFree: \"Node 0 MemTotal: 1 kB\\n\""),
            (
                "Node 0 MemTotal: 1\nNode 0 MemFree: 2 kB\n",
                None,
                Some(2048),
                None,
                "the line \"Node 0 MemTotal: 1\" has no size in kB",
            ),
            (
                "MemTotal: -1 kB\nMemFree: kB\nSReclaimable: 3 kB\n",
                None,
                None,
                Some(3072),
                "the line \"MemTotal: -1 kB\" has no size in kB; the line \"MemFree: kB\" has no size in kB",
            ),
            (
                "MemTotal: 18014398509481984 kB\nMemFree: 0 kB\n",
                None,
                Some(0),
                None,
                "the line \"MemTotal: 18014398509481984 kB\" has no size in kB",
            ),
            // A sum of which one part is odd, wherever that stands.
            (
                "MemTotal: 1 kB\nMemFree: 0 kB\nActive(file): x\nSReclaimable: 3 kB\n",
                Some(1024),
                Some(0),
                None,
                "the line \"Active(file): x\" has no size in kB",
            ),
        ];
        for (text, total, free, reclaimable, odd) in cases {
            assert_eq!(reported(text), (total, free, reclaimable, odd.to_owned()), "{text:?}");
        }
        assert_eq!(read(total).0.available(), None);
        let lines = read(&"MemFree: x\n".repeat(1000)).1.len();
        assert!(lines < 10, "{lines} complaints");
    }
}
