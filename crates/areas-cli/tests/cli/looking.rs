//! `ls`, `show`, `nodes`: as text and as JSON.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use serde_json::Value;

use crate::harness::{AREAS, Holder, Ran, Registry, total_of, without_chance};

/// Two areas, one of them frozen.
fn two(registry: &Registry) -> (Holder, Holder) {
    let file = registry.file_of("file", 100_000);
    let first =
        registry.hold(["put", file.to_str().unwrap(), "--name", "weights", "--freeze", "--nodes", "0"]);
    let second = registry.hold(["create", "--name", "ring", "--size", "2M", "--growable", "8M"]);
    (first, second)
}

#[test]
fn nothing_is_no_error() {
    let registry = Registry::new();
    let ran = registry.run(["ls"]);
    assert_eq!(
        (ran.code, total_of(&ran.stdout()), ran.stderr.as_str()),
        (Some(0), "0 areas, 0 B in RAM", "")
    );
    let ran = registry.run(["ls", "--json"]);
    let mut list: Value = serde_json::from_str(&ran.stdout()).unwrap();
    // What other tests hold at the moment.
    list["total"].as_object_mut().unwrap().remove("not_published").unwrap();
    let expected = serde_json::json!({
        "schema": 1, "areas": [], "unreadable": [], "total": {"areas": 0, "resident": 0, "locked": 0},
        "registry": null
    });
    assert_eq!(list, expected);
    let ran = registry.run(["ls", "--quiet"]);
    assert_eq!(ran.stdout(), "");
}

/// Its holder's word: escaped, so that no terminal obeys it.
#[test]
fn a_note_is_shown() {
    let registry = Registry::new();
    let shown = |note: &[u8]| {
        let words = ["create", "--size", "4096", "--name", "noted", "--note"].map(OsString::from);
        let _holder = registry.hold(words.into_iter().chain([OsStr::from_bytes(note).to_owned()]));
        let text = registry.run(["show", "noted"]).stdout();
        let json = registry.show("noted");
        assert_eq!(registry.list()[0]["note"], json["note"]);
        let line = text.lines().find(|line| line.trim_start().starts_with("note ")).map(str::to_owned);
        (line.unwrap_or_default(), json["note"].clone(), json["note_bytes"].clone())
    };
    let (line, note, bytes) = shown(b"u1 (2, 2048)");
    assert!(line.ends_with("u1 (2, 2048) (12 B)"), "{line}");
    assert_eq!((note, bytes), ("u1 (2, 2048)".into(), Value::Null));
    let (line, note, bytes) = shown(b"\x1b[2Jx");
    assert!(line.ends_with("[2Jx (5 B)") && !line.contains('\x1b'), "{line:?}");
    assert_eq!((note, bytes), ("\u{1b}[2Jx".into(), Value::Null));
    let (line, note, bytes) = shown(&[0xff, 1]);
    assert!(line.contains(r"\xff"), "{line:?}");
    assert_eq!((note, bytes), (Value::Null, "hex:ff01".into()));
    assert_eq!(shown(b""), (String::new(), Value::Null, Value::Null));
    let ran = registry.run(["create", "--size", "4096", "--name", "noted", "--note", &"x".repeat(257)]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("257 bytes"), "{ran:?}");
}

#[test]
fn memory_that_no_process_publishes_is_listed_where_that_is_asked() {
    let registry = Registry::new();
    // An area without a name, of this very process.
    let size = 12_288 + 4096 * usize::try_from(std::process::id() % 1000).unwrap();
    let area = areas::builder(size).shared().unwrap();
    area.write_at(0, &[1; 4096]).unwrap();
    let list =
        |arguments: &[&str]| -> Value { serde_json::from_str(&registry.run(arguments).stdout()).unwrap() };
    assert_eq!(list(&["ls", "--json"]).get("unpublished"), None);
    let all = list(&["ls", "--all", "--json"]);
    assert_eq!(all["areas"], serde_json::json!([]));
    let pid = std::process::id();
    let is_ours = |memory: &&Value| memory["size"] == size && memory["holders"][0]["pid"] == pid;
    let ours = all["unpublished"].as_array().unwrap().iter().find(is_ours).expect("it is there");
    assert_eq!(
        (
            &ours["label"],
            &ours["allocated"],
            &ours["holders"][0]["protection"],
            &ours["holders"][0]["descriptors"]
        ),
        (&"area".into(), &4096.into(), &"rw-".into(), &1.into())
    );
    let text = registry.run(["ls", "--all"]).stdout();
    let row = text.lines().find(|line| line.split_whitespace().any(|word| word == pid.to_string()));
    let row: Vec<&str> = row.expect("it has a row").split_whitespace().collect();
    assert_eq!(row[..2], ["-", "area"], "{text}");
    assert!(text.contains("; not published: "), "{text}");
    drop(area);
    let is_gone = |all: Value| !all["unpublished"].as_array().unwrap().iter().any(|memory| is_ours(&memory));
    assert!(is_gone(list(&["ls", "--all", "--json"])));
}

