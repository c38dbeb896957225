//! `areas ls`: every area that can be seen, and who cannot be looked into.

pub(crate) mod args;
mod columns;
mod json;
mod rows;
mod total;

use std::process::ExitCode;

use areas::registry::{self, Listing, Source, Unpublished};
use areas::{Error, ErrorKind};
use unicode_width::UnicodeWidthStr;

use crate::column::Column;
use crate::failure::Result;
use crate::flight::{self, args::Reaching};
use crate::output;
use crate::output::style::{Look, Terminal};
use crate::output::table::Table;
use crate::report::{Holders, Report};
use crate::users;
use args::Ls;
use rows::Rows;
use total::{Objects, in_words};

/// Up to so many areas, what no process publishes is counted unasked: each process has to be asked
/// for all that it has open and mapped, which takes as long again as the listing.
const COUNTED_UP_TO: usize = 1000;

/// What is reported where an area was asked for and there is none.
const NO_SUCH_AREA: u8 = 3;

pub(crate) fn run(ls: &Ls, quiet: bool) -> Result<ExitCode> {
    if let Some(at) = &ls.at {
        let (token_file, tls_ca) = (ls.token_file.clone(), ls.tls_ca.clone());
        let reaching = Reaching { token_file, tls_ca, timeout: ls.timeout, min_rate: None, max_time: None };
        return flight::list::run(at, &reaching, &ls.areas, ls.json, quiet);
    }
    users::look_into(ls.user.as_deref())?;
    let mut listing = registry::list()?;
    users::is_there("list areas")?;
    listing.areas.retain(|source| is_asked_for(ls, source));
    let found = listing.areas.len();
    match (ls.json, quiet) {
        (true, _) => in_json(ls, listing)?,
        (false, true) => ids(ls, listing)?,
        (false, false) => in_a_table(ls, listing)?,
    }
    if found == 0 && !ls.areas.is_empty() {
        output::complain("there is no such area; `areas ls` lists all");
        return Ok(ExitCode::from(NO_SUCH_AREA));
    }
    Ok(ExitCode::SUCCESS)
}

fn is_asked_for(ls: &Ls, source: &Source) -> bool {
    let by_name =
        ls.areas.is_empty() || ls.areas.iter().any(|pattern| pattern.fits(source.id(), source.name()));
    by_name && ls.pid.is_none_or(|pid| source.pid() == pid)
}

/// Ids, one a line.
fn ids(ls: &Ls, listing: Listing) -> Result<()> {
    let mut ids: Vec<String> = Vec::with_capacity(listing.areas.len());
    if ls.sort.is_none() {
        ids.extend(listing.areas.iter().map(|area| format!("{}\n", area.id())));
        if ls.reverse {
            ids.reverse();
        }
    } else {
        let mut reports = Vec::new();
        each(ls, listing.areas, |report| reports.push(report))?;
        rows::sort(&mut reports, ls);
        ids.extend(reports.iter().map(|report| format!("{}\n", report.info.id)));
    }
    output::print(&ids.concat())
}

fn in_json(ls: &Ls, listing: Listing) -> Result<()> {
    let mut objects = Objects::default();
    let mut reports = Vec::with_capacity(listing.areas.len());
    let lost = each(ls, listing.areas, |report| {
        objects.add(&report);
        reports.push(report);
    })?;
    rows::sort(&mut reports, ls);
    // What was found not to be where its table says is reported among what is not published, so
    // that comes after the areas.
    let unpublished = unpublished(ls, reports.len())?;
    json::print(ls, &reports, unpublished.as_deref(), &listing.unreadable, objects.total())?;
    lost.iter().for_each(|error| output::complain(&error.to_string()));
    Ok(())
}

