//! What was shared is frozen, or back in the error: never both.
fn main() {
    let area = areas::builder(4096).shared().unwrap();
    let frozen = area.freeze();
    area.write_at(0, b"late").unwrap();
    drop(frozen);
}
