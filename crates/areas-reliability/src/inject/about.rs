//! What a stopped process is about: the files that its calls name, and its code.

use std::io::IoSliceMut;

use anyhow::{Context as _, Result};
use areas_testing::maps;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::call::Call;

/// What a call is about: the path that it names, or the file that its descriptor is of. A
/// registry's path is left out.
pub(super) fn about(pid: i32, call: &Call, registry: &str) -> String {
    let name = call.name();
    let of_descriptor = || {
        std::fs::read_link(format!("/proc/{pid}/fd/{}", call.args[0]))
            .map(|path| path.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let path = match name.split('(').next().unwrap_or_default() {
        "openat" | "unlinkat" | "mkdirat" | "readlinkat" | "newfstatat" | "statx" => {
            let path = text_at(pid, call.args[1]);
            if path.is_empty() { of_descriptor() } else { path }
        }
        "symlinkat" => text_at(pid, call.args[2]),
        "readlink" => text_at(pid, call.args[0]),
        "mmap" => {
            let exactly = call.args[3] & libc::MAP_FIXED_NOREPLACE as u64 != 0;
            let page = call.args[1] == 4096 && call.args[2] == libc::PROT_NONE as u64;
            match (page, exactly) {
                (true, false) => "a page of addresses",
                (true, true) => "a page at an address",
                (false, true) => "an exact address",
                (false, false) => "",
            }
            .to_owned()
        }
        "bind" | "cachestat" | "close" | "dup3" | "fallocate" | "fchmod" | "fcntl" | "flock" | "fstat"
        | "fstatfs" | "ftruncate" | "getdents64" | "lseek" | "pidfd_getfd" | "pread64" | "pwrite64"
        | "read" | "recvmsg" | "sendmsg" | "setsockopt" | "write" => of_descriptor(),
        _ => String::new(),
    };
    path.replace(registry, "the registry")
}

/// A C string in the memory of a stopped process: its first 256 bytes, or those before memory that
/// cannot be read.
pub(crate) fn text_at(pid: i32, address: u64) -> String {
    const PAGE: usize = 4096;
    let mut bytes = [0; 256];
    let Ok(base) = usize::try_from(address) else {
        return String::new();
    };
    // The kernel reads whole parts or none of one: where the next page is not there, what is on
    // this one still comes.
    let here = bytes.len().min(PAGE - base % PAGE);
    let from = [
        RemoteIoVec { base, len: here },
        RemoteIoVec { base: base.saturating_add(here), len: bytes.len() - here },
    ];
    let got = process_vm_readv(Pid::from_raw(pid), &mut [IoSliceMut::new(&mut bytes)], &from);
    let len = got.unwrap_or(0);
    let text = bytes[..len].split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// Where a process's own program is mapped for execution.
pub(super) fn code_of(pid: i32) -> Result<Vec<(u64, u64)>> {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).context("/proc/PID/exe")?;
    let program = program.to_string_lossy();
    let maps = maps::of(pid.cast_unsigned()).context("/proc/PID/maps")?;
    let ours = maps.iter().filter(|vma| vma.path == program && vma.permissions == "r-xp");
    Ok(ours.map(|vma| (vma.start as u64, vma.end as u64)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_wherever_it_lies() {
        const TEXT: &[u8] = b"/proc/thread-self/stat\0";
        let pid = std::process::id().cast_signed();
        let mut bytes = vec![b'x'; 3 * 4096];
        let page = bytes.as_ptr().align_offset(4096);
        for offset in page + 4096 - TEXT.len() - 1..=page + 4096 + 1 {
            bytes[offset..offset + TEXT.len()].copy_from_slice(TEXT);
            let text = text_at(pid, bytes[offset..].as_ptr() as u64);
            assert_eq!(text, "/proc/thread-self/stat", "{} bytes before a page ends", page + 4096 - offset);
        }
        assert_eq!(text_at(pid, 0), "");
        assert_eq!(text_at(pid, u64::MAX), "");
    }

    /// The program's name ends eight bytes before its stack, and nothing is mapped behind that.
    #[test]
    fn a_text_before_a_hole_is_read_as_far_as_it_goes() {
        let maps = maps::own();
        let end = maps.iter().find(|vma| vma.path == "[stack]").unwrap().end as u64;
        let program = std::env::current_exe().unwrap();
        let program = program.file_name().unwrap().to_str().unwrap();
        let len = u64::try_from(program.len()).unwrap();
        assert_eq!(text_at(std::process::id().cast_signed(), end - 9 - len), program);
    }
}
