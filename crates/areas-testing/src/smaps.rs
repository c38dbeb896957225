//! Mappings and what is in them, by `/proc/PID/smaps`. Reading takes the kernel's time: it walks
//! the page tables.

use std::io;
use std::ops::Deref;

use crate::Process;
use crate::maps::Vma;

/// One mapping, and what the kernel measured of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    vma: Vma,
    fields: Vec<(String, String)>,
}

impl Deref for Measured {
    type Target = Vma;

    fn deref(&self) -> &Vma {
        &self.vma
    }
}

impl Measured {
    /// A field in kB (`Rss`, `Locked`, `KernelPageSize`), in bytes.
    #[track_caller]
    pub fn bytes(&self, field: &str) -> usize {
        let found = self.fields.iter().find(|(name, _)| name == field);
        let (_, text) = found.unwrap_or_else(|| panic!("smaps has no {field}"));
        let kilobytes = text.strip_suffix(" kB").and_then(|number| number.parse::<usize>().ok());
        kilobytes.unwrap_or_else(|| panic!("{field} is {text}")) * 1024
    }

    /// Whether `VmFlags` has it: "lo" locked, "lf" locked on fault, "dd" not dumped, "mw" may be
    /// made writable.
    pub fn has(&self, flag: &str) -> bool {
        let flags = self.fields.iter().find(|(name, _)| name == "VmFlags");
        flags.is_some_and(|(_, flags)| flags.split(' ').any(|one| one == flag))
    }
}

/// All mappings of a process.
pub fn of(process: impl Into<Process>) -> io::Result<Vec<Measured>> {
    process.into().read("smaps").map(|text| parse(&text))
}

/// All mappings of this process.
#[track_caller]
pub fn own() -> Vec<Measured> {
    of(Process::Own).unwrap_or_else(|error| panic!("/proc/self/smaps: {error}"))
}

/// The mapping of this process that has an address; `None` where nothing is mapped.
#[track_caller]
pub fn at(address: usize) -> Option<Measured> {
    own().into_iter().find(|one| one.range().contains(&address))
}

#[track_caller]
fn parse(text: &str) -> Vec<Measured> {
    let mut found: Vec<Measured> = Vec::new();
    for line in text.lines() {
        // A field's name has no blank; a mapping's line has one before the first colon.
        let field = line.split_once(':').filter(|(name, _)| !name.contains(' '));
        if let Some((name, value)) = field {
            let last = found.last_mut().unwrap_or_else(|| panic!("a field of no mapping: {line}"));
            last.fields.push((name.to_owned(), value.trim().to_owned()));
        } else {
            let vma = Vma::parse(line).unwrap_or_else(|| panic!("no mapping: {line}"));
            found.push(Measured { vma, fields: Vec::new() });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_belong_to_the_mapping_above() {
        let text = "1000-3000 rw-s 00000000 00:01 7          /memfd:area: x (deleted)\nSize:      8 kB\n\
                    Locked:             4 kB\nVmFlags: rd wr sh lo \n3000-4000 r--p 00000000 00:00 0 \n\
                    Locked:             0 kB\nVmFlags: rd \n";
        let [first, second] = parse(text).try_into().unwrap();
        assert_eq!((first.inode, first.bytes("Size"), first.bytes("Locked")), (7, 8192, 4096));
        assert!(first.has("lo") && !first.has("l") && !second.has("lo"));
        assert_eq!((second.start, second.bytes("Locked")), (0x3000, 0));
    }

    #[test]
    fn what_is_touched_is_in_ram() {
        let number = Box::new(1_u8);
        assert!(at((&raw const *number).addr()).unwrap().bytes("Rss") > 0);
        assert_eq!(at(1), None);
    }
}
