//! The golden payloads are whole ones as each product documents or writes them; what they must say is written by hand.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// All but what Amazon S3 leaves as it is in a key. A space becomes a plus afterwards.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'/');

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("golden/", $name, ".json"))
    };
}

fn read_golden(payload: &str) -> Announcement {
    parse(payload.as_bytes()).unwrap()
}

fn look_at<const N: usize>(objects: [(&str, &str); N]) -> Announcement {
    let event = |(bucket, key): (&str, &str)| Event { bucket: bucket.to_owned(), key: key.to_owned() };
    Announcement::Look(objects.map(event).into())
}

fn reason(payload: &Value) -> String {
    parse(payload.to_string().as_bytes()).unwrap_err().to_string()
}

fn s3_record(source: &str, name: &str, bucket: &str, key: &str) -> Value {
    let s3 = json!({ "bucket": { "name": bucket }, "object": { "key": key } });
    json!({ "eventSource": source, "eventName": name, "s3": s3 })
}

fn grid_record(kind: &str, subject: &str, data: &Value) -> Value {
    json!({ "eventType": format!("Microsoft.Storage.{kind}"), "subject": subject, "data": data })
}

fn in_sns(message: &str) -> String {
    json!({ "Type": "Notification", "TopicArn": "arn:aws:sns:eu-central-1:1:scenes", "Message": message }).to_string()
}

#[test]
fn minio_and_rustfs_encode_keys_as_forms() {
    let dem = look_at([("scenes", "élévation/DEM 1+2 (50% done).tif")]);
    assert_eq!(read_golden(golden!("minio_put")), dem);
    assert_eq!(read_golden(golden!("minio_delete")), dem);
    assert_eq!(read_golden(golden!("rustfs_put")), look_at([("scenes", "地図/北 海道+~*.tif")]));
    assert_eq!(read_golden(golden!("rustfs_multipart")), look_at([("scenes", "mosaic/2026/100%25.tif")]));
}

#[test]
fn amazon_s3_encodes_keys_as_forms() {
    let ortho = look_at([("amzn-s3-demo-scenes", "Zürich/ortho 2026+RGB 10%.tif")]);
    assert_eq!(read_golden(golden!("aws_put")), ortho);
    assert_eq!(read_golden(golden!("aws_delete_marker")), ortho);
    assert_eq!(read_golden(golden!("aws_in_sns")), ortho);
}

#[test]
fn every_record_counts_and_an_object_is_looked_at_once() {
    let bucket = "amzn-s3-demo-scenes";
    let wanted = look_at([(bucket, "tiles/a b.tif"), (bucket, "tiles/old.tif"), (bucket, "tiles/ñ+1.tif")]);
    assert_eq!(read_golden(golden!("aws_many_records")), wanted);
}

#[test]
fn ceph_writes_keys_as_they_are_and_sizes_as_texts() {
    let dem = look_at([("scenes", "Øresund/dem 1+2 50%20.tif")]);
    assert_eq!(read_golden(golden!("ceph_put")), dem);
    assert_eq!(read_golden(golden!("ceph_put_prefixed")), dem);
}

#[test]
fn eventbridge_writes_keys_as_they_are() {
    let ortho = look_at([("amzn-s3-demo-scenes", "Zürich/ortho 2026+RGB 10%2B.tif")]);
    assert_eq!(read_golden(golden!("aws_eventbridge")), ortho);
    assert_eq!(read_golden(golden!("aws_eventbridge_deleted")), ortho);
    assert_eq!(read_golden(golden!("eventbridge_in_sns")), ortho);
}

#[test]
fn cloud_storage_writes_keys_as_they_are() {
    let scene = look_at([("scenes", "Kraków/scena 1+2 50%2F.tif")]);
    assert_eq!(read_golden(golden!("pubsub_finalize")), scene);
    assert_eq!(read_golden(golden!("pubsub_delete")), scene);
}

#[test]
fn azure_names_the_blob_in_the_subject() {
    let scene = ("scenes", "Málaga/blobs/scene 1+2 50%20.tif");
    assert_eq!(read_golden(golden!("eventgrid_created")), look_at([scene]));
    assert_eq!(read_golden(golden!("eventgrid_deleted")), look_at([scene]));
    assert_eq!(read_golden(golden!("eventgrid_cloudevents")), look_at([scene]));
    assert_eq!(read_golden(golden!("eventgrid_batch")), look_at([scene, ("scenes", "sftp/scan.tif")]));
    // Microsoft's page on CloudEvents shows a subject without the first slash.
    let bare = grid_record("BlobDeleted", "blobServices/default/containers/scenes/blobs/a.tif", &json!({}));
    assert_eq!(parse(bare.to_string().as_bytes()).unwrap(), look_at([("scenes", "a.tif")]));
}

