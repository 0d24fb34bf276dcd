//! How this process gets its memory, and how much there is.

/// As large as glibc lets it learn from: 32 MiB less what it adds.
const LARGEST_BYTES: usize = (32 << 20) - (64 << 10);

/// Lets glibc's allocator keep what is freed for what is allocated next. By default it gives each buffer of a picture back to the system, and every
/// page of the next costs a fault: a tenth of the time of a tile of several blocks. It learns from the largest buffer that was freed (`M_MMAP_THRESHOLD` in mallopt(3)),
/// so it is shown one; no page of it is touched. Other allocators take no notice.
pub fn keep_freed_memory() {
    drop(std::hint::black_box(vec![0u8; LARGEST_BYTES]));
}

/// What memory this process may take: the machine's, or less if its container has a limit.
pub fn limit_bytes() -> u64 {
    let machine = rustix::system::sysinfo();
    let machine_bytes = machine.totalram.saturating_mul(u64::from(machine.mem_unit));
    // cgroup v2, then v1: "max" and absurdly large numbers mean no limit.
    let container = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|file| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok());
    machine_bytes.min(container.unwrap_or(u64::MAX))
}
