//! The counting itself: a row runs in a child of its own, with a registry of its own. There it
//! calls the edge and the library in turn. The child counts what each allocates. The parent traces
//! it, and counts its system calls.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ffi::{CString, c_int};
use std::io::{PipeWriter, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, Once};
use std::time::Duration;

use areas::registry;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

/// Counts what each thread allocates, and passes it on. (What AML's functions take from `malloc`,
/// because C frees it, is not seen here.)
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// The functions that were called, as long as they are wanted.
    static CALLED: RefCell<Option<BTreeSet<&'static str>>> = const { RefCell::new(None) };
    /// In a row's child: where panics are reported.
    static PIPE: RefCell<Option<PipeWriter>> = const { RefCell::new(None) };
}

/// Panics of a row's child are reported to its parent. All tests of this folder run one at a time:
/// a child that is forked while another thread panics finds locks of the standard library taken.
pub(super) fn alone() -> MutexGuard<'static, ()> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PIPE.with_borrow_mut(|reported| match reported {
                Some(reported) => drop(writeln!(reported, "{info}")),
                None => before(info),
            });
        }));
    });
    crate::forking::alone()
}

fn count() {
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: all is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: `layout` has a size that is not 0 (the caller, as of every allocator).
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: `memory` is from `System`, with this layout, as `alloc` only passes calls on.
        unsafe { System.dealloc(memory, layout) };
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `memory` is from `System`, with this layout, as `alloc` only passes calls on;
        // `size` is not 0 and does not overflow (the caller).
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// After this time a registry in which nothing comes or goes is known, and not read again.
const SETTLED: Duration = Duration::from_millis(150);
/// Each side is counted so many times. What is usual counts: a call may be interrupted, and a first
/// one has more to do.
const ATTEMPTS: usize = 5;

/// Notes that one of C's functions was called. [`functions`] does that.
pub(super) fn called(name: &'static str) {
    CALLED.with_borrow_mut(|called| {
        if let Some(called) = called {
            called.insert(name);
        }
    });
}

/// Declares C's functions. Each notes its name when it is called, so that a row cannot name another
/// one.
macro_rules! functions {
    () => {};
    (safe fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $returned:ty)?; $($rest:tt)*) => {
        fn $name($($argument: $type),*) $(-> $returned)? {
            unsafe extern "C-unwind" {
                safe fn $name($($argument: $type),*) $(-> $returned)?;
            }
            $crate::costs::counting::called(stringify!($name));
            $name($($argument),*)
        }
        $crate::costs::counting::functions! { $($rest)* }
    };
    (fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $returned:ty)?; $($rest:tt)*) => {
        unsafe fn $name($($argument: $type),*) $(-> $returned)? {
            unsafe extern "C-unwind" {
                fn $name($($argument: $type),*) $(-> $returned)?;
            }
            $crate::costs::counting::called(stringify!($name));
            // SAFETY: the arguments are this function's own, of the same types: whoever calls it
            // has promised of them what the next function wants.
            unsafe { $name($($argument),*) }
        }
        $crate::costs::counting::functions! { $($rest)* }
    };
}
pub(super) use functions;

/// Some of C's functions, held against what the library does for the same.
pub(super) struct Row {
    /// Their names: exactly those that the row calls.
    pub(super) functions: &'static [&'static str],
    run: fn(&mut Sides),
    /// System calls that the edge makes more than the library, where it is dearer; allocations.
    more: (usize, usize),
    /// Why it is dearer.
    why: &'static str,
    /// Whether it asks the kernel once whether the area is still there.
    asks: bool,
    /// Whether the files that it reads are parsed, so that allocations are not compared.
    parses: bool,
}

