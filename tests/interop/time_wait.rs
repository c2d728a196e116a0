//! TIME-WAIT at our end, and the kernel at the other: it comes back from the same port at once, and
//! what it repeats because our last ACK was lost is acknowledged again.

use super::loss::{nft, turn_with_nft};
use super::namespace::{Namespace, turn};
use super::{count, serve};

const PAGE: &str = "http://198.18.0.2/bytes/1000";
/// Fetches on the same 4-tuple.
const ROUNDS: u64 = 20;

/// Has the kernel fetch a page from port 40000, over a connection that our end closes first.
fn fetch(namespace: &Namespace) -> bool {
    let arguments = ["--silent", "--fail", "--max-time", "5", "--local-port", "40000", "--http1.0"];
    let mut curl = namespace.command("curl", &[&arguments[..], &["--output", "-", PAGE]].concat());
    curl.output().is_ok_and(|output| output.status.success() && output.stdout.len() == 1_000)
}

#[test]
fn the_kernel_reconnects_from_the_same_port_into_time_wait() {
    let Some(_turn) = turn() else { return };
    for timestamps in ["1", "0"] {
        let namespace = Namespace::new();
        let server = serve(&namespace, "http", &[]);
        let setting = format!("net.ipv4.tcp_timestamps={timestamps}");
        namespace.output("sysctl", &["-w", &setting]);
        for round in 0..ROUNDS {
            namespace.wait_for("the last connection to be forgotten by the kernel", || {
                namespace.output("ss", &["-Htan", "sport = :40000"]).is_empty()
            });
            assert!(fetch(&namespace), "round {round}, timestamps {timestamps}");
        }
        let report = server.stop_when_idle(&namespace);
        assert_eq!(count(&report, "/connections/closed"), ROUNDS, "{report}");
        assert_eq!(count(&report, "/time_wait/entered"), ROUNDS, "{report}");
        assert_eq!(count(&report, "/time_wait/reused"), ROUNDS - 1, "{report}");
        assert_eq!(count(&report, "/time_wait/current"), 1, "{report}");
        let why = if timestamps == "1" { "Timestamp" } else { "Sequence" };
        assert_eq!(count(&report, &format!("/tcp/TimeWaitReused{why}")), ROUNDS - 1, "{report}");
    }
}

/// `strict` has the kernel wait: its SYN is only acknowledged.
#[test]
fn the_kernel_does_not_get_into_a_strict_time_wait() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    let server = serve(&namespace, "http", &["--time-wait", "strict"]);
    assert!(fetch(&namespace));
    assert!(!fetch(&namespace));
    let report = server.stop();
    assert_eq!(count(&report, "/time_wait/entered"), 1, "{report}");
    assert_eq!(count(&report, "/time_wait/reused"), 0, "{report}");
    assert!(count(&report, "/tcp/TimeWaitReuseRefused") > 0, "{report}");
}

/// Drops what we send that carries nothing but an ACK.
const NO_BARE_ACKS: &str = "table inet acks {
    chain input {
        type filter hook input priority 0;
        iifname lastack0 meta l4proto tcp tcp flags & (fin|syn|rst|psh|ack) == ack drop;
    }
}\n";

#[test]
fn a_fin_that_the_kernel_repeats_is_acknowledged_again() {
    let Some(_turn) = turn_with_nft() else { return };
    let namespace = Namespace::new();
    let server = serve(&namespace, "http", &[]);
    nft(&namespace, NO_BARE_ACKS);
    assert!(fetch(&namespace));
    let last_ack = || namespace.output("ss", &["-Htan", "state", "last-ack"]);
    namespace.wait_for("the kernel to repeat its FIN", || {
        let told = namespace.output("ss", &["-Htani", "state", "last-ack"]);
        told.contains("retrans:")
    });
    assert!(!last_ack().is_empty());
    nft(&namespace, "delete table inet acks\n");
    namespace.wait_for("the kernel's FIN to be acknowledged", || last_ack().is_empty());
    let report = server.stop_when_idle(&namespace);
    assert!(count(&report, "/time_wait/fin_reacked") >= 2, "one was lost: {report}");
    assert_eq!(count(&report, "/time_wait/current"), 1, "{report}");
    assert_eq!(count(&report, "/tcp/OutRsts"), 0, "{report}");
}
