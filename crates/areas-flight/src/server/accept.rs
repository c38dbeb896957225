//! Connections: not more than a process has room for, none that never says who it is, and each can
//! be ended.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tonic::transport::server::Connected;

/// So many at once; whoever comes then waits. Each takes two descriptors, and a process has 1024,
/// mostly.
const MAX: usize = 256;
/// A client that has not made a call with the token by then is disconnected.
const FIRST_CALL: Duration = Duration::from_secs(20);
/// After a connection could not be taken: there may be descriptors again.
const PAUSE: Duration = Duration::from_millis(100);

/// What is known of a connection, by whatever happens on it.
#[derive(Debug)]
pub(crate) struct Line {
    /// The same socket, for ending it.
    socket: OwnedFd,
    pub(crate) peer: SocketAddr,
    admitted: AtomicBool,
}

impl Line {
    /// Ends it, with all calls on it. What they held is free once the other side of the socket has
    /// seen that.
    pub(crate) fn cut(&self) {
        // It may have ended by itself.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    pub(crate) fn was_admitted(&self) {
        self.admitted.store(true, Ordering::Relaxed);
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    line: Arc<Line>,
    _one_of_so_many: OwnedSemaphorePermit,
}

impl Wire {
    fn new(stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let socket = stream.as_fd().try_clone_to_owned()?;
        let line = Arc::new(Line { socket, peer, admitted: AtomicBool::new(false) });
        Ok(Wire { stream, line, _one_of_so_many: permit })
    }
}

impl Connected for Wire {
    type ConnectInfo = Arc<Line>;

    fn connect_info(&self) -> Arc<Line> {
        Arc::clone(&self.line)
    }
}

/// Connections as they come.
#[derive(Debug)]
pub(crate) struct Accepted(mpsc::Receiver<Wire>);

impl Accepted {
    pub(crate) fn from(listener: TcpListener) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(accept(listener, sender));
        Accepted(receiver)
    }
}

async fn accept(listener: TcpListener, sender: mpsc::Sender<Wire>) {
    let room = Arc::new(Semaphore::new(MAX));
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        let accepted = listener.accept().await;
        let Ok(wire) = accepted.and_then(|(stream, peer)| Wire::new(stream, peer, permit)) else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let line = Arc::downgrade(&wire.line);
        tokio::spawn(async move {
            tokio::time::sleep(FIRST_CALL).await;
            if let Some(line) = line.upgrade().filter(|line| !line.admitted.load(Ordering::Relaxed)) {
                line.cut();
            }
        });
        if sender.send(wire).await.is_err() {
            return;
        }
    }
}

impl Stream for Accepted {
    type Item = io::Result<Wire>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|wire| wire.map(Ok))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
