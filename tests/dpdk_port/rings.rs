//! Ports over rings, and net_null: bursts, full rings, empty pools, and what may be claimed how often.

use lastack::port::dpdk::{
    DpdkPort, EthDev, EthDevConfig, FastPath, MAX_BURST, PortError, RingPair, RingPairConfig,
    bare_cost,
};
use lastack::port::{Port, RxChecksum, TxOffload};

use super::{pool, send, shared_eal};

/// Frame `number` of a stream: 60 to 1,514 octets that tell the number.
fn frame(number: u32, into: &mut [u8]) -> usize {
    let length = 60 + (number as usize * 37) % 1_455;
    into[..length].fill(number as u8);
    into[14..18].copy_from_slice(&number.to_be_bytes());
    length
}

fn check(number: u32, bytes: &[u8]) {
    let mut expected = [0; 1_514];
    let length = frame(number, &mut expected);
    assert!(bytes == &expected[..length], "frame {number} of {} octets", bytes.len());
}

/// Sends `count` frames, and receives as many, until both are done.
fn stream(port: &mut DpdkPort, count: u32, deadline: std::time::Instant) {
    let (mut sent, mut received) = (0, 0);
    while sent < count || received < count || port.pending() > 0 {
        for index in 0..port.rx_burst() {
            let got = port.rx_frame(index);
            assert_eq!(got.checksum, RxChecksum::Unknown);
            check(received, got.bytes);
            received += 1;
        }
        while sent < count && port.pending() < 64 {
            let Some(room) = port.tx_room() else { break };
            let length = frame(sent, room);
            port.tx_commit(length, TxOffload::None);
            sent += 1;
        }
        port.tx_flush();
        assert!(std::time::Instant::now() < deadline, "sent {sent}, received {received}");
        if sent == count {
            std::thread::yield_now(); // the other side may share the CPU
        }
    }
}

#[test]
fn a_hundred_thousand_frames_each_way_arrive_in_order() {
    let eal = shared_eal();
    let pools = [pool(eal, "stream_a", 4095), pool(eal, "stream_b", 2047)];
    let config = RingPairConfig { pools: pools.clone(), ..RingPairConfig::new(pools[0].clone()) };
    let pair = RingPair::new(eal, "stream", &config).expect("a pair");
    let a = pair.a.queue_pair(0).expect("queue 0");
    let b = pair.b.queue_pair(0).expect("queue 0");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    // One with a buffer cache, one without; the port changes threads on its way.
    let threads = [(a, true), (b, false)].map(|(mut port, registered)| {
        std::thread::spawn(move || {
            let registration = registered.then(|| shared_eal().register_thread().expect("an id"));
            stream(&mut port, 100_000, deadline);
            drop(registration);
            port
        })
    });
    for thread in threads {
        let port = thread.join().expect("no panic");
        let stats = port.stats();
        assert_eq!((stats.rx_packets, stats.tx_packets), (100_000, 100_000));
        assert_eq!(stats.rx_bytes, stats.tx_bytes);
        assert_eq!((stats.tx_dropped, stats.rx_missed), (0, 0));
    }
    assert_eq!(pair.a.device_stats().tx_packets, 100_000);
    drop(pair);
    assert_eq!(pools.map(|pool| pool.in_use()), [0, 0]);
}

