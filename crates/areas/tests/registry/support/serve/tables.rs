//! What a program may do to its own table, and to those of others.

use std::fs::{self, File};

use super::super::{bystanders, forge};
use super::{Failure, Holdings};

pub(super) fn perform(words: &[&str], holdings: &mut Holdings) -> Result<String, Failure> {
    let nothing = Ok(String::new());
    match *words {
        ["lose-record-lock"] => {
            // Closing any descriptor of a file drops the process's record locks on it.
            drop(File::open(forge::own_table()?)?);
            nothing
        }
        ["take-record-lock"] => {
            // A child has its parent's table, and may do with it what it likes.
            let table = File::options().read(true).write(true).open(forge::own_table()?)?;
            rustix::fs::fcntl_lock(&table, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
            holdings.files.push(table);
            nothing
        }
        ["close-table"] => {
            // What a program does that closes all descriptors which it does not know: here, one is
            // put in its place.
            let table = forge::own_table()?;
            let number = table.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            forge::replace_descriptor(&File::open("/dev/null")?, number.parse()?)?;
            nothing
        }
        ["close-all"] => {
            bystanders::close_everything()?;
            nothing
        }
        ["close-transfer-socket"] => {
            bystanders::close_transfer_socket()?;
            nothing
        }
        ["bystanders", path, count] => {
            bystanders::come(holdings, path, count.parse()?).map(|()| String::new())
        }
        ["bystanders-are-well"] => bystanders::are_well(holdings).map(|()| String::new()),
        ["announce", table, path, seals] => forge::announce(holdings, table, path, seals),
        ["table-in-memory"] => {
            let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(forge::own_table()?)?);
            Ok((blocks * 512).to_string())
        }
        ["table-size"] => Ok(forge::table_size()?.to_string()),
        ["forge", kind, seals, size] => forge::object(holdings, kind, seals, size.parse()?),
        ["shrink-tables", folder, count] => forge::shrink_tables(folder, count.parse()?),
        ["copy", table, how] => forge::copy(holdings, table, how),
        _ => Err(Failure::Unknown),
    }
}
