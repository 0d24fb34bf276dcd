//! A tile server as a process of its own.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{made, row};

/// No server takes longer to make a snapshot its own.
const LIMIT: Duration = Duration::from_mins(5);
/// How often it is asked what it serves.
const ASK_EVERY: Duration = Duration::from_millis(2);
/// Requests that are timed.
const ASKED: usize = 2000;

pub(super) struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts one twice: the second time, what it serves was verified before.
    pub(super) async fn start(folder: &Path, n: u64) -> Self {
        let mut first = Self::launch(folder);
        let seconds = first.wait_for(n).await;
        row("start of a server to its first answer, snapshot not verified yet", format!("{seconds:.2} s"));
        drop(first);
        let mut second = Self::launch(folder);
        let seconds = second.wait_for(n).await;
        row("start of a server to its first answer, snapshot verified before", format!("{:.0} ms", seconds * 1e3));
        second
    }

    fn launch(folder: &Path) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let binary = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("kiln-server");
        assert!(binary.exists(), "first: cargo build --release --bins");
        let process = Command::new(binary)
            .args(["--listen", &address, "--store"])
            .arg(folder.join("store"))
            .arg("--cache-dir")
            .arg(folder.join("served"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, address }
    }

    /// Seconds from now until it serves a snapshot.
    pub(super) async fn wait_for(&mut self, n: u64) -> f64 {
        let started = Instant::now();
        let wanted = format!("\"snapshot\":{n}");
        while started.elapsed() < LIMIT {
            if self.get("/ready").is_some_and(|answer| answer.contains(&wanted)) {
                return started.elapsed().as_secs_f64();
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        panic!("snapshot {n} is not served");
    }

    /// Asks a good part of what a map does, then for its memory.
    pub(super) fn ask(&self, count: usize) {
        let mut micros = Vec::with_capacity(ASKED);
        for i in 0..ASKED {
            let keys = made::keys((i * 1_000_003 + 7919) % count);
            let url = match i % 3 {
                0 => format!("/metadata/{}", keys.join("/")),
                1 => format!("/datasets?band={}&date={}", keys[2], keys[1]),
                _ => format!("/datasets?tile={}&order_by=date&ascending=false", keys[0]),
            };
            let started = Instant::now();
            assert!(self.get(&url).is_some_and(|answer| answer.starts_with("HTTP/1.1 200")), "{url}");
            micros.push(started.elapsed().as_secs_f64() * 1e3);
        }
        micros.sort_by(f64::total_cmp);
        let at = |part: f64| micros[((micros.len() - 1) as f64 * part) as usize];
        row(
            "metadata and filters over HTTP, a connection each",
            format!("p50 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99)),
        );
        row("resident memory of the server afterwards", format!("{} MB", self.resident_mb()));
    }

    pub(super) fn resident_mb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1000
    }

    fn get(&self, url: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        write!(stream, "GET {url} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that is gone already is fine.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
