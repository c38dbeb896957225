//! A program that closes all descriptors that it does not know, and others in it who open files
//! then, which get the numbers that were the library's.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::raw;
use super::serve::{Failure, Holdings};
use areas_testing::{Process, descriptors};

/// What every bystander's file holds: nothing that a control file or an area could be mistaken for.
const BYTE: u8 = 0xff;
const BYTES: usize = 64 << 10;

/// Closes everything but the standard streams, and the sockets by which the test talks to us.
pub(crate) fn close_everything() -> Result<(), Failure> {
    let mut channels = Vec::new();
    for number in sockets()? {
        // The library's transfer sockets are connected to no process.
        if raw::is_connected(number)? {
            channels.push(number.cast_unsigned());
        }
    }
    Ok(raw::close_all_but(&channels)?)
}

/// Puts another process's file in place of the transfer socket, which is the one socket that is
/// connected to no process.
pub(crate) fn close_transfer_socket() -> Result<(), Failure> {
    for number in sockets()? {
        if !raw::is_connected(number)? {
            super::forge::replace_descriptor(&File::open("/dev/null")?, number)?;
            return Ok(());
        }
    }
    Err("there is no transfer socket".to_owned().into())
}

fn sockets() -> Result<Vec<i32>, Failure> {
    let all = descriptors::of(Process::Thread)?.into_iter();
    Ok(all.filter(|one| one.target.starts_with("socket:")).map(|one| one.number).collect())
}

/// Opens so many files, which get the lowest free numbers.
pub(crate) fn come(holdings: &mut Holdings, path: &str, count: usize) -> Result<(), Failure> {
    for i in 0..count {
        let file = File::options().read(true).write(true).create_new(true).open(format!("{path}-{i}"))?;
        file.write_all_at(&[BYTE; BYTES], 0)?;
        holdings.bystanders.push(file);
    }
    Ok(())
}

/// Whether all of them are still open under their numbers, and as they were.
pub(crate) fn are_well(holdings: &Holdings) -> Result<(), Failure> {
    for file in &holdings.bystanders {
        let open = fs::metadata(format!("/proc/thread-self/fd/{}", file.as_raw_fd()));
        let ours = file.metadata();
        match (open, ours) {
            (Ok(open), Ok(ours))
                if open.ino() == ours.ino() && ours.nlink() == 1 && ours.size() == BYTES as u64 => {}
            other => {
                return Err(format!("descriptor {} is not what it was: {other:?}", file.as_raw_fd()).into());
            }
        }
        let mut bytes = vec![0; BYTES];
        file.read_exact_at(&mut bytes, 0)?;
        if bytes.iter().any(|&byte| byte != BYTE) {
            return Err(format!("another process wrote to descriptor {}", file.as_raw_fd()).into());
        }
        if file.metadata()?.mode() & 0o7777 == 0o400 {
            return Err(format!("another process changed the mode of descriptor {}", file.as_raw_fd()).into());
        }
    }
    Ok(())
}
