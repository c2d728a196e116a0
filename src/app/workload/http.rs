//! HTTP/1.1 as a client speaks it (RFC 9112): the same GET again and again, and whatever response
//! framing the server chooses.

use super::CloseBy;
use super::dialogue::{Answer, Dialogue};
use super::load::LoadConfig;
use super::rr::Standing;
use core::fmt::{self, Write};
use std::sync::Arc;

/// The workload `http`.
pub type Http = Standing<Client>;

/// The longest head of a response that is waited for, in octets.
const LONGEST_HEAD: usize = 64 * 1024;
/// Fields that a response may have.
const MOST_FIELDS: usize = 128;

/// What to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The head of a request, with its empty line.
    plain: Arc<[u8]>,
    /// The same, asking the server to close after it.
    last: Arc<[u8]>,
}

/// What makes no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// This is no host.
    Host(String),
    /// This is no path.
    Path(String),
    /// This is no field.
    Field(String),
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadRequest::Host(host) => {
                write!(
                    f,
                    "{host}: the name or address of a host is expected, as in example.org:8080"
                )
            }
            BadRequest::Path(path) => {
                write!(f, "{path}: a path is expected that begins with / and has no spaces")
            }
            BadRequest::Field(field) => {
                write!(f, "{field}: NAME: VALUE is expected, as in 'Accept: text/html'")
            }
        }
    }
}

impl core::error::Error for BadRequest {}

impl Request {
    /// A GET of `path` at `host`, with more `fields` as `Name: value`.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn get(host: &str, path: &str, fields: &[String]) -> Result<Self, BadRequest> {
        let visible = |text: &str| text.bytes().all(|octet| (b'!'..=b'~').contains(&octet));
        if host.is_empty() || !visible(host) {
            return Err(BadRequest::Host(host.to_owned()));
        }
        if !path.starts_with('/') || !visible(path) {
            return Err(BadRequest::Path(path.to_owned()));
        }
        let mut head = format!("GET {path} HTTP/1.1\r\n");
        let names: Vec<String> = fields
            .iter()
            .map(|field| match field.split_once(':') {
                Some((name, value))
                    if !name.is_empty()
                        && visible(name)
                        && !value.contains(|c: char| c.is_control() && c != '\t') =>
                {
                    Ok(name.to_ascii_lowercase())
                }
                _ => Err(BadRequest::Field(field.clone())),
            })
            .collect::<Result<_, _>>()?;
        for (name, value) in [("Host", host), ("User-Agent", "lastack"), ("Accept", "*/*")] {
            if !names.contains(&name.to_ascii_lowercase()) {
                let _ = write!(head, "{name}: {value}\r\n");
            }
        }
        for field in fields {
            let _ = write!(head, "{field}\r\n");
        }
        let last = format!("{head}Connection: close\r\n\r\n");
        let plain = head + "\r\n";
        Ok(Request { plain: plain.into_bytes().into(), last: last.into_bytes().into() })
    }
}

/// The octets that follow a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Body {
    /// The head has not ended yet.
    #[default]
    Head,
    /// So many octets are still to come.
    Length(u64),
    /// In chunks (RFC 9112 §7.1).
    Chunks(Chunk),
    /// Until the server closes.
    Open,
}

/// Where in a body of chunks the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// In the size of a chunk, of which this was read; `true`: in its extension, which is skipped.
    Size(u64, bool),
    /// In a chunk with so many octets to come, its CR LF among them.
    Data(u64),
    /// In the trailer: octets of the line so far, without CR.
    Trailer(u32),
}

/// What has arrived of a response.
#[derive(Debug, Default)]
pub struct Reading {
    /// The beginning of a head that came in pieces.
    head: Vec<u8>,
    body: Body,
    answer: Option<Answer>,
}

/// The client's side of HTTP/1.1.
#[derive(Debug)]
pub struct Client {
    request: Request,
    server_closes: bool,
}

/// What a head says.
struct Head {
    len: usize,
    body: Body,
    answer: Answer,
    /// A response of its own follows (RFC 9110 §15.2).
    interim: bool,
}

impl Client {
    fn last(&self) -> &[u8] {
        if self.server_closes { &self.request.last } else { &self.request.plain }
    }
}

/// Reads a head if all of it is there. An error is no HTTP.
fn head_of(bytes: &[u8]) -> Result<Option<Head>, ()> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let len = match response.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST_HEAD => return Ok(None),
        _ => return Err(()),
    };
    let status = response.code.ok_or(())?;
    let mut last = response.version == Some(0);
    let (mut length, mut chunked) = (None, false);
    for field in response.headers.iter() {
        let has = |token: &str| {
            let value = core::str::from_utf8(field.value).unwrap_or_default();
            value.split(',').any(|item| item.trim().eq_ignore_ascii_case(token))
        };
        if field.name.eq_ignore_ascii_case("content-length") {
            let value = core::str::from_utf8(field.value).map_err(|_| ())?.trim();
            let digits = !value.is_empty() && value.bytes().all(|octet| octet.is_ascii_digit());
            length = Some(value.parse::<u64>().ok().filter(|_| digits).ok_or(())?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            chunked |= has("chunked");
        } else if field.name.eq_ignore_ascii_case("connection") {
            last = has("close") || last && !has("keep-alive");
        }
    }
    // RFC 9112 §6.3; the request is a GET
    let body = match length {
        _ if matches!(status, 100..=199 | 204 | 304) => Body::Length(0),
        _ if chunked => Body::Chunks(Chunk::Size(0, false)),
        Some(length) => Body::Length(length),
        None => {
            last = true;
            Body::Open
        }
    };
    let answer = Answer { good: status < 400, last };
    Ok(Some(Head { len, body, answer, interim: (100..=199).contains(&status) }))
}

