//! What the command prints as JSON is what `docs/json.md` says, field by field: see there for what
//! its tables mean.
//!
//! A new command gets a section there, and a line in [`COMMANDS`] that runs it: so that each field
//! occurs, in one run or several.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::harness::Registry;
use crate::machines;

/// A command with `--json`, and what runs it: what it printed, one document or several, of as many
/// runs as are wanted.
type Runs = fn(&Registry) -> Vec<String>;

const COMMANDS: &[(&str, Runs)] = &[
    ("ls", ls),
    ("show", |registry| with_area(registry, &[&["show", "x", "--json"], &["show", "x", "--map", "--json"]])),
    ("put", |registry| {
        let file = registry.file_of("file", 5000);
        let path = file.to_str().unwrap();
        let one = registry.hold(["put", path, "--name", "a", "--json"]).ready.clone();
        let other =
            registry.hold(["put", path, "--name", "b", "--freeze", "--quiet", "--json"]).ready.clone();
        vec![one, other]
    }),
    ("create", |registry| {
        let create = ["create", "--name", "a", "--size", "1M", "--growable", "4M", "--json"];
        vec![registry.hold(create).ready.clone()]
    }),
    ("wait", |registry| with_area(registry, &[&["wait", "x", "--timeout", "20", "--json"]])),
    ("move", |registry| with_area(registry, &[&["move", "x", "--nodes", "0", "--json"]])),
    ("nodes", nodes),
    ("scan", |registry| with_area(registry, &[&["scan", "--json"]])),
    ("watch", |registry| {
        let _holder = registry.hold(["create", "--name", "x", "--size", "1M", "--growable", "4M"]);
        let watch = ["watch", "--json", "--interval", "0.05", "--count", "2", "--timeout", "60"];
        let mut watch = crate::harness::Holder::start(registry.program(crate::harness::AREAS).args(watch));
        for change in [["resize", "x", "2M", "-q"], ["move", "x", "--nodes", "0"]] {
            assert_eq!(registry.run(change).code, Some(0));
        }
        vec![watch.ready.clone() + &watch.rest()]
    }),
    ("reap", |registry| {
        let memory = crate::scanning::Posix::new("t-schema", 4096);
        let ran = registry.run(["reap", "shm", memory.name(), "t-schema-nothing", "--json"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        vec![ran.stdout()]
    }),
    ("doctor", doctor),
    ("top", |registry| {
        with_area(
            registry,
            &[&["top", "--once", "--json"], &["top", "--once", "--json", "--interval", "0.1"]],
        )
    }),
    ("get", |registry| in_and_out(registry, &["get", "x"], &["--json"], 0)),
    ("cmp", |registry| in_and_out(registry, &["cmp", "x"], &["--json"], 1)),
    ("fill", |registry| in_and_out(registry, &["fill", "x", "--from"], &["--json"], 0)),
    ("hold", |registry| held_once_more(registry, &["hold", "x", "--json"])),
    ("publish", |registry| held_once_more(registry, &["publish", "x", "y", "--json"])),
    ("rename", |registry| with_area(registry, &[&["rename", "x", "hex:ff", "--json"]])),
    ("freeze", |registry| with_area(registry, &[&["freeze", "x", "--timeout", "20", "--json"]])),
    ("drop", drop_of_two),
    ("run", |registry| {
        let run = ["run", "--nodes", "0", "--json", "--output", "/dev/stdout", "--", "sleep", "0.5"];
        vec![printed(registry, &run)]
    }),
    ("offer", |registry| gate(registry).0),
    ("take", |registry| vec![gate(registry).1]),
    ("serve", |registry| vec![flight(registry).0]),
    ("fetch", |registry| vec![flight(registry).1]),
];

/// Fields that this test cannot bring about on any machine, and why. Where one comes, its type is
/// looked at all the same.
const NOT_EVERYWHERE: [(&str, &str, &str); 2] = [
    (
        "ls",
        "unreadable[]",
        "a process of the same user that cannot be looked into: users.rs makes one, as root",
    ),
    ("move", "stayed[]", "pages that will not move, and a second node for them to move to"),
];

fn ls(registry: &Registry) -> Vec<String> {
    // Memory that is not published, of this very process.
    let area = areas::builder(4096).shared().unwrap();
    let printed = with_area(registry, &[&["ls", "--json"], &["ls", "--all", "--json"]]);
    drop(area);
    printed
}

/// A command on an area `x` and a file of other bytes, which ends with that status.
fn in_and_out(registry: &Registry, before: &[&str], after: &[&str], code: i32) -> Vec<String> {
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    let file = registry.file_of("file", 5000);
    if before[0] == "get" {
        std::fs::remove_file(&file).unwrap();
    }
    let ran = registry.run([before, &[file.to_str().unwrap()], after].concat());
    assert_eq!(ran.code, Some(code), "{ran:?}");
    vec![ran.stdout()]
}

fn held_once_more(registry: &Registry, arguments: &[&str]) -> Vec<String> {
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M", "--note", "a note"]);
    vec![registry.hold(arguments).ready.clone()]
}

fn drop_of_two(registry: &Registry) -> Vec<String> {
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    let _other = registry.hold(["hold", "x"]);
    let ran = registry.run(["drop", "x", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    vec![ran.stdout()]
}

/// What is printed by who offers an area, and by who takes it.
fn gate(registry: &Registry) -> (Vec<String>, String) {
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M", "--note", "a note", "--populate"]);
    let socket = registry.file("socket");
    let socket = socket.to_str().unwrap();
    let mut offer = registry.hold(["offer", "x", "--socket", socket, "--json"]);
    let taker = registry.hold(["take", socket, "--name", "y", "--json"]);
    let answer = offer.line();
    (vec![offer.ready.clone(), answer], taker.ready.clone())
}

/// What is printed by who serves an area to other machines, and by who fetches it.
fn flight(registry: &Registry) -> (String, String) {
    let program = Path::new(crate::harness::AREAS).with_file_name("areas-flight");
    if !program.exists() {
        // It is built with the workspace, and not with this package alone.
        let build = ["build", "--package", "areas-flight", "--locked"];
        let built = std::process::Command::new(env!("CARGO")).args(build).status().unwrap();
        assert!(built.success() && program.exists(), "`cargo build -p areas-flight` makes {program:?}");
    }
    let file = registry.file_of("file", 5000);
    let _holder =
        registry.hold(["put", file.to_str().unwrap(), "--name", "x", "--freeze", "--note", "a note"]);
    let token = registry.file("token");
    let token = ["--token-file", token.to_str().unwrap()];
    let server = registry.hold([&["serve", "x", "--json"], &token[..]].concat());
    let ready: Value = serde_json::from_str(&server.ready).unwrap();
    let location = format!("127.0.0.1:{}/x", ready["port"]);
    let fetched = registry.hold([&["fetch", &location, "--name", "y", "--json"], &token[..]].concat());
    (server.ready.clone(), fetched.ready.clone())
}

fn nodes(registry: &Registry) -> Vec<String> {
    let cached = machines::tree(registry, &machines::CACHED);
    let odd = registry.file("odd");
    std::fs::create_dir_all(odd.join("devices/system/node/node0/hugepages/hugepages-2048kB")).unwrap();
    std::fs::write(odd.join("devices/system/node/node0/distance"), "x\n").unwrap();
    let of = |root: &Path| printed(registry, &["nodes", "--json", "--sysfs", root.to_str().unwrap()]);
    vec![printed(registry, &["nodes", "--json"]), of(&cached), of(&odd)]
}

/// A machine on which something is broken is reported as any other: with status 1.
fn doctor(registry: &Registry) -> Vec<String> {
    let machine = registry.run(["doctor", "--json"]);
    assert!(matches!(machine.code, Some(0 | 1)), "{machine:?}");
    let mut printed = with_area(registry, &[&["doctor", "x", "--json"]]);
    printed.push(machine.stdout());
    printed
}

/// What commands print while there is an area `x` of 1 MiB with a note, of which a part is in RAM.
pub(crate) fn with_area(registry: &Registry, commands: &[&[&str]]) -> Vec<String> {
    let create = ["create", "--name", "x", "--size", "1M", "--note", "a note", "--populate"];
    let _holder = registry.hold(create);
    commands.iter().map(|arguments| printed(registry, arguments)).collect()
}

/// What a command prints that succeeds.
pub(crate) fn printed(registry: &Registry, arguments: &[&str]) -> String {
    let ran = registry.run(arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    ran.stdout()
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    of: Type,
    nullable: bool,
    optional: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Type {
    Integer,
    Number,
    Text,
    Boolean,
    Object,
    /// The name of a table.
    Table(String),
    Array(Box<Type>),
    Map(Box<Type>),
}

/// Rows by their fields.
type Table = BTreeMap<String, Row>;

impl Row {
    /// Reads `array of integer or null, optional`.
    fn read(text: &str) -> Result<Self, String> {
        let (text, optional) = text.strip_suffix(", optional").map_or((text, false), |text| (text, true));
        let (text, nullable) = text.strip_suffix(" or null").map_or((text, false), |text| (text, true));
        Ok(Row { of: Type::read(text)?, nullable, optional })
    }
}

impl Type {
    fn read(text: &str) -> Result<Self, String> {
        if let Some(of) = text.strip_prefix("array of ") {
            return Ok(Type::Array(Box::new(Type::read(of)?)));
        }
        if let Some(of) = text.strip_prefix("map of ") {
            return Ok(Type::Map(Box::new(Type::read(of)?)));
        }
        Ok(match text {
            "integer" => Type::Integer,
            "number" => Type::Number,
            "string" => Type::Text,
            "boolean" => Type::Boolean,
            "object" => Type::Object,
            _ => match text.strip_prefix('[').and_then(|rest| rest.split_once("](#")) {
                Some((name, link)) if link == format!("{name})") => Type::Table(name.to_owned()),
                _ => return Err(format!("{text:?} is no type")),
            },
        })
    }

    /// The table that it names, for what is behind `field`, and where that is.
    fn table(&self, field: &str) -> Option<(&str, String)> {
        match self {
            Type::Table(name) => Some((name, field.to_owned())),
            Type::Array(of) => of.table(&format!("{field}[]")),
            Type::Map(of) => of.table(&format!("{field}{{}}")),
            _ => None,
        }
    }
}

/// The tables of the page, by their headings.
fn tables(page: &str) -> BTreeMap<String, Table> {
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    let mut heading = String::new();
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.to_owned();
            assert!(tables.insert(heading.clone(), Table::new()).is_none(), "{heading} is there twice");
        } else if line.starts_with("| `") {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [field, of, what] = cells[..] else { panic!("no row of three cells: {line}") };
            assert!(!what.is_empty(), "{heading}: nothing is said of {field}");
            let row = Row::read(of).unwrap_or_else(|error| panic!("{heading}: {field}: {error}"));
            let field = field.trim_matches('`').to_owned();
            let table = tables.get_mut(&heading).expect("a heading comes first");
            assert!(table.insert(field.clone(), row).is_none(), "{heading}: {field} is there twice");
        }
    }
    tables
}

/// A command's table with the rows of those that it refers to.
fn whole(tables: &BTreeMap<String, Table>, name: &str) -> Table {
    let table = tables.get(name).unwrap_or_else(|| panic!("docs/json.md has no section `## {name}`"));
    let mut all = Table::new();
    for (field, row) in table {
        let Some((other, at)) = row.of.table(field) else {
            all.insert(field.clone(), row.clone());
            continue;
        };
        let at = if at == "*" { String::new() } else { at };
        for (inner, row) in whole(tables, other) {
            let joined = if at.is_empty() { inner } else { format!("{at}.{inner}") };
            assert!(all.insert(joined.clone(), row).is_none(), "{name}: {joined} is there twice");
        }
        if !at.is_empty() {
            all.insert(field.clone(), row.clone());
        }
    }
    all
}

/// Holds documents against a table.
struct Check<'a> {
    table: &'a Table,
    seen: BTreeSet<String>,
    wrong: BTreeSet<String>,
}

impl Check<'_> {
    fn object(&mut self, at: &str, value: &Value) {
        let Some(fields) = value.as_object() else {
            self.wrong.insert(format!("{at}: {value} is no object"));
            return;
        };
        let start = if at.is_empty() { String::new() } else { format!("{at}.") };
        for (name, value) in fields {
            let field = format!("{start}{name}");
            match self.table.get(&field) {
                None => _ = self.wrong.insert(format!("{field} is in no row")),
                Some(row) => {
                    self.seen.insert(field.clone());
                    if !(row.nullable && value.is_null()) {
                        self.value(&field, &row.of.clone(), value);
                    }
                }
            }
        }
        let expected = self.table.iter().filter(|(field, row)| {
            !row.optional && field.strip_prefix(&start).is_some_and(|name| !name.contains('.'))
        });
        for (field, _) in expected.filter(|(field, _)| !fields.contains_key(&field[start.len()..])) {
            self.wrong.insert(format!("{field} is missing"));
        }
    }

    fn value(&mut self, at: &str, of: &Type, value: &Value) {
        let right = match of {
            Type::Integer => value.is_i64() || value.is_u64(),
            Type::Number => value.is_number(),
            Type::Text => value.is_string(),
            Type::Boolean => value.is_boolean(),
            Type::Object | Type::Table(_) => return self.object(at, value),
            Type::Array(of) => match value.as_array() {
                Some(values) => {
                    return values.iter().for_each(|value| self.value(&format!("{at}[]"), of, value));
                }
                None => false,
            },
            Type::Map(of) => match value.as_object() {
                Some(map) => {
                    return map.values().for_each(|value| self.value(&format!("{at}{{}}"), of, value));
                }
                None => false,
            },
        };
        if !right {
            self.wrong.insert(format!("{at}: {value} is no {of:?}"));
        }
    }
}

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/json.md")).unwrap()
}

#[test]
fn json_is_what_the_page_says() {
    let tables = tables(&page());
    for &(command, runs) in COMMANDS {
        let registry = Registry::new();
        let table = whole(&tables, &format!("areas {command}"));
        let mut check = Check { table: &table, seen: BTreeSet::new(), wrong: BTreeSet::new() };
        for text in runs(&registry) {
            for document in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
                check
                    .object("", &document.unwrap_or_else(|error| panic!("areas {command}: {error}: {text}")));
            }
        }
        let not_here: Vec<&str> =
            NOT_EVERYWHERE.iter().filter(|(of, ..)| *of == command).map(|(_, field, _)| *field).collect();
        let is_not_here = |field: &str| not_here.iter().any(|not_here| field.starts_with(not_here));
        let unseen: Vec<&String> =
            table.keys().filter(|field| !check.seen.contains(*field) && !is_not_here(field)).collect();
        assert!(check.wrong.is_empty(), "areas {command}: {:#?}", check.wrong);
        assert!(
            unseen.is_empty(),
            "areas {command}: described, and in no document of this test: {unseen:#?}"
        );
    }
}

