//! A page that is open hears of every raster that comes, of work and of rejections; and of nothing it may not.

use harness::events::Events;
use harness::raster::save_bytes;
use harness::samples::flat;
use harness::{Launch, Scene};
use serde_json::{Value, json};

/// Whether a snapshot came with a dataset of this name.
fn brings(told: &Value, name: &str, added: bool) -> Option<()> {
    let changed = told["changed"].as_array()?;
    changed.iter().any(|one| one["keys"]["name"] == name && one["added"] == added).then_some(())
}

#[test]
fn a_raster_that_is_dropped_is_told_of() {
    let scene = Scene::new();
    scene.drop_raster("first.tif", &flat(1.0));
    let soon = Launch::serve(&scene).args(["--reconcile-seconds", "1"]).env("KILN_DELETE_GRACE_MS", "300");
    let mut stack = soon.start();
    stack.wait_for_datasets(&["first/1"]);
    let mut events = Events::listen(stack.base(), "/events");
    events.wait_for("snapshot", |told| brings(told, "first", true)).unwrap();
    events.wait_for("jobs", |told| (told["jobs"] == json!([])).then_some(())).unwrap();
    scene.drop_raster("second.tif", &flat(2.0));
    events.wait_for("snapshot", |told| brings(told, "second", true)).unwrap();
    scene.drop_raster("second.tif", &flat(3.0));
    events.wait_for("snapshot", |told| brings(told, "second", false)).unwrap();
    save_bytes(b"no raster\n", &scene.path("bad.tif"));
    events
        .wait_for("snapshot", |_| (stack.json("/rejected")["total"] == 1).then_some(()))
        .expect("a rejection is published as well");
    scene.remove("first.tif");
    events.wait_for("snapshot", |told| (told["datasets"] == 1).then_some(())).unwrap();
    assert_eq!(stack.stop(), Some(0), "who listens does not keep it");
    assert_eq!(events.wait_for("nothing", |_| Some(())), None, "the answer ends");
}

#[test]
fn what_is_at_work_is_told_only_where_it_may_be() {
    let scene = Scene::new();
    scene.drop_raster("a.tif", &flat(1.0));
    let ingest = |launch: Launch| {
        let stack = launch.start();
        stack.wait_for_datasets(&["a/1"]);
        stack.json("/ui.json")["ingest"].clone()
    };
    let told = ingest(Launch::serve(&scene));
    assert_eq!(told["sources"][0]["collection"], "default");
    assert_eq!(told["sources"][0]["source"], scene.source().canonicalize().unwrap().to_str().unwrap());
    assert_eq!(ingest(Launch::serve_at(&scene, &scene.source(), "0.0.0.0:0")), Value::Null);
    assert_eq!(ingest(Launch::serve(&scene).env("KILN_EXPOSE_SOURCES", "false")), Value::Null);
    let hidden = Launch::serve(&scene).env("KILN_EXPOSE_SOURCES", "false").start();
    hidden.wait_for_datasets(&["a/1"]);
    for route in ["/jobs", "/rejected"] {
        assert_eq!(hidden.get(route).status, 404, "{route}");
    }
    drop(hidden);
    assert_eq!(ingest(Launch::server(&scene)), Value::Null);
}

#[test]
fn events_and_the_page_are_below_the_base_path_too() {
    let scene = Scene::new();
    scene.drop_raster("a.tif", &flat(1.0));
    let launch = Launch::serve(&scene).args(["--base-path", "/maps"]);
    let stack = launch.args(["--basemap", "https://tiles.example.org/{z}/{x}/{y}.png"]).start();
    let mut events = Events::listen(stack.base(), "/maps/events");
    events.wait_for("snapshot", |told| brings(told, "a", true)).unwrap();
    let told = stack.json("/maps/ui.json");
    assert_eq!(told["basemap"]["kind"], "raster");
    assert_eq!(stack.json("/maps/jobs")["pending"], 0);
    let page = stack.get_with("/maps/", &[("accept", "text/html")]);
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").unwrap().contains("https://tiles.example.org"));
}
