//! Bad input: a clear message, exit code 2, and nothing started.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use harness::samples::flat;
use harness::{Finished, Launch, Scene};

/// That it ended with 2 and said these words, on standard error only, and served nothing.
fn assert_refused(finished: &Finished, words: &[&str]) {
    assert_eq!(finished.code, Some(2), "stdout: {}\nstderr: {}", finished.stdout, finished.stderr);
    for word in words {
        assert!(finished.stderr.contains(word), "the message names {word:?}: {}", finished.stderr);
    }
    assert!(!finished.stdout.contains("serving http://"), "nothing was served: {}", finished.stdout);
}

fn scene() -> Scene {
    let scene = Scene::new();
    scene.drop_raster("a.tif", &flat(1.0));
    scene
}

#[test]
fn every_fault_of_a_configuration_is_reported_at_once() {
    let scene = scene();
    let config = scene.config("lisen = \"127.0.0.1:0\"\ncolection = \"x\"\nreconcile_seconds = \"soon\"\n");
    let finished = Launch::serve(&scene).arg("--config").arg(config).run();
    assert_refused(&finished, &["lisen", "colection", "reconcile_seconds"]);
    assert!(!scene.store().exists(), "no store was made");
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let scene = scene();
    let finished = Launch::serve(&scene).args(["--config", "/nowhere/kiln.toml"]).run();
    assert_refused(&finished, &["/nowhere/kiln.toml"]);
}

#[test]
fn an_unknown_flag_is_named() {
    let scene = scene();
    assert_refused(&Launch::serve(&scene).arg("--lisen").run(), &["--lisen"]);
}

#[test]
fn a_folder_that_cannot_be_read_is_named() {
    let scene = scene();
    let missing = scene.root().join("missing");
    assert_refused(&Launch::serve_of(&scene, &missing).run(), &["missing"]);
    let file = scene.path("a.tif");
    assert_refused(&Launch::serve_of(&scene, &file).run(), &["a.tif"]);
    assert!(!scene.store().exists(), "no store was made");
}

#[test]
fn a_store_inside_what_is_watched_is_refused() {
    let scene = scene();
    let inside = scene.path("tiles/store");
    let finished = Launch::serve_with(&scene, &scene.source(), "127.0.0.1:0", &inside).run();
    assert_refused(&finished, &["store"]);
    assert!(!inside.exists(), "no store was made");
}

#[test]
fn a_pattern_that_makes_no_sense_says_what_and_where() {
    let scene = scene();
    for (pattern, word) in [("{sensor}_{band.tif", "{band.tif"), ("{limit}.tif", "limit"), ("{date}.tif#{}", "#")] {
        let finished = Launch::serve_of(&scene, &scene.pattern(pattern)).run();
        assert_refused(&finished, &[word]);
    }
    assert!(!scene.store().exists(), "no store was made");
}

#[test]
fn other_keys_for_an_existing_collection_are_refused_naming_both() {
    let scene = scene();
    let mut stack = Launch::serve(&scene).start();
    stack.wait_for_datasets(&["a/1"]);
    stack.stop();
    let finished = Launch::serve_of(&scene, &scene.pattern("{sensor}.tif")).run();
    assert_refused(&finished, &["name", "band", "sensor"]);
    let same = Launch::serve(&scene).start();
    same.wait_for_datasets(&["a/1"]);
}

#[test]
fn a_port_in_use_is_refused_when_it_was_asked_for() {
    let scene = scene();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = Launch::serve_at(&scene, &scene.source(), &address).run();
    assert_refused(&finished, &[&address]);
    let finished = Launch::new(&scene, "kiln-server", ["--listen", &address, "--store"])
        .arg(made(&scene.root().join("empty")))
        .run();
    assert_refused(&finished, &[&address]);
}

fn made(folder: &Path) -> &Path {
    fs::create_dir_all(folder).unwrap();
    folder
}
