//! Back-pressure: the port has no room. What is ours is kept or remembered, what the peer will ask for
//! again is not even made, and no time-out is counted while its segment waits in our own queue.

use crate::*;
use core::time::Duration;
use lastack::app::Tally;
use lastack::app::workload::{CloseBy, Control, Crr, Load, LoadConfig, Responder, Shape, Workload};
use lastack::engine::{App, Config, Engine, Error, ListenOptions, Outlet, Runner};
use lastack::net::address::Interface;
use lastack::port::sim::{Link, LinkConfig, SimClock, SimPort, Stuck};
use lastack::port::{RxChecksum, RxFrame};
use lastack::tcp::{KeepAlive, State};
use lastack::wire::MacAddr;
use std::sync::Arc;

/// From now on the last frame that was sent waits in the port.
fn holds_one(tcp: &mut Exchange) {
    tcp.engine.note_output(Outlet::Open, 1);
}

/// Now the port has sent everything.
fn lets_go(tcp: &mut Exchange) {
    let now = tcp.now();
    tcp.engine.poll(now);
    tcp.engine.note_output(Outlet::Open, 0);
}

#[test]
fn a_time_out_waits_for_what_waits_in_the_port() {
    at_any_rhythm(|rhythm| {
        let mut tcp = Exchange::established(plain()).in_rhythm(rhythm);
        tcp.write("hello");
        tcp.sends(data("hello").seq(101).ack(301));
        holds_one(&mut tcp);
        tcp.at(5_400); // and nothing was sent again
        assert_eq!(tcp.counters().timeouts.get(), 0);
        assert_eq!(tcp.counters().host_queues.get(), 5);
        lets_go(&mut tcp);
        tcp.at(6_400); // a time-out after it left, and not as if five had been
        tcp.sends(data("hello").seq(101).ack(301));
        tcp.at(8_400);
        tcp.sends(data("hello").seq(101).ack(301));
        assert_eq!(tcp.counters().timeouts.get(), 2);
        tcp.receives(ack().seq(301).ack(106));
    });
}

/// More segments than a small counter holds arrive before any ACK could leave.
#[test]
fn one_ack_answers_all_that_arrived_meanwhile() {
    let mut tcp = Exchange::established(plain());
    let segments: Vec<_> = (0..600).map(|n| data("x").seq(301 + n).ack(101)).collect();
    tcp.receives_burst(&segments);
    tcp.sends(ack().seq(101).ack(901));
    tcp.sends_nothing();
    tcp.reads("x".repeat(600));
}

/// A port that is never empty, but flows, keeps no loss from being repaired.
#[test]
fn a_port_that_flows_puts_nothing_off() {
    let mut tcp = Exchange::established(plain());
    tcp.write("hello");
    tcp.sends(data("hello").seq(101).ack(301));
    tcp.engine.note_output(Outlet::Open, 1);
    for tenth in 1..10 {
        tcp.at(100 * tenth);
        tcp.receives(data("x").seq(299).ack(101)); // old: it is answered, so that a frame goes out
        tcp.sends(ack().seq(106).ack(301));
        tcp.engine.note_output(Outlet::Open, 1);
    }
    tcp.at(1_000);
    tcp.sends(data("hello").seq(101).ack(301));
    assert_eq!(tcp.counters().host_queues.get(), 0);
    tcp.receives(ack().seq(301).ack(106));
}

#[test]
fn so_do_those_of_syn_syn_ack_fin_and_probes() {
    // SYN
    let mut tcp = Exchange::new(plain());
    tcp.connect();
    tcp.sends(syn().seq(100).mss(1_460));
    holds_one(&mut tcp);
    tcp.at(10_000);
    lets_go(&mut tcp);
    tcp.at(11_000);
    tcp.sends(syn().seq(100).mss(1_460));
    drop(tcp);
    // SYN-ACK: neither the timer nor the peer's next SYN brings another, and its life does not pass
    let mut tcp = Exchange::listening(plain());
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    holds_one(&mut tcp);
    tcp.at(1_500);
    tcp.receives(syn().seq(300));
    tcp.at(70_000);
    lets_go(&mut tcp);
    tcp.about(71_000);
    let again = tcp.sent_segments();
    assert_eq!((again.len(), tcp.counters().synack_retrans.get()), (1, 1));
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    drop(tcp);
    // FIN
    let mut tcp = Exchange::established(plain());
    tcp.close();
    tcp.sends(fin().seq(101).ack(301));
    holds_one(&mut tcp);
    tcp.at(10_000);
    lets_go(&mut tcp);
    tcp.at(11_000);
    tcp.sends(fin().seq(101).ack(301));
    tcp.receives(rst().seq(301));
    drop(tcp);
    // a probe of a window that is shut
    let mut tcp = Exchange::established(plain());
    tcp.receives(ack().seq(301).ack(101).win(0));
    tcp.write("hello");
    tcp.at(1_000);
    tcp.sends(data("h").seq(101).ack(301).without_psh());
    holds_one(&mut tcp);
    tcp.at(30_000);
    assert_eq!(tcp.counters().window_probes.get(), 1);
    lets_go(&mut tcp);
    tcp.receives(ack().seq(301).ack(101));
    tcp.sends(data("hello").seq(101).ack(301));
    tcp.receives(ack().seq(301).ack(106));
}