#[test]
fn a_table_of_areas() {
    let registry = Registry::new();
    let (first, second) = two(&registry);
    let text = registry.run(["ls"]).stdout();
    let lines: Vec<&str> = text.lines().collect();
    // Columns are lined up: where the heading ends or begins, so does the cell.
    let right = |heading: &str| lines[0].find(heading).unwrap() + heading.len();
    for line in &lines[1..3] {
        for heading in ["ID", "SIZE", "IN RAM", "PID"] {
            let cell = &line[..right(heading)];
            assert!(!cell.ends_with(' ') && line[right(heading)..].starts_with("  "), "{heading}: {text}");
        }
    }
    // The rest is checked without the blanks and numbers that differ from run to run.
    let ids: Vec<String> = registry.list().iter().map(|area| area["id"].to_string()).collect();
    let pids = [(first.pid(), "[A]"), (second.pid(), "[B]")];
    let mut rows: Vec<String> = lines[..3]
        .iter()
        .chain([&total_of(&text)])
        .map(|line| {
            let words = line.split_whitespace().map(|word| {
                let pid = pids.iter().find(|(pid, _)| word.parse() == Ok(*pid));
                if ids.iter().any(|id| id == word) {
                    "[ID]"
                } else {
                    pid.map_or(word, |(_, stand_in)| *stand_in)
                }
            });
            words.collect::<Vec<_>>().join(" ")
        })
        .collect();
    rows[1..3].sort();
    insta::assert_snapshot!(rows.join("\n"), @"
    ID NAME SIZE IN RAM NODES LOCK PROT PID COMMAND
    [ID] ring 2.00 MiB 0 B none rw- [B] areas
    [ID] weights 97.7 KiB 100 KiB 0 none frozen [A] areas
    2 areas, 100 KiB in RAM
    ");
    let mut ids = ids;
    ids.sort();
    let quiet = registry.run(["ls", "-q"]).stdout();
    let mut said: Vec<&str> = quiet.lines().collect();
    said.sort_unstable();
    assert_eq!(said, ids);
}

#[test]
fn areas_in_json() {
    let registry = Registry::new();
    let _holders = two(&registry);
    let mut areas = registry.list();
    areas.sort_by_key(|area| area["name"].to_string());
    areas.iter_mut().for_each(without_chance);
    insta::assert_snapshot!("list", serde_json::to_string_pretty(&areas).unwrap());

    let text = registry.run(["show", "weights", "--json"]).stdout();
    let mut area: Value = serde_json::from_str(&text).unwrap();
    let created = area["created"].as_str().unwrap().to_owned();
    let parsed: jiff::Timestamp = created.parse().unwrap();
    let age = jiff::Timestamp::now().duration_since(parsed);
    assert!(created.ends_with('Z') && age.as_secs() < 60 && !age.is_negative(), "{created}");
    assert!(text.starts_with("{\n  \"schema\": 1,\n  \"id\": "), "{text}");
    without_chance(&mut area);
    insta::assert_snapshot!("show", serde_json::to_string_pretty(&area).unwrap());
}

#[test]
fn an_area_as_text() {
    let registry = Registry::new();
    let (first, _second) = two(&registry);
    let area = registry.show("weights");
    let address = format!("{:#x}", area["address"].as_u64().unwrap());
    let text = registry
        .run(["show", "weights"])
        .stdout()
        .replace(&area["id"].to_string(), "[ID]")
        .replace(&first.pid().to_string(), "[PID]")
        .replace(&address, "[ADDRESS]")
        .replace(area["created"].as_str().unwrap(), "[CREATED]");
    insta::assert_snapshot!(text, @r#"
    area [ID] "weights"
      size        97.7 KiB (100000 B)
      mapped      100 KiB (102400 B)
      in RAM      100 KiB (102400 B)
      on node     0: 100 KiB, 100 %
      pages       4 KiB
      policy      bind:0
      lock        none
      protection  r--
      frozen      yes
      created     [CREATED]
      mapped at   [ADDRESS] in process [PID] (areas)
      held by     process [PID] (areas), mapped r--, as area [ID]
    "#);
}

/// Whether a terminal, or who reads it, gets something else than what stands there.
fn deceives(text: &str) -> bool {
    text.contains(|c: char| {
        "\u{7}\u{202e}\u{2066}\u{200b}\u{200d}\u{feff}\u{2028}\u{ad}\u{3164}\u{e0041}".contains(c)
    })
}

/// Names of areas and of programs are what others chose: nothing in them turns text around, hides,
/// or is obeyed.
#[test]
fn what_cannot_be_seen_is_escaped() {
    let registry = Registry::new();
    let name = "gnp\u{202e}\u{2066}x\u{200b}\u{200d}\u{feff}\u{2028}\u{ad}\u{3164}\u{e0041}\u{7}ö";
    let program = registry.file("a\u{202e}\u{200b}\u{7}b");
    std::fs::copy(AREAS, &program).unwrap();
    let mut holding = registry.program(&program);
    let holder = Holder::start(holding.args(["create", "--name", name, "--size", "1M", "--growable", "4M"]));
    let escaped = r"gnp\u{202e}\u{2066}x\u{200b}\u{200d}\u{feff}\u{2028}\u{ad}\u{3164}\u{e0041}";
    let said = |arguments: &[&str]| {
        let ran = registry.run(arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout()
    };
    let shown = said(&["show", name, "--map"]);
    for text in [
        holder.ready.clone(),
        said(&["ls"]),
        shown.clone(),
        said(&["wait", name]),
        said(&["resize", name, "2M"]),
        said(&["move", name, "--nodes", "0"]),
    ] {
        assert!(text.contains(escaped) && text.contains('ö') && !deceives(&text), "{text}");
    }
    for text in [said(&["ls"]), shown] {
        assert!(text.contains(r"a\u{202e}\u{200b}"), "{text}");
    }
    let ran = registry.run(["show", &format!("no{name}")]);
    assert!(ran.code == Some(3) && ran.stderr.contains(escaped) && !deceives(&ran.stderr), "{ran:?}");
    // In JSON all of it is there, to be read by programs, and shown to no one by mistake.
    for command in [&["ls", "--json"][..], &["show", name, "--json"], &["wait", name, "--json"]] {
        let text = said(command);
        assert!(text.contains('ö') && !deceives(&text), "{text}");
        let read: Value = serde_json::from_str(&text).unwrap();
        let area = read["areas"].get(0).unwrap_or(&read);
        assert_eq!((&area["name"], &area["name_bytes"]), (&name.into(), &Value::Null));
        assert_eq!(area["command"], "a\u{202e}\u{200b}\u{7}b");
    }
}

/// JSON has no bytes that are not text: a name that has some is reported twice, once as the command
/// takes it.
#[test]
fn a_name_that_is_no_text_goes_by_json() {
    let registry = Registry::new();
    let names: [&[u8]; 4] = [b"model\xff", "model\u{fffd}".as_bytes(), b"model\xfe\x07", b"hex:6d"];
    let create = |name: &[u8]| {
        let mut argument = OsString::from("--name=");
        argument.push(OsStr::from_bytes(name));
        registry.hold(["create".as_ref(), argument.as_os_str(), "--size=1M".as_ref()])
    };
    let _holders = names.map(create);
    let listed = registry.list();
    assert_eq!(listed.len(), names.len());
    let mut seen = Vec::new();
    for area in &listed {
        let taken = match area["name_bytes"].as_str() {
            Some(bytes) => bytes.to_owned(),
            None => format!("name:{}", area["name"].as_str().unwrap()),
        };
        assert_eq!(registry.show(&taken)["id"], area["id"], "{taken}");
        let ran = registry.run(["cat", &taken]);
        assert_eq!((ran.code, ran.output.len()), (Some(0), 1 << 20), "{taken}");
        seen.push(taken);
    }
    seen.sort();
    assert_eq!(seen, ["hex:6d6f64656cfe07", "hex:6d6f64656cff", "name:hex:6d", "name:model\u{fffd}"]);
    let text = registry.run(["ls"]).stdout();
    assert!(text.contains(r"model\xff") && text.contains(r"model\xfe\u{7}"), "{text}");
    let ran = Ran::of(&mut registry.areas(["show", "hex:6d6"]));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("two hexadecimal digits"), "{ran:?}");
}

/// Clones share memory: it counts once.
#[test]
fn shared_memory_counts_once() {
    let registry = Registry::new();
    let file = registry.file_of("file", 1 << 20);
    let file = file.to_str().unwrap();
    let _first = registry.hold(["put", file, "--name", "x"]);
    let worker = |registry: &Registry| {
        let mut command = registry.areas(["tour-worker", "--name", "x", "--file", file]);
        let mut child =
            command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"\"Compare\"\n").unwrap();
        let mut line = String::new();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["same"], 1 << 20);
        child
    };
    let mut clone = worker(&registry);
    let list: Value = serde_json::from_str(&registry.run(["ls", "--json"]).stdout()).unwrap();
    let total = &list["total"];
    assert_eq!(
        (&total["areas"], &total["resident"], &total["locked"]),
        (&2.into(), &(1 << 20).into(), &0.into())
    );
    assert_eq!(list["areas"][0]["object"], list["areas"][1]["object"]);
    let grouped =
        registry.run(["ls", "--group", "--no-headings", "--bytes", "--columns", "name,size,ram,object"]);
    let row = format!("x         1048576  1048576  {}\n", list["areas"][0]["object"].as_str().unwrap());
    assert_eq!(grouped.stdout(), row);
    let holders = registry.show("x")["holders"].clone();
    assert_eq!(holders.as_array().unwrap().len(), 2);
    let protections: Vec<&Value> =
        holders.as_array().unwrap().iter().map(|holder| &holder["protection"]).collect();
    assert!(protections.contains(&&"rw-".into()) && protections.contains(&&"r--".into()), "{holders}");
    drop(clone.stdin.take());
    assert!(clone.wait().unwrap().success());
    assert_eq!(registry.list().len(), 1);
}

