//! Looking at frames while they pass: in order, within bounds, and gone without a trace.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lastack::port::Port;
use lastack::port::dpdk::{
    Direction, DpdkPort, FastPath, RingPair, RingPairConfig, SEEN_OCTETS, Sniffer, Tsc,
};

use super::{pool, send, shared_eal};

/// Frame `number` of a stream: 20 to 1,514 octets that tell the number.
fn frame(number: u32) -> Vec<u8> {
    let length = 20 + (number as usize * 37) % 1_495;
    let mut octets: Vec<u8> = (0..length).map(|at| (number as usize + at) as u8).collect();
    octets[..4].copy_from_slice(&number.to_be_bytes());
    octets
}

/// Are the next frames that were seen these?
fn check(sniffer: &Sniffer, numbers: impl Iterator<Item = u32>) {
    for number in numbers {
        let seen = sniffer.next().unwrap_or_else(|| panic!("frame {number} was not seen"));
        let expected = frame(number);
        assert_eq!(seen.length, expected.len());
        assert_eq!(seen.octets(), &expected[..expected.len().min(SEEN_OCTETS)]);
        assert_eq!(seen.queue, 0);
    }
    assert!(sniffer.next().is_none());
}

fn receive_all(port: &mut DpdkPort) -> usize {
    let mut all = 0;
    loop {
        match port.rx_burst() {
            0 => return all,
            received => all += received,
        }
    }
}

#[test]
fn what_is_sent_is_seen_at_both_ends_in_order() {
    let eal = shared_eal();
    for path in [FastPath::Rust, FastPath::Shim] {
        let pool = pool(eal, "seen", 1023);
        let pair = RingPair::new(eal, "seen", &RingPairConfig::new(pool.clone())).expect("a pair");
        let mut a = pair.a.queue_pair(0).expect("queue 0");
        let mut b = pair.b.queue_pair(0).expect("queue 0");
        a.set_fast_path(path);
        b.set_fast_path(path);
        let clock = Tsc::new();
        let sent = pair.a.sniff(Direction::Sent, 256).expect("a sniffer");
        let received = pair.b.sniff(Direction::Received, 256).expect("a sniffer");
        let others = [
            pair.a.sniff(Direction::Received, 256).expect("a sniffer"),
            pair.b.sniff(Direction::Sent, 256).expect("a sniffer"),
        ];
        let mut number = 0;
        for round in 0..50 {
            let before = clock.now();
            for _ in 0..round {
                send(&mut a, &frame(number));
                number += 1;
            }
            a.tx_flush();
            assert_eq!(receive_all(&mut b), round as usize);
            if round == 49 {
                let seen = sent.next().expect("a frame");
                assert_eq!(seen.octets()[..4], (number - round).to_be_bytes());
                assert!((before..=clock.now()).contains(&clock.at(seen.cycles)));
                check(&sent, number - round + 1..number);
            } else {
                check(&sent, number - round..number);
            }
            check(&received, number - round..number);
        }
        assert!(others.iter().all(|sniffer| sniffer.next().is_none()));
        assert_eq!((sent.missed(), received.missed()), (0, 0));
        drop((sent, received, others, a, b, pair));
        assert_eq!(pool.in_use(), 0);
    }
}

#[test]
fn what_finds_no_room_is_counted() {
    let eal = shared_eal();
    let pool = pool(eal, "no_place", 511);
    let pair = RingPair::new(eal, "no_place", &RingPairConfig::new(pool)).expect("a pair");
    let mut a = pair.a.queue_pair(0).expect("queue 0");
    let few = pair.a.sniff(Direction::Sent, 8).expect("a sniffer");
    let many = pair.a.sniff(Direction::Sent, 100).expect("a sniffer");
    for number in 0..20 {
        send(&mut a, &frame(number));
    }
    a.tx_flush();
    assert_eq!((few.missed(), many.missed()), (12, 0));
    check(&few, 0..8);
    send(&mut a, &frame(20));
    a.tx_flush();
    check(&few, 20..21);
    check(&many, 0..21);
    assert_eq!(few.missed(), 12);
}

