//! Kernels that work in areas: of shared virtual memory, and over an area that another holder sees.

#![expect(unsafe_code, reason = "enqueues kernels; each block has its proof")]

use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use areas::{Area, ErrorKind, Private};
use areas_conformance::Suite;
use areas_recipes::opencl::{AreaBuffer, Svm};
use opencl3::command_queue::CommandQueue;
use opencl3::context::Context;
use opencl3::device::{CL_DEVICE_TYPE_CPU, Device, get_all_devices};
use opencl3::kernel::Kernel;
use opencl3::memory::ClMem as _;
use opencl3::program::Program;

const COUNT: usize = 1 << 16;
const SOURCE: &str = "kernel void three(global uint *numbers) { size_t i = get_global_id(0); numbers[i] = 3 * numbers[i] + 1; }";

/// A context of a device that computes in the machine's memory; `None` where there is none, which
/// is said.
fn context(test: &str) -> Option<Arc<Context>> {
    // The loader finds its platforms at the first call, and not in two threads at once.
    static FIRST: Mutex<()> = Mutex::new(());
    let _first = FIRST.lock().unwrap();
    let devices = match get_all_devices(CL_DEVICE_TYPE_CPU) {
        Ok(devices) if !devices.is_empty() => devices,
        Ok(_) => {
            areas_testing::skipped(test, "no OpenCL device is a CPU (Debian: pocl-opencl-icd)");
            return None;
        }
        Err(why) => {
            areas_testing::skipped(
                test,
                &format!("there is no OpenCL here (Debian: ocl-icd-libopencl1 pocl-opencl-icd): {why}"),
            );
            return None;
        }
    };
    Some(Arc::new(Context::from_device(&Device::new(devices[0])).unwrap()))
}

/// Runs the kernel over what `argument` sets, and waits for its end.
fn compute(context: &Context, argument: impl FnOnce(&Kernel)) {
    let queue = CommandQueue::create_default_with_properties(context, 0, 0).unwrap();
    let program = Program::create_and_build_from_source(context, SOURCE, "").unwrap();
    let kernel = Kernel::create(&program, "three").unwrap();
    argument(&kernel);
    let sizes = [COUNT];
    // SAFETY: the kernel has its one argument, memory of COUNT words; the sizes live until the call
    // returns.
    let event = unsafe {
        queue.enqueue_nd_range_kernel(kernel.get(), 1, ptr::null(), sizes.as_ptr(), ptr::null(), &[])
    };
    event.unwrap().wait().unwrap();
    queue.finish().unwrap();
}

fn word(number: usize) -> u32 {
    u32::try_from(number).unwrap()
}

#[test]
fn a_kernel_works_in_an_area_of_shared_virtual_memory() {
    let Some(context) = context("a_kernel_works_in_an_area_of_shared_virtual_memory") else { return };
    let svm = Svm::new(context.clone()).unwrap();
    let mut area: Area<Private> = areas::builder(COUNT * 4).provider(&svm).private().unwrap();
    assert!(area.iter().all(|byte| *byte == 0), "it is zeroed as any new area");
    for (number, bytes) in area.chunks_exact_mut(4).enumerate() {
        bytes.copy_from_slice(&word(number).to_ne_bytes());
    }
    // SAFETY: memory of that context, of COUNT words, which outlives the kernel.
    compute(&context, |kernel| unsafe { kernel.set_arg_svm_pointer(0, area.as_ptr().cast()) }.unwrap());
    for (number, bytes) in area.chunks_exact(4).enumerate() {
        assert_eq!(bytes, (3 * word(number) + 1).to_ne_bytes());
    }
    drop(area);
    // What the provider refuses, it says.
    let error = areas::builder(4096).provider(&svm).shared().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:#}");
    let error = areas::builder(1 << 46).provider(&svm).private().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
    assert!(format!("{error:#}").contains("CL_DEVICE_MAX_MEM_ALLOC_SIZE"), "{error:#}");
}

#[test]
fn the_provider_conforms() {
    let Some(context) = context("the_provider_conforms") else { return };
    let svm = Svm::new(context).unwrap();
    let report = Suite::new(&svm).may_touch(true).run();
    report.assert();
}

#[test]
fn a_kernel_works_in_an_area_that_others_hold() {
    let Some(context) = context("a_kernel_works_in_an_area_that_others_hold") else { return };
    let area = areas::builder(COUNT * 4).name("recipes: opencl").shared().unwrap();
    for number in 0..COUNT {
        area.store(number * 4, word(number), Ordering::Relaxed).unwrap();
    }
    let buffer = AreaBuffer::new(&context, area).unwrap();
    // SAFETY: the buffer has COUNT words, and outlives the kernel.
    compute(&context, |kernel| unsafe { kernel.set_arg(0, &buffer.buffer().get()) }.unwrap());
    // Another mapping of the same memory, before anything was read back.
    let other = areas::registry::find("recipes: opencl").unwrap().open_read_only().unwrap();
    assert_ne!(other.as_ptr(), buffer.area().as_ptr());
    for number in 0..COUNT {
        assert_eq!(other.load::<u32>(number * 4, Ordering::Relaxed).unwrap(), 3 * word(number) + 1);
    }
    let area = buffer.into_area();
    drop(other);
    assert_eq!(area.freeze().unwrap()[..4], 1_u32.to_ne_bytes());
}
