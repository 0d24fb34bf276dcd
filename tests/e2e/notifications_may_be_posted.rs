//! The HTTP hook: stores and clouds that do not speak NATS post their notifications, with a secret.

use std::time::Duration;

use harness::Stack;
use harness::cloud::{Cloud, PATIENCE, RASTERS};
use harness::http::Client;
use harness::samples::flat;
use serde_json::{Value, json};

const SECRET: &str = "s3cret+/=";
/// The same as base64 of `any:s3cret+/=`.
const BASIC: &str = "Basic YW55OnMzY3JldCsvPQ==";

/// Where an ingestor says that it takes notifications.
fn hook_of(ingestor: &Stack) -> String {
    ingestor.wait_for("says where it takes notifications", PATIENCE, || {
        let output = ingestor.output();
        let line = output.lines().find(|line| line.contains("notifications are taken"))?;
        let address = line.split_once("address=")?.1.split_whitespace().next()?.to_owned();
        Some(format!("http://{address}"))
    })
}

fn put_event(key: &str) -> Value {
    json!({ "Records": [{ "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": { "bucket": { "name": RASTERS }, "object": { "key": key } } }] })
}

fn in_sns(event: &Value) -> Value {
    json!({ "Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": event.to_string() })
}

fn as_pubsub(key: &str) -> Value {
    json!({ "message": { "attributes": { "bucketId": RASTERS, "objectId": key, "eventType": "OBJECT_FINALIZE" }, "messageId": "1" }, "subscription": "s" })
}

fn as_event_grid(key: &str) -> Value {
    json!([{ "topic": "t", "id": "1", "eventType": "Microsoft.Storage.BlobCreated", "subject": format!("/blobServices/default/containers/{RASTERS}/blobs/{key}"),
             "data": { "api": "PutBlob" }, "eventTime": "2026-11-26T00:00:00Z" }])
}

/// Posts each in its own way; all make tiles.
fn post_all(cloud: &Cloud, ingestor: &Stack) {
    let hook = hook_of(ingestor);
    let client = Client::default();
    let keys = ["a", "b", "c", "d"];
    for key in keys {
        cloud.put(&format!("{key}.tif"), &flat(100.0));
    }
    let server = cloud.start_server();
    for (path, headers, body) in [
        ("/aws", vec![("authorization", format!("Bearer {SECRET}"))], put_event("a.tif")),
        ("/sns", vec![("authorization", BASIC.to_owned())], in_sns(&put_event("b.tif"))),
        ("/pubsub?secret=s3cret%2B%2F%3D", vec![], as_pubsub("c.tif")),
        ("/azure?secret=s3cret%2B%2F%3D", vec![], as_event_grid("d.tif")),
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = client.post_with(&format!("{hook}{path}"), &headers, &body.to_string()).unwrap();
        assert_eq!(answer.status, 204, "{path}: {}", answer.text());
    }
    server.wait_for_datasets(&["a/1", "b/1", "c/1", "d/1"]);
}

#[test]
fn notifications_may_be_posted() {
    let Some(cloud) = Cloud::start() else { return };
    cloud.s3.be_silent();
    let launch = cloud.ingestor(&["--reconcile-seconds", "86400", "--hook", "127.0.0.1:0"]);
    let ingestor = launch.env("KILN_HOOK_SECRET", SECRET).start();
    post_all(&cloud, &ingestor);
    let (hook, client) = (hook_of(&ingestor), Client::default());
    for wrong in ["/?secret=x", "/"] {
        let answer = client.post_with(&format!("{hook}{wrong}"), &[], &put_event("a.tif").to_string()).unwrap();
        assert_eq!(answer.status, 401, "{wrong}");
    }
    let secret = "/?secret=s3cret%2B%2F%3D";
    let unknown = client.post_with(&format!("{hook}{secret}"), &[], r#"{"what":"is this"}"#).unwrap();
    assert_eq!(unknown.status, 202, "{}", unknown.text());
    let nats = cloud.nats.as_ref().unwrap();
    ingestor.wait_for("keeps what it does not understand", Duration::from_secs(10), || {
        (nats.messages("KILN_DEAD") == 1).then_some(())
    });
    let handshake = json!([{ "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": { "validationCode": "c0de" }, "id": "1", "topic": "t", "subject": "", "eventTime": "2026-11-26T00:00:00Z" }]);
    let answer = client.post_with(&format!("{hook}{secret}"), &[], &handshake.to_string()).unwrap();
    assert_eq!((answer.status, answer.json()["validationResponse"].as_str()), (200, Some("c0de")));
}

#[test]
fn one_ingestor_alone_takes_them_too() {
    let cloud = Cloud::without_nats();
    let args = [
        "watch",
        "s3://rasters",
        "--store",
        harness::cloud::STORE,
        "--poll-seconds",
        "86400",
        "--hook",
        "127.0.0.1:0",
        "--state",
    ];
    let launch =
        harness::Launch::new(&cloud.scene, "kiln", args).arg(cloud.scene.state()).env("KILN_HOOK_SECRET", SECRET);
    let ingestor = cloud.with_keys(launch).start();
    post_all(&cloud, &ingestor);
}

#[test]
fn a_hook_that_others_reach_needs_a_secret() {
    let cloud = Cloud::without_nats();
    let refused = cloud.ingestor(&["--hook", "0.0.0.0:0"]).run();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("hook_secret"), "{refused:?}");
}
