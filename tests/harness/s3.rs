//! An S3 server in memory, built on `s3s`: real HTTP, real signatures (`protocol`), atomic conditional creation; and the ways in which others fail to
//! keep that promise (`contents`).

mod contents;
mod protocol;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use serde_json::Value;

pub use self::contents::Promise;
use self::contents::{Contents, lock};
use self::protocol::Protocol;

/// What clients sign with.
pub const ACCESS_KEY: &str = "kiln-test";
/// The same.
pub const SECRET_KEY: &str = "kiln-test-secret";

/// A running server; it ends with the test.
#[derive(Clone)]
pub struct S3Server {
    contents: Arc<Contents>,
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
        let contents = Arc::new(Contents::new(promise, buckets));
        let (tell, told) = mpsc::channel();
        let served = Arc::clone(&contents);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime").block_on(serve(served, &tell));
        });
        Self { contents, address: told.recv().expect("the S3 server listens") }
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
        *lock(&self.contents.notify) = Some(Box::new(notify));
    }

    /// Tells of no change any more.
    pub fn be_silent(&self) {
        *lock(&self.contents.notify) = None;
    }

    /// Puts an object, as a client would.
    pub fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) {
        self.contents.put(bucket, key, bytes.into(), "ObjectCreated:Put");
    }

    /// Deletes an object.
    pub fn delete(&self, bucket: &str, key: &str) {
        self.contents.delete(bucket, key);
    }

    /// Keys of a bucket that begin with this, in order.
    pub fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let objects = lock(&self.contents.objects);
        objects.keys().filter(|(b, key)| b == bucket && key.starts_with(prefix)).map(|(_, key)| key.clone()).collect()
    }

    /// An object's bytes.
    pub fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let objects = lock(&self.contents.objects);
        objects.get(&(bucket.to_owned(), key.to_owned())).map(|object| object.bytes.to_vec())
    }

    /// Buckets there are.
    pub fn buckets(&self) -> Vec<String> {
        lock(&self.contents.buckets).clone()
    }

    /// Requests answered so far.
    pub fn requests(&self) -> u64 {
        self.contents.requests.load(Ordering::Relaxed)
    }

    /// From now on every request waits so long before it is looked at, as if the store were far away.
    pub fn set_delay(&self, delay: Duration) {
        self.contents.delay_us.store(delay.as_micros() as u64, Ordering::Relaxed);
    }

    /// Answers every request with 503 while away.
    pub fn set_away(&self, away: bool) {
        self.contents.away.store(away, Ordering::Relaxed);
    }
}

async fn serve(contents: Arc<Contents>, tell: &mpsc::Sender<SocketAddr>) {
    let mut builder = S3ServiceBuilder::new(Protocol(Arc::clone(&contents)));
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let service = builder.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    tell.send(listener.local_addr().expect("an address")).expect("somebody waits for the address");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (service, contents) = (service.clone(), Arc::clone(&contents));
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let (service, delay) = (service.clone(), Duration::from_micros(contents.delay_us.load(Ordering::Relaxed)));
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
