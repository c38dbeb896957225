//! `areas top` on a terminal: what is shown, what keys do, and that the terminal is as it was,
//! however it ends.

use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;

use areas_testing::{descriptors, processes, stat};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{AREAS, Holder, Ran, Registry, path_with_areas, within};
use crate::pty::Pty;

/// Nothing has come for so long: all that was to come has.
const QUIET: Duration = Duration::from_millis(400);

fn top(registry: &Registry, arguments: &[&str]) -> Command {
    let mut command = registry.areas(["top", "--interval", "0.2"]);
    command.args(arguments).env("TERM", "xterm").env_remove("COLUMNS");
    command
}

/// Three areas: `large` with nothing in RAM, `full`, and `half`, the first 512 KiB of which are.
fn three(registry: &Registry) -> [Holder; 3] {
    let large = registry.hold(["create", "--name", "large", "--size", "64M"]);
    let full = registry.hold(["create", "--name", "full", "--size", "2M", "--populate"]);
    let half = registry.hold(["create", "--name", "half", "--size", "1M"]);
    write(&half, 512 << 10);
    [large, full, half]
}

/// Writes so many bytes into a holder's area, behind its back.
fn write(holder: &Holder, bytes: usize) {
    let mut open = descriptors::of(holder.pid()).unwrap().into_iter();
    let path = open.find(|one| one.target.starts_with("/memfd:area:")).unwrap().path;
    let object = std::fs::File::options().write(true).open(path).unwrap();
    object.write_all_at(&vec![1; bytes], 0).unwrap();
}

/// The first words of the names in the list, in order.
fn names(screen: &str) -> Vec<String> {
    let mut lines = screen.lines().skip_while(|line| !(line.contains("NAME") && line.contains("GROWTH")));
    let start = lines.next().and_then(|heading| heading.find("NAME")).unwrap_or(0);
    let name = |row: &str| row.get(start..)?.split_whitespace().next().map(str::to_owned);
    lines.map_while(name).collect()
}

fn sorted_as(names_wanted: [&str; 3]) -> impl FnMut(&vt100::Screen) -> bool {
    move |screen| names(&screen.contents()) == names_wanted
}