#[test]
fn frames_are_answered_in_their_own_buffers() {
    let eal = shared_eal();
    for path in [FastPath::Rust, FastPath::Shim] {
        let pool = pool(eal, "answers", 511);
        let pair =
            RingPair::new(eal, "answers", &RingPairConfig::new(pool.clone())).expect("a pair");
        let mut a = pair.a.queue_pair(0).expect("queue 0");
        let mut b = pair.b.queue_pair(0).expect("queue 0");
        b.set_fast_path(path);
        let mut octets = [0; 1_514];
        let (mut asked, mut answered, mut arrived) = (0, Vec::new(), Vec::new());
        for round in 0..100 {
            for _ in 0..round % 40 {
                let length = frame(asked, &mut octets);
                send(&mut a, &octets[..length]);
                asked += 1;
            }
            a.tx_flush();
            let mut expected = asked - round % 40;
            loop {
                let received = b.rx_burst();
                if received == 0 {
                    break;
                }
                for index in 0..received {
                    check(expected, b.rx_frame(index).bytes);
                    if expected % 3 != 0 {
                        // shorter or longer than what it replaces
                        let length = 60 + (expected as usize * 53) % 1_455;
                        assert!(b.rx_answer(index, 1_514, |room| {
                            assert_eq!(
                                room[14..18],
                                expected.to_be_bytes(),
                                "begins with the frame"
                            );
                            room[..length].fill(!expected as u8);
                            length
                        }));
                        answered.push((!expected as u8, length));
                    }
                    expected += 1;
                }
                let taken = (expected - 1) % 3 != 0;
                let look = std::panic::AssertUnwindSafe(|| b.rx_frame(received - 1).bytes.len());
                assert_eq!(std::panic::catch_unwind(look).is_err(), taken, "it is gone");
                b.tx_flush();
            }
            loop {
                let received = a.rx_burst();
                if received == 0 {
                    break;
                }
                for index in 0..received {
                    let bytes = a.rx_frame(index).bytes;
                    assert!(bytes.iter().all(|&octet| octet == bytes[0]));
                    arrived.push((bytes[0], bytes.len()));
                }
            }
        }
        assert_eq!(arrived, answered);
        let (a_stats, b_stats) = (a.stats(), b.stats());
        assert_eq!(b_stats.tx_packets, answered.len() as u64);
        assert_eq!(b_stats.tx_bytes, a_stats.rx_bytes);
        assert_eq!(b_stats.rx_packets, u64::from(asked));
        drop((a, b, pair));
        assert_eq!(pool.in_use(), 0);
    }
}

/// The buffer is too short, or too much waits to be sent: then the frame stays as it was.
#[test]
fn what_cannot_be_answered_in_place_is_left_alone() {
    let eal = shared_eal();
    let pool = pool(eal, "no_room", 4095);
    let config = RingPairConfig { ring_size: 64, ..RingPairConfig::new(pool.clone()) };
    let pair = RingPair::new(eal, "no_room", &config).expect("a pair");
    let mut a = pair.a.queue_pair(0).expect("queue 0");
    let mut b = pair.b.queue_pair(0).expect("queue 0");
    send(&mut a, &[7; 60]);
    a.tx_flush();
    assert_eq!(b.rx_burst(), 1);
    assert!(!b.rx_answer(0, 1 << 16, |_| unreachable!("no frame is so long")));
    b.set_burst(MAX_BURST);
    while let Some(room) = b.tx_room() {
        room[..60].fill(8); // the ring is full, and then what waits for it
        b.tx_commit(60, TxOffload::None);
    }
    assert_eq!((b.pending(), b.tx_waiting()), (2 * MAX_BURST, 2 * MAX_BURST));
    assert!(!b.rx_answer(0, 60, |_| unreachable!("nothing more can wait")));
    assert_eq!(b.rx_frame(0).bytes, [7; 60]);
    drop((a, b, pair));
    assert_eq!(pool.in_use(), 0);
}

