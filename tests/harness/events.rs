//! A listener to server-sent events.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long an event may be waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// A connection on which events come.
#[derive(Debug)]
pub struct Events {
    lines: BufReader<TcpStream>,
}

impl Events {
    /// Asks for events at a path of a server, given as `http://host:port`.
    ///
    /// # Panics
    /// If it does not answer with events.
    pub fn listen(base: &str, path: &str) -> Self {
        let host = base.strip_prefix("http://").expect("a plain URL");
        let mut stream = TcpStream::connect(host).expect("the server takes a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit can be set");
        // With 1.0 the body comes as it is, not in chunks.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").expect("the server takes a request");
        let mut events = Self { lines: BufReader::new(stream) };
        let status = events.line().expect("an answer");
        assert!(status.contains(" 200 "), "{status}");
        events
    }

    /// The next event of a name for which the condition holds; None if the server ends the answer.
    ///
    /// # Panics
    /// If none comes in time.
    pub fn wait_for<T>(&mut self, name: &str, condition: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut current = String::new();
        loop {
            assert!(Instant::now() < deadline, "no such event {name} in {PATIENCE:?}");
            let line = self.line()?;
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut current);
            }
            let data = line.strip_prefix("data: ").filter(|_| current == name);
            let told = data.map(|data| serde_json::from_str(data).expect("events are JSON"));
            if let Some(found) = told.and_then(|told| condition(&told)) {
                return Some(found);
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = self.lines.read_line(&mut line).expect("something is heard in time");
        (count > 0).then(|| line.trim_end().to_owned())
    }
}
