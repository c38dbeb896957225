//! A wire between client and server that a test can stop, cut and mend in the middle of a transfer.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::harness::{SOON, within};

/// It passes everything on until so many bytes have come from the server; then nothing, until it is
/// given a command.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: Arc<State>,
}

struct State {
    /// Bytes that may still come from the server.
    left: Mutex<u64>,
    changed: Condvar,
    came: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
    server: Mutex<String>,
}

impl Proxy {
    /// To a server at this machine.
    pub(crate) fn new(server: u16, stop_after: u64) -> Self {
        Self::on("127.0.0.1:0", format!("127.0.0.1:{server}"), stop_after)
    }

    pub(crate) fn on(listen: &str, server: String, stop_after: u64) -> Self {
        let listener = TcpListener::bind(listen).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            left: Mutex::new(stop_after),
            changed: Condvar::new(),
            came: AtomicU64::new(0),
            open: Mutex::default(),
            server: Mutex::new(server),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let to = shared.server.lock().unwrap().clone();
                // Where the server is gone, so is the connection.
                let Ok(server) = TcpStream::connect(to) else { continue };
                shared
                    .open
                    .lock()
                    .unwrap()
                    .extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                let (client_again, server_again) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let there = Arc::clone(&shared);
                thread::spawn(move || there.pass(client, server_again, false));
                let back = Arc::clone(&shared);
                thread::spawn(move || back.pass(server, client_again, true));
            }
        });
        Proxy { port, state }
    }

    /// Waits until it has stopped everything.
    pub(crate) fn wait_until_stopped(&self) {
        assert!(
            within(SOON, || *self.state.left.lock().unwrap() == 0),
            "it does not come so far: {}",
            self.came()
        );
    }

    pub(crate) fn came(&self) -> u64 {
        self.state.came.load(Ordering::Relaxed)
    }

    /// Lets so many bytes more pass.
    pub(crate) fn let_pass(&self, bytes: u64) {
        *self.state.left.lock().unwrap() = bytes;
        self.state.changed.notify_all();
    }

    /// Ends all connections; new ones come through.
    pub(crate) fn cut(&self) {
        for stream in self.state.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// New connections go to another server.
    pub(crate) fn point_to(&self, server: u16) {
        *self.state.server.lock().unwrap() = format!("127.0.0.1:{server}");
    }
}

impl State {
    fn pass(&self, mut from: TcpStream, mut to: TcpStream, counted: bool) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let got = match from.read(&mut buffer) {
                Ok(got) if got > 0 => got,
                _ => break,
            };
            if counted && !self.may_pass(got as u64) {
                break;
            }
            if to.write_all(&buffer[..got]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    fn may_pass(&self, bytes: u64) -> bool {
        let mut left = self.left.lock().unwrap();
        while *left == 0 {
            left = self.changed.wait(left).unwrap();
        }
        *left = left.saturating_sub(bytes);
        self.came.fetch_add(bytes, Ordering::Relaxed);
        true
    }
}
