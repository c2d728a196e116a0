//! Our addresses beside a kernel that has them too: at the start, and later.

use super::namespace::{KERNEL_V4, Lastack, Namespace, turn_with};
use super::{count, fetch};
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

/// Our addresses, with the length of their prefixes.
const OURS: [(&str, &str); 2] = [("198.18.0.2", "24"), ("2001:db8::2", "64")];

fn turn() -> Option<MutexGuard<'static, ()>> {
    turn_with(&["ethtool"])
}

fn server(namespace: &Namespace, extra: &[&str]) -> Lastack {
    let device = ["--profile", "af_packet", "--device", "veth0", "--app", "http"];
    namespace.start("server", &[&device, extra].concat())
}

/// Gives the kernel an address of ours; it does not ask whether it may.
fn take(namespace: &Namespace, (ip, prefix): (&str, &str)) {
    namespace.ip_inside(&["addr", "add", &format!("{ip}/{prefix}"), "dev", "host0"]);
}

#[test]
fn an_address_that_the_kernel_has_is_told_at_the_start() {
    let Some(_turn) = turn() else { return };
    for ours in OURS {
        let (namespace, other) = (Namespace::new(), Namespace::new());
        if !namespace.bridge(&other) {
            return;
        }
        take(&other, ours);
        let duplicate = format!("address {} is in use by station {}", ours.0, other.mac("host0"));
        let remedy = "choose another --address, or go on with --address-check warn";
        let found = format!("lastack: {duplicate}; {remedy}");

        for on in [&[][..], &["--address-check", "on"]] {
            let (status, messages) = server(&namespace, on).refusal();
            let lines: Vec<_> = messages.lines().filter(|line| line.contains("in use")).collect();
            assert_eq!((status, lines), (Some(1), vec![found.as_str()]), "{messages}");
        }
        let warned = server(&namespace, &["--address-check", "warn"]);
        namespace.wait_for("the server", || warned.messages().contains("http at port "));
        assert_eq!(warned.told(&format!("lastack: {duplicate}")), 1, "{}", warned.messages());
        assert_eq!(warned.messages().matches("in use").count(), 1, "{}", warned.messages());
        warned.stop();

        let unasked = server(&namespace, &["--address-check", "off", "--duration", "1s"]);
        let (status, messages) = unasked.refusal();
        assert_eq!(status, Some(0), "{messages}");
        assert!(!messages.contains("in use"), "{messages}");
    }
}

/// Another kernel begins to use an address of ours. We say so in one line, and announce that it is
/// ours; a third one, which has believed nobody, believes us.
#[test]
fn an_address_that_the_kernel_takes_later_is_told_and_defended() {
    let Some(_turn) = turn() else { return };
    for ours in OURS {
        let (namespace, other) = (Namespace::new(), Namespace::new());
        if !namespace.bridge(&other) {
            return;
        }
        namespace.set_up("br0", KERNEL_V4, "2001:db8::1");
        // one question for each neighbour, and an announcement of each address
        other.output("sysctl", &["-w", "net.ipv4.neigh.host0.mcast_solicit=1"]);
        other.output("sysctl", &["-w", "net.ipv6.conf.host0.ndisc_notify=1"]);
        let server = server(&namespace, &[]);
        namespace.wait_for("the server", || server.messages().contains("http at port "));
        announcements_are_over(&namespace, ours.0);
        assert!(!server.messages().contains("in use"), "{}", server.messages());

        take(&other, ours);
        if ours.0.contains('.') {
            // it asks for a neighbour, from this address
            other.output("nc", &["-w", "1", "-s", ours.0, "198.18.0.77", "9"]);
        }
        let line = format!(
            "lastack: address {} is in use by station {} too (1 of its messages): connections may be lost",
            ours.0,
            other.mac("host0")
        );
        namespace.wait_for("a line about it", || server.told(&line) == 1);
        let mac = namespace.mac("veth0");
        namespace.wait_for("our announcement", || {
            namespace.neighbour(ours.0, "br0").is_some_and(|known| known == mac)
        });
        other.ip_inside(&["addr", "del", &format!("{}/{}", ours.0, ours.1), "dev", "host0"]);
        let host = if ours.0.contains(':') { format!("[{}]", ours.0) } else { ours.0.to_owned() };
        fetch(&namespace, &host, 1_000);
        server.stop();
    }
}

/// Nobody's.
const WRONG: &str = "02:00:00:00:00:77";

/// Waits until we announce an address no more, and leaves the kernel with a wrong idea of it.
fn announcements_are_over(namespace: &Namespace, ip: &str) {
    namespace.wait_for("the end of announcements", || {
        let wrong = ["neigh", "replace", ip, "lladdr", WRONG, "dev", "br0", "nud", "stale"];
        namespace.ip_inside(&wrong);
        // more than from one announcement to the next
        let until = Instant::now() + Duration::from_millis(2_500);
        let is_wrong = || namespace.neighbour(ip, "br0").is_some_and(|known| known == WRONG);
        while is_wrong() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
        }
        is_wrong()
    });
}

/// A kernel that asks first (RFC 4862 §5.4) is told that the address is ours.
#[test]
fn a_kernel_that_asks_for_our_address_does_not_get_it() {
    let Some(_turn) = turn() else { return };
    let (namespace, other) = (Namespace::new(), Namespace::new());
    if !namespace.bridge(&other) {
        return;
    }
    // five questions, a second apart: on a busy machine one answer may be late
    for setting in ["accept_dad=1", "dad_transmits=5"] {
        other.output("sysctl", &["-w", &format!("net.ipv6.conf.host0.{setting}")]);
    }
    let server = server(&namespace, &[]);
    namespace.wait_for("the server", || server.messages().contains("http at port "));
    other.ip_inside(&["addr", "add", "2001:db8::2/64", "dev", "host0"]);
    other.wait_for("the kernel to give the address up", || {
        let shown = other.output("ip", &["-6", "addr", "show", "dev", "host0"]);
        let ours = shown.lines().find(|line| line.contains("2001:db8::2/64"));
        let ours = ours.expect("the address, in use or not");
        assert!(ours.contains("tentative"), "the kernel uses it: {shown}{}", server.messages());
        ours.contains("dadfailed")
    });
    let report = server.stop();
    assert!(count(&report, "/handled/ndp") >= 1, "{report}");
}

/// The kernel's end of a TAP and ours are two stations: their link-local addresses differ, and so the
/// kernel keeps its own.
#[test]
fn the_kernel_keeps_its_link_local_address_on_a_tap() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    let server = namespace.server("http");
    namespace.wait_for("the kernel's link-local address", || {
        let shown = namespace.output("ip", &["-6", "addr", "show", "dev", "lastack0"]);
        let link_local = shown.lines().find(|line| line.contains(" fe80::")).unwrap_or_default();
        assert!(!link_local.contains("dadfailed"), "{shown}");
        !link_local.is_empty() && !link_local.contains("tentative")
    });
    fetch(&namespace, "[2001:db8::2]", 1_000);
    assert_ne!(namespace.neighbour("2001:db8::2", "lastack0"), Some(namespace.mac("lastack0")));
    server.stop();
}
