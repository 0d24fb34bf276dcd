//! Numbers rather than pictures: points, statistics of polygons, distinct values, filters, the description of the API.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use shared::dataset::{DataType, Validity};
use shared::grid::{TileCoord, from_mercator, pixel_side_m};

use super::scene::{Cog, Scene, Served, body};

/// Longitude and latitude of a place in tile 10/512/352, in pixels.
fn place(x: f64, y: f64) -> [f64; 2] {
    let [west, _, _, north] = TileCoord::new(10, 512, 352).unwrap().bounds_m();
    let (lon, lat) = from_mercator(west + x * pixel_side_m(10), north - y * pixel_side_m(10));
    [lon, lat]
}

async fn served() -> (Scene, Served) {
    let mut scene = Scene::new();
    for (name, band) in [("20260101", "1"), ("20260102", "1"), ("20270101", "1")] {
        scene.add(
            name,
            &[band],
            &Cog::of(DataType::Int16, Validity::Nodata(0.0), |_, x, y| Some((x % 256 + y % 256) as i16)),
        );
    }
    scene.change("20260102", |d| {
        d.metadata.band.scale = Some(0.5);
        d.metadata.band.offset = Some(-1.0);
    });
    let served = scene.serve().await;
    (scene, served)
}

#[tokio::test]
async fn a_point_is_a_time_series_where_the_date_is_any() {
    let (_scene, served) = served().await;
    let [lon, lat] = place(20.3, 30.9);
    let one = served.ok(&format!("/point/20260101/1?lon={lon}&lat={lat}")).await;
    assert_eq!(one["results"], json!([{"keys": {"name": "20260101", "band": "1"}, "value": 50, "scaled": 50.0}]));
    let series = served.ok(&format!("/point/*/1?lon={lon}&lat={lat}&limit=2")).await;
    let found: Vec<(&Value, &Value)> =
        series["results"].as_array().unwrap().iter().map(|r| (&r["keys"]["name"], &r["scaled"])).collect();
    assert_eq!(found, [(&json!("20260101"), &json!(50.0)), (&json!("20260102"), &json!(24.0))]);
    let [lon, lat] = place(0.5, 0.5);
    assert_eq!(
        served.ok(&format!("/point/20260101/1?lon={lon}&lat={lat}")).await["results"][0]["value"],
        Value::Null,
        "nodata"
    );
    assert_eq!(served.ok("/point/20260101/1?lon=-120&lat=0").await["results"][0]["value"], Value::Null);
    assert_eq!(served.ok("/point/*/1?lon=-120&lat=0").await["results"], json!([]));
}

async fn statistics(served: &Served, geojson: Value) -> Value {
    let post = Request::post("/statistics/20260101/1").body(Body::from(geojson.to_string())).unwrap();
    let response = served.send(post).await;
    let status = response.status();
    let text = String::from_utf8(body(response).await).unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn square(from: f64, to: f64) -> Value {
    let ring = [place(from, from), place(to, from), place(to, to), place(from, to), place(from, from)];
    json!({ "type": "Polygon", "coordinates": [ring] })
}

#[tokio::test]
async fn statistics_are_of_the_pixels_in_the_polygon() {
    let (_scene, served) = served().await;
    let found = statistics(&served, square(10.0, 20.0)).await;
    let told = &found["properties"]["statistics"];
    assert_eq!(
        (&told["min"], &told["max"], &told["count"], &told["zoom"], &told["of"]),
        (&json!(20.0), &json!(38.0), &json!(100), &json!(10), &json!("cog"))
    );
    assert!((told["mean"].as_f64().unwrap() - 29.0).abs() < 0.01, "{told}");
    assert_eq!((&told["median"], &told["valid_percent"]), (&json!(29.0), &json!(100.0)));
    let collection = json!({
        "type": "FeatureCollection", "name": "kept",
        "features": [
            {"type": "Feature", "id": 7, "properties": {"a": 1}, "geometry": square(100.2, 100.4)},
            {"type": "Feature", "properties": null, "geometry": {"type": "MultiPolygon", "coordinates": [square(0.0, 2.0)["coordinates"], square(300.0, 301.0)["coordinates"]]}},
            {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[-100, 1], [-99, 1], [-99, 2], [-100, 1]]]}},
        ],
    });
    let found = statistics(&served, collection).await;
    assert_eq!(
        (&found["name"], &found["features"][0]["id"], &found["features"][0]["properties"]["a"]),
        (&json!("kept"), &json!(7), &json!(1))
    );
    let of = |i: usize| found["features"][i]["properties"]["statistics"].clone();
    assert_eq!((&of(0)["mean"], &of(0)["count"]), (&json!(200.0), &json!(1)), "smaller than a pixel: the one it is in");
    assert_eq!(of(1)["count"], 4, "three of four are valid, and one beyond the first tile");
    assert_eq!(of(2)["count"], 0);
}

#[tokio::test]
async fn what_lies_in_a_hole_is_not_in_the_polygon() {
    let (_scene, served) = served().await;
    let world = [[-10, 40], [10, 40], [10, 55], [-10, 55], [-10, 40]];
    let hole = [[-5, 45], [5, 45], [5, 52], [-5, 52], [-5, 45]];
    let found = statistics(&served, json!({"type": "Polygon", "coordinates": [world, hole]})).await;
    assert_eq!(found["properties"]["statistics"]["count"], 0);
    let round = statistics(
        &served,
        json!({"type": "Polygon", "coordinates": [[[-360, 40], [360, 40], [360, 55], [-360, 55], [-360, 40]]]}),
    )
    .await;
    assert_eq!(round["properties"]["statistics"]["zoom"], 10);
}

