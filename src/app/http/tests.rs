//! HTTP as an exchange of octets, and the proof that splits and pipelining change nothing.

use super::request::MAX_HEAD;
use super::session::{Next, Scratch, Session, Sink};
use super::*;
use proptest::prelude::*;

/// A peer: what it sends is delivered in pieces, and its buffer has room in pieces.
struct Peer {
    session: Session,
    scratch: Scratch,
    wire: Buffer,
    kept: Vec<u8>,
    ended: Option<Next>,
}

#[derive(Default)]
struct Buffer {
    sent: Vec<u8>,
    room: usize,
    short: bool,
    answered: usize,
}

impl Sink for Buffer {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room);
        self.sent.extend_from_slice(&bytes[..taken]);
        self.room -= taken;
        self.short |= taken < bytes.len();
        taken
    }

    fn answered(&mut self) {
        self.answered += 1;
    }
}

impl Peer {
    fn new(room: usize) -> Self {
        Peer {
            session: Session::default(),
            scratch: Scratch::new(),
            wire: Buffer { room, ..Buffer::default() },
            kept: Vec::new(),
            ended: None,
        }
    }

    fn note(&mut self, next: Next) {
        if next != Next::GoOn && self.ended != Some(Next::Close) {
            self.ended = Some(next);
        }
    }

    fn deliver(&mut self) {
        if self.ended == Some(Next::Close) {
            return;
        }
        let (used, next) = self.session.input(&self.kept, &mut self.scratch, &mut self.wire);
        self.kept.drain(..used);
        assert!(next == Next::GoOn || self.kept.is_empty(), "closing with unread data is a RST");
        self.note(next);
    }

    fn sends(&mut self, bytes: &[u8]) -> &mut Self {
        self.kept.extend_from_slice(bytes);
        self.deliver();
        self
    }

    /// There is room for `room` octets more, as an engine says it: after a short write only.
    fn reads(&mut self, room: usize) -> &mut Self {
        self.wire.room += room;
        if !core::mem::take(&mut self.wire.short) {
            return self;
        }
        self.session.resume(&mut self.scratch, &mut self.wire);
        if self.session.wants_input() {
            if self.kept.is_empty() {
                let next = self.session.settle();
                self.note(next);
            } else {
                self.deliver();
            }
        }
        self
    }

    fn closes(&mut self) -> &mut Self {
        assert!(self.kept.is_empty());
        let next = self.session.peer_closed();
        self.note(next);
        self
    }

    /// Heads and bodies of the responses so far.
    #[track_caller]
    fn responses(&self, head_only: &[usize]) -> Vec<(String, Vec<u8>)> {
        let mut rest = &self.wire.sent[..];
        let mut all = Vec::new();
        while !rest.is_empty() {
            let end = rest.windows(4).position(|w| w == b"\r\n\r\n").expect("a whole head") + 4;
            let head = String::from_utf8(rest[..end].to_vec()).unwrap();
            let length = head.split("Content-Length: ").nth(1).unwrap();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            let body = if head_only.contains(&all.len()) { 0 } else { length };
            all.push((head, rest[end..end + body].to_vec()));
            rest = &rest[end + body..];
        }
        assert_eq!(all.len(), self.wire.answered);
        all
    }
}

#[track_caller]
fn status_of(request: &str) -> (String, Option<Next>) {
    let mut peer = Peer::new(usize::MAX);
    peer.sends(request.as_bytes());
    let responses = peer.responses(&[]);
    assert_eq!(responses.len(), 1, "{request:?}");
    (responses[0].0.split_whitespace().nth(1).unwrap().to_owned(), peer.ended)
}

#[test]
fn bytes_have_their_length_and_their_pattern() {
    let mut peer = Peer::new(usize::MAX);
    peer.sends(b"GET /bytes/200000 HTTP/1.1\r\nHost: a\r\n\r\n");
    let [(head, body)] = &peer.responses(&[])[..] else { panic!("one response") };
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(body.len(), 200_000);
    assert!(body.iter().enumerate().all(|(at, octet)| usize::from(*octet) == at % 251));
    assert_eq!(peer.ended, None, "HTTP/1.1 is persistent");
}

