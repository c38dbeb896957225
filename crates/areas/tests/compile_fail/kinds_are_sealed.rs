//! Who may write is one of three things, and no code adds a fourth.
#[derive(Debug)]
struct Sometimes;

impl areas::AreaKind for Sometimes {}

fn main() {}
