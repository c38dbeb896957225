//! A second copy of the library, with state of its own, for programs that have one already: loaded
//! into an agent of `tests/registry` by dlopen. It takes one command a call and answers with one
//! line.

#![expect(unsafe_code, reason = "an interface for dlsym; the blocks have their proofs")]

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use areas::{Area, Shared, registry};

static HELD: Mutex<Vec<Area<Shared>>> = Mutex::new(Vec::new());

/// Does what the words say: `publish NAME`, `find NAME`, `clone NAME`, `list`, `keep`, `drop-all`.
/// Gives the length of the answer, cut to the room that there is.
///
/// # Safety
/// `command..command+len` is UTF-8 that may be read, `answer..answer+room` may be written, and
/// nothing else uses them concurrently.
// SAFETY: no other symbol of that name is in the program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_twin(command: *const u8, len: usize, answer: *mut u8, room: usize) -> usize {
    // SAFETY: as many bytes that may be read and do not change (the caller's promise).
    let command = unsafe { std::slice::from_raw_parts(command, len) };
    let text = match perform(&String::from_utf8_lossy(command)) {
        Ok(text) => format!("ok {text}"),
        Err(error) => format!("refused {:?} {}", error.kind(), format!("{error:#}").replace('\n', " ")),
    };
    let len = text.len().min(room);
    // SAFETY: `len` bytes of ours, and no more than the caller has room for.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), answer, len) };
    len
}

fn perform(command: &str) -> areas::Result<String> {
    let mut held = HELD.lock().expect("no command panics");
    Ok(match command.split(' ').collect::<Vec<_>>().as_slice() {
        ["publish", name] => {
            let area = areas::builder(4096).name(name).shared()?;
            area.write_at(0, b"twin")?;
            let id = area.id().map_or(0, areas::AreaId::get);
            held.push(area);
            id.to_string()
        }
        ["find", name] => registry::find(name)?.pid().to_string(),
        ["clone", name] => {
            let clone = registry::find(name)?.open()?;
            let first = clone.load::<u8>(0, Ordering::Relaxed)?;
            held.push(clone);
            first.to_string()
        }
        ["list"] => registry::list()?.areas.iter().fold(String::new(), |mut all, area| {
            let _ = write!(all, "{}:{} ", area.name(), area.pid());
            all
        }),
        ["keep"] => registry::ensure_published().map(|()| String::new())?,
        ["drop-all"] => {
            held.clear();
            String::new()
        }
        _ => panic!("no such command: {command}"),
    })
}
