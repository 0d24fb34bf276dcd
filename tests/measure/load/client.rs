//! A client that costs little beside a server: blocking sockets that are kept, one thread each, answers read and thrown away.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Room for the largest answer, with its head.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// How long a server may keep silent.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// An answer, as far as it is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What came of some seconds of asking.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    /// Of each answer, in milliseconds.
    pub(crate) waits: Vec<f32>,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
}

/// The text of a GET with extra headers, each with its line's end.
pub(crate) fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n").into_bytes()
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
        Self { stream, buffer: vec![0; ANSWER_BYTES_MAX] }
    }

    /// Asks and waits for the whole answer, whose length must be said.
    pub(crate) fn ask(&mut self, request: &[u8]) -> (u16, usize) {
        let (head, length, status) = self.exchange(request);
        (status, head + length)
    }

    /// The same with the head.
    pub(crate) fn ask_whole(&mut self, request: &[u8]) -> Answer {
        let (head, _, status) = self.exchange(request);
        let head = String::from_utf8_lossy(&self.buffer[..head]).into_owned();
        Answer { status, head }
    }

    /// Bytes of the head and of the body, and the status.
    fn exchange(&mut self, request: &[u8]) -> (usize, usize, u16) {
        self.stream.write_all(request).unwrap();
        let mut filled = 0usize;
        let head = loop {
            let from = filled.saturating_sub(3);
            filled += self.read(filled);
            let end = self.buffer[from..filled].windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break from + end + 4;
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head]).unwrap();
        let status: u16 = text.get(9..12).and_then(|status| status.parse().ok()).unwrap();
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        let length = if matches!(status, 204 | 304) { 0 } else { length.unwrap() };
        while filled < head + length {
            filled += self.read(filled);
        }
        (head, length, status)
    }

    fn read(&mut self, filled: usize) -> usize {
        let read = self.stream.read(&mut self.buffer[filled..]).unwrap();
        assert!(read > 0, "the server closed the connection");
        read
    }
}

/// Asks for `requests` one after another, from the one that `next` says, by so many clients for so long. Every answer must have the status.
pub(crate) fn load(
    address: SocketAddr,
    requests: &[Vec<u8>],
    next: &AtomicUsize,
    clients: usize,
    time: Duration,
    status: u16,
) -> Load {
    let mut connections: Vec<Connection> = (0..clients).map(|_| Connection::open(address)).collect();
    // Connections are accepted before time counts.
    for connection in &mut connections {
        connection.ask(&requests[0]);
    }
    let started = Instant::now();
    let mut load = Load::default();
    thread::scope(|scope| {
        let work = |mut connection: Connection| {
            let (mut waits, mut bytes) = (Vec::new(), 0);
            while started.elapsed() < time {
                let request = &requests[next.fetch_add(1, Ordering::Relaxed) % requests.len()];
                let asked = Instant::now();
                let (found, length) = connection.ask(request);
                waits.push(asked.elapsed().as_secs_f32() * 1000.0);
                assert_eq!(found, status, "{}", String::from_utf8_lossy(request));
                bytes += length as u64;
            }
            (waits, bytes)
        };
        let running: Vec<_> = connections.into_iter().map(|connection| scope.spawn(move || work(connection))).collect();
        for done in running {
            let (waits, bytes) = done.join().unwrap();
            load.waits.extend(waits);
            load.bytes += bytes;
        }
    });
    load.seconds = started.elapsed().as_secs_f64();
    load
}