fn in_a_table(ls: &Ls, listing: Listing) -> Result<()> {
    let mut rows = Rows::new(ls, columns_of(ls));
    let mut objects = Objects::default();
    let lost = each(ls, listing.areas, |report| {
        objects.add(&report);
        rows.add(report);
    })?;
    let total = objects.total();
    let unpublished = unpublished(ls, total.areas)?;
    let shown = unpublished.as_deref().filter(|_| ls.all).unwrap_or_default();
    let table = rows.finish(shown);
    let terminal = Terminal::stdout();
    let mut text = match total.areas + shown.len() {
        0 => String::new(),
        _ if ls.no_headings => table.without_headings(terminal),
        _ => table.render(terminal),
    };
    if !ls.no_headings {
        text +=
            &terminal.paint(Look::Dim, &summary(ls, &total.to_string(), unpublished.as_deref(), terminal)?);
        text.push('\n');
    }
    output::print(&text)?;
    for team in &listing.unreadable {
        let command = team.command.as_deref().map_or(String::new(), |command| format!(" ({command})"));
        let reason = &team.reason;
        output::complain(&format!("process {}{command} holds areas that cannot be read: {reason}", team.pid));
    }
    lost.iter().for_each(|error| output::complain(&error.to_string()));
    if let (Some(why), Some(path)) = (registry::path_remark()?, registry::path()?) {
        output::complain(&format!("the registry is {}: {why}", path.display()));
    }
    Ok(())
}

fn columns_of(ls: &Ls) -> Vec<Column> {
    match ls.columns.is_empty() {
        true => columns::USUAL.to_vec(),
        false => ls.columns.clone(),
    }
}

/// The end: what all take together, what no process publishes, and where was looked. It is one line
/// where there is room for one.
fn summary(
    ls: &Ls,
    total: &str,
    unpublished: Option<&[Unpublished]>,
    terminal: Terminal,
) -> areas::Result<String> {
    let mut parts = vec![total.to_owned()];
    match unpublished {
        None => parts.push("not published: not counted (ls --all)".to_owned()),
        Some([]) => {}
        Some(memories) => {
            let allocated = memories.iter().map(|memory| memory.allocated).sum();
            let hint = if ls.all { "" } else { " (ls --all)" };
            parts.push(format!("not published: {}, {} allocated{hint}", memories.len(), in_words(allocated)));
        }
    }
    if let Some(path) = registry::path()? {
        let user = users::looked_into(ls.user.as_deref());
        parts.push(format!("registry {} of user {user}", path.display()));
    }
    let one_line = parts.join("; ");
    let fits = terminal.columns.is_none_or(|columns| one_line.width() <= columns.into());
    Ok(if fits { one_line } else { parts.join("\n") })
}

/// Memory that processes hold as areas' and that no process publishes, of what was asked for;
/// `None` where it is not counted.
fn unpublished(ls: &Ls, areas: usize) -> areas::Result<Option<Vec<Unpublished>>> {
    if areas > COUNTED_UP_TO && !ls.all {
        return Ok(None);
    }
    let mut unpublished = registry::unpublished()?;
    // Of the others that root sees, those that the user holds whose registry it is.
    let user = ls.user.as_deref().map(|named| users::looked_into(Some(named)));
    unpublished.retain(|memory| {
        let by_name = ls.areas.is_empty() || ls.areas.iter().any(|pattern| pattern.fits_label(&memory.label));
        let by_user = user
            .is_none_or(|user| memory.holders.iter().any(|holder| users::user_of(holder.pid) == Some(user)));
        by_name && by_user && ls.pid.is_none_or(|pid| memory.holders.iter().any(|holder| holder.pid == pid))
    });
    Ok(Some(unpublished))
}

/// The description of each, one after the other: of many areas, what is reported takes less memory
/// than what is known. Areas that go while we look are left out: they are gone. What is said of
/// those that are still listed and cannot be opened is released.
fn each(ls: &Ls, areas: Vec<Source>, mut report_one: impl FnMut(Report)) -> areas::Result<Vec<Error>> {
    let with_policy = ls.json || ls.columns.contains(&Column::Policy) || ls.sort == Some(Column::Policy);
    let mut holders = Holders::default();
    let mut lost = Vec::new();
    registry::measure_each(areas, |area, measured| {
        match Report::measured(area, measured, &mut holders) {
            Ok(report) if with_policy => report_one(report.with_policy(area)),
            Ok(report) => report_one(report),
            Err(error) if error.kind() == ErrorKind::NoSuchArea => {
                if registry::get(area.id()).is_ok() {
                    lost.push(error);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    })?;
    Ok(lost)
}

/// Areas as a table, one a row, as `areas ls` shows them.
pub(crate) fn table<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Table {
    let mut table = Table::new(columns::USUAL.iter().map(|column| column.heading()));
    for report in reports {
        columns::USUAL.iter().for_each(|column| table.cell(column.content(report, false)));
    }
    table
}
