//! A table of another server of Flight: its messages are written into a growing area, as
//! `areas.arrow.put` would have written them.
//!
//! Such a server sends neither how many bytes will come nor their checksum, and sends no part of
//! them again: so there is a bound on how many are taken, and a connection that fails is the end of
//! it. What came whole is read as a table before it is released.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use areas::{Area, Bytes, Error, ErrorKind, Frozen, PageSize, Result, Shared};
use arrow_flight::FlightInfo;
use arrow_ipc::{MessageHeader, root_as_message};
use indicatif::ProgressBar;
use tonic::Status;

use super::incoming::{Ended, Head, Incoming};
use super::peer::Peer;
use crate::ipc::{self, Table};

/// What is being written.
#[derive(Debug)]
pub(crate) struct TableDownload {
    pub(crate) peer: Peer,
    /// What it is, for errors.
    pub(crate) what: String,
    pub(crate) area: Area<Shared>,
    /// Bytes at most.
    pub(crate) most: usize,
    pub(crate) bar: ProgressBar,
    /// Bytes that are in the area.
    pub(crate) came: Arc<AtomicU64>,
    /// There was room for so many bytes.
    pub(crate) room: usize,
}

/// So much room is asked for at a time, at least
const LEAST_AHEAD: usize = 4 << 20;
/// and at most, where messages are smaller.
const MAX_AHEAD: usize = 64 << 20;

impl TableDownload {
    /// Brings all endpoints' messages, one after the other; the area, and how many bytes of it they
    /// are.
    pub(crate) async fn run(mut self, info: &FlightInfo) -> Result<(Area<Frozen>, usize)> {
        let (came, pace, what) = (Arc::clone(&self.came), self.peer.pace, self.what.clone());
        let mut at = tokio::select! {
            at = self.bring(info) => at,
            slow = pace.too_slow(what, || came.load(Ordering::Relaxed)) => Err(slow),
        }?;
        at = self.write(at, &[&ipc::END])?;
        self.bar.finish_and_clear();
        let frozen = self.area.freeze().map_err(Error::from)?;
        match Table::of(&frozen) {
            Some(table) if info.total_records < 0 || table.rows == info.total_records => Ok((frozen, at)),
            Some(table) => Err(Error::new(ErrorKind::Io, self.what)
                .with_facts(format!("{} rows came, and {} were announced", table.rows, info.total_records))),
            None => Err(Error::new(ErrorKind::Io, self.what)
                .with_facts("what came is not a table in Arrow's stream format")),
        }
    }

    /// All messages of all endpoints; where they end in the area.
    async fn bring(&mut self, info: &FlightInfo) -> Result<usize> {
        let (mut at, mut schema) = (0, None);
        for endpoint in &info.endpoint {
            let Some(ticket) = &endpoint.ticket else {
                return Err(self.refused("an endpoint has no ticket"));
            };
            let (peer, what) = (self.peer.clone(), self.what.clone());
            let failed = |status: Status| peer.failed(&what, &status);
            let mut connection = peer.connect().await.map_err(failed)?;
            let mut incoming = peer.get(&mut connection, ticket).await.map_err(failed)?;
            while let Some(head) = incoming.head().await.map_err(|ended| self.ended(ended))? {
                self.take(&mut incoming, head, &mut at, &mut schema).await?;
            }
        }
        Ok(at)
    }

    /// One message. The schema comes once for each endpoint, and must be the same.
    async fn take(
        &mut self,
        incoming: &mut Incoming,
        Head { header, body }: Head,
        at: &mut usize,
        schema: &mut Option<bytes::Bytes>,
    ) -> Result<()> {
        if header.is_empty() && body == 0 {
            // Metadata of the application's own.
            return Ok(());
        }
        let message = root_as_message(&header);
        let message = message.map_err(|error| self.refused(format!("a message is invalid: {error}")))?;
        if message.header_type() == MessageHeader::Schema {
            match schema {
                Some(before) if *before == header => return Ok(()),
                Some(_) => return Err(self.refused("its parts have different schemas")),
                None => *schema = Some(header.clone()),
            }
        }
        if usize::try_from(message.bodyLength()) != Ok(body) {
            let reported = message.bodyLength();
            return Err(self.refused(format!("a message has {body} bytes, and announces {reported}")));
        }
        let (prefix, padding) = ipc::around(header.len());
        *at = self.write(*at, &[&prefix, &header, padding])?;
        let end = at.checked_add(body).and_then(|end| end.checked_next_multiple_of(ipc::ALIGNMENT));
        self.make_room(end)?;
        while let Some(part) = incoming.part().await.map_err(|ended| self.ended(ended))? {
            self.area.write_at(*at, &part)?;
            *at += part.len();
            self.count(part.len());
        }
        *at = at.next_multiple_of(ipc::ALIGNMENT);
        Ok(())
    }

    fn count(&self, bytes: usize) {
        self.came.fetch_add(bytes as u64, Ordering::Relaxed);
        self.bar.inc(bytes as u64);
    }

    fn ended(&self, ended: Ended) -> Error {
        match ended {
            Ended::Failed(status) => self.peer.failed(&self.what, &status),
            Ended::Nonsense(detail) => self.refused(detail),
        }
    }

    /// Writes parts one after the other, in an area that is made large enough for them; where the
    /// next one begins.
    fn write(&mut self, mut at: usize, parts: &[&[u8]]) -> Result<usize> {
        let end = parts.iter().try_fold(at, |end, part| end.checked_add(part.len()));
        let end = self.make_room(end.and_then(|end| end.checked_next_multiple_of(ipc::ALIGNMENT)))?;
        for part in parts {
            self.area.write_at(at, part)?;
            at += part.len();
            self.count(part.len());
        }
        Ok(end)
    }

    /// Has the area reach to there, if it may. Whether there is room is asked before, so that what
    /// it does not fit into is reported, and kills no process.
    fn make_room(&mut self, end: Option<usize>) -> Result<usize> {
        let Some(end) = end.filter(|&end| end <= self.most) else {
            return Err(Error::new(ErrorKind::Limit, self.what.clone())
                .with_facts(format!("more than {:#} come", Bytes::from(self.most)))
                .with_remedy("`--max-size SIZE` takes more"));
        };
        if end > self.area.size() {
            self.ask_for_room(end)?;
            self.area.grow(end.next_multiple_of(PageSize::base().bytes()))?;
        }
        Ok(end)
    }

    /// Asks for more than comes next, so that it is asked seldom. No page is taken for that: a page
    /// that were taken ahead would be zeroed first, and the area would keep it.
    fn ask_for_room(&mut self, end: usize) -> Result<()> {
        if self.room < end {
            // Never much more than there is already: it may all but fit.
            let ahead = (self.room / 2).clamp(LEAST_AHEAD, MAX_AHEAD).max(end - self.room);
            let asked = areas::machine::refuse_what_cannot_fit(ahead as u64);
            asked.map_err(|error| {
                let full = Error::new(error.kind(), self.what.clone());
                let detail = format!("{} are here, and more come: {error}", Bytes::from(self.area.size()));
                let help = error.remedy().unwrap_or("nothing was published").to_owned();
                full.with_facts(detail).with_remedy(help)
            })?;
            self.room = self.room.saturating_add(ahead);
        }
        Ok(())
    }

    fn refused(&self, detail: impl Into<String>) -> Error {
        Error::new(ErrorKind::Io, self.what.clone())
            .with_facts(detail.into())
            .with_remedy("read it with pyarrow.flight: what does that say?")
    }
}
