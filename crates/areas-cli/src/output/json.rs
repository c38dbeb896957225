//! JSON for other programs: what is not known is null, sizes are bytes, and a number says which
//! schema it is.

use std::borrow::Cow;
use std::fmt::Write as _;

use areas::escape_invisible;
use serde::Serialize;

use crate::failure::Result;

/// The version of what is printed: it changes when a field goes or changes its meaning, not when
/// one comes.
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
    super::print_raw(&text(content, one_line)?)
}

/// What is printed.
pub(crate) fn text<T: Serialize>(content: T, one_line: bool) -> Result<String> {
    let document = Document { schema: SCHEMA, content };
    let text = match one_line {
        true => serde_json::to_string(&document),
        false => serde_json::to_string_pretty(&document),
    };
    // Only a map whose keys are no strings could fail, and there is none.
    let text =
        text.map_err(|error| areas::Error::new(areas::ErrorKind::Io, "write JSON").caused_by(error))?;
    Ok(harmless(&text) + "\n")
}

/// The same JSON, in which characters that a terminal would obey or is invisible stand as `\u202e`.
/// They are in strings only.
fn harmless(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 1);
    for line in json.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        match escape_invisible(line) {
            Cow::Borrowed(same) => text += same,
            Cow::Owned(_) => line.chars().for_each(|c| match escape_invisible(c.encode_utf8(&mut [0; 4])) {
                Cow::Borrowed(same) => text += same,
                // Writing to a string cannot fail.
                Cow::Owned(_) => {
                    c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| _ = write!(text, "\\u{unit:04x}"))
                }
            }),
        }
        text += end;
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_is_the_same_json() {
        let name = "a\u{202e}\u{200b}\u{e0001}ö\u{7f}\n";
        let json = serde_json::to_string_pretty(&serde_json::json!({ "name": name, "size": 1 })).unwrap();
        let text = harmless(&json);
        assert_eq!(text, "{\n  \"name\": \"a\\u202e\\u200b\\udb40\\udc01ö\\u007f\\n\",\n  \"size\": 1\n}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["name"], name);
    }
}
