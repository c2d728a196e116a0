//! SYNs from sources that do not exist, beside real clients. The sender has to be in the namespace, so
//! it is a process: this test program, started once more. It sends so many and ends.

use super::namespace::{Namespace, turn};
use super::{check_body, count, wrk};
use lastack::wire::ipv4::Ipv4Header;
use lastack::wire::options::Options;
use lastack::wire::seq::SeqNumber;
use lastack::wire::tcp::{Flags, Segment};
use lastack::wire::{PROTOCOL_TCP, checksum};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Tells the program that it is to send.
const ROLE: &str = "LASTACK_KERNEL_FLOOD";
/// SYNs that are sent, and how many in a millisecond.
const SYNS: u32 = 60_000;
const IN_A_MS: u32 = 15;
const TARGET: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);

#[test]
#[ignore = "the other process of a test, not a test"]
fn sender() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let raw =
        Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255))).expect("a raw socket");
    let to = SocketAddr::from((TARGET, 0)).into();
    let began = Instant::now();
    for n in 0..SYNS {
        if n % IN_A_MS == 0 {
            let due = Duration::from_millis(u64::from(n / IN_A_MS));
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        // a queue that is full loses one, as a network would
        let _ = raw.send_to(&syn(n), &to);
    }
}

/// A SYN from a host of 198.19.0.0/16, which nobody is.
fn syn(n: u32) -> [u8; 44] {
    let src = Ipv4Addr::from(0xc613_0000 | n & 0xffff);
    let segment = Segment {
        src_port: 1_024 + (n >> 3) as u16 % 50_000,
        dst_port: 80,
        seq: SeqNumber::new(n.wrapping_mul(2_654_435_761)),
        ack: SeqNumber::default(),
        flags: Flags::SYN,
        window: 64_000,
        urgent: 0,
        options: Options { mss: Some(1_460), ..Options::NONE },
        payload: &[],
    };
    let mut packet = [0; 44];
    let (protocol, ttl, tos, ident) = (PROTOCOL_TCP, 64, 0, 0);
    let header = Ipv4Header { src, dst: TARGET, protocol, ttl, tos, ident, dont_fragment: true };
    header.write(&mut packet, 24);
    segment.write_header(&mut packet[20..]);
    let pseudo = checksum::pseudo(src.into(), TARGET.into(), PROTOCOL_TCP, 24);
    let sum = checksum::finish(pseudo + checksum::sum(&packet[20..]));
    packet[36..38].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// With cookies and nothing else, with and without timestamps, clients see no difference.
#[test]
fn clients_do_not_see_cookies() {
    let Some(_turn) = turn() else { return };
    for timestamps in ["1", "0"] {
        let namespace = Namespace::new();
        namespace.output("sysctl", &["-w", &format!("net.ipv4.tcp_timestamps={timestamps}")]);
        let server = namespace.lastack("server", &["--app", "http", "--syn-cookies", "always"]);
        namespace.wait_for("the server", || server.messages().contains("http at port "));
        for host in ["198.18.0.2", "[2001:db8::2]"] {
            let url = format!("http://{host}/bytes/300000");
            let arguments = ["--silent", "--fail", "--globoff", "--max-time", "30", &url];
            let mut curl =
                namespace.command("curl", &arguments).stdout(Stdio::piped()).spawn().unwrap();
            check_body(curl.stdout.as_mut().unwrap(), 300_000);
            assert!(curl.wait().unwrap().success(), "{url}");
        }
        let close =
            ["-t1", "-c16", "-d2s", "-H", "Connection: close", "http://198.18.0.2/bytes/64"];
        let requests = wrk(&namespace, &close);
        let report = server.stop();
        assert!(count(&report, "/requests/completed") >= requests + 2);
        assert!(count(&report, "/syn/cookies_accepted") >= 2, "{report}");
        assert_eq!(count(&report, "/syn/cookies_rejected"), 0, "{report}");
        let reopened = count(&report, "/time_wait/reused");
        let made = count(&report, "/syn/cookies_accepted");
        assert!(made + reopened >= requests + 2, "the others came back into TIME-WAIT");
    }
}

/// A flood that fills a small SYN cache many times over: wrk loses no request.
#[test]
fn wrk_beside_a_flood_loses_nothing() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    let server = namespace.lastack("server", &["--app", "http", "--syn-cache", "256"]);
    namespace.wait_for("the server", || server.messages().contains("http at port "));
    let program = std::env::current_exe().expect("the path of this program");
    let program = program.to_str().expect("a path in UTF-8");
    let mut flood = namespace.command(program, &["--ignored", "--exact", "flood::sender"]);
    let quiet = flood.env(ROLE, "1").stdin(Stdio::null()).stdout(Stdio::null());
    let mut flood = quiet.spawn().expect("the sender starts");
    let close = ["-t1", "-c8", "-d3s", "-H", "Connection: close", "http://198.18.0.2/bytes/64"];
    let requests = wrk(&namespace, &close);
    assert!(flood.wait().expect("the sender ends").success());
    assert!(requests > 100, "{requests}");
    let report = server.stop();
    assert!(count(&report, "/syn/received") > u64::from(SYNS) / 2, "{report}");
    assert!(count(&report, "/syn/cookies_sent") > u64::from(SYNS) / 4, "{report}");
    assert!(count(&report, "/syn/cache_peak") <= 256, "{report}");
    assert!(count(&report, "/requests/completed") >= requests);
    assert_eq!(count(&report, "/tcp/ListenDrops"), 0, "{report}");
}
