//! Responses as they arrive: as tolerant as curl is where nothing depends on it, and strict about what says
//! where a response ends (RFC 9112 §6.3).

use crate::app::chunked::Chunks;
use crate::app::workload::dialogue::{Answer, Progress};
use core::mem::MaybeUninit;
use httparse::{Error, ParserConfig, Status};

/// The longest head of a response that is waited for, in octets.
const LONGEST_HEAD: usize = 64 * 1024;
/// Fields that a response may have.
const MOST_FIELDS: usize = 128;
/// Interim responses before one that is final.
const MOST_INTERIM: u8 = 64;

/// The octets that follow a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// The head has not ended yet.
    #[default]
    Head,
    /// So many octets are still to come.
    Length(u64),
    /// In chunks (RFC 9112 §7.1).
    Chunks(Chunks),
    /// Until the server closes.
    Open,
}

/// What has arrived of a response.
#[derive(Debug, Default)]
pub struct Reading {
    /// The beginning of a head that came in pieces.
    pub(super) head: Vec<u8>,
    pub(super) body: Body,
    answer: Option<Answer>,
    /// Octets of content so far.
    content: u64,
    /// Interim responses so far.
    interim: u8,
}

/// What a head says.
struct Head {
    len: usize,
    body: Body,
    answer: Answer,
    /// A response of its own follows (RFC 9110 §15.2).
    interim: bool,
}

/// The fields that say where a response ends, and what comes after it.
#[derive(Default)]
struct Framing {
    length: Option<u64>,
    /// Transfer codings are named.
    coded: bool,
    /// The last of them is chunked.
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Framing {
    fn of(fields: &[httparse::Header<'_>]) -> Result<Self, &'static str> {
        let mut framing = Framing::default();
        for field in fields {
            // the lengths tell most fields from these
            match field.name.len() {
                14 if field.name.eq_ignore_ascii_case("content-length") => {
                    framing.add_length(field.value)?;
                }
                17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                    framing.add_codings(field.value)?;
                }
                10 if field.name.eq_ignore_ascii_case("connection") => {
                    for option in items(field.value) {
                        framing.close |= option.eq_ignore_ascii_case(b"close");
                        framing.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                _ => {}
            }
        }
        Ok(framing)
    }

    /// RFC 9110 §8.6: a list of equal lengths is that length; any other list is no length.
    fn add_length(&mut self, value: &[u8]) -> Result<(), &'static str> {
        for item in items(value) {
            let digits = !item.is_empty() && item.iter().all(u8::is_ascii_digit);
            let text = core::str::from_utf8(item).ok().filter(|_| digits);
            let length = text.and_then(|text| text.parse().ok()).ok_or("Content-Length")?;
            if self.length.is_some_and(|other| other != length) {
                return Err("Content-Length fields that differ");
            }
            self.length = Some(length);
        }
        Ok(())
    }

    fn add_codings(&mut self, value: &[u8]) -> Result<(), &'static str> {
        for item in items(value).filter(|item| !item.is_empty()) {
            let name = item.split(|&octet| octet == b';').next().unwrap_or_default();
            let chunked = name.trim_ascii().eq_ignore_ascii_case(b"chunked");
            if chunked && self.chunked {
                return Err("Transfer-Encoding that is chunked twice"); // RFC 9112 §7.1
            }
            (self.coded, self.chunked) = (true, chunked);
        }
        Ok(())
    }
}

/// The items of a list (RFC 9110 §5.6.1), without the blanks around them and the ends of folded lines.
fn items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&octet| octet == b',').map(<[u8]>::trim_ascii)
}

/// Parses a head: blanks before a colon, folded lines and more than one blank in the status line are
/// taken, as RFC 9112 §5 wants of a user agent.
fn parse<'b>(
    bytes: &'b [u8],
    fields: &'b mut [MaybeUninit<httparse::Header<'b>>],
    skips_lines: bool,
) -> Result<Option<(usize, httparse::Response<'b, 'b>)>, Error> {
    let mut config = ParserConfig::default();
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .allow_space_before_first_header_name(true)
        .ignore_invalid_headers_in_responses(skips_lines);
    let mut response = httparse::Response::new(&mut []);
    match config.parse_response_with_uninit_headers(&mut response, bytes, fields)? {
        Status::Partial => Ok(None),
        Status::Complete(len) => Ok(Some((len, response))),
    }
}

/// Reads a head if all of it is there. An error says what is wrong with it.
fn head_of(bytes: &[u8], upgrades: bool) -> Result<Option<Head>, &'static str> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    match parse(bytes, &mut fields, false) {
        Ok(found) => judge(found, bytes, upgrades),
        Err(error @ (Error::HeaderName | Error::HeaderValue)) => skip_lines(bytes, error, upgrades),
        Err(error) => Err(fault(error)),
    }
}

/// Reads a head with lines that are no fields: they are skipped, unless one may have been meant to say
/// where the response ends.
#[cold]
fn skip_lines(bytes: &[u8], error: Error, upgrades: bool) -> Result<Option<Head>, &'static str> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let found = parse(bytes, &mut fields, true).map_err(fault)?;
    if let Some((len, response)) = &found {
        let count = |name: &[u8]| {
            let head = bytes[..*len].split(|&octet| octet == b'\n').skip(1);
            head.filter(|line| line.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name)))
                .count()
        };
        for name in ["content-length", "transfer-encoding"] {
            let parsed = response.headers.iter().filter(|field| {
                field.name.eq_ignore_ascii_case(name)
                    || field
                        .value
                        .windows(name.len())
                        .any(|part| part.eq_ignore_ascii_case(name.as_bytes()))
            });
            if parsed.count() < count(name.as_bytes()) {
                return Err(fault(error));
            }
        }
    }
    judge(found, bytes, upgrades)
}

