//! What programs do all the time, each a few times in a function of its own, so that callgrind can
//! count its instructions: `cargo xtask bench --instructions` compares the counts with
//! `bench/instructions.txt`. They do not depend on the machine's load.
//!
//! The functions' names begin with `hot_`; each runs once to warm up before the tool is asked to
//! count.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::hint::black_box;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, ensure};
use areas::{Policy, Provider as _, Request, System, registry};

/// Within each function.
pub const TIMES: usize = 64;

macro_rules! hot {
    ($($(#[$doc:meta])* $name:ident($value:ident: $type:ty) $body:block)*) => {
        $(
            $(#[$doc])*
            #[inline(never)]
            // SAFETY: no other function has such a name.
            #[unsafe(no_mangle)]
            extern "C" fn $name($value: &$type) {
                for _ in 0..TIMES {
                    $body
                }
            }
        )*
    };
}

/// What they work on.
struct Things {
    own: areas::Area<areas::Shared>,
    other: areas::Area<areas::Shared>,
    foreign: areas::AreaId,
    bind: Policy,
    c: C,
}

/// What programs in C call: another copy of the library, with an area of its own.
struct C {
    find_area: extern "C" fn(*const c_char) -> i32,
    area_for: extern "C" fn(*mut c_void) -> i32,
    get_area_info: extern "C" fn(i32, *mut c_void, usize) -> i32,
    create_area: extern "C" fn(*const c_char, *mut *mut c_void, u32, usize, u32, u32) -> i32,
    delete_area: extern "C" fn(i32) -> i32,
    aml_area_mmap: extern "C" fn(*const c_void, usize, *mut c_void) -> *mut c_void,
    aml_area_munmap: extern "C" fn(*const c_void, *mut c_void, usize) -> c_int,
    aml_area_linux: *const c_void,
    own: i32,
    address: *mut c_void,
}

const SIZE: usize = 65_536;
const AREA_INFO: usize = 88;

impl C {
    /// Loads the library that a variable names, and makes an area by it.
    fn load() -> Result<Self> {
        let path = std::env::var_os("AREAS_BENCH_C").context("AREAS_BENCH_C names libareas.so")?;
        // SAFETY: this project's own library, whose initialisers do nothing that others could see.
        let library = unsafe { libloading::Library::new(&path) }
            .with_context(|| format!("cannot load {}", path.display()))?;
        // It stays: what it gave is used until the end.
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: it has the type that its header says, which is that of the field.
                *unsafe { library.get($name) }?
            };
        }
        let mut c = C {
            find_area: symbol!(b"find_area"),
            area_for: symbol!(b"area_for"),
            get_area_info: symbol!(b"_get_area_info"),
            create_area: symbol!(b"create_area"),
            delete_area: symbol!(b"delete_area"),
            aml_area_mmap: symbol!(b"aml_area_mmap"),
            aml_area_munmap: symbol!(b"aml_area_munmap"),
            aml_area_linux: symbol!(b"aml_area_linux"),
            own: 0,
            address: std::ptr::null_mut(),
        };
        (c.own, c.address) = c.create(c"hot: by C");
        ensure!(c.own > 0, "create_area: {}", c.own);
        Ok(c)
    }

    /// The id, and the address.
    fn create(&self, name: &CStr) -> (i32, *mut c_void) {
        let mut address = std::ptr::null_mut();
        // Any address, no lock, to be read and written.
        ((self.create_area)(name.as_ptr(), &raw mut address, 0, SIZE, 0, 3), address)
    }
}

hot! {
    /// The loop alone: what the others have more.
    hot_nothing(things: Things) { black_box(things.own.as_ptr()); }
    hot_find_own(_things: Things) { black_box(registry::find("hot: own").expect("it is there")); }
    hot_find_foreign(_things: Things) { black_box(registry::find("hot-foreign-0").expect("it is there")); }
    hot_get_foreign(things: Things) { black_box(registry::get(things.foreign).expect("it is there")); }
    hot_id_at(things: Things) { black_box(registry::id_at(black_box(things.own.as_ptr().addr())).expect("it is there")); }
    hot_info_own(_things: Things) { black_box(registry::find("hot: own").and_then(|own| own.info()).expect("it is there")); }
    hot_map_placed(things: Things) {
        let mapping = System::new().map(&Request::new(65_536).placed(things.bind)).expect("memory");
        black_box(mapping).unmap().expect("ours");
    }
    hot_private(_things: Things) { drop(black_box(areas::builder(65_536).private().expect("memory"))); }
    hot_shared(_things: Things) { drop(black_box(areas::builder(65_536).shared().expect("memory"))); }
    hot_publish(_things: Things) { drop(black_box(areas::builder(65_536).name("hot: made").shared().expect("memory"))); }
    hot_read_64(things: Things) {
        let mut bytes = [0; 64];
        things.own.read_at(0, black_box(&mut bytes)).expect("within it");
        black_box(&bytes);
    }
    hot_write_64(things: Things) { things.own.write_at(0, black_box(&[1; 64])).expect("within it"); }
    hot_copy_64(things: Things) { black_box(&things.own).copy_to(0, black_box(&things.other), 0, 64).expect("within both"); }
    hot_load_u64(things: Things) { black_box(things.own.load::<u64>(black_box(8), Ordering::Relaxed).expect("within it")); }
    hot_clone_own(_things: Things) {
        drop(black_box(registry::find("hot: own").and_then(|own| own.open()).expect("it is there")));
    }
    hot_clone_foreign(_things: Things) {
        drop(black_box(registry::find("hot-foreign-0").and_then(|foreign| foreign.open_read_only()).expect("it is there")));
    }
    hot_c_find_own(things: Things) { assert_eq!(black_box((things.c.find_area)(c"hot: by C".as_ptr())), things.c.own); }
    hot_c_area_for(things: Things) { assert_eq!(black_box((things.c.area_for)(black_box(things.c.address))), things.c.own); }
    hot_c_info_own(things: Things) {
        let mut info = [0_u64; AREA_INFO / 8];
        assert_eq!((things.c.get_area_info)(things.c.own, info.as_mut_ptr().cast(), AREA_INFO), 0);
        black_box(&info);
    }
    hot_c_create(things: Things) {
        let (id, _) = black_box(things.c.create(c"hot: made"));
        assert_eq!((things.c.delete_area)(id), 0);
    }
    hot_c_aml_mmap(things: Things) {
        let C { aml_area_linux: area, .. } = things.c;
        let start = black_box((things.c.aml_area_mmap)(area, SIZE, std::ptr::null_mut()));
        assert_eq!((things.c.aml_area_munmap)(area, start, SIZE), 0);
    }
}

/// Name and function of each.
const ALL: [(&str, extern "C" fn(&Things)); 21] = [
    ("hot_nothing", hot_nothing),
    ("hot_find_own", hot_find_own),
    ("hot_find_foreign", hot_find_foreign),
    ("hot_get_foreign", hot_get_foreign),
    ("hot_id_at", hot_id_at),
    ("hot_info_own", hot_info_own),
    ("hot_map_placed", hot_map_placed),
    ("hot_private", hot_private),
    ("hot_shared", hot_shared),
    ("hot_publish", hot_publish),
    ("hot_read_64", hot_read_64),
    ("hot_write_64", hot_write_64),
    ("hot_copy_64", hot_copy_64),
    ("hot_load_u64", hot_load_u64),
    ("hot_clone_own", hot_clone_own),
    ("hot_clone_foreign", hot_clone_foreign),
    ("hot_c_find_own", hot_c_find_own),
    ("hot_c_area_for", hot_c_area_for),
    ("hot_c_info_own", hot_c_info_own),
    ("hot_c_create", hot_c_create),
    ("hot_c_aml_mmap", hot_c_aml_mmap),
];

/// Their names, and how often each does its work.
pub fn list() {
    for (name, _) in ALL {
        println!("{name} {TIMES}");
    }
}

/// All of them, and all again: the second time counts.
pub fn run() -> Result<()> {
    let mut holder = crate::agent::Agent::start(None)?;
    holder.ask("hold hot-foreign 1")?;
    let things = Things {
        own: areas::builder(65_536).name("hot: own").shared()?,
        other: areas::builder(65_536).shared()?,
        foreign: registry::find("hot-foreign-0")?.id(),
        bind: Policy::Bind(areas::allowed_nodes()?),
        c: C::load()?,
    };
    // A folder that has just changed is read at each call.
    std::thread::sleep(std::time::Duration::from_millis(300));
    for (_, function) in ALL {
        function(&things);
    }
    for (_, function) in ALL {
        function(&things);
    }
    Ok(())
}
