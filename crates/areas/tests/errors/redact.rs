//! Takes out of a message what differs from run to run: addresses, processes, descriptors, this
//! machine's sizes.

/// Numbers that follow these words, up to the next blank or bracket.
const AFTER: [(&str, &str); 19] = [
    ("0x", "ADDRESS"),
    ("/proc/", "PID"),
    ("/fd/", "N"),
    ("process ", "PID"),
    ("processes ", "PID"),
    ("written by ", "PID"),
    ("for writing by ", "PID"),
    ("belongs to user ", "UID"),
    ("we are user ", "UID"),
    ("areas-stage-", "N"),
    ("clone area ", "ID"),
    ("open area ", "ID"),
    ("as process ", "PID"),
    ("look at area ", "ID"),
    ("with id ", "ID"),
    ("overcommit_memory is ", "N"),
    ("`ulimit -v ", "KIB"),
    ("join the registry: RLIMIT_FSIZE is 0 B, ", "SIZE"),
    ("join the registry: RLIMIT_FSIZE is 1 MiB, ", "SIZE"),
];

/// Counts that stand before these words.
const COUNTS: [&str; 2] = [" mappings in use", " descriptors open"];

/// Amounts in words, as the library prints them, that depend on the machine or the moment: "N unit
/// WORD".
const BEFORE: [&str; 5] = [" of RAM", " of swap", " in use", " available", " free"];

pub(crate) fn redact(text: &str) -> String {
    let mut text = text.to_owned();
    for (word, name) in AFTER {
        text = after(&text, word, name);
    }
    for word in BEFORE {
        text = before(&text, word);
    }
    for word in COUNTS {
        if let Some((head, tail)) = text.split_once(word) {
            let head = head.trim_end_matches(|c: char| c.is_ascii_digit());
            let head = head
                .strip_suffix(" of ")
                .map_or(head, |head| head.trim_end_matches(|c: char| c.is_ascii_digit()));
            text = format!("{head}COUNT{word}{tail}");
        }
    }
    text.replace(std::env::temp_dir().to_str().unwrap(), "TMP")
}

/// Replaces digits (hexadecimal ones behind "0x", and dashes between numbers) that follow a word.
fn after(text: &str, word: &str, name: &str) -> String {
    let is_part = |c: char| match word {
        "0x" => c.is_ascii_hexdigit(),
        "areas-stage-" => c.is_ascii_digit() || c == '-',
        _ => c.is_ascii_digit(),
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once(word) {
        out.push_str(head);
        out.push_str(word);
        let end = tail.find(|c| !is_part(c)).unwrap_or(tail.len());
        if end > 0 {
            out.push_str(name);
        }
        rest = &tail[end..];
    }
    out.push_str(rest);
    out
}

/// Replaces an amount ("23.5 GiB", "4096 B") that stands right before a word.
fn before(text: &str, word: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once(word) {
        out.push_str(&without_amount(head));
        out.push_str(word);
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn without_amount(head: &str) -> String {
    let mut words = head.rsplitn(3, ' ');
    let (unit, number, before) = (words.next(), words.next(), words.next());
    if let (Some(unit), Some(number), Some(before)) = (unit, number, before)
        && unit.ends_with('B')
        && number.chars().all(|c| c.is_ascii_digit() || c == '.')
    {
        return format!("{before} AMOUNT");
    }
    head.to_owned()
}

#[test]
fn what_differs_is_taken_out_and_nothing_else() {
    let cases = [
        ("mmap(0x7f00ab, 4 KiB): ENOMEM", "mmap(0xADDRESS, 4 KiB): ENOMEM"),
        ("open(\"/proc/4711/fd/12\")", "open(\"/proc/PID/fd/N\")"),
        ("23.5 GiB of RAM and 0 B of swap", "23.5 GiB of RAM and AMOUNT of swap"),
        ("has 23.5 GiB of RAM", "has AMOUNT of RAM"),
        (
            "RLIMIT_MEMLOCK is 8 MiB, 12 KiB in use, 1 MiB wanted",
            "RLIMIT_MEMLOCK is 8 MiB, AMOUNT in use, 1 MiB wanted",
        ),
        ("by 12 (areas), 13 (cat)", "by 12 (areas), 13 (cat)"),
        ("/proc/self/fd/7", "/proc/self/fd/N"),
        ("process of this", "process of this"),
        ("ENOMEM; 43 of 65530 mappings in use; so", "ENOMEM; COUNT mappings in use; so"),
        ("is 64, 12 descriptors open", "is 64, COUNT descriptors open"),
    ];
    for (text, expected) in cases {
        assert_eq!(redact(text), expected);
    }
}