#[test]
fn both_names_of_a_renamed_blob_are_looked_at_in_both_readings() {
    let wanted = look_at([
        ("scenes", "new/scene 1.tif"),
        ("scenes", "new/scene%201.tif"),
        ("scenes", "upload/scene 1.tif"),
        ("scenes", "upload/scene%201.tif"),
    ]);
    assert_eq!(read_golden(golden!("eventgrid_renamed")), wanted);
}

#[test]
fn moved_and_deleted_folders_end_with_a_slash() {
    let moved = look_at([("scenes", "2026/june/"), ("scenes", "incoming/june/")]);
    assert_eq!(read_golden(golden!("eventgrid_directory_renamed")), moved);
    assert_eq!(read_golden(golden!("eventgrid_directory_deleted")), look_at([("scenes", "incoming/")]));
}

#[test]
fn handshakes_are_told_from_events() {
    let url = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription\
        &TopicArn=arn:aws:sns:eu-central-1:123456789012:scenes\
        &Token=2336412f37fb687f5d51e6e2425c464de257ebd2b4a9a9b4b8d4";
    let confirm = Announcement::ConfirmSubscription { url: url.to_owned() };
    assert_eq!(read_golden(golden!("sns_confirmation")), confirm);
    let validate = Announcement::ValidateWebhook { code: "512d38b6-c7b8-40c8-89fe-f46f9e9622b6".to_owned() };
    assert_eq!(read_golden(golden!("eventgrid_validation")), validate);
}

#[test]
fn what_changes_no_object_asks_for_nothing() {
    for payload in [
        golden!("aws_test_event"),
        golden!("aws_test_event_in_sns"),
        golden!("sns_unsubscribed"),
        golden!("aws_eventbridge_tags"),
        golden!("pubsub_metadata_update"),
        golden!("pubsub_overwritten_delete"),
        golden!("eventgrid_create_file"),
    ] {
        assert_eq!(read_golden(payload), look_at([]), "{payload}");
    }
    for name in ["s3:ObjectAccessed:Get", "s3:BucketCreated:*", "LifecycleTransition", "ObjectAcl:Put"] {
        let payload = json!({ "Records": [s3_record("minio:s3", name, "scenes", "")] });
        assert_eq!(read_golden(&payload.to_string()), look_at([]), "{name}");
    }
}

#[test]
fn names_count_with_and_without_the_prefix() {
    for name in ["ObjectCreated:Put", "s3:ObjectCreated:Put", "ObjectRemoved:Delete", "s3:ObjectRemoved:Delete"] {
        for source in ["aws:s3", "minio:s3", "rustfs:s3", "ceph:s3"] {
            let payload = json!({ "Records": [s3_record(source, name, "scenes", "a.tif")] });
            assert_eq!(read_golden(&payload.to_string()), look_at([("scenes", "a.tif")]), "{source} {name}");
        }
    }
}

#[test]
fn one_bad_record_makes_the_payload_unknown_and_is_named() {
    let put = |bucket, key| s3_record("aws:s3", "ObjectCreated:Put", bucket, key);
    for (bad, wanted) in [
        (put("scenes", ""), "expected a text in s3.object.key"),
        (put("", "a.tif"), "expected a text in s3.bucket.name"),
        (put("scenes", "%ff"), "s3.object.key \"%ff\", expected UTF-8 after decoding"),
        (
            s3_record("aws:s3", "New:Thing", "scenes", "a.tif"),
            "eventName \"New:Thing\", expected a name of an S3 event",
        ),
        (
            s3_record("aws:sqs", "ObjectCreated:Put", "scenes", "a.tif"),
            "eventSource \"aws:sqs\", expected aws:s3, minio:s3, rustfs:s3 or ceph:s3",
        ),
        (json!(7), "expected a text in eventSource"),
    ] {
        let payload = json!({ "Records": [put("scenes", "a.tif"), bad] });
        assert_eq!(reason(&payload), format!("not an event that is known: record 1: {wanted}"));
    }
    let created = |data| grid_record("BlobCreated", "/blobServices/default/containers/scenes/blobs/a.tif", &data);
    for (bad, wanted) in [
        (created(json!({})), "expected a text in data.api"),
        (created(json!({ "api": "NewCall" })), "data.api \"NewCall\", expected a call that creates a blob"),
        (
            grid_record("BlobDeleted", "/blobServices/default/containers/scenes", &json!({})),
            "subject \"/blobServices/default/containers/scenes\", expected …/containers/CONTAINER/blobs/BLOB",
        ),
        (
            json!({ "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent" }),
            "type \"Microsoft.EventGrid.SubscriptionValidationEvent\", expected a type of a Blob Storage event",
        ),
    ] {
        let payload = json!([created(json!({ "api": "PutBlob" })), bad]);
        assert_eq!(reason(&payload), format!("not an event that is known: record 1: {wanted}"));
    }
}

