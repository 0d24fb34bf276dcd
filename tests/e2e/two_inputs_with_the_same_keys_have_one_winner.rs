//! Two inputs with the same key values: the newest wins, in whichever order they are seen; the loser comes back when the winner goes.

use std::fs::File;
use std::time::{Duration, SystemTime};

use harness::samples::flat;
use harness::{Launch, Scene, Stack};

const OLD: f64 = 100.0;
const NEW: f64 = 900.0;

/// Drops a raster as it was changed some minutes ago.
fn drop_aged(scene: &Scene, name: &str, value: f64, minutes: u64) {
    let hidden = scene.root().join("aged.tif");
    flat(value).save(&hidden);
    let when = SystemTime::now() - Duration::from_mins(minutes);
    File::options().write(true).open(&hidden).unwrap().set_modified(when).unwrap();
    let path = scene.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::rename(hidden, path).unwrap();
}

fn start(scene: &Scene) -> Stack {
    let launch = Launch::serve_of(scene, &scene.pattern("{}/{name}.tif"));
    launch.args(["--reconcile-seconds", "1"]).env("KILN_DELETE_GRACE_MS", "300").start()
}

fn wait_for_value(stack: &Stack, value: f64) {
    stack.wait_for(&format!("x is {value}"), Duration::from_mins(1), || {
        let answer = stack.get("/metadata/x");
        (answer.status == 200 && answer.json()["range"][0].as_f64() == Some(value)).then_some(())
    });
}

#[test]
fn the_newest_wins_when_it_comes_last() {
    let scene = Scene::new();
    drop_aged(&scene, "a/x.tif", OLD, 20);
    let stack = start(&scene);
    stack.wait_for_datasets(&["x"]);
    wait_for_value(&stack, OLD);
    drop_aged(&scene, "b/x.tif", NEW, 10);
    wait_for_value(&stack, NEW);
    stack.wait_for_datasets(&["x"]);
    scene.remove("b/x.tif");
    wait_for_value(&stack, OLD);
}

#[test]
fn the_newest_wins_when_it_came_first() {
    let scene = Scene::new();
    drop_aged(&scene, "b/x.tif", NEW, 10);
    let stack = start(&scene);
    stack.wait_for_datasets(&["x"]);
    wait_for_value(&stack, NEW);
    drop_aged(&scene, "a/x.tif", OLD, 20);
    // The old one is decided once a raster that came after it is served.
    drop_aged(&scene, "a/y.tif", 5.0, 1);
    stack.wait_for_datasets(&["x", "y"]);
    wait_for_value(&stack, NEW);
    scene.remove("b/x.tif");
    wait_for_value(&stack, OLD);
}

#[test]
fn the_newest_wins_when_both_are_there_at_start() {
    let scene = Scene::new();
    drop_aged(&scene, "a/x.tif", NEW, 10);
    drop_aged(&scene, "b/x.tif", OLD, 20);
    let stack = start(&scene);
    stack.wait_for_datasets(&["x"]);
    wait_for_value(&stack, NEW);
}

#[test]
fn the_first_wins_where_the_collection_says_so() {
    let scene = Scene::new();
    let config = scene.config("[collections.default]\non_conflict = \"first\"\n");
    drop_aged(&scene, "a/x.tif", OLD, 20);
    let launch = Launch::serve_of(&scene, &scene.pattern("{}/{name}.tif")).arg("--config").arg(config);
    let stack = launch.args(["--reconcile-seconds", "1"]).env("KILN_DELETE_GRACE_MS", "300").start();
    stack.wait_for_datasets(&["x"]);
    drop_aged(&scene, "b/x.tif", NEW, 10);
    let said = stack.wait_for("the newcomer is rejected", Duration::from_mins(1), || {
        let said = Launch::rejected(&scene).run().stdout;
        said.contains("b/x.tif").then_some(said)
    });
    assert!(said.contains("a/x.tif"), "it names the owner: {said}");
    wait_for_value(&stack, OLD);
    scene.remove("a/x.tif");
    wait_for_value(&stack, NEW);
}
