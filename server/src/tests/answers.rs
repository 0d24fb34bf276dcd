//! Everything but pixels: JSON, statuses, headers, styles.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::json;
use shared::dataset::{DataType, Validity};

use super::scene::{Cog, Scene, Served, body};

async fn served() -> (Scene, Served) {
    let mut scene = Scene::new();
    for (name, band) in [("b/c", "1"), ("a", "2"), ("a", "1")] {
        scene.add(&name.replace('/', "_"), &[band], &Cog::of(DataType::Uint8, Validity::None, |_, x, _| Some(x as u8)));
    }
    scene.change("b_c", |d| d.keys[0] = "b/c d".to_owned());
    let served = scene.serve().await;
    (scene, served)
}

#[tokio::test]
async fn keys_datasets_and_collections_are_listed_in_order() {
    let (_scene, served) = served().await;
    assert_eq!(served.ok("/keys").await.to_string(), r#"{"keys":[{"key":"name"},{"key":"band"}]}"#);
    assert_eq!(
        served.ok("/datasets?limit=2").await.to_string(),
        r#"{"datasets":[{"name":"a","band":"1"},{"name":"a","band":"2"}],"limit":2,"page":0,"next":"000161000132"}"#
    );
    let names = |value: serde_json::Value| -> Vec<String> {
        value["datasets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|d| format!("{}{}", d["name"], d["band"]).replace('"', ""))
            .collect()
    };
    assert_eq!(names(served.ok("/datasets?order_by=[band,name]&ascending=false").await), ["a2", "b/c d1", "a1"]);
    assert_eq!(names(served.ok("/datasets?band=[1,7]&name=b/c+d").await), ["b/c d1"]);
    assert_eq!(names(served.ok("/datasets?limit=2&page=1").await), ["b/c d1"]);
    assert_eq!(names(served.ok("/datasets?page=18446744073709551615").await), Vec::<String>::new());
    let collections = served.ok("/collections").await;
    assert_eq!(collections["collections"][0]["id"], "default");
    assert_eq!(collections["collections"][0]["keys"], json!(["name", "band"]));
    assert_eq!(collections["collections"][0]["datasets"], 3);
    let whole = served.ok("/metadata/a/1").await["bounds"].clone();
    for (edge, outward) in [("west", -1.0), ("south", -1.0), ("east", 1.0), ("north", 1.0)] {
        let edge_of = |bounds: &serde_json::Value, i: usize| bounds.get(edge).unwrap_or(&bounds[i]).as_f64().unwrap();
        let i = ["west", "south", "east", "north"].iter().position(|e| *e == edge).unwrap();
        let (rounded, exact) = (edge_of(&collections["collections"][0]["bounds"], i), edge_of(&whole, i));
        assert!((0.0..2e-5).contains(&((rounded - exact) * outward)), "{edge}: {rounded} of {exact}");
        assert!(rounded.to_string().split_once('.').is_none_or(|(_, digits)| digits.len() <= 6), "{edge}: {rounded}");
    }
    assert_eq!(served.ok("/collections/default/datasets").await, served.ok("/datasets").await);
}

#[tokio::test]
async fn metadata_has_its_members_and_only_the_columns_that_are_wanted() {
    let (_scene, served) = served().await;
    let whole = served.ok("/metadata/b%2Fc%20d/1").await;
    let members: Vec<&String> = whole.as_object().unwrap().keys().collect();
    assert_eq!(members[..4], ["bounds", "convex_hull", "keys", "mean"]);
    assert!(whole.get("histogram").is_none() && whole["dtype"] == "uint8" && whole["source"] == "secret/place.tif");
    let some = served.ok("/metadata/a/1?columns=[%22range%22,%22histogram%22]").await;
    assert_eq!(
        some.to_string(),
        r#"{"keys":{"name":"a","band":"1"},"range":[0.0,255.0],"histogram":{"min":0.0,"max":255.0,"counts":[1,2]}}"#
    );
    let request =
        Request::post("/metadata?columns=[]").body(Body::from(r#"{"keys":[["a","2"],["b/c d","1"]]}"#)).unwrap();
    let many = body(served.send(request).await).await;
    assert_eq!(
        String::from_utf8(many).unwrap(),
        r#"[{"keys":{"name":"a","band":"2"}},{"keys":{"name":"b/c d","band":"1"}}]"#
    );
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let (_scene, served) = served().await;
    let cases = [
        (400, "/datasets?nokey=1", "nokey"),
        (400, "/datasets?limit=-1", "limit"),
        (400, "/datasets?limit=100001", "100000"),
        (400, "/datasets?order_by=zz", "zz"),
        (400, "/datasets?ascending=maybe", "maybe"),
        (400, "/metadata/a", "name, band"),
        (404, "/metadata/a/9", "a/9"),
        (400, "/metadata/a/1?columns=[%22zz%22]", "zz"),
        (400, "/colormap", "stretch_range"),
        (400, "/colormap?stretch_range=[0,1]&colormap=nope", "viridis"),
        (400, "/colormap?stretch_range=[0,1]&num_values=5000", "4096"),
        (404, "/colormaps/nope.png", "nope"),
        (404, "/colormaps/long.png", "long"),
        (400, "/colormap?stretch_range=[0,1]&colormap=short", "short"),
        (400, "/singleband/a/1/10/512/352.png?colormap=short", "short"),
        (400, "/singleband/a/1/10/512/352.png?colormap=long", "long"),
        (404, "/nothing", "route"),
        (400, "/datasets?bbox=1,2,3", "bbox"),
        (400, "/datasets?match.zz=1", "zz"),
        (400, "/datasets?match.name=*********", "stars"),
        (400, "/datasets?after=zz", "next"),
        (400, "/datasets?after=000161000132&page=1", "exclude"),
        (404, "/keys/zz", "zz"),
        (400, "/compute/a/1/1/1.png", "expression is missing"),
        (400, "/compute/a/1/1/1.png?expression=v1%2B&v1=1&stretch_range=[0,1]", "character 4"),
        (400, "/compute/a/1/1/1.png?expression=v1%2Bv2&v1=1&stretch_range=[0,1]", "v2"),
        (400, "/compute/a/1/1/1.png?expression=v1&v1=1", "stretch_range"),
        (400, "/compute/a/1/1/1.png?expression=v1&v1=1&stretch_range=[1,1]", "above"),
        (400, "/compute/a/1/1/1.png?expression=v1&v1=1&v1.zz=1&stretch_range=[0,1]", "zz"),
        (400, "/rgb/a/1/1/1.npy?r=1&g=2&b=1", "one band"),
        (404, "/singleband/nope/*/1/1/1.png", "nope/*"),
        (400, "/singleband/*/1/1/1/1.png?method=last", "method"),
        (400, "/singleband/a/1/crop.png", "bbox"),
        (400, "/singleband/a/1/crop.png?bbox=1,1,1,1", "area"),
        (400, "/singleband/a/1/crop.png?bbox=0,0,1,1&width=2000", "1024"),
        (400, "/singleband/a/1/1/1/1@2x.png?tile_size=[1000,1000]", "@2x"),
        (400, "/point/a/1?lon=1", "lat is missing"),
        (400, "/point/a/1?lon=181&lat=0", "180"),
        (400, "/point/a/*?lon=1&lat=1&limit=1001", "1000"),
        (400, "/wmts?REQUEST=GetMap", "GetMap"),
        (400, "/wmts?REQUEST=GetTile&LAYER=a/1", "TileMatrixSet"),
        (404, "/collections/zz/keys", "zz"),
        (404, "/singleband/a/1/x/1/1.png", "png"),
        (400, "/singleband/a/1/31/1/1.png", "30"),
        (400, "/singleband/a/1/1/1/1.png?tile_size=[0,1]", "tile_size"),
        (400, "/singleband/a/1/1/1/1.png?tile_size=[1025,1]", "1024"),
        (400, "/singleband/a/1/1/1/1.png?color_transform=", "color_transform"),
        (400, "/singleband/a/1/1/1/1.png?color_transform=saturation+2", "three bands"),
        (400, "/singleband/a/1/1/1/1.png?stretch_range=[1]", "stretch_range"),
        (400, "/singleband/a/1/1/1/1.png?stretch_range=[%22p101%22,1]", "p101"),
        (400, "/singleband/a/1/1/1/1.png?colormap=explicit", "explicit_color_map"),
        (400, "/singleband/a/1/1/1/1.png?colormap=Viridis", "viridis"),
        (400, "/rgb/a/1/1/1.png?r=1&g=2", "r, g and b"),
        (400, "/rgb/a/1/1/1.png?r=1&g=2&b=1&g_range=[5,1]", "g_range"),
        (404, "/rgb/a/1/1/1.png?r=1&g=2&b=7", "a/7"),
        (400, "/rgb/1/1/1.png?r=1&g=2&b=1", "name"),
    ];
    for (status, url, word) in cases {
        let (found, answer) = served.json(url).await;
        let message = answer["message"].as_str().unwrap();
        assert!(found.as_u16() == status && message.contains(word), "{url}: {found} {message}");
    }
    let many = format!("{{\"keys\":[{}]}}", vec!["[\"a\",\"1\"]"; 101].join(","));
    let response = served.send(Request::post("/metadata").body(Body::from(many)).unwrap()).await;
    let (status, text) = (response.status(), String::from_utf8(body(response).await).unwrap());
    assert!(status == StatusCode::BAD_REQUEST && text.contains("100 are the most"), "{status} {text}");
    let long = format!("/compute/a/1/1/1.png?v1=1&stretch_range=[0,1]&expression=v1{}", "%2B1".repeat(1024));
    let (status, answer) = served.json(&long).await;
    assert!(status == StatusCode::BAD_REQUEST && answer["message"].as_str().unwrap().contains("2048"), "{answer}");
    let (status, _) = served.json(&format!("/keys?{}", "a".repeat(17_000))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, _) = served.json(&format!("/keys?{}", "%22".repeat(16_000))).await;
    assert_eq!(status, StatusCode::OK, "a quote is one byte, also where it was encoded");
    let delete = Request::builder().method(Method::DELETE).uri("/keys").body(Body::empty()).unwrap();
    let response = served.send(delete).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(String::from_utf8(body(response).await).unwrap().contains("message"));
    let long = Request::post("/metadata").body(Body::from(vec![b' '; 2 << 20])).unwrap();
    assert_eq!(served.send(long).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_known_etag_is_answered_without_reading_anything() {
    let (scene, served) = served().await;
    let url = "/singleband/a/1/10/512/352.png";
    let etag = served.etag(url).await;
    // The COG is gone; only the cached picture and the plan are left.
    let dataset = "cogs/default/20260101/a-0.tif";
    std::fs::remove_file(scene.file(dataset)).unwrap();
    for tags in [etag.clone(), format!("\"x\", W/{etag}"), "*".to_owned()] {
        let request = Request::get(url).header(header::IF_NONE_MATCH, tags).body(Body::empty()).unwrap();
        let response = served.send(request).await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(response.headers()[header::ETAG], etag.as_str());
        assert!(body(response).await.is_empty());
    }
    let other = Request::get(url).header(header::IF_NONE_MATCH, "\"other\"").body(Body::empty()).unwrap();
    assert_eq!(served.send(other).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_lost_cog_fails_its_tiles_and_nothing_else() {
    let (scene, served) = served().await;
    std::fs::remove_file(scene.file("cogs/default/20260101/a-0.tif")).unwrap();
    let (status, answer) = served.json("/singleband/a/1/10/512/352.png").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer["message"].as_str().unwrap().contains("store"));
    served.picture("/singleband/b%2Fc%20d/1/10/512/352.png").await;
    std::fs::write(scene.file("cogs/default/20260101/b_c-0.tif"), vec![7; 5000]).unwrap();
    let (status, _) = served.json("/singleband/b%2Fc%20d/1/10/513/353.png").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    served.ok("/keys").await;
}

#[tokio::test]
async fn a_url_that_names_its_version_is_kept_for_ever() {
    let (_scene, served) = served().await;
    let v = served.ok("/metadata/a/1").await["v"].as_str().unwrap().to_owned();
    let control =
        async |url: String| served.get(&url).await.headers()[header::CACHE_CONTROL].to_str().unwrap().to_owned();
    assert!(control(format!("/singleband/a/1/10/512/352.png?v={v}")).await.contains("immutable"));
    assert!(control(format!("/singleband/a/1/10/512/352.png?v={v}&colormap=jet")).await.contains("must-revalidate"));
    assert!(control("/singleband/a/1/10/512/352.png".to_owned()).await.contains("must-revalidate"));
}

#[tokio::test]
async fn off_the_raster_a_tile_is_transparent_and_its_tag_never_changes() {
    let (mut scene, served) = served().await;
    for url in ["/singleband/a/1/10/0/0.png", "/singleband/a/1/3/9/9.png", "/singleband/a/1/3/99999999999/1.png"] {
        let picture = served.picture(&format!("{url}?tile_size=[64,32]")).await;
        assert!(picture.dimensions() == (32, 64) && picture.pixels().all(|p| p.0[3] == 0), "{url}");
    }
    let far = served.etag("/singleband/a/1/10/0/0.png").await;
    assert_eq!(served.etag("/singleband/a/1/12/2047/1410.png").await, far, "beside the raster is off it as well");
    let before = (served.etag("/singleband/a/1/10/0/0.png").await, served.etag("/singleband/a/1/10/512/352.png").await);
    scene.add("a", &["1"], &Cog::of(DataType::Uint8, Validity::None, |_, _, _| Some(1u8)));
    scene.publish().await;
    served.reloader.look().await;
    let after = (served.etag("/singleband/a/1/10/0/0.png").await, served.etag("/singleband/a/1/10/512/352.png").await);
    assert!(before.0 == after.0 && before.1 != after.1);
}

#[tokio::test]
async fn a_style_is_a_default_that_a_request_overrides() {
    let (mut scene, served) = served().await;
    let (url, grey) = ("/singleband/a/1/10/512/352.png", served.etag("/singleband/a/1/10/512/352.png").await);
    scene.style.colormap = Some("viridis".to_owned());
    scene.style.stretch = Some([json!("p2"), json!(98)]);
    scene.publish().await;
    served.reloader.look().await;
    let styled = served.etag(url).await;
    assert_ne!(styled, grey);
    assert_eq!(served.etag(&format!("{url}?colormap=viridis&stretch_range=[2,98]")).await, styled);
    assert_ne!(served.etag(&format!("{url}?colormap=mine")).await, styled);
    let pixel = served.picture(&format!("{url}?colormap=mine")).await.get_pixel(9, 9).0;
    assert_eq!(pixel, [9, 8, 7, 255]);
}

#[tokio::test]
async fn headers_let_other_sites_in_and_json_is_compressed() {
    let (_scene, served) = served().await;
    for url in ["/keys", "/singleband/a/1/10/512/352.png", "/nothing"] {
        let request = Request::get(url)
            .header(header::ORIGIN, "https://example.org")
            .header(header::ACCEPT_ENCODING, "gzip, zstd, br")
            .body(Body::empty())
            .unwrap();
        let response = served.send(request).await;
        assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*", "{url}");
        assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), !url.contains("png"), "{url}");
    }
    let preflight = Request::builder()
        .method(Method::OPTIONS)
        .uri("/metadata")
        .header(header::ORIGIN, "https://example.org")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "content-type")
        .body(Body::empty())
        .unwrap();
    let response = served.send(preflight).await;
    assert!(response.status().is_success() && response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_METHODS));
    let head = Request::head("/singleband/a/1/10/512/352.png").body(Body::empty()).unwrap();
    let response = served.send(head).await;
    assert!(response.headers().contains_key(header::ETAG) && body(response).await.is_empty());
}

#[tokio::test]
async fn colormaps_have_values_and_strips() {
    let (_scene, served) = served().await;
    let values = served.ok("/colormap?colormap=viridis&stretch_range=[0,1]&num_values=3").await;
    assert_eq!(
        values.to_string(),
        r#"{"colormap":[{"value":0.0,"rgba":[68.0,1.0,84.0,255.0]},{"value":0.5,"rgba":[32.0,144.0,140.0,255.0]},{"value":1.0,"rgba":[253.0,231.0,36.0,255.0]}]}"#
    );
    let grey = served.ok("/colormap?stretch_range=[5,5]&num_values=1").await;
    assert_eq!(grey["colormap"][0]["rgba"], json!([1.0, 1.0, 1.0, 255.0]));
    assert!(served.ok("/colormaps").await["colormaps"].as_array().unwrap().contains(&json!("mine")));
    assert_eq!(served.picture("/colormaps/viridis.png").await.get_pixel(0, 0).0, [68, 1, 84, 255]);
}
