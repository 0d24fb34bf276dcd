//! Stores with a damaged, stale or newer record: servers serve on, writers stop and name it, `kiln store repair` mends it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use harness::samples::flat;
use harness::{Launch, Scene, Stack};
use serde_json::json;
use shared::layout;

const LIMIT: Duration = Duration::from_mins(1);

/// A store with two snapshots: of `a`, then of `a` and `b`. Nothing runs on it.
fn store_of_two() -> Scene {
    let scene = Scene::new();
    scene.drop_raster("a.tif", &flat(100.0));
    let mut stack = Launch::serve(&scene).start();
    stack.wait_for_datasets(&["a/1"]);
    scene.drop_raster("b.tif", &flat(200.0));
    stack.wait_for_datasets(&["a/1", "b/1"]);
    stack.stop();
    scene
}

/// The newest file of a folder of the store: names sort as their numbers do.
fn newest(scene: &Scene, folder: &str) -> PathBuf {
    scene.store().join(scene.stored(folder).pop().unwrap_or_else(|| panic!("nothing in {folder}")))
}

fn newest_commit(scene: &Scene) -> u64 {
    scene.stored("commits").len() as u64
}

/// A fresh writer: it has no replica, so it reads what is in the store.
fn forget_replica(scene: &Scene) {
    let _absent_already = fs::remove_dir_all(scene.state());
}

/// Takes away the newest snapshot, as if the writer had died before it published.
fn unpublish(scene: &Scene) {
    fs::remove_file(newest(scene, "manifests")).unwrap();
    fs::remove_file(newest(scene, "snapshots")).unwrap();
    let _absent_already = fs::remove_file(scene.store().join("latest.json"));
}

fn served(scene: &Scene) -> Stack {
    Launch::server(scene).start()
}

#[test]
fn a_commit_that_was_cut_short_stops_writers_who_name_it() {
    let scene = store_of_two();
    unpublish(&scene);
    forget_replica(&scene);
    let commit = newest(&scene, "commits");
    let bytes = fs::read(&commit).unwrap();
    fs::write(&commit, &bytes[..bytes.len() / 2]).unwrap();

    served(&scene).wait_for_datasets(&["a/1"]);
    let writer = Launch::watch_of(&scene, &scene.source()).run();
    assert!(writer.code.is_some_and(|code| code != 0), "it stops: {}", writer.stderr);
    let name = commit.file_name().unwrap().to_string_lossy().into_owned();
    assert!(
        writer.stderr.contains(&name) && writer.stderr.contains("kiln store repair"),
        "it names the record and the cure: {}",
        writer.stderr
    );

    let repaired = Launch::repair(&scene).run();
    assert_eq!(repaired.code, Some(0), "{}{}", repaired.stdout, repaired.stderr);
    let stack = Launch::serve(&scene).start();
    stack.wait_for_datasets(&["a/1", "b/1"]);
}

#[test]
fn a_record_of_a_newer_version_stops_writers_who_say_which() {
    let scene = store_of_two();
    forget_replica(&scene);
    let next = newest_commit(&scene) + 1;
    let sealed = shared::record::seal("commit", &json!({"from": "the future"})).unwrap();
    let newer = String::from_utf8(sealed).unwrap().replacen("\"format\":1", "\"format\":999", 1).replacen(
        "\"needs\":\"0.1.0\"",
        "\"needs\":\"99.0.0\"",
        1,
    );
    fs::write(scene.store().join(layout::commit(next).as_ref()), newer).unwrap();

    served(&scene).wait_for_datasets(&["a/1", "b/1"]);
    let writer = Launch::watch_of(&scene, &scene.source()).run();
    assert!(writer.code.is_some_and(|code| code != 0), "it stops: {}", writer.stderr);
    assert!(writer.stderr.contains("99.0.0"), "it says which version is needed: {}", writer.stderr);
}

#[test]
fn a_snapshot_with_a_flipped_byte_is_never_served_and_soon_replaced() {
    let scene = store_of_two();
    let snapshot = newest(&scene, "snapshots");
    let mut bytes = fs::read(&snapshot).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&snapshot, bytes).unwrap();
    let manifests = scene.stored("manifests").len();

    let server = served(&scene);
    server.wait_for_datasets(&["a/1"]);
    let ready = server.get("/ready").text();
    let name = snapshot.file_stem().unwrap().to_string_lossy().into_owned();
    assert!(ready.contains(&name) || server.output().contains(&name), "it is said which: {ready}\n{}", server.report());

    let writer = Launch::watch_of(&scene, &scene.source()).start();
    writer.wait_for("a newer snapshot", LIMIT, || (scene.stored("manifests").len() > manifests).then_some(()));
    server.wait_for_datasets(&["a/1", "b/1"]);
}

#[test]
fn a_stale_or_missing_hint_decides_nothing() {
    let scene = store_of_two();
    let hint = scene.store().join("latest.json");
    let whole = fs::read(&hint).unwrap();
    for stale in
        [Some(b"{\"n\":1}".to_vec()), Some(b"{\"n\":99999}".to_vec()), Some(whole[..whole.len() / 2].to_vec()), None]
    {
        match stale {
            Some(bytes) => fs::write(&hint, bytes).unwrap(),
            None => fs::remove_file(&hint).unwrap(),
        }
        served(&scene).wait_for_datasets(&["a/1", "b/1"]);
    }
    let stack = Launch::serve(&scene).start();
    scene.drop_raster("c.tif", &flat(300.0));
    stack.wait_for_datasets(&["a/1", "b/1", "c/1"]);
    assert!(hint.exists(), "whoever publishes writes it again");
}

#[test]
fn a_manifest_that_was_cut_short_is_passed_over() {
    let scene = store_of_two();
    let manifest = newest(&scene, "manifests");
    let bytes = fs::read(&manifest).unwrap();
    fs::write(&manifest, &bytes[..bytes.len() / 2]).unwrap();
    served(&scene).wait_for_datasets(&["a/1"]);
}

#[test]
fn a_sound_store_needs_no_repair() {
    let scene = store_of_two();
    let before: Vec<_> = ["commits", "snapshots", "manifests", "cogs"].map(|folder| scene.stored(folder)).into();
    let repaired = Launch::repair(&scene).run();
    assert_eq!(repaired.code, Some(0), "{}{}", repaired.stdout, repaired.stderr);
    let after: Vec<_> = ["commits", "snapshots", "manifests", "cogs"].map(|folder| scene.stored(folder)).into();
    assert_eq!(before, after, "nothing is touched");
}
