//! Takes URLs as people and simple clients write them: `columns=["range"]` with bare quotes.
//!
//! RFC 3986 wants `"`, `<` and `>` percent-encoded, and the HTTP parser below us refuses them before any of our code runs; Terracotta's servers do not.
//! So request lines are rewritten on their way in. Headers and bodies pass untouched: a body is measured by `Content-Length`, and after anything
//! else than one plain length the rest of the connection passes as it is.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Bytes read at a time.
const READ_BYTES: usize = 8 << 10;
/// Bytes of a header line that are looked at: enough for the two that matter.
const HEADER_BYTES_MAX: usize = 256;
/// What `"`, `<` and `>` become.
const QUOTE: &[u8; 3] = b"%22";
const LESS: &[u8; 3] = b"%3C";
const GREATER: &[u8; 3] = b"%3E";

/// Bytes of a path or query as it may have been sent. One sent encoded counts as if it had not been: nothing here tells them apart.
pub(crate) fn sent_bytes(text: &str) -> usize {
    let rewritten = text.as_bytes().windows(3).filter(|three| [QUOTE, LESS, GREATER].iter().any(|r| *three == &r[..]));
    text.len() - 2 * rewritten.count()
}

/// A listener whose connections are lenient.
#[derive(Debug)]
pub(crate) struct LenientListener(pub(crate) TcpListener);

impl Listener for LenientListener {
    type Io = Lenient<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // A tile is one answer: nothing is gained by waiting for more.
        let _ = stream.set_nodelay(true);
        (Lenient { inner: stream, rewriter: Rewriter::default(), pending: Vec::new(), sent: 0 }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peer(Option<SocketAddr>);

impl Peer {
    /// Its address, if it is known.
    pub(crate) fn ip(self) -> Option<IpAddr> {
        self.0.map(|address| address.ip())
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self(Some(address))
    }
}

impl Connected<IncomingStream<'_, LenientListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, LenientListener>) -> Self {
        Self(Some(*stream.remote_addr()))
    }
}

/// A connection whose request lines are rewritten.
#[derive(Debug)]
pub(crate) struct Lenient<S> {
    inner: S,
    rewriter: Rewriter,
    pending: Vec<u8>,
    sent: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Lenient<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.sent == this.pending.len() {
            this.pending.clear();
            this.sent = 0;
            if this.rewriter.part == Part::Untouched {
                return Pin::new(&mut this.inner).poll_read(cx, buf);
            }
            let mut bytes = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut read))?;
            this.rewriter.rewrite(read.filled(), &mut this.pending);
        }
        let rest = &this.pending[this.sent..];
        let fits = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..fits]);
        this.sent += fits;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lenient<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// Where in a request the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    RequestLine,
    Headers,
    Body {
        rest: u64,
    },
    Untouched,
}

#[derive(Debug, Default)]
struct Rewriter {
    part: Part,
    /// The header line so far, cut off at `HEADER_BYTES_MAX`.
    line: Vec<u8>,
    body_bytes: Option<u64>,
}

impl Rewriter {
    fn rewrite(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let Some((byte, after)) = bytes.split_first() {
            match self.part {
                Part::Untouched => {
                    out.extend_from_slice(bytes);
                    return;
                }
                Part::Body { rest } => {
                    let now = bytes.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
                    out.extend_from_slice(&bytes[..now]);
                    bytes = &bytes[now..];
                    let rest = rest - now as u64;
                    self.part = if rest == 0 { Part::RequestLine } else { Part::Body { rest } };
                    continue;
                }
                Part::RequestLine => match byte {
                    b'"' => out.extend_from_slice(QUOTE),
                    b'<' => out.extend_from_slice(LESS),
                    b'>' => out.extend_from_slice(GREATER),
                    _ => {
                        out.push(*byte);
                        self.line.push(*byte);
                        if *byte == b'\n' {
                            // Empty lines before a request are allowed.
                            self.part = if self.line.len() > 2 { Part::Headers } else { Part::RequestLine };
                            self.line.clear();
                        }
                        self.line.truncate(HEADER_BYTES_MAX);
                    }
                },
                Part::Headers => {
                    out.push(*byte);
                    if *byte == b'\n' {
                        self.end_of_header();
                        self.line.clear();
                    } else if self.line.len() < HEADER_BYTES_MAX {
                        self.line.push(*byte);
                    }
                }
            }
            bytes = after;
        }
    }

    fn end_of_header(&mut self) {
        let line = self.line.trim_ascii();
        if line.is_empty() {
            let body = self.body_bytes.take().unwrap_or(0);
            self.part = if body == 0 { Part::RequestLine } else { Part::Body { rest: body } };
            return;
        }
        let Some(colon) = line.iter().position(|b| *b == b':') else { return };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            match (length, self.body_bytes) {
                (Some(length), None) => self.body_bytes = Some(length),
                _ => self.part = Part::Untouched,
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") || name.eq_ignore_ascii_case(b"upgrade") {
            self.part = Part::Untouched;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str, chunk: usize) -> String {
        let (mut rewriter, mut out) = (Rewriter::default(), Vec::new());
        text.as_bytes().chunks(chunk).for_each(|part| rewriter.rewrite(part, &mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn request_lines_are_rewritten_and_nothing_else() {
        let requests = "GET /m?c=[\"a\"] HTTP/1.1\r\nX: \"h\"\r\n\r\nPOST /m HTTP/1.1\r\nContent-Length: 7\r\n\r\n[\"\n\n\"]\
                        \nGET /\"<> HTTP/1.1\r\n\r\n";
        let want = "GET /m?c=[%22a%22] HTTP/1.1\r\nX: \"h\"\r\n\r\nPOST /m HTTP/1.1\r\nContent-Length: 7\r\n\r\n[\"\n\n\"]\
                    \nGET /%22%3C%3E HTTP/1.1\r\n\r\n";
        for chunk in [1, 2, 7, 1000] {
            assert_eq!(rewritten(requests, chunk), want, "in chunks of {chunk}");
        }
    }

    #[test]
    fn what_is_not_understood_passes_as_it_is() {
        let chunked =
            "POST /m HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\"\"\"\r\n0\r\n\r\nGET /\" HTTP/1.1\r\n\r\n";
        assert_eq!(rewritten(chunked, 5), chunked);
        let twice = "POST /m HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n\"\"GET /\" HTTP/1.1\r\n\r\n";
        assert_eq!(rewritten(twice, 3), twice);
    }
}
