//! Areas out of a memory device (`/dev/dax0.0`): the guest sets memory aside as it boots, as
//! persistent memory would be, and these tests make a device of it by sysfs alone. Elsewhere each
//! test says that it was skipped.
// vm: --append memmap=128M!1G --modules "nd_e820 nd_pmem dax_pmem device_dax"
// vm: --append memmap=128M!1G --modules "nd_e820 nd_pmem dax_pmem device_dax" --kernel linux-image-cloud-amd64

use std::fs::{self, File};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use areas::provider::Storage;
use areas::{Area, Backing, ErrorKind, PageSize, Policy, Protection, Provider, Request, Stored};
use areas_conformance::Suite;
use areas_testing::skipped;

use made::DEVICE;

mod made;

const HUGE: usize = 2 << 20;

/// The device, for one test at a time; or `None`, said aloud.
fn device(test: &str) -> Option<(MutexGuard<'static, ()>, File)> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if std::env::var_os("AREAS_GUEST").is_none() {
        skipped(test, "it wants a machine with a memory device: `cargo xtask test` boots one");
        return None;
    }
    let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if !Path::new(DEVICE).exists() {
        made::make();
    }
    let open = File::options().read(true).write(true).open(DEVICE);
    Some((alone, open.unwrap_or_else(|error| panic!("{DEVICE}: {error}"))))
}

macro_rules! device {
    () => {{
        fn here() {}
        let name = std::any::type_name_of_val(&here).trim_end_matches("::here");
        match device(name) {
            Some(device) => device,
            None => return,
        }
    }};
}

fn stored(storage: &Storage, size: usize) -> Area<Stored> {
    areas::builder(size).provider(storage).stored().unwrap()
}

#[test]
fn areas_are_parts_of_a_device() {
    let (_alone, file) = device!();
    let storage = Storage::of(file).unwrap();
    let size = fs::read_to_string("/sys/bus/dax/devices/dax0.0/size").unwrap();
    assert_eq!(storage.size(), size.trim().parse::<u64>().unwrap());
    assert_eq!((storage.page_size(), storage.free()), (PageSize::HUGE_2M, storage.size()));
    // Which node it is near is what the kernel says.
    let text = fs::read_to_string("/sys/bus/dax/devices/dax0.0/target_node").unwrap();
    assert_eq!(storage.node().map(|node| node.get().to_string()), Some(text.trim().to_owned()));
    let (one, two) = (stored(&storage, 5), stored(&storage, HUGE + 2));
    assert_eq!((one.offset(), two.offset()), (0, HUGE as u64));
    assert_eq!((one.mapped(), two.mapped(), one.granted().page_size()), (HUGE, 2 * HUGE, PageSize::HUGE_2M));
    assert_eq!(storage.free(), storage.size() - 3 * HUGE as u64);
    one.write_at(0, b"hello").unwrap();
    two.write_at(HUGE - 2, b"over").unwrap();
    // The CPUs write it, and no kernel in between has anything to write back: that is said.
    let error = two.sync().unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && format!("{error:#}").contains("CLWB"), "{error:#}");
    drop((one, two));
    assert_eq!(storage.free(), storage.size());
    // What was stored is there: also for a process that reopens the device.
    let again = Storage::of(File::options().read(true).write(true).open(DEVICE).unwrap()).unwrap();
    let (one, two) = (stored(&again, HUGE), stored(&again, 2 * HUGE));
    let (mut hello, mut over) = ([0; 5], [0; 4]);
    one.read_at(0, &mut hello).unwrap();
    two.read_at(HUGE - 2, &mut over).unwrap();
    assert_eq!((&hello, &over), (b"hello", b"over"));
    assert_eq!(one.read_at(HUGE, &mut hello[..1]).unwrap_err().kind(), ErrorKind::OutOfRange);
}

#[test]
fn what_a_device_cannot_be_is_refused() {
    let (_alone, file) = device!();
    let storage = Storage::of(file).unwrap();
    let builder = areas::builder(HUGE).provider(&storage);
    let node = areas::allowed_nodes().unwrap().first().unwrap();
    for (error, kind) in [
        (builder.private().unwrap_err(), ErrorKind::Unsupported),
        (builder.shared().unwrap_err(), ErrorKind::Unsupported),
        (builder.clone().place(Policy::Bind(node.into())).stored().unwrap_err(), ErrorKind::Unsupported),
        (
            builder.clone().at(areas::Address::Exactly(0x7000_0000_1000)).stored().unwrap_err(),
            ErrorKind::InvalidInput,
        ),
        (areas::builder(1 << 40).provider(&storage).stored().unwrap_err(), ErrorKind::NoMemory),
        // A device is mapped shared or not at all.
        (areas::builder(1).provider(&storage.copied()).stored().unwrap_err(), ErrorKind::Unsupported),
    ] {
        assert_eq!(error.kind(), kind, "{error:#}");
    }
    let mut shown = areas::builder(1).provider(&storage).protection(Protection::READ).stored().unwrap();
    assert_eq!(shown.write_at(0, b"x").unwrap_err().kind(), ErrorKind::ReadOnly);
    shown.protect(Protection::READ_WRITE).unwrap();
    shown.write_at(0, b"x").unwrap();
    drop(shown);
    assert_eq!(storage.free(), storage.size());
}

#[test]
fn a_device_conforms() {
    let (_alone, file) = device!();
    let storage = Storage::of(file).unwrap();
    Suite::new(&storage).stored(true).run().assert();
    assert_eq!((storage.free(), storage.largest()), (storage.size(), storage.size()));
}

/// Its driver releases it while it is mapped: an access is an error, and no signal.
#[test]
fn a_device_that_goes_is_an_error_and_no_signal() {
    let (_alone, file) = device!();
    let storage = Storage::of(file).unwrap();
    let area = stored(&storage, HUGE);
    area.write_at(0, b"x").unwrap();
    fs::write("/sys/bus/dax/drivers/device_dax/unbind", "dax0.0").unwrap();
    let mut byte = [0];
    let gone = (area.read_at(0, &mut byte), area.write_at(0, b"y"));
    let more = storage.map(&Request::new(1).backed_by(Backing::Stored)).map(drop);
    drop((area, storage));
    fs::write("/sys/bus/dax/drivers/device_dax/bind", "dax0.0").unwrap();
    assert_eq!(gone.0.unwrap_err().kind(), ErrorKind::OutOfRange);
    assert_eq!(gone.1.unwrap_err().kind(), ErrorKind::OutOfRange);
    let more = format!("{:#}", more.unwrap_err());
    assert!(more.contains("the device") && !more.contains("nr_hugepages"), "{more}");
}
