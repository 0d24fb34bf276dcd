//! A raster in the folder becomes a dataset and tiles: present at start, dropped while it runs, noticed or not.

use std::thread;
use std::time::Duration;

use harness::picture::{level, opaque};
use harness::samples::{self, dem, flat};
use harness::{Launch, Scene, Stack};

const FULL_TILE: usize = 256 * 256;

/// The tile that `flat(value)` must give under the stretch 0 to 1000.
fn assert_flat(stack: &Stack, keys: &str, value: f64) {
    let picture = stack.tile_rgba(&format!("/singleband/{keys}/{}?stretch_range=[0,1000]", samples::tile()));
    let gray = level(value, 0.0, 1000.0);
    assert_eq!(opaque(&picture), FULL_TILE, "{keys} covers its tile");
    assert!(picture.pixels().all(|p| p.0[..3] == [gray; 3]), "{keys} is {value}: {:?}", picture.get_pixel(128, 128));
}

#[test]
fn what_lies_in_the_folder_at_start_is_served() {
    let scene = Scene::new();
    scene.drop_raster("flat.tif", &flat(250.0));
    scene.drop_raster("alps/north/dem.tiff", &dem(1));
    scene.drop_raster("alps/two.bands.tif", &samples::flat_rgb(1.0, 2.0, 3.0));
    let stack = Launch::serve(&scene).start();
    stack.wait_for_datasets(&[
        "flat/1",
        "alps:north:dem/1",
        "alps:two.bands/R",
        "alps:two.bands/G",
        "alps:two.bands/B",
    ]);
    assert_flat(&stack, "flat/1", 250.0);
    assert!(opaque(&stack.tile_rgba(&stack.center_tile("alps:north:dem/1", None))) > 0);
    assert_eq!(stack.json("/keys")["keys"][0]["key"], "name");
    assert_eq!(stack.json("/keys")["keys"][1]["key"], "band");
    assert_eq!(stack.get("/ready").status, 200);
    let printed = stack.wait_for("URLs to open are printed, with a stretch", Duration::from_mins(1), || {
        stack
            .output()
            .lines()
            .find_map(|line| line.split_whitespace().find(|word| word.contains("stretch_range=")).map(str::to_owned))
    });
    assert!(printed.starts_with(stack.base()), "a URL of this server: {printed}");
}

#[test]
fn what_is_renamed_into_the_folder_while_it_runs_is_served() {
    let scene = Scene::new();
    scene.drop_raster("first.tif", &flat(100.0));
    let stack = Launch::serve(&scene).start();
    stack.wait_for_datasets(&["first/1"]);
    scene.drop_raster("second.tif", &flat(200.0));
    scene.drop_raster("new/folder/third.tif", &flat(300.0));
    stack.wait_for_datasets(&["first/1", "second/1", "new:folder:third/1"]);
    assert_flat(&stack, "second/1", 200.0);
    assert_flat(&stack, "new:folder:third/1", 300.0);
}

#[test]
fn what_is_written_slowly_is_served_whole() {
    let scene = Scene::new();
    scene.drop_raster("first.tif", &flat(100.0));
    let stack = Launch::serve(&scene).start();
    stack.wait_for_datasets(&["first/1"]);
    thread::scope(|scope| {
        let path = scene.path("slow.tif");
        scope.spawn(move || flat(700.0).save_slowly(&path, 12, Duration::from_millis(150)));
        stack.wait_for_datasets(&["first/1", "slow/1"]);
        // The first tile there is shows the whole raster, not the half that was there first.
        assert_flat(&stack, "slow/1", 700.0);
    });
    assert_eq!(stack.metadata("slow/1")["valid_percentage"].as_f64(), Some(100.0));
}

#[test]
fn without_watching_everything_still_arrives() {
    let scene = Scene::new();
    scene.drop_raster("first.tif", &flat(100.0));
    let stack = Launch::serve(&scene).args(["--no-watch", "--reconcile-seconds", "1"]).start();
    stack.wait_for_datasets(&["first/1"]);
    scene.drop_raster("later.tif", &flat(900.0));
    stack.wait_for_datasets(&["first/1", "later/1"]);
    assert_flat(&stack, "later/1", 900.0);
    scene.drop_raster("later.tif", &flat(10.0));
    stack.wait_for("the replaced raster is served", Duration::from_mins(1), || {
        (stack.metadata("later/1")["range"][0].as_f64() == Some(10.0)).then_some(())
    });
    assert_flat(&stack, "later/1", 10.0);
}

#[test]
fn a_pattern_gives_the_keys() {
    let scene = Scene::new();
    scene.drop_raster("S2_20260101_B02.tif", &flat(5.0));
    scene.drop_raster("S2_20260102_B02.tif", &flat(6.0));
    scene.drop_raster("notes_20260101.tif", &flat(7.0));
    scene.drop_raster("deep/S2_20260101_B03.tif", &flat(8.0));
    let stack = Launch::serve_of(&scene, &scene.pattern("{sensor}_{date}_{band}.tif")).start();
    stack.wait_for_datasets(&["S2/20260101/B02", "S2/20260102/B02"]);
    scene.drop_raster("S2_20260103_B8A.tif", &flat(40.0));
    stack.wait_for_datasets(&["S2/20260101/B02", "S2/20260102/B02", "S2/20260103/B8A"]);
    assert_flat(&stack, "S2/20260103/B8A", 40.0);
}

#[test]
fn a_pattern_may_take_its_last_key_from_the_bands() {
    let scene = Scene::new();
    scene.drop_raster("a/20260101.tif", &samples::flat_rgb(10.0, 20.0, 30.0));
    let stack = Launch::serve_of(&scene, &scene.pattern("**/{date}.tif#{band}")).start();
    stack.wait_for_datasets(&["20260101/R", "20260101/G", "20260101/B"]);
    assert_flat(&stack, "20260101/G", 20.0);
}

#[test]
fn a_server_alone_shows_what_a_watcher_publishes() {
    let scene = Scene::new();
    scene.drop_raster("first.tif", &flat(100.0));
    let watcher = Launch::watch_of(&scene, &scene.source()).start();
    watcher.wait_for("the first snapshot", Duration::from_mins(1), || {
        (!scene.stored("manifests").is_empty()).then_some(())
    });
    let server = Launch::server(&scene).start();
    server.wait_for_datasets(&["first/1"]);
    scene.drop_raster("second.tif", &flat(200.0));
    server.wait_for_datasets(&["first/1", "second/1"]);
    assert_flat(&server, "second/1", 200.0);
}

#[test]
fn ctrl_c_ends_it_cleanly_within_five_seconds() {
    let scene = Scene::new();
    for i in 0..12 {
        scene.drop_raster(&format!("{i}.tif"), &dem(i));
    }
    let mut stack = Launch::serve(&scene).start();
    stack.base();
    let started = std::time::Instant::now();
    let code = stack.stop();
    assert!(started.elapsed() < Duration::from_secs(6), "took {:?}", started.elapsed());
    assert!(matches!(code, Some(0 | 130)), "ended with {code:?}: {}", stack.report());
    let again = Launch::serve(&scene).start();
    let wanted: Vec<String> = (0..12).map(|i| format!("{i}/1")).collect();
    again.wait_for_datasets(&wanted.iter().map(String::as_str).collect::<Vec<_>>());
}
