//! Interfaces under a run: a link that goes down and comes up, an interface that vanishes, a kernel
//! that forwards what is for us.

use super::namespace::{KERNEL_V4, Lastack, Namespace, turn_with};
use super::{count, fetch};
use std::sync::MutexGuard;

fn turn() -> Option<MutexGuard<'static, ()>> {
    turn_with(&["ethtool"])
}

/// A server on a TAP or on `veth0`, that serves.
fn server(namespace: &Namespace, profile: &str) -> (Lastack, &'static str) {
    if profile == "tap" {
        return (namespace.server("http"), "lastack0");
    }
    namespace.veth();
    namespace.set_up("veth1", KERNEL_V4, "2001:db8::1");
    let server =
        namespace.start("server", &["--profile", profile, "--device", "veth0", "--app", "http"]);
    namespace.wait_for("the server", || server.messages().contains("http at port "));
    (server, "veth0")
}

fn set(namespace: &Namespace, interface: &str, what: &str) {
    namespace.output("ip", &["link", "set", interface, what]);
}

#[test]
fn a_link_that_goes_down_and_comes_up_is_told_and_counted() {
    let Some(_turn) = turn() else { return };
    // the kernel takes its end of the TAP down, or the other end of the wire
    for (profile, taken_down) in
        [("tap", "lastack0"), ("af_packet", "veth1"), ("af_xdp", "veth1"), ("af_packet", "veth0")]
    {
        let namespace = Namespace::new();
        let (server, name) = server(&namespace, profile);
        fetch(&namespace, "198.18.0.2", 1_000);
        for times in 1..=2 {
            let told = |what: &str| server.messages().matches(what).count() == times;
            // longer than two looks
            std::thread::sleep(std::time::Duration::from_millis(1_200));
            set(&namespace, taken_down, "down");
            let down = format!("lastack: server: the link of {name} is down: nothing arrives");
            namespace.wait_for("a line that it is down", || told(&down));
            set(&namespace, taken_down, "up");
            let up = format!("lastack: server: the link of {name} is up again, after ");
            namespace.wait_for("a line that it is up", || told(&up));
        }
        let report = server.stop();
        assert_eq!(count(&report, "/link_downs"), 2, "{profile} {taken_down}: {report}");
        assert_eq!(count(&report, "/requests/completed"), 1, "{profile}");
    }
}

#[test]
fn an_interface_that_vanishes_ends_the_run() {
    let Some(_turn) = turn() else { return };
    for profile in ["tap", "af_packet", "af_xdp"] {
        let namespace = Namespace::new();
        let (server, name) = server(&namespace, profile);
        fetch(&namespace, "198.18.0.2", 1_000);
        namespace.output("ip", &["link", "del", name]);
        let (report, messages) = server.fails();
        let line = format!(
            "lastack: interface {name} has gone, so the run has ended: ip -br link lists the interfaces"
        );
        let told = messages.lines().filter(|told| *told == line).count();
        assert_eq!(told, 1, "{profile}: {messages}");
        assert_eq!(count(&report, "/requests/completed"), 1, "{profile}: the report is written");
    }
}

/// The peer of a memif goes and comes back: the link is down meanwhile.
#[test]
fn a_peer_that_leaves_is_told_and_counted() {
    let Some(_turn) = turn() else { return };
    let survived = (0..5).any(|_| peers_leave().is_some());
    assert!(survived, "the driver crashed five times");
}

/// `None` if the driver has crashed.
fn peers_leave() -> Option<()> {
    let namespace = Namespace::new();
    let server = namespace.start("server", &["--profile", "memif", "--app", "http"]);
    namespace.wait_for("the server", || server.messages().contains("http at port "));
    for times in 1..=2 {
        let load = ["--profile", "memif", "--workload", "http", "--duration", "2s"];
        namespace.start("client", &load).end();
        let told = |what: &str| server.messages().matches(what).count() == times;
        namespace.wait_for("a line that it is down", || {
            told(" is down: nothing arrives until") || server.has_crashed()
        });
        if server.has_crashed() {
            return None;
        }
    }
    assert_eq!(server.messages().matches(" is up again, after ").count(), 1);
    let report = server.stop();
    assert_eq!(count(&report, "/link_downs"), 2, "{report}");
    Some(())
}

#[test]
fn a_kernel_that_forwards_is_told_with_its_remedy() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    namespace.veth();
    namespace.set_up("veth1", KERNEL_V4, "2001:db8::1");
    let key = "net.ipv4.conf.veth0.forwarding";
    namespace.output("sysctl", &["-w", "net.ipv4.ip_forward=1"]);
    assert_eq!(namespace.output("sysctl", &["-n", key]).trim(), "1");
    let what = "the kernel forwards IPv4: what comes in on veth0 for us it sends again";
    let remedy = format!("sysctl -w {key}=0 (as root)");
    let device = ["doctor", "--profile", "af_packet", "--device", "veth0"];
    let doctor = || namespace.output(env!("CARGO_BIN_EXE_lastack"), &device);
    let shown = doctor();
    let found = shown.contains(&format!("note    {what}\n"));
    assert!(found && shown.contains(&format!(" -> {remedy}\n")), "{shown}");
    let start = || {
        let options = ["--profile", "af_packet", "--device", "veth0", "--app", "http"];
        let server = namespace.start("server", &options);
        namespace.wait_for("the server", || server.messages().contains("http at port "));
        server
    };
    let server = start();
    let line = format!("lastack: {what}: {remedy}");
    let messages = server.messages();
    assert_eq!(messages.lines().filter(|told| *told == line).count(), 1, "{messages}");
    server.stop();
    // the remedy mends it
    let words: Vec<&str> = remedy.trim_end_matches(" (as root)").split(' ').collect();
    namespace.output(words[0], &words[1..]);
    assert!(!doctor().contains("forwards"), "{}", doctor());
    let server = start();
    fetch(&namespace, "198.18.0.2", 100_000);
    assert!(!server.messages().contains("forwards"), "{}", server.messages());
    server.stop();
}
