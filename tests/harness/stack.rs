//! Running processes: asked over HTTP, waited for, killed at will, and killed on drop.

use std::cell::OnceCell;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use image::RgbaImage;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Map, Value};

use crate::http::{Client, Response};
use crate::picture::tile_of;
use crate::wait;

/// How long a start may take, on a busy machine.
const START_LIMIT: Duration = Duration::from_mins(1);
/// How long a test waits for what should take a second.
const PATIENCE: Duration = Duration::from_mins(1);
/// What announces the address a server listens on.
const SERVING: &str = "serving http://";
/// Bytes of each output shown when something fails.
const REPORT_BYTES_MAX: usize = 6000;

/// A running process group. Dropping it kills the whole group.
#[derive(Debug)]
pub struct Stack {
    child: Child,
    command: String,
    stdout: PathBuf,
    stderr: PathBuf,
    base: OnceCell<String>,
    client: Client,
}

impl Stack {
    pub(crate) fn new(child: Child, command: String, stdout: PathBuf, stderr: PathBuf) -> Self {
        Self { child, command, stdout, stderr, base: OnceCell::new(), client: Client::default() }
    }

    /// `http://127.0.0.1:PORT`, once it says so on its standard output.
    pub fn base(&self) -> &str {
        self.base.get_or_init(|| self.wait_for("prints the address it serves on", START_LIMIT, || self.printed_base()))
    }

    /// Waits for a condition; a failure shows what the processes said.
    ///
    /// # Panics
    /// When `limit` has passed.
    pub fn wait_for<T>(&self, what: &str, limit: Duration, condition: impl FnMut() -> Option<T>) -> T {
        wait::holds_within(limit, condition)
            .unwrap_or_else(|| panic!("not within {limit:?}: {what}\n{}", self.report()))
    }

    /// GET.
    ///
    /// # Panics
    /// If there is no answer at all.
    pub fn get(&self, path: &str) -> Response {
        self.get_with(path, &[])
    }

    /// GET with headers.
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let answer = self.client.get(&format!("{}{path}", self.base()), headers);
        answer.unwrap_or_else(|e| panic!("GET {path}: {e}\n{}", self.report()))
    }

    /// POST of JSON.
    pub fn post(&self, path: &str, body: &Value) -> Response {
        let answer = self.client.post(&format!("{}{path}", self.base()), body);
        answer.unwrap_or_else(|e| panic!("POST {path}: {e}\n{}", self.report()))
    }

    /// GET that must answer 200 with JSON.
    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "GET {path}: {}\n{}", answer.text(), self.report());
        answer.json()
    }

    /// GET that must answer 200 with a PNG.
    pub fn tile_rgba(&self, path: &str) -> RgbaImage {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "GET {path}: {}\n{}", answer.text(), self.report());
        assert_eq!(answer.header("content-type"), Some("image/png"), "GET {path}");
        answer.picture()
    }

    /// Key values of every dataset of the default collection, in order; empty while there is no snapshot.
    pub fn datasets(&self) -> Vec<Map<String, Value>> {
        let answer = self.get("/datasets?limit=100000");
        if answer.status == 503 {
            return Vec::new();
        }
        assert_eq!(answer.status, 200, "GET /datasets: {}", answer.text());
        let list = answer.json()["datasets"].as_array().cloned().unwrap_or_default();
        list.into_iter().filter_map(|dataset| dataset.as_object().cloned()).collect()
    }

    /// Key values of every dataset as paths, `a/b/c` in key order, percent-encoded.
    pub fn dataset_paths(&self) -> Vec<String> {
        let datasets = self.datasets();
        if datasets.is_empty() {
            return Vec::new();
        }
        let keys = self.json("/keys");
        let names: Vec<String> =
            keys["keys"].as_array().unwrap().iter().map(|key| key["key"].as_str().unwrap().to_owned()).collect();
        let path = |dataset: &Map<String, Value>| {
            names.iter().map(|name| encode_segment(dataset[name].as_str().unwrap())).collect::<Vec<_>>().join("/")
        };
        datasets.iter().map(path).collect()
    }

    /// Waits until the datasets are exactly these, in any order.
    pub fn wait_for_datasets(&self, wanted: &[&str]) {
        let mut wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        wanted.sort();
        let mut last = Vec::new();
        let found = wait::holds_within(PATIENCE, || {
            last = self.dataset_paths();
            last.sort();
            (last == wanted).then_some(())
        });
        assert!(found.is_some(), "datasets are {last:?}, not {wanted:?}\n{}", self.report());
    }

    /// `/metadata` of a dataset.
    pub fn metadata(&self, keys: &str) -> Value {
        self.json(&format!("/metadata/{keys}"))
    }

    /// The path of the tile in the middle of a dataset's bounds, at a zoom or its finest.
    pub fn center_tile(&self, keys: &str, zoom: Option<u8>) -> String {
        let metadata = self.metadata(keys);
        let bounds: Vec<f64> = metadata["bounds"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let zoom = zoom.unwrap_or_else(|| metadata["maxzoom"].as_u64().unwrap() as u8);
        let east = if bounds[2] < bounds[0] { bounds[2] + 360.0 } else { bounds[2] };
        let (x, y) = tile_of(f64::midpoint(bounds[0], east), f64::midpoint(bounds[1], bounds[3]), zoom);
        format!("/singleband/{keys}/{zoom}/{x}/{y}.png")
    }

    /// Kills every process of the group, as a power cut would.
    pub fn kill(&mut self) {
        let _gone_already = kill_process_group(self.pid(), Signal::KILL);
        let _reaped = self.child.wait();
    }

    /// Asks it to end, as Ctrl-C does, and waits for it.
    ///
    /// # Panics
    /// If it does not end within 10 s.
    pub fn stop(&mut self) -> Option<i32> {
        let _gone_already = kill_process(self.pid(), Signal::INT);
        let status = wait::holds_within(Duration::from_secs(10), || self.exit_status());
        status.unwrap_or_else(|| panic!("does not end within 10 s of Ctrl-C\n{}", self.report())).code()
    }

    /// Whether it has ended, and how.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Its process id.
    pub fn pid_number(&self) -> u32 {
        self.child.id()
    }

    /// What it printed and logged so far.
    pub fn output(&self) -> String {
        format!("{}{}", read_lossy(&self.stdout), read_lossy(&self.stderr))
    }

    /// The command line and the end of its output, for a failing test to show.
    pub fn report(&self) -> String {
        format!(
            "{}\nstdout: {}\nstderr: {}",
            self.command,
            tail(&read_lossy(&self.stdout)),
            tail(&read_lossy(&self.stderr))
        )
    }

    fn printed_base(&self) -> Option<String> {
        let text = read_lossy(&self.stdout);
        let line = text.lines().find_map(|line| line.split_once(SERVING))?.1;
        let (address, _complete) = line.split_once('/')?;
        Some(format!("http://{address}"))
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A key value as one segment of a path.
pub fn encode_segment(value: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+:".contains(&byte);
    value.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn read_lossy(path: &PathBuf) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(REPORT_BYTES_MAX);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}