/// A full ring stops its sender, which keeps the rest: no frame is dropped, however long it lasts.
#[test]
fn a_full_ring_gives_no_room_and_drops_nothing() {
    let eal = shared_eal();
    let pool = pool(eal, "full", 4095);
    let config = RingPairConfig { ring_size: 64, ..RingPairConfig::new(pool.clone()) };
    let pair = RingPair::new(eal, "full", &config).expect("a pair");
    let mut a = pair.a.queue_pair(0).expect("queue 0");
    let mut b = pair.b.queue_pair(0).expect("queue 0");
    let mut octets = [0; 1_514];
    let mut number = 0;
    // as many frames as there is room for
    let mut fill = |a: &mut DpdkPort| {
        let before = number;
        while let Some(room) = a.tx_room() {
            let length = frame(number, &mut octets);
            room[..length].copy_from_slice(&octets[..length]);
            a.tx_commit(length, TxOffload::None);
            number += 1;
        }
        number - before
    };

    assert_eq!(fill(&mut a), 63 + 64, "a ring of 64 holds 63, and two bursts wait");
    assert_eq!((a.stats().tx_packets, a.tx_waiting()), (63, 64));
    for _ in 0..1_000 {
        assert_eq!(fill(&mut a), 0);
        a.tx_flush();
    }
    assert_eq!((a.stats().tx_packets, a.stats().tx_dropped), (63, 0));

    // what is taken out of the ring makes as much room, and all arrives in its order
    let (mut arrived, mut sent) = (0, 127);
    while arrived < 1_000 {
        let received = b.rx_burst();
        assert!(received > 0, "{arrived} arrived");
        for index in 0..received {
            check(arrived, b.rx_frame(index).bytes);
            arrived += 1;
        }
        sent += fill(&mut a);
        assert_eq!(sent, arrived + 127);
    }
    assert_eq!(a.stats().tx_dropped, 0);
    let mut left = 0;
    while a.tx_waiting() > 0 || left < 127 {
        a.tx_flush();
        left += b.rx_burst();
    }
    assert_eq!(b.rx_burst(), 0);
    let (out, got) = (a.stats(), b.stats());
    assert_eq!((out.tx_packets, out.tx_bytes), (got.rx_packets, got.rx_bytes));

    // with the ring full again, frames are left everywhere when the ports go
    assert_eq!(fill(&mut a), 127);
    assert_eq!(b.rx_burst(), 32);
    drop((pair, a, b));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn an_empty_pool_is_counted_and_recovers() {
    let eal = shared_eal();
    let pool = pool(eal, "empty", 255);
    let pair = RingPair::new(eal, "empty", &RingPairConfig::new(pool.clone())).expect("a pair");
    let mut a = pair.a.queue_pair(0).expect("queue 0");
    let mut b = pair.b.queue_pair(0).expect("queue 0");
    let mut sent = 0;
    while let Some(room) = a.tx_room() {
        room[..60].fill(1);
        a.tx_commit(60, TxOffload::None);
        sent += 1;
    }
    assert_eq!((sent, a.stats().tx_no_buffer), (255, 1), "every last buffer");
    a.tx_flush();
    b.set_burst(MAX_BURST);
    assert_eq!(b.rx_burst(), 255);
    assert!(a.tx_room().is_none());
    b.rx_burst();
    assert!(a.tx_room().is_some());
    drop((a, b, pair));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_full_burst_goes_out_by_itself_and_room_is_stable() {
    let eal = shared_eal();
    let pool = pool(eal, "burst", 511);
    let pair = RingPair::new(eal, "burst", &RingPairConfig::new(pool.clone())).expect("a pair");
    let mut a = pair.a.queue_pair(0).expect("queue 0");
    let mut b = pair.b.queue_pair(0).expect("queue 0");
    a.set_burst(8);
    for count in 1..=20 {
        send(&mut a, &[count; 60]);
        assert_eq!(a.pending(), usize::from(count % 8));
    }
    a.set_burst(0);
    assert_eq!(a.burst(), 1);
    a.set_burst(usize::MAX);
    assert_eq!(a.burst(), MAX_BURST);

    // Asking again without a commit gives the same buffer; it is as long as the longest frame.
    let room = a.tx_room().expect("a buffer");
    room[0] = 77;
    let first = room.as_ptr();
    let again = a.tx_room().expect("a buffer");
    assert_eq!((again.as_ptr(), again[0], again.len()), (first, 77, 1_514));
    assert_eq!(a.capabilities().max_frame, 1_514);
    assert!(!a.capabilities().tx_tcp_checksum, "rings have no offloads");
    a.tx_flush();
    assert_eq!(b.rx_burst(), 20);
    assert!(
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| b.rx_frame(20).bytes.len()))
            .is_err()
    );
}

