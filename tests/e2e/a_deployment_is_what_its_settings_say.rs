//! Several collections in one deployment, a path to mount below, proxies that are believed, an admin listener, and a style beside a raster.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use harness::http::Client;
use harness::raster::save_bytes;
use harness::samples::{self, flat};
use harness::{Launch, Scene, Stack};
use serde_json::json;

/// For anything waited for here.
const LIMIT: Duration = Duration::from_mins(1);

/// `kiln watch` of the scene, its admin routes on a free port.
fn watch(scene: &Scene) -> (Stack, String) {
    // Free now; nobody else asks for it before the watcher does.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let stack = Launch::watch_of(scene, &scene.source()).args(["--admin", &address]).start();
    (stack, format!("http://{address}"))
}

#[test]
fn an_admin_listener_tells_what_is_done_and_what_was_rejected() {
    let scene = Scene::new();
    scene.drop_raster("good.tif", &flat(3.0));
    save_bytes(b"no raster\n", &scene.path("bad.tif"));
    let (stack, admin) = watch(&scene);
    let client = Client::default();
    let rejected = stack.wait_for("both are decided", LIMIT, || {
        let found = client.get(&format!("{admin}/rejected"), &[]).ok()?.json();
        let good = client.get(&format!("{admin}/jobs?input=good.tif"), &[]).ok()?;
        let decided = good.status == 200 && good.json()["decided"][0]["decision"] == "ingested";
        (decided && found["total"] == 1).then_some(found)
    });
    assert_eq!(rejected["rejected"][0]["input"], "bad.tif");
    assert!(rejected["rejected"][0]["reason"].as_str().unwrap().contains("not a raster"));
    assert_eq!(
        client.get(&format!("{admin}/jobs"), &[]).unwrap().json(),
        json!({"pending": 0, "at_work": 0, "jobs": []})
    );
    assert_eq!(client.get(&format!("{admin}/jobs?input=none.tif"), &[]).unwrap().status, 404);
    for route in ["health", "ready"] {
        assert_eq!(client.get(&format!("{admin}/{route}"), &[]).unwrap().status, 200, "{route}");
    }
    let metrics = client.get(&format!("{admin}/metrics"), &[]).unwrap().text();
    for line in
        ["kiln_ingest_inputs_total{outcome=\"ingested\"} 1", "kiln_ingest_rejections_total{reason=\"unusable\"} 1"]
    {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[test]
fn what_only_operators_may_see_is_on_no_public_port() {
    let scene = Scene::new();
    scene.drop_raster("a.tif", &flat(3.0));
    let stack = Launch::serve_at(&scene, &scene.source(), "127.0.0.1:0").start();
    stack.wait_for_datasets(&["a/1"]);
    assert_eq!(stack.get("/jobs").status, 200, "on loopback it is at hand");
    drop(stack);
    let stack = Launch::serve_at(&scene, &scene.source(), "0.0.0.0:0").start();
    stack.wait_for_datasets(&["a/1"]);
    for route in ["/jobs", "/rejected"] {
        assert_eq!(stack.get(route).status, 404, "{route}");
    }
    assert!(!stack.get("/metrics").text().contains("kiln_ingest"));
    assert!(stack.json("/metadata/a/1").get("source").is_none());
}

#[test]
fn everything_is_below_the_base_path_and_urls_are_those_of_the_proxy() {
    let scene = Scene::new();
    scene.drop_raster("a.tif", &flat(3.0));
    let mut ingest = Launch::serve(&scene).start();
    ingest.wait_for_datasets(&["a/1"]);
    ingest.stop();
    let stack = Launch::server(&scene).args(["--base-path", "/maps", "--trusted-proxies", "127.0.0.0/8"]).start();
    stack.wait_for("is ready", LIMIT, || (stack.get("/maps/ready").status == 200).then_some(()));
    assert_eq!(stack.get("/ready").status, 404);
    let forwarded =
        [("x-forwarded-proto", "https"), ("x-forwarded-host", "tiles.example.org"), ("x-forwarded-prefix", "/eo")];
    let layer = stack.get_with("/maps/singleband/a/1/tilejson.json", &forwarded).json();
    let url = layer["tiles"][0].as_str().unwrap();
    assert!(url.starts_with("https://tiles.example.org/eo/maps/singleband/a/1/{z}/{x}/{y}.png?"), "{url}");
    let path = url.strip_prefix("https://tiles.example.org/eo").unwrap().replace("{z}/{x}/{y}.png", &samples::tile());
    assert_eq!(stack.get(&path).status, 200);
    assert!(stack.get("/maps/apidoc").text().contains("Kiln API"));
    assert!(stack.get("/maps/wmts").text().contains("/maps/singleband/a/1/"));
    drop(stack);
    let stack = Launch::server(&scene).args(["--public-url", "https://kiln.example.org/x/"]).start();
    stack.wait_for("is ready", LIMIT, || (stack.get("/ready").status == 200).then_some(()));
    let layer = stack.get_with("/singleband/a/1/tilejson.json", &forwarded).json();
    assert!(layer["tiles"][0].as_str().unwrap().starts_with("https://kiln.example.org/x/singleband/a/1/"));
}

#[test]
fn collections_of_different_keys_live_side_by_side() {
    let scene = Scene::new();
    let other = scene.root().join("other");
    fs::create_dir(&other).unwrap();
    scene.drop_raster("a.tif", &flat(3.0));
    for (date, value) in [("20260101", 5.0), ("20260102", 6.0)] {
        flat(value).save(&other.join(format!("S2_{date}.tif")));
    }
    let config = scene.config(&format!(
        "[collections.default]\nsource = {:?}\n[collections.scenes]\nsource = {:?}\n",
        scene.source(),
        other.join("{sensor}_{date}.tif")
    ));
    let launch = Launch::new(&scene, "kiln", ["serve", "--listen", "127.0.0.1:0", "--store"]).arg(scene.store());
    let stack = launch.arg("--state").arg(scene.state()).arg("--config").arg(config).start();
    stack.wait_for("both are there", LIMIT, || {
        let found = stack.get("/collections");
        let counts: Vec<_> = found.json()["collections"].as_array()?.iter().map(|c| c["datasets"].clone()).collect();
        (counts == [json!(1), json!(2)]).then_some(())
    });
    assert_eq!(stack.json("/collections/scenes/keys"), json!({"keys": [{"key": "sensor"}, {"key": "date"}]}));
    assert_eq!(stack.json("/keys"), json!({"keys": [{"key": "name"}, {"key": "band"}]}));
    let tile = samples::tile();
    let sum =
        format!("/collections/scenes/compute/S2/{tile}?expression=v1*v2&v1=20260101&v2=20260102&stretch_range=[0,254]");
    assert_eq!(stack.tile_rgba(&sum).get_pixel(9, 9).0, [31, 31, 31, 255]);
    let series = stack.json("/collections/scenes/point/S2/*?lon=11.4&lat=48.11");
    let values: Vec<_> = series["results"].as_array().unwrap().iter().map(|r| r["value"].clone()).collect();
    assert_eq!(values, [json!(5), json!(6)]);
}

#[test]
fn a_style_beside_a_raster_is_seen_by_every_server() {
    let scene = Scene::new();
    scene.drop_raster("a.tif", &flat(4.0));
    let (stack, _) = watch(&scene);
    stack.wait_for("the store is made", LIMIT, || scene.store().join("commits").is_dir().then_some(()));
    let server = Launch::server(&scene).start();
    let tile = format!("/singleband/a/1/{}", samples::tile());
    let plain = server.wait_for("the raster is served", LIMIT, || {
        let answer = server.get(&tile);
        (answer.status == 200).then_some(answer)
    });
    let style = "unit = \"class\"\n[[categories]]\nvalue = 4\nlabel = \"forest\"\ncolor = \"#008000\"\n[metadata]\nowner = \"forestry\"\n";
    save_bytes(style.as_bytes(), &scene.path("a.tif.kiln.toml"));
    let colored = server.wait_for("the style is served", LIMIT, || {
        let answer = server.get(&tile);
        (answer.etag() != plain.etag()).then_some(answer)
    });
    assert_eq!(colored.picture().get_pixel(7, 7).0, [0, 128, 0, 255]);
    assert_eq!(server.json("/metadata/a/1")["metadata"], json!({"owner": "forestry"}));
    assert_eq!(server.json("/legend/a/1")["categories"][0]["label"], "forest");
    scene.remove("a.tif.kiln.toml");
    server.wait_for("the style is gone", LIMIT, || (server.get(&tile).picture() == plain.picture()).then_some(()));
    drop(stack);
}
