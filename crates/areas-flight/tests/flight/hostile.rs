//! Servers that are broken, or mean harm: whatever they say, nothing is published, and the memory
//! is released.

use std::net::TcpListener;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use arrow_ipc::{
    Buffer, FieldNode, Message, MessageArgs, MessageHeader, MetadataVersion, RecordBatch, RecordBatchArgs,
};
use flatbuffers::FlatBufferBuilder;
use futures_core::Stream;
use serde_json::json;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::harness::{Held, Machine, assert_freed, objects_of, within};

type Result<T> = std::result::Result<T, Status>;

/// What a server says that an area has, and the batches that it sends.
#[derive(Clone, Debug)]
pub(crate) struct Hostile {
    /// `app_metadata` of the `FlightInfo`.
    pub(crate) metadata: serde_json::Value,
    sent: Vec<FlightData>,
    /// What happens after those.
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    End,
    /// The last one again, forever.
    Again,
    /// The last one again, ten times a second, forever.
    Drips,
    /// Nothing, forever.
    Silence,
}

fn metadata(size: u64) -> serde_json::Value {
    json!({
        "areas": 1, "id": 1, "name": "61", "size": size, "checksum": "00".repeat(16), "object": [1, 2],
        "host": null, "note": "", "table": false,
    })
}

/// A record batch of one column: what its header says of it, and its body.
fn batch_that_says(rows: i64, offset: i64, length: i64, body: Vec<u8>) -> FlightData {
    let mut builder = FlatBufferBuilder::new();
    let nodes = builder.create_vector(&[FieldNode::new(rows, 0)]);
    let buffers = builder.create_vector(&[Buffer::new(0, 0), Buffer::new(offset, length)]);
    let batch =
        RecordBatchArgs { length: rows, nodes: Some(nodes), buffers: Some(buffers), ..Default::default() };
    let batch = RecordBatch::create(&mut builder, &batch).as_union_value();
    let message = MessageArgs {
        version: MetadataVersion::V5,
        header_type: MessageHeader::RecordBatch,
        header: Some(batch),
        bodyLength: i64::try_from(body.len()).unwrap(),
        custom_metadata: None,
    };
    let message = Message::create(&mut builder, &message);
    builder.finish(message, None);
    FlightData::new().with_data_header(builder.finished_data().to_vec()).with_data_body(body)
}

pub(crate) fn batch(len: usize) -> FlightData {
    let rows = i64::try_from(len).unwrap();
    batch_that_says(rows, 0, rows, vec![7; len])
}

impl Hostile {
    pub(crate) fn new(size: u64, sent: Vec<FlightData>, then: Then) -> Self {
        Hostile { metadata: metadata(size), sent, then }
    }

    /// Starts it; its port. It ends with the test.
    pub(crate) fn start(self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap()
                .block_on(async {
                    let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener).unwrap());
                    let service = FlightServiceServer::new(self);
                    tonic::transport::Server::builder()
                        .add_service(service)
                        .serve_with_incoming(incoming)
                        .await
                        .unwrap();
                });
        });
        port
    }
}

pub(crate) struct Sent {
    left: std::vec::IntoIter<FlightData>,
    last: FlightData,
    then: Then,
    ticks: tokio::time::Interval,
}

impl Stream for Sent {
    type Item = Result<FlightData>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match (self.left.next(), self.then) {
            (Some(next), _) => Poll::Ready(Some(Ok(next))),
            (None, Then::End) => Poll::Ready(None),
            (None, Then::Again) => Poll::Ready(Some(Ok(self.last.clone()))),
            (None, Then::Drips) => self.ticks.poll_tick(cx).map(|_| Some(Ok(self.last.clone()))),
            // No process wakes it.
            (None, Then::Silence) => Poll::Pending,
        }
    }
}

/// What is listed; and then, perhaps, all of it again.
struct Listed(std::collections::VecDeque<FlightInfo>, Then);

impl Stream for Listed {
    type Item = Result<FlightInfo>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.0.pop_front();
        if self.1 == Then::Again {
            self.0.extend(next.clone());
        }
        Poll::Ready(next.map(Ok))
    }
}

type None_<T> = Pin<Box<dyn Stream<Item = Result<T>> + Send>>;

fn no<T>() -> Result<T> {
    Err(Status::unimplemented(""))
}

