//! Objects in memory, with atomic conditional creation or what others have in its place, and what is told of their changes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use s3s::{S3Result, s3_error};
use serde_json::{Value, json};

use super::{ACCESS_KEY, form_encoded};

/// How long a server that looks first and writes then takes in between.
const BETWEEN: Duration = Duration::from_millis(5);

/// How `If-None-Match: *` is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Exactly one of many wins.
    Kept,
    /// The header is ignored.
    Ignored,
    /// It looks first and writes then.
    LooksThenWrites,
}

#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) bytes: Bytes,
    pub(super) tag: String,
    pub(super) modified: SystemTime,
}

type Name = (String, String);
type Notify = dyn Fn(Value) + Send + Sync;

/// What is in it, and how it behaves.
pub(super) struct Contents {
    promise: Promise,
    pub(super) objects: Mutex<BTreeMap<Name, Object>>,
    pub(super) buckets: Mutex<Vec<String>>,
    pub(super) uploads: Mutex<BTreeMap<String, BTreeMap<i32, Bytes>>>,
    pub(super) notify: Mutex<Option<Box<Notify>>>,
    count: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) away: AtomicBool,
    /// Microseconds that each request takes longer.
    pub(super) delay_us: AtomicU64,
}

impl Contents {
    /// Buckets without objects.
    pub(super) fn new(promise: Promise, buckets: &[&str]) -> Self {
        Self {
            promise,
            objects: Mutex::default(),
            buckets: Mutex::new(buckets.iter().map(ToString::to_string).collect()),
            uploads: Mutex::default(),
            notify: Mutex::default(),
            count: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            away: AtomicBool::new(false),
            delay_us: AtomicU64::new(0),
        }
    }

    pub(super) fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn new_object(bytes: Bytes) -> Object {
        let tag = format!("{:016x}{:08x}", fnv(&bytes), bytes.len());
        Object { bytes, tag, modified: SystemTime::now() }
    }

    pub(super) fn put(&self, bucket: &str, key: &str, bytes: Bytes, event: &str) -> String {
        let object = Self::new_object(bytes);
        let (tag, size) = (object.tag.clone(), object.bytes.len());
        lock(&self.objects).insert((bucket.to_owned(), key.to_owned()), object);
        self.tell(event, bucket, key, Some((&tag, size)));
        tag
    }

    /// Creates an object that must not exist; None if it does.
    pub(super) async fn create(&self, bucket: &str, key: &str, bytes: Bytes) -> Option<String> {
        let name = (bucket.to_owned(), key.to_owned());
        let object = Self::new_object(bytes);
        let tag = object.tag.clone();
        match self.promise {
            Promise::Kept => {
                let mut objects = lock(&self.objects);
                if objects.contains_key(&name) {
                    return None;
                }
                objects.insert(name, object);
            }
            Promise::Ignored => drop(lock(&self.objects).insert(name, object)),
            Promise::LooksThenWrites => {
                if lock(&self.objects).contains_key(&name) {
                    return None;
                }
                tokio::time::sleep(BETWEEN).await;
                lock(&self.objects).insert(name, object);
            }
        }
        Some(tag)
    }

    pub(super) fn delete(&self, bucket: &str, key: &str) {
        if lock(&self.objects).remove(&(bucket.to_owned(), key.to_owned())).is_some() {
            self.tell("ObjectRemoved:Delete", bucket, key, None);
        }
    }

    /// What `RustFS` 1.0 and `MinIO` send.
    fn tell(&self, event: &str, bucket: &str, key: &str, state: Option<(&str, usize)>) {
        let notify = lock(&self.notify);
        let Some(notify) = notify.as_ref() else { return };
        let mut object = json!({ "key": form_encoded(key), "sequencer": format!("{:X}", self.next()) });
        if let Some((tag, size)) = state {
            object["eTag"] = tag.into();
            object["size"] = size.into();
        }
        let name = format!("s3:{event}");
        notify(json!({
            "EventName": name, "Key": format!("{bucket}/{key}"),
            "Records": [{
                "eventVersion": "2.0", "eventSource": "rustfs:s3", "awsRegion": "", "eventTime": "2026-11-26T00:00:00.000Z", "eventName": name,
                "userIdentity": { "principalId": ACCESS_KEY },
                "s3": { "s3SchemaVersion": "1.0", "configurationId": "Config", "bucket": { "name": bucket }, "object": object },
            }],
        }));
    }

    pub(super) fn look(&self, bucket: &str, key: &str) -> S3Result<Object> {
        self.admit(bucket)?;
        let found = lock(&self.objects).get(&(bucket.to_owned(), key.to_owned())).cloned();
        found.ok_or_else(|| s3_error!(NoSuchKey))
    }

    pub(super) fn admit(&self, bucket: &str) -> S3Result<()> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if self.away.load(Ordering::Relaxed) {
            return Err(s3_error!(ServiceUnavailable));
        }
        self.has_bucket(bucket)
    }

    pub(super) fn has_bucket(&self, bucket: &str) -> S3Result<()> {
        if lock(&self.buckets).iter().any(|there| there == bucket) { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }
}

/// FNV-1a: an entity tag need only differ when the bytes do.
pub(super) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