/// A keep-alive probe that has not left is no sign that the peer has gone.
#[test]
fn a_keep_alive_probe_that_waits_is_not_counted() {
    let mut config = plain();
    let (idle, interval) = (Duration::from_secs(10), Duration::from_secs(1));
    config.tcp.keep_alive = Some(KeepAlive { idle, interval, count: 3 });
    let mut tcp = Exchange::established(config);
    tcp.at(10_000);
    tcp.sends(ack().seq(100).ack(301));
    holds_one(&mut tcp);
    tcp.at(60_000);
    tcp.is_in(State::Established);
    assert_eq!(tcp.counters().keep_alives.get(), 1);
    lets_go(&mut tcp);
    tcp.receives(ack().seq(301).ack(101));
}

/// What the application asked for is kept to: a user timeout runs, whoever holds the segment.
#[test]
fn a_user_timeout_is_not_put_off() {
    let mut config = plain();
    config.tcp.user_timeout = Some(Duration::from_secs(5));
    let mut tcp = Exchange::established(config);
    tcp.write("hello");
    tcp.sends(data("hello").seq(101).ack(301));
    holds_one(&mut tcp);
    tcp.at(6_100);
    assert_eq!(tcp.read(), Err(Error::TimedOut));
}

/// SYNs to a listener, with room for all of them, while nothing can be sent.
fn pressed(connections: u32) -> (Exchange, Vec<u8>) {
    let mut config = plain();
    config.limits.max_connections = 1 << 16;
    config.limits.syn_cache = 1 << 16;
    let mut tcp = Exchange::new(config);
    tcp.listen(ListenOptions { backlog: 1 << 16, ..ListenOptions::default() }).unwrap();
    tcp.handshake();
    let established = tcp.frame_of(&data("hello").seq(301).ack(101));
    let now = tcp.now();
    for n in 0..connections {
        tcp.remote.set_port(1_024 + n as u16);
        let frame = tcp.frame_of(&syn().seq(300).mss(1_460));
        tcp.engine.input(&frame, now);
    }
    tcp.remote.set_port(40_000);
    (tcp, established)
}

#[test]
fn syns_are_shed_first_and_before_anything_is_done_for_them() {
    let (mut tcp, established) = pressed(30_000);
    let metrics = tcp.engine.metrics().clone();
    let (shed, received) = (metrics.drops.syn_shed.get(), metrics.tcp.syn_received.get());
    assert!((10_000..25_000).contains(&shed), "{shed}");
    assert_eq!((metrics.syn_cache.get(), shed + received), (received - 1, 30_001));
    assert_eq!((metrics.drops.control_queue.get(), metrics.tcp.cookies_sent.get()), (0, 0));
    // a connection goes on
    let now = tcp.now();
    tcp.engine.input(&established, now);
    tcp.reads("hello");
    // with room each SYN that was taken is answered, once, and what else was owed comes too
    let mut answers = 0;
    while tcp.engine.output().is_some() {
        answers += 1;
    }
    assert_eq!(answers, received - 1 + 1);
    assert_eq!(metrics.tcp.retrans_segs.get(), 0);
    tcp.remote.set_port(50_000);
    tcp.next_incarnation();
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    assert_eq!(metrics.drops.syn_shed.get(), shed);
}

/// SYNs are shed before the burst that they are in has been answered. Each one that was taken is answered
/// all the same, and not by a time-out.
#[test]
fn a_syn_that_was_taken_is_answered_at_once() {
    let (mut tcp, _) = pressed(0);
    let now = tcp.now();
    for burst in 0..500 {
        let syns: Vec<_> = (0..32)
            .map(|n| {
                tcp.remote.set_port(1_024 + 32 * burst + n);
                tcp.frame_of(&syn().seq(300).mss(1_460))
            })
            .collect();
        let frame = |bytes| RxFrame { bytes, checksum: RxChecksum::Unknown };
        let mut frames: Vec<_> = syns.iter().map(|bytes| frame(&bytes[..])).collect();
        tcp.engine.input_burst(frames.len(), &mut frames[..], now);
    }
    let metrics = tcp.engine.metrics().clone();
    let (shed, taken) = (metrics.drops.syn_shed.get(), metrics.syn_cache.get());
    assert!(shed > 5_000 && taken > 5_000 && shed + taken == 16_000, "{shed} {taken}");
    let mut answers = 0;
    while tcp.engine.output().is_some() {
        answers += 1;
    }
    assert_eq!((answers, metrics.tcp.retrans_segs.get()), (taken, 0));
}

