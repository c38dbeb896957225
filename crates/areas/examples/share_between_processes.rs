//! Two processes, one chunk of memory: the second one finds it by its name, and nothing has to be
//! cleaned up.
//!
//! `cargo run --example share_between_processes`

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::process::Command;
use std::sync::atomic::Ordering;

use areas::registry;

fn main() -> areas::Result<()> {
    // This program starts itself again, with the name of the area as its argument.
    match std::env::args().nth(1) {
        Some(name) => worker(&name),
        None => holder(),
    }
}

fn holder() -> areas::Result<()> {
    let name = format!("example-{}", std::process::id());
    let area = areas::builder(4096).name(&name).shared()?;
    // Others may write at any moment, so a shared area lends no `&[u8]`: bytes are copied in and
    // out.
    area.write_at(0, b"what is six times seven?")?;
    println!("{}: published {area} with id {:?}", std::process::id(), area.id().map(|id| id.get()));

    let program = std::env::current_exe().map_err(failed("find this program"))?;
    let status = Command::new(program).arg(&name).status().map_err(failed("start this program again"))?;
    if !status.success() {
        return Err(areas::Error::new(areas::ErrorKind::Io, "run the worker").with_facts(status.to_string()));
    }
    println!("{}: the answer is {}", std::process::id(), area.load::<u64>(1024, Ordering::Acquire)?);

    // The name and the memory go with the last holder: here at the end of this function, but also
    // after `kill -9`.
    drop(area);
    println!("{}: dropped; found again: {}", std::process::id(), registry::find(&name).is_ok());
    Ok(())
}

fn worker(name: &str) -> areas::Result<()> {
    let area = registry::find(name)?.open()?;
    let mut question = [0; 24];
    area.read_at(0, &mut question)?;
    println!("{}: read {:?}", std::process::id(), String::from_utf8_lossy(&question));
    // A single word is stored atomically: the other side sees all of it or nothing, and with it all
    // that was written before.
    area.store(1024, 42_u64, Ordering::Release)
}

fn failed(what: &'static str) -> impl Fn(std::io::Error) -> areas::Error {
    move |error| areas::Error::new(areas::ErrorKind::Io, what).caused_by(error)
}
