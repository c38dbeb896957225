//! Children that were given a part in what their parent had.

#![expect(unsafe_code, reason = "the tests fork, and their children end by _exit")]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use areas::{ErrorKind, registry};
use areas_slab::{Heir, Reader, Slab, before_fork, open};

use super::support::child::{Stage, test};

/// A forked child, which does what a byte asks, and answers by one.
struct Child {
    pid: i32,
    line: UnixStream,
}

impl Child {
    /// Forks; the child calls `work` for each byte. All slabs are prepared for it.
    fn start(heirs: Vec<Heir>, mut work: impl FnMut(u8) -> bool) -> Self {
        let (line, mut theirs) = UnixStream::pair().unwrap();
        // SAFETY: the child uses this library, whose mutexes are whole, and the allocator, which
        // the C library keeps whole; it ends by _exit.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            drop(line);
            heirs.into_iter().for_each(Heir::in_child);
            let mut order = [0];
            while theirs.read(&mut order).unwrap() == 1 {
                let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(order[0])));
                theirs.write_all(&[u8::from(answer.unwrap_or(false))]).unwrap();
            }
            // SAFETY: it ends, and runs nothing of the parent's.
            unsafe { libc::_exit(0) };
        }
        heirs.into_iter().for_each(Heir::in_parent);
        Child { pid, line }
    }

    fn send(&mut self, order: u8) {
        let mut answer = [9];
        self.line.write_all(&[order]).unwrap();
        self.line.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [1], "the child's answer to {}", char::from(order));
    }

    fn kill(self) {
        kill(self.pid);
    }
}

/// Kills a child that was not waited for, and waits for it.
fn kill(pid: i32) {
    let mut status = 0;
    // SAFETY: it is still this process's child: so nothing else has its number.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
    // SAFETY: a number that outlives the call.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
}

fn prepared() -> Vec<Heir> {
    let (heirs, failed) = before_fork();
    assert!(failed.is_none(), "{failed:?}");
    heirs
}

/// What parent and child both have behind a fork, and each drops for itself.
struct Both<T>(Rc<RefCell<Option<T>>>);

impl<T> Both<T> {
    fn new(held: T) -> Self {
        Both(Rc::new(RefCell::new(Some(held))))
    }

    fn has(&self, look: impl FnOnce(&T) -> bool) -> bool {
        self.0.borrow().as_ref().is_some_and(look)
    }

    fn drop(&self) -> bool {
        self.0.take().is_some()
    }
}

impl<T> Clone for Both<T> {
    fn clone(&self) -> Self {
        Both(self.0.clone())
    }
}

