//! Pipes and other things whose size is not known, and output that no process reads.

use std::io::Read;
use std::process::Stdio;

use crate::harness::{Holder, Ran, Registry, bytes_of, code_of, wait_for, within};

#[test]
fn a_pipe_is_published_when_it_is_complete() {
    let registry = Registry::new();
    for len in [0, 1, 4096, 3_000_001, (70 << 20) + 9] {
        let file = registry.file_of("file", len);
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut command = registry.areas(["put", "-", "--name", "piped", "--freeze"]);
        command.stdin(reader);
        let feed = std::thread::spawn(move || {
            let mut file = std::fs::File::open(file).unwrap();
            std::io::copy(&mut file, &mut writer).unwrap();
        });
        let _holder = Holder::start(&mut command);
        feed.join().unwrap();
        let area = registry.show("piped");
        assert_eq!((&area["size"], &area["frozen"]), (&len.into(), &true.into()));
        assert!(registry.run(["cat", "piped"]).output == bytes_of(len), "{len}");
    }
}

#[test]
fn nothing_is_published_before_the_end() {
    let registry = Registry::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut child =
        registry.areas(["put", "-", "--name", "x"]).stdin(reader).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut writer, b"a part").unwrap();
    // It has read that part, and waits for more.
    let fd_info = format!("/proc/{}/wchan", child.id());
    assert!(within(std::time::Duration::from_secs(10), || {
        std::fs::read_to_string(&fd_info).is_ok_and(|place| place.contains("pipe_read"))
    }));
    registry.assert_empty();
    drop(writer);
    let mut line = [0; 4];
    child.stdout.take().unwrap().read_exact(&mut line).unwrap();
    assert_eq!(registry.list().len(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_standard_input_may_be_a_file_and_begin_anywhere() {
    let registry = Registry::new();
    registry.file_of("file", 300_000);
    let file = registry.file("file");
    let cases = [("", &bytes_of(300_000)[..]), ("head -c 1000 >/dev/null;", &bytes_of(300_000)[1000..])];
    for (first, expected) in cases {
        // dd reads just what it is asked to.
        let first = first.replace("head -c 1000", "dd bs=1000 count=1 status=none");
        let script = format!("{{ {first} areas put - --name x -- areas cat x; }} < {}", file.display());
        let ran = registry.shell(&script);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        assert!(ran.output == expected, "{first:?}: {}", ran.output.len());
    }
}

#[test]
fn fifos_and_files_that_the_kernel_makes_up() {
    let registry = Registry::new();
    let fifo = registry.file("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let fifo = fifo.to_str().unwrap();
    let ran = registry.shell(&format!("echo through > {fifo} & areas put {fifo} --name x -- areas cat x"));
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(0), "through\n"));
    for file in ["/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"] {
        if let Ok(expected) = std::fs::read(file) {
            let ran = registry.shell(&format!("areas put {file} --name x -- areas cat x"));
            assert_eq!(ran.code, Some(0), "{ran:?}");
            assert!(ran.output == expected, "{file}");
        }
    }
}

#[test]
fn a_reader_that_goes_away_ends_cat_quietly() {
    let registry = Registry::new();
    let file = registry.file_of("big", 8 << 20);
    let _holder = registry.hold(["put", file.to_str().unwrap(), "--name", "big"]);
    let mut child =
        registry.areas(["cat", "big"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut byte = [0];
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut byte).unwrap();
    drop(output);
    assert_eq!(byte[0], bytes_of(8)[0]);
    assert_eq!(code_of(wait_for(&mut child)), 141);
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(errors, "");

    let ran = registry.shell("areas cat big | head -c1 | wc -c; areas ls | true; areas nodes | true");
    assert_eq!((ran.code, ran.stdout().trim(), ran.stderr.as_str()), (Some(0), "1", ""));
}

/// The kernel sends an area's own pages where it may, and all arrives wherever it goes.
#[test]
fn cat_gives_all_of_it_to_whatever_there_is() {
    let registry = Registry::new();
    let len = (3 << 20) + 5;
    let file = registry.file_of("file", len);
    let file_folder = file.parent().unwrap();
    let file = file.display();
    for freeze in ["", "--freeze"] {
        let name = format!("x{freeze}");
        let put = ["put", &file.to_string(), "--name", &name];
        let _holder = registry.hold(put.into_iter().chain((!freeze.is_empty()).then_some(freeze)));
        for to in [
            "| cmp - {file}",
            "> copy && cmp copy {file}",
            "> /dev/null",
            // Nothing is sent to the end of a file: it is written there.
            "> copy && areas cat {name} >> copy && cat {file} {file} | cmp - copy",
            "--offset 1M | cmp - {file} 0 1048576",
            "--offset 5 --length 3M > copy && cmp -n 3145728 copy {file} 0 5",
        ] {
            let line = format!("areas cat {name} {to}")
                .replace("{file}", &file.to_string())
                .replace("{name}", &name);
            let ran = registry.shell(&format!("cd {}; {line}", file_folder.display()));
            assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{line}: {ran:?}");
        }
    }
}

/// Pages that waited in a pipe would be in use: they are copied there as long as the area may still
/// be written.
#[test]
fn a_reader_that_stops_reading_keeps_no_process_from_freezing() {
    let registry = Registry::new();
    let file = registry.file_of("file", 8 << 20);
    let _holder = registry.hold(["put", file.to_str().unwrap(), "--name", "x"]);
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut cat = registry.areas(["cat", "x"]).stdout(writer).spawn().unwrap();
    let mut first = vec![0; 4096];
    reader.read_exact(&mut first).unwrap();
    let wchan = format!("/proc/{}/wchan", cat.id());
    assert!(within(std::time::Duration::from_secs(10), || {
        std::fs::read_to_string(&wchan).is_ok_and(|place| place.contains("pipe"))
    }));
    let ran = registry.run(["freeze", "x"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    // And what is frozen is sent; the reader has all of it.
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!([first, rest].concat() == bytes_of(8 << 20));
    assert_eq!(code_of(wait_for(&mut cat)), 0);
}

#[test]
fn a_full_disk_is_reported() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M"]);
    for arguments in ["cat x", "ls", "show x --json"] {
        let ran = registry.shell(&format!("areas {arguments} > /dev/full"));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_eq!(
            ran.stderr,
            "areas: cannot write to the standard output: no space left on device (ENOSPC)\n"
        );
    }
}

/// What was done before is reported, where the output cannot be: it is not undone.
#[test]
fn what_was_done_is_reported_where_the_output_cannot_be() {
    let registry = Registry::new();
    let file = registry.file_of("file", 5000);
    let file = file.display();
    let to = registry.file("copy");
    let _x = registry.hold(["create", "--name", "x", "--size", "1M", "--resizable", "2M"]);
    let _z = registry.hold(["create", "--name", "z", "--size", "1M"]);
    for (arguments, done) in [
        ("resize x 2M".to_owned(), "\"x\" has 2.00 MiB now"),
        (format!("fill x --from {file}"), "\"x\" has 4.88 KiB of "),
        (format!("get x {}", to.display()), "copy\" has 2.00 MiB of area "),
        ("rename x y".to_owned(), "\"x\" is area "),
        ("rename y x --json".to_owned(), "\"y\" is area "),
        ("-q rename x y".to_owned(), "\"x\" is area "),
        ("move z --nodes 0".to_owned(), "\"z\": "),
        ("freeze z".to_owned(), "\"z\" is frozen"),
        ("drop z".to_owned(), "\"z\": process "),
    ] {
        let ran = registry.shell(&format!("areas {arguments} > /dev/full"));
        assert_eq!(ran.code, Some(1), "{arguments}: {ran:?}");
        let end = "; cannot say so: write: no space left on device (ENOSPC)\n";
        assert!(
            ran.stderr.starts_with("areas: ") && ran.stderr.contains(done) && ran.stderr.ends_with(end),
            "{ran:?}"
        );
    }
    assert!(to.exists());
    assert_eq!(registry.show("y")["size"], 2 << 20);
    assert_eq!(registry.list().len(), 1);
}

/// Rust's runtime opens /dev/null where a standard stream is closed: what is printed there is not
/// printed.
#[test]
fn a_closed_output_is_reported() {
    let registry = Registry::new();
    let _holder = registry.hold(["create", "--name", "x", "--size", "1M", "--resizable", "2M"]);
    let reported = "areas: cannot write to the standard output: bad file descriptor (EBADF)\n";
    for arguments in [
        "cat x",
        "cat x --length 0",
        "ls",
        "ls --json",
        "-q ls",
        "show x",
        "show x --json",
        "nodes",
        "wait x",
        "resize x 2M",
        "completions bash",
        "create --name y --size 1M",
        "--help",
        "ls --help",
        "--version",
    ] {
        for closed in [">&-", "<&- >&-"] {
            let ran = registry.shell(&format!("areas {arguments} {closed}"));
            let is_told = match arguments.starts_with("resize") {
                true => ran
                    .stderr
                    .ends_with("\"x\" has 2.00 MiB now; cannot say so: write: bad file descriptor (EBADF)\n"),
                false => ran.stderr == reported,
            };
            assert!(ran.code == Some(1) && is_told, "{arguments} {closed}: {ran:?}");
        }
        // Without a reader to report to.
        let ran = registry.shell(&format!("areas {arguments} <&- >&- 2>&-"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""), "{arguments}");
    }
    assert_eq!(registry.list().len(), 1);
    // What goes nowhere on purpose is printed, also where it is opened as the runtime does.
    for to in [">/dev/null", "1<>/dev/null"] {
        let ran = registry.shell(&format!("areas cat x {to} && areas ls {to} && areas --help {to}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{to}");
    }
}

#[test]
fn a_closed_input_is_reported() {
    let registry = Registry::new();
    let ran = registry.shell("areas put - --name x -- true <&-");
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (Some(1), "areas: cannot read the standard input: bad file descriptor (EBADF)\n")
    );
    registry.assert_empty();
}

/// As with `env`: what is closed for us is closed for the command, which would else print into
/// /dev/null and not know it.
#[test]
fn closed_streams_are_the_commands_too() {
    let registry = Registry::new();
    let look = "ls /proc/self/fd | grep -c '^[01]$'";
    let ran = registry.shell(&format!("areas create --name x --size 1M -- sh -c \"{look} >&2\" <&- >&-"));
    // `ls` opens what it lists as 0.
    let plain = registry.shell(&format!("env sh -c \"{look} >&2\" <&- >&-"));
    assert_eq!((ran.code, &ran.stderr), (plain.code, &plain.stderr));
    let ran = registry.shell("areas create --name x --size 1M -- sh -c 'echo lost || exit 9' >&-");
    assert_eq!(ran.code, Some(9), "{ran:?}");
    let ran = registry.shell("areas create --name x --size 1M -- echo printed");
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(0), "printed\n"));
}

#[test]
fn a_stream_that_fails_leaves_nothing_behind() {
    let registry = Registry::new();
    let ran = Ran::of(registry.areas(["put", "/proc/self/mem", "--name", "x"]).stdin(Stdio::null()));
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""));
    assert!(ran.stderr.starts_with("areas: cannot continue reading after 0 B: "), "{ran:?}");
    registry.assert_empty();
}

/// A stream without an end is an error, reported before the machine runs out of memory.
#[test]
fn a_stream_that_does_not_fit_leaves_nothing_behind() {
    let registry = Registry::new();
    let mut command = registry.program("prlimit");
    command.args(["--as=600000000", crate::harness::AREAS, "put", "/dev/zero", "--name", "x", "--", "true"]);
    let ran = Ran::of(&mut command);
    assert_eq!((ran.code, ran.stdout().as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.stderr.contains("RLIMIT_AS is "), "{ran:?}");
    registry.assert_empty();
}

#[test]
fn what_is_fed_is_what_comes_out() {
    let registry = Registry::new();
    let bytes = bytes_of(2_500_000);
    let ran = Ran::fed(
        &mut registry.areas(["put", "-", "--name", "x", "--", crate::harness::AREAS, "cat", "x"]),
        &bytes,
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.output == bytes);
}
