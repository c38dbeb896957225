//! `meminfo`, of a node or of the whole machine.

use super::node_info::Memory;
use crate::place::list::excerpt;

/// Reads lines such as `Node 1 MemFree:  57913400 kB`, or the same without `Node 1`. The error is a phrase.
pub(crate) fn parse(text: &str) -> Result<Memory, String> {
    let mut memory = Memory::default();
    let (mut total, mut free) = (false, false);
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let field = match name.rsplit(' ').next().unwrap_or(name) {
            "MemTotal" => {
                total = true;
                &mut memory.total
            }
            "MemFree" => {
                free = true;
                &mut memory.free
            }
            "Active(file)" | "Inactive(file)" | "SReclaimable" => &mut memory.reclaimable,
            "AnonPages" => &mut memory.anonymous,
            "Shmem" => &mut memory.shared,
            "Unevictable" => &mut memory.unevictable,
            _ => continue,
        };
        let sum = bytes(value).and_then(|bytes| field.checked_add(bytes));
        *field = sum.ok_or_else(|| format!("the line {} has no size in kB", excerpt(line)))?;
    }
    match (total, free) {
        (true, true) => Ok(memory),
        (false, _) => Err(format!("it has no MemTotal: {}", excerpt(text))),
        (_, false) => Err(format!("it has no MemFree: {}", excerpt(text))),
    }
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
            total: 67_108_864 << 10,
            free: 57_913_400 << 10,
            reclaimable: (42_116 + 98_384 + 25_472) << 10,
            anonymous: 7_151_708 << 10,
            shared: 67_864 << 10,
            unevictable: 4 << 10,
        };
        assert_eq!(parse(node), Ok(expected));
        assert_eq!(parse(&node.replace("Node 1 ", "")), Ok(expected));
        assert_eq!(expected.available(), expected.free + expected.reclaimable);
    }

    #[test]
    fn hostile_text_is_an_error() {
        let cases = [
            ("", "it has no MemTotal: \"\""),
            ("Node 0 MemTotal: 1 kB\n", "it has no MemFree: \"Node 0 MemTotal: 1 kB\\n\""),
            ("Node 0 MemTotal: 1\n", "the line \"Node 0 MemTotal: 1\" has no size in kB"),
            ("Node 0 MemTotal: -1 kB\n", "the line \"Node 0 MemTotal: -1 kB\" has no size in kB"),
            ("Node 0 MemTotal: kB\n", "the line \"Node 0 MemTotal: kB\" has no size in kB"),
            (
                "Node 0 MemTotal: 18014398509481984 kB\n",
                "the line \"Node 0 MemTotal: 18014398509481984 kB\" has no size in kB",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Err(expected.to_owned()));
        }
    }
}
