//! Reserved addresses: what is taken, where they end, and who grows into them.

use areas::Reservation;
use insta::assert_snapshot;

use super::failure;

#[test]
fn growing_into_them() {
    let room = Reservation::new(8 * 4096, 4096).unwrap();
    let mut first = areas::builder(4096).inside(&room, 0).resizable(4096).unwrap();
    let mut last = areas::builder(4096).inside(&room, 6 * 4096).resizable(4096).unwrap();
    let reported = [
        failure(first.resize(7 * 4096)),
        failure(last.resize(3 * 4096)),
        failure(areas::builder(4096).inside(&room, 0).private()),
        failure(areas::builder(4096).inside(&room, 8 * 4096).private()),
        failure(areas::builder(4096).inside(&room, 1).shared()),
    ];
    assert_snapshot!(reported.join("\n\n"), @"
    AddressInUse: cannot resize an area of 4 KiB to 28 KiB: it has no addresses for that (cannot map 24 KiB at offset 0xADDRESS of a reservation: 0xADDRESS..0xADDRESS of it is in use)
      help: it cannot grow where it is: make a larger one, or make it inside of a reservation

    AddressInUse: cannot resize an area of 4 KiB to 12 KiB: it has no addresses for that (cannot map 8 KiB at offset 0xADDRESS of a reservation: the reservation ends there: it has 32 KiB of addresses)
      help: it cannot grow where it is: make a larger one, or make it inside of a reservation

    AddressInUse: cannot map 4 KiB at offset 0xADDRESS of a reservation: 0xADDRESS..0xADDRESS of it is in use

    OutOfRange: cannot map 4 KiB at offset 0xADDRESS of a reservation: it has 32 KiB of addresses

    InvalidInput: cannot map 4 KiB at offset 0xADDRESS of a reservation: that is not a multiple of the page size, 4 KiB
    ");
}