#[test]
fn what_is_not_understood_is_unknown() {
    let shapes = "expected records of S3, or a payload of SNS, EventBridge, Pub/Sub or Event Grid";
    let bridge =
        |kind| json!({ "detail-type": kind, "source": "aws.s3", "detail": { "bucket": { "name": "scenes" } } });
    let pubsub = |attributes| json!({ "message": { "attributes": attributes } });
    for (payload, wanted) in [
        (json!({}), shapes),
        (json!([]), shapes),
        (json!(null), shapes),
        // SeaweedFS's webhook, and a Pub/Sub message that is no file's.
        (json!({ "key": "/buckets/scenes/a.tif", "event_type": "create", "message_data": {} }), shapes),
        (pubsub(json!({ "color": "red" })), shapes),
        (json!({ "Records": {} }), "expected a list in Records"),
        (bridge("Object Created"), "expected a text in detail.object.key"),
        (
            bridge("AWS API Call via CloudTrail"),
            "detail-type \"AWS API Call via CloudTrail\", expected a type of an S3 event",
        ),
        (pubsub(json!({ "bucketId": "scenes" })), "expected a text in message.attributes.eventType"),
        (
            pubsub(json!({ "bucketId": "scenes", "eventType": "OBJECT_FINALIZE" })),
            "expected a text in message.attributes.objectId",
        ),
        (
            json!({ "Type": "SubscriptionConfirmation", "SubscribeURL": "file:///etc/passwd" }),
            "SubscribeURL \"file:///etc/passwd\", expected a URL of http or https",
        ),
        (json!({ "Type": "Notification", "Message": "hello" }), "expected JSON: expected value at line 1 column 1"),
    ] {
        assert_eq!(reason(&payload), format!("not an event that is known: {wanted}"));
    }
}

#[test]
fn two_envelopes_are_opened_and_a_third_is_not() {
    let twice = in_sns(golden!("aws_in_sns"));
    assert_eq!(read_golden(&twice), read_golden(golden!("aws_put")));
    let unknown = parse(in_sns(&twice).as_bytes()).unwrap_err();
    assert_eq!(unknown.to_string(), "not an event that is known: too many envelopes of SNS, one in another");
}

#[test]
fn who_may_publish_cannot_have_a_url_opened() {
    for handshake in [golden!("sns_confirmation"), golden!("eventgrid_validation")] {
        let unknown = parse(in_sns(handshake).as_bytes()).unwrap_err();
        let wanted = "not an event that is known: a handshake in an envelope of SNS, expected an event";
        assert_eq!(unknown.to_string(), wanted);
    }
}

#[test]
fn payloads_have_a_limit() {
    let long = vec![b' '; PAYLOAD_BYTES_MAX + 1];
    let wanted = "not an event that is known: 4194305 bytes, expected at most 4194304";
    assert_eq!(parse(&long).unwrap_err().to_string(), wanted);

    let many = |count| json!({ "Records": vec![s3_record("aws:s3", "ObjectCreated:Put", "scenes", "a.tif"); count] });
    assert_eq!(read_golden(&many(RECORDS_MAX).to_string()), look_at([("scenes", "a.tif")]));
    let wanted = "not an event that is known: 10001 records, expected at most 10000";
    assert_eq!(reason(&many(RECORDS_MAX + 1)), wanted);

    let deep = "[".repeat(PAYLOAD_BYTES_MAX);
    assert!(parse(deep.as_bytes()).is_err());
}

#[test]
fn an_error_repeats_only_the_start_of_what_it_was_sent() {
    let payload = json!({ "Records": [s3_record("aws:s3", &"\n".repeat(1000), "scenes", "a.tif")] });
    let quoted = "\\n".repeat(QUOTED_CHARS_MAX);
    let wanted = format!("record 0: eventName \"{quoted}\", expected a name of an S3 event");
    assert_eq!(reason(&payload), format!("not an event that is known: {wanted}"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_damage_to_a_payload_makes_it_panic(
        payload in prop::sample::select(vec![
            golden!("aws_many_records"), golden!("aws_in_sns"), golden!("eventbridge_in_sns"),
            golden!("pubsub_finalize"), golden!("eventgrid_renamed"), golden!("eventgrid_batch"),
            golden!("eventgrid_validation"),
        ]),
        at in any::<prop::sample::Index>(),
        removed in 0_usize..40,
        put in prop::collection::vec(prop::sample::select(b"{}[]\",:\\/% 0a\xc3".to_vec()), 0..4),
    ) {
        let mut bytes = payload.as_bytes().to_vec();
        let start = at.index(bytes.len());
        let end = bytes.len().min(start + removed);
        bytes.splice(start..end, put);
        let _ = parse(&bytes);
    }

    #[test]
    fn any_key_survives_a_record_of_s3(key in any::<String>().prop_filter("keys have a name", |key| !key.is_empty())) {
        let encoded = utf8_percent_encode(&key, FORM).to_string().replace("%20", "+");
        for (source, written) in [("aws:s3", &encoded), ("ceph:s3", &key)] {
            let payload = json!({ "Records": [s3_record(source, "ObjectCreated:Put", "scenes", written)] });
            prop_assert_eq!(parse(payload.to_string().as_bytes()), Ok(look_at([("scenes", &key)])));
        }
    }
}
