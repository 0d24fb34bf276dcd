//! What processes use, from proc(5).

use std::fs;

/// CPU seconds a process has used, in user and system mode.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    // Fields 14 and 15, counted after the command's name in parentheses.
    seconds(pid, 11)
}

/// CPU seconds that children of this process have used, and theirs, once waited for.
pub(crate) fn cpu_seconds_of_children() -> f64 {
    // Fields 16 and 17.
    seconds(std::process::id(), 13)
}

/// Two fields of a process that are clock ticks, added up.
fn seconds(pid: u32, first: usize) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = rest.split_whitespace().skip(first).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// Bytes that a process and its children have had resident at most, each by itself, added up.
pub(crate) fn peak_memory_of_group(pid: u32) -> u64 {
    let children = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let child: u32 = entry.file_name().to_str()?.parse().ok()?;
        (parent(child)? == pid).then_some(child)
    });
    std::iter::once(pid).chain(children).filter_map(peak_memory).sum()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn peak_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}
