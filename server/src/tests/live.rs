//! Live pages hear of every snapshot, and of nothing they may not.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use futures::StreamExt as _;
use serde_json::{Value, json};
use shared::dataset::{DataType, Validity};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::scene::{Cog, Scene, Served};
use crate::limits::LISTENERS_MAX;
use crate::{Config, More, Settings, router};

/// How long what should take a moment may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn cog() -> Cog {
    Cog::of(DataType::Uint8, Validity::None, |_, _, _| Some(1u8))
}

/// What a client hears, event by event.
struct Heard {
    body: BodyDataStream,
    text: String,
}

impl Heard {
    fn of(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        assert!(!response.headers().contains_key(header::CONTENT_ENCODING));
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event with data: its name and that. None at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                let told = field("event").zip(field("data"));
                let told = told.map(|(name, data)| (name.to_owned(), serde_json::from_str(data).unwrap()));
                self.text = rest.to_owned();
                if told.is_some() {
                    return told;
                }
            }
            let piece = timeout(PATIENCE, self.body.next()).await.expect("something is heard")?;
            self.text += std::str::from_utf8(&piece.unwrap()).unwrap();
        }
    }

    async fn snapshot(&mut self) -> Value {
        let (name, told) = self.next().await.unwrap();
        assert_eq!(name, "snapshot");
        told
    }
}

fn changed(told: &Value) -> Vec<(&str, bool)> {
    let list = told["changed"].as_array().unwrap();
    list.iter().map(|one| (one["keys"]["name"].as_str().unwrap(), one["added"].as_bool().unwrap())).collect()
}

#[tokio::test]
async fn who_listens_hears_what_is_served_and_each_snapshot_after_it() {
    let mut scene = Scene::new();
    scene.add("a", &["1"], &cog());
    let (state, reloader) = scene.state();
    let served = Served { state, reloader };
    let mut early = Heard::of(served.get("/events").await);
    scene.publish().await;
    served.reloader.look().await;
    let first = early.snapshot().await;
    assert_eq!((&first["n"], &first["since"], &first["datasets"]), (&json!(1), &json!(0), &json!(1)));
    assert_eq!(first["collections"], json!([{ "id": "default", "datasets": 1 }]));
    assert_eq!((changed(&first), &first["truncated"]), (vec![("a", true)], &json!(false)));
    assert_eq!(first["changed"][0]["bounds"], served.ok("/metadata/a/1").await["bounds"]);

    let mut late = Heard::of(served.get("/events").await);
    assert_eq!(late.snapshot().await, first, "on connecting");
    scene.add("b", &["1"], &cog()).publish().await;
    served.reloader.look().await;
    let second = late.snapshot().await;
    assert_eq!((&second["n"], &second["since"], changed(&second)), (&json!(2), &json!(1), vec![("b", true)]));
    scene.add("a", &["1"], &cog()).publish().await;
    served.reloader.look().await;
    assert_eq!(changed(&late.snapshot().await), [("a", false)]);
    let third = early.snapshot().await;
    assert_eq!((&third["n"], &third["since"]), (&json!(3), &json!(2)), "who was slow hears the latest");
}

#[tokio::test]
async fn so_many_may_listen_and_no_more() {
    let mut scene = Scene::new();
    let served = scene.serve().await;
    let mut listening = Vec::new();
    for _ in 0..LISTENERS_MAX {
        listening.push(Heard::of(served.get("/events").await));
    }
    let refused = served.get("/events").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key(header::RETRY_AFTER));
    let gauge = format!("kiln_event_listeners {LISTENERS_MAX}\n");
    assert!(metrics(&served).await.contains(&gauge));
    drop(listening.pop());
    Heard::of(served.get("/events").await);
}

async fn metrics(served: &Served) -> String {
    String::from_utf8(super::scene::body(served.get("/metrics").await).await).unwrap()
}

/// An ingestor whose work is a number.
fn more(pending: &Arc<AtomicU64>) -> More {
    let pending = Arc::clone(pending);
    More {
        routes: Router::new(),
        metrics: Arc::new(String::new),
        jobs: Arc::new(move || json!({ "pending": pending.load(Ordering::Relaxed), "jobs": [] })),
        sources: vec![("default".to_owned(), "/rasters/{name}.tif".to_owned())],
    }
}

#[tokio::test]
async fn jobs_are_told_to_the_own_page_when_they_change() {
    let mut scene = Scene::new();
    let served = scene.serve().await;
    let pending = Arc::new(AtomicU64::new(3));
    let router = router(served.state.clone(), Some(more(&pending)));
    let ask = |request: Request<Body>| router.clone().oneshot(request);
    let mut heard = Heard::of(ask(Request::get("/events").body(Body::empty()).unwrap()).await.unwrap());
    let mut told = [heard.next().await.unwrap(), heard.next().await.unwrap()];
    told.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(told[0], ("jobs".to_owned(), json!({ "pending": 3, "jobs": [] })));
    assert_eq!(told[1].0, "snapshot");
    pending.store(2, Ordering::Relaxed);
    assert_eq!(heard.next().await.unwrap(), ("jobs".to_owned(), json!({ "pending": 2, "jobs": [] })));

    let foreign = Request::get("/events").header(header::ORIGIN, "https://example.org").body(Body::empty()).unwrap();
    let mut heard = Heard::of(ask(foreign).await.unwrap());
    heard.snapshot().await;
    pending.store(1, Ordering::Relaxed);
    let mut next = pin!(heard.next());
    assert!(timeout(Duration::from_millis(1200), &mut next).await.is_err(), "another site hears nothing of jobs");
}

#[tokio::test]
async fn the_page_is_told_what_answers_here() {
    let mut scene = Scene::new();
    let served = scene.serve().await;
    let told = served.ok("/ui.json").await;
    assert_eq!((&told["ingest"], &told["basemap"], &told["events"]), (&Value::Null, &Value::Null, &json!(true)));
    let router = router(served.state.clone(), Some(more(&Arc::default())));
    let request = Request::get("/ui.json").header(header::ORIGIN, "https://example.org").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN), "no other site may read it");
    let told: Value = serde_json::from_slice(&super::scene::body(response).await).unwrap();
    let source = json!({ "collection": "default", "source": "/rasters/{name}.tif" });
    assert_eq!(told["ingest"], json!({ "jobs": true, "rejected": true, "sources": [source] }));
}

#[tokio::test]
async fn a_server_that_stops_sends_those_who_listen_away_at_once() {
    let mut scene = Scene::new();
    scene.publish().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = Config {
        store: scene.store.read_only(),
        cache_dir: scene.dir.path().join("cache"),
        hint: None,
        hints: None,
        settings: Settings::default(),
        more: None,
        admin: None,
    };
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(crate::run(config, listener, shutdown.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut bytes = [0; 4096];
    let mut heard = String::new();
    while !heard.contains("event: snapshot") {
        let count = timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap().unwrap();
        assert!(count > 0, "it ends early: {heard}");
        heard += &String::from_utf8_lossy(&bytes[..count]);
    }
    let asked = Instant::now();
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert!(asked.elapsed() < crate::GRACE, "it waited for one who listens");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the answer ends as it should");
}
