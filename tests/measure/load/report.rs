//! What came out, as tables in Markdown.

use std::fs;
use std::process::Command;

use super::cases::Case;
use super::client::Load;
use super::stages::Steps;

/// Names of the bare answers, of as many bytes as a tile and of none.
pub(crate) const BARE: &str = "axum alone, 30 kB";
pub(crate) const BARE_EMPTY: &str = "axum alone, no body";

/// One turn of a case.
#[derive(Debug)]
pub(crate) struct Shot {
    pub(crate) cpu_seconds: f64,
    pub(crate) load: Load,
}

/// All turns of a case with so many clients.
#[derive(Debug)]
pub(crate) struct Row {
    name: &'static str,
    clients: usize,
    plan_only: bool,
    rates: Vec<f64>,
    cpu_ms: Vec<f64>,
    waits: Vec<f32>,
    bytes: u64,
    steps: Vec<Steps>,
}

impl Row {
    pub(crate) fn new(case: &Case, clients: usize) -> Self {
        Self {
            name: case.name,
            clients,
            plan_only: case.plan_only,
            rates: Vec::new(),
            cpu_ms: Vec::new(),
            waits: Vec::new(),
            bytes: 0,
            steps: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, shot: Shot, steps: Option<Steps>) {
        let count = shot.load.waits.len() as f64;
        self.rates.push(count / shot.load.seconds);
        self.cpu_ms.push(shot.cpu_seconds * 1000.0 / count);
        self.waits.extend(shot.load.waits);
        self.bytes += shot.load.bytes;
        self.steps.extend(steps);
    }

    fn cpu(&self) -> f64 {
        median(&self.cpu_ms)
    }

    /// The median of each step.
    fn steps(&self) -> Option<Steps> {
        let of = |step: fn(&Steps) -> f64| median(&self.steps.iter().map(step).collect::<Vec<_>>());
        let all = Steps {
            plan: of(|s| s.plan),
            read: of(|s| s.read),
            decode: of(|s| s.decode),
            render: of(|s| s.render),
            encode: of(|s| s.encode),
        };
        let seen = if self.plan_only { Steps { plan: all.plan, ..Steps::default() } } else { all };
        (!self.steps.is_empty()).then_some(seen)
    }

    /// The bare answer it is to be set beside.
    fn bare(&self, rows: &[Self]) -> f64 {
        let name = if self.plan_only { BARE_EMPTY } else { BARE };
        rows.iter().find(|row| row.name == name && row.clients == self.clients).map_or(f64::NAN, Self::cpu)
    }

    fn wait(&self, part: f64) -> f32 {
        let mut waits = self.waits.clone();
        let at = ((waits.len() - 1) as f64 * part) as usize;
        *waits.select_nth_unstable_by(at, f32::total_cmp).1
    }
}

/// Both tables: what a client sees, and where the CPU goes.
pub(crate) fn print(rows: &[Row]) {
    println!(
        "\n| case | clients | tiles/s | p50 ms | p99 ms | CPU ms/tile (least–most) | sum of steps ms | ratio | kB/tile |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let sum = row.steps().map(|steps| steps.sum() + row.bare(rows));
        let (sum_text, ratio) =
            sum.map_or((String::new(), String::new()), |sum| (format!("{sum:.3}"), format!("{:.2}", row.cpu() / sum)));
        let kilobytes = row.bytes as f64 / row.waits.len() as f64 / 1000.0;
        println!(
            "| {} | {} | {:.0} | {:.2} | {:.2} | {:.3} ({:.3}–{:.3}) | {sum_text} | {ratio} | {kilobytes:.1} |",
            row.name,
            row.clients,
            median(&row.rates),
            row.wait(0.5),
            row.wait(0.99),
            row.cpu(),
            least(&row.cpu_ms),
            most(&row.cpu_ms),
        );
    }
    println!(
        "\n| CPU ms by step, in one thread | plan | read | decode | render | encode | bare answer | sum | server, 1 client | between |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for row in rows.iter().filter(|row| row.clients == 1) {
        let Some(steps) = row.steps() else { continue };
        let (bare, cpu) = (row.bare(rows), row.cpu());
        let sum = steps.sum() + bare;
        println!(
            "| {} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {bare:.3} | {sum:.3} | {cpu:.3} | {:.3} |",
            row.name,
            steps.plan,
            steps.read,
            steps.decode,
            steps.render,
            steps.encode,
            cpu - sum
        );
    }
}

/// The machine, what it was doing, and what was measured.
pub(crate) fn print_circumstances(calibrations: &mut [f64], seconds: f64) {
    calibrations.sort_by(f64::total_cmp);
    println!(
        "Calibration, a fixed job between all turns: {:.1} ms of CPU at the median, {:.1}–{:.1}.",
        median(calibrations),
        calibrations[0],
        calibrations[calibrations.len() - 1]
    );
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown CPU");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let commit = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    println!(
        "{seconds} s for each row; commit {commit}; {} cores of {}, shared with the client.",
        cores,
        model.trim_start_matches([' ', '\t', ':'])
    );
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}
