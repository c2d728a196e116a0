//! The Linux kernel as the peer: the server on a net_tap port in a network namespace of the test's
//! own, real clients against it.
//!
//! Needs root, /dev/net/tun and the clients (`scripts/setup` installs them); without them each test
//! says what is missing and does nothing else.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The kernel's end and ours, as in `dpdk-config/tap.toml`.
const KERNEL: [&str; 2] = ["198.18.0.1/24", "2001:db8::1/64"];

fn missing() -> Option<String> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if !root {
        return Some("root".to_owned());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("/dev/net/tun".to_owned());
    }
    let absent = |tool: &&str| {
        let found = |dir: &str| Path::new(dir).join(tool).exists();
        !["/usr/bin", "/usr/sbin", "/bin", "/sbin"].into_iter().any(found)
    };
    ["ip", "curl", "wrk", "nc"].iter().find(|tool| absent(tool)).map(|tool| (*tool).to_owned())
}

/// A namespace with a server on a TAP. Dropping it ends the server and removes the namespace, also
/// when the test fails.
struct Net {
    name: String,
    server: Option<Child>,
}

impl Net {
    /// `None`, with a word why, where there is no way to make one.
    fn serve(app: &str) -> Option<Net> {
        if let Some(what) = missing() {
            eprintln!("left out: needs {what}");
            return None;
        }
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lastack-test-{}-{count}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let mut net = Net { name, server: None };
        run("ip", &["-n", &net.name, "link", "set", "lo", "up"]);
        let binary = env!("CARGO_BIN_EXE_lastack");
        let prefix = format!("--file-prefix={}", net.name);
        let server = net
            .command(binary)
            .args([&prefix, "--", "server", "--profile", "tap", "--app", app])
            .args(["--stats-period", "0", "--duration", "120s", "--json", "-"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        net.server = Some(server);
        let link = |net: &Net| {
            let show = ["-n", &net.name, "link", "show", "lastack0"];
            Command::new("ip").args(show).output().is_ok_and(|shown| shown.status.success())
        };
        let began = Instant::now();
        while !link(&net) {
            assert!(began.elapsed() < Duration::from_secs(20), "no TAP appears");
            thread::sleep(Duration::from_millis(50));
        }
        for address in KERNEL {
            let mut add = vec!["-n", &net.name, "address", "add", address, "dev", "lastack0"];
            if address.contains(':') {
                add.push("nodad");
            }
            run("ip", &add);
        }
        run("ip", &["-n", &net.name, "link", "set", "lastack0", "up"]);
        Some(net)
    }

    /// A program in the namespace.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Lets the server end, and gives its report.
    fn report(mut self) -> serde_json::Value {
        let mut server = self.server.take().expect("the server runs");
        // `ip netns exec` becomes the program that it starts, so the child is the server
        run("kill", &["-INT", &server.id().to_string()]);
        let mut text = String::new();
        server.stdout.take().expect("a pipe").read_to_string(&mut text).expect("a report");
        assert!(server.wait().expect("it ends").success());
        serde_json::from_str(&text).expect("JSON")
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().expect("it can be started");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {error}");
}

/// curl with patience for a server that has only just begun.
fn fetch(net: &Net, url: &str) -> Output {
    net.command("curl")
        .args(["-sS", "-g", "--retry", "10", "--retry-connrefused", "--retry-delay", "1"])
        .args(["--max-time", "60", url])
        .output()
        .expect("curl runs")
}

fn assert_body(output: &Output, len: usize) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl: {error}");
    assert_eq!(output.stdout.len(), len);
    let wrong = output.stdout.iter().enumerate().find(|(i, byte)| usize::from(**byte) != i % 251);
    assert_eq!(wrong, None);
}

#[test]
fn curl_gets_every_octet_over_both_families() {
    let Some(net) = Net::serve("http") else { return };
    for host in ["198.18.0.2", "[2001:db8::2]"] {
        assert_body(&fetch(&net, &format!("http://{host}/bytes/100000")), 100_000);
        assert_body(&fetch(&net, &format!("http://{host}/bytes/0")), 0);
    }
    assert_body(&fetch(&net, "http://198.18.0.2/bytes/100000000"), 100_000_000);
    let report = net.report();
    assert_eq!(report["connections"]["failed"], 0);
    assert_eq!(report["connections"]["reset"], 0);
}

#[test]
fn wrk_makes_ten_thousand_connections_without_an_error() {
    let Some(net) = Net::serve("http") else { return };
    assert_body(&fetch(&net, "http://198.18.0.2/bytes/10"), 10);
    let mut requests = 0;
    for _ in 0..10 {
        let wrk = net
            .command("wrk")
            .args(["-t1", "-c16", "-d2s", "-H", "Connection: close", "http://198.18.0.2/"])
            .output()
            .expect("wrk runs");
        let said = String::from_utf8_lossy(&wrk.stdout).into_owned();
        assert!(wrk.status.success(), "{said}");
        assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
        let count =
            said.lines().find_map(|line| line.trim().split(" requests in").next()?.parse().ok());
        requests += count.unwrap_or(0);
        if requests >= 10_000 {
            break;
        }
    }
    assert!(requests >= 10_000, "{requests} requests");
    let report = net.report();
    assert!(report["connections"]["established"].as_u64() >= Some(requests));
    assert_eq!(report["connections"]["failed"], 0);
    // all that the server closed first, which is all but what wrk cut off at its end
    let waited = report["time_wait"]["entered"].as_u64();
    assert!(waited >= Some(requests), "{waited:?} of {requests}");
}

#[test]
fn nc_gets_all_of_its_echo_after_a_half_close() {
    let Some(net) = Net::serve("echo") else { return };
    let len = 300_000;
    let sent: Vec<u8> = (0..len).map(|i: usize| (i * 7 % 253) as u8).collect();
    let path = std::env::temp_dir().join(format!("{}.input", net.name));
    std::fs::write(&path, &sent).expect("a file for nc");
    let mut echoed = Vec::new();
    // the echo port may not answer yet when the TAP has just come up
    for _ in 0..20 {
        let input = std::fs::File::open(&path).expect("the file is there");
        let nc =
            net.command("nc").args(["-N", "-w", "20", "198.18.0.2", "7"]).stdin(input).output();
        echoed = nc.expect("nc runs").stdout;
        if !echoed.is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(200));
    }
    let _ = std::fs::remove_file(&path);
    assert!(echoed == sent, "{} of {len} octets came back", echoed.len());
}
