//! Areas that change hands: transferred, sent over a socket, offered at one.

use std::ffi::{CString, c_char, c_int, c_void};
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use areas::gate::{self, OfferOptions, Outcome, TakeOptions};
use areas::registry;
use areas::{Address, ReceiveOptions, Transfer};

use super::super::counting::{Other, Row, Sides, functions};
use super::super::record::Record;
use super::{NAME, NULL, SHARED, attributes, create, done, named, published, release, shared};

functions! {
    fn areas_transfer(area: *mut c_void, pid: u32, address_form: u32, address: *mut c_void) -> c_int;
    fn areas_take(milliseconds: i64, from: *mut u32) -> *mut c_void;
    safe fn areas_refuse() -> c_int;
    fn areas_send(area: *const c_void, to: c_int, flags: u32) -> c_int;
    safe fn areas_receive(from: c_int) -> *mut c_void;
    fn areas_receive_with(from: c_int, how: *const c_void) -> *mut c_void;
    safe fn areas_discard(from: c_int) -> c_int;
    fn areas_offer_open(area: *const c_void, at: *const c_char, how: *const c_void) -> *mut c_void;
    fn areas_offer_answer(offer: *mut c_void, milliseconds: i64, answer: *mut c_void) -> c_int;
    fn areas_offer_close(offer: *mut c_void);
    fn areas_offer_take(at: *const c_char, how: *const c_void) -> *mut c_void;
}

pub(super) const ROWS: &[Row] = &[
    Row::new(&["areas_transfer"], transfer),
    Row::new(&["areas_take", "areas_release"], take).handle(),
    Row::new(&["areas_refuse"], refuse),
    Row::new(&["areas_send", "areas_receive", "areas_release"], receive).dearer(
        2,
        1,
        "a thread that can be cancelled waits with nothing to drop: it asks whether the socket waits, and peeks; the handle",
    ),
    Row::new(&["areas_send", "areas_receive_with", "areas_release"], receive_in_time).handle(),
    Row::new(&["areas_send", "areas_discard"], discard),
    Row::new(&["areas_offer_open", "areas_offer_close"], offer).handle(),
    Row::new(&["areas_offer_answer"], answer_no_process),
    Row::new(&["areas_offer_answer"], answer),
    Row::new(&["areas_offer_take", "areas_release"], take_offered).handle(),
];

const SECOND: Duration = Duration::from_secs(1);

/// To this very team: it moves.
fn transfer(sides: &mut Sides) {
    let own = std::process::id();
    let (area, mut moves) = (create(&named()), Some(published()));
    // SAFETY: a handle of this row's.
    let edge = &mut || done(unsafe { areas_transfer(area, own, 0, std::ptr::null_mut()) });
    sides.count(edge, &mut || match moves.take().unwrap().transfer(own, Address::Any).unwrap() {
        Transfer::Own(moved) => moves = Some(moved),
        _ => panic!("it is another team's"),
    });
}

/// Another process that does the same each time that it is asked to.
struct Helper {
    ask: PipeWriter,
    done: PipeReader,
    _other: Other,
}

impl Helper {
    fn start(mut does: impl FnMut()) -> Self {
        let ((mut asked, ask), (done, mut answer)) = (pipe().unwrap(), pipe().unwrap());
        let other = Other::start(|ready| {
            ready();
            loop {
                asked.read_exact(&mut [0]).unwrap();
                does();
                answer.write_all(b"d").unwrap();
            }
        });
        Helper { ask, done, _other: other }
    }

    fn ask(&mut self) {
        self.ask.write_all(b"a").unwrap();
    }

    fn wait(&mut self) {
        self.done.read_exact(&mut [0]).unwrap();
    }
}

/// One that hands areas over to this process.
fn giver() -> Helper {
    registry::join().unwrap();
    let to = std::process::id();
    let mut giver = Helper::start(move || {
        assert!(matches!(published().transfer(to, Address::Any).unwrap(), Transfer::Given(_)));
    });
    giver.ask();
    giver.wait();
    drop(registry::wait_transferred(Some(SECOND)).unwrap().take().unwrap());
    giver
}

fn take(sides: &mut Sides) {
    let giver = std::cell::RefCell::new(giver());
    let given = || {
        giver.borrow_mut().ask();
        giver.borrow_mut().wait();
    };
    let edge = &mut || {
        let mut from = 0;
        given();
        // SAFETY: a place for a number.
        let area = unsafe { areas_take(1000, &raw mut from) };
        assert!(!area.is_null() && from > 0);
        release(area);
    };
    sides.count(edge, &mut || {
        given();
        let transferred = registry::wait_transferred(Some(SECOND)).unwrap();
        assert!(transferred.from() > 0);
        drop(transferred.take().unwrap());
    });
}

/// There is none that cannot be had.
fn refuse(sides: &mut Sides) {
    registry::join().unwrap();
    sides.count(&mut || assert_eq!(areas_refuse(), 0), &mut || {
        assert!(!registry::refuse_transfer().unwrap());
    });
}

fn receive(sides: &mut Sides) {
    let (area, own) = (create(&attributes(SHARED)), shared());
    let (to, from) = UnixStream::pair().unwrap();
    let edge = &mut || {
        // SAFETY: a handle of this row's, and an open socket.
        done(unsafe { areas_send(area, to.as_raw_fd(), 0) });
        let received = areas_receive(from.as_raw_fd());
        assert!(!received.is_null());
        release(received);
    };
    sides.count(edge, &mut || {
        own.send(&to).unwrap();
        drop(areas::receive(&from).unwrap());
    });
}