impl Row {
    /// They cost what the library does.
    pub(super) const fn new(functions: &'static [&'static str], run: fn(&mut Sides)) -> Self {
        Row { functions, run, more: (0, 0), why: "", asks: false, parses: false }
    }

    /// They take one allocation more: the handle, which is what a Rust program has in a variable.
    pub(super) const fn handle(self) -> Self {
        self.dearer(0, 1, "the handle")
    }

    /// They take so many system calls and allocations more, and here is why. It is held exactly:
    /// what becomes cheaper is written down.
    pub(super) const fn dearer(self, calls: usize, allocations: usize, why: &'static str) -> Self {
        Row { more: (calls, allocations), why, ..self }
    }

    /// They ask the kernel once whether the area is still there: programs of BeOS's unmap parts of
    /// areas themselves.
    pub(super) const fn asks(self) -> Self {
        Row { asks: true, ..self }
    }

    /// The other side reads the same files and does nothing with them. So allocations are not
    /// compared: text is parsed, and takes as many as it has lines.
    pub(super) const fn parses(self) -> Self {
        Row { parses: true, ..self }
    }

    /// Counts both sides; what was found, or what is wrong with it.
    fn check(&self) -> Result<String, String> {
        let wrong = |what: String| format!("{}: {what}", self.functions.join(", "));
        let found = in_a_child(self.run).map_err(wrong)?;
        let called: BTreeSet<_> = self.functions.iter().map(|&name| name.to_owned()).collect();
        if found.called != called {
            return Err(wrong(format!("it called {:?}", found.called)));
        }
        let asks = usize::from(self.asks && found.asks);
        let [(by_edge, allocated), (by_library, library_allocated)] = found.sides;
        let text = format!(
            "{by_edge} system calls, {by_library} by the library; {allocated} allocations, {library_allocated}"
        );
        let same_calls = by_edge == by_library + self.more.0 + asks;
        let same_allocations = self.parses || allocated == library_allocated + self.more.1;
        match same_calls && same_allocations {
            true => Ok(wrong(text)),
            false => Err(wrong(format!("{text}; expected {:?} and {asks} more ({})", self.more, self.why))),
        }
    }
}

