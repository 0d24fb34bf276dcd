//! What layers are besides PNG tiles: formulas, other encodings, values, crops, `TileJSON`, WMTS, legends, and styles of datasets.

use axum::http::{StatusCode, header};
use image::ImageFormat;
use serde_json::json;
use shared::dataset::{DataType, Validity};

use super::scene::{Cog, Scene, Served, body};

async fn served() -> (Scene, Served) {
    let mut scene = Scene::new();
    scene.add(
        "u16",
        &["1"],
        &Cog::of(DataType::Uint16, Validity::Nodata(0.0), |_, x, y| Some(((x * 7 + y) % 1000) as u16)),
    );
    scene.add(
        "mask",
        &["1"],
        &Cog::of(DataType::Uint8, Validity::Mask, |_, x, _| (x % 3 != 0).then_some((x % 200) as u8)),
    );
    let served = scene.serve().await;
    (scene, served)
}

#[tokio::test]
async fn a_formula_is_painted() {
    let (_scene, served) = served().await;
    let url = "/compute/u16/10/512/352.png?expression=where(v1%20%3E%20500,%20v1-500,%20v1*2)&v1=1&stretch_range=[0,254]&colormap=viridis";
    let picture = served.picture(url).await;
    let viridis = served.ok("/colormap?stretch_range=[0,254]&colormap=viridis").await;
    for x in [0u32, 1, 100, 255] {
        let value = ((512 * 256 + x) * 7 + 352 * 256) % 1000;
        let want = if value > 500 { value - 500 } else { value * 2 };
        let color = viridis["colormap"][want.min(254) as usize]["rgba"].clone();
        let found = picture.get_pixel(x, 0).0;
        if value == 0 {
            assert_eq!(found[3], 0);
        } else {
            assert_eq!(json!(found.map(f64::from)), color, "at {x}: {value}");
        }
    }
}

#[tokio::test]
async fn the_same_picture_comes_in_other_encodings_and_sizes() {
    let (_scene, served) = served().await;
    let png = served.picture("/singleband/mask/1/10/512/352.png").await;
    let response = served.get("/singleband/mask/1/10/512/352.webp").await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "image/webp");
    let webp = image::load_from_memory_with_format(&body(response).await, ImageFormat::WebP).unwrap().to_rgba8();
    assert!(png.pixels().zip(webp.pixels()).all(|(a, b)| a == b || (a.0[3] == 0 && b.0[3] == 0)));
    let response = served.get("/singleband/mask/1/10/512/352.jpg").await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "image/jpeg");
    let jpeg = image::load_from_memory_with_format(&body(response).await, ImageFormat::Jpeg).unwrap().to_rgb8();
    assert_eq!(jpeg.dimensions(), (256, 256));
    let big = served.picture("/singleband/mask/1/9/256/176@2x.png").await;
    assert_eq!(big.dimensions(), (512, 512));
    assert_eq!(big.get_pixel(1, 1), png.get_pixel(1, 1), "a tile of twice the size is of the next zoom's pixels");
    let tags = ["png", "webp", "jpg"].map(|end| format!("/singleband/mask/1/10/512/352.{end}"));
    assert_ne!(served.etag(&tags[0]).await, served.etag(&tags[1]).await);
    for url in &tags {
        assert_eq!(served.etag(url).await, served.etag(url).await);
    }
}

#[tokio::test]
async fn values_come_as_arrays_and_as_geotiff() {
    let (_scene, served) = served().await;
    let npy = body(served.get("/singleband/u16/1/10/512/352.npy").await).await;
    let header_bytes = usize::from(u16::from_le_bytes([npy[8], npy[9]]));
    let header = String::from_utf8_lossy(&npy[10..10 + header_bytes]).into_owned();
    assert!(npy.starts_with(b"\x93NUMPY\x01\x00") && (10 + header_bytes).is_multiple_of(64));
    assert!(header.contains("'descr': '<u2'") && header.contains("(2, 256, 256)"), "{header}");
    let data = &npy[10 + header_bytes..];
    let at = |plane: usize, x: usize, y: usize| {
        let i = 2 * (plane * 65536 + y * 256 + x);
        u16::from_le_bytes([data[i], data[i + 1]])
    };
    let value = |x: usize, y: usize| (((512 * 256 + x) * 7 + 352 * 256 + y) % 1000) as u16;
    for (x, y) in [(0, 0), (17, 3), (255, 255)] {
        assert_eq!((at(0, x, y), at(1, x, y)), (value(x, y), if value(x, y) == 0 { 0 } else { 255 }));
    }
    let response = served.get("/compute/u16/10/512/352.tif?expression=v1/2&v1=1").await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "image/tiff; application=geotiff");
    let tiff = body(response).await;
    assert!(tiff.starts_with(b"II*\0") && tiff.len() > 65536 * 8);
    // A tile off the data says nothing is valid, and is another one at every place.
    let empty = served.etag("/singleband/u16/1/10/0/0.tif").await;
    assert_ne!(empty, served.etag("/singleband/u16/1/10/1/0.tif").await);
    assert_eq!(served.etag("/singleband/u16/1/10/0/0.png").await, served.etag("/singleband/mask/1/10/1/0.png").await);
}

