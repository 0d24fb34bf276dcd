//! Measurements of the whole: what a person would time with a watch, and the CPU a tile costs.
//!
//! `cargo run --release -p tests --bin measure -- drop-to-tile | many-small [N] | convert | tile-cpu | load [--seconds N] [--only PART-OF-A-NAME] | cold-s3 |
//! ingestors [N] | publish-to-visible | lambda [N] [FOLDER]`, with release binaries built before. The last three need a nats-server on the path, or in the
//! environment that `KILN_JUDGES` names.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement for developers")]

mod cloud;
mod cold_s3;
mod convert;
mod load;
mod processes;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use harness::formula::Formula;
use harness::launch::Launch;
use harness::picture;
use harness::raster::Raster;
use harness::scene::Scene;
use harness::stack::Stack;
use shared::dataset::DataType;

use processes::{cpu_seconds, peak_memory_of_group};

/// How long anything measured here may take.
pub(crate) const LIMIT: Duration = Duration::from_mins(10);
/// Zoom levels above the finest whose tiles are asked for.
const ZOOMS: u8 = 3;
/// Seconds that each row of `load` is measured unless told otherwise.
const LOAD_SECONDS: f64 = 6.0;
/// How often the list of tiles is walked while CPU is counted.
const WALKS: usize = 5;
/// Drops of one raster.
const DROPS: usize = 10;

fn main() {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("drop-to-tile") => drop_to_tile(),
        Some("many-small") => many_small(args.next().and_then(|n| n.parse().ok()).unwrap_or(2000)),
        Some("convert") => convert::run(),
        Some("tile-cpu") => tile_cpu(),
        Some("load") => load(&args.collect::<Vec<_>>()),
        Some("cold-s3") => cold_s3::run(),
        Some("bare-server") => load::others::serve_bare(),
        Some("ingestors") => cloud::ingestors(args.next().and_then(|n| n.parse().ok()).unwrap_or(300)),
        Some("publish-to-visible") => cloud::publish_to_visible(),
        Some("lambda") => {
            let count = args.next().and_then(|n| n.parse().ok()).unwrap_or(1000);
            cloud::lambda(count, args.next().as_deref().map(std::path::Path::new));
        }
        _ => println!(
            "measure drop-to-tile | many-small [N] | convert | tile-cpu | load [--seconds N] [--only PART-OF-A-NAME] | cold-s3 | ingestors [N] | publish-to-visible | lambda [N]"
        ),
    }
}

/// `load` with what is said of it.
fn load(args: &[String]) {
    let after = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    let seconds = after("--seconds").and_then(|n| n.parse().ok()).unwrap_or(LOAD_SECONDS);
    load::run(seconds, after("--only").map(String::as_str));
}

/// A uint16 UTM raster like a satellite's: octaves of noise, a wedge without data.
pub(crate) fn reflectance(side: u32) -> Raster {
    let noise = Formula::noise(7, 500.0, 300.0, 6000.0).with_wedge(side, side, 0.15);
    Raster::utm(33, [499_980.0, 5_300_040.0], 10.0, side, side, DataType::Uint16).filled(noise).nodata(0.0)
}

/// Seconds from the moment a raster is in the watched folder to the first picture of a tile in its middle, a fresh store each time.
fn drop_to_tile() {
    for (name, side) in [("one-megabyte", 724), ("sentinel", 10_980)] {
        let kept = Scene::new();
        let raster = kept.root().join("raster.tif");
        reflectance(side).save(&raster);
        let bytes = fs::metadata(&raster).unwrap().len();
        let mut seconds: Vec<f64> = (0..DROPS).map(|_| seconds_to_tile(&raster, name)).collect();
        seconds.sort_by(f64::total_cmp);
        println!(
            "{name}: {side}², {bytes} bytes: {:.2} s to a tile at the median of {DROPS}, {:.2} to {:.2}",
            seconds[DROPS / 2],
            seconds[0],
            seconds[DROPS - 1]
        );
    }
}

