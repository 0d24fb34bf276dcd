//! Classes in UTM without a palette: an explicit colour map shows only the classes of the source, at every zoom, with no hole.

use std::collections::BTreeSet;

use harness::formula::Formula;
use harness::picture::{Hull, pixel_center};
use harness::stack::encode_segment;
use harness::{Launch, Raster, Scene};
use shared::dataset::DataType;

const CLASSES: [f64; 5] = [3.0, 4.0, 7.0, 20.0, 21.0];
const COLORS: [[u8; 3]; 5] = [[200, 10, 10], [10, 200, 10], [10, 10, 200], [200, 200, 10], [10, 200, 200]];

#[test]
fn an_explicit_map_shows_only_the_classes_of_the_source() {
    let scene = Scene::new();
    // At the edge of its zone the raster stands askew on the web map.
    let raster = Raster::utm(32, [760_000.0, 5_300_000.0], 20.0, 600, 600, DataType::Uint8)
        .filled(Formula::classes(4, 60.0, &CLASSES));
    scene.drop_raster("classes.tif", &raster);
    let stack = Launch::serve(&scene).start();
    stack.wait_for_datasets(&["classes/1"]);
    let metadata = stack.metadata("classes/1");
    assert!(metadata["categorical"].to_string().contains("true"), "decided to be classes: {}", metadata["categorical"]);
    let hull = Hull::parse(&metadata["convex_hull"]).scaled(0.985);
    let entries: Vec<String> =
        CLASSES.iter().zip(COLORS).map(|(value, [r, g, b])| format!("\"{value}\":\"{r:02x}{g:02x}{b:02x}\"")).collect();
    let map = encode_segment(&format!("{{{}}}", entries.join(",")));
    let finest = metadata["maxzoom"].as_u64().unwrap() as u8;
    for z in [finest + 1, finest, finest - 1, finest - 2] {
        let mut shown = BTreeSet::new();
        for tile in hull.tiles(z) {
            let url = format!(
                "/singleband/classes/1/{z}/{}/{}.png?colormap=explicit&explicit_color_map={map}",
                tile.0, tile.1
            );
            for (col, row, pixel) in stack.tile_rgba(&url).enumerate_pixels() {
                let (lon, lat) = pixel_center(z, tile, col, row);
                if pixel.0[3] == 0 {
                    assert!(!hull.contains(lon, lat), "a hole at zoom {z}, {lon} {lat}");
                } else {
                    shown.insert([pixel.0[0], pixel.0[1], pixel.0[2]]);
                }
            }
        }
        assert!(shown.iter().all(|color| COLORS.contains(color)), "only colours of classes at zoom {z}: {shown:?}");
        assert!(shown.len() >= 4, "classes are to be seen at zoom {z}: {shown:?}");
    }
}
