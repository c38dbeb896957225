//! Who may write is one of three things, and nobody adds a fourth.
#[derive(Debug)]
struct Sometimes;

impl areas::AreaKind for Sometimes {}

fn main() {}
