//! Holding an area for as long as a signal or a command says.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{AREAS, Holder, Ran, Registry, path_with_areas, skipped, within};

#[test]
fn signals_end_a_holder_with_their_number() {
    let registry = Registry::new();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
        holder.signal(signal);
        assert_eq!(holder.wait(), code);
        registry.assert_empty();
    }
}

#[test]
fn ignored_signals_stay_ignored() {
    let registry = Registry::new();
    let mut command = registry.program("bash");
    command.args(["-c", "trap '' HUP INT; exec \"$0\" create --name x --size 1M", AREAS]);
    let mut holder = Holder::start(&mut command);
    holder.signal(Signal::HUP);
    holder.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(200));
    assert!(holder.is_running());
    holder.signal(Signal::TERM);
    assert_eq!(holder.wait(), 143);
}

#[test]
fn a_command_sees_the_area_and_gives_the_status() {
    let registry = Registry::new();
    let script = r#"echo "$AREA_NAME"; "$0" cat "$AREA_ID" --length 3; "$0" ls -q; echo "$AREA_ID"; exit 7"#;
    let file = registry.file("file");
    std::fs::write(&file, "abcdef").unwrap();
    let ran =
        registry.run(["put", file.to_str().unwrap(), "--name", "größe", "--", "sh", "-c", script, AREAS]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(7), ""));
    let stdout = ran.stdout();
    let lines: Vec<&str> = stdout.lines().collect();
    // The output is the command's alone.
    assert_eq!(lines[0], "größe");
    assert_eq!(lines[1], format!("abc{}", lines[2]));
    registry.assert_empty();
}

#[test]
fn a_command_that_a_signal_ends_is_reported_as_a_shell_does() {
    let registry = Registry::new();
    let ran = registry.run(["create", "--name", "x", "--size", "1M", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(ran.code, Some(137));
    let ran = registry.run(["create", "--name", "x", "--size", "1M", "--", "/nowhere/to/be/found"]);
    assert_eq!(ran.code, Some(127));
    assert_eq!(
        ran.stderr,
        "areas: cannot run \"/nowhere/to/be/found\": no such file or directory (ENOENT)\n"
    );
    let ran = registry.run(["create", "--name", "x", "--size", "1M", "--", "/"]);
    assert_eq!(ran.code, Some(126));
    registry.assert_empty();
}

#[test]
fn signals_are_passed_on_to_the_command() {
    let registry = Registry::new();
    for (name, signal) in
        [("INT", Signal::INT), ("TERM", Signal::TERM), ("HUP", Signal::HUP), ("USR1", Signal::USR1)]
    {
        let script =
            format!("trap 'echo got {name}; exit 42' {name}; echo ready; while :; do sleep 0.02; done");
        let mut holder =
            registry.hold(["create", "--name", "x", "--size", "1M", "--", "bash", "-c", &script]);
        assert_eq!(holder.ready, "ready\n");
        assert_eq!(registry.list().len(), 1);
        holder.signal(signal);
        assert_eq!(holder.wait(), 42, "{name}");
        assert_eq!(holder.rest(), format!("got {name}\n"));
        registry.assert_empty();
    }
}

/// Whatever a process sends to say something: none of them ends us before the command, and none is
/// lost.
#[test]
fn each_signal_that_says_something_is_passed_on() {
    let registry = Registry::new();
    // The shell names real-time signals by their distance to the first and the last one.
    let names = [
        "ALRM", "VTALRM", "PROF", "IO", "WINCH", "PWR", "STKFLT", "USR2", "QUIT", "RTMIN", "RTMIN+7", "RTMAX",
    ];
    let traps: String = names.iter().map(|name| format!("trap 'echo got {name}' {name}\n")).collect();
    let script = format!("{traps} trap 'exit 42' TERM; echo ready; while :; do sleep 0.02; done");
    let mut holder = registry.hold(["create", "--name", "x", "--size", "1M", "--", "bash", "-c", &script]);
    assert_eq!(holder.ready, "ready\n");
    for name in names {
        let kill = format!("kill -{name} {}", holder.pid());
        assert_eq!(registry.shell(&kill).code, Some(0), "{kill}");
        assert_eq!(holder.line(), format!("got {name}\n"));
    }
    assert_eq!(registry.list().len(), 1);
    holder.signal(Signal::TERM);
    assert_eq!(holder.wait(), 42);
    registry.assert_empty();
}

/// `perl -e 'alarm 5; exec @ARGV'` before a command ends the command: a timer outlives exec, and is
/// not the child's.
#[test]
fn an_alarm_that_was_set_for_us_ends_the_command() {
    let registry = Registry::new();
    let script = r#"exec perl -e 'alarm 1; exec @ARGV' areas create --name x --size 1M -- sh -c 'echo $$; exec sleep 30'"#;
    let mut command = registry.program("bash");
    command.args(["-c", script]).env("PATH", path_with_areas());
    if Command::new("perl").arg("--version").output().is_err() {
        return skipped("command::an_alarm_that_was_set_for_us_ends_the_command", "there is no `perl`");
    }
    let mut holder = Holder::start(&mut command);
    let command = format!("/proc/{}", holder.ready.trim());
    assert!(std::fs::exists(&command).unwrap());
    assert_eq!(holder.wait(), 128 + 14);
    assert!(!std::fs::exists(&command).unwrap(), "the command goes on without its area");
}

/// A command that does not mind a signal goes on, and so does the area.
#[test]
fn the_command_decides_when_it_ends() {
    let registry = Registry::new();
    let script =
        "trap 'echo no' TERM; echo ready; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.05; done; exit 5";
    let mut holder = registry.hold(["create", "--name", "x", "--size", "1M", "--", "bash", "-c", script]);
    holder.signal(Signal::TERM);
    assert_eq!(registry.list().len(), 1);
    assert_eq!(holder.wait(), 5);
    assert_eq!(holder.rest(), "no\n");
}

/// The area goes with the command that holds it for others, also when that is killed; the command's
/// own clone lives on.
#[test]
fn clones_outlive_the_holder() {
    let registry = Registry::new();
    let file = registry.file_of("file", 1 << 20);
    let file = file.to_str().unwrap();
    let script = r#"echo ready; { echo '"Compare"'; sleep 1.5; echo '"Compare"'; } | "$0" tour-worker --name x --file "$1""#;
    let mut holder = registry.hold(["put", file, "--name", "x", "--", "bash", "-c", script, AREAS, file]);
    assert!(within(Duration::from_secs(20), || registry.list().len() == 2));
    holder.signal(Signal::KILL);
    assert_eq!(holder.wait(), 1009);
    assert!(within(Duration::from_secs(5), || registry.list().len() == 1));
    assert_eq!(registry.list()[0]["protection"], "r--");
    let answers = holder.rest();
    assert_eq!(answers.matches("\"same\":1048576").count(), 2, "{answers}");
    registry.assert_empty();
}

/// Without a command there is nothing to end it but signals: an end of input is none.
#[test]
fn an_end_of_input_does_not_end_it() {
    let registry = Registry::new();
    let mut command = registry.areas(["put", "-", "--name", "x"]);
    let mut holder = Holder::start(&mut command);
    std::thread::sleep(Duration::from_millis(100));
    assert!(holder.is_running());
    let ran = Ran::of(&mut registry.areas(["cat", "x"]));
    assert_eq!((ran.code, ran.output.len()), (Some(0), 0));
}
