//! An area's bytes: several ranges at once, each of which goes on where it was when its connection
//! fails.
//!
//! Nothing that the server says is believed: each message must be the next bytes of its range, no
//! fewer than one and no more than are left, and at the end the checksum of all of them must be the
//! one that was reported at the beginning.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use areas::{Area, Error, ErrorKind, Frozen, Name, Result, Shared};
use arrow_flight::Ticket as FlightTicket;
use indicatif::ProgressBar;
use tokio::task::JoinSet;
use tonic::Status;

use super::incoming::{Ended, Head, Incoming};
use super::peer::{Client, Found, Peer};
use crate::checksum::Checksum;
use crate::complain;
use crate::failure::is_broken;
use crate::ipc::{self, Plain};
use crate::wire::{self, CHUNK, Form, Offered, Ticket};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// A download.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) peer: Peer,
    pub(crate) name: Name,
    /// What is reported of the area: again, by a server that was restarted.
    offered: Mutex<Offered>,
    pub(crate) checksum: Checksum,
    area: Area<Shared>,
    bar: ProgressBar,
    /// How often a range went on after a failure.
    resumed: AtomicU32,
    /// Bytes that are in the area.
    came: AtomicU64,
}

/// What was downloaded.
#[derive(Debug)]
pub(crate) struct Brought {
    pub(crate) frozen: Area<Frozen>,
    /// How often a range went on after a failure.
    pub(crate) resumed: u32,
    /// From the first question to the last byte.
    pub(crate) time: Duration,
}

/// Why an attempt ended before its range did.
enum Trouble {
    /// Another attempt may go further.
    Broken(Status),
    /// None will.
    Refused(Error),
}

impl From<Status> for Trouble {
    fn from(status: Status) -> Self {
        Trouble::Broken(status)
    }
}

impl Download {
    /// Into an area of the size that was reported.
    pub(crate) fn new(
        peer: Peer,
        name: Name,
        offered: Offered,
        checksum: Checksum,
        area: Area<Shared>,
        bar: ProgressBar,
    ) -> Arc<Self> {
        let (offered, resumed, came) = (Mutex::new(offered), AtomicU32::new(0), AtomicU64::new(0));
        Arc::new(Download { peer, name, offered, checksum, area, bar, resumed, came })
    }

    /// Brings all bytes, freezes the area, and compares it with the checksum.
    pub(crate) async fn run(self: Arc<Self>, streams: usize) -> Result<Brought> {
        let start = Instant::now();
        let mut ranges = JoinSet::new();
        for range in split(self.area.size(), streams) {
            ranges.spawn(Arc::clone(&self).range(range));
        }
        let all = async {
            while let Some(ended) = ranges.join_next().await {
                // The others end with the set.
                ended.map_err(|error| Error::new(ErrorKind::System, self.what()).caused_by(error))??;
            }
            Ok(())
        };
        tokio::select! {
            all = all => all,
            slow = self.peer.pace.too_slow(self.what(), || self.came.load(Ordering::Relaxed)) => Err(slow),
        }?;
        drop(ranges);
        let time = start.elapsed();
        let what = self.what();
        let whole = Arc::into_inner(self)
            .ok_or_else(|| Error::new(ErrorKind::System, what.clone()).with_facts("a range has not ended"))?;
        whole.bar.finish_and_clear();
        let frozen = whole.area.freeze().map_err(Error::from)?;
        let came = Checksum::of(&frozen);
        match came == whole.checksum {
            true => Ok(Brought { frozen, resumed: whole.resumed.into_inner(), time }),
            false => Err(Error::new(ErrorKind::Io, what)
                .with_facts(format!(
                    "the bytes that came have checksum {came}, and those of the area have {}",
                    whole.checksum
                ))
                .with_remedy("nothing was published; fetch it again")),
        }
    }

    fn what(&self) -> String {
        format!("fetch {:?} from {}", self.name, self.peer.place)
    }

    fn ended(&self, ended: Ended) -> Trouble {
        match ended {
            Ended::Failed(status) => Trouble::Broken(status),
            Ended::Nonsense(detail) => self.refused(detail),
        }
    }

    fn refused(&self, detail: impl Into<String>) -> Trouble {
        Trouble::Refused(
            Error::new(ErrorKind::Io, self.what())
                .with_facts(detail.into())
                .with_remedy("the server is not one of this version of areas, or not to be trusted"),
        )
    }