#[test]
fn the_oldest_of_a_name_is_found() {
    let registry = Registry::new();
    let mut older = registry.hold(["create", "--name", "x", "--size", "1M"]);
    let _younger = registry.hold(["create", "--name", "x", "--size", "2M"]);
    assert_eq!(registry.show("x")["size"], 1 << 20);
    older.signal(rustix::process::Signal::KILL);
    older.wait();
    assert_eq!(registry.show("x")["size"], 2 << 20);
}

#[test]
fn nodes_are_those_of_the_machine() {
    let registry = Registry::new();
    let list: Value = serde_json::from_str(&registry.run(["nodes", "--json"]).stdout()).unwrap();
    assert_eq!(list["schema"], 1);
    let nodes = list["nodes"].as_array().unwrap();
    let online = std::fs::read_to_string("/sys/devices/system/node/online").unwrap_or("0\n".into());
    if online == "0\n" {
        assert_eq!(nodes.len(), 1);
    }
    let usable = nodes.iter().find(|node| node["allowed"] == true).unwrap();
    assert_eq!(usable["online"], true);
    assert!(usable["memory"].as_u64().unwrap() > usable["free"].as_u64().unwrap());
    let text = registry.run(["nodes"]).stdout();
    assert!(text.starts_with("NODE  ALLOWED  CPUS"), "{text}");
    let (table, spaces) = text.split_once("\n\n").unwrap();
    assert_eq!(table.lines().count(), nodes.len() + 1);
    assert!(spaces.lines().nth(1).unwrap().starts_with("all "), "{spaces}");
    assert_eq!((spaces.lines().count(), list["spaces"].as_array().unwrap().len()), (5, 4));
}
