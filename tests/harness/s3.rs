//! An S3 server in memory, built on `s3s`: real HTTP, real signatures, atomic conditional creation; and the ways in which others fail to keep that promise.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::TryStreamExt as _;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CommonPrefix, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput,
    DeletedObject, ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput,
    HeadObjectInput, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, Object as Listed,
    PutBucketNotificationConfigurationInput, PutBucketNotificationConfigurationOutput, PutObjectInput, PutObjectOutput,
    StreamingBlob, Timestamp, UploadPartInput, UploadPartOutput,
};
use s3s::service::S3ServiceBuilder;
use s3s::{Body, S3, S3Request, S3Response, S3Result, s3_error};
use serde_json::{Value, json};

/// What clients sign with.
pub const ACCESS_KEY: &str = "kiln-test";
/// The same.
pub const SECRET_KEY: &str = "kiln-test-secret";
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
struct Object {
    bytes: Bytes,
    tag: String,
    modified: SystemTime,
}

type Name = (String, String);
type Notify = dyn Fn(Value) + Send + Sync;

struct Inner {
    promise: Promise,
    objects: Mutex<BTreeMap<Name, Object>>,
    buckets: Mutex<Vec<String>>,
    uploads: Mutex<BTreeMap<String, BTreeMap<i32, Bytes>>>,
    notify: Mutex<Option<Box<Notify>>>,
    count: AtomicU64,
    requests: AtomicU64,
    away: AtomicBool,
    /// Microseconds that each request takes longer.
    delay_us: AtomicU64,
}

/// A running server; it ends with the test.
#[derive(Clone)]
pub struct S3Server {
    inner: Arc<Inner>,
    address: SocketAddr,
}

impl std::fmt::Debug for S3Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl S3Server {
    /// Starts one with these buckets.
    pub fn start(promise: Promise, buckets: &[&str]) -> Self {
        let inner = Arc::new(Inner {
            promise,
            objects: Mutex::default(),
            buckets: Mutex::new(buckets.iter().map(ToString::to_string).collect()),
            uploads: Mutex::default(),
            notify: Mutex::default(),
            count: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            away: AtomicBool::new(false),
            delay_us: AtomicU64::new(0),
        });
        let (tell, told) = mpsc::channel();
        let served = Arc::clone(&inner);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime").block_on(serve(served, &tell));
        });
        Self { inner, address: told.recv().expect("the S3 server listens") }
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The environment of a client.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }

    /// Tells of every change from now on, in the format of `RustFS` and `MinIO`.
    pub fn notify(&self, notify: impl Fn(Value) + Send + Sync + 'static) {
        *lock(&self.inner.notify) = Some(Box::new(notify));
    }

    /// Tells of no change any more.
    pub fn be_silent(&self) {
        *lock(&self.inner.notify) = None;
    }

    /// Puts an object, as a client would.
    pub fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) {
        self.inner.put(bucket, key, bytes.into(), "ObjectCreated:Put");
    }

    /// Deletes an object.
    pub fn delete(&self, bucket: &str, key: &str) {
        self.inner.delete(bucket, key);
    }

    /// Keys of a bucket that begin with this, in order.
    pub fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let objects = lock(&self.inner.objects);
        objects.keys().filter(|(b, key)| b == bucket && key.starts_with(prefix)).map(|(_, key)| key.clone()).collect()
    }

    /// An object's bytes.
    pub fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let objects = lock(&self.inner.objects);
        objects.get(&(bucket.to_owned(), key.to_owned())).map(|object| object.bytes.to_vec())
    }

    /// Buckets there are.
    pub fn buckets(&self) -> Vec<String> {
        lock(&self.inner.buckets).clone()
    }

    /// Requests answered so far.
    pub fn requests(&self) -> u64 {
        self.inner.requests.load(Ordering::Relaxed)
    }

    /// From now on every request waits so long before it is looked at, as if the store were far away.
    pub fn set_delay(&self, delay: Duration) {
        self.inner.delay_us.store(delay.as_micros() as u64, Ordering::Relaxed);
    }

    /// Answers every request with 503 while away.
    pub fn set_away(&self, away: bool) {
        self.inner.away.store(away, Ordering::Relaxed);
    }
}

