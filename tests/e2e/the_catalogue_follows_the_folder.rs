//! Replacing, renaming and deleting inputs; and the emptied folder that removes nothing.

use std::time::Duration;

use harness::formula::Formula;
use harness::picture::opaque;
use harness::samples::{TILE, ZOOM, flat, flat_rgb, tile};
use harness::{Launch, Raster, Scene, Stack};
use shared::dataset::DataType;

const LIMIT: Duration = Duration::from_mins(1);

/// A minute between two scans that agree before anything is removed is long for a test.
fn quick_to_remove(launch: Launch) -> Launch {
    launch.args(["--reconcile-seconds", "1"]).env("KILN_DELETE_GRACE_MS", "300")
}

fn wait_for_value(stack: &Stack, keys: &str, value: f64) {
    stack.wait_for(&format!("{keys} is {value}"), LIMIT, || {
        (stack.metadata(keys)["range"][0].as_f64() == Some(value)).then_some(())
    });
}

#[test]
fn a_replaced_raster_replaces_all_its_bands() {
    let scene = Scene::new();
    scene.drop_raster("a.tif", &flat_rgb(100.0, 200.0, 300.0));
    let stack = Launch::serve(&scene).start();
    stack.wait_for_datasets(&["a/R", "a/G", "a/B"]);
    let before = stack.get(&format!("/singleband/a/R/{}?stretch_range=[0,1000]", tile()));

    let fewer = Raster::on_grid(ZOOM, TILE, [1, 1], DataType::Uint16)
        .bands(&[("R", Formula::constant(500.0)), ("N", Formula::constant(600.0))]);
    scene.drop_raster("a.tif", &fewer);
    stack.wait_for_datasets(&["a/R", "a/N"]);
    wait_for_value(&stack, "a/R", 500.0);
    let after = stack.get(&format!("/singleband/a/R/{}?stretch_range=[0,1000]", tile()));
    assert_ne!(before.etag(), after.etag(), "other pixels have another ETag");
    assert_eq!(stack.get(&format!("/singleband/a/G/{}", tile())).status, 404, "a band that is gone is gone");
}

#[test]
fn the_same_bytes_again_change_no_pixel_and_no_etag() {
    let scene = Scene::new();
    scene.drop_raster("a.tif", &flat(100.0));
    let stack = Launch::serve(&scene).start();
    stack.wait_for_datasets(&["a/1"]);
    let url = format!("/singleband/a/1/{}?stretch_range=[0,1000]", tile());
    let (before, cogs) = (stack.get(&url), scene.stored("cogs"));
    let commits = scene.stored("commits").len();
    scene.drop_raster("a.tif", &flat(100.0));
    stack.wait_for("the new version is committed", LIMIT, || (scene.stored("commits").len() > commits).then_some(()));
    scene.drop_raster("b.tif", &flat(1.0));
    stack.wait_for_datasets(&["a/1", "b/1"]);
    assert_eq!(stack.get(&url).etag(), before.etag());
    assert!(cogs.iter().all(|cog| scene.stored("cogs").contains(cog)));
    assert_eq!(scene.stored("cogs").len(), cogs.len() + 1, "equal content is not converted again");
    let unchanged = stack.get_with(&url, &[("if-none-match", before.etag())]);
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
}

#[test]
fn a_renamed_raster_moves() {
    let scene = Scene::new();
    scene.drop_raster("old.tif", &flat(100.0));
    scene.drop_raster("other.tif", &flat(1.0));
    let stack = quick_to_remove(Launch::serve(&scene)).start();
    stack.wait_for_datasets(&["old/1", "other/1"]);
    scene.rename("old.tif", "new.tif");
    stack.wait_for_datasets(&["new/1", "other/1"]);
    assert_eq!(opaque(&stack.tile_rgba(&format!("/singleband/new/1/{}?stretch_range=[0,1000]", tile()))), 256 * 256);
}

#[test]
fn a_deleted_raster_goes_and_comes_back_when_it_does() {
    let scene = Scene::new();
    scene.drop_raster("a.tif", &flat(100.0));
    scene.drop_raster("b.tif", &flat(200.0));
    let stack = quick_to_remove(Launch::serve(&scene)).start();
    stack.wait_for_datasets(&["a/1", "b/1"]);
    scene.remove("a.tif");
    stack.wait_for_datasets(&["b/1"]);
    assert_eq!(stack.get("/metadata/a/1").status, 404);
    scene.drop_raster("a.tif", &flat(300.0));
    stack.wait_for_datasets(&["a/1", "b/1"]);
    wait_for_value(&stack, "a/1", 300.0);
}

#[test]
fn an_emptied_folder_removes_nothing_unless_it_is_allowed() {
    let scene = Scene::new();
    let names: Vec<String> = (0..14).map(|i| format!("{i}.tif")).collect();
    for (value, name) in names.iter().enumerate() {
        scene.drop_raster(name, &flat(value as f64));
    }
    let wanted: Vec<String> = (0..14).map(|i| format!("{i}/1")).collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let mut stack = quick_to_remove(Launch::serve(&scene)).start();
    stack.wait_for_datasets(&wanted);
    for name in &names {
        scene.remove(name);
    }
    stack.wait_for("it asks for --allow-removal", LIMIT, || stack.output().contains("--allow-removal").then_some(()));
    scene.drop_raster("fresh.tif", &flat(77.0));
    let mut with_fresh = wanted.clone();
    with_fresh.push("fresh/1");
    stack.wait_for_datasets(&with_fresh);
    stack.stop();
    let allowed = quick_to_remove(Launch::serve(&scene)).arg("--allow-removal").start();
    allowed.wait_for_datasets(&["fresh/1"]);
}