#[test]
fn nothing_is_seen_without_a_sniffer() {
    let eal = shared_eal();
    let pool = pool(eal, "unseen", 511);
    let pair = RingPair::new(eal, "unseen", &RingPairConfig::new(pool)).expect("a pair");
    let mut a = pair.a.queue_pair(0).expect("queue 0");
    let mut b = pair.b.queue_pair(0).expect("queue 0");
    for number in 0..10 {
        // Only the even ones are looked at.
        let sniffers = (number % 2 == 0).then(|| {
            [(&pair.a, Direction::Sent), (&pair.b, Direction::Received)]
                .map(|(device, direction)| device.sniff(direction, 8).expect("a sniffer"))
        });
        send(&mut a, &frame(number));
        a.tx_flush();
        assert_eq!(b.rx_burst(), 1);
        for sniffer in sniffers.iter().flatten() {
            check(sniffer, number..number + 1);
        }
    }
}

#[test]
fn each_frame_tells_its_queue() {
    let eal = shared_eal();
    let pool = pool(eal, "which", 1023);
    let config = RingPairConfig { queues: 3, ..RingPairConfig::new(pool) };
    let pair = RingPair::new(eal, "which", &config).expect("a pair");
    let sent = pair.a.sniff(Direction::Sent, 8).expect("a sniffer");
    for queue in [2, 0, 1] {
        let mut port = pair.a.queue_pair(queue).expect("a queue");
        send(&mut port, &[9; 60]);
        drop(port); // which sends it
        assert_eq!(sent.next().map(|seen| seen.queue), Some(queue));
    }
}

/// Both ports burst all the time, on threads of their own, and nothing is lost or comes twice.
#[test]
fn sniffers_come_and_go_under_load() {
    const ROUNDS: u32 = 3_000;
    let eal = shared_eal();
    let pool = pool(eal, "come_go", 2047);
    let pair = RingPair::new(eal, "come_go", &RingPairConfig::new(pool.clone())).expect("a pair");
    let mut a = pair.a.queue_pair(0).expect("queue 0");
    let mut b = pair.b.queue_pair(0).expect("queue 0");
    let over = AtomicBool::new(false);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut seen = [0; 2];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !over.load(Ordering::Relaxed) {
                while a.pending() < 31 {
                    let Some(room) = a.tx_room() else { break };
                    let octets = frame(number);
                    room[..octets.len()].copy_from_slice(&octets);
                    a.tx_commit(octets.len(), lastack::port::TxOffload::None);
                    number += 1;
                }
                a.tx_flush();
                receive_all(&mut a);
            }
        });
        scope.spawn(|| {
            let mut next = 0;
            while !over.load(Ordering::Relaxed) {
                for index in 0..b.rx_burst() {
                    assert_eq!(b.rx_frame(index).bytes, frame(next));
                    next += 1;
                }
            }
        });
        // The threads end also if something is wrong here.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let sides = [(&pair.a, Direction::Sent), (&pair.b, Direction::Received)];
            let mut last = [-1; 2];
            for round in 0..ROUNDS {
                for (side, (device, direction)) in sides.into_iter().enumerate() {
                    let sniffers =
                        [16, 1].map(|room| device.sniff(direction, room).expect("a sniffer"));
                    if round % 64 == 0 {
                        let until = Instant::now() + Duration::from_millis(20);
                        while sniffers[0].missed() == 0 && Instant::now() < until {
                            std::thread::yield_now();
                        }
                    }
                    while let Some(frame_seen) = sniffers[0].next() {
                        let octets = frame_seen.octets();
                        let number = u32::from_be_bytes(octets[..4].try_into().expect("four"));
                        let expected = frame(number);
                        assert_eq!(octets, &expected[..expected.len().min(SEEN_OCTETS)]);
                        // A sender sees a frame again that found no room at first.
                        let number = i64::from(number);
                        assert!(number > last[side] || direction == Direction::Sent);
                        last[side] = number;
                        seen[side] += 1;
                        if seen[side] % 100 == 0 {
                            break; // so that frames are left when the sniffer goes
                        }
                    }
                }
                assert!(Instant::now() < deadline, "round {round}");
            }
        }));
        over.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
    drop((a, b, pair));
    assert_eq!(pool.in_use(), 0);
}
