//! Lines over a pair of ports, and their pace.

use super::*;
use crate::port::dpdk::tests::eal;
use crate::port::dpdk::{DpdkPort, Pool, PoolConfig, RingPair, RingPairConfig};
use crate::port::{Port, TxOffload};
use crate::wire::ipv4::Ipv4Header;
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::{Flags, Segment};
use crate::wire::{MacAddr, PROTOCOL_TCP, ethernet};
use core::net::Ipv4Addr;
use std::sync::Mutex;

type Lines = Arc<Mutex<Vec<String>>>;

fn pair(name: &str) -> RingPair {
    let pool = Pool::new(eal(), name, PoolConfig { buffers: 2_047, ..PoolConfig::default() });
    RingPair::new(eal(), name, &RingPairConfig::new(pool.expect("a pool"))).expect("a pair")
}

fn verbose(pair: &RingPair) -> (Verbose, Lines) {
    let lines = Lines::default();
    let into = lines.clone();
    let tell = move |line: &str| into.lock().expect("no panic").push(line.to_owned());
    let devices = [("client", pair.a.clone()), ("server", pair.b.clone())];
    (Verbose::new(devices, Tsc::new(), Box::new(tell)), lines)
}

/// Sends a segment with this sequence number from one end and receives it at the other.
fn pass(from: &mut DpdkPort, to: &mut DpdkPort, seq: u32) {
    let (src, dst) = (Ipv4Addr::new(198, 18, 0, 2), Ipv4Addr::new(198, 18, 0, 1));
    let segment = Segment {
        src_port: 9_000,
        dst_port: 33_211,
        seq: SeqNumber::new(seq),
        ack: SeqNumber::new(2),
        flags: Flags::SYN | Flags::ACK,
        window: 65_535,
        ..Segment::EMPTY
    };
    let (protocol, ttl, tos, ident, dont_fragment) = (PROTOCOL_TCP, 64, 0, 0, true);
    let header = Ipv4Header { src, dst, protocol, ttl, tos, ident, dont_fragment };
    let room = from.tx_room().expect("a buffer");
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    let mut len = ethernet::write_header(room, mac, mac, None, ethernet::ETHERTYPE_IPV4);
    len += header.write(&mut room[len..], 20);
    len += segment.write_header(&mut room[len..]);
    from.tx_commit(len, TxOffload::None);
    from.tx_flush();
    assert_eq!(to.rx_burst(), 1);
}

/// The lines so far, without their times, which do not go back.
fn take(lines: &Lines) -> Vec<String> {
    let mut last = 0.0;
    let lines = core::mem::take(&mut *lines.lock().expect("no panic"));
    let timeless = lines.iter().map(|line| {
        let (time, rest) = line.split_once(' ').expect("a time");
        assert!(time.split_once('.').is_some_and(|(_, micros)| micros.len() == 6), "{line}");
        let time: f64 = time.parse().expect("a time");
        assert!(time >= last, "{line}");
        last = time;
        rest.to_owned()
    });
    timeless.collect()
}

/// The line of what [`pass`] sends.
fn line_of(name: &str, way: &str, seq: u32) -> String {
    format!(
        "{name} {way}  IP 198.18.0.2.9000 > 198.18.0.1.33211: Flags [S.], seq {seq}, ack 2, \
         win 65535, length 0"
    )
}

#[test]
fn each_level_shows_its_frames() {
    let pair = pair("verbose");
    let mut a = pair.a.queue_pair(0).expect("queue 0");
    let mut b = pair.b.queue_pair(0).expect("queue 0");
    let (mut verbose, lines) = verbose(&pair);
    pass(&mut a, &mut b, 1);
    assert!(verbose.set(4).is_err_and(|error| error.contains("3 (both)")));
    let mut seq = 1;
    for level in [1, 3, 2, 0, 3, 0] {
        verbose.set(level).expect("a level");
        assert_eq!(take(&lines), [""; 0], "what passed before was told before");
        seq += 2;
        pass(&mut a, &mut b, seq);
        pass(&mut b, &mut a, seq + 1);
        let mut expected = vec![
            (2, line_of("client", "tx", seq)),
            (1, line_of("server", "rx", seq)),
            (2, line_of("server", "tx", seq + 1)),
            (1, line_of("client", "rx", seq + 1)),
        ];
        expected.retain(|(bit, _)| level & bit != 0);
        verbose.set(level).expect("the same level");
        assert!(take(&lines).iter().eq(expected.iter().map(|(_, line)| line)), "level {level}");
    }
}

#[test]
fn lines_come_by_themselves_until_it_goes() {
    let pair = pair("by_self");
    let mut a = pair.a.queue_pair(0).expect("queue 0");
    let mut b = pair.b.queue_pair(0).expect("queue 0");
    let (mut verbose, lines) = verbose(&pair);
    verbose.set(1).expect("a level");
    let until = std::time::Instant::now() + Duration::from_secs(10);
    pass(&mut a, &mut b, 1);
    while lines.lock().expect("no panic").is_empty() {
        assert!(std::time::Instant::now() < until, "no line");
        std::thread::sleep(PAUSE);
    }
    pass(&mut a, &mut b, 2);
    drop(verbose);
    pass(&mut a, &mut b, 3);
    assert_eq!(Arc::strong_count(&lines), 1, "nobody can tell anything any more");
    assert_eq!(take(&lines), [line_of("server", "rx", 1), line_of("server", "rx", 2)]);
}

#[test]
fn what_is_above_the_bound_is_counted() {
    let pair = pair("bounded");
    let mut a = pair.a.queue_pair(0).expect("queue 0");
    let mut b = pair.b.queue_pair(0).expect("queue 0");
    let begun = std::time::Instant::now();
    let (mut verbose, lines) = verbose(&pair);
    verbose.set(3).expect("a level");
    for seq in 0..3_000 {
        pass(&mut a, &mut b, seq);
    }
    drop(verbose);
    let seconds = begun.elapsed().as_secs() + 1;
    let lines = lines.lock().expect("no panic");
    let told = lines.iter().filter(|line| line.contains("Flags")).count() as u64;
    let untold = lines.iter().filter_map(|line| line.strip_prefix("verbose: "));
    let untold: Vec<u64> = untold
        .map(|rest| rest.split(' ').next().and_then(|n| n.parse().ok()).expect("a number"))
        .collect();
    assert_eq!(told + untold.iter().sum::<u64>(), 6_000, "{untold:?}");
    assert!(told >= 1_000 && told <= seconds * 1_000, "{told} in {seconds} s");
    assert!((1..=seconds as usize + 1).contains(&untold.len()), "{untold:?} in {seconds} s");
}

#[test]
fn a_device_that_is_not_started_is_told() {
    let pair = pair("stopped");
    let (mut verbose, _) = verbose(&pair);
    pair.b.stop().expect("a stop");
    assert!(verbose.set(1).is_err_and(|error| error.contains("not started")));
    verbose.set(0).expect("nothing is always possible");
}

#[test]
fn a_second_has_its_lines() {
    let second = |n: u64| Instant::from_millis(1_000 * n);
    let mut pace = Pace { begun: second(1), told: 0, untold: 0 };
    for n in 1..4 {
        let told = (0..1_500).filter(|_| pace.admits()).count();
        assert_eq!(told, 1_000);
        assert_eq!(pace.turn(second(n) + Duration::from_millis(999)), 0, "the second is not over");
        assert_eq!(pace.turn(second(n + 1)), 500);
    }
    assert_eq!((pace.turn(second(9)), pace.rest()), (0, 0));
}
