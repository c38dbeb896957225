//! What errors of the library name as remedies is found by a check: read from the library's own
//! source.

use std::fs;
use std::path::{Path, PathBuf};

/// What a remedy says, and the check that finds it.
const FOUND_BY: &[(&str, &[&str])] = &[
    ("ulimit -l", &["limits.memlock"]),
    ("ulimit -v", &["limits.as"]),
    ("ulimit -n", &["limits.nofile"]),
    ("ulimit -f", &["limits.fsize"]),
    ("ulimit -u", &["limits.nproc"]),
    ("fs.file-max", &["limits.file-max"]),
    ("max_map_count", &["limits.mappings"]),
    ("vm.overcommit", &["limits.overcommit"]),
    ("memory.max", &["groups.memory"]),
    ("a few descriptors and some memory", &["limits.nofile", "memory.available"]),
    ("nr_hugepages", &["huge.pool"]),
    ("/sys/kernel/mm/hugepages", &["huge.pool"]),
    ("pool of huge pages", &["huge.pool"]),
    ("`echo N > {}` as root; at boot", &["huge.pool"]),
    ("fill the pool (`areas nodes`)", &["huge.pool"]),
    ("memmap=", &["sight.low-memory"]),
    ("AREAS_LOW_MEMORY", &["sight.low-memory"]),
    ("setcap", &["sight.capabilities"]),
    ("CAP_SYS_NICE", &["sight.capabilities", "sandbox.placement", "sandbox.nodes", "sandbox.policies"]),
    ("/proc must be", &["sight.proc"]),
    ("/proc mounted", &["sight.proc"]),
    ("mount -t proc", &["sight.proc"]),
    ("mount -t sysfs", &["numa.nodes"]),
    ("user, group and capabilities", &["sight.others"]),
    ("after a change of user call prctl", &["sight.others", "sandbox.nodes"]),
    ("AREAS_DIR", &["registry.folder"]),
    ("chmod 700", &["registry.folder"]),
    ("the file system is full", &["registry.shm"]),
    ("what is no live team's link", &["registry.entries"]),
    ("cpuset", &["numa.cpuset"]),
    ("ACPI HMAT", &["numa.hmat"]),
    (
        "`areas doctor` lists those that it has",
        &[
            "kernel.preferred-many",
            "kernel.weighted-interleave",
            "kernel.home-node",
            "kernel.balanced-bind",
            "kernel.balanced-preferred-many",
        ],
    ),
    ("allow memfd_create", &["sandbox.objects"]),
    ("memfd_create (Linux 3.17", &["sandbox.objects"]),
    ("PROT_WRITE and MAP_SHARED", &["sandbox.mappings"]),
    ("allow process_vm_writev", &["sandbox.copying"]),
    ("allow futex", &["sandbox.waiting"]),
    ("allow set_mempolicy", &["sandbox.placement"]),
    ("allow ioctl", &["kernel.procmap-query"]),
    ("allow socket(AF_UNIX)", &["sandbox.sockets"]),
    ("/proc/PID/uid_map", &["sight.user-namespace"]),
    ("mlock2", &["kernel.mlock2", "sandbox.locks"]),
    ("Linux 5.14", &["kernel.populate"]),
    ("free some memory", &["memory.available"]),
    ("short of memory", &["memory.available"]),
    ("SIGCONT", &["area.holders"]),
    ("kill -CONT", &["area.holders"]),
    ("or clone it for reading only", &["area.freezing"]),
    ("freeze that one", &["area.freezing"]),
    ("swap does not count", &["groups.memory", "memory.available"]),
];

/// Words by which a remedy is known to be about the machine, or about another process's rights.
const OF_MACHINES: [&str; 22] = [
    "ulimit",
    "sysctl",
    "systemd",
    "sandbox",
    "seccomp",
    "CAP_",
    "cpuset",
    "/proc",
    "/sys/",
    "mount ",
    "kernel",
    "Linux ",
    " root",
    "limit",
    "pool",
    "vm.",
    "AREAS_",
    "chmod",
    "container",
    "capabilit",
    "HMAT",
    "memmap",
];

