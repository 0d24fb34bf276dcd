//! Mosaics, by formula: at the border between two datasets, over holes, across the antimeridian, of one band, of three, of a formula.

use axum::http::{StatusCode, header};
use serde_json::json;
use shared::dataset::{DataType, Validity};
use shared::grid::Placement;

use super::scene::{Cog, PLACE, Scene, Served};

/// The same two by two tiles, one tile further east: the two overlap in a column of tiles.
const EAST: Placement = Placement { col: 514, ..PLACE };

/// A dataset whose pixels are `value` where `hole` is not.
fn flat(placement: Placement, value: u8, hole: fn(u32, u32) -> bool) -> Cog {
    let pixel = move |_, x, y| if hole(x, y) { None } else { Some(vec![value]) };
    Cog {
        data_type: DataType::Uint8,
        samples: 1,
        validity: Validity::Nodata(0.0),
        predictor: shared::dataset::Predictor::None,
        placement,
        entry_bytes: (8, 4),
        pixel: Box::new(pixel),
    }
}

fn grey(value: u8) -> [u8; 4] {
    let shown = (f64::from(value) / 254.0).mul_add(254.0, 1.0).round_ties_even() as u8;
    [shown, shown, shown, 255]
}

/// `a` below, `b` above with holes in every other 16-pixel column; `c` further east.
async fn overlapping() -> (Scene, Served) {
    let mut scene = Scene::new();
    scene.add("a", &["1"], &flat(PLACE, 50, |_, _| false));
    scene.add("b", &["1"], &flat(PLACE, 100, |x, _| x / 16 % 2 == 0));
    scene.add("c", &["1"], &flat(EAST, 200, |_, _| false));
    let served = scene.serve().await;
    (scene, served)
}

const STRETCH: &str = "stretch_range=[0,254]";

#[tokio::test]
async fn the_last_is_on_top_and_shows_what_is_below_through_its_holes() {
    let (_scene, served) = overlapping().await;
    let at = async |url: &str, x, y| served.picture(&format!("/singleband/*/1/{url}{STRETCH}")).await.get_pixel(x, y).0;
    assert_eq!(at("10/512/352.png?", 5, 5).await, grey(50));
    assert_eq!(at("10/512/352.png?", 20, 5).await, grey(100));
    assert_eq!(at("10/512/352.png?ascending=false&", 20, 5).await, grey(50));
    assert_eq!(at("10/512/352.png?method=min&", 20, 5).await, grey(50));
    assert_eq!(at("10/512/352.png?method=max&", 5, 5).await, grey(50));
    assert_eq!(at("10/512/352.png?method=max&", 20, 5).await, grey(100));
    assert_eq!(at("10/512/352.png?method=mean&", 20, 5).await, grey(75));
    // Where two meet, without a seam: the last column of one, the first of the other.
    assert_eq!(at("10/513/352.png?", 255, 9).await, grey(100));
    assert_eq!(at("10/514/352.png?", 0, 9).await, grey(200));
    let border = served.picture(&format!("/singleband/*/1/9/256/176.png?{STRETCH}")).await;
    assert!(border.pixels().all(|p| p.0[3] == 255));
    let both = served.picture(&format!("/singleband/*/1/9/257/176.png?{STRETCH}")).await;
    assert!(both.pixels().all(|p| p.0 == grey(200)));
}

