//! Three ingestors on one queue, all publishing, one of them killed every second, the queue's storage wiped once: every raster is in the catalogue exactly once or
//! rejected with a reason, the log has no gap, and no server goes back a version.
//!
//! The moments come from a seed (`KILN_SEED`). In CI it takes about a minute; `make soak` (`KILN_SOAK=1`) has ten times the rasters.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use harness::cloud::{Cloud, PATIENCE, STORE, TILES};
use harness::formula::{Formula, scramble};
use harness::http::Client;
use harness::samples::{TILE, ZOOM};
use harness::{Launch, Raster, Stack};
use serde_json::Value;
use shared::dataset::DataType;

const INGESTORS: usize = 3;
const RASTERS: u64 = 300;
const SOAK_TIMES: u64 = 10;
/// One in so many is no raster.
const BAD_EVERY: u64 = 29;
const SEED: u64 = 20_261_126;
const KILL_EVERY: Duration = Duration::from_secs(1);

fn raster(index: u64) -> Vec<u8> {
    let tile = [TILE[0] + (index % 40) as u32, TILE[1] + (index / 40) as u32];
    Raster::on_grid(ZOOM, tile, [1, 1], DataType::Uint8).filled(Formula::noise(index, 32.0, 1.0, 250.0)).to_bytes()
}

fn key(index: u64) -> String {
    format!("batch {}/{index}.tif", index % 3)
}

fn is_bad(index: u64) -> bool {
    index % BAD_EVERY == 7
}

/// Starts one of the three; each keeps its state wherever the machine's cache has room for it, as processes on one machine do.
fn ingestor(cloud: &Cloud) -> Stack {
    cloud.ingestor(&["--reconcile-seconds", "10", "--threads", "1"]).env("KILN_ACK_SECONDS", "3").start()
}

/// Asks a server for its snapshot again and again; it never goes back, and never fails.
fn observe(base: &str, stop: &AtomicBool, faults: &Mutex<Vec<String>>) {
    let client = Client::default();
    let mut newest = 0;
    while !stop.load(Ordering::Relaxed) {
        match client.get(&format!("{base}/ready"), &[]) {
            Ok(answer) => {
                let n = answer.json()["snapshot"].as_u64().unwrap_or(0);
                if n < newest {
                    faults.lock().unwrap().push(format!("{base}: back from snapshot {newest} to {n}"));
                }
                newest = newest.max(n);
            }
            Err(error) => faults.lock().unwrap().push(format!("{base}: {error}")),
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Puts rasters in, kills ingestors, wipes the queue.
fn storm(cloud: &mut Cloud, ingestors: &mut [Stack], rasters: u64, seed: u64) {
    let (started, mut kills) = (Instant::now(), 0);
    for index in 0..rasters {
        let bytes = if is_bad(index) { format!("no raster {index}").into_bytes() } else { raster(index) };
        cloud.s3.put(harness::cloud::RASTERS, &key(index), bytes);
        let due = KILL_EVERY * kills;
        if index % 8 == 0 {
            // Not a wait for something: the moments of the kills are what is random here.
            let jitter = Duration::from_millis(scramble(seed ^ u64::from(kills)) % 400);
            thread::sleep((due + jitter).saturating_sub(started.elapsed()));
            let victim = (scramble(seed ^ index) % INGESTORS as u64) as usize;
            ingestors[victim].kill();
            ingestors[victim] = ingestor(cloud);
            kills += 1;
        }
        if index == rasters / 2 {
            cloud.nats.as_mut().unwrap().restart(true);
        }
    }
    eprintln!("{kills} kills while {rasters} rasters came");
}

/// How many commits put each input, and how many decided about it in any way.
fn decisions(cloud: &Cloud) -> (BTreeMap<String, u32>, BTreeMap<String, String>) {
    let (mut puts, mut rejected) = (BTreeMap::new(), BTreeMap::new());
    for (n, path) in cloud.commits().iter().enumerate() {
        assert!(
            path.ends_with(&format!("{:020}.json", n + 1)),
            "commits count up from 1 without gaps: {path} is number {}",
            n + 1
        );
        let record: Value = serde_json::from_slice(&cloud.s3.get(TILES, path).unwrap()).unwrap();
        for change in record["body"]["changes"].as_array().into_iter().flatten() {
            let input = change["input"].as_str().unwrap_or_default().to_owned();
            match change["change"].as_str() {
                Some("put") => *puts.entry(input).or_insert(0) += 1,
                Some("reject") => {
                    rejected.insert(input, change["reason"].as_str().unwrap_or_default().to_owned());
                }
                _ => {}
            }
        }
    }
    (puts, rejected)
}

#[test]
fn many_ingestors_share_the_work_whatever_dies() {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("KILN_SEED").unwrap_or(SEED);
    let rasters = RASTERS * if env::var_os("KILN_SOAK").is_some() { SOAK_TIMES } else { 1 };
    let Some(mut cloud) = Cloud::start() else { return };
    eprintln!("KILN_SEED={seed}");
    let servers = [cloud.start_server(), cloud.start_server()];
    let mut ingestors: Vec<Stack> = (0..INGESTORS).map(|_| ingestor(&cloud)).collect();
    let (stop, faults) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        let (stop, faults) = (&stop, &faults);
        let bases = servers.iter().map(|server| server.base().to_owned());
        let observers: Vec<_> = bases.map(|base| scope.spawn(move || observe(&base, stop, faults))).collect();
        storm(&mut cloud, &mut ingestors, rasters, seed);
        let good = (0..rasters).filter(|index| !is_bad(*index)).count() as u64;
        let all =
            || servers.iter().all(|server| server.json("/ready")["datasets"].as_u64() == Some(good)).then_some(());
        let settled = harness::wait::holds_within(PATIENCE * 3, || {
            let rejected = decisions(&cloud).1.len() as u64;
            all().filter(|()| rejected == rasters - good)
        });
        stop.store(true, Ordering::Relaxed);
        for observer in observers {
            observer.join().unwrap();
        }
        let seen: Vec<Value> = servers.iter().map(|server| server.json("/ready")).collect();
        assert!(settled.is_some(), "of {good} rasters, servers have {seen:?}\n{}", ingestors[0].report());
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} faults: {:#?}", faults.len(), &faults[..faults.len().min(10)]);
    let (puts, rejected) = decisions(&cloud);
    for index in 0..rasters {
        let (key, bad) = (key(index), is_bad(index));
        assert_eq!(puts.get(&key).copied().unwrap_or(0), u32::from(!bad), "{key} is put once");
        assert_eq!(rejected.get(&key).is_some_and(|reason| !reason.is_empty()), bad, "{key}: {:?}", rejected.get(&key));
    }
    assert_eq!(servers[0].datasets().len(), puts.len());
    let rejected_said = cloud.with_keys(Launch::new(&cloud.scene, "kiln", ["rejected", "--store", STORE])).run();
    assert!(rejected_said.stdout.contains(&format!("{} rejected", rejected.len())), "{rejected_said:?}");
}
