//! How an event is reported: a line for people, or a document.

use areas::Bytes;
use jiff::{Timestamp, Unit};
use serde::Serialize;

use super::area::Area;
use crate::failure::Result;
use crate::output::{self, json};
use crate::report::object_of;
use crate::target;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What<'a> {
    /// Nothing: it was there at the start.
    There,
    Published,
    Cloned,
    Resized {
        before: usize,
    },
    Moved {
        before: &'a str,
    },
    Frozen,
    Retired,
    Gone,
}

impl What<'_> {
    pub(super) fn word(self) -> &'static str {
        match self {
            What::There => "there",
            What::Published => "published",
            What::Cloned => "cloned",
            What::Resized { .. } => "resized",
            What::Moved { .. } => "moved",
            What::Frozen => "frozen",
            What::Retired => "retired",
            What::Gone => "gone",
        }
    }
}

/// What has happened to which area. Of one that is gone, what was known last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event<'a> {
    pub(super) what: What<'a>,
    pub(super) area: &'a Area,
}

impl<'a> Event<'a> {
    pub(super) fn of(what: What<'a>, area: &'a Area) -> Self {
        Event { what, area }
    }
}

/// Prints it, now.
pub(super) fn print(event: &Event<'_>, in_json: bool) -> Result<()> {
    let now = Timestamp::now();
    let time = now.round(Unit::Millisecond).unwrap_or(now);
    if in_json {
        return json::print(EventJson::of(event, time), true);
    }
    output::print(&(areas::escape_invisible(&line(event, time)).into_owned() + "\n"))
}

fn line(event: &Event<'_>, time: Timestamp) -> String {
    let area = event.area;
    let size = format!("{:#}", Bytes::from(area.size));
    let what = match event.what {
        What::Resized { before } => format!("{:#} -> {size}", Bytes::from(before)),
        What::Moved { before } => format!("{before} -> {}", area.policy.as_deref().unwrap_or("?")),
        _ => size,
    };
    let command = area.command.as_deref().unwrap_or("?");
    format!(
        "{time:.3}  {:<9}  area {} {:?}, {what}, process {} ({command})",
        event.what.word(),
        area.id,
        area.name,
        area.pid
    )
}

#[derive(Debug, Serialize)]
struct EventJson<'a> {
    event: &'static str,
    time: String,
    id: i32,
    name: String,
    name_bytes: Option<String>,
    pid: u32,
    command: Option<&'a str>,
    object: String,
    size: usize,
    frozen: bool,
    retired: bool,
    policy: Option<&'a str>,
    /// Of `resized`.
    #[serde(skip_serializing_if = "Option::is_none")]
    size_before: Option<usize>,
    /// Of `moved`.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_before: Option<&'a str>,
}

impl<'a> EventJson<'a> {
    fn of(event: &Event<'a>, time: Timestamp) -> Self {
        let area = event.area;
        EventJson {
            event: event.what.word(),
            time: format!("{time:.3}"),
            id: area.id,
            name: String::from_utf8_lossy(area.name.as_bytes()).into_owned(),
            name_bytes: target::in_hex(&area.name),
            pid: area.pid,
            command: area.command.as_deref(),
            object: object_of(area.object),
            size: area.size,
            frozen: area.frozen,
            retired: area.retired,
            policy: area.policy.as_deref(),
            size_before: match event.what {
                What::Resized { before } => Some(before),
                _ => None,
            },
            policy_before: match event.what {
                What::Moved { before } => Some(before),
                _ => None,
            },
        }
    }
}
