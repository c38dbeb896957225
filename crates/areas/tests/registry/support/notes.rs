//! What an agent does with notes.

use std::time::{Duration, Instant};

use areas::registry;

use super::serve::{Failure, Holdings};

/// A note that shows whether it is whole: its length is its byte, and it says so at each place.
fn whole(turn: u8) -> Vec<u8> {
    vec![turn; usize::from(turn) + 1]
}

fn is_whole(note: &[u8]) -> bool {
    note.iter().all(|&byte| usize::from(byte) + 1 == note.len())
}

pub(crate) fn perform(words: &[&str], holdings: &mut Holdings) -> Result<String, Failure> {
    match *words {
        ["publish", name, note] => {
            let area = areas::builder(4096).name(name).note(note).shared()?;
            Ok(holdings.keep(area))
        }
        ["set", handle, ..] => {
            let note = words[2..].join(" ");
            let handle = handle.parse()?;
            holdings.areas.get_mut(&handle).ok_or("no such area".to_owned())?.set_note(note)?;
            Ok(String::new())
        }
        ["own", handle] => Ok(holdings.area(handle)?.note().to_string()),
        ["of", name] => {
            let source = registry::find(name)?;
            let (note, reported) = (source.note(), source.info()?.note);
            match *note == reported {
                true => Ok(note.to_string()),
                false => Err(format!("{note:?} {reported:?}").into()),
            }
        }
        // Both ways to clone: under the same name, and with a note of its own.
        ["clone", name] => Ok(holdings.keep(registry::find(name)?.cloning().same_name().open()?)),
        ["clone", name, note] => {
            Ok(holdings.keep(registry::find(name)?.cloning().same_name().note(note).open()?))
        }
        // Changes it all the time, for so many milliseconds.
        ["turn", handle, millis] => {
            let handle = handle.parse()?;
            let area = holdings.areas.get_mut(&handle).ok_or("no such area".to_owned())?;
            let end = Instant::now() + Duration::from_millis(millis.parse()?);
            let mut turns = 0_u64;
            while Instant::now() < end {
                area.set_note(whole(u8::try_from(turns % 251).unwrap_or(0)))?;
                turns += 1;
            }
            Ok(turns.to_string())
        }
        // Reads it all the time: how many different ones were seen, each of them whole.
        ["watch", name, millis] => {
            let end = Instant::now() + Duration::from_millis(millis.parse()?);
            let mut seen = std::collections::BTreeSet::new();
            while Instant::now() < end {
                let source = registry::find(name)?;
                let note = source.note().as_bytes();
                if !is_whole(note) {
                    return Err(format!("{note:?} is no note that anybody set").into());
                }
                seen.insert(note.len());
            }
            Ok(seen.len().to_string())
        }
        _ => Err(format!("unknown: note {words:?}").into()),
    }
}
