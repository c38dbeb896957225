//! The recipes of `examples/recipes/`: areas as the memory of io_uring, OpenCL and UCX, and what
//! each needs.

use std::path::Path;

/// A program, and what it needs besides the library.
#[derive(Debug)]
pub struct Recipe {
    /// In `examples/recipes/` of the C crate.
    pub file: &'static str,
    /// Below `/usr/include`.
    pub header: &'static str,
    /// For the linker.
    pub links: &'static [&'static str],
    /// Debian's packages.
    pub packages: &'static str,
}

impl Recipe {
    /// Whether its header is there.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        Path::new("/usr/include").join(self.header).exists()
    }
}

/// All of them.
pub const RECIPES: [Recipe; 4] = [
    Recipe { file: "io_uring.c", header: "liburing.h", links: &["-luring"], packages: "liburing-dev" },
    Recipe {
        file: "opencl.c",
        header: "CL/cl.h",
        links: &["-lOpenCL"],
        packages: "ocl-icd-opencl-dev pocl-opencl-icd",
    },
    Recipe {
        file: "aml_opencl.c",
        header: "CL/opencl.h",
        links: &["-lOpenCL"],
        packages: "ocl-icd-opencl-dev pocl-opencl-icd",
    },
    Recipe { file: "ucx.c", header: "ucp/api/ucp.h", links: &["-lucp", "-lucs"], packages: "libucx-dev" },
];