/// No command with `--json` is left out, here or there.
#[test]
fn every_command_that_prints_json_has_a_table() {
    let registry = Registry::new();
    let help = printed(&registry, &["help"]);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    let commands =
        list.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let named: BTreeSet<String> = commands
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help" && printed(&registry, &[command, "--help"]).contains("--json"))
        .map(str::to_owned)
        .collect();
    let tested: BTreeSet<String> = COMMANDS.iter().map(|(command, _)| (*command).to_owned()).collect();
    let tables = tables(&page());
    let reported: BTreeSet<String> =
        tables.keys().filter_map(|heading| heading.strip_prefix("areas ")).map(str::to_owned).collect();
    assert_eq!(named, tested, "commands with --json, and those that this test runs");
    assert_eq!(named, reported, "commands with --json, and sections of docs/json.md");
}

/// The check itself finds what is wrong.
#[test]
fn what_is_not_as_it_is_reported_is_found() {
    let page = "## areas x\n\n| field | type | what |\n|---|---|---|\n| `n` | integer or null | n |\n\
        | `a` | array of [t](#t) | a |\n| `m` | map of integer, optional | m |\n\n## t\n\n| `s` | string | s |\n";
    let table = whole(&tables(page), "areas x");
    let wrong = |text: &str| {
        let mut check = Check { table: &table, seen: BTreeSet::new(), wrong: BTreeSet::new() };
        check.object("", &serde_json::from_str(text).unwrap());
        check.wrong.into_iter().collect::<Vec<_>>().join("; ")
    };
    for right in [r#"{"n":null,"a":[]}"#, r#"{"n":1,"a":[{"s":""}],"m":{"0":1}}"#] {
        assert_eq!(wrong(right), "", "{right}");
    }
    for (text, expected) in [
        (r#"{"a":[]}"#, "n is missing"),
        (r#"{"n":1.5,"a":[]}"#, "n: 1.5 is no Integer"),
        (r#"{"n":1,"a":null}"#, "a: null is no Array(Table(\"t\"))"),
        (r#"{"n":1,"a":[{}]}"#, "a[].s is missing"),
        (r#"{"n":1,"a":[{"s":"","t":1}]}"#, "a[].t is in no row"),
        (r#"{"n":1,"a":[],"m":{"0":"1"}}"#, "m{}: \"1\" is no Integer"),
    ] {
        assert_eq!(wrong(text), expected, "{text}");
    }
    assert!(Row::read("integer or nil").is_err() && Row::read("[area](#other)").is_err());
}
