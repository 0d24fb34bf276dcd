//! A raster that crosses 180° is one small file and shows on both sides; one that goes all the way round shows everywhere.

use harness::formula::Formula;
use harness::picture::{opaque, tile_of};
use harness::{Launch, Raster, Scene};
use shared::dataset::DataType;

/// What one raster of 400 × 400 16-bit pixels may take as a COG, overviews and padding included.
const COG_BYTES_MAX: u64 = 3_000_000;

#[test]
fn a_raster_across_the_antimeridian_shows_on_both_sides() {
    let scene = Scene::new();
    // Zone 60 ends at 180°: at this latitude and 6 km east of it, half lies beyond.
    let raster = Raster::utm(60, [680_000.0, 5_700_000.0], 100.0, 400, 400, DataType::Uint16)
        .filled(Formula::noise(6, 60.0, 1.0, 9000.0));
    scene.drop_raster("bering.tif", &raster);
    let stack = Launch::serve(&scene).start();
    stack.wait_for_datasets(&["bering/1"]);
    let metadata = stack.metadata("bering/1");
    let bounds: Vec<f64> = metadata["bounds"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert!(bounds[0] > 179.0 && bounds[2] < -179.0, "west > east: {bounds:?}");
    let middle = f64::midpoint(bounds[1], bounds[3]);
    let finest = metadata["maxzoom"].as_u64().unwrap() as u8;
    for z in [finest, finest - 1, finest + 1] {
        for lon in [179.99, -179.99] {
            let (x, y) = tile_of(lon, middle, z);
            let shown = opaque(&stack.tile_rgba(&format!("/singleband/bering/1/{z}/{x}/{y}.png")));
            assert!(shown > 1000, "{shown} pixels at {lon}, zoom {z}");
        }
    }
    let cogs = scene.stored("cogs");
    let bytes: u64 = cogs.iter().map(|cog| std::fs::metadata(scene.store().join(cog)).unwrap().len()).sum();
    assert!(cogs.len() == 1 && bytes < COG_BYTES_MAX, "{cogs:?} take {bytes} bytes");
}

#[test]
fn a_raster_all_the_way_round_shows_everywhere() {
    let scene = Scene::new();
    let world =
        Raster::lonlat([-180.0, 90.0], 0.5, 720, 360, DataType::Float32).filled(Formula::gradient(0.0, 0.5, 1.0));
    scene.drop_raster("world.tif", &world);
    let stack = Launch::serve(&scene).start();
    stack.wait_for_datasets(&["world/1"]);
    let metadata = stack.metadata("world/1");
    let bounds: Vec<f64> = metadata["bounds"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert!((bounds[2] - bounds[0] - 360.0).abs() < 1e-6 && (bounds[3] - 90.0).abs() < 1e-6, "{bounds:?}");
    for (z, x, y) in [(0, 0, 0), (1, 0, 0), (1, 1, 1), (2, 0, 1), (2, 3, 2)] {
        let picture = stack.tile_rgba(&format!("/singleband/world/1/{z}/{x}/{y}.png"));
        assert_eq!(opaque(&picture), 256 * 256, "{z}/{x}/{y} is whole");
    }
}