/// The process that draws, of the one that waits for it.
fn child_of(pid: u32) -> Pid {
    let mut found = None;
    within(Duration::from_secs(20), || {
        found = processes().into_iter().find(|&child| stat::of(child).is_some_and(|stat| stat.parent == pid));
        found.is_some()
    });
    pid_of(found.expect("it has a child"))
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

#[test]
fn keys_sort_and_filter() {
    let registry = Registry::new();
    let _holders = three(&registry);
    let mut terminal = Pty::start(&top(&registry, &[]), 80, 12);
    terminal.wait_for("by RAM", sorted_as(["full", "half", "large"]));
    for (key, expected) in [
        ("s", ["large", "full", "half"]),
        ("n", ["full", "half", "large"]),
        ("R", ["large", "half", "full"]),
        ("R", ["full", "half", "large"]),
    ] {
        terminal.send(key);
        terminal.wait_for(key, sorted_as(expected));
    }
    terminal.send("/l");
    terminal.wait_for("l", |screen| screen.contents().contains("filter: l"));
    terminal.send("ar");
    terminal.wait_for("a filter", |screen| names(&screen.contents()) == ["large"]);
    terminal.send("\r");
    terminal.wait_for("the filter stays", |screen| {
        screen.contents().contains("filter: lar") && !screen.contents().contains("Enter keeps it")
    });
    terminal.send("\x1b");
    terminal.wait_for("all again", |screen| names(&screen.contents()).len() == 3);
    terminal.send("/*l*f\r");
    terminal.wait_for("a pattern", |screen| names(&screen.contents()) == ["half"]);
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
    terminal.assert_as_it_was();
}

#[test]
fn what_grows_is_reported() {
    let registry = Registry::new();
    let holders = three(&registry);
    let mut terminal = Pty::start(&top(&registry, &["--sort", "growth"]), 100, 12);
    terminal.wait_for_text("half");
    terminal.settle(QUIET);
    write(&holders[0], 3 << 20);
    terminal.wait_for("3 MiB more", |screen| {
        let text = screen.contents();
        names(&text)[0] == "large" && text.contains("+3.00 MiB ")
    });
    // What comes is all growth, and what goes is gone.
    let new = registry.hold(["create", "--name", "new", "--size", "4M", "--populate"]);
    terminal.wait_for("a new one", |screen| {
        names(&screen.contents())[0] == "new" && screen.contents().contains("+4.00 MiB ")
    });
    drop(new);
    terminal.wait_for("it has gone", |screen| names(&screen.contents()).len() == 3);
    // Nothing moves while it is paused.
    terminal.send(" ");
    terminal.wait_for_text("PAUSED");
    let new = registry.hold(["create", "--name", "new", "--size", "4M", "--populate"]);
    assert!(!terminal.settle(Duration::from_millis(700)).contains("new"));
    terminal.send(" ");
    terminal.wait_for_text("new");
    drop(new);
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

#[test]
fn the_map_of_pages_and_the_holders() {
    let registry = Registry::new();
    let holders = three(&registry);
    let mut terminal = Pty::start(&top(&registry, &["--sort", "name"]), 80, 30);
    terminal.wait_for_text("large");
    terminal.send("\x1b[B\r");
    let text = terminal.wait_for_text("each is");
    for part in [
        "\"half\"",
        "1.00 MiB, 512 KiB in RAM",
        "hole",
        "512 KiB, 50 %",
        &format!("held by {} (areas), mapped rw-", holders[2].pid()),
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    terminal.resize(40, 10);
    let text = terminal.wait_for("the map at 40 columns", |screen| {
        screen.contents().contains("0 B  ") && screen.contents().contains("q back")
    });
    assert!(!text.contains('…'), "{text}");
    // Down to the holders.
    terminal.send("\x1b[F");
    terminal.wait_for_text("held by");
    terminal.send("?");
    terminal.wait_for_text("PgUp");
    terminal.send("\x1b");
    terminal.wait_for_text(">half");
    terminal.send("\x03");
    assert_eq!(terminal.wait(), 130);
    terminal.assert_as_it_was();
}

#[test]
fn a_terminal_of_40_columns_and_10_lines() {
    let registry = Registry::new();
    let _holders = three(&registry);
    let _many: Vec<Holder> = (0..9)
        .map(|number| {
            let name = format!("a rather long name of the area {number}");
            registry.hold(["create", "--name", &name, "--size", "4096"])
        })
        .collect();
    let mut terminal = Pty::start(&top(&registry, &[]), 120, 40);
    terminal.wait_for("all", |screen| {
        screen.contents().contains("number") || names(&screen.contents()).len() == 12
    });
    terminal.resize(40, 10);
    let text = terminal.wait_for("40 columns", |screen| {
        let text = screen.contents();
        text.lines().next().is_some_and(|line| line.starts_with("12 memories")) && text.contains("quit")
    });
    assert!(text.contains("IN RAM") && text.contains("GROWTH"), "{text}");
    assert_eq!(text.lines().count(), 10, "{text}");
    // The last row can be reached.
    terminal.send("\x1b[F");
    terminal
        .wait_for("the last one", |screen| screen.contents().lines().any(|line| line.starts_with(">large")));
    terminal.resize(100, 6);
    terminal.wait_for("six lines", |screen| screen.contents().contains(">large"));
    for (columns, rows) in [(1, 1), (20, 3), (80, 24)] {
        terminal.resize(columns, rows);
        terminal.settle(QUIET);
    }
    terminal.wait_for_text("areas top");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
    terminal.assert_as_it_was();
}

/// Without flicker, and without a byte over a slow line where nothing is new.
#[test]
fn what_does_not_change_is_not_drawn() {
    let registry = Registry::new();
    let holders = three(&registry);
    let mut terminal = Pty::start(&top(&registry, &[]), 80, 24);
    terminal.wait_for_text("half");
    terminal.settle(Duration::from_millis(700));
    let before = terminal.written.len();
    // Several readings later:
    terminal.settle(Duration::from_millis(900));
    assert_eq!(terminal.written.len(), before);
    write(&holders[2], 600 << 10);
    terminal.wait_for_text("600 KiB");
    terminal.settle(QUIET);
    let written = String::from_utf8_lossy(&terminal.written[before..]).into_owned();
    assert!(written.len() < 600 && !written.contains("\x1b[2J"), "{written:?}");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

/// Names, and what programs are called, are what others chose.
#[test]
fn nothing_of_others_is_obeyed() {
    let registry = Registry::new();
    let program = registry.file("a\x1b[31mb");
    std::os::unix::fs::symlink(AREAS, &program).unwrap();
    let name = "x\x1b[2J\u{202e}\u{9b}31m\ny";
    let _holder = Holder::start(registry.program(&program).args(["create", "--name", name, "--size", "1M"]));
    let mut terminal = Pty::start(&top(&registry, &[]), 160, 30);
    let escaped = r"x\u{1b}[2J\u{202e}\u{9b}31m\ny";
    let text = terminal.wait_for_text(escaped);
    assert!(text.contains(r"a\u{1b}[31mb"), "{text}");
    terminal.send("\r");
    terminal.wait_for_text("held by");
    let written = String::from_utf8_lossy(&terminal.written).into_owned();
    assert!(!written.contains('\u{202e}') && !written.contains("x\x1b[2J"), "{written:?}");
    terminal.send("qq");
    assert_eq!(terminal.wait(), 0);
}

#[test]
fn colours_and_characters_that_the_terminal_has() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "größe", "--size", "1M", "--populate"]);
    let seen = |variables: &[(&str, &str)]| {
        let mut command = top(&registry, &[]);
        command.envs(variables.iter().copied());
        let mut terminal = Pty::start(&command, 80, 24);
        terminal.wait_for_text("1.00 MiB");
        terminal.send("\r");
        terminal.wait_for_text("held by");
        terminal.send("qq");
        assert_eq!(terminal.wait(), 0);
        String::from_utf8_lossy(&terminal.written).into_owned()
    };
    assert!(seen(&[]).contains(";32m"));
    assert!(!seen(&[("NO_COLOR", "1")]).contains(";32m"));
    let ascii = seen(&[("LC_ALL", "C")]);
    assert!(ascii.is_ascii() && ascii.contains(r"gr\u{f6}\u{df}e"), "{ascii:?}");
}

#[test]
fn signals_end_it_and_leave_the_terminal_as_it_was() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
        for to_child in [false, true] {
            let mut terminal = Pty::start(&top(&registry, &[]), 80, 24);
            terminal.wait_for_text("1.00 MiB");
            assert!(terminal.is_taken());
            let pid = if to_child { child_of(terminal.pid()) } else { pid_of(terminal.pid()) };
            kill_process(pid, signal).unwrap();
            assert_eq!(terminal.wait(), 128 + signal.as_raw(), "{signal:?} {to_child}");
            terminal.assert_as_it_was();
        }
    }
}

