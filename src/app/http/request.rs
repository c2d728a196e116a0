//! What a request head asks for. Pure: octets in, a judgement out.

use super::response::{Response, Status};
use core::mem::MaybeUninit;

/// The longest request line, in octets (RFC 9112 §3: at least 8,000).
pub const MAX_LINE: usize = 8 * 1024;
/// The longest head, request line and fields, in octets.
pub const MAX_HEAD: usize = 16 * 1024;
/// The most fields in a head.
const MAX_FIELDS: usize = 64;
/// The longest body that `/bytes/N` gives.
const MAX_BYTES: u64 = 1 << 40;

/// What the start of the input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// The beginning of a head, so far without fault.
    Partial,
    /// A head of `len` octets; the request can be answered, and its body has `body` octets.
    Complete {
        /// Octets of the head.
        len: usize,
        /// Octets of the body that follows.
        body: u64,
        /// The answer.
        response: Response,
    },
    /// It cannot be told where the request ends: answer, and read no further.
    Hopeless(Response),
}

/// Judges the head at the start of `input`.
pub fn parse(input: &[u8]) -> Head {
    if input.len() >= MAX_LINE
        && let Some(response) = too_long(&input[..MAX_LINE])
    {
        return Head::Hopeless(response);
    }
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(input, &mut fields) {
        Ok(httparse::Status::Partial) => return Head::Partial,
        Ok(httparse::Status::Complete(len)) => len,
        Err(httparse::Error::TooManyHeaders) => return hopeless(Status::FieldsTooLarge),
        Err(httparse::Error::Version) => return other_version(input),
        Err(_) => return hopeless(Status::BadRequest),
    };
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return hopeless(Status::BadRequest);
    };
    let facts = match Facts::of(request.headers) {
        Ok(facts) => facts,
        Err(status) => return hopeless(status),
    };
    if minor == 1 && facts.hosts != 1 || facts.hosts > 1 || !is_target(method, target) {
        return hopeless(Status::BadRequest); // RFC 9112 §3.2
    }
    if facts.transfer_coding {
        // RFC 9112 §6.1: with a Content-Length, or from an HTTP/1.0 client, its framing is faulty.
        let faulty = facts.content_length.is_some() || minor == 0;
        return hopeless(if faulty { Status::BadRequest } else { Status::NotImplemented });
    }
    let body = facts.content_length.unwrap_or(0);
    // RFC 9112 §9.3. With a final answer to "Expect: 100-continue" the client may or may not send
    // the body (RFC 9110 §10.1.1), so what follows could not be told apart.
    let persistent =
        !facts.close && (minor == 1 || facts.keep_alive) && !(facts.expects_continue && body > 0);
    let response = answer(method, target).persistent(persistent, minor == 0);
    Head::Complete { len, body, response }
}

fn hopeless(status: Status) -> Head {
    Head::Hopeless(Response::error(status))
}

/// Judges the beginning of a head that has no end so far: how it is too long, if it is.
pub fn too_long(input: &[u8]) -> Option<Response> {
    let line = &input[..input.len().min(MAX_LINE)];
    let status = match line.contains(&b'\n') {
        // RFC 9112 §3: a long method is none that we know, and a long target has a status of its own
        false if line.len() == MAX_LINE && !line.contains(&b' ') => Status::NotImplemented,
        false if line.len() == MAX_LINE => Status::TargetTooLong,
        _ if input.len() >= MAX_HEAD => Status::FieldsTooLarge,
        _ => return None,
    };
    Some(Response::error(status))
}

/// Judges a head whose version is not one of the two that we speak: a later minor version is taken as the
/// last that we know (RFC 9110 §2.5), another major one is not supported, and the rest is no version.
/// Only a whole line is judged: the answer must not depend on how the line is cut into segments.
#[cold]
fn other_version(input: &[u8]) -> Head {
    let Some(end) = input.iter().position(|&octet| octet == b'\n') else { return Head::Partial };
    let line = input[..end].trim_ascii_end();
    match line.len().checked_sub(8).map(|from| (from, &line[from..])) {
        Some((from, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'])) => {
            let mut known = input.to_vec();
            known[from + 7] = b'1';
            parse(&known)
        }
        Some((_, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'])) => {
            hopeless(Status::VersionNotSupported)
        }
        _ => hopeless(Status::BadRequest),
    }
}

/// Is this a target in one of the forms of RFC 9112 §3.2 that goes with the method?
fn is_target(method: &str, target: &str) -> bool {
    let absolute = || {
        let scheme = target.split_once("://").map_or("", |(scheme, _)| scheme);
        !scheme.is_empty()
            && scheme.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet))
    };
    target.starts_with('/')
        || method == "OPTIONS" && target == "*"
        || method == "CONNECT"
        || absolute()
}

/// The fields that matter for framing and persistence.
#[derive(Default)]
struct Facts {
    hosts: usize,
    content_length: Option<u64>,
    transfer_coding: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

impl Facts {
    fn of(fields: &[httparse::Header<'_>]) -> Result<Facts, Status> {
        let mut facts = Facts::default();
        for field in fields {
            let name = field.name;
            if name.eq_ignore_ascii_case("host") {
                facts.hosts += 1;
            } else if name.eq_ignore_ascii_case("content-length") {
                // RFC 9110 §8.6: a list of equal values may be taken as that value.
                for value in field.value.split(|&octet| octet == b',') {
                    let length = decimal(value.trim_ascii()).ok_or(Status::BadRequest)?;
                    if facts.content_length.is_some_and(|other| other != length) {
                        return Err(Status::BadRequest);
                    }
                    facts.content_length = Some(length);
                }
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                facts.transfer_coding = true;
            } else if name.eq_ignore_ascii_case("connection") {
                for option in field.value.split(|&octet| octet == b',') {
                    let option = option.trim_ascii();
                    facts.close |= option.eq_ignore_ascii_case(b"close");
                    facts.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            } else if name.eq_ignore_ascii_case("expect") {
                facts.expects_continue |= field.value.eq_ignore_ascii_case(b"100-continue");
            }
        }
        Ok(facts)
    }
}

/// A number of at most 18 digits, with no sign.
fn decimal(text: &[u8]) -> Option<u64> {
    let fits = (1..=18).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    fits.then(|| text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

fn answer(method: &str, target: &str) -> Response {
    let get = match method {
        "GET" => true,
        "HEAD" => false,
        "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH" => {
            return Response::error(Status::MethodNotAllowed);
        }
        _ => return Response::error(Status::NotImplemented),
    };
    let path = path_of(target);
    let response = match path {
        "/" => Response::page(),
        _ => match path.strip_prefix("/bytes/").and_then(|n| decimal(n.as_bytes())) {
            Some(length) if length <= MAX_BYTES => Response::bytes(length),
            _ => Response::error(Status::NotFound),
        },
    };
    if get { response } else { response.head_only() }
}

/// The path of a target in origin form or absolute form (RFC 9112 §3.2.1, §3.2.2).
fn path_of(target: &str) -> &str {
    let after_scheme = target.get(..7).is_some_and(|s| s.eq_ignore_ascii_case("http://"));
    let path = if after_scheme {
        let rest = &target[7..];
        rest.find(['/', '?']).map_or("/", |at| &rest[at..])
    } else {
        target
    };
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    if path.is_empty() { "/" } else { path }
}
