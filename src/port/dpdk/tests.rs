//! The Rust burst path against the C functions, and what needs a look below the safe interface.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::port::{Port, TxOffload};

/// EAL for all tests of this binary, without hugepages, devices or shared files.
pub(crate) fn eal() -> &'static Eal {
    static EAL: OnceLock<Eal> = OnceLock::new();
    EAL.get_or_init(|| {
        let args = "--no-huge -m 128 --no-pci --no-telemetry --no-shconf --lcores 0@(0-1),1@(0-1) \
                    --file-prefix lastack_unit";
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        Eal::init(&args).expect("EAL without hugepages")
    })
}

fn pool(name: &str, buffers: u32) -> Pool {
    Pool::new(eal(), name, PoolConfig { buffers, cache: 128, ..PoolConfig::default() })
        .expect("a pool")
}

fn pair(name: &str, pool: &Pool) -> RingPair {
    RingPair::new(eal(), name, &RingPairConfig::new(pool.clone())).expect("a pair")
}

fn send(port: &mut DpdkPort, octets: &[u8]) {
    let room = port.tx_room().expect("a buffer");
    room[..octets.len()].copy_from_slice(octets);
    port.tx_commit(octets.len(), TxOffload::None);
}

/// What a run of bursts of odd sizes leaves behind: the frames in order, and both sides' counters.
fn run(name: &str, sender: FastPath, receiver: FastPath) -> (Vec<Vec<u8>>, String) {
    let pool = pool(name, 2047);
    let pair = pair(name, &pool);
    let mut a = pair.a.queue_pair(0).expect("queue 0");
    let mut b = pair.b.queue_pair(0).expect("queue 0");
    a.set_fast_path(sender);
    b.set_fast_path(receiver);
    let mut frames = Vec::new();
    for round in 0..200usize {
        a.set_burst(1 + round % 40);
        b.set_burst(1 + (round * 7) % 64);
        for index in 0..round % 50 {
            let octets = vec![(round + index) as u8; 60 + (round * 31 + index) % 1400];
            send(&mut a, &octets);
        }
        a.tx_flush();
        for index in 0..b.rx_burst() {
            frames.push(b.rx_frame(index).bytes.to_vec());
        }
    }
    loop {
        let received = b.rx_burst();
        if received == 0 {
            break;
        }
        frames.extend((0..received).map(|index| b.rx_frame(index).bytes.to_vec()));
    }
    let counters = format!("{:?} {:?}", a.stats(), b.stats());
    drop((a, b, pair));
    assert_eq!(pool.in_use(), 0);
    (frames, counters)
}

#[test]
fn the_rust_path_does_what_the_c_functions_do() {
    let registered = eal().register_thread().expect("an lcore id");
    let oracle = run("oracle", FastPath::Shim, FastPath::Shim);
    assert_eq!(oracle.0.len(), (0..200).map(|round| round % 50).sum::<usize>());
    assert_eq!(run("rust", FastPath::Rust, FastPath::Rust), oracle);
    assert_eq!(run("rust_tx", FastPath::Rust, FastPath::Shim), oracle);
    assert_eq!(run("rust_rx", FastPath::Shim, FastPath::Rust), oracle);
    drop(registered);
    // Without an lcore id there is no buffer cache, and everything goes to the common store.
    assert_eq!(run("no_id", FastPath::Rust, FastPath::Rust), oracle);
}

static CALLED: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" fn count_received(
    _port: u16,
    _queue: u16,
    _mbufs: *mut *mut dpdk_sys::rte_mbuf,
    received: u16,
    _room: u16,
    _argument: *mut core::ffi::c_void,
) -> u16 {
    CALLED.fetch_add(u64::from(received), Ordering::Relaxed);
    received
}

unsafe extern "C" fn count_sent(
    _port: u16,
    _queue: u16,
    _mbufs: *mut *mut dpdk_sys::rte_mbuf,
    count: u16,
    _argument: *mut core::ffi::c_void,
) -> u16 {
    CALLED.fetch_add(1_000_000 * u64::from(count), Ordering::Relaxed);
    count
}