#[tokio::test]
async fn a_crop_is_a_part_of_the_world() {
    let (_scene, served) = served().await;
    let tile = shared::grid::TileCoord::new(10, 512, 352).unwrap().bounds_m();
    let ((west, south), (east, north)) =
        (shared::grid::from_mercator(tile[0], tile[1]), shared::grid::from_mercator(tile[2], tile[3]));
    let bbox = format!("bbox={west},{south},{east},{north}");
    let crop = served.picture(&format!("/singleband/mask/1/crop.png?{bbox}&width=256&height=256")).await;
    assert_eq!(crop, served.picture("/singleband/mask/1/10/512/352.png").await);
    assert_eq!(served.picture(&format!("/singleband/mask/1/crop.png?{bbox}")).await.dimensions(), (256, 256));
    assert_eq!(served.picture(&format!("/singleband/mask/1/crop.png?{bbox}&width=64")).await.dimensions(), (64, 64));
    let elsewhere = served.picture("/singleband/mask/1/crop.png?bbox=170,10,-170,20&width=32").await;
    assert!(elsewhere.dimensions().0 == 32 && elsewhere.pixels().all(|p| p.0[3] == 0));
}

#[tokio::test]
async fn tilejson_names_tiles_that_never_change() {
    let (_scene, served) = served().await;
    let layer = served.ok("/collections/default/singleband/u16/1/tilejson.json?colormap=terrain").await;
    assert_eq!((&layer["tilejson"], &layer["minzoom"], &layer["maxzoom"]), (&json!("3.0.0"), &json!(9), &json!(10)));
    let url = layer["tiles"][0].as_str().unwrap();
    assert!(url.starts_with(
        "http://localhost/collections/default/singleband/u16/1/{z}/{x}/{y}.png?colormap=terrain&stretch_range="
    ));
    assert!(url.contains("%5B2,98%5D"), "percentiles for what is not 8-bit: {url}");
    let path = url.strip_prefix("http://localhost").unwrap().replace("{z}/{x}/{y}", "10/512/352");
    let response = served.get(&path).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    let stale = served.get(&path.replace("v=", "v=0")).await;
    assert!(!stale.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
}

#[tokio::test]
async fn wmts_names_every_dataset_and_answers_by_key_and_value() {
    let (_scene, served) = served().await;
    let xml = String::from_utf8(
        body(served.get("/wmts?SERVICE=WMTS&REQUEST=GetCapabilities&name=mask&colormap=terrain").await).await,
    )
    .unwrap();
    assert_eq!(xml.matches("<Layer>").count(), 1);
    assert!(
        xml.contains("<ows:Identifier>mask/1</ows:Identifier>")
            && xml.contains("{TileMatrix}/{TileCol}/{TileRow}.png?colormap=terrain"),
        "{xml}"
    );
    let tile = "/wmts?service=WMTS&request=GetTile&version=1.0.0&layer=mask/1&style=default&format=image/png\
                &tilematrixset=WebMercatorQuad&tilematrix=10&tilerow=352&tilecol=512";
    assert_eq!(served.picture(tile).await, served.picture("/singleband/mask/1/10/512/352.png").await);
}

#[tokio::test]
async fn a_datasets_own_style_comes_before_its_collections() {
    let mut scene = Scene::new();
    for name in ["plain", "styled", "classes"] {
        scene.add(name, &["1"], &Cog::of(DataType::Uint8, Validity::None, |_, x, _| Some((x % 256 / 8 % 3) as u8)));
    }
    scene.style.colormap = Some("viridis".to_owned());
    scene.style.unit = Some("m".to_owned());
    let own = json!({"categories": [{"value": 1, "label": "water", "color": "0000ff"}]});
    scene.change("styled", |d| d.metadata.style = serde_json::from_value(own.clone()).unwrap());
    let table = json!([[0, [1, 2, 3, 255]], [2, [9, 9, 9, 128]], [200, [7, 7, 7, 255]]]);
    scene.change("classes", |d| {
        d.metadata.color_table = serde_json::from_value(table.clone()).unwrap();
        d.metadata.categories = vec![(2, "rock".to_owned())];
        d.metadata.categorical.is = true;
        let plain = json!({"stretch": [0, 2]});
        d.metadata.style = serde_json::from_value(plain).unwrap();
    });
    let served = scene.serve().await;
    let at =
        async |name: &str, x| served.picture(&format!("/singleband/{name}/1/10/512/352.png")).await.get_pixel(x, 0).0;
    assert_eq!((at("styled", 8).await, at("styled", 0).await[3]), ([0, 0, 255, 255], 0));
    let viridis = served.ok("/colormap?stretch_range=[0,254]&colormap=viridis&num_values=255").await;
    assert_eq!(json!(at("plain", 0).await.map(f64::from)), viridis["colormap"][0]["rgba"]);
    let legend = served.ok("/legend/styled/1").await;
    assert_eq!(
        legend["categories"],
        json!([{"value": 1, "label": "water", "color": "#0000ff", "rgba": [0, 0, 255, 255]}])
    );
    assert_eq!(served.ok("/legend/plain/1.json?stretch_range=[0,10]").await["range"], json!([0.0, 10.0]));
    assert_eq!(served.ok("/legend/plain/1").await["unit"], "m");
    assert_eq!(served.ok("/metadata/plain/1").await["unit"], "m");
    for end in ["png", "svg"] {
        let response = served.get(&format!("/legend/styled/1.{end}")).await;
        assert_eq!(response.status(), StatusCode::OK, "{end}");
    }
}

#[tokio::test]
async fn the_files_color_table_is_shown_where_no_style_says_otherwise() {
    let mut scene = Scene::new();
    scene.add("classes", &["1"], &Cog::of(DataType::Uint8, Validity::None, |_, x, _| Some((x % 256 / 8 % 3) as u8)));
    scene.add("named", &["1"], &Cog::of(DataType::Uint8, Validity::None, |_, x, _| Some((x % 256 / 8 % 3) as u8)));
    scene.change("classes", |d| {
        d.metadata.color_table = vec![(0, [1, 2, 3, 255]), (2, [9, 9, 9, 128]), (300, [7, 7, 7, 255])];
        d.metadata.categories = vec![(2, "rock".to_owned())];
        d.metadata.categorical.is = true;
        d.metadata.statistics.as_mut().unwrap().histogram.counts.clear();
    });
    scene.change("named", |d| {
        d.metadata.categories = vec![(0, "sea".to_owned()), (1, "land".to_owned())];
        d.metadata.categorical.is = true;
        d.metadata.statistics.as_mut().unwrap().histogram.counts.clear();
    });
    let served = scene.serve().await;
    let picture = served.picture("/singleband/classes/1/10/512/352.png").await;
    assert_eq!([0, 8, 16].map(|x| picture.get_pixel(x, 0).0), [[1, 2, 3, 255], [0, 0, 0, 0], [9, 9, 9, 128]]);
    let legend = served.ok("/legend/classes/1").await;
    assert_eq!(legend["categories"][1]["label"], "rock");
    assert_eq!(legend["categories"].as_array().unwrap().len(), 2, "what cannot occur is left out");
    let named = served.picture("/singleband/named/1/10/512/352.png").await;
    assert!(named.get_pixel(0, 0).0[3] == 255 && named.get_pixel(0, 0) != named.get_pixel(8, 0));
    // Who asks for a stretch sees numbers.
    let stretched = served.picture("/singleband/classes/1/10/512/352.png?stretch_range=[0,2]").await;
    assert_eq!(stretched.get_pixel(16, 0).0, [255, 255, 255, 255]);
}