#[test]
fn a_child_holds_what_the_owner_had() {
    let me = test!("a_child_holds_what_the_owner_had");
    let answer = me.alone(Stage::default(), || {
        let slab = Slab::create("heirs of an owner", 1 << 20).unwrap();
        let held = Both::new([slab.put(b"one").unwrap(), slab.put(b"two").unwrap()]);
        let handle = held.0.borrow().as_ref().unwrap()[0].handle();
        let mut child = {
            let held = held.clone();
            Child::start(prepared(), move |order| match order {
                b'r' => {
                    held.has(|all| all[0].to_vec().unwrap() == b"one" && all[1].to_vec().unwrap() == b"two")
                }
                b'd' => held.drop(),
                // By way of the mapping that it has, and the seat that it was given.
                b'o' => open(&handle).is_ok_and(|lease| lease.to_vec().unwrap() == b"one"),
                _ => false,
            })
        };
        child.send(b'r');
        held.drop();
        assert_eq!((slab.reclaim().unwrap(), slab.usage().unwrap().read), (0, 128));
        let noise: Vec<_> = (0..10).map(|_| slab.put(&[9; 100]).unwrap()).collect();
        child.send(b'r');
        child.send(b'o');
        child.send(b'd');
        drop(noise);
        assert_eq!(slab.reclaim().unwrap(), 2, "the child lives, and has dropped them");
        assert_eq!(slab.usage().unwrap().blocks, 0);
        child.kill();
        // One that is killed holds nothing.
        let held = Both::new(slab.put(b"three").unwrap());
        let mut child = {
            let held = held.clone();
            Child::start(prepared(), move |_| held.has(|slice| slice.to_vec().unwrap() == b"three"))
        };
        held.drop();
        child.send(b'r');
        assert_eq!(slab.reclaim().unwrap(), 0);
        child.kill();
        assert_eq!(slab.reclaim().unwrap(), 1);
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}

#[test]
fn a_child_and_its_child_hold_what_a_reader_had() {
    let me = test!("a_child_and_its_child_hold_what_a_reader_had");
    let answer = me.alone(Stage::default(), || {
        let slab = Slab::create("heirs of a reader", 1 << 20).unwrap();
        let slice = slab.put(b"read").unwrap();
        let held = Both::new(open(&slice.handle()).unwrap());
        drop(slice);
        let mut child = {
            let held = held.clone();
            let mut grandchild = None;
            Child::start(prepared(), move |order| match order {
                b'r' => held.has(|lease| lease.to_vec().unwrap() == b"read"),
                b'f' => {
                    let held = held.clone();
                    let work = move |_| held.has(|lease| lease.to_vec().unwrap() == b"read");
                    let started: &mut Child = grandchild.insert(Child::start(prepared(), work));
                    started.send(b'r');
                    true
                }
                b'd' => held.drop(),
                b'g' => {
                    let mut grandchild = grandchild.take().unwrap();
                    grandchild.send(b'r');
                    grandchild.kill();
                    true
                }
                _ => false,
            })
        };
        child.send(b'r');
        child.send(b'f');
        held.drop();
        assert_eq!(slab.reclaim().unwrap(), 0, "child and grandchild read it");
        child.send(b'r');
        child.send(b'd');
        assert_eq!(slab.reclaim().unwrap(), 0, "the grandchild reads it");
        child.send(b'g');
        assert_eq!(slab.reclaim().unwrap(), 1, "no process reads it any more");
        child.kill();
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}

#[test]
fn a_childs_part_outlives_its_parent_and_not_the_parents_in_it() {
    let me = test!("a_childs_part_outlives_its_parent_and_not_the_parents_in_it");
    let reported = me.alone(Stage::default(), || {
        let slab = Slab::create("heirs of the dead", 1 << 20).unwrap();
        let slices = [slab.put(b"inherited").unwrap(), slab.put(b"the parent's").unwrap()];
        let handles = slices.each_ref().map(areas_slab::Slice::handle);
        drop(before_fork().0);
        // A reader, which forks a child that has one of its two leases, and says that by its end.
        let mut pipe = UnixStream::pair().unwrap();
        // SAFETY: as in `Child::start`.
        let parent = unsafe { libc::fork() };
        if parent == 0 {
            let one = open(&handles[0]).unwrap();
            let heirs = prepared();
            let two = open(&handles[1]).unwrap();
            // SAFETY: as in `Child::start`.
            if unsafe { libc::fork() } == 0 {
                heirs.into_iter().for_each(Heir::in_child);
                // What the parent alone has: to drop it does nothing here.
                drop(two);
                pipe.1.write_all(b"c").unwrap();
                pipe.1.read_exact(&mut [0]).unwrap();
                drop(one);
                pipe.1.write_all(b"d").unwrap();
                pipe.1.read_exact(&mut [0]).unwrap();
                // SAFETY: it ends.
                unsafe { libc::_exit(0) };
            }
            heirs.into_iter().for_each(Heir::in_parent);
            loop {
                std::thread::park();
            }
        }
        let mut answer = [0];
        pipe.0.read_exact(&mut answer).unwrap();
        drop(slices);
        assert_eq!(slab.reclaim().unwrap(), 0);
        kill(parent);
        // Its child keeps what was prepared for it, and does not keep alive what the parent alone
        // had.
        assert_eq!((slab.reclaim().unwrap(), slab.usage().unwrap().read), (1, 64));
        pipe.0.write_all(b".").unwrap();
        pipe.0.read_exact(&mut answer).unwrap();
        assert_eq!((answer, slab.reclaim().unwrap()), (*b"d", 1));
        pipe.0.write_all(b".").unwrap();
        "done".to_owned()
    });
    assert_eq!(reported, "done");
}

#[test]
fn where_there_is_no_seat_the_blocks_are_pinned() {
    let me = test!("where_there_is_no_seat_the_blocks_are_pinned");
    let answer = me.alone(Stage::default(), || {
        let mut slab = Slab::builder().readers(1).over(areas::builder(1 << 20).shared().unwrap()).unwrap();
        slab.publish("no seat").unwrap();
        let slice = slab.put(b"kept").unwrap();
        let reader = Reader::attach(registry::find("no seat").unwrap().open().unwrap()).unwrap();
        let (heirs, failed) = before_fork();
        assert!(heirs.is_empty());
        assert_eq!(failed.unwrap().kind(), ErrorKind::Limit);
        let held = slice.clone();
        let mut child = Child::start(heirs, move |_| held.to_vec().unwrap() == b"kept");
        drop((slice, reader));
        assert_eq!((slab.reclaim().unwrap(), slab.usage().unwrap().owned), (0, 64), "for good");
        child.send(b'r');
        child.kill();
        // What comes later has seats again.
        let slice = slab.put(b"later").unwrap();
        let held = slice.clone();
        let mut child = Child::start(prepared(), move |_| held.to_vec().unwrap() == b"later");
        drop(slice);
        child.send(b'r');
        assert_eq!(slab.reclaim().unwrap(), 0);
        child.kill();
        assert_eq!(slab.reclaim().unwrap(), 1);
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}
