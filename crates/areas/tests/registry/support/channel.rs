//! A line each way: what tests and agents talk over.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// An agent that says nothing for so long hangs. In a guest, whose processors are emulated, it may
/// be at a hundred thousand areas for minutes.
fn timeout() -> Duration {
    match std::env::var_os("AREAS_GUEST") {
        None => Duration::from_secs(60),
        Some(_) => Duration::from_secs(1200),
    }
}

/// One end.
#[derive(Debug)]
pub(crate) struct Channel(BufReader<UnixStream>);

impl Channel {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Channel(BufReader::new(stream))
    }

    /// Two ends: the second one as what a new process gets for its standard input.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(timeout()))?;
        Ok((Channel::new(ours), theirs.into()))
    }

    pub(crate) fn send(&mut self, line: &str) -> io::Result<()> {
        debug_assert!(!line.contains('\n'), "a message is one line: {line:?}");
        self.0.get_mut().write_all(format!("{line}\n").as_bytes())
    }

    /// `None` when the other end is gone.
    pub(crate) fn receive(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(line.trim_end_matches('\n').to_owned())),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.0.into_inner().into()
    }
}

/// Where a forked child reports. The name is not a file, so that every user and every mount
/// namespace can come.
#[derive(Debug)]
pub(crate) struct Ear {
    listener: UnixListener,
    pub(crate) name: String,
}

impl Ear {
    pub(crate) fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("areas-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        listener.set_nonblocking(true)?;
        Ok(Ear { listener, name })
    }

    pub(crate) fn accept(&self) -> io::Result<Channel> {
        let deadline = Instant::now() + timeout();
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    stream.set_read_timeout(Some(timeout()))?;
                    return Ok(Channel::new(stream));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The child's part.
    pub(crate) fn call(name: &str) -> io::Result<Channel> {
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?).map(Channel::new)
    }
}