impl Chunk {
    /// Takes octets of a body of chunks. Returns how many, and the state after them; `None` for the
    /// state if the body has ended. An error is no chunk.
    fn take(mut self, data: &[u8]) -> Result<(usize, Option<Chunk>), ()> {
        let mut at = 0;
        while at < data.len() {
            if let Chunk::Data(left) = self {
                let part = left.min((data.len() - at) as u64);
                at += part as usize;
                let left = left - part;
                self = if left > 0 { Chunk::Data(left) } else { Chunk::Size(0, false) };
                continue;
            }
            let octet = data[at];
            at += 1;
            self = match (self, octet) {
                (_, b'\r') => self,
                (Chunk::Size(0, _), b'\n') => Chunk::Trailer(0),
                (Chunk::Size(size, _), b'\n') => Chunk::Data(size.checked_add(2).ok_or(())?),
                (Chunk::Size(size, true), _) => Chunk::Size(size, true),
                (Chunk::Size(size, _), b';' | b' ' | b'\t') => Chunk::Size(size, true),
                (Chunk::Size(size, _), digit) => {
                    let digit = char::from(digit).to_digit(16).ok_or(())?;
                    let size = size.checked_mul(16).and_then(|size| size.checked_add(digit.into()));
                    Chunk::Size(size.ok_or(())?, false)
                }
                (Chunk::Trailer(0), b'\n') => return Ok((at, None)),
                (Chunk::Trailer(_), b'\n') => Chunk::Trailer(0),
                (Chunk::Trailer(octets), _) => Chunk::Trailer(octets.saturating_add(1)),
                (Chunk::Data(_), _) => self,
            };
        }
        Ok((at, Some(self)))
    }
}

impl Reading {
    /// Reads the head, or more of it. Returns how many octets of `data` belong to it.
    fn read_head(&mut self, data: &[u8]) -> Result<usize, ()> {
        let before = self.head.len();
        let found = if before == 0 {
            head_of(data)?
        } else {
            self.head.extend_from_slice(data);
            head_of(&self.head)?
        };
        let Some(Head { len, body, answer, interim }) = found else {
            if before == 0 {
                self.head.extend_from_slice(data);
            }
            return Ok(data.len());
        };
        self.head.clear();
        if !interim {
            (self.body, self.answer) = (body, Some(answer));
        }
        Ok(len - before)
    }

    /// Takes octets of the body; returns how many. It has ended if the answer was handed out.
    fn read_body(&mut self, data: &[u8]) -> Result<usize, ()> {
        match self.body {
            Body::Head => Ok(0),
            Body::Length(left) => {
                let part = left.min(data.len() as u64);
                self.body = Body::Length(left - part);
                Ok(part as usize)
            }
            Body::Chunks(chunk) => {
                let (taken, next) = chunk.take(data)?;
                self.body = next.map_or(Body::Length(0), Body::Chunks);
                Ok(taken)
            }
            Body::Open => Ok(data.len()),
        }
    }
}

impl Dialogue for Client {
    type Reading = Reading;

    /// # Panics
    /// If the load has no request.
    fn new(config: &LoadConfig) -> Self {
        let request = config.http.clone().expect("a load of HTTP has a request");
        Client { request, server_closes: config.close == CloseBy::Server }
    }

    fn request_len(&self, last: bool) -> u32 {
        if last { self.last() } else { &self.request.plain }.len() as u32
    }

    fn send(&self, unsent: u64, last: bool, mut write: impl FnMut(&[u8]) -> usize) -> u64 {
        let mut left = unsent;
        while left > 0 {
            // what is to be sent ends with whole requests, of which the last may be another
            let end = if last { self.last() } else { &self.request.plain };
            let offered = match left.checked_sub(end.len() as u64) {
                None | Some(0) => &end[end.len() - left as usize..],
                Some(before) => {
                    let plain = &self.request.plain;
                    let of_first = (before - 1) % plain.len() as u64 + 1;
                    &plain[plain.len() - of_first as usize..]
                }
            };
            let taken = write(offered);
            left -= taken as u64;
            if taken < offered.len() {
                break;
            }
        }
        left
    }

    fn read(
        &self,
        reading: &mut Reading,
        mut data: &[u8],
        mut under_way: u16,
        mut answered: impl FnMut(Answer),
    ) -> bool {
        loop {
            let taken = match reading.body {
                Body::Head if data.is_empty() => return true,
                Body::Head if under_way == 0 => return false,
                Body::Head => reading.read_head(data),
                _ => reading.read_body(data),
            };
            let Ok(taken) = taken else { return false };
            data = &data[taken..];
            if reading.body == Body::Length(0) {
                reading.body = Body::Head;
                under_way -= 1;
                let answer = reading.answer.take();
                answered(answer.unwrap_or(Answer { good: false, last: true }));
            } else if data.is_empty() {
                return true;
            }
        }
    }

    fn ended(&self, reading: &mut Reading) -> Option<Answer> {
        let open = core::mem::take(&mut reading.body) == Body::Open;
        reading.answer.take().filter(|_| open)
    }
}

#[cfg(test)]
mod tests;
