use super::*;
use proptest::prelude::*;

fn client(server_closes: bool) -> Client {
    let request = Request::get("example.test", "/a?b", &["X-Y: z".to_owned()]).unwrap();
    Client { request, server_closes }
}

/// Reads `octets` in pieces; the answers, and whether all of it was HTTP.
fn read(octets: &[u8], piece: usize, under_way: u16) -> (Vec<Answer>, bool, Reading) {
    let (client, mut reading, mut answers) = (client(false), Reading::default(), Vec::new());
    for part in octets.chunks(piece) {
        let left = under_way - answers.len() as u16;
        if !client.read(&mut reading, part, left, |answer| answers.push(answer)) {
            return (answers, false, reading);
        }
    }
    (answers, true, reading)
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
            assert!(http && answers == *expected, "{piece}: {text}: {answers:?}");
            assert_eq!((reading.body, reading.head.len()), (Body::Head, 0), "{text}");
        }
    }
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    let (answers, http, mut reading) = read(b"HTTP/1.1 200 OK\r\n\r\nand so on", 4, 1);
    assert!(http && answers.is_empty());
    assert_eq!(client(false).ended(&mut reading), Some(Answer { good: true, last: true }));
    let (_, _, mut reading) = read(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", 4, 1);
    assert_eq!(client(false).ended(&mut reading), None, "it was cut short");
}

#[test]
fn what_is_no_http_is_seen() {
    for octets in [
        &b"SSH-2.0-OpenSSH\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", // nobody asked
    ] {
        let text = String::from_utf8_lossy(octets).into_owned();
        assert!(!read(octets, octets.len(), 1).1, "{text}");
    }
    let endless = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"A: b\r\n".repeat(20_000)].concat();
    assert!(!read(&endless, 1_448, 1).1, "a head has an end");
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
        read(&octets, piece, 3);
        let chunks = [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &octets].concat();
        read(&chunks, piece, 3);
    }
}
