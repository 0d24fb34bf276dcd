//! Many machines on one: what more ingestors bring, what the queue costs, how soon every server knows, how soon Lambda answers.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, iter};

use harness::cloud::{Cloud, RASTERS, STORE, TILES};
use harness::formula::Formula;
use harness::http::Client;
use harness::lambda::RuntimeApi;
use harness::launch::Launch;
use harness::raster::Raster;
use harness::s3::{Promise, S3Server};
use harness::samples::{flat, tile};
use harness::scene::Scene;
use harness::stack::Stack;
use shared::catalog::reader::Catalog;
use shared::commit::{self, Appended, Change, Commit, InputRef};
use shared::dataset::DataType;
use shared::store::Store;

use crate::LIMIT;
use crate::processes::cpu_seconds;

/// Publications that are timed.
const PUBLICATIONS: usize = 40;
/// Servers of each kind.
const SERVERS: usize = 3;
/// How often a server is asked what it serves.
const ASK_EVERY: Duration = Duration::from_millis(2);
/// Datasets in one commit.
const DATASETS_PER_COMMIT: usize = 1000;

/// Rasters a second with one, two and three ingestors on one queue, and with one that lists without a queue.
pub(crate) fn ingestors(count: usize) {
    let rasters: Vec<Vec<u8>> = (0..count).map(raster).collect();
    let without = Cloud::without_nats();
    let (seconds, _) = ingest(&without, 1, &rasters);
    println!("1 ingestor, by listing, no queue: {:.1} rasters a second", count as f64 / seconds);
    for ingestors in 1..=3 {
        let Some(cloud) = Cloud::start() else { return };
        let (seconds, queue_s) = ingest(&cloud, ingestors, &rasters);
        println!(
            "{ingestors} ingestors on one queue: {:.1} rasters a second; nats-server: {:.2} ms of CPU per raster",
            count as f64 / seconds,
            queue_s * 1000.0 / count as f64
        );
    }
}

fn raster(i: usize) -> Vec<u8> {
    let (col, row) = ((i % 50) as f64, (i / 50) as f64);
    let corner = [300_000.0 + col * 5120.0, 5_900_000.0 - row * 5120.0];
    let noise = Formula::noise(i as u64, 60.0, 100.0, 4000.0);
    Raster::utm(33, corner, 10.0, 512, 512, DataType::Uint16).filled(noise).to_bytes()
}

/// Seconds from the first raster put to the last served, and CPU seconds of the queue.
fn ingest(cloud: &Cloud, ingestors: usize, rasters: &[Vec<u8>]) -> (f64, f64) {
    let stacks: Vec<Stack> =
        (0..ingestors).map(|_| cloud.ingestor(&["--reconcile-seconds", "86400"]).start()).collect();
    for stack in &stacks {
        stack.wait_for("is ready", LIMIT, || stack.output().contains("inputs to ingest").then_some(()));
    }
    let server = cloud.start_server();
    server.wait_for("answers", LIMIT, || (server.get("/ready").status == 200).then_some(()));
    let queue = || cloud.nats.as_ref().map_or(0.0, |nats| cpu_seconds(nats.pid()));
    let (started, before) = (Instant::now(), queue());
    for (i, bytes) in rasters.iter().enumerate() {
        cloud.s3.put(RASTERS, &format!("{i}.tif"), bytes.clone());
    }
    server.wait_for("all are served", LIMIT, || {
        (server.json("/ready")["datasets"].as_u64() == Some(rasters.len() as u64)).then_some(())
    });
    (started.elapsed().as_secs_f64(), queue() - before)
}

