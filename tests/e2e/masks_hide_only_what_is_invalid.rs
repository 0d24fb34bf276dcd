//! A true 0 is shown, what lies outside or is invalid is not: for every way a raster can tell, and where a warp makes the edge.

use harness::formula::Formula;
use harness::picture::{Hull, pixel_center};
use harness::{Launch, Raster, Scene, Stack};
use shared::dataset::DataType;

const SIDE: u32 = 200;

/// Askew on the web map, with large areas of 0.
fn raster(data_type: DataType) -> Raster {
    let zeros = Formula::noise(3, 50.0, -120.0, 240.0).map(|_, value| value.max(0.0));
    Raster::utm(32, [760_000.0, 5_300_000.0], 30.0, SIDE, SIDE, data_type).filled(zeros)
}

fn with_wedge(mut raster: Raster) -> Raster {
    raster.bands[0].formula = raster.bands[0].formula.clone().with_wedge(SIDE, SIDE, 0.5);
    raster
}

/// Inside the valid hull everything is opaque, outside nothing is seen, at the finest zoom and two coarser ones.
fn assert_shape(stack: &Stack, keys: &str) {
    let metadata = stack.metadata(keys);
    let hull = Hull::parse(&metadata["convex_hull"]);
    let (inside, outside) = (hull.scaled(0.96), hull.scaled(1.04));
    let finest = metadata["maxzoom"].as_u64().unwrap() as u8;
    for z in [finest, finest - 1, finest - 2] {
        for tile in hull.scaled(1.2).tiles(z) {
            let picture =
                stack.tile_rgba(&format!("/singleband/{keys}/{z}/{}/{}.png?stretch_range=[0,255]", tile.0, tile.1));
            for (col, row, pixel) in picture.enumerate_pixels() {
                let (lon, lat) = pixel_center(z, tile, col, row);
                let shown = pixel.0[3] > 0;
                assert!(shown || !inside.contains(lon, lat), "{keys}: a hole at zoom {z}, {lon} {lat}");
                assert!(!shown || outside.contains(lon, lat), "{keys}: a pixel outside at zoom {z}, {lon} {lat}");
            }
        }
    }
}

#[test]
fn a_true_zero_is_shown_and_a_warped_edge_is_not() {
    let scene = Scene::new();
    let types = [DataType::Uint8, DataType::Uint16, DataType::Int16, DataType::Float32, DataType::Float64];
    let mut wanted = Vec::new();
    for data_type in types {
        let name = data_type.name();
        scene.drop_raster(&format!("plain-{name}.tif"), &raster(data_type));
        let mut masked = with_wedge(raster(data_type));
        masked.mask = true;
        scene.drop_raster(&format!("mask-{name}.tif"), &masked);
        scene.drop_raster(&format!("nodata-{name}.tif"), &with_wedge(raster(data_type)).nodata(255.0));
        wanted.extend(["plain", "mask", "nodata"].map(|kind| format!("{kind}-{name}/1")));
    }
    let mut tiled = with_wedge(raster(DataType::Uint16)).nodata(9999.0);
    tiled.tiled = true;
    scene.drop_raster("tiled.tif", &tiled);
    wanted.push("tiled/1".to_owned());
    let stack = Launch::serve(&scene).start();
    stack.wait_for_datasets(&wanted.iter().map(String::as_str).collect::<Vec<_>>());
    for keys in &wanted {
        assert_shape(&stack, keys);
        assert_eq!(stack.metadata(keys)["range"][0].as_f64(), Some(0.0), "{keys}: a true 0 counts");
    }
}

#[test]
fn a_raster_without_a_valid_pixel_is_transparent_or_refused() {
    let scene = Scene::new();
    let empty = Raster::utm(32, [600_000.0, 5_300_000.0], 30.0, 64, 64, DataType::Uint16)
        .filled(Formula::new(|_| None))
        .nodata(0.0);
    scene.drop_raster("empty.tif", &empty);
    scene.drop_raster("full.tif", &raster(DataType::Uint16));
    let stack = Launch::serve(&scene).start();
    let keys = stack.wait_for("both are decided", std::time::Duration::from_mins(1), || {
        let keys = stack.dataset_paths();
        let rejected = || Launch::rejected(&scene).run().stdout.contains("empty.tif");
        (keys.contains(&"full/1".to_owned()) && (keys.len() == 2 || rejected())).then_some(keys)
    });
    if keys.contains(&"empty/1".to_owned()) {
        let metadata = stack.metadata("empty/1");
        assert!(metadata["mean"].is_null(), "{metadata}");
        let tile = stack.tile_rgba(&stack.center_tile("empty/1", None));
        assert_eq!(harness::picture::visible(&tile), 0);
    }
}
