//! 8-bit RGB that arrives lossily compressed is stored so too, and a block of it is a WebP tile as it is.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use harness::formula::{Formula, Pixel};
use harness::raster::save_bytes;
use harness::{Launch, Scene, Stack, picture};
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};

const SIDE: u32 = 700;
/// Pixels of zoom 15 lie on the web map like those of the photo.
const PIXEL_M: f64 = 4.777_314_267_823_516;
const CORNER: [f64; 2] = [1_250_000.0, 6_100_000.0];

fn photo() -> RgbImage {
    let bands = [11, 12, 13].map(|seed| Formula::noise(seed, 90.0, 10.0, 245.0));
    RgbImage::from_fn(SIDE, SIDE, |col, row| {
        let at = Pixel { col: f64::from(col), row: f64::from(row), x: f64::from(col), y: f64::from(row) };
        image::Rgb([0, 1, 2].map(|band: usize| bands[band].at(at).unwrap().round() as u8))
    })
}

/// A JPEG, or another format by its extension, beside a world file.
fn save(path: &Path) -> u64 {
    let mut bytes = Cursor::new(Vec::new());
    let (photo, is_jpeg) = (photo(), path.extension().is_some_and(|extension| extension == "jpg"));
    if is_jpeg {
        photo.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 85)).unwrap();
    } else {
        photo.write_to(&mut bytes, ImageFormat::Png).unwrap();
    }
    let half = PIXEL_M / 2.0;
    let world = format!("{PIXEL_M}\n0\n0\n-{PIXEL_M}\n{}\n{}\n", CORNER[0] + half, CORNER[1] - half);
    save_bytes(world.as_bytes(), &path.with_extension(if is_jpeg { "jgw" } else { "pgw" }));
    save_bytes(bytes.get_ref(), path);
    bytes.get_ref().len() as u64
}

fn compression(stack: &Stack, scene: &Scene, input: &str) -> (String, u64) {
    let known = stack.json(&format!("/jobs?input={input}"));
    let cog = known["decided"][0]["datasets"][0]["cog"].as_str().unwrap().to_owned();
    let file = scene.store().join(cog);
    let bytes = fs::read(&file).unwrap();
    let is_webp = bytes.windows(4).any(|four| four == b"WEBP");
    ((if is_webp { "webp" } else { "zstd" }).to_owned(), bytes.len() as u64)
}

#[test]
fn a_jpeg_becomes_webp_and_a_png_stays_exact() {
    let scene = Scene::new();
    let jpeg_bytes = save(&scene.path("photo.jpg"));
    save(&scene.path("exact.png"));
    let config = scene.config("[collections.default]\ncrs = \"EPSG:3857\"\n");
    let stack = Launch::serve(&scene).arg("--config").arg(config).start();
    let wanted = ["photo.jpg/1", "photo.jpg/2", "photo.jpg/3", "exact.png/1", "exact.png/2", "exact.png/3"];
    stack.base();
    stack.wait_for_datasets(&wanted);

    let (stored, bytes) = compression(&stack, &scene, "photo.jpg");
    assert_eq!(stored, "webp");
    assert!(bytes * 2 < jpeg_bytes * 3, "{bytes} bytes from {jpeg_bytes}");
    assert_eq!(compression(&stack, &scene, "exact.png").0, "zstd");

    let tile = |name: &str, more: &str| {
        let center = stack.center_tile(&format!("{name}/1"), None);
        let place = center.trim_start_matches(&format!("/singleband/{name}/1")).to_owned();
        let place = place.strip_suffix(".png").unwrap_or(&place).to_owned();
        format!("/rgb/{name}{place}.{more}r=1&g=2&b=3&r_range=[0,255]&g_range=[0,255]&b_range=[0,255]")
    };
    let photo = stack.tile_rgba(&tile("photo.jpg", "png?"));
    let exact = stack.tile_rgba(&tile("exact.png", "png?"));
    assert_eq!(picture::opaque(&photo), 256 * 256);
    assert!(picture::share_that_differs(&photo, &exact, 40) < 0.01, "the photo is the photo");

    // The block is the tile: what is stored is what is sent.
    let sent = stack.get(&tile("photo.jpg", "webp?"));
    assert_eq!(sent.header("content-type"), Some("image/webp"));
    assert!(sent.body.windows(4).any(|four| four == b"VP8 " || four == b"VP8X"), "lossy, as it was stored");
    let webp = image::load_from_memory(&sent.body).unwrap().to_rgba8();
    assert!(picture::share_that_differs(&photo, &webp, 1) == 0.0, "as a PNG it is the same but for a count");
    // Another look is painted.
    let painted = stack.get(&tile("photo.jpg", "webp?color_transform=gamma%20rgb%201.5&"));
    assert!(painted.body.windows(4).any(|four| four == b"VP8L"), "lossless");
}
