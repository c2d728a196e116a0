//! A response as a value: small, and able to write any part of itself at any time.
//!
//! What the send buffer had no room for need not be kept: the response is written again from where
//! it stopped.

use std::io::Write;

/// The period of the body of `/bytes/N`: a prime, so that no lost or repeated run of a power of two
/// octets goes unnoticed.
const PERIOD: usize = 251;
/// Octets of the body that one write offers at most.
const CHUNK: usize = 64 * 1024;

/// Octet `at` of the body of `/bytes/N`.
///
/// ```
/// use lastack::app::http::body_octet;
///
/// assert_eq!([body_octet(0), body_octet(250), body_octet(251)], [0, 250, 0]);
/// ```
pub const fn body_octet(at: u64) -> u8 {
    (at % PERIOD as u64) as u8
}

static PATTERN: [u8; PERIOD + CHUNK] = {
    let mut pattern = [0; PERIOD + CHUNK];
    let mut at = 0;
    while at < pattern.len() {
        pattern[at] = body_octet(at as u64);
        at += 1;
    }
    pattern
};

const PAGE: &str = "<!DOCTYPE html>\n<title>lastack</title>\n<p>It works. Try <a href=\"/bytes/1000\">/bytes/1000</a>.\n";

/// The status of a response (RFC 9110 §15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 200
    Ok,
    /// 400
    BadRequest,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 408
    RequestTimeout,
    /// 414
    TargetTooLong,
    /// 431 (RFC 6585 §5)
    FieldsTooLarge,
    /// 501
    NotImplemented,
    /// 503
    Unavailable,
    /// 505
    VersionNotSupported,
}

impl Status {
    /// Code and reason phrase, as in the status line.
    const fn line(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::BadRequest => "400 Bad Request",
            Status::NotFound => "404 Not Found",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::RequestTimeout => "408 Request Timeout",
            Status::TargetTooLong => "414 URI Too Long",
            Status::Unavailable => "503 Service Unavailable",
            Status::FieldsTooLarge => "431 Request Header Fields Too Large",
            Status::NotImplemented => "501 Not Implemented",
            Status::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Page,
    Pattern,
    /// The status line.
    Status,
}

/// A response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    length: u64,
    status: Status,
    body: Body,
    head_only: bool,
    keep: bool,
    old_client: bool,
}

impl Response {
    const fn new(status: Status, body: Body, length: u64) -> Self {
        Response { length, status, body, head_only: false, keep: false, old_client: false }
    }

    /// The page at `/`.
    pub const fn page() -> Self {
        Response::new(Status::Ok, Body::Page, PAGE.len() as u64)
    }

    /// `length` octets of the pattern.
    pub const fn bytes(length: u64) -> Self {
        Response::new(Status::Ok, Body::Pattern, length)
    }

    /// An error; it ends the connection unless [`persistent`](Self::persistent) says otherwise.
    pub const fn error(status: Status) -> Self {
        Response::new(status, Body::Status, status.line().len() as u64 + 1)
    }

    /// The same without its body, for HEAD.
    pub const fn head_only(self) -> Self {
        Response { head_only: true, ..self }
    }

    /// Does the connection go on after this response, and is the client one of HTTP/1.0?
    pub const fn persistent(self, keep: bool, old_client: bool) -> Self {
        Response { keep, old_client, ..self }
    }

    /// Does the connection go on after this response?
    pub const fn keeps_connection(&self) -> bool {
        self.keep
    }

    /// Octets of the body on the wire.
    pub const fn body_len(&self) -> u64 {
        if self.head_only { 0 } else { self.length }
    }

    /// Appends status line and fields.
    pub fn write_head(&self, out: &mut Vec<u8>) {
        let content_type = match self.body {
            Body::Page => "text/html; charset=utf-8",
            Body::Pattern => "application/octet-stream",
            Body::Status => "text/plain",
        };
        let allow = match self.status {
            Status::MethodNotAllowed => "Allow: GET, HEAD\r\n", // RFC 9110 §15.5.6
            _ => "",
        };
        let connection = match (self.keep, self.old_client) {
            (true, false) => "",
            (true, true) => "Connection: keep-alive\r\n",
            (false, _) => "Connection: close\r\n",
        };
        write!(
            out,
            "HTTP/1.1 {}\r\nServer: lastack\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}{connection}\r\n",
            self.status.line(),
            self.length,
        )
        .expect("writing to a vector cannot fail");
    }

    /// A run of the body from `offset` on, as long as is at hand; empty at its end.
    pub fn body_from(&self, offset: u64) -> &'static [u8] {
        let left = self.body_len().saturating_sub(offset);
        let run = match self.body {
            Body::Pattern => &PATTERN[usize::from(body_octet(offset))..][..CHUNK],
            Body::Page => &PAGE.as_bytes()[offset.min(self.length) as usize..],
            Body::Status => {
                let line = self.status.line().as_bytes();
                if offset as usize == line.len() {
                    b"\n"
                } else {
                    line.get(offset as usize..).unwrap_or(b"")
                }
            }
        };
        &run[..left.min(run.len() as u64) as usize]
    }
}
