//! Layers and reservations against the kernel: what they map, what they refuse, what they give
//! back.

mod counted;
mod guarded;
mod limited;
mod mappings_run_out;
mod or;
mod reservation;
mod spilled;
mod split;
mod striped;
mod support;

use std::sync::LazyLock;

use areas::provider::{Counted, Guarded, Limited, Or, Striped};
use areas::{NodeSet, Placed, Policy, Provider, Request, System};

/// Layers are made of constants where nothing has to be allocated.
static DEEP: Guarded<Striped<Placed<System>>> =
    Guarded::new(Striped::new(System::new().placed(Policy::Interleave(NodeSet::ALL)), NodeSet::ALL, 2), 1);
static EITHER: Or<Placed<System>, System> =
    Or::new(System::new().placed(Policy::Interleave(NodeSet::ALL)), System::new());
static BUDGET: LazyLock<Limited<System>> = LazyLock::new(|| System::new().limited(1 << 20));
static COUNTS: LazyLock<Counted<System>> = LazyLock::new(|| System::new().counted());

#[test]
fn statics_of_layers_map() {
    let providers: [(&dyn Provider, &str); 4] = [
        (&DEEP, "System.placed(interleave:all).striped(all, 2).guarded(1)"),
        (&EITHER, "System.placed(interleave:all).or(System)"),
        (&*BUDGET, "System.limited(1 MiB)"),
        (&*COUNTS, "System.counted()"),
    ];
    for (provider, printed) in providers {
        // They print as they are written.
        assert_eq!(format!("{provider:?}"), printed);
        let mut mapping = provider.map(&Request::new(5000)).unwrap();
        mapping.as_bytes_mut().unwrap().fill(7);
        assert_eq!(mapping.as_bytes().unwrap().iter().filter(|&&byte| byte == 7).count(), 5000);
        provider.unmap(mapping).unwrap();
    }
}
