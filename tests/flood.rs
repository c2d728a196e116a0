//! Clients that get through a SYN flood over a path that loses frames, in the virtual time of the
//! simulator: nothing fails, cookies come and go as they are needed, and nothing is left behind.

#[path = "../benches/support/syns.rs"]
mod syns;

use core::net::SocketAddr;
use core::time::Duration;
use lastack::app::Tally;
use lastack::app::workload::{
    Arrival, CloseBy, Control, Crr, Load, LoadConfig, Responder, Rr, Shape, Workload,
};
use lastack::engine::{Config, Engine, ListenOptions, Request, Runner};
use lastack::net::address::Interface;
use lastack::port::sim::{Link, LinkConfig, SimClock, SimPort};
use lastack::port::{Port, TxOffload};
use lastack::tcp::SynCookies;
use lastack::time::Instant;
use std::sync::Arc;
use syns::{CLIENT_MAC, SERVER, SERVER_MAC, Syns};

const PORT: u16 = 80;
const SHAPE: Shape = Shape { request_size: 100, response_size: 2_000 };
/// Half-open connections that the server keeps.
const CACHE: u32 = 1_024;
/// Requests of the clients, and SYNs of a flood, in a second.
const RATE: f64 = 500.0;
const FLOOD: u64 = 20_000;

fn config(host: u8, mode: SynCookies) -> Config {
    let macs = [CLIENT_MAC, SERVER_MAC];
    let mac = |host: u8| macs[usize::from(host) - 1];
    let address = format!("198.18.0.{host}/24").parse().unwrap();
    let mut interface = Interface::new(mac(host), vec![address]);
    let peer = 3 - host;
    interface.neighbours = vec![(format!("198.18.0.{peer}").parse().unwrap(), mac(peer))];
    let mut config = Config::new(interface, [host; 32]);
    config.limits.max_connections = 4_096;
    config.limits.syn_cache = CACHE;
    config.tcp.syn_cookies = mode;
    config
}

/// A client, a server, and between them a path that a flood comes over, too. It duplicates nothing: a
/// client that acknowledges the copy of a SYN-ACK while its first data is on the way says what no cookie
/// is good for, and is reset (see docs/syn-flood.md).
struct World<W: Workload> {
    link: Link,
    client: Runner<SimPort, W, SimClock>,
    server: Runner<SimPort, Responder, SimClock>,
    control: Arc<Control>,
    tally: Arc<Tally>,
    syns: Syns,
    /// When the next SYN is due, and time between them; none if that is zero.
    due: Instant,
    gap: Duration,
}

impl<W: Workload> World<W> {
    fn new(mode: SynCookies, requests_per_connection: Option<u32>, seed: u64) -> Self {
        let path = LinkConfig {
            delay: Duration::from_millis(2),
            jitter: Duration::from_millis(1),
            loss: 10_000,
            reordering: 10_000,
            reorder_delay: Duration::from_millis(5),
            ..LinkConfig::default()
        };
        let (link, a, b) = Link::new(path, path, seed);
        let load = LoadConfig {
            connections: 200,
            pace: Some((RATE, Arrival::Poisson)),
            shape: SHAPE,
            requests_per_connection,
            close: CloseBy::Server,
            seed,
            ..LoadConfig::new(SocketAddr::from((SERVER, PORT)))
        };
        let (control, tally) = (Arc::new(Control::default()), Arc::new(Tally::default()));
        let load = Load::new(load, Arc::clone(&tally), Arc::clone(&control));
        let engine = Engine::new(config(1, SynCookies::Auto), W::new(load, 4_096)).unwrap();
        let client = Runner::new(a, engine, link.clock());
        let app = Responder::new(SHAPE, Arc::default(), 4_096);
        let mut engine = Engine::new(config(2, mode), app).unwrap();
        let address = SocketAddr::from((SERVER, PORT));
        engine.listen(address, ListenOptions::default()).unwrap();
        let server = Runner::new(b, engine, link.clock());
        let (syns, due, gap) = (Syns::new(PORT), Instant::ZERO, Duration::ZERO);
        World { link, client, server, control, tally, syns, due, gap }
    }

    /// From now on so many SYNs a second.
    fn flood(&mut self, rate: u64) {
        self.gap = Duration::from_nanos(1_000_000_000_u64.checked_div(rate).unwrap_or(0));
        self.due = self.link.now();
    }

    /// Goes on to that second.
    fn until(&mut self, seconds: f64) {
        let until = Instant::ZERO + Duration::from_secs_f64(seconds);
        loop {
            let now = self.link.now();
            while !self.gap.is_zero() && self.due <= now {
                let port = self.client.port_mut();
                let len = self.syns.write(port.tx_room().unwrap());
                port.tx_commit(len, TxOffload::None);
                self.due = self.due + self.gap;
            }
            while self.client.poll_once() | self.server.poll_once() {}
            if now >= until {
                return;
            }
            let engines =
                [self.client.engine().next_deadline(), self.server.engine().next_deadline()];
            let syn = (!self.gap.is_zero()).then_some(self.due);
            let events = engines.into_iter().chain([self.link.next_arrival(), syn, Some(until)]);
            self.link.set_now(events.flatten().min().unwrap().max(now));
        }
    }

