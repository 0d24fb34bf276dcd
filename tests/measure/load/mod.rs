//! Load on `kiln-server` with rasters like those people have: how many tiles a second, how soon each, what CPU each costs; beside the sum of its steps, axum
//! that answers without work, and, where it is given, the least work such tiles need. Kinds of requests take turns, so that one run's ratios hold
//! whatever else the machine does.

mod cases;
pub(crate) mod client;
pub(crate) mod data;
pub(crate) mod others;
mod report;
mod stages;
mod texture;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use harness::launch::Launch;
use harness::scene::Scene;
use harness::stack::Stack;
use server::bench::pictures::Pictures;

use crate::LIMIT;
use crate::processes::{cpu_seconds, peak_memory_of_group};
use cases::Case;
use data::Data;
use others::Other;
use report::{Row, Shot};

/// How often each kind takes its turn.
const ROUNDS: u32 = 3;
/// Clients at a time.
const CLIENTS: [usize; 2] = [1, 8];
/// What the floor is given by.
const FLOOR: &str = "KILN_FLOOR";

/// A case at a server.
struct Target {
    case: Case,
    address: SocketAddr,
    pid: u32,
    next: AtomicUsize,
    pictures: Option<Pictures>,
}

/// Loads for so many seconds each kind at each number of clients; only kinds with this in their names, if it is given.
pub(crate) fn run(seconds: f64, only: Option<&str>) {
    let data = Data::prepare();
    let scene = Scene::new();
    let server = start(&scene, &data);
    let mut targets = targets(&server, &data);
    let bare = Other::bare();
    for (name, path, status) in [(report::BARE, "/body", 200), (report::BARE_EMPTY, "/empty", 304)] {
        let requests = vec![client::get(path, "")];
        let case = Case { name, requests, status, made: None, plan_only: false };
        targets.push(Target {
            case,
            address: bare.address,
            pid: bare.pid(),
            next: AtomicUsize::new(0),
            pictures: None,
        });
    }
    let floor = std::env::var_os(FLOOR).map(|binary| floor(&PathBuf::from(binary), &mut targets));
    targets.retain(|target| only.is_none_or(|only| target.case.name.contains(only) || target.pid == bare.pid()));
    let time = Duration::from_secs_f64(seconds / f64::from(ROUNDS));
    let mut rows: BTreeMap<(usize, usize), Row> = BTreeMap::new();
    let mut calibrations = Vec::new();
    for _ in 0..ROUNDS {
        for (i, target) in targets.iter().enumerate() {
            let steps = target.case.made.as_ref().zip(target.pictures.as_ref());
            let steps = steps.map(|((_, tiles), pictures)| stages::time(pictures, tiles));
            for clients in CLIENTS {
                calibrations.push(stages::calibration());
                let shot = shoot(target, clients, time);
                let row = rows.entry((i, clients)).or_insert_with(|| Row::new(&target.case, clients));
                row.add(shot, steps);
            }
        }
    }
    report::print(&rows.into_values().collect::<Vec<_>>());
    println!();
    println!("Server: at most {} MiB of memory.", peak_memory_of_group(server.pid_number()) >> 20);
    report::print_circumstances(&mut calibrations, seconds);
    if floor.is_none() {
        println!("The floor: not asked for; {FLOOR} names its binary (bench/floor, `cargo build --release`).");
    }
}

/// The server alone, nothing kept of finished tiles.
fn start(scene: &Scene, data: &Data) -> Stack {
    let server = Launch::new(scene, "kiln-server", ["--listen", "127.0.0.1:0", "--cache-mb", "0", "--store"])
        .arg(&data.store)
        .start();
    server.wait_for("is ready", LIMIT, || (server.get("/ready").status == 200).then_some(()));
    server
}

fn targets(server: &Stack, data: &Data) -> Vec<Target> {
    let address: SocketAddr = server.base().trim_start_matches("http://").parse().unwrap();
    let snapshot = data.snapshot();
    let target = |case: Case| {
        let pictures = case.made.as_ref().map(|(look, _)| Pictures::open(&data.store, &snapshot, look));
        Target { case, address, pid: server.pid_number(), next: AtomicUsize::new(0), pictures }
    };
    cases::all(server, address).into_iter().map(target).collect()
}

/// The first two cases, at the floor.
fn floor(binary: &std::path::Path, targets: &mut Vec<Target>) -> Other {
    let rgb = &targets[1];
    let (_, tiles) = rgb.case.made.clone().unwrap();
    let floor = Other::floor(binary, rgb.pictures.as_ref().unwrap(), &tiles);
    let cases = [("the floor: one band", "/web1/{}"), ("the floor: RGB of three", "/webr/{}")];
    for (name, url) in cases {
        let case = cases::elsewhere(name, url, &tiles);
        targets.push(Target {
            case,
            address: floor.address,
            pid: floor.pid(),
            next: AtomicUsize::new(0),
            pictures: None,
        });
    }
    floor
}

fn shoot(target: &Target, clients: usize, time: Duration) -> Shot {
    let before = cpu_seconds(target.pid);
    let load = client::load(target.address, &target.case.requests, &target.next, clients, time, target.case.status);
    Shot { cpu_seconds: cpu_seconds(target.pid) - before, load }
}
