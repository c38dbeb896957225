//! JSON for other programs: what is not known is null, sizes are bytes, and a number tells the schema.

use serde::Serialize;

use crate::failure::Result;

/// The version of what is printed: it changes when a field goes or changes its meaning, not when one comes.
pub(crate) const SCHEMA: u32 = 1;

/// Something with the schema's number in front.
#[derive(Debug, Serialize)]
pub(crate) struct Document<T: Serialize> {
    schema: u32,
    #[serde(flatten)]
    content: T,
}

/// Prints it to stdout: on one line, or on several for people to read.
pub(crate) fn print<T: Serialize>(content: T, one_line: bool) -> Result<()> {
    let document = Document { schema: SCHEMA, content };
    let text = match one_line {
        true => serde_json::to_string(&document),
        false => serde_json::to_string_pretty(&document),
    };
    // Only a map whose keys are no strings could fail, and there is none.
    let text = text.map_err(|error| areas::Error::new(areas::Kind::Io, "write JSON").caused_by(error))?;
    super::print_raw(&(text + "\n"))
}

/// A map in the order in which it is given: nodes by number, not by their text.
pub(crate) fn in_order<K: ToString, V: Serialize, S: serde::Serializer>(
    pairs: &Option<Vec<(K, V)>>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    match pairs {
        Some(pairs) => serializer.collect_map(pairs.iter().map(|(key, value)| (key.to_string(), value))),
        None => serializer.serialize_none(),
    }
}