fn seconds_to_tile(raster: &Path, name: &str) -> f64 {
    let scene = Scene::new();
    let waiting = scene.root().join("waiting.tif");
    fs::copy(raster, &waiting).unwrap();
    let stack = Launch::serve(&scene).start();
    stack.base();
    stack.wait_for("answers", LIMIT, || (stack.get("/keys").status == 200).then_some(()));
    let dropped = Instant::now();
    fs::rename(&waiting, scene.path(&format!("{name}.tif"))).unwrap();
    let path = format!("{name}/1");
    stack.wait_for("the dataset is there", LIMIT, || {
        (stack.get(&format!("/metadata/{path}")).status == 200).then_some(())
    });
    let picture = stack.tile_rgba(&stack.center_tile(&path, None));
    assert!(picture::opaque(&picture) > 0, "the tile shows nothing");
    dropped.elapsed().as_secs_f64()
}

/// Many small rasters dropped at once.
fn many_small(count: usize) {
    let scene = Scene::new();
    let waiting = scene.root().join("waiting");
    fs::create_dir(&waiting).unwrap();
    for i in 0..count {
        let (col, row) = ((i % 50) as f64, (i / 50) as f64);
        let corner = [300_000.0 + col * 2560.0, 5_900_000.0 - row * 2560.0];
        let noise = Formula::noise(i as u64, 60.0, 100.0, 4000.0);
        Raster::utm(33, corner, 10.0, 256, 256, DataType::Uint16)
            .filled(noise)
            .save(&waiting.join(format!("r{i}.tif")));
    }
    let stack = Launch::serve(&scene).start();
    stack.base();
    stack.wait_for("answers", LIMIT, || (stack.get("/keys").status == 200).then_some(()));
    let started = Instant::now();
    fs::rename(&waiting, scene.path("many")).unwrap();
    let mut peak = 0;
    stack.wait_for("all are in the catalogue", LIMIT, || {
        peak = peak.max(peak_memory_of_group(stack.pid_number()));
        let total = stack.json("/collections")["collections"][0]["datasets"].as_u64();
        (total == Some(count as u64)).then_some(())
    });
    let seconds = started.elapsed().as_secs_f64();
    let (commits, snapshots) = (scene.stored("commits").len(), scene.stored("manifests").len());
    println!(
        "{count} rasters of 256²: {seconds:.1} s, {:.0} a second, peak {} MiB of all processes, {commits} commits, {snapshots} snapshots",
        count as f64 / seconds,
        peak >> 20
    );
}

/// CPU of the server alone per warm tile, rendered anew each time: the cache of finished tiles is off.
fn tile_cpu() {
    let scene = Scene::new();
    reflectance(4096).save(&scene.path("band.tif"));
    let mut ingest = Launch::serve(&scene).start();
    ingest.wait_for_datasets(&["band/1"]);
    let tiles = tiles(&ingest);
    ingest.stop();
    let stack = Launch::server(&scene).args(["--cache-mb", "0"]).start();
    stack.wait_for("is ready", LIMIT, || (stack.get("/ready").status == 200).then_some(()));
    let walk = || tiles.iter().map(|tile| stack.get(tile).body.len()).sum::<usize>();
    walk();
    let (before, started) = (cpu_seconds(stack.pid_number()), Instant::now());
    let bytes: usize = (0..WALKS).map(|_| walk()).sum();
    let count = (tiles.len() * WALKS) as f64;
    let cpu_ms = (cpu_seconds(stack.pid_number()) - before) * 1000.0 / count;
    let wall_ms = started.elapsed().as_secs_f64() * 1000.0 / count;
    println!(
        "{count} tiles from page cache, one client: {cpu_ms:.3} ms of CPU each (server only), {wall_ms:.2} ms from ask to answer, {:.1} kB",
        bytes as f64 / count / 1000.0
    );
}

/// Tiles of a few zooms under the raster, with a colour map and a stretch.
fn tiles(stack: &Stack) -> Vec<String> {
    let metadata = stack.metadata("band/1");
    let hull = picture::Hull::parse(&metadata["convex_hull"]);
    let maxzoom = metadata["maxzoom"].as_u64().unwrap() as u8;
    let mut tiles = Vec::new();
    for z in maxzoom + 1 - ZOOMS..=maxzoom {
        for (x, y) in hull.tiles(z) {
            tiles.push(format!("/singleband/band/1/{z}/{x}/{y}.png?colormap=viridis&stretch_range=[300,6000]"));
        }
    }
    tiles
}
