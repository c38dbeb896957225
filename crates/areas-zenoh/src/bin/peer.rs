//! One process of the tests: publishes or subscribes, says as JSON what it measured, and holds
//! until its standard input ends.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use areas_zenoh::{AreasBackend, clients, posix};
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::{Value, json};
use zenoh::bytes::ZBytes;
use zenoh::qos::CongestionControl;
use zenoh::shm::{
    BlockOn, GarbageCollect, PosixShmProviderBackend, ShmProvider, ShmProviderBackend, ShmProviderBuilder,
};
use zenoh::{Session, Wait as _};

const KEY: &str = "areas/zenoh/test";

#[derive(Debug, Parser)]
struct Cli {
    /// Make areas of Zenoh's own segments, too
    #[arg(long)]
    keep_nothing: bool,
    /// No shared memory at all
    #[arg(long)]
    no_shm: bool,
    /// Where the publisher listens
    #[arg(long)]
    endpoint: String,
    /// How many messages
    #[arg(long, default_value_t = 1)]
    count: u64,
    #[command(subcommand)]
    side: Side,
}

#[derive(Debug, Subcommand)]
enum Side {
    Publish {
        #[arg(long)]
        memory: Memory,
        /// Of a message
        #[arg(long)]
        size: usize,
        /// Of what messages are allocated in
        #[arg(long)]
        segment: usize,
    },
    Subscribe,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Memory {
    Areas,
    Posix,
}

fn main() -> zenoh::Result<()> {
    zenoh::init_log_from_env_or("error");
    let cli = Cli::parse();
    if cli.keep_nothing {
        posix::keep_nothing()?;
    }
    match &cli.side {
        Side::Publish { memory: Memory::Areas, size, segment } => {
            // In memory before the first message, as Zenoh's own segments are, which it locks.
            let backend =
                AreasBackend::new(areas::builder(*segment).name("areas-zenoh test").lock(areas::Lock::Full))?;
            let fd = backend.area().as_fd().as_raw_fd();
            let about = fs::metadata(format!("/proc/self/fd/{fd}"))?;
            let what = json!({"inode": about.ino(), "device": about.dev(), "area": backend.area_id().get()});
            publish(&cli, &ShmProviderBuilder::backend(backend).wait(), *size, what)
        }
        Side::Publish { memory: Memory::Posix, size, segment } => {
            let backend = PosixShmProviderBackend::builder(*segment).wait()?;
            publish(&cli, &ShmProviderBuilder::backend(backend).wait(), *size, json!({}))
        }
        Side::Subscribe => subscribe(&cli),
    }
}

fn session(cli: &Cli) -> zenoh::Result<Session> {
    let side = match cli.side {
        Side::Publish { .. } => "listen/endpoints",
        Side::Subscribe => "connect/endpoints",
    };
    let mut config = zenoh::Config::default();
    for (key, value) in [
        ("mode", "\"peer\"".to_owned()),
        (side, format!("[{:?}]", cli.endpoint)),
        ("scouting/multicast/enabled", "false".to_owned()),
        ("transport/shared_memory/enabled", (!cli.no_shm).to_string()),
        ("transport/shared_memory/mode", "\"init\"".to_owned()),
        // What the program did not put into shared memory is not put there by Zenoh.
        ("transport/shared_memory/transport_optimization/enabled", "false".to_owned()),
    ] {
        config.insert_json5(key, &value)?;
    }
    if matches!(cli.side, Side::Subscribe) {
        config.insert_json5("listen/endpoints", "[]")?;
    }
    zenoh::open(config).with_shm_clients(Arc::new(clients()?)).wait()
}

fn say(what: &Value) -> zenoh::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}")?;
    out.flush()?;
    Ok(())
}

