//! Who is too slow, on either side, is not waited for.

use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightDescriptor, FlightInfo};
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::harness::{Held, Machine, SOON, assert_freed, bytes_of, objects_of, within};
use crate::hostile::{Hostile, Then, batch, check_with};

#[test]
fn a_server_that_drips() {
    let drips = || Hostile::new(1 << 20, vec![batch(8)], Then::Drips);
    // The last one of the options counts.
    check_with(drips(), &["--min-rate", "1K"], 4, "less than 1.00 KiB a second");
    check_with(drips(), &["--min-rate", "0", "--max-time", "5"], 4, "which was not all");
    let not_ours = |mut hostile: Hostile| {
        hostile.metadata = serde_json::json!("nothing of ours");
        hostile
    };
    check_with(not_ours(drips()), &["--min-rate", "64K"], 4, "less than 64.0 KiB a second");
    // And one that goes on saying what is not of the area.
    let metadata = arrow_flight::FlightData::new().with_app_metadata("x");
    let talks = Hostile::new(1, vec![metadata], Then::Drips);
    check_with(not_ours(talks), &[], 4, "nothing of it came for 4 s");
}

/// A client of its own: with windows so small that nothing is read ahead.
async fn client(port: u16) -> FlightServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    let endpoint = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    FlightServiceClient::new(endpoint.connect().await.unwrap())
}

fn with_token<T>(there: &Machine, message: T) -> Request<T> {
    let token = std::fs::read_to_string(there.token()).unwrap();
    let mut request = Request::new(message);
    let header = MetadataValue::try_from(format!("Bearer {}", token.trim())).unwrap();
    request.metadata_mut().insert("authorization", header);
    request
}

async fn info(there: &Machine, client: &mut FlightServiceClient<Channel>) -> Result<FlightInfo, Status> {
    let path = FlightDescriptor::new_path(vec!["a".to_owned()]);
    client.get_flight_info(with_token(there, path)).await.map(tonic::Response::into_inner)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn a_client_that_does_not_read_pins_nothing_for_ever() {
    let there = Machine::new();
    let held = there.put("a", &bytes_of(8 << 20));
    let arguments = ["serve", "a", "--json", "--min-rate", "1M", "--timeout", "2"];
    let mut server = Held::start(&mut there.areas(arguments));
    let port = serde_json::from_str::<serde_json::Value>(&server.ready).unwrap()["port"].as_u64().unwrap();
    let pid = server.child.id();
    runtime().block_on(async {
        let mut client = client(u16::try_from(port).unwrap()).await;
        let ticket = info(&there, &mut client).await.unwrap().endpoint[0].ticket.clone().unwrap();
        let mut stream = client.do_get(with_token(&there, ticket)).await.unwrap().into_inner();
        // The schema comes, and then no process reads.
        stream.message().await.unwrap().unwrap();
        let objects = objects_of(pid);
        assert!(!objects.is_empty(), "the server holds the area while it sends it");
        // The holder goes; but for the client, the memory would be free.
        drop(held);
        assert_freed(&objects);
        let cut = loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it was reported as complete"),
                Err(status) => break status,
            }
        };
        assert_ne!(cut.code(), tonic::Code::Ok);
    });
    server.kill();
    let errors = server.errors();
    assert!(errors.contains("is cut off: it took") && errors.contains("--min-rate"), "{errors}");
}

#[test]
fn a_client_that_reads_slowly_but_enough_gets_all() {
    let there = Machine::new();
    let _held = there.put("a", &bytes_of(4 << 20));
    let (_server, port) = there.serve(&["a", "--min-rate", "256K", "--timeout", "2"]);
    runtime().block_on(async {
        let mut client = client(port).await;
        let ticket = info(&there, &mut client).await.unwrap().endpoint[0].ticket.clone().unwrap();
        let mut stream = client.do_get(with_token(&there, ticket)).await.unwrap().into_inner();
        let mut came = 0;
        let start = Instant::now();
        while let Some(data) = stream.message().await.unwrap() {
            came += data.data_body.len();
            tokio::time::sleep(Duration::from_millis(1500)).await;
        }
        assert_eq!(came, 4 << 20);
        assert!(start.elapsed() > Duration::from_secs(4));
    });
}

#[test]
fn connections_that_say_nothing_lock_no_client_out() {
    let (there, here) = (Machine::new(), Machine::new());
    let _held = there.put("a", &bytes_of(4096));
    let (_server, port) = there.serve(&["a"]);
    // More than a server takes at once.
    let silent: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let (location, token) = (format!("127.0.0.1:{port}/a"), there.token());
    let fetched = || {
        let arguments = ["fetch", &location, "--token-file", token.to_str().unwrap(), "--", "true"];
        here.areas(arguments).stderr(Stdio::null()).status().unwrap().success()
    };
    assert!(within(SOON, fetched));
    drop(silent);
}