fn judge(
    found: Option<(usize, httparse::Response<'_, '_>)>,
    bytes: &[u8],
    upgrades: bool,
) -> Result<Option<Head>, &'static str> {
    let Some((len, response)) = found else {
        let more = bytes.len() < LONGEST_HEAD;
        return if more { Ok(None) } else { Err("a head of more than 64 KiB") };
    };
    let status = response.code.ok_or("status line")?;
    let old = response.version == Some(0);
    let mut answer = Answer { good: (100..=399).contains(&status), last: false };
    let interim = match status {
        // RFC 9110 §15.2.2: what follows is of another protocol, if anybody asked for one
        101 if upgrades => {
            answer.last = true;
            return Ok(Some(Head { len, body: Body::Length(0), answer, interim: false }));
        }
        101 => return Err("101 Switching Protocols, which was not asked for"),
        status => (100..=199).contains(&status),
    };
    if interim || status == 204 || status == 304 {
        // RFC 9112 §6.3: no content, whatever the fields say, of which only one counts here
        let close = Framing::of(response.headers)
            .map(|framing| framing.close || old && !framing.keep_alive);
        answer.last = close.unwrap_or(true);
        return Ok(Some(Head { len, body: Body::Length(0), answer, interim }));
    }
    let framing = Framing::of(response.headers)?;
    answer.last = framing.close || old && !framing.keep_alive;
    // RFC 9112 §6.3; the request is a GET
    let body = match framing.length {
        // "ought to be handled as an error": one of the two says where another response would begin
        Some(_) if framing.coded => return Err("Transfer-Encoding and Content-Length"),
        Some(length) => Body::Length(length),
        None if framing.chunked => Body::Chunks(Chunks::default()),
        None => {
            answer.last = true;
            Body::Open
        }
    };
    // RFC 9112 §6.1: transfer codings of HTTP/1.0 are faulty framing; nothing is to follow
    answer.last |= framing.coded && old;
    Ok(Some(Head { len, body, answer, interim }))
}

#[cold]
fn fault(error: Error) -> &'static str {
    match error {
        Error::HeaderName => "field name",
        Error::HeaderValue => "field value",
        Error::NewLine => "end of a line",
        Error::Status => "status",
        Error::Token => "status line",
        Error::TooManyHeaders => "more than 128 fields",
        Error::Version => "HTTP version",
    }
}

impl Reading {
    /// Reads the head, or more of it. Returns how many octets of `data` belong to it.
    fn read_head(&mut self, data: &[u8], upgrades: bool) -> Result<usize, &'static str> {
        let before = self.head.len();
        let found = if before == 0 {
            head_of(data, upgrades)?
        } else {
            self.head.extend_from_slice(data);
            // a head ends with a line
            let look = data.contains(&b'\n') || self.head.len() >= LONGEST_HEAD;
            if look { head_of(&self.head, upgrades)? } else { None }
        };
        let Some(Head { len, body, answer, interim }) = found else {
            if before == 0 {
                self.head.extend_from_slice(data);
            }
            return Ok(data.len());
        };
        self.head.clear();
        if interim {
            self.interim += 1;
            if self.interim > MOST_INTERIM {
                return Err("more than 64 interim responses");
            }
        } else {
            (self.body, self.answer, self.content) = (body, Some(answer), 0);
        }
        Ok(len - before)
    }

    /// Takes octets of the body; returns how many.
    fn read_body(&mut self, data: &[u8]) -> Result<usize, &'static str> {
        let taken = match &mut self.body {
            Body::Head => 0,
            Body::Length(left) => {
                let part = (*left).min(data.len() as u64);
                *left -= part;
                self.content += part;
                part as usize
            }
            Body::Chunks(chunks) => {
                let taken = chunks.take(data)?;
                self.content += taken.content;
                if taken.ended {
                    self.body = Body::Length(0);
                }
                taken.octets
            }
            Body::Open => {
                self.content += data.len() as u64;
                data.len()
            }
        };
        Ok(taken)
    }

    /// Takes octets of responses to the `under_way` requests and hands out their answers, up to the last
    /// one that the server gives.
    pub fn read(
        &mut self,
        mut data: &[u8],
        mut under_way: u16,
        upgrades: bool,
        mut answered: impl FnMut(Answer),
    ) -> Result<(), &'static str> {
        loop {
            let taken = match self.body {
                Body::Head if data.is_empty() => return Ok(()),
                Body::Head if under_way == 0 => return Err("octets that were not asked for"),
                Body::Head => self.read_head(data, upgrades)?,
                _ => self.read_body(data)?,
            };
            data = &data[taken..];
            if self.body == Body::Length(0) {
                (self.body, self.interim) = (Body::Head, 0);
                under_way -= 1;
                let answer = self.answer.take();
                let answer = answer.unwrap_or(Answer { good: false, last: true });
                answered(answer);
                if answer.last {
                    return Ok(());
                }
            } else if data.is_empty() {
                return Ok(());
            }
        }
    }

    /// The server has closed its direction: the answer that this completes.
    pub fn ended(&mut self) -> Option<Answer> {
        let answer = self.answer.filter(|_| self.body == Body::Open)?;
        *self = Reading::default();
        Some(answer)
    }

    /// How far a response is that has begun.
    pub fn progress(&self) -> Option<Progress> {
        match self.body {
            Body::Head if self.head.is_empty() => None,
            Body::Head => Some(Progress::Head(self.head.len() as u64)),
            Body::Length(left) => Some(Progress::Body(self.content, Some(self.content + left))),
            Body::Chunks(_) | Body::Open => Some(Progress::Body(self.content, None)),
        }
    }
}
