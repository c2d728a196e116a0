//! Neighbours that change their MAC address: the kernel under a client of ours, and we under the kernel.

use super::namespace::{KERNEL_V4, Lastack, Namespace, turn_with};
use super::{count, fetch, responder};
use std::sync::MutexGuard;
use std::time::Duration;

fn turn() -> Option<MutexGuard<'static, ()>> {
    turn_with(&["ethtool"])
}

fn set_mac(namespace: &Namespace, interface: &str, mac: &str) {
    namespace.ip_inside(&["link", "set", interface, "address", mac]);
    assert_eq!(namespace.mac(interface), mac);
}

fn on_veth0(namespace: &Namespace, command: &str, extra: &[&str]) -> Lastack {
    let device = ["--profile", "af_packet", "--device", "veth0"];
    namespace.start(command, &[&device, extra].concat())
}

/// The kernel tells nobody of its new address, and drops what goes to the old one. A SYN is asked for
/// again after 1 s and after 2 s more; then the neighbour is doubted, three questions to the old address
/// go unanswered for 3 s, and the next one goes to all. With some room for a busy machine. Only if a
/// connection is open at that moment may the kernel itself ask for us, and be found at once.
#[test]
fn a_client_finds_a_kernel_with_a_new_mac_address() {
    const LIMIT: Duration = Duration::from_secs(13);
    let Some(_turn) = turn() else { return };
    for (host, ip) in [("198.18.0.2", "198.18.0.2"), ("[2001:db8::2]", "2001:db8::2")] {
        let namespace = Namespace::new();
        namespace.veth();
        namespace.set_up("veth1", "198.18.0.2", "2001:db8::2");
        let _responder = responder::start(&namespace);
        let connect = format!("{host}:{}", responder::PORT);
        let load = ["--workload", "crr", "--connect", &connect, "--rate", "20/s"];
        let length = ["--connections", "1000", "--duration", "16s", "--drain", "15s"];
        let client = on_veth0(&namespace, "client", &[load, length].concat());
        namespace.wait_for("connections", || namespace.tcp_counter("PassiveOpens") >= 20);
        set_mac(&namespace, "veth1", "02:00:00:00:00:77");
        let report = client.end();
        assert_eq!(count(&report, "/connections/failed"), 0, "{ip}: {report}");
        assert_eq!(count(&report, "/connections/reset"), 0, "{ip}: {report}");
        let opened = count(&report, "/connections/opened");
        assert!(opened > 200, "{ip}: {report}");
        assert_eq!(count(&report, "/connections/closed"), opened, "{ip}: {report}");
        assert_eq!(count(&report, "/requests/completed"), opened, "{ip}: {report}");
        let longest = Duration::from_nanos(count(&report, "/latency/max"));
        assert!(longest < LIMIT, "{ip}: found after {longest:?}: {report}");
    }
}

/// A server is killed; another, with another MAC address, takes its addresses: the kernel, which still
/// knows the old one and is told nothing by it, hears of the new one.
#[test]
fn the_kernel_learns_who_took_an_address_over() {
    const FAMILIES: [&str; 2] = ["198.18.0.2", "2001:db8::2"];
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    namespace.veth();
    namespace.set_up("veth1", KERNEL_V4, "2001:db8::1");
    let server = || {
        let server = on_veth0(&namespace, "server", &["--app", "http"]);
        namespace.wait_for("the server", || server.messages().contains("http at port "));
        server
    };
    let knows = |mac: &str| {
        FAMILIES.iter().all(|ip| namespace.neighbour(ip, "veth1").is_some_and(|known| known == mac))
    };
    let fetch_both = || {
        fetch(&namespace, "198.18.0.2", 1_000);
        fetch(&namespace, "[2001:db8::2]", 1_000);
    };
    let first = server();
    fetch_both();
    assert!(knows(&namespace.mac("veth0")));
    first.kill();
    assert!(knows(&namespace.mac("veth0")), "the one that was killed has said nothing");
    let new = "02:00:00:00:00:55";
    set_mac(&namespace, "veth0", new);
    let second = server();
    // nothing but our announcements: the kernel has nothing to send
    namespace.wait_for("the kernel to know the new address", || knows(new));
    fetch_both();
    let report = second.stop();
    assert_eq!(count(&report, "/requests/completed"), 2);
    assert_eq!(count(&report, "/connections/reset"), 0);
}
