//! The memory of a guest is an area: who holds the area sees what the guest writes, and the guest
//! is placed where the area is.

#![expect(unsafe_code, reason = "gives addresses to vm-memory and to KVM; each block has its proof")]

use std::fs::File;
use std::os::fd::AsFd as _;
use std::sync::atomic::Ordering;

use areas::{Area, ErrorKind, Shared};
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{Bytes as _, FileOffset, GuestAddress, GuestMemoryMmap, GuestRegionMmap, MmapRegion};

/// The area's own mapping as a guest's memory, from address 0 on: with its placement, its lock and
/// its huge pages.
fn guest_memory(area: &Area<Shared>) -> GuestMemoryMmap {
    let builder = MmapRegionBuilder::<()>::new(area.size())
        .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
        .with_mmap_flags(libc::MAP_SHARED);
    // SAFETY: the area's mapping, of that size; the tests drop the guest's memory before the area.
    let region = unsafe { builder.with_raw_mmap_pointer(area.as_ptr()) }.build().unwrap();
    let region = GuestRegionMmap::new(region, GuestAddress(0)).unwrap();
    GuestMemoryMmap::from_regions(vec![region]).unwrap()
}

/// Mapped once more, from the area's descriptor, as a monitor does that was given one.
fn guest_memory_from_descriptor(area: &Area<Shared>) -> GuestMemoryMmap {
    let file = File::from(area.as_fd().try_clone_to_owned().unwrap());
    let region = MmapRegion::from_file(FileOffset::new(file, 0), area.size()).unwrap();
    let region = GuestRegionMmap::new(region, GuestAddress(0)).unwrap();
    GuestMemoryMmap::from_regions(vec![region]).unwrap()
}

#[test]
fn what_the_monitor_writes_is_in_the_area() {
    let area = areas::builder(1 << 20).name("recipes: guest memory").shared().unwrap();
    let own = guest_memory(&area);
    let mapped = guest_memory_from_descriptor(&area);
    own.write_obj(0x1234_5678_u32, GuestAddress(0x2000)).unwrap();
    mapped.write_slice(b"by descriptor", GuestAddress(0x3000)).unwrap();
    let other = areas::registry::find("recipes: guest memory").unwrap().open_read_only().unwrap();
    assert_eq!(other.load::<u32>(0x2000, Ordering::Relaxed).unwrap(), 0x1234_5678);
    let mut bytes = [0; 13];
    other.read_at(0x3000, &mut bytes).unwrap();
    assert_eq!(&bytes, b"by descriptor");
    assert_eq!(mapped.read_obj::<u32>(GuestAddress(0x2000)).unwrap(), 0x1234_5678);
    assert!(own.write_obj(0_u8, GuestAddress(1 << 20)).is_err(), "behind its end there is nothing");
    drop(other);

    // A monitor that maps it for writing keeps it from freezing, and is named.
    let rejected = area.freeze_within(std::time::Duration::ZERO).unwrap_err();
    assert_eq!(rejected.error.kind(), ErrorKind::Busy);
    assert!(
        format!("{:#}", rejected.error).contains(&std::process::id().to_string()),
        "{:#}",
        rejected.error
    );
    drop((own, mapped));
    assert_eq!(&rejected.value.freeze().unwrap()[0x3000..0x300d], b"by descriptor");
}

#[cfg(target_arch = "x86_64")]
mod guest {
    use kvm_bindings::kvm_userspace_memory_region;
    use kvm_ioctls::{Kvm, VcpuExit};

    use super::*;

    /// Adds what is at 0x2000 to `al`, writes the sum to 0x2001, writes to port 0x10, and halts.
    const CODE: [u8; 9] = [0x02, 0x06, 0x00, 0x20, 0xa2, 0x01, 0x20, 0xe6, 0x10];
    const HALT: u8 = 0xf4;

    #[test]
    fn what_a_guest_writes_is_in_the_area() {
        const TEST: &str = "what_a_guest_writes_is_in_the_area";
        let kvm = match Kvm::new() {
            Ok(kvm) => kvm,
            Err(why) => return areas_testing::skipped(TEST, &format!("/dev/kvm cannot be opened: {why}")),
        };
        let vm = match kvm.create_vm() {
            Ok(vm) => vm,
            Err(why) => return areas_testing::skipped(TEST, &format!("KVM makes no guest: {why}")),
        };
        let area = areas::builder(1 << 20).name("recipes: a guest").shared().unwrap();
        let memory = guest_memory(&area);
        memory.write_slice(&CODE, GuestAddress(0x1000)).unwrap();
        memory.write_obj(HALT, GuestAddress(0x1009)).unwrap();
        memory.write_obj(40_u8, GuestAddress(0x2000)).unwrap();
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: area.size() as u64,
            userspace_addr: area.as_ptr().addr() as u64,
        };
        // SAFETY: the area's mapping, which outlives the guest.
        unsafe { vm.set_user_memory_region(region) }.unwrap();
        let mut cpu = vm.create_vcpu(0).unwrap();
        let mut segments = cpu.get_sregs().unwrap();
        for segment in [&mut segments.cs, &mut segments.ds] {
            (segment.base, segment.selector) = (0, 0);
        }
        cpu.set_sregs(&segments).unwrap();
        let mut registers = cpu.get_regs().unwrap();
        (registers.rip, registers.rax, registers.rflags) = (0x1000, 2, 2);
        cpu.set_regs(&registers).unwrap();

        match cpu.run().unwrap() {
            VcpuExit::IoOut(port, data) => assert_eq!((port, data), (0x10, &[42_u8][..])),
            other => panic!("the guest ended otherwise: {other:?}"),
        }
        // Another holder, who knows nothing of the guest.
        let other = areas::registry::find("recipes: a guest").unwrap().open_read_only().unwrap();
        assert_eq!(other.load::<u8>(0x2001, Ordering::Relaxed).unwrap(), 42);
        assert!(matches!(cpu.run().unwrap(), VcpuExit::Hlt));
        drop((cpu, vm, memory, other));
        assert_eq!(area.freeze().unwrap()[0x2001], 42);
    }
}
