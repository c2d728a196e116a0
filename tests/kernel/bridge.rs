//! IPv6 through a bridge of the kernel that snoops: multicast frames go only to ports behind which
//! somebody has joined their group.

use super::namespace::{KERNEL_V4, Namespace, turn_with};
use super::{count, fetch};

/// Groups of solicited nodes: that of 2001:db8::2, and that of our link-local address, which ends with the
/// last three octets of our MAC address.
const GROUPS: [&str; 2] = ["ff02::1:ff00:2", "ff02::1:ff11:2233"];

#[test]
fn a_kernel_behind_a_bridge_that_snoops_reaches_us() {
    let Some(_turn) = turn_with(&["ethtool", "bridge"]) else { return };
    let (namespace, other) = (Namespace::new(), Namespace::new());
    if !namespace.bridge(&other) {
        return;
    }
    other.set_up("host0", "198.18.0.1", "2001:db8::1");
    namespace.ip_inside(&["link", "set", "veth0", "address", "02:00:00:11:22:33"]);
    // a querier is believed after its first time for answers; it asks once, and not again for two minutes
    let query = ["mcast_query_response_interval", "100", "mcast_startup_query_count", "1"];
    let bridge = |settings: &[&str]| {
        namespace.ip_inside(&[&["link", "set", "br0", "type", "bridge"], settings].concat());
    };
    bridge(&[&["mcast_snooping", "1", "mcast_mld_version", "2"], &query[..]].concat());
    bridge(&["mcast_querier", "1"]);
    let joined = || {
        let groups = namespace.output("bridge", &["mdb", "show", "dev", "br0"]);
        GROUPS.iter().all(|group| {
            groups.lines().any(|line| line.contains("port port0 ") && line.contains(group))
        })
    };
    assert!(!joined());

    let device = ["--profile", "af_packet", "--device", "veth0", "--app", "http"];
    let server = namespace.start("server", &device);
    namespace.wait_for("the server", || server.messages().contains("http at port "));
    namespace.wait_for("our groups at the bridge", joined);
    fetch(&other, "[2001:db8::2]", 100_000);

    // Without the membership nobody finds us: so the bridge does snoop, once it believes its querier.
    // Our second report of the join may come meanwhile.
    namespace.wait_for("the bridge to keep from us what is not for us", || {
        for group in GROUPS {
            let leave = ["mdb", "del", "dev", "br0", "port", "port0", "grp", group];
            namespace.output("bridge", &leave);
        }
        other.ip_inside(&["neigh", "flush", "dev", "host0"]);
        let nc = other.command("nc", &["-z", "-w", "2", "2001:db8::2", "80"]).status();
        !nc.expect("nc starts").success()
    });

    // The querier begins again, and we answer.
    bridge(&["mcast_querier", "0"]);
    bridge(&["mcast_querier", "1"]);
    namespace.wait_for("our answer to the query", joined);
    other.ip_inside(&["neigh", "flush", "dev", "host0"]);
    fetch(&other, "[2001:db8::2]", 100_000);
    let report = server.stop();
    assert_eq!(count(&report, "/requests/completed"), 2, "{report}");
}

/// A TAP is a port of a bridge like any other: what is behind it is another station than the kernel.
#[test]
fn a_kernel_behind_a_bridge_reaches_us_at_a_tap() {
    let Some(_turn) = turn_with(&["ethtool"]) else { return };
    let (namespace, other) = (Namespace::new(), Namespace::new());
    if !namespace.bridge(&other) {
        return;
    }
    other.set_up("host0", KERNEL_V4, "2001:db8::1");
    let server = namespace.start("server", &["--profile", "tap", "--app", "http"]);
    namespace.wait_for("the server", || server.messages().contains("http at port "));
    namespace.ip_inside(&["link", "set", "lastack0", "master", "br0", "up"]);
    fetch(&other, "198.18.0.2", 1_000);
    fetch(&other, "[2001:db8::2]", 1_000);
    server.stop();
}
