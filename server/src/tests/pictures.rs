//! Pixels: every data type and validity, seams, the antimeridian, sizes, far zooms.

use shared::dataset::{DataType, Predictor, Validity};
use shared::grid::Placement;

use super::scene::{Cog, PLACE, Scene};

/// A ramp by world pixel, the same at every zoom: 1 … 251.
fn ramp(x: u32, y: u32) -> u8 {
    ((x + 3 * y) % 251 + 1) as u8
}

/// What 0 … 255 becomes under the dataset's range.
fn grey(value: f64) -> u8 {
    (value / 255.0 * 254.0 + 1.0).round_ties_even() as u8
}

/// West–east rise, in steps of one per tile pixel at zoom 10, so that interpolation is exact.
fn slope(z: u8, x: u32) -> u16 {
    let fine = (f64::from(x) + 0.5) * f64::from(1u32 << (10 - z)) - f64::from(512 * 256);
    (fine * 10.0) as u16 + 1
}

#[tokio::test]
async fn a_tile_is_a_block_of_every_type() {
    let mut scene = Scene::new();
    scene.add("u8", &["1"], &Cog::of(DataType::Uint8, Validity::None, |_, x, y| Some(ramp(x, y))));
    scene.add("i8", &["1"], &Cog::of(DataType::Int8, Validity::None, |_, x, y| Some((ramp(x, y) / 2) as i8)));
    scene.add("i16", &["1"], &Cog::of(DataType::Int16, Validity::None, |_, x, y| Some(i16::from(ramp(x, y)))));
    scene.add("u32", &["1"], &Cog::of(DataType::Uint32, Validity::None, |_, x, y| Some(u32::from(ramp(x, y)))));
    scene.add("i64", &["1"], &Cog::of(DataType::Int64, Validity::None, |_, x, y| Some(i64::from(ramp(x, y)))));
    scene.add("f32", &["1"], &Cog::of(DataType::Float32, Validity::None, |_, x, y| Some(f32::from(ramp(x, y)))));
    scene.add("f64", &["1"], &Cog::of(DataType::Float64, Validity::None, |_, x, y| Some(f64::from(ramp(x, y)))));
    let mut u16s = Cog::of(DataType::Uint16, Validity::None, |_, x, y| Some(u16::from(ramp(x, y))));
    u16s.predictor = Predictor::Horizontal;
    scene.add("u16", &["1"], &u16s);
    let served = scene.serve().await;
    for name in ["u8", "i8", "i16", "u16", "u32", "i64", "f32", "f64"] {
        let picture = served.picture(&format!("/singleband/{name}/1/10/513/352.png")).await;
        assert_eq!(picture.dimensions(), (256, 256));
        for (x, y) in [(0, 0), (255, 0), (17, 200), (255, 255)] {
            let value = ramp(513 * 256 + x, 352 * 256 + y);
            let want = grey(f64::from(if name == "i8" { value / 2 } else { value }));
            assert_eq!(picture.get_pixel(x, y).0, [want, want, want, 255], "{name} at {x}, {y}");
        }
    }
}

