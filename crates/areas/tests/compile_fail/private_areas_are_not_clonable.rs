//! What is generic over kinds that others can clone takes no private area, and the error says why.
fn share<K: areas::Clonable>(area: &mut areas::Area<K>) -> areas::Result<()> {
    area.publish("shared").map(drop)
}

fn main() -> areas::Result<()> {
    share(&mut areas::builder(4096).private()?)
}