fn hold() {
    // Ends when whoever started this closes the pipe, or is gone.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn publish<B: ShmProviderBackend>(
    cli: &Cli,
    provider: &ShmProvider<B>,
    size: usize,
    about: Value,
) -> zenoh::Result<()> {
    let session = session(cli)?;
    let publisher = session.declare_publisher(KEY).congestion_control(CongestionControl::Block).wait()?;
    say(&json!({"ready": true, "about": about}))?;
    let begun = Instant::now();
    while !publisher.matching_status().wait()?.matching() {
        if begun.elapsed() > Duration::from_secs(60) {
            return Err("no subscriber came for 60 s".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let begun = Instant::now();
    for number in 0..cli.count {
        let mut message = provider.alloc(size).with_policy::<BlockOn<GarbageCollect>>().wait()?;
        message.fill(pattern(number));
        message[..8].copy_from_slice(&number.to_le_bytes());
        publisher.put(message).wait()?;
    }
    say(&json!({"sent": cli.count, "seconds": begun.elapsed().as_secs_f64()}))?;
    hold();
    Ok(())
}

/// What a message is filled with.
fn pattern(number: u64) -> u8 {
    u8::try_from(number % 251).unwrap_or_default() + 1
}

fn subscribe(cli: &Cli) -> zenoh::Result<()> {
    let (give, take) = mpsc::channel();
    let session = session(cli)?;
    let before = anonymous()?;
    let _subscriber = session
        .declare_subscriber(KEY)
        .callback(move |sample| drop(give.send(sample.payload().clone())))
        .wait()?;
    say(&json!({"ready": true}))?;
    let (mut received, mut bytes, mut wrong, mut in_shm) = (0_u64, 0, 0_u64, 0_u64);
    let mut begun = None;
    let mut last: Option<ZBytes> = None;
    // One that was lost would be waited for: messages over shared memory may be, where a watchdog
    // was late.
    while let Ok(payload) = take.recv_timeout(Duration::from_secs(if received == 0 { 60 } else { 10 })) {
        let begun = *begun.get_or_insert_with(Instant::now);
        let content = payload.to_bytes();
        let number = content.first_chunk().map(|first| u64::from_le_bytes(*first)).unwrap_or(u64::MAX);
        let filled = content.get(8..).is_some_and(|rest| is_all(rest, pattern(number)));
        wrong += u64::from(!filled || number >= cli.count);
        in_shm += u64::from(payload.as_shm().is_some());
        bytes += content.len();
        received += 1;
        drop(content);
        last = Some(payload);
        if number.wrapping_add(1) == cli.count {
            let seconds = begun.elapsed().as_secs_f64();
            let payload = last.as_ref().expect("it was just set");
            let about = payload.as_shm().map(|shm| mapping_of(shm.as_ptr().addr())).transpose()?;
            let grown = anonymous()?.saturating_sub(before);
            say(&json!({
                "received": received, "in_shm": in_shm, "wrong": wrong, "bytes": bytes, "seconds": seconds,
                "lies_in": about, "anonymous_growth": grown,
            }))?;
            hold();
            break;
        }
    }
    if last.is_none() {
        return Err("no message came for 60 s".into());
    }
    Ok(())
}

/// Whether all bytes are this one: reads them word by word.
fn is_all(bytes: &[u8], byte: u8) -> bool {
    let word = u64::from_le_bytes([byte; 8]);
    let mut chunks = bytes.chunks_exact(8);
    let words = chunks
        .by_ref()
        .fold(0, |wrong, chunk| wrong | (u64::from_le_bytes(chunk.try_into().unwrap_or_default()) ^ word));
    words == 0 && chunks.remainder().iter().all(|rest| *rest == byte)
}

/// What the kernel says lies at an address of this process: inode, device and name.
fn mapping_of(address: usize) -> zenoh::Result<Value> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    for line in maps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [range, _, _, device, inode, name @ ..] = words.as_slice() else { continue };
        let Some((begin, end)) = range.split_once('-') else { continue };
        if (usize::from_str_radix(begin, 16)?..usize::from_str_radix(end, 16)?).contains(&address) {
            return Ok(json!({"inode": inode.parse::<u64>()?, "device": device, "name": name.join(" ")}));
        }
    }
    Err(format!("nothing is mapped at {address:#x}").into())
}

/// Bytes of private memory that this process has, as the kernel counts them.
fn anonymous() -> zenoh::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .ok_or("/proc/self/status has no RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
}
