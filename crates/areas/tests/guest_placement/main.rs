//! Placement on a machine with several nodes: every policy on every set of nodes, each page
//! measured. `cargo xtask test` runs it in guests with a kernel of their own (`cargo xtask vm`);
//! elsewhere each test says that it was skipped.
//!
//! Each page's node is learnt twice, by the library's `residency()` and by a `move_pages` of the
//! tests' own, and the two have to agree. The guests' layouts:
//!
//! | boot | nodes |
//! |---|---|
//! | the default | 0 and 1 with CPUs, 2 large and slow, 3 small and fast, both without |
//! | swap and a memory-less node | 0 with all, 1 with a CPU and no memory, 2 with memory alone; with all drivers for zswap |
//! | memory that comes and goes | 0, and 1, a module of memory, with which the node comes and goes; 2 with memory alone |
//! | 4 MiB reserved | 0 with all below 4 GiB, and 1; the kernel leaves the physical range 8 to 12 MiB alone |
//! | pages of 1 GiB | 0, and 1 with room for such pages |
//! | a device that becomes a node | 0, and 1, all of whose memory is reserved for a memory device; 2 with memory alone |
//! | three nodes | 0 with 512 MiB, 1 with 320, 2 with 192 and no CPU |
//! | much memory | 0 and 1 with 1.4 GB each |
//! | Linux 6.1 | as the default; no PAGEMAP_SCAN, no cachestat, no weighted interleaving |
//!
//! Each boot names the modules that it is for; `cargo xtask test` complains about a test that none
//! names.
// vm: --with numactl -- containers:: cpuset:: collapsed:: kernel:: khugepaged:: layers:: migrate:: movers:: numactl:: policies:: pools:: populate:: ranges:: ranking:: refused:: sharing::
// vm: --nodes "1:384 1:0 0:256" --swap 256 -- absent:: swap::
// vm: --kernel full --nodes "1:384 1:0 0:256" --swap 256 -- compressed::
// vm: -- balancing:: tasks:: tiers::
// vm: --nodes "1:512 1:0 0:160" --append memhp_default_state=offline --qemu=-m --qemu=slots=2,maxmem=2G --qemu=-object --qemu=memory-backend-ram,id=hot,size=256M --qemu=-device --qemu=pc-dimm,id=added,memdev=hot,node=1 -- offline::
// vm: --nodes "1:512 0:4096" --append "hugepagesz=1G hugepages=1:2" -- giant::
// vm: --nodes "1:512 0:256" --append "memmap=4M$8M" -- low::
// vm: --nodes "1:1400 0:1400" -- calls::
// vm: --nodes "1:512 1:320 0:192" -- collapsed::
// vm: --nodes "1:512 0:384 0:128" --append "memmap=384M!512M memhp_default_state=offline" --modules "nd_e820 nd_pmem dax_pmem device_dax kmem" -- kmem::
// vm: --kernel linux-image-cloud-amd64 --nodes "1:512 0:384 0:128" --append "memmap=384M!512M memhp_default_state=offline" --modules "nd_e820 nd_pmem dax_pmem device_dax kmem" -- kmem::
// vm: --kernel linux-image-cloud-amd64 -- balancing:: containers:: cpuset:: collapsed:: kernel:: khugepaged:: layers:: migrate:: movers:: policies:: pools:: populate:: ranges:: refused:: sharing:: tasks::

mod absent;
mod balancing;
mod calls;
mod collapsed;
mod compressed;
mod containers;
mod cpuset;
mod giant;
mod kernel;
mod khugepaged;
mod kmem;
mod layers;
mod low;
#[path = "../guest_storage/made.rs"]
mod made;
mod migrate;
mod movers;
mod numactl;
mod offline;
mod policies;
mod pools;
mod populate;
mod ranges;
mod ranking;
mod refused;
#[expect(dead_code, reason = "the tests of errors use the rest")]
#[path = "../errors/sandbox.rs"]
mod sandbox;
mod sharing;
mod support;
mod swap;
mod tasks;
mod tiers;
