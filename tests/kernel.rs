//! The program against the TCP of the Linux kernel, over net_tap, net_af_packet and net_af_xdp. Each test
//! has a network namespace of its own; its interfaces go with it. Needs root, `ip`, curl, wrk and nc, some
//! tests ethtool or nginx; without them the tests say so and check nothing.

#[path = "kernel/addresses.rs"]
mod addresses;
#[path = "kernel/bridge.rs"]
mod bridge;
#[path = "kernel/flood.rs"]
mod flood;
#[path = "kernel/links.rs"]
mod links;
#[path = "kernel/memif.rs"]
mod memif;
#[path = "kernel/namespace.rs"]
#[allow(dead_code)] // of which other tests use more
mod namespace;
#[path = "kernel/neighbours.rs"]
mod neighbours;
#[path = "kernel/nginx.rs"]
mod nginx;
#[path = "kernel/responder.rs"]
mod responder;
#[path = "kernel/second.rs"]
mod second;
#[path = "kernel/stream.rs"]
mod stream;
#[path = "kernel/veth.rs"]
mod veth;

use namespace::{KERNEL_V4, Namespace, turn};
use serde_json::Value;
use std::io::{Read, Write};
use std::process::{Child, Stdio};

/// Looks at every octet of a body.
fn check_body(from: &mut impl Read, length: usize) {
    let mut seen = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut buffer).expect("curl's output");
        if count == 0 {
            break;
        }
        for (at, &octet) in (seen..).zip(&buffer[..count]) {
            assert_eq!(usize::from(octet), at % 251, "octet {at}");
        }
        seen += count;
    }
    assert_eq!(seen, length);
}

/// Fetches `/bytes/length` by curl and looks at every octet.
#[track_caller]
fn fetch(namespace: &Namespace, host: &str, length: usize) {
    let url = format!("http://{host}/bytes/{length}");
    let mut curl = namespace
        .command(
            "curl",
            &["--silent", "--show-error", "--fail", "--globoff", "--max-time", "90", &url],
        )
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl starts");
    check_body(curl.stdout.as_mut().expect("a pipe"), length);
    assert!(curl.wait().expect("curl ends").success(), "{url}");
}

#[track_caller]
fn count(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {report}"))
}

#[test]
fn curl_gets_every_byte_over_ipv4_and_ipv6() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    let server = namespace.server("http");
    fetch(&namespace, "198.18.0.2", 0);
    fetch(&namespace, "198.18.0.2", 1);
    fetch(&namespace, "198.18.0.2", 100_000);
    fetch(&namespace, "[2001:db8::2]", 100_000);
    let report = server.stop();
    assert_eq!(count(&report, "/requests/completed"), 4);
    assert_eq!(count(&report, "/connections/closed"), 4);
    assert_eq!(count(&report, "/connections/reset"), 0);
}

#[test]
fn a_body_of_100_mb_arrives_intact() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    let server = namespace.server("http");
    fetch(&namespace, "198.18.0.2", 100_000_000);
    let report = server.stop();
    assert!(count(&report, "/bytes/sent") > 100_000_000, "the header comes on top");
    assert_eq!(count(&report, "/connections/reset"), 0);
}

#[test]
fn nc_gets_all_of_its_echo_after_its_half_close() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    let server = namespace.server("echo");
    let sent: Vec<u8> =
        (0..700_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    // -N: a FIN as soon as the input has ended, long before the echo has.
    let mut nc: Child = namespace
        .command("nc", &["-N", "-w", "20", "198.18.0.2", "7"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("nc starts");
    let mut input = nc.stdin.take().expect("a pipe");
    let writer = std::thread::spawn({
        let sent = sent.clone();
        move || input.write_all(&sent)
    });
    let mut echo = Vec::new();
    nc.stdout.take().expect("a pipe").read_to_end(&mut echo).expect("nc's output");
    writer.join().expect("the writer").expect("nc reads its input");
    assert!(nc.wait().expect("nc ends").success());
    assert_eq!(echo.len(), sent.len());
    assert!(echo == sent, "octets changed");
    let report = server.stop();
    assert_eq!(count(&report, "/connections/closed"), 1);
    assert_eq!(count(&report, "/connections/reset"), 0);
    assert_eq!(count(&report, "/bytes/received"), sent.len() as u64);
    assert_eq!(count(&report, "/bytes/sent"), sent.len() as u64);
}

/// Number of requests that a run of wrk has completed; it must have seen no error.
#[track_caller]
fn wrk(namespace: &Namespace, arguments: &[&str]) -> u64 {
    let output = namespace.command("wrk", arguments).output().expect("wrk starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("Socket errors"), "{text}");
    assert!(!text.contains("Non-2xx"), "{text}");
    let line = text.lines().find(|line| line.contains(" requests in ")).expect("a summary");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number first")
}

#[test]
fn wrk_sees_no_error_in_ten_thousand_short_connections() {
    const WANTED: u64 = 10_000;
    const AT_ONCE: u64 = 16;
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    let server = namespace.server("http");
    let close = ["-t1", "-c16", "-d4s", "-H", "Connection: close", "http://198.18.0.2/bytes/64"];
    let (mut requests, mut rounds) = (0, 0);
    while requests < WANTED {
        assert!(rounds < 10, "{requests} requests in {rounds} rounds of 4 s");
        requests += wrk(&namespace, &close);
        rounds += 1;
    }
    let kept = wrk(&namespace, &["-t1", "-c16", "-d2s", "http://198.18.0.2/bytes/64"]);
    rounds += 1;
    assert!(kept > 0);
    let report = server.stop();
    // At the end of a round wrk drops what is under way, and the kernel resets what was unread: we have
    // answered some of that, and wrk has not counted it.
    let under_way = rounds * AT_ONCE;
    let completed = count(&report, "/requests/completed");
    let all = requests + kept;
    assert!((all..=all + under_way).contains(&completed), "{all} by wrk, {completed} by us");
    let closed = count(&report, "/connections/closed");
    assert!((requests..=requests + under_way).contains(&closed), "{requests} {report}");
    let waited = count(&report, "/time_wait/entered");
    assert!((requests..=closed).contains(&waited), "the server closes first: {requests} {report}");
    let dropped = count(&report, "/connections/failed") + count(&report, "/connections/reset");
    assert!(dropped <= under_way, "{report}");
    assert_eq!(count(&report, "/tcp/ListenDrops"), 0);
    assert_eq!(count(&report, "/tcp/InCsumErrors"), 0);
    assert_eq!(count(&report, "/drops/malformed"), 0);
}

#[test]
fn our_client_loads_a_server_of_the_kernel() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    let _responder = responder::start(&namespace);
    let connect = format!("{KERNEL_V4}:{}", responder::PORT);
    let arguments =
        ["--workload", "crr", "--connect", &connect, "--duration", "4s", "--connections", "8"];
    let client = namespace.lastack("client", &arguments);
    let report = client.end();
    let closed = count(&report, "/connections/closed");
    assert!(closed > 500, "{report}");
    assert_eq!(count(&report, "/connections/failed"), 0, "{report}");
    assert_eq!(count(&report, "/connections/reset"), 0, "{report}");
    assert_eq!(count(&report, "/connections/opened"), closed);
    assert_eq!(count(&report, "/requests/completed"), closed);
}