#[tokio::test]
async fn masks_nodata_nan_and_alpha_are_transparent() {
    fn checkered<T>(x: u32, y: u32, value: T) -> Option<T> {
        (x / 16 + y / 16).is_multiple_of(2).then_some(value)
    }
    let mut scene = Scene::new();
    scene.add("mask", &["1"], &Cog::of(DataType::Uint8, Validity::Mask, |_, x, y| checkered(x, y, 0u8)));
    scene.add("nodata", &["1"], &Cog::of(DataType::Uint16, Validity::Nodata(0.0), |_, x, y| checkered(x, y, 7u16)));
    scene.add(
        "nan",
        &["1"],
        &Cog::of(DataType::Float32, Validity::Nodata(f64::NAN), |_, x, y| {
            Some(checkered(x, y, 7f32).unwrap_or(f32::NAN))
        }),
    );
    let alpha = Cog {
        data_type: DataType::Uint8,
        samples: 4,
        validity: Validity::Alpha,
        predictor: Predictor::None,
        placement: PLACE,
        entry_bytes: (8, 4),
        pixel: Box::new(|_, x, y| Some(checkered(x, y, vec![10, 20, 30, 255]).unwrap_or(vec![10, 20, 30, 0]))),
    };
    scene.add("alpha", &["R", "G", "B"], &alpha);
    let served = scene.serve().await;
    let urls = ["/singleband/mask/1", "/singleband/nodata/1", "/singleband/nan/1", "/singleband/alpha/G", "/rgb/alpha"];
    for url in urls {
        for (place, step) in [("10/512/353", 16), ("11/1025/705", 32), ("10/512/353.png?tile_size=[512,512]&x=", 32)] {
            let picture = served
                .picture(
                    &format!("{url}/{place}.png")
                        .replace(".png?tile_size=[512,512]&x=.png", ".png?tile_size=[512,512]"),
                )
                .await;
            for (x, y) in [(0, 0), (step, 0), (step, step), (step + step / 2, step / 2), (255, 255)] {
                let valid = (x / step + y / step) % 2 == 0;
                assert_eq!(picture.get_pixel(x, y).0[3] == 255, valid, "{url}/{place} at {x}, {y}");
            }
        }
    }
    let picture = served.picture("/rgb/alpha/10/512/353.png").await;
    assert_eq!(picture.get_pixel(0, 0).0, [grey(10.0), grey(20.0), grey(30.0), 255]);
}

#[tokio::test]
async fn zoomed_in_there_is_no_seam_between_blocks() {
    let mut scene = Scene::new();
    scene.add("slope", &["1"], &Cog::of(DataType::Uint16, Validity::None, |z, x, _| Some(slope(z, x))));
    let served = scene.serve().await;
    let stretch = "stretch_range=[2500,2626]";
    // Tiles 1025 and 1026 of zoom 11 meet where blocks 512 and 513 of zoom 10 do.
    let left = served.picture(&format!("/singleband/slope/1/11/1025/705.png?{stretch}")).await;
    let right = served.picture(&format!("/singleband/slope/1/11/1026/705.png?{stretch}")).await;
    let line: Vec<u8> =
        (250..256).map(|x| left.get_pixel(x, 9).0[0]).chain((0..6).map(|x| right.get_pixel(x, 9).0[0])).collect();
    assert!(line.windows(2).all(|w| w[1] - w[0] == 10), "five units a pixel: {line:?}");
    let big = served.picture(&format!("/singleband/slope/1/10/513/352.png?tile_size=[512,512]&{stretch}")).await;
    assert_eq!(big.dimensions(), (512, 512));
    assert_eq!(big.get_pixel(0, 100).0[0], right.get_pixel(0, 9).0[0]);
}

#[tokio::test]
async fn a_cog_that_ends_within_a_tile_of_its_overviews_is_read_to_its_end() {
    const ENDING: Placement = Placement { maxzoom: 10, minzoom: 8, col: 512, row: 352, cols: 5, rows: 3 };
    /// Ten times the column of a block and its row, from 1.
    fn pixel(z: u8, x: u32, y: u32) -> Option<u8> {
        let (shift, (col, row, _, _)) = (10 - z, ENDING.at(z));
        let inside = x << shift < 517 * 256 && y << shift < 355 * 256;
        inside.then(|| (10 * (x / 256 - col) + (y / 256 - row) + 1) as u8)
    }
    let mut scene = Scene::new();
    for (name, entry_bytes) in [("narrow", (4, 2)), ("wide", (8, 4))] {
        let cog = Cog { placement: ENDING, entry_bytes, ..Cog::of(DataType::Uint8, Validity::Mask, pixel) };
        scene.add(name, &["1"], &cog);
    }
    let served = scene.serve().await;
    for name in ["narrow", "wide"] {
        // Of each tile: what its block holds, and where it ends.
        for (tile, value, end) in [
            ("10/512/352", 1, (256, 256)),
            ("10/516/354", 43, (256, 256)),
            ("9/257/177", 12, (256, 128)),
            ("9/258/177", 22, (128, 128)),
            ("8/129/88", 11, (64, 192)),
        ] {
            let picture = served.picture(&format!("/singleband/{name}/1/{tile}.png")).await;
            let found = |x: u32, y: u32| (picture.get_pixel(x, y).0[0], picture.get_pixel(x, y).0[3]);
            assert_eq!(found(end.0 - 1, end.1 - 1), (grey(f64::from(value)), 255), "{name} {tile}");
            for (x, y) in [(end.0, 0), (0, end.1)] {
                assert!(x > 255 || y > 255 || found(x, y).1 == 0, "{name} {tile} at {x}, {y}");
            }
        }
        let beside = served.picture(&format!("/singleband/{name}/1/10/517/354.png")).await;
        assert!(beside.pixels().all(|pixel| pixel.0[3] == 0), "{name}");
    }
}

