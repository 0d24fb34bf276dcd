//! The server on AWS Lambda's runtime API, emulated: the same tiles as on a socket, and newer ones after a reload.

use harness::Launch;
use harness::cloud::{Cloud, PATIENCE, STORE};
use harness::lambda::RuntimeApi;
use harness::samples::{flat, tile};

#[test]
fn lambda_serves_the_same() {
    let cloud = Cloud::without_nats();
    let _ingestor = cloud.ingestor(&[]).start();
    cloud.put("a.tif", &flat(300.0));
    let server = cloud.start_server();
    server.wait_for_datasets(&["a/1"]);
    let api = RuntimeApi::start();
    let launch = Launch::new(&cloud.scene, "kiln-server", ["--store", STORE, "--reload-seconds", "1"]);
    let launch = api.environment().into_iter().fold(launch, |launch, (name, value)| launch.env(name, value));
    // A function can write nowhere but there.
    let function = cloud.with_keys(launch).env("TMPDIR", cloud.scene.root()).env("HOME", "/nowhere").start();
    function.wait_for("has started", PATIENCE, || api.is_asked().then_some(()));
    let url = format!("/singleband/a/1/{}?stretch_range=[0,1000]&colormap=viridis", tile());
    let (here, there) = (server.get(&url), api.get(&url, &[]));
    assert_eq!(
        (there.status, there.header("content-type")),
        (200, Some("image/png")),
        "{}\n{}",
        there.text(),
        function.report()
    );
    assert_eq!((&here.body, here.etag()), (&there.body, there.etag()));
    assert_eq!(api.get(&url, &[("if-none-match", there.etag())]).status, 304);
    assert_eq!(api.get("/datasets", &[]).json()["datasets"][0]["name"], "a");
    assert_eq!(api.get("/nothing/here", &[]).status, 404);
    let tilejson = api.get("/singleband/a/1/tilejson.json", &[]).json();
    assert!(tilejson["tiles"][0].as_str().unwrap().starts_with("https://maps.example.org/"), "{tilejson}");
    cloud.put("b.tif", &flat(400.0));
    function
        .wait_for("takes the newer snapshot", PATIENCE, || (api.get("/metadata/b/1", &[]).status == 200).then_some(()));
}
