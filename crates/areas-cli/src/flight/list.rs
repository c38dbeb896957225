//! `areas ls --at`: what a server offers.

use std::process::{ExitCode, Stdio};

use areas::{Bytes, Error, ErrorKind, Name, escape_invisible};
use serde::{Deserialize, Serialize};

use super::args::Reaching;
use super::{not_started, pass_on, program};
use crate::failure::{Failure, Result, io_error};
use crate::output::style::Terminal;
use crate::output::table::{Holds, Table};
use crate::output::{self, json};
use crate::target::{Pattern, Target, hex_of, is_forced};

const WHAT: &str = "list what a server offers";

#[derive(Debug, Deserialize, Serialize)]
struct Listing {
    at: String,
    areas: Vec<Listed>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Listed {
    name: String,
    name_bytes: Option<String>,
    size: Option<u64>,
    rows: Option<u64>,
    table: Option<bool>,
    id: Option<i32>,
    note: Option<String>,
}

pub(crate) fn run(
    at: &str,
    reaching: &Reaching,
    asked: &[Pattern],
    as_json: bool,
    quiet: bool,
) -> Result<ExitCode> {
    let mut command = program("list");
    pass_on(reaching, &mut command);
    command.arg("--").arg(at).stdin(Stdio::null()).stderr(Stdio::inherit());
    let ran = command.output().map_err(|error| not_started(WHAT, error))?;
    if !ran.status.success() {
        // What went wrong it has said itself.
        let code = ran.status.code().and_then(|code| u8::try_from(code).ok());
        return Ok(ExitCode::from(code.unwrap_or(1)));
    }
    let mut listing: Listing =
        serde_json::from_slice(&ran.stdout).map_err(|error| io_error(WHAT, std::io::Error::from(error)))?;
    listing.areas.retain(|area| asked.is_empty() || asked.iter().any(|pattern| is_meant(pattern, area)));
    let found = listing.areas.len();
    match (as_json, quiet) {
        (true, _) => json::print(&listing, false)?,
        (false, true) => {
            output::print(&listing.areas.iter().map(|area| format!("{}\n", said(area))).collect::<String>())?
        }
        (false, false) => in_a_table(&listing)?,
    }
    if found == 0 && !asked.is_empty() {
        let error = Error::new(ErrorKind::NoSuchArea, format!("find such an area at {at}"));
        return Err(Failure::Error(error.with_remedy(format!("`areas ls --at {at}` lists all"))));
    }
    Ok(ExitCode::SUCCESS)
}

/// As it is named to `areas fetch`; what a terminal would obey, as bytes.
fn said(area: &Listed) -> String {
    match &area.name_bytes {
        Some(bytes) => bytes.clone(),
        None if escape_invisible(&area.name) != area.name => hex_of(area.name.as_bytes()),
        // What would be read as something else.
        None if is_forced(&area.name) => format!("name:{}", area.name),
        None => area.name.clone(),
    }
}

fn is_meant(pattern: &Pattern, area: &Listed) -> bool {
    match (pattern, area.id.and_then(|id| areas::AreaId::new(id).ok())) {
        (Pattern::Names(pattern), _) => pattern.matches(&area.name),
        (Pattern::One(Target::Id(digits)), Some(id)) => digits.parse() == Ok(id.get()),
        (Pattern::One(Target::Id(digits)), None) => *digits == area.name,
        (Pattern::One(Target::Name(name)), _) => {
            let theirs = match &area.name_bytes {
                Some(bytes) => {
                    crate::target::any_bytes(bytes.into()).ok().and_then(|bytes| Name::new(bytes).ok())
                }
                None => Name::new(area.name.as_bytes()).ok(),
            };
            theirs.as_ref() == Some(name)
        }
    }
}

fn in_a_table(listing: &Listing) -> Result<()> {
    let mut table = Table::new([
        ("NAME", Holds::Text),
        ("SIZE", Holds::Numbers),
        ("ROWS", Holds::Numbers),
        ("NOTE", Holds::Text),
    ]);
    for area in &listing.areas {
        let or_nothing = |value: Option<String>| value.unwrap_or_default();
        table.row([
            said(area),
            or_nothing(area.size.map(|size| format!("{:#}", Bytes(size)))),
            or_nothing(area.rows.map(|rows| rows.to_string())),
            or_nothing(area.note.clone()),
        ]);
    }
    let terminal = Terminal::stdout();
    let count = listing.areas.len();
    let total = format!("{count} frozen {} at {}\n", if count == 1 { "area" } else { "areas" }, listing.at);
    let rows = if count == 0 { String::new() } else { table.without_empty_columns().render(terminal) };
    output::print(&(rows + &total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_said_as_fetch_takes_them() {
        let listed = |name: &str| Listed {
            name: name.to_owned(),
            name_bytes: None,
            size: None,
            rows: None,
            table: None,
            id: None,
            note: None,
        };
        for (name, expected) in
            [("m", "m"), ("hex:6d", "name:hex:6d"), ("name:m", "name:name:m"), ("a\u{1b}", "hex:611b")]
        {
            assert_eq!(said(&listed(name)), expected, "{name:?}");
        }
    }
}