    /// Stops the clients, and waits until all that they had begun is over.
    fn finish(&mut self) {
        self.flood(0);
        self.control.stop();
        let begun = self.link.now().since(Instant::ZERO).as_secs_f64();
        for second in 1..100 {
            self.until(begun + f64::from(second));
            if self.control.is_finished() {
                return;
            }
        }
        panic!("the clients do not come to an end");
    }

    fn cookies_active(&self) -> bool {
        self.server.engine().metrics().syn_cookies_active.get() > 0
    }

    /// All that was begun has been served, and the server knows of nothing any more.
    #[track_caller]
    fn all_is_well(&mut self, once: bool) {
        let tally = &self.tally;
        assert_eq!((tally.failed.get(), tally.reset.get()), (0, 0));
        if once {
            assert_eq!(tally.closed.get(), tally.opened.get());
            assert_eq!(tally.requests.get(), tally.opened.get());
        }
        let ended = self.link.now().since(Instant::ZERO).as_secs_f64();
        self.until(ended + 130.0); // the longest life of a half-open connection, and 2·MSL
        let engine = self.server.engine();
        assert_eq!((engine.connections(), engine.time_wait()), (0, 0));
        assert_eq!((engine.metrics().syn_cache.get(), engine.timers()), (0, 0));
        assert_eq!(engine.memory_in_use(), (0, 0));
        assert!(engine.metrics().syn_cache_peak.get() <= u64::from(CACHE));
    }
}

/// Five seconds of clients, four of them under a flood.
fn served<W: Workload>(mode: SynCookies, requests_per_connection: Option<u32>) {
    for seed in 0..4 {
        let mut world = World::<W>::new(mode, requests_per_connection, seed);
        world.until(1.0);
        world.flood(FLOOD);
        world.until(5.0);
        world.finish();
        assert!(world.tally.requests.get() as f64 > RATE * 5.0 * 0.9, "{mode:?} {seed}");
        world.all_is_well(requests_per_connection.is_some());
        let tcp = &world.server.engine().metrics().tcp;
        assert!(tcp.syn_received.get() > 4 * FLOOD * 9 / 10, "the flood was there");
        assert!(tcp.cookies_sent.get() > 3 * FLOOD, "{mode:?} {seed}");
        if requests_per_connection.is_some() {
            assert!(tcp.cookies_received.get() > 500, "{mode:?} {seed}");
        }
    }
}

#[test]
fn connections_are_made_while_cookies_are_sent_if_needed() {
    served::<Crr>(SynCookies::Auto, Some(1));
}

#[test]
fn connections_are_made_while_cookies_are_always_sent() {
    served::<Crr>(SynCookies::Always, Some(1));
}

#[test]
fn connections_that_stand_notice_nothing() {
    served::<Rr>(SynCookies::Auto, None);
    served::<Rr>(SynCookies::Always, None);
}

/// The cache fills within a twentieth of a second, and then empties by seconds: so often cookies go on
/// and off, and not with every SYN.
#[test]
fn cookies_come_and_go_with_the_flood() {
    let mut world = World::<Crr>::new(SynCookies::Auto, Some(1), 7);
    world.until(2.0);
    assert!(!world.cookies_active());
    assert_eq!(world.server.engine().metrics().tcp.cookies_sent.get(), 0);
    for begins in [2.0, 40.0] {
        world.flood(FLOOD);
        let (mut switched, mut was, mut active) = (0, false, 0);
        for ms in 1..=10_000 {
            world.until(begins + f64::from(ms) / 1e3);
            let is = world.cookies_active();
            switched += u32::from(is != was);
            active += u32::from(is);
            was = is;
        }
        assert!((1..=20).contains(&switched), "switched {switched} times");
        assert!(active > 9_000, "on for {active} ms of 10,000");
        world.flood(0);
        world.until(begins + 25.0);
        assert!(!world.cookies_active(), "half of the cache is free");
        let sent = world.server.engine().metrics().tcp.cookies_sent.get();
        world.until(begins + 30.0);
        assert_eq!(world.server.engine().metrics().tcp.cookies_sent.get(), sent);
    }
    world.finish();
    world.all_is_well(true);
}

/// The mode is changed while connections are being made under a flood.
#[test]
fn the_mode_changes_under_load() {
    let mut world = World::<Crr>::new(SynCookies::Auto, Some(1), 9);
    world.flood(FLOOD);
    let mailbox = Arc::clone(world.server.engine().mailbox());
    for (tenth, mode) in [SynCookies::Always, SynCookies::Auto].iter().cycle().take(40).enumerate()
    {
        mailbox.send(Request::SetSynCookies(*mode)).unwrap();
        world.until(1.0 + tenth as f64 / 10.0);
    }
    world.finish();
    world.all_is_well(true);
}