#[tokio::test]
async fn sizes_and_zooms_are_of_the_right_level() {
    let mut scene = Scene::new();
    // The value is the zoom of the level that was read.
    scene.add("zoom", &["1"], &Cog::of(DataType::Uint8, Validity::None, |z, _, _| Some(z)));
    let served = scene.serve().await;
    let cases = [
        ("9/256/176.png", 9),
        ("10/512/352.png", 10),
        ("12/2048/1408.png", 10),
        ("8/128/88.png", 9),
        ("9/256/176.png?tile_size=[512,512]", 10),
        ("9/256/176.png?tile_size=[300,100]", 10),
        ("10/512/352.png?tile_size=[128,128]", 9),
        ("preview.png", 9),
        ("preview.png?tile_size=[300,300]", 10),
    ];
    for (place, level) in cases {
        let picture = served.picture(&format!("/singleband/zoom/1/{place}")).await;
        assert_eq!(picture.get_pixel(0, 0).0[0], grey(f64::from(level)), "{place}");
    }
    let picture = served.picture("/singleband/zoom/1/9/256/176.png?tile_size=[300,100]").await;
    assert_eq!(picture.dimensions(), (100, 300));
}

#[tokio::test]
async fn far_out_a_raster_is_a_spot_in_its_place() {
    let mut scene = Scene::new();
    scene.add("spot", &["1"], &Cog::of(DataType::Uint8, Validity::None, |_, x, _| Some((x % 2) as u8 * 100)));
    let served = scene.serve().await;
    // At zoom 1 the 2×2 tiles of zoom 10 are one pixel of 512 world pixels.
    let picture = served.picture("/singleband/spot/1/1/1/0.png").await;
    let opaque: Vec<_> =
        picture.enumerate_pixels().filter(|(_, _, p)| p.0[3] == 255).map(|(x, y, p)| (x, y, p.0[0])).collect();
    assert_eq!(opaque, [(0, 176, grey(50.0))]);
    let picture = served.picture("/singleband/spot/1/1/0/0.png").await;
    assert!(picture.pixels().all(|p| p.0[3] == 0));
}

#[tokio::test]
async fn a_raster_across_the_antimeridian_shows_on_both_sides_without_a_seam() {
    let mut scene = Scene::new();
    let mut cog = Cog::of(DataType::Uint16, Validity::None, |_, x, _| Some((x - 1023 * 256 + 1) as u16 * 10));
    cog.placement = Placement { maxzoom: 10, minzoom: 10, col: 1023, row: 352, cols: 2, rows: 1 };
    scene.add("dateline", &["1"], &cog);
    let served = scene.serve().await;
    let stretch = "stretch_range=[2500,2626]";
    let west = served.picture(&format!("/singleband/dateline/1/11/2047/704.png?{stretch}")).await;
    let east = served.picture(&format!("/singleband/dateline/1/11/0/704.png?{stretch}")).await;
    let line: Vec<u8> =
        (252..256).map(|x| west.get_pixel(x, 9).0[0]).chain((0..4).map(|x| east.get_pixel(x, 9).0[0])).collect();
    assert!(line.windows(2).all(|w| w[1] - w[0] == 10), "{line:?}");
    let world = served.picture("/singleband/dateline/1/0/0/0.png?tile_size=[1024,1024]").await;
    let columns: Vec<u32> = world.enumerate_pixels().filter(|(_, _, p)| p.0[3] == 255).map(|(x, _, _)| x).collect();
    assert!(columns.contains(&0) && columns.contains(&1023) && columns.len() == 2, "{columns:?}");
    let preview = served.picture("/singleband/dateline/1/preview.png").await;
    assert!(preview.pixels().all(|p| p.0[3] == 255));
}

