//! How much gets through, in the virtual time of the simulator: against the response function of
//! CUBIC on a lossy path, against the link on a clean one, and between two flows.

use core::time::Duration;
use lastack::engine::{App, Config, ConnectOptions, Engine, Io, ListenOptions, Runner};
use lastack::net::address::Interface;
use lastack::port::sim::{Link, LinkConfig, SimClock, SimPort};
use lastack::tcp::CloseReason;
use lastack::tcp::congestion::Algorithm;
use lastack::time::Instant;
use lastack::wire::MacAddr;

/// Bits a second.
const RATE: u64 = 1_000_000_000;
const RTT: Duration = Duration::from_millis(20);
/// Octets of payload in a full frame, with timestamps.
const MSS: f64 = 1_448.0;
/// Octets of a full frame.
const FRAME: f64 = 1_514.0;
/// The bandwidth-delay product in octets.
const BDP: u64 = RATE / 8 * 20 / 1_000;

/// Sends without end from the side that opens, and counts what arrives for each connection.
#[derive(Default)]
struct Bulk {
    received: Vec<u64>,
}

impl Bulk {
    fn fill(io: &mut Io<'_>) {
        static CHUNK: [u8; 1 << 16] = [0x5a; 1 << 16];
        while io.write(&CHUNK) == CHUNK.len() {}
    }
}

impl App for Bulk {
    fn on_open(&mut self, io: &mut Io<'_>) {
        if io.is_active() {
            Bulk::fill(io);
        } else {
            io.set_user(self.received.len() as u64);
            self.received.push(0);
        }
    }

    fn on_data(&mut self, io: &mut Io<'_>, data: &[u8]) -> usize {
        self.received[io.user() as usize] += data.len() as u64;
        data.len()
    }

    fn on_writable(&mut self, io: &mut Io<'_>) {
        Bulk::fill(io);
    }

    fn on_closed(&mut self, _: &mut Io<'_>, reason: CloseReason) {
        panic!("closed: {reason:?}");
    }
}

type End = Runner<SimPort, Bulk, SimClock>;

fn end(port: SimPort, clock: SimClock, host: u8, algorithm: Algorithm) -> End {
    let mac = MacAddr([2, 0, 0, 0, 0, host]);
    let address = format!("198.18.0.{host}/24").parse().unwrap();
    let mut config = Config::new(Interface::new(mac, vec![address]), [host; 32]);
    config.limits.max_connections = 4;
    config.limits.max_time_wait = 4;
    config.limits.buffer_bytes = 128 << 20;
    config.tcp.congestion = algorithm;
    config.tcp.send_buffer = 16 << 20;
    config.tcp.receive_buffer = 16 << 20;
    Runner::new(port, Engine::new(config, Bulk::default()).unwrap(), clock)
}

/// What each of `flows` has delivered, in octets a second, between `from` and `until`; the second
/// flow begins two seconds after the first.
fn goodput(
    there: LinkConfig,
    algorithm: Algorithm,
    flows: usize,
    (from, until): (u64, u64),
    seed: u64,
) -> Vec<f64> {
    let back = LinkConfig { delay: there.delay, ..LinkConfig::default() };
    let (link, a, b) = Link::new(there, back, seed);
    let mut client = end(a, link.clock(), 1, algorithm);
    let mut server = end(b, link.clock(), 2, algorithm);
    let address = "198.18.0.2:80".parse().unwrap();
    server.engine_mut().listen(address, ListenOptions::default()).unwrap();
    let (from, until) = (Instant::from_millis(from * 1_000), Instant::from_millis(until * 1_000));
    let mut begun = 0;
    let mut before = None;
    while link.now() < until {
        if begun < flows && link.now() >= Instant::from_millis(2_000 * begun as u64) {
            client.engine_mut().connect(address, ConnectOptions::default()).unwrap();
            begun += 1;
        }
        while client.poll_once() | server.poll_once() {}
        if before.is_none() && link.now() >= from {
            before = Some(server.engine().app().received.clone());
        }
        let deadlines = [client.engine().next_deadline(), server.engine().next_deadline()];
        let next = deadlines.into_iter().flatten().chain(link.next_arrival()).min().unwrap();
        link.set_now(next);
    }
    let seconds = until.since(from).as_secs_f64();
    let before = before.unwrap();
    let after = &server.engine().app().received;
    after.iter().zip(&before).map(|(after, before)| (after - before) as f64 / seconds).collect()
}

fn path(loss: u32, buffer: u64) -> LinkConfig {
    LinkConfig { rate: RATE, delay: RTT / 2, buffer, loss, ..LinkConfig::default() }
}

/// RFC 9438 §5.1, equation 6, for the average window of CUBIC with beta = 0.7 and C = 0.4; and
/// where that is less, the window of Reno, sqrt(3/2 / p), that §4.3 makes it keep up with.
fn response(p: f64) -> f64 {
    let (beta, c) = (0.7f64, 0.4f64);
    let cubic = (c * (3.0 + beta) / (4.0 * (1.0 - beta))).powf(0.25) * RTT.as_secs_f64().powf(0.75)
        / p.powf(0.75);
    let reno = (1.5 / p).sqrt();
    cubic.max(reno) * MSS / RTT.as_secs_f64()
}

/// Random loss of one in a thousand: at least 0.9 of what the response function says.
#[test]
fn a_lossy_path() {
    let mean = |algorithm| {
        let found = |seed| goodput(path(1_000, 2 * BDP), algorithm, 1, (5, 65), seed)[0];
        (1..=3).map(found).sum::<f64>() / 3.0
    };
    let (cubic, expected) = (mean(Algorithm::Cubic), response(1e-3));
    let ratio = cubic / expected;
    println!("CUBIC, 0.1 % loss: {:.2} MB/s, {ratio:.2} of the response function", cubic / 1e6);
    assert!(ratio >= 0.9, "{ratio}");
}

/// No loss but by the buffer, which holds what the path does: 99 % of what the link can carry.
#[test]
fn a_clean_path() {
    let most = RATE as f64 / 8.0 * MSS / FRAME;
    for algorithm in Algorithm::ALL {
        let ratio = goodput(path(0, BDP), algorithm, 1, (3, 23), 1)[0] / most;
        println!("{algorithm}, clean: {:.2} % of the link", 100.0 * ratio);
        assert!(ratio >= 0.99, "{algorithm}: {ratio}");
    }
}

/// Two flows share a bottleneck evenly, one of which came two seconds later: Jain's index
/// (sum x)² / (n sum x²). The link is a tenth as fast as above: CUBIC evens out over some ten
/// losses, and at 1 Gb/s they are ten seconds apart.
#[test]
fn two_flows() {
    let narrow = LinkConfig { rate: RATE / 10, ..path(0, BDP / 10) };
    for algorithm in Algorithm::ALL {
        let found = goodput(narrow, algorithm, 2, (20, 140), 1);
        let sum: f64 = found.iter().sum();
        let squares: f64 = found.iter().map(|x| x * x).sum();
        let jain = sum * sum / (2.0 * squares);
        println!(
            "{algorithm}, two flows: {:.1} and {:.1} MB/s, {jain:.3}",
            found[0] / 1e6,
            found[1] / 1e6
        );
        assert!(jain >= 0.95, "{algorithm}: {jain}");
    }
}
