//! How much memory a transfer takes beyond the area: on either side some buffers, however large the
//! area is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use areas_testing::status;
use arrow_flight::FlightDescriptor;
use arrow_flight::flight_service_client::FlightServiceClient;
use tonic::Request;
use tonic::metadata::MetadataValue;

use crate::harness::{Held, Machine, SOON, bytes_of, within};
use crate::hostile::{Hostile, Then, batch};

const AREA: usize = 256 << 20;
/// For programs of this size, with buffers for four connections: a quarter of what one copy would
/// be.
const MAX: u64 = (AREA / 4) as u64;

/// What a process has of its own, in bytes: not what it shares, as an area is.
fn own(pid: u32) -> u64 {
    status::of(pid).ok().and_then(|status| status.bytes("RssAnon")).unwrap_or(0)
}

/// The most that processes have of their own while something happens.
fn most<T>(pids: impl Fn() -> Vec<u32> + Sync, happens: impl FnOnce() -> T) -> (u64, T) {
    let (most, going) = (AtomicU64::new(0), AtomicBool::new(true));
    let done = thread::scope(|scope| {
        scope.spawn(|| {
            while going.load(Ordering::Relaxed) {
                most.fetch_max(pids().into_iter().map(own).sum(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(2));
            }
        });
        let done = happens();
        going.store(false, Ordering::Relaxed);
        done
    });
    (most.into_inner(), done)
}

#[test]
fn neither_side_has_a_copy_beyond_the_area() {
    let (there, here) = (Machine::new(), Machine::new());
    let _held = there.put("a", &bytes_of(AREA));
    let (server, port) = there.serve(&["a"]);
    let (location, token) = (format!("127.0.0.1:{port}/a"), there.token());
    let arguments = ["fetch", &location, "--token-file", token.to_str().unwrap()];
    let fetching = Held::started(&mut here.areas(arguments));
    let receivers = || [vec![fetching.child.id()], fetching.all_children()].concat();
    let serving = server.child.id();
    let (of_server, (of_client, came)) = most(
        || vec![serving],
        || most(receivers, || within(SOON, || here.run(["show", "a"]).code == Some(0))),
    );
    assert!(came);
    eprintln!("of {} MiB: server {} MiB, client {} MiB", AREA >> 20, of_server >> 20, of_client >> 20);
    assert!(of_server > 0 && of_client > 0, "{of_server} {of_client}");
    assert!(of_server < MAX, "the server had {of_server} bytes");
    assert!(of_client < MAX, "the client had {of_client} bytes");
}

/// Into the area from a server of others, whose messages may be as large as they like.
#[test]
fn a_large_batch_of_another_server_is_gathered_nowhere() {
    let here = Machine::new();
    // It is not a table without a schema, and refused in the end; but before that it comes.
    let sent = vec![batch(AREA / 2)];
    let mut hostile = Hostile::new(0, sent, Then::End);
    hostile.metadata = serde_json::json!("nothing of ours");
    let location = format!("127.0.0.1:{}/a", hostile.start());
    let mut fetching = Held::started(&mut here.areas(["fetch", &location]));
    let fetcher = fetching.child.id();
    let children = || [vec![fetcher], crate::harness::children_of(fetcher)].concat();
    let (of_client, ran) = most(children, || fetching.ended());
    assert!(ran.stderr.contains("not a table in Arrow's stream format"), "{ran:?}");
    assert!(0 < of_client && of_client < MAX, "the client had {of_client} bytes");
}

/// A table's batch is one message, as large as it was written; and the server sends it from where
/// it lies.
#[test]
fn a_large_batch_of_a_table_is_copied_nowhere_on_the_server() {
    let there = Machine::new();
    let schema =
        arrow_schema::Schema::new(vec![arrow_schema::Field::new("a", arrow_schema::DataType::UInt8, false)]);
    let schema =
        arrow_flight::SchemaAsIpc::new(&schema, &arrow_ipc::writer::IpcWriteOptions::default()).into();
    let mut table = Vec::new();
    for arrow_flight::FlightData { data_header, data_body, .. } in [schema, batch(AREA)] {
        let padded = data_header.len().next_multiple_of(8);
        table.extend([0xff; 4]);
        table.extend(i32::try_from(padded).unwrap().to_le_bytes());
        table.extend_from_slice(&data_header);
        table.resize(table.len() + padded - data_header.len(), 0);
        table.extend_from_slice(&data_body);
    }
    table.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let _held = there.put("a", &table);
    drop(table);
    let (server, port) = there.serve(&["a"]);
    let token = std::fs::read_to_string(there.token()).unwrap();
    let with_token = |mut metadata: tonic::metadata::MetadataMap| {
        let header = MetadataValue::try_from(format!("Bearer {}", token.trim())).unwrap();
        metadata.insert("authorization", header);
        metadata
    };
    let serving = server.child.id();
    let (of_server, came) = most(
        || vec![serving],
        || {
            tokio::runtime::Runtime::new().unwrap().block_on(async {
                let endpoint =
                    tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
                let client = FlightServiceClient::new(endpoint.connect().await.unwrap());
                let mut client = client.max_decoding_message_size(usize::MAX);
                let mut asked = Request::new(FlightDescriptor::new_path(vec!["a".to_owned()]));
                *asked.metadata_mut() = with_token(asked.metadata().clone());
                let info = client.get_flight_info(asked).await.unwrap().into_inner();
                assert_eq!(info.total_records, i64::try_from(AREA).unwrap());
                let mut asked = Request::new(info.endpoint[0].ticket.clone().unwrap());
                *asked.metadata_mut() = with_token(asked.metadata().clone());
                let mut stream = client.do_get(asked).await.unwrap().into_inner();
                let mut came = 0;
                while let Some(data) = stream.message().await.unwrap() {
                    came += data.data_body.len();
                }
                came
            })
        },
    );
    assert_eq!(came, AREA);
    assert!(0 < of_server && of_server < MAX, "the server had {of_server} bytes");
}
