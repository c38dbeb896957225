//! Areas as the memory of others, in Rust: what [docs/recipes.md](../../docs/recipes.md) describes,
//! as code that is tested where its parts are.
//!
//! | file | what | needs |
//! |---|---|---|
//! | [`opencl`] | shared virtual memory as a provider, and buffers over areas | an OpenCL library, loaded when it is first called |
//! | `tests/kvm.rs` | the memory of a guest: `vm-memory`, and a guest that writes into it | `/dev/kvm` for the latter |
//! | `tests/cuda.rs` | `cuMemHostRegister`: an area that a GPU accesses | libcuda and a GPU |
//! | `tests/guest_dma_buf.rs` | an area as a dma-buf, and a camera that writes into it | `/dev/udmabuf`, vivid: in the guest |
//!
//! The recipes in C are in `areas-capi/examples/recipes`.

pub mod opencl;