/// Remedies with such words that are about the call itself: what was asked, or what the program
/// does.
const OF_CALLS: &[&str] = &[
    "let the kernel choose one",
    "let its kernel choose one",
    "of this provider, or give it a larger limit",
    "take shared ones from the kernel",
    "/proc/self/maps` shows what is there",
    "with Linux 6.5 or later",
    "Linux 6.6 or later",
    "this needs Linux 5.1",
    "this needs Linux 4.14",
    "raise that limit",
    "use the nodes that are allowed",
    "hugetlb pages are not moved",
    "the kernel's log names the address",
    "write ranges as /proc/iomem does",
    "as root, or as the user who runs that process",
    "as the user who runs that process, or as root",
    "a larger limit",
    "a file system of its own",
    "`/proc/PID/fd` shows the files",
    "name another root",
    "/sys/bus/dax/devices",
    "small area of its own, of base pages",
    "offer it to another user than root and its maker",
    "or remove the socket by hand",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension() {
            None if path.is_dir() => sources(&path, found),
            Some(extension) if extension == "rs" && !path.ends_with("tests.rs") => found.push(path),
            _ => {}
        }
    }
    found.sort();
}

/// What stands in the parentheses behind each `.with_remedy`, and in the constants that are given
/// to it; line ends and blanks as one blank.
fn remedies(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let upto = |from: &str, open: char, close: char| {
        let mut depth = 1;
        let end = from.char_indices().find(|(_, c)| {
            depth += i32::from(*c == open) - i32::from(*c == close);
            depth == 0
        });
        from[..end.map_or(from.len(), |(at, _)| at)].to_owned()
    };
    let given = source.match_indices(".with_remedy(");
    let help = given.map(|(at, found)| upto(&source[at + found.len()..], '(', ')'));
    let constants = source.match_indices("const ").filter_map(|(at, _)| {
        let line = source[at..].split_once(": &str =")?;
        let name_is_short = line.0.len() < 40 && !line.0.contains('\n');
        name_is_short.then(|| line.1.split(";\n").next().unwrap_or_default().to_owned())
    });
    help.chain(constants)
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ").replace("\\ ", ""))
        .collect()
}

/// Remedies in the library's names that no command brings about: what was asked there cannot be
/// asked here.
const OF_PROGRAMS: &[&str] = &[
    "`.shared()`",
    "`.name()`",
    "`Area::send`",
    "`Area::protect`",
    "`registry::",
    "(`ReceiveOptions`)",
    "`Protection::READ`",
    "`Storage::of(file)`",
];

#[test]
fn remedies_are_in_the_words_of_the_command() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&home.join("../areas/src"), &mut files);
    let all: Vec<String> =
        files.iter().flat_map(|file| remedies(&fs::read_to_string(file).unwrap())).collect();
    for (library, _) in crate::failure::WORDS {
        assert!(all.iter().any(|text| text.contains(library)), "no error says {library} any more");
    }
    for word in OF_PROGRAMS {
        assert!(all.iter().any(|text| text.contains(word)), "no error says {word} any more");
    }
    let is_of_programs = |text: &str| OF_PROGRAMS.iter().any(|word| text.contains(word));
    let wrong: Vec<String> =
        all.into_iter()
            .filter(|text| text.contains('"') && !is_of_programs(text))
            .map(|text| crate::failure::WORDS.iter().fold(text, |text, (from, to)| text.replace(from, to)))
            // Between backticks, Rust's paths and methods.
            .filter(|text| {
                text.split('`').skip(1).step_by(2).any(|quoted| {
                    quoted.contains("::") || quoted.starts_with(".") && !quoted.starts_with("./")
                })
            })
            .collect();
    assert!(wrong.is_empty(), "these are the library's words: {wrong:#?}");
}