#[test]
fn a_gigabyte_is_streamed_through_a_small_buffer() {
    const LENGTH: u64 = 1 << 30;
    const ROOM: usize = 1 << 20;
    let mut peer = Peer::new(ROOM);
    peer.sends(format!("GET /bytes/{LENGTH} HTTP/1.0\r\n\r\n").as_bytes());
    let head = peer.wire.sent.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let (mut received, mut skip) = (0, head);
    while peer.ended.is_none() {
        for (at, octet) in peer.wire.sent.iter().enumerate().skip(skip).step_by(4099) {
            assert_eq!(*octet, body_octet(received + (at - skip) as u64));
        }
        received += (peer.wire.sent.len() - skip) as u64;
        skip = 0;
        peer.wire.sent.clear();
        peer.reads(ROOM);
    }
    assert_eq!(received + peer.wire.sent.len() as u64, LENGTH);
    assert_eq!(peer.ended, Some(Next::Close));
}

#[test]
fn targets() {
    for (target, status) in [
        ("/", "200"),
        ("/?a=b", "200"),
        ("/bytes/0", "200"),
        ("/bytes/10?x", "200"),
        ("http://host:80/bytes/3", "200"),
        ("http://host", "200"),
        ("http://host?/bytes/3", "200"),
        ("/bytes/", "404"),
        ("/bytes/-1", "404"),
        ("/bytes/+1", "404"),
        ("/bytes/1k", "404"),
        ("/bytes/99999999999999999999999", "404"),
        ("/elsewhere", "404"),
    ] {
        let (got, ended) = status_of(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!((got.as_str(), ended), (status, None), "{target}");
    }
}

#[test]
fn methods() {
    for (method, status) in [("POST", "405"), ("OPTIONS", "405"), ("BREW", "501")] {
        let (got, ended) = status_of(&format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!((got.as_str(), ended), (status, None), "{method}");
    }
    for (line, status) in [
        ("OPTIONS * HTTP/1.1", "405"),
        ("GET / HTTP/1.2", "200"), // RFC 9110 §2.5: a later minor version is taken as ours
        ("BREW / HTTP/1.9", "501"),
    ] {
        let (got, ended) = status_of(&format!("{line}\r\nHost: h\r\n\r\n"));
        assert_eq!((got.as_str(), ended), (status, None), "{line}");
    }
    let longest = "x".repeat(8_000); // RFC 9112 §3: lines of so much at least
    assert_eq!(status_of(&format!("GET /{longest} HTTP/1.1\r\nHost: h\r\n\r\n")).0, "404");
    let mut peer = Peer::new(usize::MAX);
    peer.sends(b"HEAD /bytes/9 HTTP/1.1\r\nHost: h\r\n\r\nPOST / HTTP/1.1\r\nHost: h\r\n\r\n");
    let [(head, body), (post, _)] = &peer.responses(&[0])[..] else { panic!("two responses") };
    assert!(head.contains("Content-Length: 9\r\n") && body.is_empty());
    assert!(post.contains("Allow: GET, HEAD\r\n"));
}

#[test]
fn faults_that_end_the_connection() {
    let many = (0..70).map(|i| format!("a{i}: b\r\n")).collect::<String>();
    let long = "x".repeat(MAX_HEAD);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n".to_owned(), "400"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
                .to_owned(),
            "400",
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), "501"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"
                .to_owned(),
            "400",
        ),
        ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), "505"),
        ("\u{1}\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), "400"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nLong: {long}\r\n\r\n"), "431"),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", &long[..9_000]), "414"),
        (format!("GET /{long}"), "414"),
        (format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", &long[..9_000]), "501"),
        ("GET / HTTP/1.1x\r\nHost: a\r\n\r\n".to_owned(), "400"),
        ("GET / FTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n".to_owned(), "505"),
        ("GET x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "400"),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "400"),
    ] {
        let (got, ended) = status_of(&request);
        assert_eq!((got.as_str(), ended), (status, Some(Next::Shutdown)), "{request:.80}");
    }
}

