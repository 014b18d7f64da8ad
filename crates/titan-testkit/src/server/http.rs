//! As much of HTTP/1.1 as a client of a model needs: requests with a length, chunked replies, kept connections.

use bytes::{Buf, BytesMut};
use std::io::{Error, ErrorKind, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

const HEAD_BYTES_MAX: usize = 64 * 1024;
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A request's head and body, not yet understood.
pub(super) struct RawRequest {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// The reading side of a connection.
pub(super) struct Reader {
    half: OwnedReadHalf,
    buffer: BytesMut,
}

impl Reader {
    pub(super) fn new(half: OwnedReadHalf) -> Self {
        Self {
            half,
            buffer: BytesMut::with_capacity(8 * 1024),
        }
    }

    /// The next request; `None` when the client closed between two.
    pub(super) async fn request(&mut self) -> Result<Option<RawRequest>> {
        let head_end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(invalid("the head is longer than 64 KiB"));
            }
            if self.half.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        self.buffer.advance(head_end + 4);
        let mut request = parse_head(&head)?;
        let length = body_length(&request.headers)?;
        while self.buffer.len() < length {
            if self.half.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
        request.body = self.buffer.split_to(length).to_vec();
        Ok(Some(request))
    }

    /// Returns when the client has closed its side. Safe to drop: what is read early is kept.
    pub(super) async fn closed(&mut self) {
        // A client that pipelines more than this has nothing to wait for here.
        while self.buffer.len() <= HEAD_BYTES_MAX {
            if !matches!(self.half.read_buf(&mut self.buffer).await, Ok(n) if n > 0) {
                return;
            }
        }
        std::future::pending().await
    }
}

fn parse_head(head: &str) -> Result<RawRequest> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(path), Some("HTTP/1.1")) = (words.next(), words.next(), words.next())
    else {
        return Err(invalid("the first line is not of HTTP/1.1"));
    };
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(RawRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body: Vec::new(),
    })
}

fn body_length(headers: &[(String, String)]) -> Result<usize> {
    let value_of = |name: &str| headers.iter().find(|(key, _)| key == name);
    if value_of("transfer-encoding").is_some() {
        return Err(invalid("a body without a length is not read here"));
    }
    let Some((_, length)) = value_of("content-length") else {
        return Ok(0);
    };
    match length.parse() {
        Ok(length) if length <= BODY_BYTES_MAX => Ok(length),
        _ => Err(invalid("the length of the body is no number up to 64 MiB")),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

fn invalid(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why)
}

/// The writing side of a connection.
pub(super) struct Writer {
    half: OwnedWriteHalf,
    buffer: Vec<u8>,
    /// The connection ends with a reset.
    is_reset: bool,
}

impl Writer {
    pub(super) fn new(half: OwnedWriteHalf) -> Self {
        Self {
            half,
            buffer: Vec::with_capacity(1024),
            is_reset: false,
        }
    }

    /// A reply that is there as a whole.
    pub(super) async fn whole(
        &mut self,
        status: u16,
        headers: &[(String, String)],
        content_type: &str,
        body: &[u8],
    ) -> Result<()> {
        self.head(status, headers, content_type);
        let length = format!("content-length: {}\r\n\r\n", body.len());
        self.buffer.extend_from_slice(length.as_bytes());
        self.buffer.extend_from_slice(body);
        self.flush().await
    }

    /// The head of a reply that streams; goes out with the first chunk or at [`Writer::flush`].
    pub(super) fn open_stream(&mut self, headers: &[(String, String)], content_type: &str) {
        self.head(200, headers, content_type);
        let rest = b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
        self.buffer.extend_from_slice(rest);
    }

    /// A piece of a streaming reply.
    pub(super) async fn chunk(&mut self, bytes: &[u8]) -> Result<()> {
        let length = format!("{:x}\r\n", bytes.len());
        self.buffer.extend_from_slice(length.as_bytes());
        self.buffer.extend_from_slice(bytes);
        self.buffer.extend_from_slice(b"\r\n");
        self.flush().await
    }

    /// The proper end of a streaming reply.
    pub(super) async fn close_stream(&mut self) -> Result<()> {
        self.buffer.extend_from_slice(b"0\r\n\r\n");
        self.flush().await
    }

    /// Bytes that are no HTTP.
    pub(super) async fn verbatim(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.flush().await
    }

    /// Makes the close of this connection a reset.
    pub(super) fn reset(&mut self) -> Result<()> {
        self.is_reset = true;
        self.half.as_ref().set_zero_linger()
    }

    /// Closes this side. A side that is dropped says goodbye first, which a reset does not.
    pub(super) fn end(self) {
        if self.is_reset {
            self.half.forget();
        }
    }

    pub(super) async fn flush(&mut self) -> Result<()> {
        let written = self.half.write_all(&self.buffer).await;
        self.buffer.clear();
        written
    }

    fn head(&mut self, status: u16, headers: &[(String, String)], content_type: &str) {
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-type: {content_type}\r\n"));
        self.buffer.extend_from_slice(head.as_bytes());
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        529 => "Overloaded",
        _ => "Status",
    }
}
