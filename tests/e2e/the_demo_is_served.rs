//! What `make run` shows somebody who has just cloned this.

use std::fs;
use std::path::Path;

use harness::picture::{opaque, share_that_differs};
use harness::stack::encode_segment;
use harness::{Launch, Scene, Stack};

/// The tile of the pictures in the README, which lie in `tests/golden`.
const TILE: &str = "11/1067/724";
/// Another GDAL may warp a little differently: so many pixels may differ by more than `LEVELS`.
const SHARE: f64 = 0.02;
const LEVELS: u8 = 6;

#[test]
fn the_demo_is_made_once_and_served() {
    let scene = Scene::new();
    let make = || Launch::new(&scene, "demo", [scene.source()]).run();
    let made = make();
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let changed = fs::metadata(scene.path("photo.tif")).unwrap().modified().unwrap();
    assert_eq!(make().stdout, "", "nothing to do the second time");
    assert_eq!(fs::metadata(scene.path("photo.tif")).unwrap().modified().unwrap(), changed);

    let stack = Launch::serve(&scene).start();
    let bands = ["B02", "B03", "B04", "B08"].map(|band| format!("sentinel_20260101_{band}/{band}"));
    let mut wanted = vec!["elevation/elevation", "landcover/cover", "photo/1", "photo/2", "photo/3"];
    wanted.extend(bands.iter().map(String::as_str));
    stack.wait_for_datasets(&wanted);
    for keys in wanted {
        let tile = stack.tile_rgba(&stack.center_tile(keys, None));
        assert!(opaque(&tile) > 60_000, "{keys} shows a landscape");
    }
    let photo = stack.center_tile("photo/1", None).replace("/singleband/photo/1", "/rgb/photo");
    let photo = stack.tile_rgba(&format!("{photo}?r=1&g=2&b=3&r_range=[0,255]&g_range=[0,255]&b_range=[0,255]"));
    assert!(harness::picture::colors(&photo).len() > 1000, "the photo is colourful");
    assert_eq!(stack.metadata("landcover/cover")["bounds"], stack.metadata("photo/1")["bounds"]);
    assert_as_in_the_readme(&stack);
}

/// With `KILN_BLESS` the pictures are written anew.
fn assert_as_in_the_readme(stack: &Stack) {
    let classes = r#"{"1":"3e76a8","2":"d6be76","3":"3a683e","4":"92b062","5":"948a80","6":"f0f4f8"}"#;
    let classes = encode_segment(classes);
    let pictures = [
        ("photo", format!("/rgb/photo/{TILE}.png?r=1&g=2&b=3&r_range=[0,255]&g_range=[0,255]&b_range=[0,255]")),
        ("elevation", format!("/singleband/elevation/elevation/{TILE}.png?colormap=terrain&stretch_range=[0,3000]")),
        ("landcover", format!("/singleband/landcover/cover/{TILE}.png?colormap=explicit&explicit_color_map={classes}")),
    ];
    for (name, url) in pictures {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/{name}.png"));
        let answer = stack.get(&url);
        if std::env::var_os("KILN_BLESS").is_some() {
            fs::write(&file, &answer.body).unwrap();
        }
        let golden = image::open(&file).unwrap().into_rgba8();
        let share = share_that_differs(&golden, &answer.picture(), LEVELS);
        assert!(share < SHARE, "{:.1} % of {url} differ from {}", share * 100.0, file.display());
    }
}