/// From the moment a manifest is in the store to the moment each server serves that snapshot.
pub(crate) fn publish_to_visible() {
    let Some(cloud) = Cloud::start() else { return };
    let _ingestor = cloud.ingestor(&["--reconcile-seconds", "86400"]).start();
    let polling =
        || cloud.with_keys(Launch::new(&cloud.scene, "kiln-server", ["--listen", "127.0.0.1:0", "--store", STORE]));
    let hinted: Vec<Stack> = (0..SERVERS).map(|_| cloud.start_server()).collect();
    let polled: Vec<Stack> = (0..SERVERS).map(|_| polling().start()).collect();
    let (mut by_hint, mut by_poll) = (Vec::new(), Vec::new());
    for round in 0..PUBLICATIONS {
        let before = newest(&cloud);
        cloud.put("a.tif", &flat(100.0 + round as f64));
        let (n, published) = harness::wait_for("a publication", LIMIT, || {
            thread::sleep(Duration::from_millis(1));
            let n = newest(&cloud);
            (n > before).then(|| (n, Instant::now()))
        });
        thread::scope(|scope| {
            let wait = |server: &Stack| {
                let base = server.base().to_owned();
                scope.spawn(move || visible(&base, n, published))
            };
            let (hints, polls): (Vec<_>, Vec<_>) =
                (hinted.iter().map(wait).collect(), polled.iter().map(wait).collect());
            by_hint.extend(hints.into_iter().map(|one| one.join().unwrap()));
            by_poll.extend(polls.into_iter().map(|one| one.join().unwrap()));
        });
    }
    for (how, mut times) in [("hints", by_hint), ("polling", by_poll)] {
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        println!(
            "publish to visible by {how}, {} times on {SERVERS} servers: p50 {:.0} ms, p99 {:.0} ms",
            PUBLICATIONS,
            at(0.5),
            at(0.99)
        );
    }
}

fn newest(cloud: &Cloud) -> u64 {
    let last = cloud.s3.keys(TILES, "kiln/manifests/").pop();
    last.and_then(|key| key.rsplit('/').next()?.strip_suffix(".json")?.parse().ok()).unwrap_or(0)
}

fn visible(base: &str, n: u64, published: Instant) -> f64 {
    let client = Client::default();
    loop {
        let answer = client.get(&format!("{base}/ready"), &[]).unwrap();
        if answer.json()["snapshot"].as_u64().is_some_and(|served| served >= n) {
            return published.elapsed().as_secs_f64() * 1000.0;
        }
        thread::sleep(ASK_EVERY);
    }
}

/// Cold start of a function to its first tile, with so many datasets in the snapshot; and a reload with `storage` as all the disk it has.
pub(crate) fn lambda(count: usize, storage: Option<&Path>) {
    let scene = Scene::new();
    scene.drop_raster("a.tif", &flat(300.0));
    publish(&scene);
    multiply(&scene, count);
    publish(&scene);
    let s3 = S3Server::start(Promise::Kept, &[RASTERS, TILES]);
    copy(&scene, &s3);
    let bytes = fs::metadata(scene.store().join(scene.stored("snapshots").pop().unwrap())).unwrap().len();
    let mut times: Vec<(f64, f64)> = (0..5).map(|_| cold_start(&scene, &s3)).collect();
    times.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (started, answered) = times[times.len() / 2];
    println!(
        "{count} datasets, snapshot of {:.1} MB: started after {started:.0} ms, first tile after {answered:.0} ms (median of 5)",
        bytes as f64 / 1e6
    );
    let temporary = tempfile::tempdir().unwrap();
    let storage = storage.unwrap_or(temporary.path());
    let api = RuntimeApi::start();
    let function = function(&scene, &s3, &api, storage).args(["--reload-seconds", "1"]).start();
    assert_eq!(api.get("/metadata/a/1", &[]).status, 200);
    scene.drop_raster("b.tif", &flat(400.0));
    publish(&scene);
    copy(&scene, &s3);
    let (stop, mut most) = (AtomicBool::new(false), 0);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !stop.load(Ordering::Relaxed) {
                most = most.max(used(storage));
                thread::sleep(ASK_EVERY);
            }
            most
        });
        function.wait_for("serves the newer snapshot", LIMIT, || {
            (api.get("/metadata/b/1", &[]).status == 200).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
        most = watch.join().unwrap();
    });
    println!("a reload of it used at most {:.0} MB of disk, open files that are deleted among them", most as f64 / 1e6);
}