#[test]
fn callbacks_of_a_queue_see_every_frame() {
    let pool = pool("callbacks", 511);
    let pair = pair("callback", &pool);
    let mut a = pair.a.queue_pair(0).expect("queue 0");
    let mut b = pair.b.queue_pair(0).expect("queue 0");
    // SAFETY: both ports are started and have a queue 0; the callbacks keep nothing.
    let (tx, rx) = unsafe {
        let null = core::ptr::null_mut();
        let tx = dpdk_sys::rte_eth_add_tx_callback(pair.a.port_id(), 0, Some(count_sent), null);
        let rx = dpdk_sys::rte_eth_add_rx_callback(pair.b.port_id(), 0, Some(count_received), null);
        (tx, rx)
    };
    assert!(!tx.is_null() && !rx.is_null());
    for _ in 0..10 {
        send(&mut a, &[7; 60]);
    }
    a.tx_flush();
    assert_eq!(b.rx_burst(), 10);
    assert_eq!(CALLED.load(Ordering::Relaxed), 10_000_010);
    // SAFETY: as above. DPDK would keep them for the next port of the same id.
    unsafe {
        assert_eq!(dpdk_sys::rte_eth_remove_tx_callback(pair.a.port_id(), 0, tx), 0);
        assert_eq!(dpdk_sys::rte_eth_remove_rx_callback(pair.b.port_id(), 0, rx), 0);
    }
    drop((a, b, pair));
    assert_eq!(pool.in_use(), 0);
}

/// A burst that began before may still look at a removed callback.
#[test]
fn a_device_starts_again_under_its_queue_pair() {
    let pool = pool("restart", 511);
    let pair = pair("restart", &pool);
    let mut a = pair.a.queue_pair(0).expect("queue 0");
    let mut b = pair.b.queue_pair(0).expect("queue 0");
    for round in 0..3 {
        send(&mut a, &[round; 60]); // waits meanwhile
        a.restart().expect("it starts again");
        a.tx_flush();
        assert_eq!((b.rx_burst(), b.rx_frame(0).bytes), (1, &[round; 60][..]));
        send(&mut b, &[round; 61]);
        b.tx_flush();
        assert_eq!((a.rx_burst(), a.rx_frame(0).bytes), (1, &[round; 61][..]));
    }

    let config = RingPairConfig { queues: 2, ..RingPairConfig::new(pool.clone()) };
    let pair = RingPair::new(eal(), "again", &config).expect("a pair");
    let mut first = pair.a.queue_pair(0).expect("queue 0");
    let mut peer = pair.b.queue_pair(0).expect("queue 0");
    let second = pair.a.queue_pair(1).expect("queue 1");
    assert!(matches!(first.restart(), Err(PortError::QueueInUse(_, 1))));
    send(&mut first, &[7; 60]);
    first.tx_flush();
    assert_eq!(peer.rx_burst(), 1, "the device goes on");
    drop(second);
    first.restart().expect("it starts again");
}

#[test]
fn a_removed_callback_is_kept_until_its_queue_is_idle() {
    let pool = pool("kept", 511);
    let pair = pair("kept", &pool);
    let counts = |device: &EthDev| device.control().callbacks.counts();
    let linked = |device: &EthDev| {
        let table = (&raw const dpdk_sys::rte_eth_fp_ops).cast::<dpdk_sys::rte_eth_fp_ops>();
        // SAFETY: the port is open and has a queue 0, whose first callback may be read.
        unsafe {
            let functions = table.add(device.port_id().into());
            [(*functions).rxq.clbk.read(), (*functions).txq.clbk.read()]
                .map(|first| !first.is_null())
        }
    };
    let device = &pair.a;
    assert_eq!(linked(device), [false; 2]);
    drop(device.sniff(Direction::Sent, 8).expect("a sniffer"));
    assert_eq!(counts(device), (0, 0), "nobody could burst");

    let a = device.queue_pair(0).expect("queue 0");
    let received = device.sniff(Direction::Received, 8).expect("a sniffer");
    let sent = device.sniff(Direction::Sent, 8).expect("a sniffer");
    assert_eq!((counts(device), linked(device)), ((2, 0), [true; 2]));
    drop(received);
    assert_eq!((counts(device), linked(device)), ((1, 1), [false, true]));
    drop(a);
    assert_eq!((counts(device), linked(device)), ((1, 0), [false, true]));

    device.stop().expect("a stop");
    assert_eq!((counts(device), linked(device)), ((0, 0), [false; 2]));
    assert!(matches!(device.sniff(Direction::Sent, 8), Err(PortError::NotStarted(_))));
    device.start(&EthDevConfig::new(pool.clone())).expect("a start");
    let mut a = device.queue_pair(0).expect("queue 0");
    send(&mut a, &[1; 60]);
    a.tx_flush();
    assert!(sent.next().is_none(), "it ended with the stop");
    drop(sent);
    assert_eq!(counts(device), (0, 0));
}

