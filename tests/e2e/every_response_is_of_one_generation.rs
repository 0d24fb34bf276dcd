//! Publications under load: no failed response, every answer of one generation, `ETag`s that change exactly when pixels do.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use std::{env, thread};

use harness::http::{Client, Response};
use harness::picture::level;
use harness::samples::{flat_rgb, tile};
use harness::{Launch, Scene};
use serde_json::json;

/// Publications; 200 with `KILN_SOAK=1`.
const PUBLICATIONS: u32 = 20;
const PUBLICATIONS_SOAK: u32 = 200;
const READERS: usize = 3;
const STRETCH: &str = "r=R&g=G&b=B&r_range=[0,1000]&g_range=[0,1000]&b_range=[0,1000]";

/// Values of the three bands: each generation has its own colour.
fn values(generation: u32) -> [f64; 3] {
    let value = 4.0 + 4.0 * f64::from(generation);
    [value, 1000.0 - value, value]
}

fn color(generation: u32) -> [u8; 3] {
    values(generation).map(|value| level(value, 0.0, 1000.0))
}

/// What the readers have seen.
#[derive(Default)]
struct Seen {
    failures: Mutex<Vec<String>>,
    /// Which pixels an `ETag` stood for, by URL and tag.
    tags: Mutex<HashMap<(String, String), [u8; 3]>>,
    answers: AtomicU32,
}

impl Seen {
    fn fail(&self, what: String) {
        self.failures.lock().unwrap().push(what);
    }

    /// The generation of a tile, checked: one colour, and that of a generation; its tag stands for these pixels only.
    fn tile(&self, url: &str, answer: &Response, color_of: impl Fn(u32) -> [u8; 3]) -> Option<u32> {
        self.answers.fetch_add(1, Ordering::Relaxed);
        if answer.status != 200 {
            self.fail(format!("{url}: {} {}", answer.status, answer.text()));
            return None;
        }
        let picture = answer.picture();
        let first = picture.get_pixel(0, 0).0;
        if first[3] != 255 || picture.pixels().any(|p| p.0 != first) {
            self.fail(format!("{url}: not one opaque colour"));
            return None;
        }
        let rgb = [first[0], first[1], first[2]];
        let generation = (0..=PUBLICATIONS_SOAK).find(|g| color_of(*g) == rgb);
        if generation.is_none() {
            self.fail(format!("{url}: {rgb:?} is of no generation"));
        }
        let known = *self.tags.lock().unwrap().entry((url.to_owned(), answer.etag().to_owned())).or_insert(rgb);
        if known != rgb {
            self.fail(format!("{url}: one ETag for {known:?} and {rgb:?}"));
        }
        generation
    }
}

/// Reads until told to stop. What one reader sees never goes backwards.
fn read(base: &str, seen: &Seen, stop: &AtomicBool) {
    let client = Client::default();
    let rgb = format!("/rgb/a/{}?{STRETCH}", tile());
    let single = format!("/singleband/a/R/{}?stretch_range=[0,1000]", tile());
    let mut newest = 0;
    let mut tag = String::new();
    let get = |url: &str, headers: &[(&str, &str)]| match client.get(&format!("{base}{url}"), headers) {
        Ok(answer) => Some(answer),
        Err(error) => {
            seen.fail(format!("{url}: {error}"));
            None
        }
    };
    while !stop.load(Ordering::Relaxed) {
        let Some(answer) = get(&rgb, &[("if-none-match", &tag)]) else { continue };
        if answer.status == 304 {
            seen.answers.fetch_add(1, Ordering::Relaxed);
        } else if let Some(generation) = seen.tile(&rgb, &answer, color) {
            if generation < newest {
                seen.fail(format!("{rgb}: back from generation {newest} to {generation}"));
            }
            newest = generation;
            answer.etag().clone_into(&mut tag);
        }
        if let Some(answer) = get(&single, &[]) {
            seen.tile(&single, &answer, |g| [color(g)[0]; 3]);
        }
        check_metadata(&client, base, seen);
    }
}

/// The three bands of one answer are of one generation.
fn check_metadata(client: &Client, base: &str, seen: &Seen) {
    let body = json!({"keys": [["a", "R"], ["a", "G"], ["a", "B"]]});
    let answer = match client.post(&format!("{base}/metadata"), &body) {
        Ok(answer) if answer.status == 200 => answer.json(),
        Ok(answer) => return seen.fail(format!("POST /metadata: {} {}", answer.status, answer.text())),
        Err(error) => return seen.fail(format!("POST /metadata: {error}")),
    };
    seen.answers.fetch_add(1, Ordering::Relaxed);
    let found = [0, 1, 2].map(|band| answer[band]["mean"].as_f64().unwrap_or(f64::NAN));
    if !(0..=PUBLICATIONS_SOAK).any(|g| values(g) == found) {
        seen.fail(format!("POST /metadata: {found:?} is of no generation"));
    }
}

#[test]
fn every_response_is_of_one_generation() {
    let publications = if env::var_os("KILN_SOAK").is_some() { PUBLICATIONS_SOAK } else { PUBLICATIONS };
    let scene = Scene::new();
    let drop_generation = |generation| {
        let [red, green, blue] = values(generation);
        scene.drop_raster("a.tif", &flat_rgb(red, green, blue));
    };
    drop_generation(0);
    let stack = Launch::serve(&scene).start();
    stack.wait_for_datasets(&["a/R", "a/G", "a/B"]);
    let (seen, stop, base) = (Seen::default(), AtomicBool::new(false), stack.base());
    let url = format!("/rgb/a/{}?{STRETCH}", tile());
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(|| read(base, &seen, &stop))).collect();
        for generation in 1..=publications {
            drop_generation(generation);
            let shown = harness::wait::holds_within(Duration::from_secs(30), || {
                let failed = !seen.failures.lock().unwrap().is_empty();
                (failed || stack.get(&url).picture().get_pixel(9, 9).0[..3] == color(generation)).then_some(())
            });
            if shown.is_none() {
                seen.fail(format!("generation {generation} is not served"));
            }
            if !seen.failures.lock().unwrap().is_empty() {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    });
    let failures = seen.failures.lock().unwrap();
    assert!(
        failures.is_empty(),
        "{} failures: {:#?}\n{}",
        failures.len(),
        &failures[..failures.len().min(10)],
        stack.report()
    );
    let tags = seen.tags.lock().unwrap();
    for url in [url, format!("/singleband/a/R/{}?stretch_range=[0,1000]", tile())] {
        let mut pixels: Vec<_> = tags.iter().filter(|((u, _), _)| *u == url).map(|(_, rgb)| rgb).collect();
        let tags = pixels.len();
        pixels.sort_unstable();
        pixels.dedup();
        assert_eq!(tags, pixels.len(), "{url}: as many ETags as pictures");
    }
    println!("{} answers during {publications} publications", seen.answers.load(Ordering::Relaxed));
}