/// Counts all rows, one at a time, and reports all that are wrong.
pub(super) fn check<'a>(rows: impl Iterator<Item = &'a Row>) {
    let _alone = alone();
    let (right, wrong): (Vec<_>, Vec<_>) = rows.map(Row::check).partition(Result::is_ok);
    right.into_iter().flatten().for_each(|line| println!("{line}"));
    let wrong: Vec<_> = wrong.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a row does in its child: two sides, which are counted.
pub(super) struct Sides {
    pipe: PipeWriter,
    folder: PathBuf,
}

impl Sides {
    /// A folder of the row's own, which goes with it.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Counts what the edge does, and what the library does for the same.
    pub(super) fn count(&mut self, edge: &mut dyn FnMut(), library: &mut dyn FnMut()) {
        CALLED.set(Some(BTreeSet::new()));
        edge();
        let called = CALLED.take().unwrap_or_default();
        library();
        // What was done for the first time alone is past; and a registry that this row has come
        // into is read no more.
        if self.folder.join("registry").exists() {
            std::thread::sleep(SETTLED);
        }
        edge();
        library();
        let allocated = [allocations(edge), allocations(library)];
        for name in called {
            writeln!(self.pipe, "called {name}").unwrap();
        }
        writeln!(self.pipe, "allocated {} {}", allocated[0], allocated[1]).unwrap();
        ptrace::traceme().unwrap();
        // Each part begins and ends with a signal that stops this process; the first one says what
        // that takes.
        let part = |does: &mut dyn FnMut()| {
            raise(Signal::SIGSTOP).unwrap();
            does();
        };
        part(&mut || {});
        (0..ATTEMPTS).for_each(|_| part(edge));
        (0..ATTEMPTS).for_each(|_| part(library));
        part(&mut || {});
        // Where the kernel answers no such question (before Linux 6.11), none is asked.
        registry::ask_by_address();
        if registry::asks_by_address() {
            writeln!(self.pipe, "asks").unwrap();
        }
    }
}

/// The one in the middle of what was counted.
fn usual(mut counted: Vec<usize>) -> usize {
    counted.sort_unstable();
    counted.get(counted.len() / 2).copied().unwrap_or_default()
}

/// How often something usually allocates.
fn allocations(does: &mut dyn FnMut()) -> usize {
    let mut once = || {
        let before = ALLOCATIONS.get();
        does();
        ALLOCATIONS.get() - before
    };
    usual((0..ATTEMPTS).map(|_| once()).collect())
}

/// What was found of the edge and of the library.
struct Found {
    called: BTreeSet<String>,
    /// Whether the kernel reports what is mapped at an address.
    asks: bool,
    /// System calls and allocations of either.
    sides: [(usize, usize); 2],
}

/// System calls and allocations of two sides.
pub(super) fn sides(run: fn(&mut Sides)) -> [(usize, usize); 2] {
    let _alone = alone();
    in_a_child(run).map_or_else(|error| panic!("{error}"), |found| found.sides)
}

fn in_a_child(run: fn(&mut Sides)) -> Result<Found, String> {
    let folder = std::env::temp_dir().join(format!("areas-costs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let (mut hear, pipe) = std::io::pipe().map_err(|error| error.to_string())?;
    // SAFETY: the child makes calls of this library, which are made for forked children, and ends.
    let watched = match unsafe { fork() }.map_err(|error| error.to_string())? {
        ForkResult::Child => be_the_child(run, Sides { pipe, folder }),
        ForkResult::Parent { child } => {
            drop(pipe);
            watch(child)
        }
    };
    let mut text = String::new();
    hear.read_to_string(&mut text).map_err(|error| error.to_string())?;
    let _ = std::fs::remove_dir_all(&folder);
    let (parts, status) = watched;
    let found = if matches!(status, WaitStatus::Exited(_, 0)) { found(&text, &parts) } else { None };
    found.ok_or_else(|| format!("it did not count: {status:?}, {parts:?} {text}"))
}

fn be_the_child(run: fn(&mut Sides), mut sides: Sides) -> ! {
    PIPE.set(sides.pipe.try_clone().ok());
    let registry = CString::new(sides.folder.join("registry").into_os_string().into_vec()).unwrap();
    // Not by the standard library, which has a lock: another thread of the parent may have had it.
    // SAFETY: two strings; a forked child has one thread, and nothing else looks.
    assert_eq!(unsafe { libc::setenv(c"AREAS_DIR".as_ptr(), registry.as_ptr(), 1) }, 0);
    let done = catch_unwind(AssertUnwindSafe(|| run(&mut sides)));
    // SAFETY: ends this process, without the handlers of the parent's.
    unsafe { libc::_exit(c_int::from(done.is_err())) }
}

/// How often a traced child stopped at system calls, between one SIGSTOP and the next; and how it
/// ended.
fn watch(child: Pid) -> (Vec<usize>, WaitStatus) {
    let mut stops = Vec::new();
    loop {
        let status = waitpid(child, None).unwrap();
        let signal = match status {
            WaitStatus::Stopped(_, Signal::SIGSTOP) => {
                stops.push(0);
                None
            }
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {
                stops.last_mut().into_iter().for_each(|stops| *stops += 1);
                None
            }
            // For the row itself: one of its children has ended, say.
            WaitStatus::Stopped(_, other) => Some(other),
            ended => return (stops, ended),
        };
        ptrace::syscall(child, signal).unwrap();
    }
}

/// What the child reported, and where it stopped.
fn found(reported: &str, stops: &[usize]) -> Option<Found> {
    let called =
        reported.lines().filter_map(|line| line.strip_prefix("called ")).map(str::to_owned).collect();
    let (edge, library) =
        reported.lines().find_map(|line| line.strip_prefix("allocated "))?.split_once(' ')?;
    let (empty, sides) = stops.split_first()?;
    // One stop as a call begins and one as it ends.
    let calls = |from: usize| {
        let stops = usual(sides.get(from..from + ATTEMPTS)?.to_vec());
        Some(stops.checked_sub(*empty)? / 2)
    };
    let sides = [(calls(0)?, edge.parse().ok()?), (calls(ATTEMPTS)?, library.parse().ok()?)];
    Some(Found { called, asks: reported.lines().any(|line| line == "asks"), sides })
}

/// A forked child of a row's, killed at the end. It does something once, is heard of then, and
/// lives on.
pub(super) struct Other(Pid);

impl Other {
    /// It does what it is asked; `ready` says that its beginning is over.
    pub(super) fn start(does: impl FnOnce(&dyn Fn())) -> Self {
        let (mut hear, writer) = std::io::pipe().unwrap();
        // SAFETY: the child makes calls of this library, which are made for forked children, until
        // it is killed.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).unwrap();
                does(&|| (&writer).write_all(b"r").unwrap());
                // SAFETY: ends this process, without the handlers of the parent's.
                unsafe { libc::_exit(1) }
            }
            ForkResult::Parent { child } => {
                drop(writer);
                let other = Other(child);
                hear.read_exact(&mut [0]).unwrap();
                other
            }
        }
    }

    pub(super) fn pid(&self) -> i32 {
        self.0.as_raw()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        nix::sys::signal::kill(self.0, Signal::SIGKILL).unwrap();
        waitpid(self.0, None).unwrap();
    }
}

/// Sleeps until it is killed.
pub(super) fn for_ever() {
    loop {
        nix::unistd::pause();
    }
}