/// Ingests what is there, and publishes the head of the log.
pub(crate) fn publish(scene: &Scene) {
    let mut writer = Launch::watch_of(scene, &scene.source()).start();
    let mut head = 0;
    writer.wait_for("has published what is there", LIMIT, || {
        let before = std::mem::replace(&mut head, scene.stored("commits").len());
        let inputs = fs::read_dir(scene.source()).unwrap().count();
        let published = scene.stored("manifests").contains(&format!("manifests/{head:020}.json"));
        (head == before && published && scene.stored("cogs").len() == inputs).then_some(())
    });
    writer.stop();
}

/// Copies the store into the bucket, what makes it visible last.
pub(crate) fn copy(scene: &Scene, s3: &S3Server) {
    for folder in ["cogs", "commits", "snapshots", "manifests"] {
        for path in scene.stored(folder) {
            let key = format!("kiln/{path}");
            if s3.get(TILES, &key).is_none() {
                s3.put(TILES, &key, fs::read(scene.store().join(&path)).unwrap());
            }
        }
    }
}

/// Bytes used where a folder lies, if that is a file system of its own; else those of its files.
fn used(folder: &Path) -> u64 {
    let own = rustix::fs::statvfs(folder).ok().filter(|stat| stat.f_blocks * stat.f_frsize < 2 << 30);
    own.map_or_else(|| files(folder), |stat| (stat.f_blocks - stat.f_bfree) * stat.f_frsize)
}

fn files(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => files(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

fn function(scene: &Scene, s3: &S3Server, api: &RuntimeApi, storage: &Path) -> Launch {
    let launch = Launch::new(scene, "kiln-server", ["--store", STORE]).env("TMPDIR", storage).env("HOME", "/nowhere");
    let environment = api.environment().into_iter().chain(s3.environment());
    environment.fold(launch, |launch, (name, value)| launch.env(name, value))
}

/// Milliseconds to the first question for work, and to the first tile.
fn cold_start(scene: &Scene, s3: &S3Server) -> (f64, f64) {
    let temporary = tempfile::tempdir().unwrap();
    let api = RuntimeApi::start();
    let launch = function(scene, s3, &api, temporary.path());
    let begun = Instant::now();
    let _function = launch.start();
    let started = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !api.is_asked() {
                thread::sleep(Duration::from_millis(1));
            }
            begun.elapsed().as_secs_f64() * 1000.0
        });
        let answer = api.get(&format!("/singleband/a/1/{}?stretch_range=[0,1000]", tile()), &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        watch.join().unwrap()
    });
    (started, begun.elapsed().as_secs_f64() * 1000.0)
}

/// Appends commits until the store has so many datasets: copies of the one there is, under other keys.
fn multiply(scene: &Scene, count: usize) {
    let snapshot = scene.store().join(scene.stored("snapshots").pop().unwrap());
    let keys = ["a".to_owned(), "1".to_owned()];
    let one = Catalog::open(&snapshot).unwrap().dataset("default", &keys).unwrap().unwrap();
    let put = |i: usize| {
        let mut dataset = one.clone();
        dataset.keys[0] = format!("copy{i}");
        Change::Put {
            input: InputRef { source: "copies".to_owned(), path: format!("copy{i}.tif"), prev: 0 },
            version: i.to_string(),
            source_time_ms: 0,
            collection: "default".to_owned(),
            content: format!("copy {i}"),
            datasets: vec![dataset],
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(as_text(&scene.store()), false).unwrap();
        let mut n = scene.stored("commits").len() as u64;
        let mut left = (1..count).peekable();
        while left.peek().is_some() {
            n += 1;
            let changes: Vec<Change> = iter::from_fn(|| left.next()).take(DATASETS_PER_COMMIT).map(put).collect();
            let commit = Commit { n, uuid: ulid::Ulid::generate(), at_ms: 0, author: "measure".to_owned(), changes };
            assert!(matches!(commit::append(&store, &commit).await.unwrap(), Appended::Won));
        }
    });
}

fn as_text(path: &Path) -> &str {
    path.to_str().unwrap()
}
