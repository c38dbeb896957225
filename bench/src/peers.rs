//! The peers in C and C++: small libraries that `cargo xtask bench` has compiled from `../peers/`.
//! One that is not there was missing something, and is skipped.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::path::{Path, PathBuf};
use std::ptr;
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};

use crate::measure::Side;

/// `struct work` of `peers/peer.h`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Work {
    pub times: u64,
    pub size: u64,
    pub name: *const c_char,
    pub from: *mut c_void,
    pub to: *mut c_void,
    pub descriptor: c_int,
    pub touch: c_int,
}

impl Work {
    pub fn of_size(size: usize) -> Self {
        Work {
            times: 0,
            size: size as u64,
            name: ptr::null(),
            from: ptr::null_mut(),
            to: ptr::null_mut(),
            descriptor: -1,
            touch: 0,
        }
    }

    /// It lives as long as the program: there are few names.
    pub fn named(self, name: &str) -> Self {
        let name: &'static CStr = Box::leak(CString::new(name).expect("no NUL in a name").into_boxed_c_str());
        Work { name: name.as_ptr(), ..self }
    }

    pub fn touching(self, touch: bool) -> Self {
        Work { touch: c_int::from(touch), ..self }
    }
}

type Function = unsafe extern "C" fn(*const Work) -> i64;

/// Where the libraries are.
#[derive(Debug)]
pub struct Peers {
    folder: PathBuf,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Library {
    library: Rc<libloading::Library>,
    path: PathBuf,
}

impl Peers {
    pub fn new(folder: &Path) -> Self {
        Peers { folder: folder.to_owned() }
    }

    /// Why not, if it is not there.
    pub fn library(&self, name: &str) -> Result<Library, String> {
        let path = self.folder.join(format!("{name}.so"));
        if !path.exists() {
            let why = std::fs::read_to_string(self.folder.join(format!("{name}.missing")));
            return Err(why.unwrap_or_else(|_| "it was not compiled".to_owned()).trim().to_owned());
        }
        // SAFETY: our own code; what it links (libnuma, hwloc, memkind) only sets itself up as it
        // is loaded.
        match unsafe { libloading::Library::new(&path) } {
            Ok(library) => Ok(Library { library: Rc::new(library), path }),
            Err(error) => Err(format!("it cannot be loaded: {error}")),
        }
    }
}

impl Library {
    fn function(&self, name: &str) -> Result<Function> {
        // SAFETY: all functions of `peers/` whose names begin with `peer_` have this type.
        let function = unsafe { self.library.get::<Function>(name.as_bytes()) };
        function.map(|function| *function).with_context(|| format!("{}: {name}", self.path.display()))
    }

    /// A function as a side of a contest.
    ///
    /// What `work` points to is to be there as long as the side.
    pub fn side<'a>(&self, who: &str, function: &'static str, work: Work) -> Result<Side<'a>> {
        let call = self.function(function)?;
        // It stays loaded as long as it may be called.
        let library = self.clone();
        Ok(Side::new(who, move |times| {
            let _loaded = &library;
            run(call, function, &Work { times, ..work })
        }))
    }

    /// Calls a function once.
    pub fn call(&self, function: &'static str, work: Work) -> Result<u64> {
        run(self.function(function)?, function, &Work { times: 1, ..work })
    }
}

fn run(call: Function, name: &str, work: &Work) -> Result<u64> {
    // SAFETY: `work` is as the header says; its pointers are the caller's promise.
    let answer = unsafe { call(work) };
    match u64::try_from(answer) {
        Ok(nanoseconds) => Ok(nanoseconds),
        Err(_) => bail!("{name}: {}", io::Error::from_raw_os_error((-answer) as i32)),
    }
}
