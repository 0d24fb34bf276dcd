//! How this process gets its memory.

/// As large as glibc lets it learn from: 32 MiB less what it adds.
const LARGEST_BYTES: usize = (32 << 20) - (64 << 10);

/// Lets glibc's allocator keep what is freed for what is allocated next. By default it gives each buffer of a picture back to the system, and every
/// page of the next costs a fault: a tenth of the time of a tile of several blocks. It learns from the largest buffer that was freed (`M_MMAP_THRESHOLD` in mallopt(3)),
/// so it is shown one; no page of it is touched. Other allocators take no notice.
pub fn keep_freed_memory() {
    drop(std::hint::black_box(vec![0u8; LARGEST_BYTES]));
}
