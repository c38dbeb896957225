//! `areas rename`: an area under another name, by its holder.

use std::process::ExitCode;

use serde::Serialize;

use super::args::Rename;
use crate::asking::ask::{self, Holder, Within};
use crate::failure::Result;
use crate::output::{self, json};
use crate::request::Request;
use crate::target;

pub(crate) fn run(rename: &Rename, quiet: bool) -> Result<ExitCode> {
    let source = rename.area.find()?;
    let (id, pid) = (source.id(), source.pid());
    let within = Within::new(rename.timeout);
    let what = format!("rename area {id} {:?}", source.name());
    let holder = Holder::of(pid, &within).map_err(|why| {
        let otherwise = "`areas publish` gives it one more name, and holds it";
        ask::does_not_answer(pid, (why, &within), what.clone(), otherwise)
    })?;
    let request =
        Request::Rename { id: id.get(), name: rename.name.as_bytes().to_vec(), exclusive: rename.exclusive };
    let new = holder.ask(&request, &what, &within)?;
    let printed = if rename.json {
        let name = String::from_utf8_lossy(rename.name.as_bytes()).into_owned();
        let row = RenameJson { id: new, name, name_bytes: target::in_hex(&rename.name), pid, was: id.get() };
        json::print(row, false)
    } else if quiet {
        output::print(&format!("{new}\n"))
    } else {
        output::print(&format!(
            "area {new} {:?}, which was area {id} {:?}: held by process {pid}\n",
            rename.name,
            source.name()
        ))
    };
    output::after(|| format!("area {id} {:?} is area {new} {:?} now", source.name(), rename.name), printed)?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, Serialize)]
struct RenameJson {
    /// Its id from now on, and before.
    id: i32,
    name: String,
    name_bytes: Option<String>,
    pid: u32,
    was: i32,
}
