//! Servers that close, break off, fall silent or talk nonsense, and what the workloads make of it.

use super::*;
use lastack::app::PerConnection;

/// A server of requests that end with an empty line, or of fixed size, which answers as it is told.
struct Odd<F> {
    tally: Arc<Tally>,
    /// Requests of each connection.
    heard: PerConnection<u32>,
    /// Requests of all.
    total: u64,
    answer: F,
}

/// A request: of its connection, and of all, counted from 1.
struct Nth {
    of_connection: u32,
    of_all: u64,
}

impl<F: FnMut(&mut Io<'_>, Nth)> Odd<F> {
    fn new(tally: Arc<Tally>, answer: F) -> Self {
        Odd { tally, heard: PerConnection::new(MAX_CONNECTIONS), total: 0, answer }
    }
}

impl<F: FnMut(&mut Io<'_>, Nth)> App for Odd<F> {
    fn on_open(&mut self, io: &mut Io<'_>) {
        self.tally.accepted();
        *self.heard.start(io.conn()) = 0;
    }

    fn on_data(&mut self, io: &mut Io<'_>, data: &[u8]) -> usize {
        let heads = data.windows(4).filter(|four| four == b"\r\n\r\n").count();
        let requests = if data.starts_with(b"GET") { heads } else { data.len() / 100 };
        for _ in 0..requests {
            let heard = self.heard.of(io.conn());
            *heard += 1;
            self.total += 1;
            (self.answer)(io, Nth { of_connection: *heard, of_all: self.total });
        }
        data.len()
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        io.close();
    }

    fn on_closed(&mut self, _: &mut Io<'_>, reason: CloseReason) {
        self.tally.ended(lastack::app::tally::Ending::of_established(reason));
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LAST: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
const OLD: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok";
const OPEN: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nok";

fn say(io: &mut Io<'_>, bytes: &[u8]) {
    assert_eq!(io.write(bytes), bytes.len());
}

fn asking(config: LoadConfig) -> LoadConfig {
    LoadConfig { http: get("/"), ..config }
}

/// Runs a workload against an odd server for two seconds.
fn odd<W: Workload>(
    config: LoadConfig,
    answer: impl FnMut(&mut Io<'_>, Nth),
) -> Outcome<W, Odd<impl FnMut(&mut Io<'_>, Nth)>> {
    run_at(LinkConfig::default(), 1, config, Duration::from_secs(2), |tally| {
        Odd::new(tally, answer)
    })
}

fn told<W: Workload, S: App>(outcome: &Outcome<W, S>) -> Vec<String> {
    let failures = outcome.bench.client.engine().app().load().failures();
    failures.rows().iter().map(|row| row.first.to_string()).collect()
}

#[test]
fn a_server_that_closes_after_so_many_requests_fails_none() {
    for (last, rate) in [(LAST, None), (OLD, None), (OPEN, None), (OK, None), (LAST, Some(4_000.0))]
    {
        for (pipeline, kept) in [(4, 10), (1, 10), (4, 1), (8, 3)] {
            if last == OK && u32::from(pipeline) > kept {
                continue; // unannounced, and what was sent behind may not be sent a third time
            }
            let config = LoadConfig {
                pipeline,
                pace: rate.map(|rate| (rate, Arrival::Fixed)),
                ..load(CloseBy::Client, None)
            };
            let outcome = odd::<http::Http>(asking(config), |io, nth| {
                if nth.of_connection < kept {
                    io.write(OK);
                } else if nth.of_connection == kept {
                    io.write(last);
                    io.close();
                }
            });
            let Outcome { bench, client, .. } = &outcome;
            let what = format!("{:?} {pipeline} {kept} {rate:?}", String::from_utf8_lossy(last));
            assert_eq!(
                (client.failed.get(), client.reset.get()),
                (0, 0),
                "{what} {:?}",
                told(&outcome)
            );
            assert_eq!(client.unanswered.get(), 0, "{what}");
            assert!(client.requests.get() > 1_000, "{what}: {}", client.requests.get());
            assert!(client.closed_by_peer.get() > 50, "{what}");
            let load = bench.client.engine().app().load();
            assert_eq!(load.measured().service.count(), client.requests.get(), "{what}");
            if rate.is_some() {
                assert_eq!(load.measured().latency.count(), client.requests.get(), "{what}");
            }
            if last != OK {
                // each request is answered once: nothing that was answered is asked for again
                assert!(
                    client.requests.get() >= u64::from(kept) * (client.closed_by_peer.get() - 1)
                );
            }
        }
    }
}

/// RFC 9112 §9.3.2: what an unannounced end has left is sent again one at a time until there is an answer;
/// after an announced one it goes out at once.
#[test]
fn what_is_sent_again_is_pipelined_after_the_first_answer() {
    for (last, at_once) in [(OK, false), (LAST, true)] {
        let config = LoadConfig { connections: 1, pipeline: 4, ..load(CloseBy::Client, None) };
        let (mut first, mut gaps) = (Instant::ZERO, Vec::new());
        odd::<http::Http>(asking(config), |io, nth| {
            match nth.of_connection {
                1 => first = io.now(),
                2 => gaps.push(io.now().since(first)),
                _ => {}
            }
            if nth.of_connection < 10 {
                say(io, OK);
            } else if nth.of_connection == 10 {
                say(io, last);
                io.close();
            }
        });
        assert!(gaps.len() > 50, "{}", gaps.len());
        for gap in &gaps[1..] {
            assert_eq!(gap.is_zero(), at_once, "{gaps:?}");
        }
    }
}

/// RFC 9112 §9.5: a server may close a connection that has nothing under way.
#[test]
fn a_server_that_closes_what_is_idle_fails_nothing() {
    let pace = Some((300.0, Arrival::Fixed));
    let config = LoadConfig { pace, ..load(CloseBy::Client, None) };
    let http = odd::<http::Http>(asking(config.clone()), |io, _| {
        io.write(OK);
        io.close();
    });
    let rr = odd::<Rr>(config, |io, _| {
        io.write(&[b'x'; 3_000]);
        io.close();
    });
    for client in [&http.client, &rr.client] {
        assert_eq!((client.failed.get(), client.unanswered.get()), (0, 0));
        assert!((590..=601).contains(&client.requests.get()), "{}", client.requests.get());
        assert!(client.closed_by_peer.get() >= 590, "{}", client.closed_by_peer.get());
    }
}

/// RFC 9112 §9.6: after the last response we close, whether the server does or not.
#[test]
fn a_server_that_never_closes_holds_no_connection() {
    let config = LoadConfig { pipeline: 2, ..load(CloseBy::Server, Some(2)) };
    let http = odd::<http::Http>(asking(config.clone()), |io, _| say(io, OK));
    let rr = odd::<Rr>(config, |io, _| say(io, &[b'x'; 3_000]));
    let config = load(CloseBy::Server, Some(1));
    let crr = odd::<Crr>(config, |io, _| say(io, &[b'x'; 3_000]));
    for client in [&http.client, &rr.client, &crr.client] {
        // a quarter of a second each
        assert!((100..=144).contains(&client.closed.get()), "{}", client.closed.get());
        assert_eq!((client.failed.get(), client.closed_by_peer.get()), (0, 0));
    }
}

#[test]
fn the_cause_of_a_failure_is_told() {
    for (answer, expected) in [
        (
            &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"[..],
            "response cut short at 5 of 100 bytes",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length", "response cut short in its head, after 31 bytes"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "no valid response: Content-Length fields that differ",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r0\r\n",
            "no valid response: chunk size",
        ),
        (
            b"HTTP/1.1 101 Go\r\n\r\n",
            "no valid response: 101 Switching Protocols, which was not asked for",
        ),
        (b"", "the server closed the connection without an answer"),
    ] {
        let outcome = odd::<http::Http>(asking(load(CloseBy::Client, None)), |io, _| {
            io.write(answer);
            io.close();
        });
        assert_eq!(told(&outcome), [expected]);
        let client = &outcome.client;
        assert_eq!((client.requests.get(), client.closed.get()), (0, 0), "{expected}");
        assert_eq!(client.unanswered.get(), client.failed.get(), "{expected}");
    }
    let cut = |io: &mut Io<'_>, _: Nth| {
        io.write(b"hello");
        io.close();
    };
    let expected = ["response cut short at 5 of 3000 bytes"];
    assert_eq!(told(&odd::<Crr>(load(CloseBy::Client, Some(1)), cut)), expected);
    assert_eq!(told(&odd::<Rr>(load(CloseBy::Client, None), cut)), expected);
}

/// One request of fifty is never answered: that is counted, and the percentiles of the open loop know it.
#[test]
fn what_is_never_answered_is_counted_and_bounds_the_latency() {
    let config = LoadConfig {
        connections: 200,
        pace: Some((500.0, Arrival::Fixed)),
        ..load(CloseBy::Client, None)
    };
    let silent = |nth: &Nth| nth.of_all.is_multiple_of(50);
    let http = odd::<http::Http>(asking(config.clone()), |io, nth| {
        if !silent(&nth) {
            io.write(OK);
        }
    });
    let config = LoadConfig { connections: 200, ..config };
    let rr = odd::<Rr>(config.clone(), |io, nth| {
        if !silent(&nth) {
            io.write(&[b'x'; 3_000]);
        }
    });
    let crr = odd::<Crr>(config.clone(), |io, nth| {
        if !silent(&nth) {
            io.write(&[b'x'; 3_000]);
        }
    });
    let check = |client: &Tally, load: &Load| {
        assert!((19..=21).contains(&client.unanswered.get()), "{}", client.unanswered.get());
        let measured = load.measured();
        assert_eq!(measured.unanswered.count(), client.unanswered.get());
        assert_eq!(measured.latency.count(), client.requests.get() + client.unanswered.get());
        let p99 = measured.latency.summary().p99;
        assert!(p99 > 1_000_000_000, "{p99}");
        assert!(measured.service.summary().p99 < 100_000_000);
        assert!(load.failures().rows()[0].first.to_string().starts_with("no answer for 1"));
    };
    check(&http.client, http.bench.client.engine().app().load());
    check(&rr.client, rr.bench.client.engine().app().load());
    check(&crr.client, crr.bench.client.engine().app().load());

    // with a time-out nothing waits to the end
    let config = LoadConfig { request_timeout: Some(Duration::from_millis(150)), ..config };
    let http = odd::<http::Http>(asking(config.clone()), |io, nth| {
        if !silent(&nth) {
            io.write(OK);
        }
    });
    let crr = odd::<Crr>(config, |io, nth| {
        if !silent(&nth) {
            io.write(&[b'x'; 3_000]);
        }
    });
    let check = |client: &Tally, load: &Load| {
        assert!((19..=21).contains(&client.timed_out.get()), "{}", client.timed_out.get());
        assert_eq!((client.unanswered.get(), client.failed.get()), (0, client.timed_out.get()));
        let waited = load.measured().unanswered.summary();
        assert!((149_000_000..=156_000_000).contains(&waited.max), "{waited:?}");
        assert_eq!(load.failures().rows()[0].first.to_string(), "no answer for 150 ms");
    };
    check(&http.client, http.bench.client.engine().app().load());
    check(&crr.client, crr.bench.client.engine().app().load());
}

/// The requests behind one that is given up are sent again, once.
#[test]
fn what_waits_behind_a_request_that_is_given_up_is_sent_again() {
    let config = LoadConfig {
        connections: 1,
        pipeline: 3,
        request_timeout: Some(Duration::from_millis(100)),
        pace: Some((20.0, Arrival::Fixed)),
        ..load(CloseBy::Client, None)
    };
    // the connection falls silent at its sixth request: the one that is sent 50 ms later is not overdue yet
    let outcome = odd::<http::Http>(asking(config), |io, nth| {
        if nth.of_connection < 6 {
            say(io, OK);
        }
    });
    let client = &outcome.client;
    assert!(client.timed_out.get() >= 4, "{client:?}");
    assert_eq!(client.unanswered.get(), 0, "{client:?}");
    assert_eq!(client.failed.get(), client.timed_out.get(), "one for each connection");
    assert_eq!(client.requests.get() + client.timed_out.get(), 41);
    assert_eq!(told(&outcome), ["no answer for 100 ms"]);
}

/// Failures back off: so many connections are tried as places rest for 1, 2, 4 ms and so on, up to a second.
#[test]
fn failures_back_off() {
    const MOST: u64 = 16 * 14;
    fn check<W: Workload, S: App>(what: &str, outcome: &Outcome<W, S>) {
        let opened = outcome.client.opened.get();
        assert!((64..=MOST).contains(&opened), "{what}: {opened} {:?}", told(outcome));
        assert_eq!(outcome.client.requests.get(), 0);
        assert_eq!(outcome.client.closed.get(), 0, "{what}");
        assert!(!told(outcome).is_empty(), "{what}");
    }
    let config = || load(CloseBy::Client, None);
    let reset = |io: &mut Io<'_>, _: Nth| io.abort();
    let garbage = |io: &mut Io<'_>, _: Nth| say(io, b"220 mail.test ESMTP\r\n");
    check("http, reset", &odd::<http::Http>(asking(config()), reset));
    check("http, garbage", &odd::<http::Http>(asking(config()), garbage));
    check("rr, reset", &odd::<Rr>(config(), reset));
    check("crr, reset", &odd::<Crr>(config(), reset));
    let surplus = |io: &mut Io<'_>, _: Nth| say(io, &[0; 3_001]);
    check("crr, surplus", &odd::<Crr>(config(), surplus));

    fn at<W: Workload>(remote: &str, seconds: u64) -> Outcome<W> {
        let config = LoadConfig {
            remote: remote.parse().unwrap(),
            http: get("/"),
            ..load(CloseBy::Client, None)
        };
        run::<W>(LinkConfig::default(), 1, config, Duration::from_secs(seconds))
    }
    let closed_port = "198.18.0.2:1";
    check("http, refused", &at::<http::Http>(closed_port, 2));
    check("rr, refused", &at::<Rr>(closed_port, 2));
    check("crr, refused", &at::<Crr>(closed_port, 2));
    check("stream, refused", &at::<Stream>(closed_port, 2));
    let opened = at::<Crr>("203.0.113.1:80", 2).client.opened.get();
    assert!((5..=16).contains(&opened), "no route, and none is tried meanwhile: {opened}");
    // the neighbour is asked for three seconds; then each connection to it fails at once
    for opened in [
        at::<http::Http>("198.18.0.77:80", 8).client.opened.get(),
        at::<Crr>("198.18.0.77:80", 8).client.opened.get(),
        at::<Stream>("198.18.0.77:80", 8).client.opened.get(),
    ] {
        assert!((16..=16 * 20).contains(&opened), "nobody is there: {opened}");
    }
}

/// A server that closes at once what it has accepted is not asked again at once.
#[test]
fn a_connection_that_was_of_no_use_backs_off() {
    struct Curt(Arc<Tally>);
    impl App for Curt {
        fn on_open(&mut self, io: &mut Io<'_>) {
            self.0.accepted();
            io.close();
        }
        fn on_data(&mut self, _: &mut Io<'_>, data: &[u8]) -> usize {
            data.len()
        }
        fn on_closed(&mut self, _: &mut Io<'_>, reason: CloseReason) {
            self.0.ended(lastack::app::tally::Ending::of_established(reason));
        }
    }
    let time = Duration::from_secs(2);
    let link = LinkConfig::default;
    let pace = Some((0.1, Arrival::Fixed));
    let open = asking(LoadConfig { pace, ..load(CloseBy::Client, None) });
    let http = run_at::<http::Http, _>(link(), 1, open, time, Curt);
    let held = run_at::<Stream, _>(link(), 1, load(CloseBy::Client, None), time, Curt);
    for client in [&http.client, &held.client] {
        assert!((64..=16 * 14).contains(&client.opened.get()), "{}", client.opened.get());
        assert!(client.closed_by_peer.get() > 48, "{}", client.closed_by_peer.get());
    }
}

/// A server that comes back is used again within the longest pause, and then without any.
#[test]
fn a_success_ends_the_pauses() {
    let config = asking(LoadConfig { pipeline: 1, ..load(CloseBy::Client, Some(1)) });
    let outcome = odd::<http::Http>(config, |io, nth| {
        // 16 places, five failures of each
        if nth.of_all <= 80 { io.abort() } else { say(io, OK) }
    });
    let client = &outcome.client;
    // connect, request and close take 6 ms
    assert!(client.requests.get() > 16 * 250, "{}", client.requests.get());
    assert_eq!(client.reset.get(), 80);
}