#[tokio::test]
async fn a_mosaic_is_empty_above_its_coarsest_zoom_and_unknown_where_nothing_matches() {
    let (_scene, served) = overlapping().await;
    let far = served.picture("/singleband/*/1/8/128/88.png").await;
    assert!(far.pixels().all(|p| p.0[3] == 0));
    let off = served.picture("/singleband/*/1/10/900/352.png").await;
    assert!(off.pixels().all(|p| p.0[3] == 0));
    assert_eq!(served.get("/singleband/*/9/10/512/352.png").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(served.get("/singleband/%2A/1/10/512/352.png").await.status(), StatusCode::NOT_FOUND, "a literal star");
    let whole = served.picture(&format!("/singleband/*/1/preview.png?{STRETCH}")).await;
    assert_eq!((whole.get_pixel(250, 9).0, whole.get_pixel(3, 9).0[3]), (grey(200), 255));
}

#[tokio::test]
async fn a_mosaics_etag_changes_only_where_its_datasets_do() {
    let (mut scene, served) = overlapping().await;
    let tag = async |served: &Served, tile: &str| served.etag(&format!("/singleband/*/1/{tile}.png?{STRETCH}")).await;
    let (west, east) = (tag(&served, "10/512/352").await, tag(&served, "10/515/352").await);
    scene.add("c", &["1"], &flat(EAST, 210, |_, _| false));
    let served = scene.serve().await;
    assert_eq!(tag(&served, "10/512/352").await, west);
    assert_ne!(tag(&served, "10/515/352").await, east);
    let tilejson = served.ok(&format!("/singleband/*/1/tilejson.json?{STRETCH}")).await;
    let url = tilejson["tiles"][0].as_str().unwrap().replace("{z}/{x}/{y}", "10/515/352");
    let path = url.strip_prefix("http://localhost").unwrap();
    let cache = served.get(path).await.headers()[header::CACHE_CONTROL].to_str().unwrap().to_owned();
    assert!(cache.contains("immutable"), "{cache}");
}

#[tokio::test]
async fn colors_and_formulas_are_of_one_scene_in_every_pixel() {
    let mut scene = Scene::new();
    // The upper scene has a hole in its second band only.
    for (name, first, second) in [("low", 40, 80), ("top", 90, 30)] {
        let hole: fn(u32, u32) -> bool = if name == "top" { |x, _| x % 256 < 64 } else { |_, _| false };
        scene.add(&format!("{name}1"), &["1"], &flat(PLACE, first, |_, _| false));
        scene.add(&format!("{name}2"), &["2"], &flat(PLACE, second, hole));
        for band in ["1", "2"] {
            scene.change(&format!("{name}{band}"), |d| d.keys[0] = name.to_owned());
        }
    }
    let served = scene.serve().await;
    let query = "r=1&g=2&b=1&r_range=[0,254]&g_range=[0,254]&b_range=[0,254]";
    let picture = served.picture(&format!("/rgb/*/10/512/352.png?{query}")).await;
    // Of the upper scene two bands are valid there: it shows, its missing band black, and not a mixture with the lower.
    assert_eq!((picture.get_pixel(3, 3).0, picture.get_pixel(99, 3).0), ([91, 0, 91, 255], [91, 31, 91, 255]));
    let ndvi = "expression=(v1-v2)/(v1%2Bv2)&v1=1&v2=2&stretch_range=[-1,1]";
    let picture = served.picture(&format!("/compute/*/10/512/352.png?{ndvi}")).await;
    let index = |value: f64| (1.0 + 254.0 * (value + 1.0) / 2.0).round_ties_even() as u8;
    assert_eq!(picture.get_pixel(3, 3).0[0], index(-40.0 / 120.0), "the lower scene where the upper has no value");
    assert_eq!(picture.get_pixel(99, 3).0[0], index(60.0 / 120.0));
    let most = served.picture(&format!("/compute/*/10/512/352.png?method=min&{ndvi}")).await;
    assert_eq!(most.get_pixel(99, 3).0[0], index(-40.0 / 120.0), "the least of the formula's values");
}

#[tokio::test]
async fn a_channel_may_come_from_another_value_of_any_key() {
    let mut scene = Scene::new();
    for (name, value) in [("x", 10), ("y", 20), ("z", 30)] {
        scene.add(name, &["1"], &flat(PLACE, value, |_, _| false));
    }
    let served = scene.serve().await;
    let ranges = "r_range=[0,254]&g_range=[0,254]&b_range=[0,254]";
    let picture = served.picture(&format!("/rgb/x/10/512/352.png?r=1&g=1&b=1&g.name=y&b.name=z&{ranges}")).await;
    assert_eq!(picture.get_pixel(0, 0).0, [11, 21, 31, 255]);
    let url = "/compute/x/10/512/352.png?expression=v2-v1&v1=1&v2=1&v2.name=z&stretch_range=[0,254]";
    assert_eq!(served.picture(url).await.get_pixel(0, 0).0, grey(20));
    assert_eq!(served.get("/rgb/x/10/512/352.png?r=1&g=1&b=1&b.name=q").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_mosaic_across_the_antimeridian_shows_on_both_sides() {
    let mut scene = Scene::new();
    let across = Placement { maxzoom: 10, minzoom: 10, col: 1023, row: 352, cols: 2, rows: 1 };
    scene.add("across", &["1"], &flat(across, 60, |x, _| x % 32 == 0));
    scene.add("west", &["1"], &flat(Placement { col: 0, ..across }, 120, |x, _| x % 2 == 0));
    let served = scene.serve().await;
    let at =
        async |tile: &str, x| served.picture(&format!("/singleband/*/1/{tile}.png?{STRETCH}")).await.get_pixel(x, 7).0;
    assert_eq!(at("10/1023/352", 33).await, grey(60));
    assert_eq!(at("10/0/352", 33).await, grey(120));
    assert_eq!(at("10/0/352", 34).await, grey(60), "below, where the upper has a hole");
    assert_eq!(at("10/0/352", 32).await[3], 0, "both have one");
    let layer = served.ok("/singleband/*/1/tilejson.json").await;
    assert_eq!((&layer["bounds"][0], &layer["bounds"][2]), (&json!(-180.0), &json!(180.0)), "bounds must not wrap");
    assert!(layer["center"][0].as_f64().unwrap().abs() > 179.0, "{layer}");
}

#[tokio::test]
async fn more_scenes_than_a_picture_shows_are_said() {
    let mut scene = Scene::new();
    for i in 0..66u8 {
        scene.add(&format!("s{i:02}"), &["1"], &flat(PLACE, i + 1, |x, _| x % 2 == 0));
    }
    let served = scene.serve().await;
    let response = served.get(&format!("/singleband/*/1/10/512/352.png?{STRETCH}")).await;
    assert_eq!(response.headers()["x-kiln-truncated"], "true");
    let picture = served.picture(&format!("/singleband/*/1/10/512/352.png?method=min&{STRETCH}")).await;
    assert_eq!(picture.get_pixel(1, 0).0, grey(3), "the two lowest are left out");
}

#[tokio::test]
async fn datasets_of_several_types_are_one_type_at_every_place() {
    let mut scene = Scene::new();
    scene.add("a", &["1"], &flat(PLACE, 50, |x, _| x % 2 == 0));
    scene.add("b", &["1"], &Cog::of(DataType::Float32, Validity::None, |_, _, _| Some(0.5f32)));
    let served = scene.serve().await;
    for tile in ["10/512/352", "10/0/0"] {
        let npy = super::scene::body(served.get(&format!("/singleband/*/1/{tile}.npy")).await).await;
        assert!(String::from_utf8_lossy(&npy[..80]).contains("'<f8'"), "{tile}");
    }
    let url = "/compute/*/10/512/352.npy?expression=v1*2&v1=1";
    let npy = super::scene::body(served.get(url).await).await;
    let header = 10 + usize::from(u16::from_le_bytes([npy[8], npy[9]]));
    assert_eq!(f64::from_le_bytes(npy[header..header + 8].try_into().unwrap()), 1.0, "a half is not rounded");
}

#[tokio::test]
async fn a_mosaic_of_classes_shows_those_of_all_its_datasets() {
    let mut scene = Scene::new();
    scene.add("low", &["1"], &flat(PLACE, 2, |_, _| false));
    scene.add("top", &["1"], &flat(EAST, 1, |_, _| false));
    for (name, value) in [("low", 2.0), ("top", 1.0)] {
        scene.change(name, |d| {
            d.metadata.color_table = vec![(1, [1, 1, 1, 255]), (2, [2, 2, 2, 255])];
            d.metadata.categorical.is = true;
            let statistics = d.metadata.statistics.as_mut().unwrap();
            (statistics.min, statistics.max) = (value, value);
        });
    }
    let served = scene.serve().await;
    let at = async |tile: &str| served.picture(&format!("/singleband/*/1/{tile}.png")).await.get_pixel(5, 5).0;
    assert_eq!((at("10/512/352").await, at("10/515/352").await), ([2, 2, 2, 255], [1, 1, 1, 255]));
}
