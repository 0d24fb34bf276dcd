//! A raster to a COG with its metadata, beside GDAL's COG driver, which makes no metadata: by turns, in one run.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use harness::raster::Raster;
use harness::scene::Scene;

use crate::load::data;
use crate::processes::{cpu_seconds_of_children, peak_memory_of_group};
use crate::reflectance;

/// Each program's turns; the median counts.
const ROUNDS: usize = 3;
/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What a run of a program took.
#[derive(Clone, Copy)]
struct Took {
    wall_s: f64,
    cpu_s: f64,
    peak_bytes: u64,
}

/// Prints a row for each kind of raster.
pub(crate) fn run() {
    println!("| raster | | wall s | CPU s | peak MiB | GDAL's wall, CPU ÷ ours |\n|---|---|---|---|---|---|");
    row("uint16, 10,980², a corner without data", "bilinear", &reflectance(10_980));
    row("float32 heights, 4096², NaN", "bilinear", &data::dem());
    row("uint8 classes, 4096²", "nearest", &data::landcover());
    row("uint8 RGB, 4096²", "bilinear", &data::photo());
}

fn row(name: &str, resampling: &str, raster: &Raster) {
    let scene = Scene::new();
    let (file, out) = (scene.root().join("raster.tif"), scene.root().join("out"));
    raster.save(&file);
    let kiln = std::env::current_exe().unwrap().with_file_name("kiln");
    let (mut ours, mut gdals) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        fs::create_dir_all(&out).unwrap();
        ours.push(time(Command::new(&kiln).arg("convert").arg(&file).arg("-o").arg(&out)));
        fs::remove_dir_all(&out).unwrap();
        gdals.push(time(&mut gdal(&file, &scene.root().join("gdal.tif"), resampling)));
    }
    let (ours, gdals) = (median(&mut ours), median(&mut gdals));
    let (wall, cpu) = (gdals.wall_s / ours.wall_s, gdals.cpu_s / ours.cpu_s);
    println!(
        "| {name} | kiln convert | {} | {wall:.1}, {cpu:.1} |\n| | gdal_translate | {} | |",
        ours.cells(),
        gdals.cells()
    );
}

fn gdal(from: &Path, to: &Path, resampling: &str) -> Command {
    let mut command = Command::new("gdal_translate");
    command.args(["-q", "-of", "COG", "-co", "TILING_SCHEME=GoogleMapsCompatible", "-co", "COMPRESS=ZSTD"]);
    command.args(["-co", "NUM_THREADS=ALL_CPUS", "-co", &format!("RESAMPLING={resampling}")]);
    command.args([AsRef::<OsStr>::as_ref(from), to.as_ref()]);
    command
}

/// Runs a program to its end.
fn time(command: &mut Command) -> Took {
    let (cpu, started, mut peak_bytes) = (cpu_seconds_of_children(), Instant::now(), 0);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let status = loop {
        peak_bytes = peak_bytes.max(peak_memory_of_group(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        thread::sleep(LOOK_EVERY);
    };
    assert!(status.success(), "{command:?}: {status}");
    Took { wall_s: started.elapsed().as_secs_f64(), cpu_s: cpu_seconds_of_children() - cpu, peak_bytes }
}

/// The turn of the median CPU time.
fn median(turns: &mut [Took]) -> Took {
    turns.sort_by(|a, b| a.cpu_s.total_cmp(&b.cpu_s));
    turns[turns.len() / 2]
}

impl Took {
    fn cells(self) -> String {
        format!("{:.2} | {:.2} | {}", self.wall_s, self.cpu_s, self.peak_bytes >> 20)
    }
}
