//! The steps of a case's tiles in this process, one thread, in the CPU time that thread takes: no server, no socket.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use harness::formula::octaves;
use rustix::time::{ClockId, clock_gettime};
use server::bench::pictures::{Pictures, Spent};

use super::cases::Tile;

/// Tiles timed in a round, from the list's start.
const TILES: usize = 96;
/// How often each is made.
const PASSES: usize = 3;
/// Tiles made before, so that tables and memory are there.
const WARM_UP: usize = 8;
/// Points of noise that a calibration makes.
const CALIBRATION_POINTS: u32 = 150_000;

/// Milliseconds of CPU a tile costs, by step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Steps {
    pub(crate) plan: f64,
    pub(crate) read: f64,
    pub(crate) decode: f64,
    pub(crate) render: f64,
    pub(crate) encode: f64,
}

impl Steps {
    pub(crate) fn sum(&self) -> f64 {
        self.plan + self.read + self.decode + self.render + self.encode
    }
}

/// Makes some tiles.
pub(crate) fn time(pictures: &Pictures, tiles: &[Tile]) -> Steps {
    let tiles = &tiles[..tiles.len().min(TILES)];
    // In a thread as a server's worker is one: the main thread's memory is given back in another way.
    thread::scope(|scope| scope.spawn(|| time_here(pictures, tiles)).join().unwrap())
}

fn time_here(pictures: &Pictures, tiles: &[Tile]) -> Steps {
    for (z, x, y) in tiles.iter().take(WARM_UP) {
        black_box(pictures.make(*z, *x, *y));
    }
    let before = cpu_ms();
    let passes: Vec<Vec<Spent>> =
        (0..PASSES).map(|_| tiles.iter().map(|(z, x, y)| pictures.make(*z, *x, *y)).collect()).collect();
    let cpu = (cpu_ms() - before) / (tiles.len() * PASSES) as f64;
    // A step that another program interrupted is not interrupted in all passes.
    let least = |i: usize, step: fn(&Spent) -> Duration| passes.iter().map(|spent| step(&spent[i])).min();
    let of =
        |step: fn(&Spent) -> Duration| (0..tiles.len()).filter_map(|i| least(i, step)).sum::<Duration>().as_secs_f64();
    let [plan, read, decode, render, encode] =
        [of(|s| s.plan), of(|s| s.read), of(|s| s.decode), of(|s| s.render), of(|s| s.encode)];
    // Steps are told apart by the clock on the wall; how long they took together, by that of the CPU, which others cannot slow.
    let share = cpu / (plan + read + decode + render + encode);
    let [plan, read, decode, render, encode] = [plan, read, decode, render, encode].map(|step| step * share);
    Steps { plan, read, decode, render, encode }
}

/// Milliseconds of CPU that a fixed job takes: how fast the machine is at this moment.
pub(crate) fn calibration() -> f64 {
    let before = cpu_ms();
    let sum: f64 = (0..CALIBRATION_POINTS).map(|i| octaves(1, f64::from(i) * 0.37, f64::from(i) * 0.11)).sum();
    black_box(sum);
    cpu_ms() - before
}

fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1000.0 + time.tv_nsec as f64 / 1e6
}
