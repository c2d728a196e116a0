use super::*;
use crate::port::{Port, TxOffload};
use crate::time::Instant;
use core::time::Duration;

fn send(port: &mut SimPort, byte: u8, len: usize) {
    port.tx_room().unwrap()[..len].fill(byte);
    port.tx_commit(len, TxOffload::None);
}

/// Moves the clock from arrival to arrival and collects (time in µs, first octet).
fn drain(link: &Link, port: &mut SimPort) -> Vec<(u64, u8)> {
    let mut arrivals = Vec::new();
    while let Some(at) = link.next_arrival() {
        link.set_now(at);
        for index in 0..port.rx_burst() {
            arrivals.push((at.nanos() / 1_000, port.rx_frame(index).bytes[0]));
        }
    }
    arrivals
}

#[test]
fn delay_and_rate_are_exact() {
    let config = LinkConfig { rate: 8_000_000, ..LinkConfig::default() };
    let (link, mut a, mut b) = Link::new(config, LinkConfig::default(), 1);
    send(&mut a, 1, 1_000); // a millisecond to send, a millisecond on the way
    send(&mut a, 2, 500);
    assert_eq!(b.rx_burst(), 0);
    assert_eq!(drain(&link, &mut b), [(2_000, 1), (2_500, 2)]);
    send(&mut b, 3, 60);
    assert_eq!(drain(&link, &mut a), [(3_500, 3)]);
}

#[test]
fn a_full_buffer_drops() {
    let config = LinkConfig { rate: 8_000_000, buffer: 3_000, ..LinkConfig::default() };
    let (link, mut a, mut b) = Link::new(config, LinkConfig::default(), 1);
    for n in 0..10 {
        send(&mut a, n, 1_000);
    }
    assert_eq!(drain(&link, &mut b).len(), 3);
    assert_eq!(link.stats(0).overflowed, 7);
}

#[test]
fn every_misfortune_happens_as_often_as_told() {
    let config = LinkConfig {
        loss: 100_000,
        duplication: 50_000,
        reordering: 50_000,
        corruption: 10_000,
        ..LinkConfig::default()
    };
    let (link, mut a, mut b) = Link::new(config, LinkConfig::default(), 42);
    let mut last = Instant::ZERO;
    for n in 0..10_000u64 {
        last = Instant::from_micros(n * 10);
        link.set_now(last);
        send(&mut a, 0, 60);
    }
    let arrived = drain(&link, &mut b).len() as u64;
    let stats = link.stats(0);
    assert_eq!(stats.sent, 10_000);
    assert_eq!(stats.delivered, arrived);
    assert_eq!(stats.sent + stats.duplicated, stats.delivered + stats.lost);
    for (count, expected) in [
        (stats.lost, 1_000),
        (stats.duplicated, 450),
        (stats.reordered, 450),
        (stats.corrupted, 90),
    ] {
        assert!(count.abs_diff(expected) < expected / 3, "{stats:?}");
    }
    assert!(link.now() > last);
}

#[test]
fn bursts_of_loss_come_together() {
    let burst = Burst { begins: 10_000, ends: 200_000 };
    let config = LinkConfig { burst, ..LinkConfig::default() };
    let (link, mut a, mut b) = Link::new(config, LinkConfig::default(), 3);
    for n in 0..10_000u64 {
        link.set_now(Instant::from_micros(n));
        send(&mut a, (n % 251) as u8, 60);
    }
    let gaps = drain(&link, &mut b).windows(2).filter(|w| (w[0].1 + 1) % 251 != w[1].1).count();
    let lost = link.stats(0).lost as usize;
    assert!(lost > 250 && gaps * 2 < lost, "{lost} lost in {gaps} gaps");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let config = LinkConfig {
            loss: 200_000,
            jitter: Duration::from_millis(3),
            reordering: 200_000,
            ..LinkConfig::default()
        };
        let (link, mut a, mut b) = Link::new(config, config, seed);
        for n in 0..100 {
            send(&mut a, n, 60);
        }
        drain(&link, &mut b)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
