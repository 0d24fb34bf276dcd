//! `kiln convert FILE -o DIR`: the COG in the folder, the metadata on standard output, nothing anywhere else.

use std::fs;

use harness::samples::{dem, flat_rgb};
use harness::{Launch, Scene};

#[test]
fn convert_makes_a_cog_and_prints_its_metadata() {
    let scene = Scene::new();
    scene.drop_raster("dem.tif", &dem(1));
    let out = scene.root().join("out");
    let finished =
        Launch::new(&scene, "kiln", ["convert".into(), scene.path("dem.tif"), "-o".into(), out.clone()]).run();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let printed: serde_json::Value =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|e| panic!("{e}: {}", finished.stdout));
    assert!(printed.to_string().contains("percentiles"), "{printed}");
    let written: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(written.len() == 1 && written[0].to_string_lossy().ends_with(".tif"), "{written:?}");
    assert!(!scene.store().exists(), "no store was made");
    assert_eq!(fs::read_dir(scene.source()).unwrap().count(), 1, "nothing lies beside the input");
}

#[test]
fn convert_of_several_bands_makes_a_cog_of_each() {
    let scene = Scene::new();
    scene.drop_raster("bands.tif", &flat_rgb(1.0, 2.0, 3.0));
    let out = scene.root().join("out");
    let finished =
        Launch::new(&scene, "kiln", ["convert".into(), scene.path("bands.tif"), "-o".into(), out.clone()]).run();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 3);
}

#[test]
fn convert_refuses_what_is_no_raster() {
    let scene = Scene::new();
    let text = scene.root().join("text.tif");
    fs::write(&text, "no raster").unwrap();
    let out = scene.root().join("out");
    let finished = Launch::new(&scene, "kiln", ["convert".into(), text, "-o".into(), out.clone()]).run();
    assert!(finished.code.is_some_and(|code| code != 0) && finished.stderr.contains("text.tif"), "{finished:?}");
    assert_eq!(fs::read_dir(&out).map_or(0, Iterator::count), 0, "nothing is left behind");
}