async fn serve(inner: Arc<Inner>, tell: &mpsc::Sender<SocketAddr>) {
    let mut builder = S3ServiceBuilder::new(Memory(Arc::clone(&inner)));
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let service = builder.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    tell.send(listener.local_addr().expect("an address")).expect("somebody waits for the address");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (service, inner) = (service.clone(), Arc::clone(&inner));
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let (service, delay) = (service.clone(), Duration::from_micros(inner.delay_us.load(Ordering::Relaxed)));
            async move {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                Service::call(&service, request).await
            }
        });
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            // A client that goes away is no concern of ours.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Inner {
    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn new_object(bytes: Bytes) -> Object {
        let tag = format!("{:016x}{:08x}", fnv(&bytes), bytes.len());
        Object { bytes, tag, modified: SystemTime::now() }
    }

    fn put(&self, bucket: &str, key: &str, bytes: Bytes, event: &str) -> String {
        let object = Self::new_object(bytes);
        let (tag, size) = (object.tag.clone(), object.bytes.len());
        lock(&self.objects).insert((bucket.to_owned(), key.to_owned()), object);
        self.tell(event, bucket, key, Some((&tag, size)));
        tag
    }

    /// Creates an object that must not exist; None if it does.
    async fn create(&self, bucket: &str, key: &str, bytes: Bytes) -> Option<String> {
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

    fn delete(&self, bucket: &str, key: &str) {
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

    fn look(&self, bucket: &str, key: &str) -> S3Result<Object> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if self.away.load(Ordering::Relaxed) {
            return Err(s3_error!(ServiceUnavailable));
        }
        self.has_bucket(bucket)?;
        let found = lock(&self.objects).get(&(bucket.to_owned(), key.to_owned())).cloned();
        found.ok_or_else(|| s3_error!(NoSuchKey))
    }

    fn admit(&self, bucket: &str) -> S3Result<()> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if self.away.load(Ordering::Relaxed) {
            return Err(s3_error!(ServiceUnavailable));
        }
        self.has_bucket(bucket)
    }

    fn has_bucket(&self, bucket: &str) -> S3Result<()> {
        if lock(&self.buckets).iter().any(|there| there == bucket) { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }
}

struct Memory(Arc<Inner>);

fn strong(tag: &str) -> ETag {
    ETag::Strong(tag.to_owned())
}

async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(body) = body else { return Ok(Bytes::new()) };
    let pieces: Vec<Bytes> = body.try_collect().await.map_err(|_| s3_error!(IncompleteBody))?;
    Ok(pieces.concat().into())
}

