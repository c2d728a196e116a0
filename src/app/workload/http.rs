//! HTTP/1.1 as a client speaks it (RFC 9112): the same GET again and again, and whatever response
//! framing the server chooses.

mod response;

use super::CloseBy;
use super::dialogue::{Answer, Dialogue, Progress};
use super::load::LoadConfig;
use super::rr::Standing;
use core::fmt::{self, Write};
pub use response::Reading;
use std::sync::Arc;

/// The workload `http`.
pub type Http = Standing<Client>;

/// What to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The head of a request, with its empty line.
    plain: Arc<[u8]>,
    /// The same, asking the server to close after it.
    last: Arc<[u8]>,
    /// It asks for another protocol (RFC 9110 §7.8).
    upgrades: bool,
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
        let upgrades = names.iter().any(|name| name == "upgrade");
        Ok(Request { plain: plain.into_bytes().into(), last: last.into_bytes().into(), upgrades })
    }
}

/// The client's side of HTTP/1.1.
#[derive(Debug)]
pub struct Client {
    request: Request,
    server_closes: bool,
}

impl Client {
    fn last(&self) -> &[u8] {
        if self.server_closes { &self.request.last } else { &self.request.plain }
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

    #[inline]
    fn read(
        &self,
        reading: &mut Reading,
        data: &[u8],
        under_way: u16,
        answered: impl FnMut(Answer),
    ) -> Result<(), &'static str> {
        reading.read(data, under_way, self.request.upgrades, answered)
    }

    fn ended(&self, reading: &mut Reading) -> Option<Answer> {
        reading.ended()
    }

    fn progress(&self, reading: &Reading) -> Option<Progress> {
        reading.progress()
    }

    /// A GET is idempotent (RFC 9110 §9.2.2).
    fn may_repeat(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