/// What strays are answered with they can ask for again; it does not take the room of the others.
#[test]
fn strays_leave_room_for_what_comes_once() {
    let (mut tcp, _) = pressed(30_000);
    let now = tcp.now();
    tcp.remote.set_port(60_000);
    let stray = tcp.frame_of(&ack().seq(7).ack(9));
    tcp.engine.input(&stray, now);
    let metrics = tcp.engine.metrics().clone();
    assert_eq!((metrics.drops.answer_shed.get(), metrics.tcp.out_rsts.get()), (1, 0));
    assert_eq!(metrics.drops.control_queue.get(), 0);
    // the last ACK of a connection that closes still has its place
    tcp.remote.set_port(40_000);
    tcp.close();
    while let Some(frame) = tcp.engine.output() {
        drop(frame.to_vec());
    }
    let (mut tcp, _) = pressed(0);
    tcp.close();
    tcp.sends(fin().seq(101).ack(301));
    let now = tcp.now();
    for n in 0..30_000 {
        tcp.remote.set_port(1_024 + n as u16);
        let frame = tcp.frame_of(&syn().seq(300).mss(1_460));
        tcp.engine.input(&frame, now);
    }
    assert!(tcp.engine.metrics().drops.syn_shed.get() > 0);
    tcp.remote.set_port(40_000);
    let last = tcp.frame_of(&fin().seq(301).ack(102));
    tcp.engine.input(&last, now);
    assert_eq!(tcp.engine.time_wait(), 1);
    let sent = tcp.sent_segments_now_from_us();
    assert!(sent.iter().any(|segment| ack().seq(102).ack(302).is_met_by(segment)));
}

/// Nothing would bring back the RST of an aborted connection whose peer is idle.
#[test]
fn each_aborted_connection_is_reset_when_there_is_room() {
    const MANY: u32 = 25_000;
    let mut config = plain();
    config.limits.max_connections = MANY;
    let mut tcp = Exchange::new(config);
    tcp.listen(ListenOptions { backlog: MANY, ..ListenOptions::default() }).unwrap();
    for n in 0..MANY {
        tcp.remote.set_port(1_024 + n as u16);
        tcp.next_incarnation();
        tcp.handshake();
    }
    let conns: Vec<_> = tcp.conns().to_vec();
    for conn in conns {
        tcp.engine.abort(conn).unwrap();
    }
    let mut resets = 0;
    while tcp.engine.output().is_some() {
        resets += 1;
    }
    let metrics = tcp.engine.metrics();
    assert_eq!((resets, metrics.tcp.out_rsts.get()), (MANY, MANY.into()));
    assert_eq!(metrics.drops.control_queue.get(), 0);
}

/// Without its last ACK a peer waits for a time-out, and says its FIN again.
#[test]
fn each_last_ack_goes_out_when_there_is_room() {
    const MANY: u32 = 25_000;
    let mut config = plain();
    config.limits.max_connections = MANY;
    config.limits.max_time_wait = MANY;
    let mut tcp = Exchange::new(config);
    tcp.listen(ListenOptions { backlog: MANY, ..ListenOptions::default() }).unwrap();
    let mut fins = Vec::new();
    for n in 0..MANY {
        tcp.remote.set_port(1_024 + n as u16);
        tcp.next_incarnation();
        tcp.handshake();
        fins.push(tcp.frame_of(&fin().seq(301).ack(102)));
    }
    for conn in tcp.conns().to_vec() {
        tcp.engine.close(conn).unwrap();
    }
    while tcp.engine.output().is_some() {}
    let now = tcp.now();
    for frame in fins {
        tcp.engine.input(&frame, now);
    }
    assert_eq!(tcp.engine.time_wait(), MANY as usize);
    let mut acks = 0;
    while tcp.engine.output().is_some() {
        acks += 1;
    }
    let drops = &tcp.engine.metrics().drops;
    assert_eq!((acks, drops.control_queue.get(), drops.answer_shed.get()), (MANY, 0, 0));
}

const SERVER: &str = "198.18.0.2:9000";
const MOST: u32 = 4_096;

type Side<A> = Runner<SimPort, A, SimClock>;

fn side<A: App>(link: &Link, port: SimPort, last: u8, app: A) -> Side<A> {
    let mac = |last| MacAddr([2, 0, 0, 0, 0, last]);
    let address = format!("198.18.0.{last}/24").parse().unwrap();
    let mut interface = Interface::new(mac(last), vec![address]);
    interface.neighbours = vec![(format!("198.18.0.{}", 3 - last).parse().unwrap(), mac(3 - last))];
    let mut config = Config::new(interface, [last; 32]);
    config.limits.max_connections = MOST;
    config.limits.max_time_wait = 1 << 18;
    Runner::new(port, Engine::new(config, app).unwrap(), link.clock())
}