#[async_trait::async_trait]
impl S3 for Memory {
    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = req.input;
        self.0.admit(&input.bucket)?;
        let bytes = collect(input.body).await?;
        let tag = if input.if_none_match.as_ref().is_some_and(ETagCondition::is_any) {
            let created = self.0.create(&input.bucket, &input.key, bytes).await;
            created.ok_or_else(|| s3_error!(PreconditionFailed))?
        } else {
            self.0.put(&input.bucket, &input.key, bytes, "ObjectCreated:Put")
        };
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(strong(&tag)), ..Default::default() }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        let object = self.0.look(&input.bucket, &input.key)?;
        let is = |condition: &ETagCondition| condition.as_etag().is_none_or(|tag| tag.value() == object.tag);
        if input.if_match.as_ref().is_some_and(|condition| !is(condition)) {
            return Err(s3_error!(PreconditionFailed));
        }
        if input.if_none_match.as_ref().is_some_and(is) {
            return Err(s3_error!(NotModified));
        }
        let len = object.bytes.len() as u64;
        let mut output = GetObjectOutput {
            e_tag: Some(strong(&object.tag)),
            last_modified: Some(Timestamp::from(object.modified)),
            ..Default::default()
        };
        let bytes = match input.range {
            None => object.bytes,
            Some(range) => {
                let range = range.check(len)?;
                output.content_range = Some(format!("bytes {}-{}/{len}", range.start, range.end - 1));
                object.bytes.slice(range.start as usize..range.end as usize)
            }
        };
        output.content_length = Some(bytes.len() as i64);
        output.body = Some(StreamingBlob::from(Body::from(bytes)));
        Ok(S3Response::new(output))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let object = self.0.look(&req.input.bucket, &req.input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(object.bytes.len() as i64),
            e_tag: Some(strong(&object.tag)),
            last_modified: Some(Timestamp::from(object.modified)),
            ..Default::default()
        }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.admit(&req.input.bucket)?;
        self.0.delete(&req.input.bucket, &req.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.0.admit(&req.input.bucket)?;
        let mut deleted = Vec::new();
        for object in req.input.delete.objects {
            self.0.delete(&req.input.bucket, &object.key);
            deleted.push(DeletedObject { key: Some(object.key), ..Default::default() });
        }
        Ok(S3Response::new(DeleteObjectsOutput { deleted: Some(deleted), ..Default::default() }))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        self.0.admit(&input.bucket)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input.continuation_token.or(input.start_after).unwrap_or_default();
        let max = input.max_keys.unwrap_or(1000).clamp(1, 1000) as usize;
        let mut output =
            ListObjectsV2Output { name: Some(input.bucket.clone()), prefix: input.prefix, ..Default::default() };
        let (mut contents, mut prefixes, mut last, mut truncated) =
            (Vec::new(), Vec::<String>::new(), String::new(), false);
        let objects = lock(&self.0.objects);
        let from = (input.bucket.clone(), prefix.clone().max(after.clone()));
        for ((_, key), object) in
            objects.range(from..).take_while(|((bucket, key), _)| *bucket == input.bucket && key.starts_with(&prefix))
        {
            if *key <= after {
                continue;
            }
            let folder = input.delimiter.as_ref().and_then(|delimiter| {
                let rest = &key[prefix.len()..];
                rest.find(delimiter.as_str()).map(|at| format!("{prefix}{}", &rest[..at + delimiter.len()]))
            });
            if let Some(folder) = &folder
                && (prefixes.last() == Some(folder) || after.starts_with(folder.as_str()))
            {
                last.clone_from(key);
                continue;
            }
            if contents.len() + prefixes.len() >= max {
                truncated = true;
                break;
            }
            last.clone_from(key);
            match folder {
                Some(folder) => prefixes.push(folder),
                None => contents.push(Listed {
                    key: Some(key.clone()),
                    size: Some(object.bytes.len() as i64),
                    e_tag: Some(strong(&object.tag)),
                    last_modified: Some(Timestamp::from(object.modified)),
                    ..Default::default()
                }),
            }
        }
        output.key_count = Some((contents.len() + prefixes.len()) as i32);
        output.is_truncated = Some(truncated);
        output.next_continuation_token = truncated.then_some(last);
        output.contents = Some(contents);
        let common = prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) }).collect();
        output.common_prefixes = Some(common);
        Ok(S3Response::new(output))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.0.admit(&req.input.bucket)?;
        let id = format!("upload-{}", self.0.next());
        lock(&self.0.uploads).insert(id.clone(), BTreeMap::new());
        Ok(S3Response::new(CreateMultipartUploadOutput { upload_id: Some(id), ..Default::default() }))
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        self.0.admit(&req.input.bucket)?;
        let bytes = collect(req.input.body).await?;
        let tag = format!("{:016x}", fnv(&bytes));
        let mut uploads = lock(&self.0.uploads);
        let parts = uploads.get_mut(&req.input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        parts.insert(req.input.part_number, bytes);
        Ok(S3Response::new(UploadPartOutput { e_tag: Some(strong(&tag)), ..Default::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.0.admit(&req.input.bucket)?;
        let parts = lock(&self.0.uploads).remove(&req.input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        let bytes = parts.into_values().collect::<Vec<_>>().concat();
        let tag = self.0.put(&req.input.bucket, &req.input.key, bytes.into(), "ObjectCreated:CompleteMultipartUpload");
        Ok(S3Response::new(CompleteMultipartUploadOutput { e_tag: Some(strong(&tag)), ..Default::default() }))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        lock(&self.0.uploads).remove(&req.input.upload_id);
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.0.has_bucket(&req.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        if self.0.has_bucket(&req.input.bucket).is_ok() {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        lock(&self.0.buckets).push(req.input.bucket);
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn put_bucket_notification_configuration(
        &self,
        req: S3Request<PutBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketNotificationConfigurationOutput>> {
        self.0.has_bucket(&req.input.bucket)?;
        let queues = req.input.notification_configuration.queue_configurations.unwrap_or_default();
        if queues.is_empty() {
            return Err(s3_error!(InvalidArgument, "no queue"));
        }
        Ok(S3Response::new(PutBucketNotificationConfigurationOutput::default()))
    }
}

/// As in `application/x-www-form-urlencoded`: what stores do to keys in their notifications.
pub fn form_encoded(key: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte);
    key.bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            byte if keep(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// FNV-1a: an entity tag need only differ when the bytes do.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
