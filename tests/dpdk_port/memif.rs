//! net_memif between two processes: the wire for figures between programs.

use std::time::{Duration, Instant};

use lastack::port::dpdk::{DpdkPort, Eal, EthDev, EthDevConfig};
use lastack::port::{Port, TxOffload};

use super::{child, eal_options, pool};

const NAME: &str = "memif::frames_pass_between_two_processes";
const FRAMES: u32 = 20_000;

#[test]
fn frames_pass_between_two_processes() {
    match child::part().as_deref() {
        None => {
            let directory = std::env::temp_dir().join(format!("lastack-{}", std::process::id()));
            std::fs::create_dir(&directory).expect("a directory for the socket");
            let socket = directory.join("memif.sock");
            let sides = ["server", "client"].map(|role| {
                let mut command = child::command(&[], NAME, role);
                command.env("LASTACK_TEST_SOCKET", &socket).spawn().expect("the test binary runs")
            });
            let outputs = sides.map(child::finish);
            std::fs::remove_dir_all(&directory).expect("the directory");
            for output in outputs {
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                let text = text + &String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success(), "{}\n{text}", output.status);
            }
        }
        Some(role) => side(role),
    }
}

fn side(role: &str) {
    let socket = std::env::var("LASTACK_TEST_SOCKET").expect("a socket");
    let eal = Eal::init(&eal_options(&format!("lastack_{role}"), "0@(0-1)")).expect("EAL");
    let pool = pool(&eal, "memif", 4095);
    let devargs =
        format!("net_memif0,role={role},id=0,socket={socket},socket-abstract=no,secret=x");
    let device = EthDev::probe(&eal, &devargs).expect("net_memif");
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = device.start(&EthDevConfig::new(pool.clone())) {
        // A client cannot start before its server listens, and says so.
        assert!(role == "client" && error.to_string().contains("role=server"), "{error}");
        assert!(Instant::now() < deadline, "{error}");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut port = device.queue_pair(0).expect("queue 0");

    while !device.link().up {
        assert!(Instant::now() < deadline, "the {role} saw no peer");
        std::thread::sleep(Duration::from_millis(1));
    }
    match role {
        "client" => client(&mut port, deadline),
        _ => server(&mut port, deadline),
    }
    let stats = port.stats();
    assert_eq!((stats.rx_packets, stats.tx_packets), (FRAMES.into(), FRAMES.into()));
    assert_eq!(stats.tx_dropped, 0);
    drop((port, device));
    assert_eq!(pool.in_use(), 0);
}

/// Sends numbered frames, at most 256 on their way, and takes them back in order.
fn client(port: &mut DpdkPort, deadline: Instant) {
    let (mut sent, mut received) = (0u32, 0u32);
    while received < FRAMES {
        while sent < FRAMES && sent - received < 256 {
            // the peer may not have run for a while, and the ring is full
            let Some(room) = port.tx_room() else { break };
            let length = 60 + sent as usize % 1_400;
            room[..length].fill(sent as u8);
            room[14..18].copy_from_slice(&sent.to_be_bytes());
            port.tx_commit(length, TxOffload::None);
            sent += 1;
        }
        port.tx_flush();
        for index in 0..port.rx_burst() {
            let bytes = port.rx_frame(index).bytes;
            assert_eq!(bytes.len(), 60 + received as usize % 1_400);
            assert_eq!(bytes[14..18], received.to_be_bytes());
            assert!(bytes[18..].iter().all(|&octet| octet == received as u8));
            received += 1;
        }
        assert!(Instant::now() < deadline, "{received} came back of {sent}");
        std::thread::yield_now();
    }
}

/// Sends everything back.
fn server(port: &mut DpdkPort, deadline: Instant) {
    let mut echoed = 0;
    let mut copy = Vec::with_capacity(2_048);
    while echoed < FRAMES || port.pending() > 0 {
        for index in 0..port.rx_burst() {
            copy.clear();
            copy.extend_from_slice(port.rx_frame(index).bytes);
            while port.tx_room().is_none() {
                assert!(Instant::now() < deadline, "no room after {echoed}");
                std::thread::yield_now();
            }
            super::send(port, &copy);
            echoed += 1;
        }
        port.tx_flush();
        assert!(Instant::now() < deadline, "{echoed} echoed");
        std::thread::yield_now();
    }
    // Stay until the other side has taken the last frame: leaving takes the rings away.
    std::thread::sleep(Duration::from_millis(200));
}
