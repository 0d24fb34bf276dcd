//! Whatever bytes a client sends, it is never the server's fault.

use axum::body::Body;
use axum::http::Request;
use proptest::prelude::*;
use shared::dataset::{DataType, Validity};

use super::scene::{Cog, Scene};

const ROUTES: [&str; 8] = [
    "/datasets",
    "/metadata/a/1",
    "/colormap",
    "/singleband/a/1/10/512/352.png",
    "/singleband/a/1/preview.png",
    "/rgb/a/9/256/176.png",
    "/collections/default/keys",
    "/rgb/a/preview.png",
];
const PARAMETERS: [&str; 20] = [
    "limit",
    "page",
    "order_by",
    "ascending",
    "name",
    "band",
    "columns",
    "stretch_range",
    "colormap",
    "num_values",
    "explicit_color_map",
    "color_transform",
    "tile_size",
    "r",
    "g",
    "b",
    "r_range",
    "g_range",
    "b_range",
    "v",
];

/// Texts near what parameters take, and any bytes.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let near = prop::sample::select(vec![
        "1",
        "-1",
        "[0,1]",
        "[1e308,-1e308]",
        "[null,\"p50\"]",
        "[\"p1\",\"p1e999\"]",
        "{\"0\":\"ffffff\"}",
        "{\"1e400\":[1,2,3]}",
        "[512,1]",
        "[1024,1024]",
        "[1,99999999999]",
        "explicit",
        "viridis",
        "gamma 1 2",
        "gamma rgb 1e-300",
        "sigmoidal rgb -500 0",
        "sigmoidal 1 1e300 1",
        "saturation -1e300",
        "[a,b]",
        "[",
        "true",
        "18446744073709551616",
        "[NaN,1]",
        "[[[[[[",
        "1",
        "2",
    ]);
    prop_oneof![near.prop_map(|text| text.as_bytes().to_vec()), prop::collection::vec(any::<u8>(), 0..24)]
}

#[test]
fn no_parameter_is_the_servers_fault() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut scene = Scene::new();
    for band in ["1", "2"] {
        scene.add(
            &format!("a{band}"),
            &[band],
            &Cog::of(DataType::Int16, Validity::Nodata(0.0), |_, x, y| Some(x.wrapping_mul(y) as i16)),
        );
    }
    scene.change("a1", |d| d.keys[0] = "a".to_owned()).change("a2", |d| d.keys[0] = "a".to_owned());
    let served = runtime.block_on(scene.serve());
    let query = prop::collection::vec((prop::sample::select(PARAMETERS.to_vec()), value()), 0..5);
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&(prop::sample::select(ROUTES.to_vec()), query), |(route, query)| {
        let encode =
            |bytes: &[u8]| percent_encoding::percent_encode(bytes, percent_encoding::NON_ALPHANUMERIC).to_string();
        let mut url = format!("{route}?");
        if route.starts_with("/rgb") {
            url += "r=1&g=2&b=1&";
        }
        for (name, value) in &query {
            url += &[name, "=", &encode(value), "&"].concat();
        }
        let status = runtime.block_on(async { served.get(&url).await.status() });
        prop_assert!(!status.is_server_error(), "{url}: {status}");
        Ok(())
    });
    outcome.unwrap();
    let outcome = runner.run(&prop::collection::vec(any::<u8>(), 0..64), |bytes| {
        let encoded = percent_encoding::percent_encode(&bytes, percent_encoding::NON_ALPHANUMERIC).to_string();
        for route in ["/metadata/", "/singleband/", "/rgb/", "/collections/", "/colormaps/", "/"] {
            let status = runtime.block_on(async { served.get(&format!("{route}{encoded}/1/1/1.png")).await.status() });
            prop_assert!(!status.is_server_error(), "{route}{encoded}: {status}");
        }
        let post = Request::post("/metadata").body(Body::from(bytes)).unwrap();
        let status = runtime.block_on(async { served.send(post).await.status() });
        prop_assert!(!status.is_server_error(), "{status}");
        Ok(())
    });
    outcome.unwrap();
}
