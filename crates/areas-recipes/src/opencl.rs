//! OpenCL: shared virtual memory that areas are made of, and areas that buffers are made of.
//!
//! [`Svm`] is a provider: its areas are private memory at an address that holds for host and
//! devices alike. [`AreaBuffer`] goes the other way: an area that exists, with its placement, its
//! name and its other holders, becomes the memory of a buffer (`CL_MEM_USE_HOST_PTR`). A device
//! that computes in the machine's memory (PoCL: the CPU) works in the area itself.
//!
//! ```no_run
//! use std::sync::Arc;
//! use areas_recipes::opencl::Svm;
//! use opencl3::context::Context;
//! use opencl3::device::{CL_DEVICE_TYPE_ALL, Device, get_all_devices};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = Device::new(get_all_devices(CL_DEVICE_TYPE_ALL)?[0]);
//! let svm = Svm::new(Arc::new(Context::from_device(&device)?))?;
//! let mut area = areas::builder(1 << 20).provider(&svm).private()?;
//! area.fill(1);
//! // `kernel.set_arg_svm_pointer(0, area.as_ptr().cast())`, and it works in the area.
//! # Ok(())
//! # }
//! ```

#![expect(unsafe_code, reason = "calls OpenCL with addresses; each block has its proof")]

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use areas::provider::Fixed;
use areas::{Area, Error, ErrorKind, Mapping, Provider, Rejected, Request, Result, Shared};
use opencl3::context::Context;
use opencl3::device::{CL_DEVICE_SVM_FINE_GRAIN_BUFFER, Device};
use opencl3::error_codes::ClError;
use opencl3::memory::{
    Buffer, CL_MEM_READ_WRITE, CL_MEM_SVM_FINE_GRAIN_BUFFER, CL_MEM_USE_HOST_PTR, svm_alloc, svm_free,
};

/// Whole pages are taken of what OpenCL gives, which aligns at 128 bytes at most.
const PAGE: usize = 4096;

/// A provider of shared virtual memory (SVM): one allocation of OpenCL's for each area.
///
/// As with any memory that is given ([`Fixed`]), requests for a place, a lock, exact addresses or
/// shared memory are refused. While a kernel works in an area the program must not access it: that
/// is the promise of whoever enqueues the kernel.
#[derive(Clone)]
pub struct Svm {
    context: Arc<Context>,
}

impl Svm {
    /// Of a context whose devices have SVM that the host may access at any time
    /// (`CL_DEVICE_SVM_FINE_GRAIN_BUFFER`).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where a device has not: its memory would have to be mapped before
    /// each access. [`ErrorKind::System`] if OpenCL does not report it.
    pub fn new(context: Arc<Context>) -> Result<Self> {
        for &id in context.devices() {
            let device = Device::new(id);
            let has = device.svm_capabilities().map_err(|why| refused("ask a device for its SVM", &why))?;
            if has & CL_DEVICE_SVM_FINE_GRAIN_BUFFER == 0 {
                let name = device.name().unwrap_or_else(|_| "a device".to_owned());
                return Err(Error::new(ErrorKind::Unsupported, "use shared virtual memory for areas")
                    .with_facts(format!(
                        "{name} has none that the host may access at any time: its capabilities are {has:#x}"
                    ))
                    .with_remedy("use AreaBuffer, or a context of other devices"));
            }
        }
        Ok(Svm { context })
    }
}

impl fmt::Debug for Svm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Svm").field("devices", &self.context.devices().len()).finish_non_exhaustive()
    }
}

/// One allocation, freed when nothing of it is in use any more.
struct Block {
    context: Arc<Context>,
    start: NonNull<u8>,
}

// SAFETY: an address and a context, which OpenCL lets any thread use.
unsafe impl Send for Block {}
// SAFETY: nothing is done through a shared reference.
unsafe impl Sync for Block {}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: what svm_alloc of this context gave, once. Nothing could be done about a failure.
        let _ = unsafe { svm_free(self.context.get(), self.start.as_ptr().cast()) };
    }
}

impl Provider for Svm {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let what = || format!("allocate {} bytes of shared virtual memory", request.size());
        // Room for whole pages, or for a larger alignment, wherever the block begins.
        let room = request.alignment().max(PAGE);
        let bytes = request.size().checked_next_multiple_of(PAGE).and_then(|size| size.checked_add(room));
        let bytes = bytes.ok_or_else(|| {
            Error::new(ErrorKind::NoMemory, what()).with_facts("that is more than there are addresses")
        })?;
        let flags = CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER;
        // SAFETY: flags that the devices have (checked when the provider was made), and an
        // alignment that OpenCL has for all.
        let given = unsafe { svm_alloc(self.context.get(), flags, bytes, 128) };
        let start = given.ok().and_then(|start| NonNull::new(start.cast::<u8>())).ok_or_else(|| {
            Error::new(ErrorKind::NoMemory, what())
                .with_facts("clSVMAlloc returned NULL, without a reason")
                .with_remedy(
                    "ask for less: CL_DEVICE_MAX_MEM_ALLOC_SIZE is the most that a device allocates at once",
                )
        })?;
        let block = Block { context: self.context.clone(), start };
        // SAFETY: the block is readable and writable until it is dropped, and known to nothing
        // else. It is the host's at any time (fine grain).
        let fixed = unsafe { Fixed::from_raw_parts(start, bytes, block) }?;
        fixed.map(request)
    }
}

/// An area as the memory of an OpenCL buffer. The buffer goes first.
///
/// Commands that use the buffer have to be finished before this is dropped, which is the promise of
/// whoever enqueues them. An area that is a buffer's cannot be frozen: take it back first.
pub struct AreaBuffer {
    // In the order in which they are dropped.
    buffer: Buffer<u8>,
    area: Area<Shared>,
}

impl AreaBuffer {
    /// A buffer over all of an area.
    ///
    /// # Errors
    /// OpenCL refuses it. The area comes back.
    pub fn new(context: &Context, area: Area<Shared>) -> Result<Self, Rejected<Area<Shared>>> {
        let flags = CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR;
        // SAFETY: the area's memory is mapped, and stays so until the buffer is released: both are
        // in one value, the buffer first.
        match unsafe { Buffer::create(context, flags, area.size(), area.as_ptr().cast()) } {
            Ok(buffer) => Ok(AreaBuffer { buffer, area }),
            Err(why) => {
                let error = refused(&format!("make a buffer over {area}"), &why);
                Err(Rejected { error, value: area })
            }
        }
    }

    /// The buffer, as an argument of kernels.
    #[must_use]
    pub fn buffer(&self) -> &Buffer<u8> {
        &self.buffer
    }

    /// The area, for the time in which no command uses the buffer.
    pub fn area(&self) -> &Area<Shared> {
        &self.area
    }

    /// Releases the buffer; the area stays.
    pub fn into_area(self) -> Area<Shared> {
        let AreaBuffer { buffer, area } = self;
        drop(buffer);
        area
    }
}

impl fmt::Debug for AreaBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AreaBuffer").field("area", &self.area).finish_non_exhaustive()
    }
}

fn refused(what: &str, why: &ClError) -> Error {
    Error::new(ErrorKind::System, what.to_owned()).with_facts(format!("OpenCL says: {why} ({})", why.0))
}