#[async_trait]
impl FlightService for Hostile {
    type HandshakeStream = None_<HandshakeResponse>;
    type ListFlightsStream = None_<FlightInfo>;
    type DoGetStream = Sent;
    type DoPutStream = None_<PutResult>;
    type DoExchangeStream = None_<FlightData>;
    type DoActionStream = None_<arrow_flight::Result>;
    type ListActionsStream = None_<ActionType>;

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>> {
        let endpoint = arrow_flight::FlightEndpoint::new().with_ticket(Ticket::new("it"));
        let info = FlightInfo::new().with_endpoint(endpoint).with_total_records(-1);
        Ok(Response::new(info.with_app_metadata(self.metadata.to_string().into_bytes())))
    }

    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Sent>> {
        let last = self.sent.last().cloned().unwrap_or_default();
        let ticks = tokio::time::interval(std::time::Duration::from_millis(100));
        Ok(Response::new(Sent { left: self.sent.clone().into_iter(), last, then: self.then, ticks }))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>> {
        no()
    }
    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>> {
        let info = FlightInfo::new().with_app_metadata(self.metadata.to_string().into_bytes());
        let path = FlightDescriptor::new_path(vec!["\u{1b}[31m\nred".to_owned()]);
        let infos = std::collections::VecDeque::from([
            info.clone(),
            info.with_app_metadata("").with_descriptor(path),
        ]);
        Ok(Response::new(Box::pin(Listed(infos, self.then))))
    }
    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>> {
        no()
    }
    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>> {
        no()
    }
    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>> {
        no()
    }
    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>> {
        no()
    }
    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>> {
        no()
    }
    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>> {
        no()
    }
}

/// What `areas fetch` makes of it: this exit status, with these words.
fn check(hostile: Hostile, code: i32, words: &str) {
    check_with(hostile, &[], code, words);
}

pub(crate) fn check_with(hostile: Hostile, more: &[&str], code: i32, words: &str) {
    let here = Machine::new();
    let shown = format!("{:?} {:?}", hostile.metadata, hostile.then);
    let port = hostile.start();
    let location = format!("127.0.0.1:{port}/a");
    let ran =
        here.run([&["fetch", &location, "--name", "a", "--timeout", "2", "--streams", "1"], more].concat());
    assert_eq!(ran.code, Some(code), "{shown}: {ran:?}");
    assert!(ran.stderr.contains(words), "{words:?} is not said of {shown}: {ran:?}");
    here.assert_empty();
}

#[test]
fn wrong_lengths() {
    let full = 1 << 20;
    let half = full / 2;
    let size = full as u64;
    check(
        Hostile::new(size, vec![batch(half)], Then::End),
        1,
        "it ended at byte 524288, and 1048576 were to come",
    );
    check(Hostile::new(size, vec![], Then::End), 1, "it ended at byte 0");
    check(
        Hostile::new(size, vec![batch(half), batch(full)], Then::End),
        1,
        "it sent 1048576 bytes where 524288 were left",
    );
    check(
        Hostile::new(size, vec![batch(full), batch(8)], Then::End),
        1,
        "it sent more than the 1048576 bytes",
    );
}

#[test]
fn streams_without_an_end() {
    check(Hostile::new(1 << 20, vec![batch(1 << 20)], Then::Again), 1, "it sent more than");
    check(Hostile::new(1 << 20, vec![batch(0)], Then::Again), 1, "a batch of no bytes");
    check(Hostile::new(1 << 20, vec![batch(8)], Then::Silence), 4, "nothing came for 2 s");
    check(Hostile::new(1 << 20, vec![], Then::Silence), 4, "nothing came for 2 s");
}

#[test]
fn other_bytes_than_were_reported() {
    check(
        Hostile::new(4096, vec![batch(4096)], Then::End),
        1,
        "those of the area have 00000000000000000000000000000000",
    );
}

#[test]
fn lengths_that_no_machine_has() {
    // Each is refused before a page is taken: by the library, which knows how much there is.
    check(Hostile::new(1 << 50, vec![batch(8)], Then::Again), 1, "help: ");
    check(Hostile::new(0, vec![], Then::End), 1, "it is said to have 0 bytes");
    check(Hostile::new(u64::MAX, vec![], Then::End), 1, "it is said to have 18446744073709551615 bytes");
    check(Hostile::new(u64::MAX / 2, vec![], Then::End), 1, "");
}

#[test]
fn messages_without_sense() {
    let size = 1 << 20;
    let nonsense = FlightData::new().with_data_header(vec![0xa5; 64]).with_data_body(vec![0; 64]);
    check(Hostile::new(size, vec![nonsense], Then::End), 1, "a message is invalid");
    check(Hostile::new(size, vec![FlightData::new()], Then::End), 1, "a message is invalid");
    for (rows, offset, length) in
        [(64, 0, 65), (64, 8, 64), (64, -8, 64), (-1, 0, -1), (64, i64::MAX, 64), (8, 0, 64)]
    {
        let lies = batch_that_says(rows, offset, length, vec![0; 64]);
        check(Hostile::new(size, vec![lies], Then::End), 1, "are its column");
    }
    // As large as it likes, if that is what was reported: it is gathered nowhere.
    check(Hostile::new(64 << 20, vec![batch(64 << 20)], Then::End), 1, "those of the area have");
}

#[test]
fn what_is_reported_without_sense() {
    for (field, value) in [
        ("name", json!("zz")),
        ("name", json!("00")),
        ("note", json!("0")),
        ("note", json!("61".repeat(300))),
    ] {
        let mut hostile = Hostile::new(4096, vec![batch(4096)], Then::End);
        hostile.metadata[field] = value;
        let words = if field == "name" { "name" } else { "note" };
        check(hostile, 2, words);
    }
    let mut hostile = Hostile::new(4096, vec![batch(4096)], Then::End);
    hostile.metadata["checksum"] = json!(null);
    check(hostile, 1, "its checksum is missing");
}

/// A server that is none of areas': a table of unknown length.
#[test]
fn tables_of_others_within_bounds() {
    let foreign = |sent, then| Hostile { metadata: json!("nothing of ours"), sent, then };
    check_with(
        foreign(vec![batch(1 << 20)], Then::Again),
        &["--max-size", "16M"],
        1,
        "more than 16.0 MiB come",
    );
    check_with(foreign(vec![batch(8)], Then::Silence), &[], 4, "nothing came for 2 s");
    check_with(foreign(vec![batch(8)], Then::End), &[], 1, "not a table in Arrow's stream format");
    check_with(foreign(vec![], Then::End), &[], 1, "not a table in Arrow's stream format");
    let lies = batch_that_says(64, 0, 64, vec![0; 64]).with_data_body(vec![0; 128]);
    check_with(foreign(vec![lies], Then::End), &[], 1, "has 128 bytes, and announces 64");
    let nonsense = FlightData::new().with_data_header(vec![0xa5; 64]);
    check_with(foreign(vec![nonsense], Then::End), &[], 1, "a message is invalid");
}

/// What others find it by here, and what a terminal shows, is not for a server to say.
#[test]
fn names_that_a_server_makes_up() {
    let mut other = Hostile::new(4096, vec![batch(4096)], Then::End);
    other.metadata["name"] = json!("62");
    check(other, 1, "an area of another name: \"b\"");
    let mut odd = Hostile::new(4096, vec![], Then::End);
    odd.metadata["name"] = json!("1b5b33316d0a");
    let here = Machine::new();
    let at = format!("127.0.0.1:{}", odd.start());
    for how in [&[][..], &["--quiet"], &["--json"]] {
        let ran = here.run([&["ls", "--at", &at], how].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(!ran.output.contains(&0x1b), "{ran:?}");
    }
    let endless = Hostile::new(4096, vec![], Then::Again);
    let ran = here.run(["ls", "--at", &format!("127.0.0.1:{}", endless.start())]);
    assert!(ran.code == Some(1) && ran.stderr.contains("more than"), "{ran:?}");
}

#[test]
fn a_claim_to_be_this_machine_is_looked_at() {
    // It names an area of this registry that is there, and says that it has other bytes: then what
    // it sends is fetched, and found to be wrong.
    let here = Machine::new();
    let _held = here.put("a", &[9; 4096]);
    let shown = here.show("a");
    let (_server, port) = here.serve(&["a"]);
    let ours = here.run(["fetch", &format!("127.0.0.1:{port}/a"), "--name", "b", "--", "true"]);
    assert_eq!(ours.code, Some(0), "{ours:?}");
    let mut hostile = Hostile::new(4096, vec![batch(4096)], Then::End);
    hostile.metadata["id"] = shown["id"].clone();
    hostile.metadata["host"] = json!("0".repeat(32));
    let ran = here.run(["fetch", &format!("127.0.0.1:{}/a", hostile.start()), "--name", "c"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("those of the area have 0000"), "{ran:?}");
}

#[test]
fn memory_is_given_back() {
    let here = Machine::new();
    let port = Hostile::new(64 << 20, vec![batch(8)], Then::Silence).start();
    let location = format!("127.0.0.1:{port}/a");
    let mut fetching = Held::started(&mut here.areas(["fetch", &location, "--name", "a", "--timeout", "3"]));
    let mut objects = Vec::new();
    let has = || {
        objects = fetching.all_children().iter().flat_map(|&pid| objects_of(pid)).collect();
        !objects.is_empty()
    };
    assert!(within(crate::harness::SOON, has));
    assert_eq!(fetching.ended().code, Some(4));
    assert_freed(&objects);
}

/// The process that fetches ends with the one that started it also where it is stopped, and sees
/// nothing.
#[test]
fn a_stopped_worker_ends_with_who_started_it() {
    let here = Machine::new();
    let port = Hostile::new(1 << 20, vec![batch(8)], Then::Silence).start();
    let location = format!("127.0.0.1:{port}/a");
    let mut fetching =
        Held::started(&mut here.areas(["fetch", &location, "--name", "a", "--timeout", "300"]));
    let mut objects = Vec::new();
    let has = || {
        objects = fetching.all_children().iter().flat_map(|&pid| objects_of(pid)).collect();
        !objects.is_empty()
    };
    assert!(within(crate::harness::SOON, has));
    let workers = fetching.all_children();
    for &worker in &workers {
        let stopped = std::process::Command::new("kill").args(["-STOP", &worker.to_string()]).status();
        assert!(stopped.unwrap().success());
    }
    fetching.kill();
    assert_freed(&objects);
}
