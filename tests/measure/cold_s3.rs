//! Tiles from a bucket that takes its time: how many requests each makes, and how long it takes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::cloud::{RASTERS, STORE, TILES};
use harness::formula::Formula;
use harness::launch::Launch;
use harness::picture::{self, Hull};
use harness::raster::Raster;
use harness::s3::{Promise, S3Server};
use harness::scene::Scene;
use harness::stack::Stack;
use shared::dataset::DataType;

use crate::LIMIT;
use crate::cloud;
use crate::load::client::{Connection, get};

/// What a request to the bucket takes longer than on loopback: that of a bucket in the same region.
const DELAY: Duration = Duration::from_millis(20);
/// Datasets, each with a first tile.
const DATASETS: usize = 24;
/// Pixels along the side of each.
const SIDE: u32 = 1024;
/// Part of the sides that the corner without data takes: whole blocks lie in it.
const WEDGE: f64 = 0.9;

/// What kind of tile was asked for.
#[derive(Default)]
struct Asked {
    waits_ms: Vec<f64>,
    requests: Vec<u64>,
}

/// Asks for first tiles, for further ones, and for such that hold nothing.
pub(crate) fn run() {
    let scene = Scene::new();
    for i in 0..DATASETS {
        raster(i).save(&scene.path(&format!("d{i}.tif")));
    }
    cloud::publish(&scene);
    let s3 = S3Server::start(Promise::Kept, &[RASTERS, TILES]);
    cloud::copy(&scene, &s3);
    let server = server(&scene, &s3);
    let plans: Vec<(Vec<String>, Vec<String>)> = (0..DATASETS).map(|i| tiles(&server, i)).collect();
    s3.set_delay(DELAY);
    let address: SocketAddr = server.base().trim_start_matches("http://").parse().unwrap();
    let mut connection = Connection::open(address);
    let (mut first, mut further, mut sparse) = (Asked::default(), Asked::default(), Asked::default());
    for (full, empty) in &plans {
        let Some((begin, rest)) = full.split_first() else { continue };
        first.ask(&s3, &mut connection, begin);
        for tile in rest {
            further.ask(&s3, &mut connection, tile);
        }
        for tile in empty {
            sparse.ask(&s3, &mut connection, tile);
        }
    }
    println!("| tile from a bucket, {} ms a request | tiles | requests each | p50 ms | p99 ms |", DELAY.as_millis());
    println!("|---|---|---|---|---|");
    first.print("the first of a dataset: its header is not known");
    further.print("a further one: its header is known");
    sparse.print("of a sparse block, header known");
}

fn raster(i: usize) -> Raster {
    let noise = Formula::noise(i as u64, 60.0, 300.0, 4000.0).with_wedge(SIDE, SIDE, WEDGE);
    let corner = [300_000.0 + (i % 6) as f64 * 12_000.0, 5_900_000.0 - (i / 6) as f64 * 12_000.0];
    Raster::utm(33, corner, 10.0, SIDE, SIDE, DataType::Uint16).filled(noise).nodata(0.0)
}

fn server(scene: &Scene, s3: &S3Server) -> Stack {
    let args = ["--listen", "127.0.0.1:0", "--cache-mb", "0", "--reload-seconds", "86400", "--store", STORE];
    let launch = Launch::new(scene, "kiln-server", args);
    let launch = s3.environment().into_iter().fold(launch, |launch, (name, value)| launch.env(name, value));
    let server = launch.start();
    server.wait_for("is ready", LIMIT, || (server.get("/ready").status == 200).then_some(()));
    server
}

/// Tiles of a dataset's finest zoom that hold something and such that do not, as seen in the raster itself.
fn tiles(server: &Stack, i: usize) -> (Vec<String>, Vec<String>) {
    let metadata = server.metadata(&format!("d{i}/1"));
    let z = metadata["maxzoom"].as_u64().unwrap() as u8;
    let hull = Hull::parse(&metadata["convex_hull"]);
    let path = |(x, y): &(u32, u32)| format!("/singleband/d{i}/1/{z}/{x}/{y}.png?stretch_range=[300,4000]");
    let grid: Vec<(f64, f64)> = [0.0, 0.25, 0.5, 0.75, 1.0]
        .map(|u| u * 255.0)
        .iter()
        .flat_map(|u| [0.0, 0.25, 0.5, 0.75, 1.0].map(|v| (*u, v * 255.0)))
        .collect();
    let touched = |tile: &(u32, u32)| {
        grid.iter()
            .filter(|(col, row)| {
                let (lon, lat) = picture::pixel_center(z, *tile, *col as u32, *row as u32);
                hull.contains(lon, lat)
            })
            .count()
    };
    let all = hull.tiles(z);
    let full = all.iter().filter(|tile| touched(tile) == grid.len()).map(path).collect();
    let empty = all.iter().filter(|tile| touched(tile) == 0).map(path).collect();
    (full, empty)
}

impl Asked {
    fn ask(&mut self, s3: &S3Server, connection: &mut Connection, path: &str) {
        let (before, started) = (s3.requests(), Instant::now());
        let (status, _) = connection.ask(&get(path, ""));
        assert_eq!(status, 200, "{path}");
        self.waits_ms.push(started.elapsed().as_secs_f64() * 1000.0);
        self.requests.push(s3.requests() - before);
    }

    fn print(mut self, name: &str) {
        self.waits_ms.sort_by(f64::total_cmp);
        let at = |part: f64| self.waits_ms.get(((self.waits_ms.len().max(1) - 1) as f64 * part) as usize);
        let [p50, p99] = [0.5, 0.99].map(|part| at(part).copied().unwrap_or(f64::NAN));
        let (least, most) = (self.requests.iter().min().unwrap_or(&0), self.requests.iter().max().unwrap_or(&0));
        println!("| {name} | {} | {least}–{most} | {p50:.1} | {p99:.1} |", self.requests.len());
    }
}
