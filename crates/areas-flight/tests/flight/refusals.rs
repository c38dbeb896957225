//! What is not served, and to whom not: each is a clear error, and nothing is published.

use crate::harness::{Machine, Ran, bytes_of, check};

fn fetched(here: &Machine, port: u16, name: &str, token: &str, more: &[&str]) -> Ran {
    let location = format!("127.0.0.1:{port}/{name}");
    let ran = here.run([&["fetch", &location, "--token-file", token], more].concat());
    here.assert_empty();
    ran
}

#[test]
fn only_who_has_the_token() {
    let (there, here) = (Machine::new(), Machine::new());
    let _held = there.put("a", &bytes_of(4096));
    let (_server, port) = there.serve(&["a"]);
    let right = std::fs::read_to_string(there.token()).unwrap();
    let other = here.file("other");
    let give = |text: &str| {
        let _ = std::fs::remove_file(&other);
        std::fs::write(&other, text).unwrap();
        std::fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        fetched(&here, port, "a", other.to_str().unwrap(), &[])
    };
    for wrong in ["0123456789abcdef0123456789abcdef", &right.trim()[1..], &format!("{}0", right.trim())] {
        check(&give(wrong), 1, &["the token is not this server's", "--token-file"]);
    }
    check(&give("short"), 2, &["one line of 16 to 4096"]);
    let location = format!("127.0.0.1:{port}/a");
    let without = here.run(["fetch", &location]);
    check(&without, 1, &["no token came"]);
    let listing = here.run(["ls", "--at", &format!("127.0.0.1:{port}")]);
    check(&listing, 1, &["no token came"]);
    let missing = fetched(&here, port, "a", "/nonexistent/token", &[]);
    check(&missing, 1, &["no such file", "copy it"]);
    std::fs::set_permissions(there.token(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    check(
        &fetched(&here, port, "a", there.token().to_str().unwrap(), &[]),
        1,
        &["its mode is 0644", "chmod 600"],
    );
    check(&there.run(["serve", "a"]), 1, &["its mode is 0644"]);
}

#[test]
fn only_what_was_named_and_is_frozen() {
    let (there, here) = (Machine::new(), Machine::new());
    let _public = there.put("public/a", &bytes_of(4096));
    let _secret = there.put("secret", &bytes_of(4096));
    let _growing = there.hold(["create", "--name", "public/live", "--size", "4096"]);
    let (_server, port) = there.serve(&["public/*"]);
    let token = there.token();
    let token = token.to_str().unwrap();
    // Who asks does not learn whether it is there.
    for name in ["secret", "nothing", "public"] {
        check(
            &fetched(&here, port, name, token, &[]),
            3,
            &["nothing is offered under that name", "areas ls --at"],
        );
    }
    check(&fetched(&here, port, "public/live", token, &[]), 1, &["it is not frozen", "areas freeze"]);
    let listing = here.run(["ls", "--at", &format!("127.0.0.1:{port}"), "--token-file", token, "--quiet"]);
    assert_eq!(String::from_utf8_lossy(&listing.output), "public/a\n", "{listing:?}");
    // What comes later is served, too.
    let _later = there.put("public/b", &bytes_of(100));
    let listing = here.run(["ls", "public/b", "--at", &format!("127.0.0.1:{port}"), "--token-file", token]);
    let text = String::from_utf8_lossy(&listing.output).into_owned();
    assert!(text.contains("public/b") && text.contains("100") && text.contains("1 frozen area at"), "{text}");
    let none = here.run(["ls", "no-such", "--at", &format!("127.0.0.1:{port}"), "--token-file", token]);
    check(&none, 3, &["areas ls --at"]);
}

#[test]
fn a_server_serves_nothing_by_accident() {
    let there = Machine::new();
    check(&there.run(["serve"]), 2, &["NAME"]);
    check(&there.run(["serve", "nothing"]), 3, &["nothing is offered under that name"]);
    let _live = there.hold(["create", "--name", "live", "--size", "4096"]);
    check(&there.run(["serve", "live"]), 1, &["it is not frozen"]);
    let (server, port) = there.serve(&["--all"]);
    assert!(server.ready.contains(r#""address":"127.0.0.1""#), "{}", server.ready);
    check(
        &there.run(["serve", "--all", "--listen", &format!("127.0.0.1:{port}")]),
        1,
        &["address already in use"],
    );
    let token = std::fs::metadata(there.token()).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&token) & 0o777, 0o600);
}

#[test]
fn what_the_receiver_does_not_take() {
    let (there, here) = (Machine::new(), Machine::new());
    let _held = there.put("a", &bytes_of(1 << 20));
    let (_server, port) = there.serve(&["a"]);
    let token = there.token();
    let token = token.to_str().unwrap();
    check(&fetched(&here, port, "a", token, &["--max-size", "1000K"]), 1, &["no more than", "--max-size"]);
    check(&fetched(&here, port, "a", token, &["--nodes", "1000"]), 1, &["1000"]);
    let _taken = here.hold(["create", "--name", "a", "--size", "4096"]);
    let location = format!("127.0.0.1:{port}/a");
    let ran = here.run(["fetch", &location, "--token-file", token, "--exclusive"]);
    check(&ran, 1, &["holds an area of that name"]);
}

#[test]
fn a_server_that_is_not_there() {
    let here = Machine::new();
    check(&here.run(["fetch", "127.0.0.1:1/a"]), 1, &["Connection refused"]);
    check(&here.run(["ls", "--at", "127.0.0.1:1"]), 1, &["Connection refused"]);
    check(&here.run(["fetch", "127.0.0.1/a"]), 2, &["it has no port"]);
    check(&here.run(["fetch", "no-such-host.invalid:1/a"]), 1, &["no-such-host.invalid"]);
}

#[test]
fn where_it_is_not_installed_the_error_says_how_it_is() {
    let here = Machine::new();
    let alone = here.file("areas");
    std::fs::copy(crate::harness::areas_command(), &alone).unwrap();
    for arguments in [&["serve", "a"][..], &["fetch", "127.0.0.1:1/a"], &["ls", "--at", "127.0.0.1:1"]] {
        let mut command = std::process::Command::new(&alone);
        let ran = Ran::from(command.args(arguments).env("PATH", "/nonexistent").output().unwrap());
        check(
            &ran,
            1,
            &[
                "areas-flight is neither beside this one nor in PATH",
                "cargo install --path crates/areas-flight",
            ],
        );
    }
}

/// What is sure to be refused is refused before a byte is sent.
#[test]
fn a_name_that_is_taken_here() {
    let (there, here) = (Machine::new(), Machine::new());
    let _held = there.put("a", &bytes_of(4096));
    let (_server, port) = there.serve(&["a"]);
    let _taken = here.put("a", &bytes_of(100));
    let token = there.token();
    let location = format!("127.0.0.1:{port}/a");
    let how = ["fetch", &location, "--token-file", token.to_str().unwrap(), "--exclusive"];
    let refused = here.run(how);
    check(&refused, 1, &["holds an area of that name", "leave out --exclusive"]);
    assert!(!refused.stderr.contains(" came in "), "{refused:?}");
    let other = here.run([&how[..], &["--name", "b", "--", "true"]].concat());
    assert_eq!(other.code, Some(0), "{other:?}");
}

#[test]
fn times_that_nothing_can_come_in() {
    let here = Machine::new();
    for option in ["--timeout", "--max-time"] {
        let ran = here.run(["fetch", "127.0.0.1:1/a", option, "0"]);
        check(&ran, 2, &["it is not a millisecond at least"]);
    }
}
