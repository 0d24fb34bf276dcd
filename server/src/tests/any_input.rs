//! Whatever bytes a client sends, it is never the server's fault.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use shared::dataset::{DataType, Validity};

use super::scene::{Cog, Scene, Served};

const ROUTES: [&str; 24] = [
    "/datasets",
    "/metadata/a/1",
    "/colormap",
    "/singleband/a/1/10/512/352.png",
    "/singleband/a/1/preview.png",
    "/rgb/a/9/256/176.png",
    "/collections/default/keys",
    "/rgb/a/preview.png",
    "/singleband/*/1/9/256/176.png",
    "/singleband/*/*/preview.webp",
    "/singleband/a/1/crop.tif",
    "/singleband/a/1/9/256/176@2x.jpg",
    "/singleband/a/1/10/512/352.npy",
    "/singleband/a/1/tilejson.json",
    "/compute/a/10/512/352.png",
    "/compute/*/crop.npy",
    "/compute/a/tilejson.json",
    "/point/a/1",
    "/point/*/*",
    "/statistics/a/1",
    "/legend/a/1.svg",
    "/legend/a/1.png",
    "/wmts",
    "/keys/band",
];
const PARAMETERS: [&str; 50] = [
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
    "expression",
    "v1",
    "v2",
    "v5",
    "v1.band",
    "r.name",
    "method",
    "bbox",
    "width",
    "height",
    "lon",
    "lat",
    "total",
    "after",
    "prefix",
    "match.name",
    "from.band",
    "to.band",
    "REQUEST",
    "SERVICE",
    "LAYER",
    "FORMAT",
    "TileMatrixSet",
    "TILEMATRIX",
    "TILEROW",
    "TILECOL",
    "style",
    "snapshot",
    "zz",
    "zz.zz",
];

/// CPU time that a request may cost which is refused.
const REFUSAL_CPU_MAX: Duration = Duration::from_millis(50);

/// CPU time this thread has used.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

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
        "v1/v2",
        "((((v1",
        "v1**v1**v1**v1",
        "sin(v1)%0",
        "where(v1>1,v2&1,~v1)",
        "v1*9223372036854775807*9223372036854775807",
        "-180,-90,180,90",
        "170,-10,-170,10",
        "0,48,1,49",
        "1e-320,0,1e-319,1",
        "0.5",
        "nan",
        "inf",
        "000161000131",
        "*[a-",
        "max",
        "GetTile",
        "a/1",
        "image/png",
        "WebMercatorQuad",
    ]);
    prop_oneof![near.prop_map(|text| text.as_bytes().to_vec()), prop::collection::vec(any::<u8>(), 0..24)]
}

/// A server, and what asks it.
struct Fuzz {
    runtime: tokio::runtime::Runtime,
    served: Served,
    _scene: Scene,
}

impl Fuzz {
    fn new() -> Self {
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
        Self { runtime, served, _scene: scene }
    }

    fn get(&self, url: &str) -> StatusCode {
        self.runtime.block_on(async { self.served.get(url).await.status() })
    }

    fn post(&self, url: &str, body: impl Into<Body>) -> StatusCode {
        let post = Request::post(url).body(body.into()).unwrap();
        self.runtime.block_on(async { self.served.send(post).await.status() })
    }

    /// Tries a few hundred.
    fn run<S: Strategy>(strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
        let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
        TestRunner::new(config).run(strategy, test).unwrap();
    }
}

fn encode(bytes: &[u8]) -> String {
    percent_encoding::percent_encode(bytes, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[test]
fn no_parameter_is_the_servers_fault() {
    let fuzz = Fuzz::new();
    let query = prop::collection::vec((prop::sample::select(PARAMETERS.to_vec()), value()), 0..5);
    Fuzz::run(&(prop::sample::select(ROUTES.to_vec()), query), |(route, query)| {
        let mut url = format!("{route}?");
        for (name, value) in &query {
            url += &[name, "=", &encode(value), "&"].concat();
        }
        // What must be there, unless it is already: the first of a repeated parameter counts.
        match route {
            _ if route.starts_with("/compute") => url += "v1=1&v2=2&expression=v1&stretch_range=[0,1]&bbox=0,48,1,49",
            _ if route.starts_with("/rgb") => url += "r=1&g=2&b=1",
            _ if route.starts_with("/point") => url += "lon=0.1&lat=48.1",
            _ => url += "bbox=0,48,1,49",
        }
        let before = cpu();
        let status = fuzz.get(&url);
        let spent = cpu().saturating_sub(before);
        prop_assert!(!status.is_server_error(), "{url}: {status}");
        prop_assert!(!status.is_client_error() || spent < REFUSAL_CPU_MAX, "{url}: {status} after {spent:?}");
        Ok(())
    });
}

#[test]
fn no_polygon_is_the_servers_fault() {
    let fuzz = Fuzz::new();
    let near = [
        r#"{"type":"Polygon","coordinates":[[[0,48],[1,48],[1,49],[0,48]]]}"#,
        r#"{"type":"Feature","geometry":{"type":"MultiPolygon","coordinates":[[[[-500,0],[500,0],[0,90]]]]}}"#,
        r#"{"type":"FeatureCollection","features":[{"geometry":null},1]}"#,
        r#"{"type":"Polygon","coordinates":[[[1e308,0],[0,1e308]]]}"#,
        r#"{"type":"Polygon","coordinates":[[],[[0,0]],[[0.1,48.1],[0.1,48.1],[0.1,48.1]]]}"#,
    ];
    let geojson = prop_oneof![prop::sample::select(near.to_vec()).prop_map(str::to_owned), ".{0,40}"];
    Fuzz::run(&geojson, |body| {
        let status = fuzz.post("/statistics/a/1", body.clone());
        prop_assert!(!status.is_server_error(), "{body}: {status}");
        Ok(())
    });
}

#[test]
fn no_path_is_the_servers_fault() {
    let fuzz = Fuzz::new();
    let resources =
        ["metadata", "singleband", "rgb", "compute", "point", "legend", "keys", "collections", "colormaps", ""];
    Fuzz::run(&prop::collection::vec(any::<u8>(), 0..64), |bytes| {
        for resource in resources {
            let url = format!("/{resource}/{}/1/1/1.png", encode(&bytes));
            let status = fuzz.get(&url);
            prop_assert!(!status.is_server_error(), "{url}: {status}");
        }
        let status = fuzz.post("/metadata", bytes);
        prop_assert!(!status.is_server_error(), "{status}");
        Ok(())
    });
}
