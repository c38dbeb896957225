//! Terminals: colours, progress, width, locale. A terminal is made by `script`.

use std::process::Command;

use crate::harness::{AREAS, Holder, Ran, Registry, path_with_areas, skipped};

type Variables<'a> = &'a [(&'a str, &'a str)];

/// What `areas …` shows on a terminal with those variables.
fn shown(registry: &Registry, arguments: &str, variables: Variables<'_>) -> Option<String> {
    let line = format!("stty cols 100; areas {arguments}");
    let mut command = registry.program("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command.env("PATH", path_with_areas()).env("TERM", "xterm").env_remove("COLUMNS");
    command.envs(variables.iter().copied());
    match command.output() {
        Ok(output) => Some(Ran::from(output).stdout()),
        Err(_) => {
            skipped("terminal", "there is no `script`");
            None
        }
    }
}

#[test]
fn colours_for_terminals_that_want_them() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    let cases: [(Variables<'_>, bool); 4] = [
        (&[], true),
        (&[("NO_COLOR", "1")], false),
        (&[("NO_COLOR", "")], true),
        (&[("TERM", "dumb")], false),
    ];
    for (variables, expected) in cases {
        for command in ["ls", "show x", "nodes"] {
            let Some(text) = shown(&registry, command, variables) else { return };
            assert_eq!(text.contains('\x1b'), expected, "{command} {variables:?}: {text:?}");
        }
    }
    for command in [&["ls"][..], &["show", "x"], &["nodes"]] {
        let ran = Ran::of(registry.areas(command).env("TERM", "xterm"));
        assert!(!ran.stdout().contains('\x1b'), "{command:?}");
    }
}

#[test]
fn progress_on_terminals_only() {
    let registry = Registry::new();
    let file = registry.file_of("file", 40 << 20);
    let put = format!("put {} --name x -- true", file.display());
    let cases: [(&str, Variables<'_>, bool); 4] = [
        ("", &[], true),
        ("--quiet ", &[], false),
        ("", &[("TERM", "dumb")], false),
        ("", &[("LC_ALL", "C")], true),
    ];
    for (option, variables, expected) in cases {
        let Some(text) = shown(&registry, &format!("{option}{put}"), variables) else { return };
        assert_eq!(text.contains("filling"), expected, "{option:?} {variables:?}: {text:?}");
        if variables.contains(&("LC_ALL", "C")) {
            assert!(text.is_ascii(), "{text:?}");
        }
    }
    let ran = registry.run(["put", file.to_str().unwrap(), "--name", "x", "--", "true"]);
    assert_eq!((ran.stdout().as_str(), ran.stderr.as_str()), ("", ""));
}

/// What is not text may make a terminal do things: it is asked for, or goes elsewhere.
#[test]
fn bytes_that_are_no_text_are_not_written_to_a_terminal_unasked() {
    let registry = Registry::new();
    let held = |name: &str, bytes: &[u8]| {
        let file = registry.file(name);
        std::fs::write(&file, bytes).unwrap();
        registry.hold(["put", file.to_str().unwrap(), "--name", name])
    };
    let _text = held("text", "größe\n".repeat(1000).as_bytes());
    let _escapes = held("escapes", b"some text \x1b[31m red");
    let Some(text) = shown(&registry, "cat text", &[]) else { return };
    assert_eq!(text, "größe\r\n".repeat(1000));
    for (typed, expected) in [("n\n", false), ("\n", false), ("y\n", true)] {
        let mut command = registry.program("script");
        command.args([
            "--quiet",
            "--return",
            "--echo",
            "never",
            "--command",
            "areas cat escapes",
            "/dev/null",
        ]);
        command.env("PATH", path_with_areas());
        let ran = Ran::fed(&mut command, typed.as_bytes());
        let text = ran.stdout();
        assert!(
            text.contains("has bytes that are not text: write it to the terminal all the same? [y/N]"),
            "{text:?}"
        );
        assert_eq!(text.contains('\x1b'), expected, "{typed:?}: {text:?}");
        assert_eq!(ran.code, Some(if expected { 0 } else { 1 }), "{typed:?}: {text:?}");
    }
    // No user can be asked.
    let text = shown(&registry, "cat escapes < /dev/null", &[]).unwrap();
    assert!(text.contains("it has bytes that are not text") && !text.contains('\x1b'), "{text:?}");
    assert_eq!(registry.run(["cat", "escapes"]).output, b"some text \x1b[31m red");
}

#[test]
fn as_wide_as_the_terminal() {
    let registry = Registry::new();
    let name = "some words ".repeat(20);
    let _holder = registry.hold(["create", "--name", name.trim(), "--size", "1M"]);
    let widest = |text: &str| text.lines().map(|line| line.trim_end().chars().count()).max().unwrap();
    let plain = [("NO_COLOR", "1")];
    for columns in ["80", "100", "200"] {
        let variables = [("NO_COLOR", "1"), ("COLUMNS", columns)];
        let Some(text) = shown(&registry, "ls", &variables) else { return };
        let limit: usize = columns.parse().unwrap();
        assert!((limit - 20..=limit).contains(&widest(&text)), "{columns}: {text}");
    }
    let Some(text) = shown(&registry, "ls", &plain) else { return };
    assert!((80..=100).contains(&widest(&text)), "the terminal's own width: {text}");
    // One line an area for other programs, however long.
    let text = Ran::of(registry.areas(["ls"]).env("COLUMNS", "60")).stdout();
    assert_eq!(text.lines().count(), 3);
    assert!(text.contains(name.trim()));
}

#[test]
fn only_characters_that_the_locale_has() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "größe", "--size", "1M"]);
    for command in [&["ls"][..], &["show", "größe"], &["show", "größer"]] {
        for (locale, utf8) in
            [("C", false), ("POSIX", false), ("", false), ("C.UTF-8", true), ("de_DE.utf8", true)]
        {
            let ran = Ran::of(registry.areas(command).env("LC_ALL", locale));
            let text = ran.stdout() + &ran.stderr;
            assert_eq!(text.is_ascii(), !utf8, "{command:?} {locale}: {text}");
            assert_eq!(text.contains(r"gr\u{f6}\u{df}e"), !utf8, "{command:?} {locale}: {text}");
        }
    }
    // JSON is UTF-8 always.
    let ran = Ran::of(registry.areas(["ls", "--json"]).env("LC_ALL", "C"));
    assert!(ran.stdout().contains("\"größe\""), "{ran:?}");
}