#[test]
fn a_version_is_judged_when_its_line_is_complete() {
    for (line, status) in
        [("HEAD / HTTP/9.9", "505"), ("GET / HTTP/1.2", "200"), ("GET / HTTQ/1.1", "400")]
    {
        let request = format!("{line}\r\nHost: h\r\nConnection: close\r\n\r\n");
        for cut in 1..request.len() {
            let mut peer = Peer::new(usize::MAX);
            peer.sends(&request.as_bytes()[..cut]);
            if peer.ended != Some(Next::Close) {
                peer.sends(&request.as_bytes()[cut..]).closes();
            }
            let sent = String::from_utf8_lossy(&peer.wire.sent);
            assert!(sent.starts_with(&format!("HTTP/1.1 {status}")), "{line} cut at {cut}: {sent}");
        }
    }
}

#[test]
fn persistence() {
    for (request, ended) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", Some(Next::Close)),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", Some(Next::Close)),
        ("GET / HTTP/1.0\r\n\r\n", Some(Next::Close)),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", None),
        ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", Some(Next::Close)),
    ] {
        let mut peer = Peer::new(usize::MAX);
        peer.sends(request.as_bytes());
        assert_eq!(peer.ended, ended, "{request}");
        let head = &peer.responses(&[])[0].0;
        assert_eq!(head.contains("Connection: close\r\n"), ended.is_some(), "{request}");
        let old = request.contains("HTTP/1.0") && ended.is_none();
        assert_eq!(head.contains("Connection: keep-alive\r\n"), old, "{request}");
    }
}

