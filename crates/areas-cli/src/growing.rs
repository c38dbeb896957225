//! `areas put --follow`: an area that grows as a stream comes in.
//!
//! A thread reads; the one that holds the area makes it larger, writes, and notes how many bytes
//! are there, in this order: who reads the note finds the bytes. Two buffers go back and forth, so
//! that no process reads more than there is room for.

use std::fs::File;
use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver, SyncSender};

use areas::{AnyArea, Error, ErrorKind, PageBuffer};

use crate::event::{Came, Event};
use crate::failure::io_error;
use crate::output;

/// Bytes that are read at a time.
const BUFFER: usize = 256 << 10;

/// How far it is.
#[derive(Debug)]
pub(crate) struct Growing {
    stream: Option<File>,
    /// For buffers that may be filled again; dropped, the reader ends.
    spare: Option<SyncSender<PageBuffer>>,
    so_far: usize,
    freeze: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Comes,
    Ended,
    Frozen,
    Failed,
}

impl Growing {
    pub(crate) fn new(stream: File, freeze: bool) -> Self {
        Growing { stream: Some(stream), spare: None, so_far: 0, freeze, state: State::Comes }
    }

    /// What is noted beside the area.
    pub(crate) fn note(&self) -> String {
        let state = match self.state {
            State::Comes => "no",
            State::Ended | State::Frozen => "yes",
            State::Failed => "error",
        };
        format!("bytes={} ended={state}", self.so_far)
    }

    /// Begins to read.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(crate) fn start(mut self, events: mpsc::Sender<Event>) -> areas::Result<Self> {
        let (spare, buffers) = mpsc::sync_channel(2);
        for _ in 0..2 {
            // There is room for two.
            let _ = spare.send(PageBuffer::new(BUFFER));
        }
        if let Some(stream) = self.stream.take() {
            std::thread::Builder::new()
                .name("stream".to_owned())
                .spawn(move || read(stream, &buffers, &events))
                .map_err(|error| Error::new(ErrorKind::System, "read a stream").caused_by(error))?;
        }
        self.spare = Some(spare);
        Ok(self)
    }

    /// Takes what came into the area. What goes wrong ends it and is reported; what came before
    /// stays.
    pub(crate) fn take(&mut self, area: &mut AnyArea, came: Came) {
        if self.state != State::Comes {
            return;
        }
        match came {
            Came::Bytes(buffer, len) => match append(area, self.so_far, &buffer[..len]) {
                Ok(()) => {
                    self.so_far += len;
                    // It has room for both.
                    self.spare.as_ref().map(|spare| spare.send(buffer));
                }
                Err(error) => self.end(Some(error)),
            },
            Came::End(Ok(())) => self.end(None),
            Came::End(Err(error)) => {
                self.end(Some(io_error(format!("continue reading after {} bytes", self.so_far), error)));
            }
        }
        if let Err(error) = area.set_note(self.note()) {
            output::complain(&format!("{error:#}"));
        }
    }

    fn end(&mut self, error: Option<Error>) {
        self.spare = None;
        self.state = if error.is_some() { State::Failed } else { State::Ended };
        if let Some(error) = error {
            output::complain(&format!("{error:#}\nthe {} bytes before are held", self.so_far));
        }
    }

    /// Whether it has just ended, and is to be frozen: asked once.
    pub(crate) fn wants_freezing(&self) -> bool {
        self.freeze && self.state == State::Ended
    }

    /// It was tried.
    pub(crate) fn tried_freezing(&mut self) {
        self.state = State::Frozen;
    }
}

fn append(area: &AnyArea, at: usize, bytes: &[u8]) -> areas::Result<()> {
    let AnyArea::Shared(area) = area else {
        return Err(Error::new(ErrorKind::Frozen, format!("write {area}"))
            .with_facts("another process has frozen it"));
    };
    let end = at.saturating_add(bytes.len());
    if end > area.size() {
        area.grow(end)?;
    }
    area.write_at(at, bytes)
}

fn read(mut stream: File, buffers: &Receiver<PageBuffer>, events: &mpsc::Sender<Event>) {
    while let Ok(mut buffer) = buffers.recv() {
        let came = loop {
            match stream.read(&mut buffer) {
                Ok(0) => break Came::End(Ok(())),
                Ok(len) => break Came::Bytes(buffer, len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Came::End(Err(error)),
            }
        };
        let ends = matches!(came, Came::End(_));
        if events.send(Event::Came(came)).is_err() || ends {
            return;
        }
    }
}
