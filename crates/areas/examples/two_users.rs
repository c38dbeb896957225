//! Two users, one chunk of memory. The registry is one user's, so the area goes over a Unix socket:
//! once for reading only, which the kernel enforces against whatever the other user tries, and once
//! for writing.
//!
//! As root it starts itself again as another user, and as itself otherwise: then the socket is the
//! same, and the walls between two users are missing. `sudo target/debug/examples/two_users`

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Instant;

use areas::{Area, Error, ErrorKind, Protection, Received, Result, Shared};

/// "nobody": every Linux has that user.
const OTHER_USER: u32 = 65534;
const SIZE: usize = 16 << 20;
const ANSWER: usize = 64;

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("guest") => guest(),
        _ => host(),
    }
}

fn host() -> Result<()> {
    let is_root = rustix::process::geteuid().is_root();
    let (ours, theirs) = UnixStream::pair().map_err(failed("make a pair of sockets"))?;
    // The other user may not be able to come to where this program lies, but can go on with it
    // where it is open.
    let program = std::fs::File::open("/proc/self/exe").map_err(failed("open this program"))?;
    rustix::io::fcntl_setfd(&program, rustix::io::FdFlags::empty())
        .map_err(errno("keep this program open"))?;
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.arg("guest").stdin(Stdio::from(OwnedFd::from(theirs)));
    match is_root {
        true => drop(command.uid(OTHER_USER).gid(OTHER_USER).current_dir("/")),
        false => println!(
            "not root: the other one is this same user; what is refused to it is refused by the kernel all the same,\n\
             but only another user cannot open the memory again"
        ),
    }
    let mut other = command.spawn().map_err(failed("start this program as the other user"))?;
    println!(
        "user {}: process {} runs as user {}",
        user(),
        other.id(),
        if is_root { OTHER_USER } else { user() }
    );

    let text = areas::builder(SIZE).shared()?;
    text.write_at(0, b"to be read by all, and written by one")?;
    text.send_read_only(&ours)?;
    let board = areas::builder(SIZE).shared()?;
    let begun = Instant::now();
    board.send(&ours)?;

    // A word that the other one stores is seen here: it is the same memory. And what it wrote
    // before is seen, too.
    while board.load::<u64>(ANSWER, Ordering::Acquire)? == 0 {
        if other.try_wait().map_err(failed("look after the other process"))?.is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_micros(50));
    }
    println!(
        "user {}: {} MiB answered after {:?}, not a byte of it copied",
        user(),
        SIZE >> 20,
        begun.elapsed()
    );
    let status = other.wait().map_err(failed("wait for the other process"))?;
    if !status.success() {
        return Err(Error::new(ErrorKind::Io, "run as the other user").with_facts(status.to_string()));
    }
    let mut answer = [0; 16];
    board.read_at(ANSWER + 8, &mut answer)?;
    assert_eq!(
        (board.load::<u64>(ANSWER, Ordering::Acquire)?, &answer),
        (42, b"from the other: "),
        "what the other one wrote"
    );
    let mut begins = [0; 10];
    text.read_at(0, &mut begins)?;
    assert_eq!(&begins, b"to be read", "no other process has written here");
    // Measured, not remembered: its pages are shared with no process any more, and it can be
    // frozen.
    println!("user {}: {}", user(), board.residency()?);
    println!("user {}: frozen: {:?}", user(), String::from_utf8_lossy(&text.freeze()?[..37]));
    Ok(())
}

fn guest() -> Result<()> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map_err(failed("take the socket"))?;
    let mut text = receive(&socket)?;
    let mut board = receive(&socket)?;
    println!(
        "user {}: got {} of {} and {} of {}",
        user(),
        text.size(),
        text.protection(),
        board.size(),
        board.protection()
    );
    let mut bytes = [0; 37];
    text.read_at(0, &mut bytes)?;
    println!("user {}: read {:?}", user(), String::from_utf8_lossy(&bytes));

    // What is for reading only is so whatever one tries.
    let refused = [
        ("write_at", text.write_at(0, b"X").map_err(|error| error.to_string()).err()),
        ("protect", text.protect(Protection::READ_WRITE).map_err(|error| error.to_string()).err()),
        ("pwrite", rustix::io::pwrite(&text, b"X", 0).map_err(|errno| errno.to_string()).err()),
        ("ftruncate", rustix::fs::ftruncate(&text, 0).map_err(|errno| errno.to_string()).err()),
    ];
    for (what, why) in refused {
        let Some(why) = why else {
            return Err(Error::new(ErrorKind::System, "keep what is for reading only from being written")
                .with_facts(what));
        };
        println!("user {}: {what}: refused: {why}", user());
    }
    let again =
        std::fs::File::options().write(true).open(format!("/proc/self/fd/{}", text.as_fd().as_raw_fd()));
    match again {
        Err(error) => println!("user {}: opening it again for writing: refused: {error}", user()),
        Ok(_) if is_ours(&text)? => {
            println!("user {}: its own user may open it again, as any file of its own", user())
        }
        Ok(_) => {
            return Err(Error::new(
                ErrorKind::System,
                "keep what is for reading only from being opened for writing",
            ));
        }
    }

    // What is for writing is written.
    board.populate()?;
    board.write_at(ANSWER + 8, b"from the other: ")?;
    board.store(ANSWER, 42_u64, Ordering::Release)
}

/// Whether the memory belongs to this user.
fn is_ours(area: &Area<Shared>) -> Result<bool> {
    let stat = rustix::fs::fstat(area).map_err(errno("ask whose the memory is"))?;
    Ok(stat.st_uid == user())
}

fn receive(socket: &OwnedFd) -> Result<Area<Shared>> {
    match areas::receive(socket)? {
        Received::Shared(area) => Ok(area),
        other => Err(Error::new(ErrorKind::InvalidInput, "use what came").with_facts(format!("{other:?}"))),
    }
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn failed(what: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::new(ErrorKind::Io, what).caused_by(error)
}

fn errno(what: &'static str) -> impl Fn(rustix::io::Errno) -> Error {
    move |errno| Error::new(ErrorKind::System, what).with_facts(errno.to_string())
}
