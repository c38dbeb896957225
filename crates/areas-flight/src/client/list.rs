//! `areas ls --at`: what a server offers, as JSON.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use areas::Result;
use arrow_flight::{Criteria, FlightInfo};
use prost::Message as _;
use serde::Serialize;
use tonic::Status;

use super::peer::Peer;
use crate::args::List;
use crate::wire::{self, Offered};
use crate::{print, runtime};

/// More areas than so many are not listed: the server may never end.
const MAX: usize = 100_000;
/// And what is reported of all of them is no larger.
const MAX_BYTES: u64 = 256 << 20;

#[derive(Debug, Serialize)]
struct Listing {
    schema: u32,
    at: String,
    areas: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    name_bytes: Option<String>,
    size: Option<u64>,
    rows: Option<u64>,
    table: Option<bool>,
    id: Option<i32>,
    note: Option<String>,
}

pub(crate) fn list(list: &List) -> Result<ExitCode> {
    let peer = Peer::new(list.at.clone(), &list.reaching, false)?;
    let what = format!("list what {} offers", peer.place);
    let came = AtomicU64::new(0);
    let infos = runtime()?.block_on(async {
        tokio::select! {
            infos = ask(&peer, &came) => infos.map_err(|status| peer.failed(&what, &status)),
            slow = peer.pace.too_slow(what.clone(), || came.load(Ordering::Relaxed)) => Err(slow),
        }
    })?;
    let areas = infos.iter().map(listed).collect::<Result<_>>()?;
    let listing = Listing { schema: 1, at: peer.place.to_string(), areas };
    print(&String::from_utf8_lossy(&wire::encode(&listing)))?;
    Ok(ExitCode::SUCCESS)
}

async fn ask(peer: &Peer, came: &AtomicU64) -> std::result::Result<Vec<FlightInfo>, Status> {
    let mut connection = peer.connect().await?;
    let mut stream = peer.within(connection.client.list_flights(Criteria::default())).await?.into_inner();
    let mut infos = Vec::new();
    while let Some(info) = peer.within(stream.message()).await? {
        if infos.len() == MAX {
            return Err(Status::out_of_range(format!("it lists more than {MAX} areas")));
        }
        let size = info.encoded_len() as u64;
        if came.fetch_add(size, Ordering::Relaxed) + size > MAX_BYTES {
            return Err(Status::out_of_range(format!("what it lists has more than {MAX_BYTES} bytes")));
        }
        infos.push(info);
    }
    Ok(infos)
}

fn listed(info: &FlightInfo) -> Result<Listed> {
    let Some(offered) = wire::decode::<Offered>(&info.app_metadata) else {
        let path = info.flight_descriptor.as_ref().map(|descriptor| descriptor.path.join("/"));
        let number = |number: i64| u64::try_from(number).ok();
        return Ok(Listed {
            name: path.unwrap_or_default(),
            name_bytes: None,
            size: number(info.total_bytes),
            rows: number(info.total_records),
            table: None,
            id: None,
            note: None,
        });
    };
    let (name, note) = (offered.name()?, offered.note()?);
    let bytes = name.as_bytes();
    Ok(Listed {
        name: String::from_utf8_lossy(bytes).into_owned(),
        name_bytes: std::str::from_utf8(bytes).is_err().then(|| format!("hex:{}", crate::hex::hex(bytes))),
        size: Some(offered.size),
        rows: u64::try_from(info.total_records).ok().filter(|_| offered.table),
        table: Some(offered.table),
        id: Some(offered.id),
        note: Some(String::from_utf8_lossy(note.as_bytes()).into_owned()).filter(|note| !note.is_empty()),
    })
}
