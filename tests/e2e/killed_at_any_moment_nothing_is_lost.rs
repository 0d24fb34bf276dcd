//! kill -9 of the whole process group at random moments of an ingest, restarted each time: every raster once, no dangling COG, no manual step.

use std::collections::BTreeSet;
use std::time::Duration;
use std::{env, thread};

use harness::formula::{Formula, scramble};
use harness::picture::opaque;
use harness::samples::{TILE, ZOOM};
use harness::{Launch, Raster, Scene};
use shared::dataset::DataType;

const RASTERS: u64 = 50;
/// `KILN_KILLS` sets another number of kills.
const KILLS: u64 = 20;
/// `KILN_SEED` sets other moments.
const SEED: u64 = 20_260_101;
/// The longest a process lives before it is killed: what starting and a few rasters take.
const LIFE_MS_MAX: u64 = 600;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

fn raster(index: u64) -> Raster {
    let tile = [TILE[0] + (index % 10) as u32, TILE[1] + (index / 10) as u32];
    Raster::on_grid(ZOOM, tile, [1, 1], DataType::Uint8).filled(Formula::noise(index, 32.0, 1.0, 250.0))
}

#[test]
fn killed_at_any_moment_nothing_is_lost() {
    let (kills, seed) = (number("KILN_KILLS", KILLS), number("KILN_SEED", SEED));
    let scene = Scene::new();
    // Half are there at start, the rest arrive between the kills, so that every kill meets an ingest.
    let mut dropped = 0;
    for kill in 0..kills {
        let due = RASTERS / 2 + (RASTERS / 2) * (kill + 1) / kills;
        for index in dropped..due {
            scene.drop_raster(&format!("{index}.tif"), &raster(index));
        }
        dropped = dropped.max(due);
        let mut stack = Launch::serve(&scene).start();
        // Not a wait for something: the moment of the kill is what is random here.
        thread::sleep(Duration::from_millis(scramble(seed ^ kill) % LIFE_MS_MAX));
        stack.kill();
    }
    let stack = Launch::serve(&scene).start();
    let wanted: Vec<String> = (0..RASTERS).map(|i| format!("{i}/1")).collect();
    stack.wait_for_datasets(&wanted.iter().map(String::as_str).collect::<Vec<_>>());
    let mut tags = BTreeSet::new();
    for keys in &wanted {
        let answer = stack.get(&stack.center_tile(keys, None));
        assert_eq!(answer.status, 200, "{keys}: {}", answer.text());
        assert_eq!(opaque(&answer.picture()), 256 * 256, "{keys} shows its pixels");
        tags.insert(answer.etag().to_owned());
    }
    assert_eq!(tags.len(), wanted.len(), "every dataset has pixels of its own");
    assert_gapless(&scene.stored("commits"));
}

fn assert_gapless(commits: &[String]) {
    let numbers: Vec<u64> =
        commits.iter().filter_map(|path| shared::layout::parse_commit(&shared_path(path))).collect();
    assert_eq!(
        numbers,
        (1..=numbers.len() as u64).collect::<Vec<_>>(),
        "commits count up from 1 without gaps: {commits:?}"
    );
}

fn shared_path(path: &str) -> object_store::path::Path {
    object_store::path::Path::from(path)
}