/// The process that draws is killed, crashes, or panics: the one that waits gives the terminal
/// back, and says so.
#[test]
fn the_terminal_is_given_back_for_one_that_is_killed() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    for signal in [Signal::KILL, Signal::ABORT] {
        let mut terminal = Pty::start(&top(&registry, &[]), 80, 24);
        terminal.wait_for_text("1.00 MiB");
        kill_process(child_of(terminal.pid()), signal).unwrap();
        assert_eq!(terminal.wait(), 128 + signal.as_raw());
        terminal.assert_as_it_was();
        let text = terminal.screen().contents();
        let expected = format!("areas: signal {} has ended the process that drew", signal.as_raw());
        assert!(text.contains(&expected), "{text}");
    }
}

#[test]
#[cfg(debug_assertions)]
fn a_panic_is_seen_and_leaves_the_terminal_as_it_was() {
    let registry = Registry::new();
    let mut command = top(&registry, &[]);
    command.env("AREAS_TEST_TOP_PANICS", "1").env("RUST_BACKTRACE", "0");
    let mut terminal = Pty::start(&command, 80, 24);
    assert_eq!(terminal.wait(), 101);
    terminal.assert_as_it_was();
    let text = terminal.screen().contents();
    assert!(text.contains("as a test has asked for"), "{text}");
}

/// The process that waits is killed: the one that draws gives the terminal back, and ends.
#[test]
fn the_one_that_draws_does_not_outlive_its_parent() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    let mut shell = registry.program("bash");
    shell.args(["-c", "areas top --interval 0.2; echo ended with $?; sleep 60"]);
    shell.env("TERM", "xterm").env("PATH", path_with_areas());
    let mut terminal = Pty::start(&shell, 80, 24);
    terminal.wait_for_text("1.00 MiB");
    let parent = child_of(terminal.pid());
    let child = child_of(parent.as_raw_pid().unsigned_abs());
    kill_process(parent, Signal::KILL).unwrap();
    terminal.wait_for("it is as it was", |screen| !screen.alternate_screen() && !screen.hide_cursor());
    let gone = || !std::path::Path::new(&format!("/proc/{}", child.as_raw_pid())).exists();
    assert!(within(Duration::from_secs(20), gone), "it lives on");
    terminal.assert_as_it_was();
}

