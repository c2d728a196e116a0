//! The program and the TCP of the Linux kernel, with every setting of the kernel's that a connection
//! depends on, over paths that lose, and at the ends of connections. Each test has a network
//! namespace of its own. Needs root, `ip`, `ss` and nft; without them the tests say so and check
//! nothing.

#[path = "interop/ends.rs"]
mod ends;
#[path = "interop/loss.rs"]
mod loss;
#[path = "kernel/namespace.rs"]
#[allow(dead_code)] // of which other tests use more
mod namespace;
#[path = "interop/peer.rs"]
mod peer;
#[path = "interop/settings.rs"]
mod settings;
#[path = "interop/time_wait.rs"]
mod time_wait;

use namespace::{Lastack, Namespace, turn};
use peer::{PORT, Peer, Role};
use serde_json::Value;
use settings::{Congestion, Info, Settings};
use std::net::SocketAddr;

/// Octets of a transfer in one direction.
const LENGTH: usize = 5_000_000;

#[track_caller]
fn count(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {report}"))
}

/// Our addresses with the port of an application, IPv4 first.
fn addresses(port: u16) -> Vec<SocketAddr> {
    ["198.18.0.2", "2001:db8::2"]
        .map(|address| SocketAddr::new(address.parse().expect("an address"), port))
        .to_vec()
}

/// `lastack server`, with every option of TCP on and `extra` arguments, ready to be talked to.
fn serve(namespace: &Namespace, app: &str, extra: &[&str]) -> Lastack {
    let arguments = [&["--app", app, "--ecn", "on"], extra].concat();
    let server = namespace.lastack("server", &arguments);
    namespace.wait_for("the server", || server.messages().contains(&format!("{app} at port ")));
    server
}

/// `lastack client` with one connection at a time, each with a request and a response of `length`,
/// to the kernel's `server`.
fn load(namespace: &Namespace, server: &str, length: usize, extra: &[&str]) -> Lastack {
    let length = length.to_string();
    let arguments = [
        &["--workload", "crr", "--connections", "1", "--connect", server],
        &["--request-size", &length, "--response-size", &length][..],
        &["--ecn", "on"],
        extra,
    ]
    .concat();
    namespace.lastack("client", &arguments)
}

/// Were the options those that were set?
#[track_caller]
fn check_all(told: &[Info], settings: &[Settings]) {
    assert_eq!(told.len(), settings.len());
    for (info, settings) in told.iter().zip(settings) {
        info.check(settings);
    }
}

/// Did all connections end in an orderly way, without a segment that is not what it should be?
#[track_caller]
fn check_orderly(report: &Value, connections: u64) {
    assert_eq!(count(report, "/connections/closed"), connections, "{report}");
    for path in ["/connections/failed", "/connections/reset", "/drops/malformed"] {
        assert_eq!(count(report, path), 0, "{path} in {report}");
    }
    for name in ["InCsumErrors", "TCPAbortOnTimeout", "OutRsts"] {
        assert_eq!(count(report, &format!("/tcp/{name}")), 0, "{name} in {report}");
    }
}

#[test]
fn the_kernel_downloads_with_every_setting() {
    let Some(_turn) = turn() else { return };
    let congestion = Congestion::allow(&["bbr", "cubic", "reno"]);
    let settings = Settings::all(&congestion.names);
    let namespace = Namespace::new();
    let server = serve(&namespace, "http", &[]);
    let role = Role::Get { servers: addresses(80), length: LENGTH, settings: settings.clone() };
    check_all(&Peer::start(&namespace, &role).end(), &settings);
    let report = server.stop_when_idle(&namespace);
    check_orderly(&report, settings.len() as u64);
    assert!(count(&report, "/bytes/sent") > (settings.len() * LENGTH) as u64);
}

#[test]
fn the_kernel_uploads_with_every_setting() {
    let Some(_turn) = turn() else { return };
    let congestion = Congestion::allow(&["bbr", "cubic", "reno"]);
    let settings = Settings::all(&congestion.names);
    let namespace = Namespace::new();
    let server = serve(&namespace, "echo", &[]);
    let role = Role::Echo { servers: addresses(7), length: LENGTH, settings: settings.clone() };
    check_all(&Peer::start(&namespace, &role).end(), &settings);
    let report = server.stop_when_idle(&namespace);
    check_orderly(&report, settings.len() as u64);
    assert_eq!(count(&report, "/bytes/received"), (settings.len() * LENGTH) as u64);
    assert_eq!(count(&report, "/bytes/sent"), (settings.len() * LENGTH) as u64);
}

/// Our client against a server of the kernel at `address`, once with each of the settings.
fn load_with(settings: Vec<Settings>, address: &str) {
    let namespace = Namespace::new();
    let role = Role::Serve { length: LENGTH, settings: settings.clone() };
    let mut peer = Peer::start(&namespace, &role);
    assert_eq!(peer.tells().0, "listens");
    let client = load(&namespace, &format!("{address}:{PORT}"), LENGTH, &["--duration", "60s"]);
    let told: Vec<Info> = settings.iter().map(|_| peer.tells()).collect();
    check_all(&told, &settings);
    let report = client.stop();
    let opened = count(&report, "/connections/opened");
    assert!(opened >= settings.len() as u64, "{report}");
    check_orderly(&report, opened);
    assert_eq!(count(&report, "/bytes/received"), opened * LENGTH as u64);
}

#[test]
fn our_client_transfers_with_every_setting() {
    let Some(_turn) = turn() else { return };
    let congestion = Congestion::allow(&["bbr", "cubic", "reno"]);
    load_with(Settings::all(&congestion.names), "198.18.0.1");
    let usual = congestion.names.iter().map(|name| Settings::usual(name)).collect();
    load_with(usual, "[2001:db8::1]");
}

/// Our switches: what is off here is not agreed on, whatever the kernel offers.
#[test]
fn what_is_switched_off_is_not_agreed_on() {
    let Some(_turn) = turn() else { return };
    for switch in ["--timestamps", "--window-scale", "--sack", "--ecn"] {
        let namespace = Namespace::new();
        let server = namespace.lastack("server", &["--app", "echo", switch, "off"]);
        namespace.wait_for("the server", || server.messages().contains("echo at port "));
        let offered = Settings { ecn: true, ..Settings::usual("reno") };
        let settings = vec![offered];
        let role = Role::Echo { servers: addresses(7), length: LENGTH, settings };
        let told = Peer::start(&namespace, &role).end();
        let agreed = match switch {
            "--timestamps" => told[0].has("ts"),
            "--window-scale" => told[0].value("wscale").is_some(),
            "--sack" => told[0].has("sack"),
            _ => told[0].has("ecn"),
        };
        assert!(!agreed, "{switch}: {}", told[0].0);
        check_orderly(&server.stop_when_idle(&namespace), 1);
    }
}
