//! What the command says of itself.

use crate::harness::{Ran, Registry};

#[test]
fn help_of_every_command() {
    let registry = Registry::new();
    let help = |arguments: &[&str]| {
        let ran = registry.run(arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        ran.stdout()
    };
    insta::assert_snapshot!("short", help(&["-h"]));
    insta::assert_snapshot!("long", help(&["--help"]));
    for command in [
        "put",
        "create",
        "ls",
        "show",
        "cat",
        "move",
        "resize",
        "wait",
        "nodes",
        "doctor",
        "tour",
        "completions",
        "scan",
        "reap",
        "top",
        "watch",
        "get",
        "cmp",
        "fill",
        "hold",
        "publish",
        "rename",
        "freeze",
        "drop",
        "run",
        "offer",
        "take",
        "serve",
        "fetch",
    ] {
        insta::assert_snapshot!(command, help(&[command, "--help"]));
    }
}

#[test]
fn the_version_is_the_package_s() {
    let ran = Registry::new().run(["--version"]);
    assert_eq!(ran.stdout(), format!("areas {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_for_every_shell() {
    let registry = Registry::new();
    for (shell, sign) in [("bash", "complete -F"), ("zsh", "#compdef areas"), ("fish", "complete -c areas")] {
        let ran = registry.run(["completions", shell]);
        assert_eq!(ran.code, Some(0));
        assert!(ran.stdout().contains(sign), "{shell}");
        assert!(ran.stdout().contains("weighted-interleave"), "{shell}");
        assert!(!ran.stdout().contains("tour-worker"), "{shell}: it is not for people");
        assert!(!ran.stdout().contains("top-screen"), "{shell}: it is not for people");
        // zsh and fish ask in one way for areas and in another for names alone.
        let asks = if shell == "bash" { 1 } else { 2 };
        assert_eq!(ran.stdout().matches("areas complete-names").count(), asks, "{shell}");
    }
    // A shell understands it.
    let ran = registry.shell("source <(areas completions bash) && complete -p areas");
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

/// In each shell that is here: names of living areas. What a shell would obey, or take for several
/// words, is offered by its id.
#[test]
fn names_of_living_areas_are_completed() {
    let registry = Registry::new();
    let odd = "fr$(touch obeyed) x;`touch obeyed`";
    let _holders = ["frames", "from-here", "model", "17", odd]
        .map(|name| registry.hold(["create", "--name", name, "--size", "4096"]));
    let ids: Vec<String> = registry
        .list()
        .iter()
        .filter(|area| area["name"] == odd || area["name"] == "17")
        .map(|area| area["id"].to_string())
        .collect();
    let bash = |words: &str, typed: &str| {
        let count = words.split(' ').count();
        let ran = registry.shell(&format!(
            "compopt() {{ :; }}; source <(areas completions bash); COMP_WORDS=({words} '{typed}'); COMP_CWORD={count}
            _areas_with_names areas '{typed}' \"${{COMP_WORDS[COMP_CWORD-1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"; test ! -e obeyed"
        ));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
        let mut words: Vec<String> = ran.stdout().split_whitespace().map(str::to_owned).collect();
        words.sort();
        words
    };
    assert_eq!(bash("areas show", "fr"), ["frames", "from-here"]);
    assert_eq!(bash("areas -q cat", "mo"), ["model"]);
    let mut all = vec!["frames".to_owned(), "from-here".to_owned(), "model".to_owned()];
    all.extend(ids);
    all.sort();
    assert_eq!(bash("areas ls", ""), all);
    // What takes no ids gets none.
    assert_eq!(bash("areas serve", ""), ["frames", "from-here", "model"]);
    assert!(bash("areas show", "--m").contains(&"--map".to_owned()));
    assert!(!bash("areas put", "fr").contains(&"frames".to_owned()));
    // Behind an option that takes a value there is no area.
    assert_eq!(bash("areas ls --sort", "na"), ["name"]);
    assert_eq!(bash("areas offer frames --socket", "fr"), Vec::<String>::new());
    assert!(bash("areas reap", "sy").contains(&"sysv".to_owned()));

    let shells: [(&str, &str); 3] = [
        (
            "fish",
            "areas completions fish | source; complete -C 'areas reap sy' | string match -q sysv; and complete -C 'areas show fr'",
        ),
        ("fish", "areas completions fish | source; complete -C 'areas show fr'"),
        (
            "zsh",
            "compadd() { print -l -- $names }; compdef() {}; PREFIX=fr; source <(areas completions zsh); _areas_names",
        ),
    ];
    for (shell, script) in shells {
        if !crate::harness::can_run("help::names_of_living_areas_are_completed", &[shell, "--version"]) {
            continue;
        }
        let mut command = registry.program(shell);
        command.args(["-c", script]).env("PATH", crate::harness::path_with_areas());
        let ran = Ran::of(command.env("HOME", registry.path()));
        let text = ran.stdout();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.contains(&"frames") && lines.contains(&"from-here"), "{shell}: {ran:?}");
        assert!(!text.contains("obeyed"), "{shell}: {ran:?}");
    }
}

#[test]
fn manual_pages_for_every_command() {
    let registry = Registry::new();
    let folder = registry.file("man");
    std::fs::create_dir(&folder).unwrap();
    let ran = registry.run(["man".as_ref(), folder.as_os_str()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut pages: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    assert_eq!(
        pages,
        [
            "areas-cat.1",
            "areas-cmp.1",
            "areas-completions.1",
            "areas-create.1",
            "areas-doctor.1",
            "areas-drop.1",
            "areas-fetch.1",
            "areas-fill.1",
            "areas-freeze.1",
            "areas-get.1",
            "areas-hold.1",
            "areas-ls.1",
            "areas-move.1",
            "areas-nodes.1",
            "areas-offer.1",
            "areas-publish.1",
            "areas-put.1",
            "areas-reap.1",
            "areas-rename.1",
            "areas-resize.1",
            "areas-run.1",
            "areas-scan.1",
            "areas-serve.1",
            "areas-show.1",
            "areas-take.1",
            "areas-top.1",
            "areas-tour.1",
            "areas-wait.1",
            "areas-watch.1",
            "areas.1"
        ]
    );
    let page = std::fs::read_to_string(folder.join("areas-put.1")).unwrap();
    assert!(page.contains("interleave") && page.contains(".SH OPTIONS"), "{page}");

    let ran = registry.run(["man".as_ref(), registry.file("nowhere").as_os_str()]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.starts_with("areas: cannot write manual pages into "), "{ran:?}");
}

/// Each page has the sections in which people look, and says what the help says; a reader of manual
/// pages finds nothing wrong with it.
#[test]
fn manual_pages_are_whole() {
    let registry = Registry::new();
    let folder = registry.file("man");
    std::fs::create_dir(&folder).unwrap();
    let ran = registry.run(["man".as_ref(), folder.as_os_str()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let can_read = crate::harness::can_run("help::manual_pages_are_whole", &["man", "--version"]);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let page = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let help = match name.split_once('-') {
            Some((_, command)) => registry.run([command, "--help"]).stdout(),
            None => registry.run(["--help"]).stdout(),
        };
        let mut sections = vec![
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXIT STATUS",
            "ENVIRONMENT",
            "FILES",
            "SEE ALSO",
        ];
        sections.extend(help.contains("\nExamples:\n").then_some("EXAMPLES"));
        for section in sections {
            assert!(page.contains(&format!(".SH {section}\n")), "{name}: {section}");
        }
        assert!(!page.contains(".SH EXTRA"), "{name}");
        // What a command says of its own status stands there, and not what all say.
        if let Some((_, status)) = help.rsplit_once("\nExit status: ") {
            let first: String = status.split_whitespace().take(6).collect::<Vec<_>>().join(" ");
            let (_, section) = page.split_once(".SH EXIT STATUS\n").unwrap();
            let plain = section.replace("\\-", "-").replace("\\(aq", "'");
            assert!(plain.starts_with(&first), "{name}: {first}: {section}");
        }
        if !can_read {
            continue;
        }
        let mut read = registry.program("man");
        read.args(["--warnings=w", "--local-file"]).arg(&path).env("MANWIDTH", "80");
        let shown = Ran::of(&mut read);
        assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""), "{name}");
        let text = shown.stdout();
        assert!(text.contains("EXIT STATUS") && text.contains("/dev/shm/areas-UID"), "{name}: {text}");
        assert!(text.lines().next().unwrap().contains("Areas"), "{name}: {text}");
    }
}