/// As with any program: `^Z` and `fg` in a shell, and signals that stop either process.
#[test]
fn it_can_be_suspended() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    let mut shell = registry.program("bash");
    shell.args(["--norc", "--noprofile", "-i"]);
    shell
        .env("TERM", "xterm")
        .env("PATH", path_with_areas())
        .env("PS1", "ready> ")
        .env("HISTFILE", "/dev/null");
    let mut terminal = Pty::start(&shell, 80, 24);
    terminal.wait_for_text("ready>");
    terminal.send("areas top --interval 0.2\r");
    terminal
        .wait_for("the list", |screen| screen.alternate_screen() && screen.contents().contains("1.00 MiB"));
    let parent = child_of(terminal.pid());
    let child = child_of(parent.as_raw_pid().unsigned_abs());
    let stops: [&dyn Fn(&mut Pty); 5] = [
        &|terminal| terminal.send("\x1a"),
        &|_| kill_process(parent, Signal::TSTP).unwrap(),
        &|_| kill_process(child, Signal::TSTP).unwrap(),
        &|_| kill_process(child, Signal::STOP).unwrap(),
        &|terminal| terminal.send("\x1a"),
    ];
    for (number, stop) in stops.iter().enumerate() {
        stop(&mut terminal);
        terminal.wait_for("the shell", |screen| {
            let text = screen.contents();
            !screen.alternate_screen() && text.contains("Stopped") && text.trim_end().ends_with("ready>")
        });
        assert!(!terminal.screen().hide_cursor(), "round {number}");
        let said = format!("echo number-$(({number}+0))\r");
        terminal.send(&said);
        terminal.wait_for_text(&format!("\nnumber-{number}"));
        terminal.send("clear; fg\r");
        terminal.wait_for("the list again", |screen| {
            screen.alternate_screen() && screen.contents().contains("1.00 MiB")
        });
    }
    terminal.send("q");
    terminal.wait_for("the shell", |screen| !screen.alternate_screen());
    terminal.send("echo ended with $?; exit 5\r");
    terminal.wait_for_text("ended with 0");
    assert_eq!(terminal.wait(), 5);
}

#[test]
fn without_a_terminal_there_is_a_table() {
    let registry = Registry::new();
    let holders = three(&registry);
    let ran = registry.run(["top"]);
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{ran:?}");
    assert!(
        ran.stderr.contains("are not both a terminal") && ran.stderr.contains("`areas top --once`"),
        "{ran:?}"
    );
    let mut dumb = top(&registry, &[]);
    let mut terminal = Pty::start(dumb.env("TERM", "dumb"), 80, 24);
    assert_eq!(terminal.wait(), 1);
    assert!(terminal.screen().contents().contains("TERM says that the terminal is dumb"));

    let text = registry.run(["top", "--once", "--sort", "size"]).stdout();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["ID", "NAME", "SIZE", "IN", "RAM", "NODES", "HELD", "BY"], "{text}");
    let listed: Vec<&str> = rows[1..4].iter().map(|row| row[1]).collect();
    assert_eq!(listed, ["large", "full", "half"], "{text}");
    assert_eq!(rows[4].join(" "), "3 of 3 memories, 3 areas, 2.50 MiB in RAM");

    let grown = std::thread::scope(|scope| {
        let ran = scope.spawn(|| registry.run(["top", "--json", "--interval", "2", "--filter", "*l*"]));
        std::thread::sleep(Duration::from_secs(1));
        write(&holders[0], 2 << 20);
        ran.join().unwrap()
    });
    let report: Value = serde_json::from_str(&grown.stdout()).unwrap();
    let memories = report["memories"].as_array().unwrap();
    let large = memories.iter().find(|memory| memory["areas"][0]["name"] == "large").unwrap();
    assert_eq!((memories.len(), &large["growth"]), (3, &(2 << 20).into()));
    let speed = large["growth_per_second"].as_i64().unwrap();
    assert!((200_000..=1_100_000).contains(&speed), "{speed}");
    let ran = Ran::of(registry.areas(["top", "--once"]).env("AREAS_DIR", registry.file("nowhere")));
    assert_eq!(ran.code, Some(1), "{ran:?}");
}
