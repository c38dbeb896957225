//! A process that the tour starts: it finds the area by its name, holds a clone of it under the
//! same name, and compares it with the file as often as it is asked to. It ends with its standard
//! input, which is the tour's end of a pipe.

use std::fs::File;
use std::io::{self, BufRead};
use std::os::unix::fs::FileExt;
use std::process::ExitCode;

use areas::{PageBuffer, Protection, registry};
use serde::{Deserialize, Serialize};

use super::args::TourWorker;
use super::machine;
use crate::failure::{Result, io_error};
use crate::output;

/// What the tour asks for, one a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Question {
    /// Compare the area with the file: through its mapping, a small piece at a time.
    Compare,
    /// The same with the bytes that a frozen area lends, where they are.
    CompareLent,
}

/// What the worker answers, one a line.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    /// The bytes that are the same, counted from the first one.
    pub(super) same: u64,
    /// Bytes by which the worker's own memory has grown since it started.
    pub(super) own: u64,
    /// Bytes of shared memory that it has touched.
    pub(super) touched: u64,
}

/// The piece of the file that is in memory at a time.
const PIECE: usize = 256 << 10;

pub(crate) fn run(worker: &TourWorker) -> Result<ExitCode> {
    let own = machine::own_memory()?;
    let file =
        File::open(&worker.file).map_err(|error| io_error(format!("read {:?}", worker.file), error))?;
    let source = registry::find(worker.name.as_bytes())?;
    // Held under the name of its source: it is found when the source has gone.
    let area = source.cloning().protection(Protection::READ).same_name().open()?;
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| io_error("read the tour's questions", error))?;
        let question: Question = serde_json::from_str(&line)
            .map_err(|error| io_error(format!("understand {line:?}"), error.into()))?;
        let mut found = match question {
            Question::Compare => {
                let mut buffer = PageBuffer::new(PIECE);
                compare(&file, area.size(), |at, piece| {
                    let ours = &mut buffer[..piece.len()];
                    area.read_at(at, ours)?;
                    Ok(ours == piece)
                })?
            }
            Question::CompareLent => {
                let frozen = registry::find(worker.name.as_bytes())?.open_frozen()?;
                compare(&file, frozen.len(), |at, piece| Ok(&frozen[at..at + piece.len()] == piece))?
            }
        };
        found.own = found.own.saturating_sub(own);
        let text = serde_json::to_string(&found).map_err(|error| io_error("answer", error.into()))?;
        output::print_raw(&(text + "\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares a file with `size` bytes, piece by piece, up to the first piece that is not the same.
/// The memory in use is looked at before any of it is released.
fn compare(
    file: &File,
    size: usize,
    mut is_same: impl FnMut(usize, &[u8]) -> areas::Result<bool>,
) -> areas::Result<Answer> {
    let mut piece = PageBuffer::new(PIECE);
    let mut at = 0;
    while at < size {
        let part = &mut piece[..PIECE.min(size - at)];
        file.read_exact_at(part, at as u64).map_err(|error| io_error("read the file", error))?;
        if !is_same(at, part)? {
            break;
        }
        at += part.len();
    }
    Ok(Answer { same: at as u64, own: machine::own_memory()?, touched: machine::touched_shared_memory()? })
}