#[test]
fn queue_pairs_are_wired_one_to_one() {
    let eal = shared_eal();
    let pool = pool(eal, "queues", 1023);
    let config = RingPairConfig { queues: 3, ..RingPairConfig::new(pool.clone()) };
    let pair = RingPair::new(eal, "queues", &config).expect("a pair");
    let mut left: Vec<_> = (0..3).map(|i| pair.a.queue_pair(i).expect("a queue")).collect();
    let mut right: Vec<_> = (0..3).map(|i| pair.b.queue_pair(i).expect("a queue")).collect();
    for (index, port) in left.iter_mut().enumerate() {
        assert_eq!(usize::from(port.queue()), index);
        send(port, &[index as u8; 60]);
        port.tx_flush();
    }
    for (index, port) in right.iter_mut().enumerate() {
        assert_eq!(port.rx_burst(), 1);
        assert_eq!(port.rx_frame(0).bytes, [index as u8; 60]);
    }
    let taken = pair.a.queue_pair(1).err();
    assert_eq!(taken, Some(PortError::QueueInUse(pair.a.name().to_owned(), 1)));
    assert!(matches!(pair.a.queue_pair(3).err(), Some(PortError::NoSuchQueue(..))));
    assert!(matches!(pair.a.stop(), Err(PortError::QueueInUse(_, 0))));
    left.clear();
    drop(pair.a.queue_pair(1).expect("given back"));
    pair.a.stop().expect("no queue is in use");
    assert!(matches!(pair.a.queue_pair(1).err(), Some(PortError::NotStarted(_))));
    drop((right, pair));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_device_is_opened_once_and_taken_away_at_the_end() {
    let eal = shared_eal();
    let pool = pool(eal, "null", 511);
    let device = EthDev::probe(eal, "net_null7,size=128,copy=1").expect("net_null");
    assert_eq!(device.name(), "net_null7");
    assert!(EthDev::available(eal).contains(&"net_null7".to_owned()));
    let twice = PortError::PortInUse("net_null7".to_owned());
    assert_eq!(EthDev::by_name(eal, "net_null7").err(), Some(twice.clone()));
    assert_eq!(EthDev::by_id(eal, device.port_id()).err(), Some(twice.clone()));
    assert_eq!(EthDev::probe(eal, "net_null7").err(), Some(twice));
    assert!(device.queue_pair(0).is_err(), "not started");

    let info = device.info();
    assert_eq!((info.driver.as_str(), info.max_queues), ("net_null", 1024));
    let mut config = EthDevConfig { queues: 1025, ..EthDevConfig::new(pool.clone()) };
    assert!(matches!(device.start(&config), Err(PortError::TooManyQueues { max: 1024, .. })));
    config.queues = 2;
    config.mtu = Some(9_000);
    assert!(matches!(device.start(&config), Err(PortError::BufferTooSmall { .. })));
    config.mtu = Some(1_400);
    device.start(&config).expect("a start");
    assert!(matches!(device.start(&config), Err(PortError::AlreadyStarted(_))));
    assert_eq!(device.mtu(), 1_400);
    assert!(device.link().up);

    let mut port = device.queue_pair(1).expect("queue 1");
    assert_eq!(port.capabilities().max_frame, 1_414);
    assert_eq!(port.rx_burst(), 32);
    assert_eq!(port.rx_frame(31).bytes.len(), 128);
    send(&mut port, &[1; 60]);
    port.tx_flush();
    assert_eq!((port.stats().tx_packets, port.stats().tx_bytes), (1, 60));
    let named = |name: &str| device.xstats().into_iter().find(|(known, _)| known == name);
    assert_eq!(named("rx_good_packets"), Some(("rx_good_packets".to_owned(), 32)));
    device.clear_stats();
    assert_eq!(device.device_stats().rx_packets, 0);

    let capability = info.rss.expect("net_null has a hash");
    let rss = device.rss().expect("what was configured");
    assert_eq!(rss.key.len(), usize::from(capability.key_size));
    assert_eq!(rss.table.len(), usize::from(capability.table_size));
    assert!(rss.table.iter().all(|&queue| queue < 2), "{:?}", rss.table);

    drop((port, device));
    assert!(!EthDev::available(eal).contains(&"net_null7".to_owned()));
    assert_eq!(pool.in_use(), 0);
    assert!(matches!(EthDev::by_name(eal, "net_null7").err(), Some(PortError::NoSuchPort(_))));
    drop(EthDev::probe(eal, "net_null7").expect("the name is free"));
}

#[test]
fn a_device_that_cannot_be_made_says_why() {
    let eal = shared_eal();
    let error = EthDev::probe(eal, "net_nosuch0").unwrap_err();
    assert!(matches!(error, PortError::Probe { .. }), "{error:?}");
    assert!(!error.to_string().contains('\n'), "{error}");
    let pool = pool(eal, "refused", 63);
    let config = RingPairConfig { ring_size: 100, ..RingPairConfig::new(pool.clone()) };
    let error = RingPair::new(eal, "refused", &config).unwrap_err();
    assert!(matches!(error, PortError::Ring { code: libc::EINVAL, .. }), "{error:?}");
    let config = RingPairConfig { queues: 17, ..RingPairConfig::new(pool.clone()) };
    assert!(matches!(RingPair::new(eal, "refused", &config), Err(PortError::TooManyQueues { .. })));
}

#[test]
fn the_bare_cost_counts_every_packet() {
    let eal = shared_eal();
    let pool = pool(eal, "bare", 2047);
    let pair = RingPair::new(eal, "bare", &RingPairConfig::new(pool)).expect("a pair");
    let mut a = pair.a.queue_pair(0).expect("queue 0");
    let mut b = pair.b.queue_pair(0).expect("queue 0");
    let cost = bare_cost(&mut a, &mut b, &[0x45; 60], 32, 4);
    assert_eq!(cost.packets, 2 * 256 * 32 * 4);
    assert!(cost.cycles_per_packet > 1.0 && cost.mean_cycles_per_packet >= cost.cycles_per_packet);
    assert_eq!(a.stats().tx_packets + b.stats().tx_packets, cost.packets / 4 * 5);
}
