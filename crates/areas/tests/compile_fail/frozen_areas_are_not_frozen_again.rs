//! What is frozen has nothing to freeze.
fn freeze<K: areas::Freezable>(area: areas::Area<K>) -> bool {
    area.freeze().is_ok()
}

fn main() {
    let frozen = areas::builder(4096).shared().unwrap().freeze().unwrap();
    freeze(frozen);
}
