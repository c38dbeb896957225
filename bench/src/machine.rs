//! What the machine is: a ratio without it means little.

use std::fs;
use std::mem;
use std::sync::OnceLock;
use std::time::Instant;

use serde::Serialize;

/// What may matter to a time.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cpus: usize,
    pub kernel: String,
    pub memory_mib: u64,
    pub nodes: usize,
    pub base_page: usize,
    /// "none": the machine has no say in it, as most guests.
    pub governor: String,
    pub transparent_huge_pages: String,
    /// Whether it is a guest of some hypervisor.
    pub virtual_machine: bool,
    pub compiler: String,
    /// Over a minute, as the run began and as it ended.
    pub load_before: String,
    pub load_after: String,
}

fn text(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn load() -> String {
    let load = text("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// Looks at this machine.
pub fn look() -> Machine {
    let info = text("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let memory = text("/proc/meminfo").unwrap_or_default();
    let kib = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    let nodes = areas::Topology::read().map_or(0, |topology| topology.nodes().len());
    Machine {
        cpu: field("model name").unwrap_or_else(|| "unknown".into()),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: text("/proc/sys/kernel/osrelease").unwrap_or_default(),
        memory_mib: kib.unwrap_or(0_u64) / 1024,
        nodes,
        base_page: areas::PageSize::base().bytes(),
        governor: text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
            .unwrap_or_else(|| "none".into()),
        transparent_huge_pages: text("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default(),
        virtual_machine: field("flags")
            .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
        compiler: std::env::var("AREAS_BENCH_COMPILERS").unwrap_or_default(),
        load_before: load(),
        load_after: String::new(),
    }
}

impl Machine {
    pub fn at_end(self) -> Self {
        Machine { load_after: load(), ..self }
    }
}

/// What memory does at most: bytes a nanosecond, which are GB/s.
#[derive(Clone, Copy, Debug)]
pub struct Bandwidth {
    pub copy_one: f64,
    pub copy_all: f64,
    pub read_all: f64,
}

impl Bandwidth {
    /// Copies and reads blocks of that many bytes, which are in memory already: the best of five.
    pub fn measure(size: usize) -> Self {
        let from = vec![1_u8; size];
        let mut to = vec![2_u8; size];
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let part = size.div_ceil(cpus);
        let mut best = |work: &mut dyn FnMut(&mut [u8])| {
            let times = (0..5).map(|_| {
                let start = Instant::now();
                work(&mut to);
                start.elapsed().as_nanos().max(1) as f64
            });
            size as f64 / times.fold(f64::INFINITY, f64::min)
        };
        Bandwidth {
            copy_one: best(&mut |to| to.copy_from_slice(&from)),
            copy_all: best(&mut |to| {
                std::thread::scope(|scope| {
                    for (from, to) in from.chunks(part).zip(to.chunks_mut(part)) {
                        scope.spawn(move || to.copy_from_slice(from));
                    }
                });
            }),
            read_all: best(&mut |_| {
                std::thread::scope(|scope| {
                    for from in from.chunks(part) {
                        scope.spawn(move || std::hint::black_box(crate::jobs::sum(from)));
                    }
                });
            }),
        }
    }
}

/// Keeps this thread on one CPU, or lets it go to all that it began with. Processes that it starts
/// inherit that.
pub fn pin(one: bool) {
    static FIRST: OnceLock<libc::cpu_set_t> = OnceLock::new();
    let size = mem::size_of::<libc::cpu_set_t>();
    // SAFETY: a set of bits, all zero is one of its values.
    let none: libc::cpu_set_t = unsafe { mem::zeroed() };
    let all = *FIRST.get_or_init(|| {
        let mut all = none;
        // SAFETY: the size is the set's. Where it is refused, the set stays empty.
        unsafe { libc::sched_getaffinity(0, size, &raw mut all) };
        all
    });
    let mut wanted = all;
    if one {
        // The last one: interrupts mostly go to the first.
        // SAFETY: a CPU below the set's size.
        let last = (0..libc::CPU_SETSIZE as usize).rev().find(|&cpu| unsafe { libc::CPU_ISSET(cpu, &all) });
        if let Some(last) = last {
            wanted = none;
            // SAFETY: it was found in a set of that size.
            unsafe { libc::CPU_SET(last, &mut wanted) };
        }
    }
    // SAFETY: the size is the set's. Where it is refused the times are a little worse.
    unsafe { libc::sched_setaffinity(0, size, &raw const wanted) };
}