/// A name cannot make a terminal do things.
#[test]
fn names_are_not_obeyed() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "a\x1b[31mb\nc", "--size", "1M"]);
    for command in [&["ls"][..], &["show", "a\x1b[31mb\nc"]] {
        let text = registry.run(command).stdout();
        assert!(!text.contains('\x1b') && text.contains(r"a\u{1b}[31mb\nc"), "{text:?}");
    }
}

/// Nor what another's program is called.
#[test]
fn commands_are_not_obeyed() {
    let registry = Registry::new();
    let program = registry.file("a\x1b[31mb\nc");
    std::os::unix::fs::symlink(AREAS, &program).unwrap();
    let _holder = Holder::start(registry.program(&program).args(["create", "--name", "x", "--size", "1M"]));
    for command in [&["ls"][..], &["show", "x"]] {
        let text = registry.run(command).stdout();
        assert!(!text.contains('\x1b') && text.contains(r"a\u{1b}[31mb\nc"), "{text:?}");
    }
}

/// What is typed at a terminal goes to the command as well: it is not passed on a second time.
#[test]
fn an_interrupt_from_the_keyboard_comes_once() {
    let registry = Registry::new();
    let (log, inner) = (registry.file("log"), registry.file("inner"));
    // Not a shell: one whose child dies of the same signal may die of it as well, whatever its trap
    // says.
    let text = "use IO::Handle; open(my $log, '>>', 'LOG') or die; $log->autoflush(1);
        $SIG{INT} = sub { print $log \"got\\n\" };
        print $log \"ready\\n\";
        select(undef, undef, undef, 0.02) for 1..60;
        exit 3;\n";
    std::fs::write(&inner, text.replace("LOG", log.to_str().unwrap())).unwrap();
    // The terminal sends ^C to the whole group in front. It is typed a moment after the command is
    // ready. `exec`: the shell that `script` starts ($SHELL, or sh) is in that group too, and one
    // that waits may die of it.
    let script = format!(
        "{{ for i in {{1..200}}; do grep -q ready {log} 2>/dev/null && break; sleep 0.05; done
            printf '\\003'; sleep 1.5; }} |
         script --quiet --return --command \"exec areas create --name x --size 1M -- perl {inner}\" /dev/null",
        log = log.display(),
        inner = inner.display()
    );
    let mut command: Command = registry.program("bash");
    command.args(["-c", &script]).env("TERM", "xterm").env("PATH", path_with_areas());
    for program in ["script", "perl"] {
        if Command::new(program).arg("--version").output().is_err() {
            let reason = format!("there is no `{program}`");
            return skipped("terminal::an_interrupt_from_the_keyboard_comes_once", &reason);
        }
    }
    let ran = Ran::of(&mut command);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "ready\ngot\n", "{ran:?}");
    assert_eq!(ran.code, Some(3), "{ran:?}");
}
