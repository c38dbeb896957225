//! A table of another server of Flight: its messages are written into a growing area, as `areas.arrow.put` would have written them.
//!
//! Such a server tells neither how many bytes will come nor their checksum, and sends no part of them again: so there is a bound on how many are
//! taken, and a connection that fails is the end of it. What came whole is read as a table before it is given back.

use areas::{Area, Bytes, Error, Frozen, Kind, PageSize, Result, Shared};
use arrow_flight::{FlightData, FlightInfo};
use arrow_ipc::{MessageHeader, root_as_message};
use indicatif::ProgressBar;
use tonic::Status;

use super::peer::Peer;
use crate::ipc::{self, Table};

/// More than so much is not taken of one message: it is in memory before it is in the area.
pub(crate) const MOST_FOREIGN: usize = 1 << 30;

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
}

impl TableDownload {
    /// Brings all endpoints' messages, one after the other; the area, and how many bytes of it they are.
    pub(crate) async fn run(self, info: &FlightInfo) -> Result<(Area<Frozen>, usize)> {
        let (mut at, mut schema) = (0, None);
        for endpoint in &info.endpoint {
            let Some(ticket) = endpoint.ticket.clone() else {
                return Err(self.refused("an endpoint has no ticket"));
            };
            let failed = |status: Status| self.peer.failed(&self.what, &status);
            let mut client = self.peer.connect(MOST_FOREIGN).await.map_err(failed)?;
            let mut stream = self.peer.within(client.do_get(ticket)).await.map_err(failed)?.into_inner();
            while let Some(data) = self.peer.within(stream.message()).await.map_err(failed)? {
                self.take(&data, &mut at, &mut schema)?;
            }
        }
        at = self.write(at, &[&ipc::END])?;
        self.bar.finish_and_clear();
        let frozen = self.area.freeze().map_err(Error::from)?;
        match Table::of(&frozen) {
            Some(table) if info.total_records < 0 || table.rows == info.total_records => Ok((frozen, at)),
            Some(table) => Err(Error::new(Kind::Io, self.what)
                .detail(format!("{} rows came, and {} were told", table.rows, info.total_records))),
            None => {
                Err(Error::new(Kind::Io, self.what).detail("what came is no table in Arrow's stream format"))
            }
        }
    }

    /// One message. The schema comes once for each endpoint, and must be the same.
    fn take(&self, data: &FlightData, at: &mut usize, schema: &mut Option<bytes::Bytes>) -> Result<()> {
        if data.data_header.is_empty() && data.data_body.is_empty() {
            // Metadata of the application's own.
            return Ok(());
        }
        let message = root_as_message(&data.data_header);
        let message = message.map_err(|error| self.refused(format!("a message has no sense: {error}")))?;
        if message.header_type() == MessageHeader::Schema {
            match schema {
                Some(before) if *before == data.data_header => return Ok(()),
                Some(_) => return Err(self.refused("its parts have different schemas")),
                None => *schema = Some(data.data_header.clone()),
            }
        }
        if usize::try_from(message.bodyLength()) != Ok(data.data_body.len()) {
            let told = message.bodyLength();
            return Err(
                self.refused(format!("a message has {} bytes, and tells of {told}", data.data_body.len()))
            );
        }
        let (prefix, padding) = ipc::around(data.data_header.len());
        *at = self.write(*at, &[&prefix, &data.data_header, padding, &data.data_body])?;
        Ok(())
    }

    /// Writes parts one after the other, in an area that is made large enough for them; where the next one begins.
    fn write(&self, mut at: usize, parts: &[&[u8]]) -> Result<usize> {
        let end = parts.iter().try_fold(at, |end, part| end.checked_add(part.len()));
        let end =
            end.and_then(|end| end.checked_next_multiple_of(ipc::ALIGNMENT)).filter(|&end| end <= self.most);
        let Some(end) = end else {
            return Err(Error::new(Kind::Limit, self.what.clone())
                .detail(format!("more than {:#} come", Bytes::from(self.most)))
                .help("`--max-size SIZE` takes more"));
        };
        if end > self.area.size() {
            self.area.grow(end.next_multiple_of(PageSize::base().bytes()))?;
        }
        for part in parts {
            self.area.write_at(at, part)?;
            at += part.len();
            self.bar.inc(part.len() as u64);
        }
        Ok(end)
    }

    fn refused(&self, detail: impl Into<String>) -> Error {
        Error::new(Kind::Io, self.what.clone())
            .detail(detail.into())
            .help("read it with pyarrow.flight: what does that say?")
    }
}