/// A client and a server over a link of 1 ms, each with a ring of 16 places.
struct Pair {
    link: Link,
    client: Side<Crr>,
    server: Side<Responder>,
    control: Arc<Control>,
    done: Arc<Tally>,
}

impl Pair {
    fn new(load: LoadConfig) -> Self {
        let config = LinkConfig::default();
        let (link, here, there) = Link::new(config, config, 1);
        let (control, done) = (Arc::<Control>::default(), Arc::<Tally>::default());
        let shape = load.shape;
        let crr = Crr::new(Load::new(load, done.clone(), control.clone()), MOST);
        let responder = Responder::new(shape, Arc::default(), MOST);
        let client = side(&link, here, 1, crr);
        let mut server = side(&link, there, 2, responder);
        let options = ListenOptions { backlog: MOST, ..ListenOptions::default() };
        server.engine_mut().stack_mut().listen(SERVER.parse().unwrap(), options).unwrap();
        for end in 0..2 {
            link.set_ring(end, Some(16));
        }
        Pair { link, client, server, control, done }
    }

    /// Time passes, with so many turns in each millisecond.
    fn run(&mut self, ms: u64, turns: u32) {
        for _ in 0..ms {
            self.link.set_now(self.link.now() + Duration::from_millis(1));
            for _ in 0..turns {
                self.client.poll_once();
                self.server.poll_once();
            }
        }
    }

    /// Everything comes to its end, and neither side has dropped a frame of its own.
    fn ends(&mut self) {
        self.control.stop();
        self.run(20_000, 4);
        assert!(self.control.is_finished());
        let done = &self.done;
        assert_eq!((done.failed.get(), done.reset.get()), (0, 0));
        assert_eq!(done.opened.get(), done.closed.get());
        let engines = [self.client.engine().stack(), self.server.engine().stack()];
        for (stack, port) in engines.into_iter().zip([self.client.port(), self.server.port()]) {
            use lastack::port::Port;
            assert_eq!(port.stats().tx_dropped, 0);
            assert_eq!(stack.metrics().drops.control_queue.get(), 0);
            assert_eq!(stack.connections(), 0);
        }
    }
}

fn load(rate: f64) -> LoadConfig {
    LoadConfig {
        connections: 2_000,
        pace: Some((rate, lastack::app::workload::Arrival::Fixed)),
        shape: Shape { request_size: 100, response_size: 3_000 },
        close: CloseBy::Server,
        seed: 1,
        ..LoadConfig::new(SERVER.parse().unwrap())
    }
}

/// The server's ring does not move for three seconds: what waits in it is not sent a second time.
#[test]
fn a_ring_that_is_stuck_for_long_loses_nothing_and_nothing_is_sent_twice() {
    let mut pair = Pair::new(load(1_000.0));
    pair.run(500, 8);
    let before = pair.done.closed.get();
    assert!(before > 400, "{before}");
    pair.link.set_stuck(1, Stuck::Yes);
    pair.run(3_000, 8);
    let metrics = pair.server.engine().stack().metrics().clone();
    assert!(metrics.tcp.output_blocked.get() > 1_000);
    assert_eq!(metrics.tcp.retrans_segs.get(), 0, "sent again while it waits in the ring");
    pair.link.set_stuck(1, Stuck::No);
    // what waited goes out, sixteen frames a millisecond
    pair.run(150, 8);
    assert_eq!(metrics.tcp.retrans_segs.get(), 0, "sent again before it could be acknowledged");
    pair.run(4_000, 8);
    assert!(pair.done.closed.get() > before + 3_000, "{}", pair.done.closed.get());
    pair.ends();
}

/// Offered three times what the rings let through, as many connections complete as at once that.
#[test]
fn a_load_of_three_times_what_goes_through_completes_as_many() {
    // sixteen frames a millisecond each way: some 3,000 connections a second
    let completed = [1.0, 2.0, 3.0].map(|times| {
        // few enough at a time that none waits for longer than a time-out
        let mut pair = Pair::new(LoadConfig { connections: 300, ..load(times * 4_000.0) });
        pair.run(500, 1);
        let before = pair.done.closed.get();
        pair.run(2_000, 1);
        let completed = pair.done.closed.get() - before;
        pair.ends();
        for stack in [pair.client.engine().stack(), pair.server.engine().stack()] {
            assert_eq!(stack.metrics().tcp.timeouts.get(), 0);
        }
        completed
    });
    let best = *completed.iter().max().unwrap();
    assert!(completed.iter().all(|&one| 100 * one >= 95 * best), "{completed:?}");
}