#[test]
fn for_each_remedy_of_the_library_there_is_a_check() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&home.join("../areas/src"), &mut files);
    let all: Vec<(PathBuf, String)> = files
        .iter()
        .flat_map(|file| {
            remedies(&fs::read_to_string(file).unwrap()).into_iter().map(|text| (file.clone(), text))
        })
        // Names of files and the like are not sentences.
        .filter(|(_, text)| text.contains('"') && text.contains(' '))
        .collect();
    assert!(all.len() > 150, "the source has been read: {}", all.len());
    let is_of = |text: &str, words: &[&str]| words.iter().any(|word| text.contains(word));
    let known: Vec<&str> = FOUND_BY.iter().map(|(word, _)| *word).collect();
    let not_found: Vec<String> = all
        .iter()
        .filter(|(_, text)| is_of(text, &OF_MACHINES) && !is_of(text, &known) && !is_of(text, OF_CALLS))
        .map(|(file, text)| format!("{}: {text}", file.display()))
        .collect();
    assert!(not_found.is_empty(), "no check finds these:\n{}", not_found.join("\n"));
    // Each entry is still said by some check.
    let everything: String = all.iter().map(|(_, text)| text.as_str()).collect();
    let unsaid: Vec<&&str> = known.iter().filter(|word| !everything.contains(**word)).collect();
    assert!(unsaid.is_empty(), "no error says these any more: {unsaid:?}");
}

/// What a remedy may have of the 100 columns of its line, behind `  help: `.
const COLUMNS: usize = 92;

/// The texts between quotation marks, each value in them as five columns.
fn texts(remedy: &str) -> Vec<String> {
    let unescaped = remedy.replace("\\\"", "'");
    let texts = unescaped.split('"').skip(1).step_by(2);
    texts
        .map(|text| {
            let mut columns = String::new();
            let mut is_value = false;
            for c in text.chars() {
                match c {
                    '{' => is_value = true,
                    '}' => {
                        is_value = false;
                        columns.push_str("value");
                    }
                    _ if !is_value => columns.push(c),
                    _ => {}
                }
            }
            columns
        })
        .collect()
}

/// More is said by `areas doctor`.
#[test]
fn remedies_are_one_line() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for name in ["areas", "areas-capi", "areas-cli", "areas-flight", "areas-py", "areas-slab"] {
        sources(&crates.join(name).join("src"), &mut files);
    }
    let given = |file: &PathBuf| {
        let source = fs::read_to_string(file).unwrap();
        let all = remedies(&source);
        let help = all.into_iter().take(source.matches(".with_remedy(").count());
        // A constant that is given is what it says.
        let constant = |name: &str| {
            let text = source.split_once(&format!("const {name}: &str ="))?.1;
            Some(text.split(";\n").next().unwrap_or_default().to_owned())
        };
        help.map(|text| constant(&text).unwrap_or(text)).collect::<Vec<_>>()
    };
    let all: Vec<String> = files.iter().flat_map(given).collect();
    assert!(all.len() > 250, "the sources have been read: {}", all.len());
    let wide: Vec<&String> =
        all.iter().filter(|text| texts(text).iter().any(|text| text.chars().count() > COLUMNS)).collect();
    assert!(wide.is_empty(), "wider than {COLUMNS} columns: {wide:#?}");
    assert_eq!(texts(r#"format!("a {x:?} \"b\"", "c")"#), ["a value 'b'", "c"]);
}

#[test]
fn the_checks_that_find_them_are_there() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/doctor"), &mut files);
    let checks: String = files
        .iter()
        .filter(|file| !file.ends_with("remedies.rs") && !file.ends_with("machines.rs"))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    for id in FOUND_BY.iter().flat_map(|(_, ids)| *ids) {
        assert!(checks.contains(&format!("\"{id}\"")), "{id}");
    }
}

/// Each system call that is looked at has a line in the page on sandboxes.
#[test]
fn the_page_on_sandboxes_names_each_call() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sandboxes.md")).unwrap();
    for call in super::calls::calls() {
        assert!(page.contains(&format!("`{call}`")) || page.contains(&format!("`{call}(")), "{call}");
    }
}
