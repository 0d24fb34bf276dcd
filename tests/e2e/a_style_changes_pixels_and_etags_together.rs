//! The collection's style is in the catalogue: when it changes, pixels and `ETag`s change together, and neither does when the style shows in no pixel.

use harness::samples::{self, flat};
use harness::{Launch, Response, Scene, Stack};

fn tile(stack: &Stack) -> Response {
    let answer = stack.get(&format!("/singleband/a/1/{}?stretch_range=[0,1000]", samples::tile()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// Serves with a style, once a raster that came with it is there, and returns the tile of the old one.
fn tile_with_style(scene: &Scene, style: &str, fresh: &str) -> Response {
    let config = scene.config(&format!("[collections.default.style]\n{style}\n"));
    scene.drop_raster(&format!("{fresh}.tif"), &flat(1.0));
    let mut stack = Launch::serve(scene).arg("--config").arg(config).start();
    stack.wait_for("the new raster is served", std::time::Duration::from_mins(1), || {
        stack.dataset_paths().contains(&format!("{fresh}/1")).then_some(())
    });
    let tile = tile(&stack);
    stack.stop();
    tile
}

#[test]
fn a_style_changes_pixels_and_etags_together() {
    let scene = Scene::new();
    scene.drop_raster("a.tif", &flat(400.0));
    let plain = tile_with_style(&scene, "", "b");
    let colored = tile_with_style(&scene, "colormap = \"viridis\"", "c");
    assert_ne!(plain.picture(), colored.picture());
    assert_ne!(plain.etag(), colored.etag());
    let attributed = tile_with_style(&scene, "colormap = \"viridis\"\nattribution = \"Kiln\"", "d");
    assert_eq!(colored.picture(), attributed.picture());
    assert_eq!(colored.etag(), attributed.etag());
}