fn receive_in_time(sides: &mut Sides) {
    const TIMEOUT: u64 = 1;
    let (area, own) = (create(&attributes(SHARED)), shared());
    let (to, from) = UnixStream::pair().unwrap();
    let how = Record::begun("areas_receiving").set("flags", TIMEOUT).set("milliseconds", 1000);
    let edge = &mut || {
        // SAFETY: a handle of this row's, and an open socket.
        done(unsafe { areas_send(area, to.as_raw_fd(), 0) });
        // SAFETY: an open socket, and as many bytes as it says.
        let received = unsafe { areas_receive_with(from.as_raw_fd(), how.as_ptr()) };
        assert!(!received.is_null());
        release(received);
    };
    sides.count(edge, &mut || {
        own.send(&to).unwrap();
        drop(ReceiveOptions::new().timeout(SECOND).receive(&from).unwrap());
    });
}

fn discard(sides: &mut Sides) {
    let (area, own) = (create(&attributes(SHARED)), shared());
    let (to, from) = UnixStream::pair().unwrap();
    let edge = &mut || {
        // SAFETY: a handle of this row's, and an open socket.
        done(unsafe { areas_send(area, to.as_raw_fd(), 0) });
        assert_eq!(areas_discard(from.as_raw_fd()), 1);
    };
    sides.count(edge, &mut || {
        own.send(&to).unwrap();
        assert!(ReceiveOptions::new().discard(&from).unwrap());
    });
}

/// Where something is offered.
fn socket(sides: &Sides) -> (PathBuf, CString) {
    let path = sides.folder().join("socket");
    let text = CString::new(path.clone().into_os_string().into_vec()).unwrap();
    (path, text)
}

fn open_at(area: *const c_void, at: &CString) -> *mut c_void {
    // SAFETY: a handle of the row's, and a string.
    let offer = unsafe { areas_offer_open(area, at.as_ptr(), NULL) };
    assert!(!offer.is_null());
    offer
}

fn offer(sides: &mut Sides) {
    let ((path, at), area) = (socket(sides), create(&named()));
    let id = registry::find(NAME).unwrap().id();
    let edge = &mut || {
        let offer = open_at(area, &at);
        // SAFETY: just made, and not used again.
        unsafe { areas_offer_close(offer) };
    };
    sides.count(edge, &mut || {
        drop(OfferOptions::new().open(&registry::get(id).unwrap(), &path).unwrap());
    });
}

fn answer_no_process(sides: &mut Sides) {
    let ((path, at), area) = (socket(sides), create(&named()));
    let source = registry::find(NAME).unwrap();
    let offer = open_at(area, &at);
    let mut own_offer = OfferOptions::new().open(&source, path.with_extension("own")).unwrap();
    // SAFETY: an offer of this row's, and no callback.
    let edge = &mut || assert_eq!(unsafe { areas_offer_answer(offer, 0, std::ptr::null_mut()) }, 0);
    sides.count(edge, &mut || assert!(own_offer.answer(Some(Duration::ZERO)).unwrap().is_none()));
}

fn answer(sides: &mut Sides) {
    let ((path, at), area) = (socket(sides), create(&named()));
    let source = registry::find(NAME).unwrap();
    let own_path = path.with_extension("own");
    let offer = open_at(area, &at);
    let mut own_offer = OfferOptions::new().open(&source, &own_path).unwrap();
    let taker = |path: PathBuf| Helper::start(move || drop(gate::take(&path).unwrap()));
    let (mut takes, mut takes_own) = (taker(path), taker(own_path));
    let edge = &mut || {
        takes.ask();
        settle();
        // SAFETY: an offer of this row's, and no callback.
        assert_eq!(unsafe { areas_offer_answer(offer, 10_000, std::ptr::null_mut()) }, 1);
        takes.wait();
    };
    sides.count(edge, &mut || {
        takes_own.ask();
        settle();
        let came = own_offer.answer(Some(10 * SECOND)).unwrap().unwrap();
        assert!(matches!(came.outcome, Outcome::Given));
        takes_own.wait();
    });
}

/// Until the other process waits again, so that each time it is found doing the same.
fn settle() {
    std::thread::sleep(Duration::from_millis(5));
}

fn take_offered(sides: &mut Sides) {
    let (path, at) = socket(sides);
    let offered = path.clone();
    let _other = Other::start(move |ready| {
        let own = published();
        let source = registry::get(own.id().unwrap()).unwrap();
        let mut offer = OfferOptions::new().open(&source, offered).unwrap();
        ready();
        // Later than whoever takes it looks for the answer first: so that has always to be waited
        // for.
        while offer.answer(Some(Duration::ZERO)).is_ok() {
            settle();
        }
    });
    let edge = &mut || {
        // SAFETY: a string, and NULL is as it is.
        let area = unsafe { areas_offer_take(at.as_ptr(), NULL) };
        assert!(!area.is_null());
        release(area);
    };
    sides.count(edge, &mut || {
        let options = TakeOptions::new().wait(Duration::ZERO).answer_within(10 * SECOND);
        drop(options.take(&path).unwrap());
    });
}
