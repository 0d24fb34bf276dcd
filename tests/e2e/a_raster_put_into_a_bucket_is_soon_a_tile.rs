//! Buckets as source and store, with a real nats-server between: what is put is served, whatever happens to the notifications.

use std::time::Duration;

use harness::cloud::{Cloud, PATIENCE, RASTERS, TILES};
use harness::picture::level;
use harness::samples::{flat, tile};
use harness::stack::encode_segment;
use harness::{Launch, Stack};
use serde_json::json;

/// A listing that does not come within a test: what is found is found by notifications.
const NEVER: [&str; 2] = ["--reconcile-seconds", "86400"];
/// A listing every second: what is found needs no notification.
const OFTEN: [&str; 2] = ["--reconcile-seconds", "1"];

/// Grey level of a tile of a flat raster.
fn shown(server: &Stack, name: &str) -> Option<u8> {
    let url = format!("/singleband/{}/1/{}?stretch_range=[0,1000]", encode_segment(name), tile());
    let answer = server.get(&url);
    (answer.status == 200).then(|| answer.picture().get_pixel(9, 9).0[0])
}

fn wait_for_level(server: &Stack, name: &str, value: f64) {
    let mut last = None;
    let found = harness::wait::holds_within(PATIENCE, || {
        last = shown(server, name);
        (last == Some(level(value, 0.0, 1000.0))).then_some(())
    });
    assert!(found.is_some(), "{name} shows {last:?}, not {value}\n{}", server.report());
}

fn value_of(n: usize) -> f64 {
    100.0 + 40.0 * n as f64
}

/// Starts ingestor and server; the ingestor is waited for.
fn start(cloud: &Cloud, args: &[&str]) -> (Stack, Stack) {
    let ingestor = cloud.ingestor(args).start();
    ingestor.wait_for("is ready", PATIENCE, || ingestor.output().contains("inputs to ingest").then_some(()));
    (ingestor, cloud.start_server())
}

#[test]
fn an_event_makes_a_tile_whatever_the_key() {
    let Some(cloud) = Cloud::start() else { return };
    let (_ingestor, server) = start(&cloud, &NEVER);
    let keys = ["plain", "with space", "a+b", "50%25", "ünïcödé 日本", "folder/deep", "[x]~'(1)"];
    for (n, key) in keys.iter().enumerate() {
        cloud.put(&format!("{key}.tif"), &flat(value_of(n)));
    }
    for (n, key) in keys.iter().enumerate() {
        wait_for_level(&server, &key.replace('/', ":"), value_of(n));
    }
    assert_eq!(server.datasets().len(), keys.len());
}

#[test]
fn an_overwritten_object_replaces_its_tiles_and_their_etags() {
    let Some(cloud) = Cloud::start() else { return };
    let (_ingestor, server) = start(&cloud, &NEVER);
    let url = format!("/singleband/a/1/{}?stretch_range=[0,1000]", tile());
    let mut tags = Vec::new();
    for n in 0..4 {
        cloud.put("a.tif", &flat(value_of(n)));
        wait_for_level(&server, "a", value_of(n));
        let answer = server.get(&url);
        assert!(!tags.contains(&answer.etag().to_owned()), "a new version has a new ETag");
        let stale = tags.last().map(|tag: &String| server.get_with(&url, &[("if-none-match", tag)]).status);
        assert!(stale.is_none_or(|status| status == 200), "an old ETag no longer answers 304");
        tags.push(answer.etag().to_owned());
    }
    assert_eq!(server.datasets().len(), 1);
}

#[test]
fn with_all_events_lost_the_listing_finds_everything() {
    let Some(cloud) = Cloud::start() else { return };
    cloud.s3.be_silent();
    let (_ingestor, server) = start(&cloud, &OFTEN);
    for n in 0..3 {
        cloud.put(&format!("{n}.tif"), &flat(value_of(n)));
    }
    // What no client library can name hides nothing else.
    cloud.s3.put(RASTERS, "a//b.tif", b"x".to_vec());
    cloud.s3.put(RASTERS, "1x/", Vec::new());
    cloud.put("zz.tif", &flat(value_of(3)));
    for name in ["0", "1", "2"] {
        wait_for_level(&server, name, value_of(name.parse().unwrap()));
    }
    wait_for_level(&server, "zz", value_of(3));
    cloud.put("1.tif", &flat(900.0));
    wait_for_level(&server, "1", 900.0);
}

#[test]
fn without_a_queue_one_ingestor_lists_again_and_again() {
    let cloud = Cloud::without_nats();
    let (_ingestor, server) = start(&cloud, &[]);
    cloud.put("a.tif", &flat(300.0));
    wait_for_level(&server, "a", 300.0);
    assert!(!cloud.s3.keys(TILES, "kiln/cogs/").is_empty());
}

