//! Versions meet: a newer writer keeps the old format until it is told to upgrade, and an older server then serves the last state it can read.

use std::time::Duration;

use harness::samples::flat;
use harness::{Launch, Scene};

/// Makes a binary believe that there is one more format.
const NEWER: (&str, &str) = ("KILN_TEST_NEWEST_FORMAT", "2");
const LIMIT: Duration = Duration::from_mins(1);

fn upgrade(scene: &Scene) -> harness::Finished {
    Launch::new(scene, "kiln", ["store", "upgrade", "--store"]).arg(scene.store()).env(NEWER.0, NEWER.1).run()
}

fn wait_for_store(scene: &Scene) {
    harness::wait_for("the writer makes the store", LIMIT, || scene.store().is_dir().then_some(()));
}

#[test]
fn older_servers_serve_on_while_newer_writers_write() {
    let scene = Scene::new();
    scene.drop_raster("a.tif", &flat(100.0));
    let mut old_writer = Launch::watch_of(&scene, &scene.source()).start();
    wait_for_store(&scene);
    let older = Launch::server(&scene).start();
    older.wait_for_datasets(&["a/1"]);
    old_writer.stop();
    // A newer writer on an old store: what it publishes, the older server takes.
    let mut newer_writer = Launch::watch_of(&scene, &scene.source()).env(NEWER.0, NEWER.1).start();
    scene.drop_raster("b.tif", &flat(200.0));
    older.wait_for_datasets(&["a/1", "b/1"]);
    newer_writer.stop();
    let upgraded = upgrade(&scene);
    assert!(upgraded.stdout.contains("now of format 2, before 1"), "{upgraded:?}");
    assert!(upgrade(&scene).stdout.contains("already"), "a second upgrade changes nothing");
    let mut newer_writer = Launch::watch_of(&scene, &scene.source()).env(NEWER.0, NEWER.1).start();
    scene.drop_raster("c.tif", &flat(300.0));
    let newer = Launch::server(&scene).env(NEWER.0, NEWER.1).start();
    newer.wait_for_datasets(&["a/1", "b/1", "c/1"]);
    // The older one serves on, and says what is the matter.
    let said = older.wait_for("says that it is too old", LIMIT, || {
        let ready = older.json("/ready");
        ready["last_error"].as_str().map(str::to_owned)
    });
    assert!(said.contains("format 2") && said.contains("newer"), "{said}");
    older.wait_for_datasets(&["a/1", "b/1"]);
    assert_eq!(older.get(&older.center_tile("a/1", None)).status, 200);
    newer_writer.stop();
    // An older writer stops before it harms anything.
    let refused = Launch::watch_of(&scene, &scene.source()).run();
    assert!(refused.code != Some(0) && refused.stderr.contains("newer"), "{refused:?}");
}

#[test]
fn a_new_store_begins_in_the_newest_format() {
    let scene = Scene::new();
    scene.drop_raster("a.tif", &flat(100.0));
    let mut writer = Launch::watch_of(&scene, &scene.source()).env(NEWER.0, NEWER.1).start();
    wait_for_store(&scene);
    let newer = Launch::server(&scene).env(NEWER.0, NEWER.1).start();
    newer.wait_for_datasets(&["a/1"]);
    writer.stop();
    assert!(upgrade(&scene).stdout.contains("already"));
}
