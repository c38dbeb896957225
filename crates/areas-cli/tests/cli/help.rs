//! What the command says of itself.

use crate::harness::Registry;

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
    }
    // A shell understands it.
    let ran = registry.shell("source <(areas completions bash) && complete -p areas");
    assert_eq!(ran.code, Some(0), "{ran:?}");
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
            "areas-fill.1",
            "areas-freeze.1",
            "areas-get.1",
            "areas-hold.1",
            "areas-ls.1",
            "areas-move.1",
            "areas-nodes.1",
            "areas-publish.1",
            "areas-put.1",
            "areas-reap.1",
            "areas-rename.1",
            "areas-resize.1",
            "areas-run.1",
            "areas-scan.1",
            "areas-show.1",
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