    /// One range, in as many attempts as it takes.
    async fn range(self: Arc<Self>, range: Range<usize>) -> Result<()> {
        let mut at = range.start;
        // When the last bytes came, not when a connection failed that had brought some.
        let (mut moved, mut reported) = (Instant::now(), false);
        loop {
            let before = at;
            let again = reported || before > range.start;
            let trouble = match self.attempt(&mut at, &mut moved, range.end, again).await {
                Ok(()) => return Ok(()),
                Err(Trouble::Refused(error)) => return Err(error),
                Err(Trouble::Broken(status)) if !is_broken(&status) => {
                    return Err(self.peer.failed(&self.what(), &status));
                }
                Err(Trouble::Broken(status)) => status,
            };
            reported &= at == before;
            if moved.elapsed() >= self.peer.timeout {
                let last = self.peer.failed(&self.what(), &trouble);
                return Err(Error::new(ErrorKind::TimedOut, self.what())
                    .with_facts(format!(
                        "at byte {at} nothing came for {} s; {}",
                        self.peer.timeout.as_secs_f64(),
                        last.facts().unwrap_or_default()
                    ))
                    .with_remedy("nothing was published; `--timeout SECONDS` waits longer"));
            }
            if !reported {
                let last = self.peer.failed(&self.what(), &trouble);
                self.bar.suspend(|| {
                    complain(&format!(
                        "connection lost at byte {at}, trying again: {}",
                        last.facts().unwrap_or_default()
                    ))
                });
                self.resumed.fetch_add(1, Ordering::Relaxed);
                reported = true;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What comes over one connection.
    async fn attempt(
        &self,
        at: &mut usize,
        moved: &mut Instant,
        to: usize,
        again: bool,
    ) -> std::result::Result<(), Trouble> {
        let mut connection = self.peer.connect().await?;
        if again {
            self.is_still_the_same(&mut connection.client).await?;
        }
        let ticket = {
            let offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
            Ticket::new(offered.id, offered.object, Form::Bytes, *at as u64, to as u64)
        };
        let ticket = FlightTicket::new(wire::encode(&ticket));
        let mut incoming = self.peer.get(&mut connection, &ticket).await?;
        let mut has_schema = false;
        while *at < to {
            let Some(Head { header, body }) = incoming.head().await.map_err(|ended| self.ended(ended))?
            else {
                return Err(self.refused(format!("it ended at byte {at}, and {to} were to come")));
            };
            match ipc::plain(&header, body).map_err(|detail| self.refused(detail))? {
                Plain::Schema if !has_schema => has_schema = true,
                Plain::Schema => return Err(self.refused("it sent a second schema")),
                Plain::Bytes(bytes) if bytes.is_empty() => {
                    return Err(self.refused("it sent a batch of no bytes"));
                }
                Plain::Bytes(bytes) if bytes.len() > to - *at => {
                    return Err(self.refused(format!(
                        "it sent {} bytes where {} were left",
                        bytes.len(),
                        to - *at
                    )));
                }
                Plain::Bytes(bytes) => self.take(&mut incoming, bytes, at, moved).await?,
            }
        }
        match incoming.head().await {
            Ok(Some(_)) => Err(self.refused(format!("it sent more than the {to} bytes that were to come"))),
            // All is there: how the connection ends does not matter.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// These bytes of a message's body, as they come.
    async fn take(
        &self,
        incoming: &mut Incoming,
        bytes: Range<usize>,
        at: &mut usize,
        moved: &mut Instant,
    ) -> std::result::Result<(), Trouble> {
        let mut from = 0;
        while from < bytes.end {
            let Some(mut part) = incoming.part().await.map_err(|ended| self.ended(ended))? else { break };
            let to = from + part.len();
            part.truncate(bytes.end.saturating_sub(from));
            let part = part.slice(bytes.start.saturating_sub(from).min(part.len())..);
            self.area.write_at(*at, &part).map_err(Trouble::Refused)?;
            (from, *at, *moved) = (to, *at + part.len(), Instant::now());
            self.came.fetch_add(part.len() as u64, Ordering::Relaxed);
            self.bar.inc(part.len() as u64);
        }
        Ok(())
    }

    /// After a failure: whether it would go on with the same bytes.
    async fn is_still_the_same(&self, client: &mut Client) -> std::result::Result<(), Trouble> {
        let Found::Ours(now) = self.peer.ask(client, &self.name).await? else {
            return Err(self.refused("another server answers there now"));
        };
        let same = now.size == self.area.size() as u64 && now.checksum == Some(self.checksum);
        if !same {
            let error = Error::new(ErrorKind::Io, self.what())
                .with_facts("the connection was lost, and by now there is another area of that name")
                .with_remedy("nothing was published; fetch it again");
            return Err(Trouble::Refused(error));
        }
        *self.offered.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(())
    }
}

/// So many ranges that cover all, each of whole chunks but for the last.
fn split(size: usize, streams: usize) -> Vec<Range<usize>> {
    let chunks = size.div_ceil(CHUNK);
    let each = chunks.div_ceil(streams.max(1)).max(1) * CHUNK;
    (0..size).step_by(each).map(|from| from..size.min(from.saturating_add(each))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_all() {
        for (size, streams) in
            [(1, 4), (CHUNK, 4), (CHUNK + 1, 4), (CHUNK * 9 + 5, 4), (CHUNK * 64, 64), (CHUNK * 3, 1)]
        {
            let ranges = split(size, streams);
            assert!(ranges.len() <= streams, "{ranges:?}");
            let mut at = 0;
            for range in &ranges {
                assert_eq!((range.start, range.start % CHUNK), (at, 0));
                assert!(!range.is_empty());
                at = range.end;
            }
            assert_eq!(at, size);
        }
    }
}