#[tokio::test]
async fn a_polygon_that_is_none_is_refused() {
    let (_scene, served) = served().await;
    let vertices: Vec<[f64; 2]> = (0..10_001).map(|i| [f64::from(i) * 1e-4, 48.0]).collect();
    for (status, geojson, word) in [
        (400, json!({"type": "Point", "coordinates": [0, 0]}), "Point"),
        (400, json!({"type": "Feature", "geometry": {"type": "LineString", "coordinates": []}}), "LineString"),
        (400, json!({"type": "Polygon", "coordinates": [[["a", 1]]]}), "longitude"),
        (400, json!({"type": "FeatureCollection"}), "features"),
        (413, json!({"type": "Polygon", "coordinates": [vertices]}), "10000"),
    ] {
        let post = Request::post("/statistics/20260101/1").body(Body::from(geojson.to_string())).unwrap();
        let response = served.send(post).await;
        let found = response.status().as_u16();
        let text = String::from_utf8(body(response).await).unwrap();
        assert!(found == status && text.contains(word), "{found} {text}");
    }
    let huge = Request::post("/statistics/20260101/1").body(Body::from(vec![b' '; (1 << 20) + 1])).unwrap();
    assert_eq!(served.send(huge).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let whole = served.ok("/statistics/20260101/1").await;
    assert_eq!((&whole["of"], &whole["statistics"]["median"]), (&json!("input"), &json!(50.0)));
}

#[tokio::test]
async fn datasets_are_found_by_glob_range_box_and_page_by_page() {
    let (_scene, served) = served().await;
    let names = async |query: &str| -> Vec<String> {
        let found = served.ok(&format!("/datasets?{query}")).await;
        found["datasets"].as_array().unwrap().iter().map(|d| d["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("match.name=2026*").await, ["20260101", "20260102"]);
    assert_eq!(names("from.name=20260102&to.name=2027").await, ["20260102"]);
    assert_eq!(names("bbox=0,48,1,49").await.len(), 3);
    assert_eq!(names("bbox=170,48,-170,49").await.len(), 0);
    let first = served.ok("/datasets?limit=2&total=true&ascending=false").await;
    assert_eq!((&first["total"], &first["datasets"][0]["name"]), (&json!(3), &json!("20270101")));
    let next = first["next"].as_str().unwrap();
    assert_eq!(names(&format!("limit=2&ascending=false&after={next}")).await, ["20260101"]);
    assert_eq!(
        served.ok("/keys/name?prefix=2026&band=1").await,
        json!({"key": "name", "values": [{"value": "20260101", "count": 1}, {"value": "20260102", "count": 1}], "limit": 100, "page": 0})
    );
}

#[tokio::test]
async fn the_description_names_every_limit_and_the_real_keys() {
    let (_scene, served) = served().await;
    let api = served.ok("/swagger.json").await;
    assert!(api["info"]["version"].as_str().unwrap().starts_with("0.10.1+kiln."));
    assert_eq!(api["openapi"], "3.1.0");
    let paths = api["paths"].as_object().unwrap();
    let tile = &paths["/singleband/{name}/{band}/{z}/{x}/{y}.{format}"]["get"];
    let parameter =
        |name: &str| tile["parameters"].as_array().unwrap().iter().find(|p| p["name"] == name).unwrap().clone();
    assert_eq!((&parameter("z")["schema"]["maximum"], &parameter("name")["example"]), (&json!(30), &json!("20260101")));
    // Every example is a request that succeeds, or at least is understood.
    for (path, item) in paths {
        let Some(operation) = item.get("get") else { continue };
        let mut url = path.clone();
        let mut query = Vec::new();
        for parameter in operation["parameters"].as_array().unwrap() {
            let text = parameter["example"].as_str().map_or_else(|| parameter["example"].to_string(), str::to_owned);
            let encoded =
                percent_encoding::percent_encode(text.as_bytes(), percent_encoding::NON_ALPHANUMERIC).to_string();
            if parameter["in"] == "path" {
                url = url.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), &encoded);
            } else if parameter["required"] == true {
                query.push(format!("{}={encoded}", parameter["name"].as_str().unwrap()));
            }
        }
        let status = served.get(&format!("{url}?{}", query.join("&"))).await.status();
        assert_eq!(status, StatusCode::OK, "{url}?{}", query.join("&"));
        for parameter in operation["parameters"].as_array().unwrap() {
            let described = parameter["description"].is_string() && parameter["schema"].is_object();
            assert!(described && !parameter["example"].is_null(), "{path}: {parameter}");
        }
    }
    let page = String::from_utf8(body(served.get("/apidoc").await).await).unwrap();
    assert!(
        page.contains("swagger.json") && !page.contains("src=\"http") && !page.contains("href=\"http"),
        "nothing from elsewhere"
    );
    let metrics = String::from_utf8(body(served.get("/metrics").await).await).unwrap();
    assert!(
        metrics.contains("kiln_requests_total{route=\"/swagger.json\",status=\"200\"}") && metrics.ends_with("# EOF\n"),
        "{metrics}"
    );
}
