use super::response::Body;
use super::*;
use proptest::prelude::*;

fn client(server_closes: bool) -> Client {
    let request = Request::get("example.test", "/a?b", &["X-Y: z".to_owned()]).unwrap();
    Client { request, server_closes }
}

type Read = (Vec<Answer>, Result<(), &'static str>, Reading);

/// Reads `octets` in pieces; the answers, and what of it was no HTTP.
fn read(octets: &[u8], piece: usize, under_way: u16) -> Read {
    let (client, mut reading, mut answers) = (client(false), Reading::default(), Vec::new());
    for part in octets.chunks(piece) {
        let left = under_way - answers.len() as u16;
        let read = client.read(&mut reading, part, left, |answer| answers.push(answer));
        if read.is_err() || answers.last().is_some_and(|answer| answer.last) {
            return (answers, read, reading);
        }
    }
    (answers, Ok(()), reading)
}

const GOOD: Answer = Answer { good: true, last: false };

#[test]
fn every_framing_is_read_in_any_pieces() {
    let cases: &[(&[u8], &[Answer])] = &[
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", &[GOOD]),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", &[GOOD]),
        (b"HTTP/1.1 204 No Content\r\n\r\n", &[GOOD]),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n", &[GOOD]),
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx",
            &[Answer { good: false, last: false }],
        ),
        (
            b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\nx",
            &[Answer { good: true, last: true }],
        ),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", &[Answer { good: true, last: true }]),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", &[GOOD]),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n\
              5\r\nhello\r\n1a;name=value\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nTrailer: x\r\n\r\n",
            &[GOOD],
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n\
              HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            &[GOOD],
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nTransfer-Encoding: \
              chunked\r\n\r\n0\r\n\r\nHTTP/1.1 500 Oops\r\nContent-Length: 3\r\n\r\nbad",
            &[GOOD, GOOD, Answer { good: false, last: false }],
        ),
    ];
    for (octets, expected) in cases {
        for piece in 1..=octets.len() {
            let (answers, http, reading) = read(octets, piece, 3);
            let text = String::from_utf8_lossy(octets);
            assert!(http.is_ok() && answers == *expected, "{piece}: {text}: {answers:?}");
            assert_eq!((reading.body, reading.head.len()), (Body::Head, 0), "{text}");
        }
    }
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    let (answers, http, mut reading) = read(b"HTTP/1.1 200 OK\r\n\r\nand so on", 4, 1);
    assert!(http.is_ok() && answers.is_empty());
    assert_eq!(client(false).ended(&mut reading), Some(Answer { good: true, last: true }));
    let (_, _, mut reading) = read(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", 4, 1);
    assert_eq!(client(false).ended(&mut reading), None, "it was cut short");
}

/// Each fault is told, in whatever pieces it arrives.
#[test]
fn what_is_no_http_is_told() {
    let ok = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
    let chunked = |body: &str| format!("{}{body}", ok("Transfer-Encoding: chunked"));
    let differ = "Content-Length fields that differ";
    for (octets, fault) in [
        ("SSH-2.0-OpenSSH\r\n".to_owned(), "HTTP version"),
        ("HTTP/1.1 20 OK\r\n\r\n".to_owned(), "status"),
        (ok("Content-Length: -1"), "Content-Length"),
        (ok("Content-Length: +5"), "Content-Length"),
        (ok("Content-Length: 1x"), "Content-Length"),
        (ok("Content-Length: 0x5"), "Content-Length"),
        (ok("Content-Length:"), "Content-Length"),
        (ok("Content-Length: 5,"), "Content-Length"),
        (ok("Content-Length: 5 5"), "Content-Length"),
        (ok("Content-Length: 1\r\n 0"), "Content-Length"),
        (ok("Content-Length: 18446744073709551616"), "Content-Length"),
        (ok("Content-Length: 5\r\nContent-Length: 6"), differ),
        (ok("Content-Length: 6\r\nX: y\r\ncontent-length: 5"), differ),
        (ok("Content-Length: 5, 6"), differ),
        (
            ok("Content-Length: 5\r\nTransfer-Encoding: chunked"),
            "Transfer-Encoding and Content-Length",
        ),
        (
            ok("Transfer-Encoding: gzip\r\nContent-Length: 5"),
            "Transfer-Encoding and Content-Length",
        ),
        (ok("Transfer-Encoding: chunked, chunked"), "Transfer-Encoding that is chunked twice"),
        (
            ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            "Transfer-Encoding that is chunked twice",
        ),
        (ok("Content-Length\u{b}: 5"), "field name"),
        (ok("X Content-Length: 5"), "field name"),
        (ok("Transfer-Encoding\0: chunked"), "field name"),
        (chunked("xyz\r\n"), "chunk size"),
        (chunked("1\r0\r\n"), "chunk size"),
        (chunked("\r\n"), "chunk size"),
        (chunked("5\r\nhelloXX0\r\n\r\n"), "end of a chunk"),
        (chunked("ffffffffffffffffff\r\n"), "chunk size"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n".to_owned(),
            "101 Switching Protocols, which was not asked for",
        ),
    ] {
        for piece in [1, 2, 7, octets.len()] {
            assert_eq!(read(octets.as_bytes(), piece, 1).1, Err(fault), "{octets:?}");
        }
    }
    let surplus = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(read(surplus, surplus.len(), 1).1, Err("octets that were not asked for"));
    let endless = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"A: b\r\n".repeat(20_000)].concat();
    assert!(read(&endless, 1_448, 1).1.is_err(), "a head has an end");
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(65);
    assert_eq!(read(&interim, 1_448, 1).1, Err("more than 64 interim responses"));
    assert_eq!(read(&interim[..64 * 25], 1_448, 1).1, Ok(()));
}

