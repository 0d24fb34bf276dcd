//! Whether a server answers: what a health check in an image without a shell runs.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// How long connecting and answering may take, each.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of an answer that are looked at.
const STATUS_BYTES: u64 = 64;

/// Asks once for a plain `http://` URL; an error says what came instead of a 2xx. Blocks.
pub fn check(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| format!("{url} is no http:// URL"))?;
    let (host, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    let named = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let failed = |error: std::io::Error| format!("{url} does not answer: {error}");
    let address = named.to_socket_addrs().map_err(failed)?.next().ok_or_else(|| format!("{host} has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(failed)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(STATUS_BYTES).read_to_end(&mut answer).map_err(failed)?;
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).unwrap_or_default();
    if status.len() == 3 && status.starts_with('2') {
        return Ok(());
    }
    Err(format!("{url} answers {:?}", text.lines().next().unwrap_or_default()))
}