#[tokio::test]
async fn classes_are_never_mixed_and_explicit_maps_are_exact() {
    let mut scene = Scene::new();
    scene.add(
        "classes",
        &["1"],
        &Cog::of(DataType::Uint8, Validity::None, |_, x, _| Some(if x / 8 % 2 == 0 { 3u8 } else { 9 })),
    );
    scene.change("classes", |d| d.metadata.categorical.is = true);
    scene.add(
        "float",
        &["1"],
        &Cog::of(DataType::Float32, Validity::None, |_, x, _| Some(if x % 2 == 0 { 0.1f32 } else { 1.0 })),
    );
    let served = scene.serve().await;
    let map = "colormap=explicit&explicit_color_map=%7B%223%22:%22ff0000%22,%229%22:[0,0,255,128]%7D";
    for place in ["10/512/352", "12/2050/1409", "7/64/44", "preview"] {
        let picture = served.picture(&format!("/singleband/classes/1/{place}.png?{map}")).await;
        let known = [[255, 0, 0, 255], [0, 0, 255, 128], [0, 0, 0, 0]];
        assert!(picture.pixels().all(|p| known.contains(&p.0) || p.0[3] == 0), "{place}");
        assert!(picture.pixels().any(|p| p.0[3] == 255), "{place}");
    }
    let map = "colormap=explicit&explicit_color_map=%7B%220.1%22:%22010203%22%7D";
    let picture = served.picture(&format!("/singleband/float/1/10/512/352.png?{map}")).await;
    assert_eq!((picture.get_pixel(0, 0).0, picture.get_pixel(1, 0).0[3]), ([1, 2, 3, 255], 0));
}

#[tokio::test]
async fn rgb_shows_black_where_only_some_bands_are_masked() {
    let mut scene = Scene::new();
    scene.add("part", &["R"], &Cog::of(DataType::Uint8, Validity::Nodata(0.0), |_, x, _| (x % 2 == 0).then_some(50u8)));
    scene.add("whole", &["G"], &Cog::of(DataType::Uint8, Validity::Nodata(0.0), |_, x, _| (x % 4 < 2).then_some(60u8)));
    scene.change("whole", |d| d.keys[0] = "part".to_owned());
    let served = scene.serve().await;
    let url = "/rgb/part/10/512/352.png?r=R&g=G&b=G";
    let picture = served.picture(url).await;
    let at = |x| picture.get_pixel(x, 0).0;
    assert_eq!(at(0), [grey(50.0), grey(60.0), grey(60.0), 255]);
    assert_eq!(at(1), [0, grey(60.0), grey(60.0), 255]);
    assert_eq!(at(2), [grey(50.0), 0, 0, 255]);
    assert_eq!(at(3)[3], 0);
    let saturated = served.picture(&format!("{url}&color_transform=saturation%200")).await;
    assert_eq!((saturated.get_pixel(1, 0).0[0], saturated.get_pixel(3, 0).0[3]), (0, 0));
}

#[tokio::test]
async fn another_look_at_a_tile_closer_than_the_raster_reads_no_block_again() {
    let mut scene = Scene::new();
    scene.add("u8", &["1"], &Cog::of(DataType::Uint8, Validity::None, |_, x, y| Some(ramp(x, y))));
    let served = scene.serve().await;
    let read = async || {
        let metrics = String::from_utf8(super::scene::body(served.get("/metrics").await).await).unwrap();
        let line = metrics.lines().find(|line| line.contains("store_read_bytes_total ")).unwrap().to_owned();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let tile = "/singleband/u8/1/11/1026/704.png";
    let first = served.picture(tile).await;
    let once = read().await;
    assert!(once > 0.0);
    let second = served.picture(&format!("{tile}?stretch_range=[0,100]")).await;
    assert_ne!(first, second);
    assert_eq!(read().await, once, "the blocks were kept");
}