/// Servers that are a little wrong where it does no harm are understood.
#[test]
fn harmless_faults_are_tolerated() {
    let last = Answer { good: true, last: true };
    for (octets, answer) in [
        ("HTTP/1.1 200 OK\r\nAllow-Credentials : true\r\nContent-Length: 2\r\n\r\nok", GOOD),
        ("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", GOOD),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 02\r\n\r\nok", GOOD),
        ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length:\r\n 2\r\n\r\nok", GOOD),
        ("HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\nok", GOOD),
        ("HTTP/1.1 200 OK\r\nA name: x\r\nContent-Length: 2\r\n\r\nok", GOOD),
        ("HTTP/1.1 200 OK\r\nX: content-length\r\nA b: c\r\nContent-Length: 2\r\n\r\nok", GOOD),
        ("HTTP/1.1   200   OK\r\nContent-Length: 2\r\n\r\nok", GOOD),
        ("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", GOOD),
        ("HTTP/1.1 200 OK\nContent-Length: 2\n\nok", GOOD),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", last),
        (
            "HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: close, y\r\nContent-Length: 0\r\n\r\n",
            last,
        ),
        (
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            last,
        ),
        ("HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n", Answer { good: false, last: false }),
        // what follows the last answer is left alone
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n\x01\x02", last),
    ] {
        for piece in 1..=octets.len() {
            let (answers, read, _) = read(octets.as_bytes(), piece, 1);
            assert_eq!((read, &answers[..]), (Ok(()), &[answer][..]), "{octets:?} {piece}");
        }
    }
    // RFC 9112 §6.3: with another last coding the body ends with the connection
    let coded = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n5\r\nhello";
    let (answers, _, mut reading) = read(coded, 7, 1);
    assert!(answers.is_empty());
    assert_eq!(client(false).ended(&mut reading), Some(last));
}

/// RFC 9110 §15.2.2: 101 ends HTTP on the connection, for a client that has asked for another protocol.
#[test]
fn another_protocol_that_was_asked_for_is_an_answer() {
    let request = Request::get("h", "/", &["Upgrade: x".to_owned()]).unwrap();
    let client = Client { request, server_closes: false };
    let (mut reading, mut answers) = (Reading::default(), Vec::new());
    let octets = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x01\x02\x03";
    client.read(&mut reading, octets, 2, |answer| answers.push(answer)).unwrap();
    assert_eq!(answers, [Answer { good: true, last: true }]);
}

#[test]
fn how_far_a_response_is() {
    let progress = |octets: &[u8]| client(false).progress(&read(octets, 9, 1).2);
    assert_eq!(progress(b""), None);
    assert_eq!(progress(b"HTTP/1.1 200"), Some(Progress::Head(12)));
    let length = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello";
    assert_eq!(progress(length), Some(Progress::Body(5, Some(100))));
    let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello";
    assert_eq!(progress(chunks), Some(Progress::Body(5, None)));
    assert_eq!(progress(b"HTTP/1.1 204 No Content\r\n\r\n"), None);
}

#[test]
fn what_makes_no_request_is_told() {
    let (a_path, a_field, a_host) = (
        "a path is expected that begins with / and has no spaces",
        "NAME: VALUE is expected, as in 'Accept: text/html'",
        "the name or address of a host is expected, as in example.org:8080",
    );
    for (host, path, field, told) in [
        ("h", "index.html", "A: b", format!("index.html: {a_path}")),
        ("h", "/a b", "A: b", format!("/a b: {a_path}")),
        ("h", "/", "A", format!("A: {a_field}")),
        ("h", "/", ": b", format!(": b: {a_field}")),
        ("h", "/", "A b: c", format!("A b: c: {a_field}")),
        ("h", "/", "A: b\r\nC: d", format!("A: b\r\nC: d: {a_field}")),
        ("h", "/", "A: b\0", format!("A: b\0: {a_field}")),
        ("", "/", "A: b", format!(": {a_host}")),
        ("h h", "/", "A: b", format!("h h: {a_host}")),
        ("h\r\nA: b", "/", "A: b", format!("h\r\nA: b: {a_host}")),
    ] {
        let error = Request::get(host, path, &[field.to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), told);
    }
    assert!(Request::get("[2001:db8::1]:81", "/", &["A:\tb \u{e9}".to_owned()]).is_ok());
    let request = Request::get("h", "/", &["host: other".to_owned()]).unwrap();
    let text = String::from_utf8(request.plain.to_vec()).unwrap();
    assert!(!text.contains("Host: h") && text.contains("host: other"), "{text}");
}

proptest! {
    /// However many octets are taken at a time, whole requests go out, and the last one says so.
    #[test]
    fn requests_are_sent_whole(
        requests in 1_usize..20, closes: bool, pieces in proptest::collection::vec(1_usize..200, 1..50),
    ) {
        let client = client(closes);
        let (mut left, mut sent, mut turn, mut begun) = (0, Vec::new(), 0, 0);
        while begun < requests || left > 0 {
            if begun < requests && turn % 3 == 0 {
                begun += 1;
                left += u64::from(client.request_len(begun == requests));
            }
            let mut room = pieces[turn % pieces.len()];
            turn += 1;
            left = client.send(left, begun == requests, |bytes| {
                let taken = bytes.len().min(room);
                room -= taken;
                sent.extend_from_slice(&bytes[..taken]);
                taken
            });
        }
        let plain = client.request.plain.repeat(requests - 1);
        let expected = [&plain[..], client.last()].concat();
        prop_assert_eq!(String::from_utf8(sent), String::from_utf8(expected));
    }

    #[test]
    fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..300), piece in 1_usize..50) {
        let _ = read(&octets, piece, 3);
        let chunks = [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &octets].concat();
        let _ = read(&chunks, piece, 3);
    }
}
