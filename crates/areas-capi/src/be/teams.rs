//! Teams: processes, as `OS.h` describes them.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::collections::BTreeSet;
use std::ffi::c_void;

use areas::{files, registry};

use super::errors::{BAD_ADDRESS, BAD_TEAM_ID, BAD_VALUE, ERROR, OK, Status, wrong};
use super::layout::{self, TeamInfo};
use super::proc;
use crate::edge::catch_panic;

const WHAT: &str = "describe a team";

fn describe(team: i32) -> Result<TeamInfo, Status> {
    let gone = || wrong(BAD_TEAM_ID, WHAT, "no live process has that number");
    let id = if team == 0 { i32::try_from(std::process::id()).unwrap_or(0) } else { team };
    registry::join_once();
    let (stat, words) = proc::team(id).ok_or_else(gone)?;
    let ids = |key| {
        let mut ids = words.numbers(key);
        (ids.next().unwrap_or(u32::MAX), ids.next().unwrap_or(u32::MAX))
    };
    let ((real_uid, uid), (real_gid, gid)) = (ids("Uid"), ids("Gid"));
    let arguments = files::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let arguments = arguments.strip_suffix(b"\0").unwrap_or(&arguments);
    let argc = if arguments.is_empty() { 0 } else { arguments.split(|&byte| byte == 0).count() };
    let spaced: Vec<u8> = arguments.iter().map(|&byte| if byte == 0 { b' ' } else { byte }).collect();
    Ok(TeamInfo {
        team: id,
        thread_count: stat.threads(),
        image_count: count(images(id)),
        area_count: count(areas_of(id)),
        debugger_nub_thread: -1,
        debugger_nub_port: -1,
        argc: count(argc),
        args: layout::field(&spaced),
        uid,
        gid,
        real_uid,
        real_gid,
        group_id: stat.group(),
        session_id: stat.session(),
        parent: stat.parent(),
        name: layout::field(&stat.name),
        start_time: stat.started(),
    })
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The programs and libraries that it has mapped; 0 where they may not be seen.
fn images(id: i32) -> usize {
    // Paths in it may be in any encoding.
    let maps = files::read(format!("/proc/{id}/maps")).unwrap_or_default();
    let maps = String::from_utf8_lossy(&maps);
    let code = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let executable = words.nth(1)?.contains('x');
        let file = words.nth(3)?;
        (executable && file.starts_with('/')).then(|| file.to_owned())
    };
    maps.lines().filter_map(code).collect::<BTreeSet<_>>().len()
}

/// How many areas it has published; 0 where they may not be seen.
fn areas_of(id: i32) -> usize {
    let (Ok(pid), mut after, mut areas) = (u32::try_from(id), 0, 0) else { return 0 };
    while let Ok(Some(area)) = registry::next(pid, after) {
        after = area.address();
        areas += 1;
    }
    areas
}

fn check(info: *mut c_void, size: usize) -> Result<(), Status> {
    if info.is_null() {
        return Err(wrong(BAD_ADDRESS, WHAT, "the pointer to the structure is NULL"));
    }
    // Programs of BeOS's know its first fields only.
    if size == 0 || size > size_of::<TeamInfo>() {
        return Err(wrong(BAD_VALUE, WHAT, "the structure has another size"));
    }
    Ok(())
}

/// The description of a team; 0 is the caller's.
///
/// # Safety
/// `info` is NULL, or points to `size` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn _get_team_info(team: i32, info: *mut c_void, size: usize) -> i32 {
    catch_panic(ERROR, || match check(info, size).and_then(|()| describe(team)) {
        Ok(found) => {
            // SAFETY: not NULL, and `size` is at most the structure's (both checked); then there
            // are `size` bytes (the caller).
            unsafe { layout::put_prefix(info, &found, size) };
            OK
        }
        Err(status) => status,
    })
}

/// The description of the next team, in the order of their numbers: `BAD_TEAM_ID` after the last.
///
/// # Safety
/// `cookie` is NULL or points to a number; `info` is NULL, or points to `size` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn _get_next_team_info(cookie: *mut i32, info: *mut c_void, size: usize) -> i32 {
    catch_panic(ERROR, || {
        // SAFETY: `cookie` is NULL, or points to a number (the caller).
        let Some(after) = (unsafe { layout::get(cookie) }) else {
            return wrong(BAD_ADDRESS, WHAT, "the pointer to the cookie is NULL");
        };
        if let Err(status) = check(info, size) {
            return status;
        }
        // One that ended concurrently is passed over.
        let next = proc::numbers_of_teams()
            .into_iter()
            .filter(|&team| team > after)
            .find_map(|team| describe(team).ok());
        let Some(found) = next else { return wrong(BAD_TEAM_ID, WHAT, "it was the last one") };
        // SAFETY: `cookie` is NULL, or points to room for the value (the caller).
        unsafe { layout::put(cookie, found.team) };
        // SAFETY: not NULL, and `size` is at most the structure's (both checked); then there are
        // `size` bytes (the caller).
        unsafe { layout::put_prefix(info, &found, size) };
        OK
    })
}
