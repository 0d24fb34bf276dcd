//! Hints on NATS: a server that listens looks at once, one that does not finds by polling what is new; neither needs NATS to go on.

use harness::Launch;
use harness::cloud::{Cloud, PATIENCE};
use harness::samples::flat;

#[test]
fn servers_hear_of_a_publication_at_once() {
    let Some(mut cloud) = Cloud::start() else { return };
    // Once an hour: whatever this one finds, it was told of.
    let seldom = |launch: Launch| launch.args(["--reload-seconds", "3600"]);
    let mut listening = seldom(cloud.server()).start();
    listening.wait_for("listens", PATIENCE, || listening.output().contains("NATS tells").then_some(()));
    let polling = cloud.with_keys(Launch::new(
        &cloud.scene,
        "kiln-server",
        ["--listen", "127.0.0.1:0", "--store", harness::cloud::STORE, "--reload-seconds", "1"],
    ));
    let polling = polling.start();
    let _ingestor = cloud.ingestor(&["--reconcile-seconds", "1"]).start();
    cloud.put("a.tif", &flat(100.0));
    for server in [&listening, &polling] {
        server.wait_for_datasets(&["a/1"]);
    }
    // Without NATS: served on, and found by polling. (The ingestor waits for it; another, without, does not.)
    cloud.nats.as_mut().unwrap().kill();
    let alone = Launch::new(
        &cloud.scene,
        "kiln",
        ["watch", "s3://rasters", "--store", harness::cloud::STORE, "--poll-seconds", "1", "--state"],
    );
    let _alone = cloud.with_keys(alone.arg(cloud.scene.state())).start();
    cloud.put("b.tif", &flat(200.0));
    polling.wait_for_datasets(&["a/1", "b/1"]);
    assert_eq!(listening.dataset_paths(), ["a/1"]);
    cloud.nats.as_mut().unwrap().restart(true);
    listening.wait_for_datasets(&["a/1", "b/1"]);
    assert_eq!(listening.stop(), Some(0));
}
