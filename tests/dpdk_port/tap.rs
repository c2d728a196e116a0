//! net_tap against the kernel, in a network namespace that ends with its process.

use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use lastack::port::dpdk::{Eal, EthDev, EthDevConfig};
use lastack::port::{Port, RxChecksum, TxOffload};

use super::{child, eal_options, pool};

/// A namespace of the child's own, with its loopback down and nothing else in it.
const NAMESPACE: [&str; 2] = ["unshare", "-n"];

#[test]
fn a_tap_without_the_privilege_names_it() {
    let name = "tap::a_tap_without_the_privilege_names_it";
    match child::part() {
        None if child::is_root() => {
            let bounded = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"];
            let text = child::run(&[&NAMESPACE[..], &bounded].concat(), name, "unprivileged");
            assert!(!text.contains("EAL: "), "EAL is quiet: {text}");
        }
        None => {}
        Some(_) => {
            let eal = Eal::init(&eal_options("lastack_notap", "0@(0-1)")).expect("EAL");
            let error = EthDev::probe(&eal, "net_tap0,iface=dtap0").unwrap_err().to_string();
            assert!(error.contains("net_tap0") && error.contains("CAP_NET_ADMIN"), "{error}");
            assert!(error.contains("setcap") && !error.contains('\n'), "{error}");
        }
    }
}

#[test]
fn the_kernel_and_the_port_agree_on_frames_and_checksums() {
    let name = "tap::the_kernel_and_the_port_agree_on_frames_and_checksums";
    match child::part() {
        None if child::is_root() => {
            child::run(&NAMESPACE, name, "namespace");
        }
        None => {}
        Some(_) => against_the_kernel(),
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status().expect("iproute2");
    assert!(status.success(), "ip {arguments}");
}

fn against_the_kernel() {
    let eal = Eal::init(&eal_options("lastack_tap", "0@(0-1)")).expect("EAL");
    let pool = pool(&eal, "tap", 2047);
    let device = EthDev::probe(&eal, "net_tap0,iface=dtap0").expect("net_tap");
    let config = EthDevConfig { promiscuous: true, ..EthDevConfig::new(pool.clone()) };
    device.start(&config).expect("a start");
    let mut port = device.queue_pair(0).expect("queue 0");
    assert!(port.capabilities().tx_tcp_checksum && device.granted().rx_checksum);
    assert_ne!(device.mac(), [0; 6]);

    let ours = [2, 0, 0, 0, 0, 9];
    ip("address add 198.18.0.1/24 dev dtap0");
    ip("link set dtap0 up");
    ip("neighbour replace 198.18.0.2 lladdr 02:00:00:00:00:09 dev dtap0");

    // Kernel to port: a datagram arrives octet for octet.
    let socket = UdpSocket::bind("198.18.0.1:5000").expect("an address");
    let payload: Vec<u8> = (0..1_000).map(|index| index as u8).collect();
    socket.send_to(&payload, "198.18.0.2:5001").expect("a route");
    let seen = receive(&mut port, |bytes| bytes[12..14] == [8, 0] && bytes[23] == 17);
    assert_eq!(seen.0[..6], ours);
    assert_eq!(seen.0[42..], payload);

    // A SYN, whose checksums the driver has verified, is answered with a reset whose checksums the
    // driver makes; only if they are right does the kernel refuse the connection.
    let connect = std::thread::spawn(|| TcpStream::connect("198.18.0.2:80").map(drop));
    let (syn, checksum) = receive(&mut port, |bytes| bytes[12..14] == [8, 0] && bytes[23] == 6);
    assert_eq!(checksum, RxChecksum::Good);
    let reset = reset_for(&syn);
    let room = port.tx_room().expect("a buffer");
    room[..reset.len()].copy_from_slice(&reset);
    let offload = TxOffload::TcpChecksum { ipv4: true, l2_len: 14, l3_len: 20, l4_len: 20 };
    port.tx_commit(reset.len(), offload);
    port.tx_flush();
    let refused = connect.join().expect("no panic").expect_err("a reset");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);

    drop((port, device));
    assert_eq!(pool.in_use(), 0);
    assert!(!std::path::Path::new("/sys/class/net/dtap0").exists(), "the TAP is gone");
}

/// The next frame that is wanted, with the verdict on its checksums.
fn receive(port: &mut impl Port, wanted: impl Fn(&[u8]) -> bool) -> (Vec<u8>, RxChecksum) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        for index in 0..port.rx_burst() {
            let frame = port.rx_frame(index);
            if wanted(frame.bytes) {
                return (frame.bytes.to_vec(), frame.checksum);
            }
        }
        assert!(Instant::now() < deadline, "the frame did not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// RST+ACK for a SYN (RFC 9293 section 3.10.7.1), with the sum of the pseudo header in place of the
/// checksum and none in the IPv4 header, as the offload wants it.
fn reset_for(syn: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 54];
    frame[..6].copy_from_slice(&syn[6..12]);
    frame[6..12].copy_from_slice(&syn[..6]);
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6]);
    frame[26..30].copy_from_slice(&syn[30..34]);
    frame[30..34].copy_from_slice(&syn[26..30]);
    frame[34..36].copy_from_slice(&syn[36..38]);
    frame[36..38].copy_from_slice(&syn[34..36]);
    let acknowledged = u32::from_be_bytes(syn[38..42].try_into().expect("4 octets")) + 1;
    frame[42..46].copy_from_slice(&acknowledged.to_be_bytes());
    frame[46..48].copy_from_slice(&[0x50, 0x14]);
    let words = frame[26..34].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum = words.sum::<u32>() + 6 + 20;
    let folded = (sum & 0xffff) + (sum >> 16);
    frame[50..52].copy_from_slice(&(folded as u16).to_be_bytes());
    frame
}