#[test]
fn of_a_chain_the_first_segment_and_the_whole_length_are_seen() {
    let pool = pool("chain", 511);
    let pair = pair("chain", &pool);
    let mut b = pair.b.queue_pair(0).expect("queue 0");
    let (sent, received) = (pair.a.sniff(Direction::Sent, 8), pair.b.sniff(Direction::Received, 8));
    send_chain(&pool, pair.a.port_id(), 100, 1_000);
    assert_eq!(b.rx_burst(), 1);
    for sniffer in [sent.expect("a sniffer"), received.expect("a sniffer")] {
        let seen = sniffer.next().expect("a frame");
        assert_eq!((seen.octets(), seen.length), (&[1; 100][..], 1_100));
    }
}

/// Makes a chain of two segments of `tail` octets in all and puts it on the wire past the port.
fn send_chain(pool: &Pool, port: u16, head: usize, tail: usize) {
    let mut segments = [core::ptr::null_mut(); 2];
    // SAFETY: the pool and the started port live during the call; both buffers are ours until the
    // driver takes the chain.
    unsafe {
        assert_eq!(dpdk_sys::dpx_mbuf_alloc_bulk(pool.raw(), segments.as_mut_ptr(), 2), 0);
        let [first, second] = segments;
        for (segment, length, octet) in [(first, head, 1u8), (second, tail, 2)] {
            let data = (*segment).buf_addr.cast::<u8>().add((*segment).data_off.into());
            data.write_bytes(octet, length);
            (*segment).data_len = length as u16;
        }
        (*first).pkt_len = (head + tail) as u32;
        (*first).nb_segs = 2;
        (*first).next = second;
        assert_eq!(dpdk_sys::dpx_tx_burst(port, 0, segments.as_mut_ptr(), 1), 1);
    }
}

#[test]
fn a_chain_is_joined_if_it_fits_and_dropped_and_counted_otherwise() {
    let pool = pool("chains", 511);
    let pair = pair("chains", &pool);
    let mut a = pair.a.queue_pair(0).expect("queue 0");
    let mut b = pair.b.queue_pair(0).expect("queue 0");
    send(&mut a, &[9; 60]);
    a.tx_flush();
    send_chain(&pool, pair.a.port_id(), 100, 1_000);
    send_chain(&pool, pair.a.port_id(), 2_000, 1_000);
    send(&mut a, &[8; 61]);
    a.tx_flush();
    assert_eq!(b.rx_burst(), 3);
    let joined: Vec<u8> = [vec![1; 100], vec![2; 1_000]].concat();
    assert_eq!(b.rx_frame(0).bytes, [9; 60]);
    assert_eq!(b.rx_frame(1).bytes, joined);
    assert_eq!(b.rx_frame(2).bytes, [8; 61]);
    let stats = b.stats();
    assert_eq!((stats.rx_packets, stats.rx_bytes, stats.rx_missed), (3, 60 + 1_100 + 61, 1));
    drop((a, b, pair));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_shared_buffer_is_freed_by_its_last_owner() {
    let pool = pool("shared", 511);
    let pair = pair("shared", &pool);
    let mut b = pair.b.queue_pair(0).expect("queue 0");
    let mut mbuf = core::ptr::null_mut();
    // SAFETY: as in `send_chain`; the second reference is given back below.
    unsafe {
        assert_eq!(dpdk_sys::dpx_mbuf_alloc_bulk(pool.raw(), &raw mut mbuf, 1), 0);
        (*mbuf).data_len = 60;
        (*mbuf).pkt_len = 60;
        (*mbuf).refcnt = 2;
        assert_eq!(dpdk_sys::dpx_tx_burst(pair.a.port_id(), 0, &raw mut mbuf, 1), 1);
    }
    assert_eq!(b.rx_burst(), 1);
    assert!(!b.rx_answer(0, 60, |_| unreachable!("others may be reading it")));
    assert_eq!(b.rx_burst(), 0);
    assert_eq!(pool.in_use(), 1, "the other owner still has it");
    // SAFETY: the reference that was added above.
    unsafe { dpdk_sys::dpx_mbuf_free_bulk(&raw mut mbuf, 1) };
    assert_eq!(pool.in_use(), 0);
}

/// Closing a device gives its id back, and another thread may be given the same id at once.
#[test]
fn devices_are_opened_while_others_close() {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                let pool = pool(&format!("closing_{thread}"), 127);
                for round in 0..100 {
                    let pair = pair(&format!("close_{thread}"), &pool);
                    assert_ne!(pair.a.port_id(), pair.b.port_id(), "{thread} {round}");
                    drop(pair);
                }
            });
        }
    });
}

#[test]
fn the_version_that_is_loaded_is_the_one_that_was_bound() {
    assert_eq!(VERSION, loaded_version());
}
