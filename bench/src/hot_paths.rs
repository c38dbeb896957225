//! What programs do all the time, each a few times in a function of its own, so that callgrind can count its instructions: `cargo
//! xtask bench --instructions` compares the counts with `bench/instructions.txt`. They do not depend on the machine's load.
//!
//! The functions' names begin with `hot_`; each runs once to warm up before the tool is told to count.

use std::hint::black_box;

use anyhow::Result;
use areas::registry;

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
    foreign: areas::AreaId,
}

hot! {
    /// The loop alone: what the others have more.
    hot_nothing(things: Things) { black_box(things.own.as_ptr()); }
    hot_find_own(_things: Things) { black_box(registry::find("hot: own").expect("it is there")); }
    hot_find_foreign(_things: Things) { black_box(registry::find("hot-foreign-0").expect("it is there")); }
    hot_get_foreign(things: Things) { black_box(registry::get(things.foreign).expect("it is there")); }
    hot_id_at(things: Things) { black_box(registry::id_at(black_box(things.own.as_ptr().addr())).expect("it is there")); }
    hot_info_own(_things: Things) { black_box(registry::find("hot: own").and_then(|own| own.info()).expect("it is there")); }
    hot_private(_things: Things) { drop(black_box(areas::builder(65_536).private().expect("memory"))); }
    hot_shared(_things: Things) { drop(black_box(areas::builder(65_536).shared().expect("memory"))); }
    hot_publish(_things: Things) { drop(black_box(areas::builder(65_536).name("hot: made").shared().expect("memory"))); }
    hot_read_64(things: Things) {
        let mut bytes = [0; 64];
        things.own.read_at(0, black_box(&mut bytes)).expect("within it");
        black_box(&bytes);
    }
    hot_write_64(things: Things) { things.own.write_at(0, black_box(&[1; 64])).expect("within it"); }
    hot_load_u64(things: Things) { black_box(things.own.load::<u64>(black_box(8)).expect("within it")); }
    hot_clone_own(_things: Things) {
        drop(black_box(registry::find("hot: own").and_then(|own| own.open()).expect("it is there")));
    }
    hot_clone_foreign(_things: Things) {
        drop(black_box(registry::find("hot-foreign-0").and_then(|foreign| foreign.open_read_only()).expect("it is there")));
    }
}

/// Name and function of each.
const ALL: [(&str, extern "C" fn(&Things)); 14] = [
    ("hot_nothing", hot_nothing),
    ("hot_find_own", hot_find_own),
    ("hot_find_foreign", hot_find_foreign),
    ("hot_get_foreign", hot_get_foreign),
    ("hot_id_at", hot_id_at),
    ("hot_info_own", hot_info_own),
    ("hot_private", hot_private),
    ("hot_shared", hot_shared),
    ("hot_publish", hot_publish),
    ("hot_read_64", hot_read_64),
    ("hot_write_64", hot_write_64),
    ("hot_load_u64", hot_load_u64),
    ("hot_clone_own", hot_clone_own),
    ("hot_clone_foreign", hot_clone_foreign),
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
        foreign: registry::find("hot-foreign-0")?.id(),
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
