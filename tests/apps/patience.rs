//! Clients that are slow, or that never end, and how long the HTTP server waits for them.

use super::*;
use lastack::app::http::Patience;
use lastack::engine::ConnId;

/// Opens connections, says the same on each of them at the same times, and never closes.
struct Holders {
    count: usize,
    /// What to say when, in milliseconds.
    script: VecDeque<(u64, Vec<u8>)>,
    reads: bool,
    conns: Vec<ConnId>,
    heard: Vec<u8>,
    /// When the server closed its direction, and when connections ended, in milliseconds.
    closed: Vec<u64>,
    ended: Vec<u64>,
}

impl Holders {
    fn new(count: usize, script: &[(u64, &str)]) -> Self {
        let script = script.iter().map(|(at, text)| (*at, text.as_bytes().to_vec())).collect();
        let (conns, heard, closed, ended) = (vec![], vec![], vec![], vec![]);
        Holders { count, script, reads: true, conns, heard, closed, ended }
    }

    fn heard(&self, what: &str) -> usize {
        String::from_utf8_lossy(&self.heard).matches(what).count()
    }
}

fn millis(at: Instant) -> u64 {
    at.nanos() / 1_000_000
}

impl App for Holders {
    fn on_poll(&mut self, stack: &mut Stack) {
        while self.conns.len() < self.count {
            let conn = stack.connect(SERVER.parse().unwrap(), ConnectOptions::default()).unwrap();
            self.conns.push(conn);
        }
        while let Some((_, text)) = self.script.pop_front_if(|(at, _)| *at <= millis(stack.now())) {
            for conn in &self.conns {
                let _ = stack.write(*conn, &text); // some have ended
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let opens = (self.conns.len() < self.count).then_some(Instant::ZERO);
        let says = self.script.front().map(|(at, _)| Instant::from_millis(*at));
        opens.into_iter().chain(says).min()
    }

    fn on_data(&mut self, _: &mut Io<'_>, data: &[u8]) -> usize {
        if !self.reads {
            return 0;
        }
        self.heard.extend_from_slice(data);
        data.len()
    }

    fn on_peer_closed(&mut self, io: &mut Io<'_>) {
        self.closed.push(millis(io.now()));
    }

    fn on_closed(&mut self, io: &mut Io<'_>, _: CloseReason) {
        self.ended.push(millis(io.now()));
    }
}

/// What became of holders by then.
fn hold(holders: Holders, patience: Patience, seconds: u64) -> (Holders, Arc<Tally>) {
    let tally: Arc<Tally> = Arc::default();
    let server = Http::new(tally.clone(), MAX_CONNECTIONS).with_patience(patience);
    let mut bench = Bench::new(LinkConfig::default(), 1, holders, server);
    bench.run(Instant::from_millis(seconds * 1_000), || false);
    let holders = core::mem::replace(bench.client.engine_mut().app_mut(), Holders::new(0, &[]));
    (holders, tally)
}

#[track_caller]
fn all_at(times: &[u64], count: usize, from: u64, to: u64) {
    assert_eq!(times.len(), count, "{times:?}");
    assert!(times.iter().all(|at| (from..=to).contains(at)), "{times:?}");
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// RFC 9110 §15.5.9: a head that does not end in time, in one piece or in drops, is answered with 408; the
/// client has five seconds to close.
#[test]
fn half_heads_are_given_up() {
    let drops: Vec<(u64, &str)> = (0..40).map(|second| (second * 500, "X")).collect();
    let after_one = [(0, GET), (3_000, "GET / HT"), (4_000, "TP/1.1\r\nHost")];
    for (script, began) in [(&[(0, "GET / HT")][..], 0), (&drops, 0), (&after_one, 3_000)] {
        let (holders, tally) = hold(Holders::new(100, script), Patience::default(), 30);
        assert_eq!(holders.heard("HTTP/1.1 408 Request Timeout"), 100);
        all_at(&holders.closed, 100, began + 10_000, began + 10_100);
        all_at(&holders.ended, 100, began + 15_000, began + 15_100);
        assert_eq!(tally.open_now.get(), 0);
    }
}

/// Those who were refused and stay are let go.
#[test]
fn who_was_refused_and_stays_is_let_go() {
    let refused = "GET / HTTP/1.1\r\n\r\n";
    let (holders, tally) = hold(Holders::new(50, &[(0, refused)]), Patience::default(), 10);
    assert_eq!(holders.heard("HTTP/1.1 400 Bad Request"), 50);
    all_at(&holders.ended, 50, 5_000, 5_100);
    assert_eq!(tally.open_now.get(), 0);
    // to go on sending is no way to stay
    let more: Vec<(u64, &str)> = (0..20).map(|n| (n * 500, refused)).collect();
    let (holders, _) = hold(Holders::new(50, &more), Patience::default(), 10);
    all_at(&holders.ended, 50, 5_000, 5_100);
}

#[test]
fn idle_connections_are_closed_and_busy_ones_are_not() {
    let (holders, _) = hold(Holders::new(20, &[]), Patience::default(), 70);
    all_at(&holders.closed, 20, 60_000, 60_100);
    let script = [(0, GET), (40_000, GET), (90_000, GET)];
    let (holders, _) = hold(Holders::new(20, &script), Patience::default(), 160);
    assert_eq!(holders.heard("HTTP/1.1 200 OK"), 60);
    all_at(&holders.closed, 20, 150_000, 150_100);
    let patience = Patience { idle: Duration::from_secs(2), ..Patience::default() };
    let (holders, _) = hold(Holders::new(20, &[(0, GET)]), patience, 10);
    all_at(&holders.closed, 20, 2_000, 2_100);
    // a body that is skipped may take its time, as long as it goes on
    let slow = [
        (0, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"),
        (1_500, "123"),
        (3_000, "456"),
    ];
    let (holders, _) = hold(Holders::new(20, &slow), patience, 10);
    all_at(&holders.ended, 20, 5_000, 5_100);
}

#[test]
fn who_does_not_read_is_reset() {
    let large = "GET /bytes/100000000 HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut holders = Holders::new(10, &[(0, large)]);
    holders.reads = false;
    let (holders, tally) = hold(holders, Patience::default(), 40);
    all_at(&holders.ended, 10, 30_000, 32_000);
    assert_eq!((tally.open_now.get(), tally.reset.get()), (0, 10));
}

#[test]
fn half_heads_have_so_much_memory_and_no_more() {
    let patience = Patience { half_heads: 60 * 256, ..Patience::default() };
    let script = [(0, "GET / HT"), (12_000, GET)];
    let (holders, tally) = hold(Holders::new(100, &script), patience, 8);
    assert_eq!(holders.heard("HTTP/1.1 503 Service Unavailable"), 40);
    assert_eq!(tally.requests.get(), 40);
    let (holders, _) = hold(Holders::new(100, &script), patience, 20);
    assert_eq!(holders.heard("HTTP/1.1 408 Request Timeout"), 60, "the memory comes back");
}
