//! What an area is filled with: a file of known size, or a stream that is staged until it ends.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use areas::{Area, AreaBuilder, Bytes, Error, ErrorKind, PageSize, Placement, Private, Shared};

use crate::failure::io_error;
use crate::output::progress::Bar;
use crate::stdio;

/// Where the bytes come from.
#[derive(Debug)]
pub(crate) enum Contents {
    /// A regular file with that many bytes.
    File(File, usize),
    /// A pipe, a terminal, a device, a file of `/proc`: its end says how much there is.
    Stream(Box<File>),
}

impl Contents {
    /// Opens a file; `-` is the standard input.
    pub(crate) fn open(path: &Path) -> areas::Result<Self> {
        let failed = |error| io_error(format!("read {path:?}"), error);
        let mut file = match path.as_os_str() == "-" {
            true => standard_input()?,
            false => File::open(path).map_err(failed)?,
        };
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(Error::new(ErrorKind::Io, format!("read {path:?}"))
                .with_facts("it is a directory")
                .with_remedy("name a file; for a whole directory, an archive: `tar c DIR | areas put - …`"));
        }
        // Of the standard input, a process may have read a part.
        if !metadata.is_file() || is_made_up(&metadata) || file.stream_position().map_err(failed)? != 0 {
            return Ok(Contents::Stream(Box::new(file)));
        }
        let size = usize::try_from(metadata.len())
            .map_err(|_| Error::new(ErrorKind::Io, format!("read {path:?}")).with_facts("it is too large"))?;
        Ok(Contents::File(file, size))
    }

    /// Makes an area of just this size and fills it. `ask` makes the request for a size; progress
    /// is shown in the meantime.
    pub(crate) fn into_area(
        self,
        ask: impl Fn(usize) -> AreaBuilder<'static>,
        placement: Placement,
        quiet: bool,
    ) -> areas::Result<Area<Shared>> {
        match self {
            Contents::File(file, size) => {
                let mut area = ask(size).shared()?;
                let bar = Bar::new("filling", Some(size as u64), quiet);
                area.fill_from(&file, &mut bar.follow())?;
                Ok(area)
            }
            Contents::Stream(stream) => Stage::read(*stream, placement, quiet)?.into_area(ask),
        }
    }
}

/// Whether a file's size may be invented: files of `/proc` say that they are empty, those of `/sys`
/// that they are a page.
fn is_made_up(metadata: &Metadata) -> bool {
    metadata.blocks() == 0 && metadata.len() <= 64 << 10
}

fn standard_input() -> areas::Result<File> {
    stdio::input()
        .and_then(|()| io::stdin().as_fd().try_clone_to_owned())
        .map(File::from)
        .map_err(|error| io_error("read the standard input", error))
}

/// The first piece of a stage, and the largest: each is an eighth of what came before, so that one
/// of them twice is not much.
const SMALLEST: usize = 1 << 20;
const LARGEST: usize = 64 << 20;

/// What has come of a stream so far: private memory in pieces, placed as the area will be and taken
/// before it is read into, so that a stream that does not fit ends in an error and not in the
/// kernel's out-of-memory killer.
#[derive(Debug, Default)]
struct Stage {
    /// Each with the number of its bytes that are filled; only the last one is not full.
    pieces: Vec<(Area<Private>, usize)>,
}

impl Stage {
    fn read(mut stream: File, placement: Placement, quiet: bool) -> areas::Result<Self> {
        let bar = Bar::new("reading", None, quiet);
        let mut stage = Stage::default();
        let mut total = 0_usize;
        loop {
            let space = stage.space(total, placement)?;
            match stream.read(space) {
                Ok(0) => return Ok(stage),
                Ok(got) => {
                    stage.fill(got);
                    total += got;
                    bar.set(total as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let what = format!("continue reading after {}", Bytes::from(total));
                    return Err(io_error(what, error));
                }
            }
        }
    }

    /// Where the next bytes go.
    fn space(&mut self, total: usize, placement: Placement) -> areas::Result<&mut [u8]> {
        let full = self.pieces.last().is_none_or(|(piece, filled)| *filled == piece.size());
        if full {
            let mut piece =
                areas::builder((total / 8).clamp(SMALLEST, LARGEST)).place(placement).private()?;
            piece.populate()?;
            self.pieces.push((piece, 0));
        }
        match self.pieces.last_mut() {
            Some((piece, filled)) => Ok(&mut piece.as_bytes_mut()?[*filled..]),
            None => Ok(&mut []),
        }
    }

    fn fill(&mut self, got: usize) {
        if let Some((_, filled)) = self.pieces.last_mut() {
            *filled += got;
        }
    }

    /// Moves it into an area, piece after piece: at no time is more than one piece there twice.
    fn into_area(self, ask: impl Fn(usize) -> AreaBuilder<'static>) -> areas::Result<Area<Shared>> {
        let size = self.pieces.iter().map(|(_, filled)| filled).sum();
        // Writing has no error where there is no room: it ends in the out-of-memory killer.
        if let Some(largest) = self.pieces.iter().map(|(piece, _)| piece.size()).max() {
            areas::builder(largest).private()?.populate()?;
        }
        let area = ask(size).shared_or_empty()?;
        let failed = |error| io_error(format!("fill {area}"), error);
        let object = File::from(area.as_fd().try_clone_to_owned().map_err(failed)?);
        let mut at = 0;
        for (piece, filled) in self.pieces {
            let bytes = &piece.as_bytes()?[..filled];
            // Pages that come with their contents are not zeroed first. Those of the pool have
            // come, and cannot be written so. And physical memory is at another place in its file.
            let in_its_file =
                area.granted().page_size() == PageSize::base() && area.object().physical().is_none();
            match in_its_file {
                true => object.write_all_at(bytes, at as u64).map_err(failed)?,
                false => area.write_at(at, bytes)?,
            }
            at += filled;
        }
        Ok(area)
    }
}