#[test]
fn bodies_are_skipped_and_what_follows_is_answered() {
    let mut peer = Peer::new(usize::MAX);
    peer.sends(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18, 18\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    );
    peer.sends(b"\r\nGET /bytes/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    let statuses: Vec<String> =
        peer.responses(&[]).into_iter().map(|(head, _)| head[9..12].to_owned()).collect();
    assert_eq!(statuses, ["405", "200"]);
}

#[test]
fn nothing_is_answered_after_the_last_response() {
    let mut peer = Peer::new(10);
    peer.sends(b"GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    assert!(!peer.kept.is_empty(), "the second request waits for the first response");
    while peer.ended.is_none() {
        peer.reads(10);
    }
    assert_eq!((peer.responses(&[]).len(), peer.ended), (1, Some(Next::Close)));
}

#[test]
fn a_refused_body_is_discarded_up_to_a_limit() {
    let mut peer = Peer::new(usize::MAX);
    peer.sends(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n");
    assert_eq!(peer.ended, Some(Next::Shutdown));
    peer.sends(b"123456789").closes();
    assert_eq!((peer.wire.answered, peer.ended), (1, Some(Next::Close)));

    let mut peer = Peer::new(usize::MAX);
    peer.sends(b"\x01\r\n").sends(&[b'x'; 1 << 20]);
    assert_eq!(peer.ended, Some(Next::Abort));
}

#[test]
fn the_response_is_finished_after_the_peer_half_closed() {
    let mut peer = Peer::new(100);
    peer.sends(b"GET /bytes/500 HTTP/1.1\r\nHost: a\r\n\r\n").closes();
    assert_eq!(peer.ended, None);
    peer.reads(10_000);
    assert_eq!((peer.responses(&[])[0].1.len(), peer.ended), (500, Some(Next::Close)));

    let mut peer = Peer::new(100);
    peer.sends(b"GET / HT").closes();
    assert_eq!((peer.wire.sent.len(), peer.ended), (0, Some(Next::Close)));
}

fn request() -> impl Strategy<Value = String> {
    let target = prop_oneof![
        Just("/".to_owned()),
        (0_u32..3_000).prop_map(|n| format!("/bytes/{n}")),
        "/[a-z]{1,20}",
    ];
    let method =
        prop_oneof![6 => Just("GET"), 1 => Just("HEAD"), 1 => Just("POST"), 1 => Just("X")];
    let fields = prop_oneof![
        8 => Just(""),
        1 => Just("Connection: close\r\n"),
        1 => Just("Transfer-Encoding: chunked\r\n"),
        1 => Just("bad field\r\n"),
        1 => Just("Expect: 100-continue\r\n"),
    ];
    let version = prop_oneof![5 => Just("1.1"), 1 => Just("1.0"), 1 => Just("9.9")];
    let body = prop_oneof![3 => Just(None), 1 => "[ -~\r\n]{0,60}".prop_map(Some)];
    let blank = prop_oneof![5 => Just(""), 1 => Just("\r\n")];
    (blank, method, target, version, fields, body, 0_usize..18_000).prop_map(
        |(blank, method, target, version, fields, body, padding)| {
            let padding = if padding < 16_000 { padding / 800 } else { padding };
            let (length, body) = match body {
                Some(body) => (format!("Content-Length: {}\r\n", body.len()), body),
                None => (String::new(), String::new()),
            };
            let pad = "p".repeat(padding);
            format!(
                "{blank}{method} {target} HTTP/{version}\r\nHost: h\r\n{fields}{length}P: {pad}\r\n\r\n{body}"
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Requests at once into a roomy buffer, or in any pieces through a narrow one: the same octets
    /// come back, and the connection ends the same way.
    #[test]
    fn splits_and_pipelining_change_nothing(
        requests in proptest::collection::vec(request(), 1..6),
        cuts in proptest::collection::vec(1_usize..200, 1..40),
        rooms in proptest::collection::vec(1_usize..3_000, 1..20),
    ) {
        let stream = requests.concat();
        let mut whole = Peer::new(usize::MAX);
        whole.sends(stream.as_bytes()).closes();

        let mut pieces = Peer::new(0);
        let (mut rest, mut turn) = (stream.as_bytes(), 0);
        while !rest.is_empty() || !pieces.kept.is_empty() || pieces.wire.short {
            let (piece, later) = rest.split_at(cuts[turn % cuts.len()].min(rest.len()));
            rest = later;
            if !piece.is_empty() { pieces.sends(piece); }
            pieces.reads(rooms[turn % rooms.len()]);
            if pieces.ended == Some(Next::Close) { break; }
            turn += 1;
        }
        if pieces.ended != Some(Next::Close) {
            pieces.closes();
        }
        while pieces.ended != Some(Next::Close) {
            pieces.reads(1_000);
        }
        prop_assert_eq!(&pieces.wire.sent, &whole.wire.sent);
        prop_assert_eq!(pieces.wire.answered, whole.wire.answered);
        prop_assert_eq!(pieces.ended, whole.ended);
    }

    /// Any octets at all: no panic, and an end is reached.
    #[test]
    fn any_input_is_survived(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..600), 0..40)) {
        let mut peer = Peer::new(usize::MAX);
        for piece in &pieces { peer.sends(piece); }
        if peer.ended != Some(Next::Close) { peer.closes(); }
        prop_assert_eq!(peer.ended, Some(Next::Close));
    }
}

/// What half heads have reserved is given back, whatever becomes of them.
#[test]
fn memory_of_half_heads_is_given_back() {
    let mut peer = Peer::new(usize::MAX);
    peer.sends(b"GET / HTTP/1.1\r\nHo");
    assert_eq!((peer.scratch.held(), peer.session.waits()), (256, Waits::Head));
    peer.sends(&[b'x'; 300]);
    assert_eq!(peer.scratch.held(), 512);
    peer.sends(b": a\r\nHost: a\r\n\r\n");
    assert_eq!((peer.scratch.held(), peer.session.waits()), (0, Waits::Request));
    peer.sends(b"GET / HTTP/1.1\r\n");
    let mut out = Buffer { room: usize::MAX, ..Buffer::default() };
    assert_eq!(peer.session.give_up(&mut peer.scratch, &mut out), Next::Shutdown);
    assert!(out.sent.starts_with(b"HTTP/1.1 408 Request Timeout\r\n"));
    assert_eq!((peer.scratch.held(), peer.session.waits()), (0, Waits::End));
    let mut peer = Peer::new(usize::MAX);
    peer.scratch = Scratch::new().with_half_heads(400);
    peer.sends(&[b'A'; 300]);
    assert!(peer.wire.sent.starts_with(b"HTTP/1.1 503 Service Unavailable\r\n"));
    assert_eq!((peer.scratch.held(), peer.ended), (0, Some(Next::Shutdown)));
}