#[test]
fn false_repeated_and_unknown_notifications_do_no_harm() {
    let Some(cloud) = Cloud::start() else { return };
    let (ingestor, server) = start(&cloud, &NEVER);
    let nats = cloud.nats.as_ref().unwrap();
    let event = |key: &str, name: &str| json!({ "Records": [{ "eventSource": "minio:s3", "eventName": name, "s3": { "bucket": { "name": RASTERS }, "object": { "key": key } } }] });
    let put = "s3:ObjectCreated:Put";
    for notification in [
        event("vanished.tif", put),
        event("late.tif", "s3:ObjectRemoved:Delete"),
        event("late.tif", put),
        json!({ "Records": [event("other.tif", put)["Records"][0], event("one.tif", put)["Records"][0], event("two.tif", put)["Records"][0]] }),
        // As of one upload in parts, beside its Put.
        event("two.tif", "s3:ObjectCreated:CompleteMultipartUpload"),
        json!({ "hello": "world" }),
    ] {
        nats.publish("kiln.events", notification.to_string().as_bytes());
    }
    nats.publish("kiln.events", b"\xff\x00 no JSON at all");
    cloud.s3.be_silent();
    for (key, value) in [("late.tif", 300.0), ("one.tif", 400.0), ("two.tif", 500.0)] {
        cloud.put(key, &flat(value));
    }
    // Announced before it was there, and now ten times.
    for _ in 0..10 {
        for key in ["late.tif", "one.tif", "two.tif"] {
            nats.publish("kiln.events", event(key, put).to_string().as_bytes());
        }
    }
    for (name, value) in [("late", 300.0), ("one", 400.0), ("two", 500.0)] {
        wait_for_level(&server, name, value);
    }
    ingestor
        .wait_for("keeps what it does not understand", PATIENCE, || (nats.messages("KILN_DEAD") == 2).then_some(()));
    ingestor.wait_for("empties the queue", PATIENCE, || (nats.messages("KILN_JOBS") == 0).then_some(()));
    assert_eq!(server.datasets().len(), 3);
    assert_eq!(cloud.s3.keys(TILES, "kiln/cogs/").len(), 3, "nothing was converted twice");
}

#[test]
fn sidecars_of_an_object_belong_to_it() {
    let Some(cloud) = Cloud::start() else { return };
    let (_ingestor, server) = start(&cloud, &NEVER);
    cloud.put("a.tif", &flat(300.0));
    wait_for_level(&server, "a", 300.0);
    assert_eq!(server.metadata("a/1")["unit"], json!(null));
    cloud.s3.put(RASTERS, "a.tif.kiln.toml", b"unit = \"mm\"\n".to_vec());
    server.wait_for("takes the late sidecar", PATIENCE, || (server.metadata("a/1")["unit"] == "mm").then_some(()));
}

#[test]
fn deleted_objects_go_or_stay_as_told() {
    for (policy, stays) in [("keep", true), ("remove", false)] {
        let Some(cloud) = Cloud::start() else { return };
        let config = cloud
            .scene
            .config(&format!("[collections.default]\nsource = \"s3://{RASTERS}\"\non_delete = \"{policy}\"\n"));
        let launch = Launch::new(&cloud.scene, "kiln", ["watch", "--store", harness::cloud::STORE, "--nats"])
            .arg(cloud.nats.as_ref().unwrap().url())
            .arg("--config")
            .arg(config)
            .arg("--state")
            .arg(cloud.scene.state())
            .env("KILN_DELETE_GRACE_MS", "500");
        let _ingestor = cloud.with_keys(launch).start();
        let server = cloud.start_server();
        for (key, value) in [("a.tif", 300.0), ("b.tif", 400.0)] {
            cloud.put(key, &flat(value));
        }
        server.wait_for_datasets(&["a/1", "b/1"]);
        cloud.s3.delete(RASTERS, "a.tif");
        if stays {
            // The one after it is there: the deletion was heard before.
            cloud.put("c.tif", &flat(500.0));
            server.wait_for_datasets(&["a/1", "b/1", "c/1"]);
        } else {
            server.wait_for_datasets(&["b/1"]);
        }
    }
}

#[test]
fn a_large_raster_is_uploaded_in_parts() {
    let Some(cloud) = Cloud::start() else { return };
    let (_ingestor, server) = start(&cloud, &NEVER);
    let noise = harness::Formula::noise(3, 1.5, 0.0, 60_000.0);
    let large = harness::Raster::on_grid(14, [8700, 5700], [24, 24], shared::dataset::DataType::Uint16).filled(noise);
    cloud.put("large.tif", &large);
    server.wait_for_datasets(&["large/1"]);
    let cog = cloud.s3.keys(TILES, "kiln/cogs/").pop().unwrap();
    assert!(cloud.s3.get(TILES, &cog).unwrap().len() > 32 << 20, "the COG needs more than one part");
    let picture = server.tile_rgba("/singleband/large/1/14/8712/5712.png");
    assert_eq!(harness::picture::opaque(&picture), 65_536);
}

#[test]
fn an_ingestor_killed_in_the_middle_loses_no_raster() {
    let Some(cloud) = Cloud::start() else { return };
    let args = ["--reconcile-seconds", "86400", "--threads", "1"];
    let quick = |launch: Launch| launch.env("KILN_ACK_SECONDS", "2");
    let mut first = quick(cloud.ingestor(&args)).start();
    first.wait_for("is ready", PATIENCE, || first.output().contains("inputs to ingest").then_some(()));
    for n in 0..6 {
        cloud.put(&format!("{n}.tif"), &flat(value_of(n)));
    }
    let nats = cloud.nats.as_ref().unwrap();
    first.wait_for("has taken jobs", PATIENCE, || (nats.messages("KILN_JOBS") > 0).then_some(()));
    first.kill();
    let _second = quick(cloud.ingestor(&args)).start();
    let server = cloud.start_server();
    for n in 0..6 {
        wait_for_level(&server, &n.to_string(), value_of(n));
    }
    server.wait_for("the queue is empty", Duration::from_secs(20), || (nats.messages("KILN_JOBS") == 0).then_some(()));
}
