//! The promise behind every cache: the same `ETag` means the same pixels. Each line holds a picture's tag and the hash of its pixels; if pixels change,
//! `RENDERER_VERSION` must be raised, which changes every tag, and the lines below are written anew.

use shared::dataset::{DataType, Validity};

use super::scene::{Cog, Scene};

const PICTURES: [(&str, &str, &str); 8] = [
    ("/singleband/u16/1/10/512/352.png?stretch_range=[0,5000]", "13770156d4d147c8", "437dcdc640793bc4"),
    (
        "/singleband/u16/1/12/2050/1409.png?colormap=terrain&stretch_range=[10,4000]",
        "0071446226854c7e",
        "6928491112e2fa61",
    ),
    ("/singleband/u16/1/7/64/44.png", "13e8656b716f5b23", "b7a97463b975db02"),
    (
        "/singleband/u16/1/preview.png?tile_size=[100,300]&stretch_range=[%22p2%22,%22p98%22]",
        "488b2d5259baa160",
        "b9f5e618c4b9f016",
    ),
    (
        "/singleband/u16/1/10/513/353.png?color_transform=gamma+1+1.5,+sigmoidal+1+10+0.4",
        "be043d4a86e20b36",
        "0aa1bf4c85ce5f01",
    ),
    (
        "/singleband/classes/1/8/128/88.png?colormap=explicit&explicit_color_map=%7B%223%22:%22ff0000%22,%220%22:[1,2,3,4]%7D",
        "908b8fff063461e4",
        "6b35bd6e682771ee",
    ),
    (
        "/rgb/u16/9/256/176.png?r=1&g=1&b=1&g_range=[0,90]&color_transform=saturation+1.4",
        "3d8904e5ad603c69",
        "430d3789c9f72f1f",
    ),
    ("/singleband/float/1/11/1025/705.png?colormap=cloud&stretch_range=[1,-1]", "64dd9f743da04e32", "5b4d9c98eebf74fe"),
];

#[tokio::test]
async fn the_same_etag_means_the_same_pixels() {
    let mut scene = Scene::new();
    scene.add(
        "u16",
        &["1"],
        &Cog::of(DataType::Uint16, Validity::Nodata(0.0), |_, x, y| {
            Some((x.wrapping_mul(7) + y.wrapping_mul(x) / 300) as u16 % 5000)
        }),
    );
    scene.add(
        "float",
        &["1"],
        &Cog::of(DataType::Float32, Validity::None, |_, x, y| Some(((x % 64) as f32 - 32.0) / 32.0 * (y % 7) as f32)),
    );
    scene.add(
        "classes",
        &["1"],
        &Cog::of(DataType::Uint8, Validity::Mask, |_, x, y| (x % 31 != 0).then_some(((x / 5 + y / 9) % 4) as u8)),
    );
    scene.change("classes", |d| d.metadata.categorical.is = true);
    let served = scene.serve().await;
    let mut found = Vec::new();
    for (url, _, _) in PICTURES {
        let pixels = blake3::hash(served.picture(url).await.as_raw()).to_hex()[..16].to_owned();
        found.push((url, served.etag(url).await[1..17].to_owned(), pixels));
    }
    let wanted: Vec<_> = PICTURES.iter().map(|(u, e, p)| (*u, (*e).to_owned(), (*p).to_owned())).collect();
    assert_eq!(found, wanted, "pixels or plans changed: raise RENDERER_VERSION and write these lines anew");
}
