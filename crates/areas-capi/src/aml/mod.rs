//! AML's interface: areas, allocators over them, bitmaps, errors.
//!
//! The current interface and the older one of AML's documentation page share all but a few
//! functions; those of the older one ([`older`]) have symbols of their own, which its headers
//! (`include/aml-0.1/`) choose.
//!
//! A function here looks at its arguments, calls the library ([`areas::range`]), and turns what it
//! says into AML's numbers. It adds no system call and, where nothing fails, no allocation.

mod allocator;
mod area;
mod area_allocator;
mod asked;
mod bitmap;
mod blocks;
mod buddy;
mod error;
mod features;
mod generic;
mod hwloc;
mod hwloc_sets;
mod init;
mod linux;
mod nodes;
mod older;
mod pool;
mod ranked;
mod sized;
mod tables;
mod version;
