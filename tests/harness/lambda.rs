//! A small emulator of AWS Lambda's runtime API (its public documentation, "Lambda runtime API"): hands out invocations one at a time and takes their answers.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::TryStreamExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::http::Response as Answer;
use crate::wait;

const VERSION: &str = "/2018-06-01/runtime";
/// How long an invocation may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How often a function that waits for an invocation is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Inner {
    waiting: Mutex<VecDeque<(String, Value)>>,
    answers: Mutex<Vec<(String, Value)>>,
    count: AtomicU64,
    asked: AtomicU64,
}

/// A running emulator.
#[derive(Clone)]
pub struct RuntimeApi {
    inner: Arc<Inner>,
    address: SocketAddr,
}

impl std::fmt::Debug for RuntimeApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuntimeApi").field("address", &self.address).finish_non_exhaustive()
    }
}

impl RuntimeApi {
    /// Starts one.
    pub fn start() -> Self {
        let inner = Arc::new(Inner::default());
        let (tell, told) = mpsc::channel();
        let served = Arc::clone(&inner);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(serve(served, &tell));
        });
        Self { inner, address: told.recv().expect("the runtime API listens") }
    }

    /// What a function's environment says.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_LAMBDA_RUNTIME_API", self.address.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", "kiln".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "test".to_owned()),
        ]
    }

    /// Whether the function has asked for work: it has started.
    pub fn is_asked(&self) -> bool {
        self.inner.asked.load(Ordering::SeqCst) > 0
    }

    /// GET through an API gateway's HTTP API (payload format 2.0).
    ///
    /// # Panics
    /// If there is no answer in time.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let id = format!("{:032x}", self.inner.count.fetch_add(1, Ordering::SeqCst) + 1);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut all =
            json!({ "host": "maps.example.org", "x-forwarded-proto": "https", "accept-encoding": "identity" });
        for (name, value) in headers {
            all[*name] = (*value).into();
        }
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": all, "isBase64Encoded": false,
            "requestContext": {
                "accountId": "1", "apiId": "api", "domainName": "maps.example.org", "domainPrefix": "maps", "requestId": id, "routeKey": "$default",
                "stage": "$default", "time": "26/Nov/2026:00:00:00 +0000", "timeEpoch": 0,
                "http": { "method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test" },
            },
        });
        lock(&self.inner.waiting).push_back((id.clone(), event));
        let answer = wait::wait_for("the function answers", LIMIT, || {
            let mut answers = lock(&self.inner.answers);
            let at = answers.iter().position(|(of, _)| *of == id)?;
            Some(answers.remove(at).1)
        });
        answer_of(&answer)
    }
}

fn answer_of(answer: &Value) -> Answer {
    let body = answer["body"].as_str().unwrap_or_default();
    let body = if answer["isBase64Encoded"] == true {
        BASE64_STANDARD.decode(body).expect("base64")
    } else {
        body.as_bytes().to_vec()
    };
    let headers = answer["headers"].as_object().into_iter().flatten();
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap_or_default().to_owned()));
    let status = answer["statusCode"].as_u64().unwrap_or_else(|| panic!("no answer but {answer}")) as u16;
    Answer { status, headers: headers.collect(), body }
}

async fn serve(inner: Arc<Inner>, tell: &mpsc::Sender<SocketAddr>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    tell.send(listener.local_addr().expect("an address")).expect("somebody waits for the address");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let inner = Arc::clone(&inner);
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let service = hyper::service::service_fn(move |request| answer(Arc::clone(&inner), request));
            // A function that ends closes its connection.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(inner: Arc<Inner>, request: Request<Incoming>) -> Result<Response<String>, hyper::Error> {
    let path = request.uri().path().strip_prefix(VERSION).unwrap_or_default().to_owned();
    if request.method() == Method::GET && path == "/invocation/next" {
        inner.asked.fetch_add(1, Ordering::SeqCst);
        let (id, event) = loop {
            if let Some(next) = lock(&inner.waiting).pop_front() {
                break next;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        let response = Response::builder()
            .header("Lambda-Runtime-Aws-Request-Id", id)
            .header("Lambda-Runtime-Deadline-Ms", "4102444800000")
            .header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:1:function:kiln")
            .header("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0")
            .body(event.to_string());
        return Ok(response.expect("a response"));
    }
    let body: Bytes = collect(request.into_body()).await?;
    let said =
        serde_json::from_slice(&body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
    if let Some(id) = path.strip_prefix("/invocation/").and_then(|rest| rest.split('/').next()) {
        lock(&inner.answers).push((id.to_owned(), said));
    }
    let response = Response::builder().status(StatusCode::ACCEPTED).body(String::new());
    Ok(response.expect("a response"))
}

async fn collect(body: Incoming) -> Result<Bytes, hyper::Error> {
    let mut body = std::pin::pin!(body);
    let frames = futures::stream::poll_fn(move |cx| body.as_mut().poll_frame(cx));
    let pieces: Vec<_> = frames.try_collect().await?;
    let data = pieces.into_iter().filter_map(|frame| frame.into_data().ok());
    Ok(data.collect::<Vec<_>>().concat().into())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
