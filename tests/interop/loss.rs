//! Paths that lose one segment or another at random, by nftables. What arrives is intact all the
//! same, and both sides say what they had to do for it.

use super::namespace::{Namespace, turn};
use super::peer::{PORT, Peer, Role};
use super::settings::{Congestion, Info, Settings};
use super::{LENGTH, addresses, check_orderly, count, load, serve};
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;

/// Loss, in percent.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// Of what we send.
    pub ours: u32,
    /// Of what the kernel sends.
    pub theirs: u32,
}

/// Segments that were lost.
struct Lost {
    ours: u64,
    theirs: u64,
}

impl Loss {
    /// Makes the TAP lose.
    pub fn begin(self, namespace: &Namespace) {
        let Loss { ours, theirs } = self;
        // A sender learns of what is dropped in its own output, and takes it back: that would be no
        // loss. So it goes out of another device, where nobody wants it.
        let rules = format!(
            "table inet ours {{
                counter lost {{ }}
                chain input {{
                    type filter hook input priority 0;
                    iifname lastack0 meta l4proto tcp numgen random mod 100 < {ours} counter name lost drop;
                }}
            }}
            table netdev theirs {{
                counter lost {{ }}
                chain egress {{
                    type filter hook egress device lastack0 priority 0;
                    meta l4proto tcp numgen random mod 100 < {theirs} counter name lost fwd to lo;
                }}
            }}\n"
        );
        nft(namespace, &rules);
        // Segments one at a time, or up to 64 KiB are lost at once.
        let set = ["link", "set", "lastack0", "gso_max_segs", "1"];
        let status = namespace.command("ip", &set).status().expect("ip starts");
        assert!(status.success());
    }
}

impl Lost {
    /// So far.
    fn count(namespace: &Namespace) -> Self {
        let of = |family: &str, table: &str| {
            let arguments = ["-j", "list", "counter", family, table, "lost"];
            let listed: Value = serde_json::from_str(&namespace.output("nft", &arguments))
                .expect("nft's list is JSON");
            let packets = listed["nftables"]
                .as_array()
                .and_then(|list| list.iter().find_map(|one| one["counter"]["packets"].as_u64()));
            packets.unwrap_or_else(|| panic!("a counter in {listed}"))
        };
        Lost { ours: of("inet", "ours"), theirs: of("netdev", "theirs") }
    }
}

/// Makes rules.
pub fn nft(namespace: &Namespace, rules: &str) {
    let mut command = namespace.command("nft", &["-f", "-"]);
    let mut nft = command.stdin(Stdio::piped()).spawn().expect("nft starts");
    nft.stdin.take().expect("a pipe").write_all(rules.as_bytes()).expect("nft reads");
    assert!(nft.wait().expect("nft ends").success(), "{rules}");
}

/// A turn, if there is nft.
pub fn turn_with_nft() -> Option<std::sync::MutexGuard<'static, ()>> {
    let turn = turn()?;
    let has = std::process::Command::new("nft").arg("--version").stdout(Stdio::null()).status();
    if has.is_err() {
        eprintln!("skipped: nft is not installed");
        return None;
    }
    Some(turn)
}

/// Without SACK a second loss in a window often costs a time-out of 200 ms, so there is less to transfer.
const LENGTH_WITHOUT_SACK: usize = LENGTH / 2;

/// Each of `congestion`, with SACK or without.
fn settings(congestion: &Congestion, sack: bool) -> Vec<Settings> {
    congestion.names.iter().map(|name| Settings { sack, ..Settings::usual(name) }).collect()
}

/// We had to send again what was lost, and did not wait for a time-out each time to know it.
#[track_caller]
fn check_recovery_of_ours(report: &Value) {
    let at = |name: &str| count(report, &format!("/tcp/{name}"));
    assert!(at("RetransSegs") > 0, "{report}");
    assert!(at("TCPFastRetrans") > 0, "{report}");
    assert!(at("TCPSackRecovery") > 0, "{report}");
    assert!(at("TCPTimeouts") < at("RetransSegs"), "{report}");
}

/// The kernel had to send again, on each of the connections.
#[track_caller]
fn check_recovery_of_theirs(told: &[Info]) {
    for info in told {
        assert!(info.number("retrans") > 0, "{}", info.0);
        assert!(info.number("bytes_retrans") > 0, "{}", info.0);
    }
}

/// Has something been lost where it was to be, and nothing elsewhere?
#[track_caller]
fn check_lost(namespace: &Namespace, loss: Loss) {
    let lost = Lost::count(namespace);
    assert_eq!(lost.ours > 0, loss.ours > 0, "{} of ours", lost.ours);
    assert_eq!(lost.theirs > 0, loss.theirs > 0, "{} of theirs", lost.theirs);
}

#[test]
fn what_we_send_is_lost() {
    let Some(_turn) = turn_with_nft() else { return };
    for congestion in ["cubic", "newreno"] {
        let namespace = Namespace::new();
        let server = serve(&namespace, "http", &["--congestion", congestion]);
        let loss = Loss { ours: 2, theirs: 0 };
        loss.begin(&namespace);
        let with = |sack| Settings { sack, ..Settings::usual("reno") };
        let settings = vec![with(true), with(false)];
        let role = Role::Get { servers: addresses(80), length: LENGTH, settings };
        let told = Peer::start(&namespace, &role).end();
        for info in &told {
            assert!(info.number("rcv_ooopack") > 0, "{congestion}: {}", info.0);
        }
        let report = server.stop_when_idle(&namespace);
        check_orderly(&report, told.len() as u64);
        check_lost(&namespace, loss);
        check_recovery_of_ours(&report);
        assert!(count(&report, "/tcp/TCPRenoRecovery") > 0, "the one without SACK: {report}");
    }
}

/// Echoes over a path that loses, with SACK and without. Returns the report.
fn echo(loss: Loss) -> Value {
    let congestion = Congestion::allow(&["bbr", "cubic", "reno"]);
    let namespace = Namespace::new();
    let server = serve(&namespace, "echo", &[]);
    loss.begin(&namespace);
    let (mut connections, mut octets) = (0, 0);
    for (sack, length) in [(true, LENGTH), (false, LENGTH_WITHOUT_SACK)] {
        let settings = settings(&congestion, sack);
        let role = Role::Echo { servers: addresses(7), length, settings };
        let told = Peer::start(&namespace, &role).end();
        check_recovery_of_theirs(&told);
        connections += told.len();
        octets += told.len() * length;
    }
    let report = server.stop_when_idle(&namespace);
    check_orderly(&report, connections as u64);
    check_lost(&namespace, loss);
    assert!(count(&report, "/tcp/TCPOFOQueue") > 0, "{report}");
    assert_eq!(count(&report, "/bytes/received"), octets as u64);
    assert_eq!(count(&report, "/bytes/sent"), octets as u64);
    report
}

#[test]
fn what_the_kernel_sends_is_lost() {
    let Some(_turn) = turn_with_nft() else { return };
    echo(Loss { ours: 0, theirs: 2 });
}

#[test]
fn both_directions_lose() {
    let Some(_turn) = turn_with_nft() else { return };
    check_recovery_of_ours(&echo(Loss { ours: 1, theirs: 3 }));
}

#[test]
fn our_client_over_a_path_that_loses() {
    let Some(_turn) = turn_with_nft() else { return };
    let congestion = Congestion::allow(&["bbr", "cubic", "reno"]);
    let namespace = Namespace::new();
    let settings = settings(&congestion, true);
    let connections = settings.len() as u64;
    let role = Role::Serve { length: LENGTH, settings };
    let mut peer = Peer::start(&namespace, &role);
    assert_eq!(peer.tells().0, "listens");
    let server = format!("198.18.0.1:{PORT}");
    let client = load(&namespace, &server, LENGTH, &["--duration", "60s"]);
    let loss = Loss { ours: 2, theirs: 1 };
    loss.begin(&namespace);
    let told: Vec<Info> = (0..connections).map(|_| peer.tells()).collect();
    // Of the first, a part may have gone before the loss began.
    check_recovery_of_theirs(&told[1..]);
    let report = client.stop();
    let opened = count(&report, "/connections/opened");
    assert!(opened >= connections, "{report}");
    check_orderly(&report, opened);
    check_lost(&namespace, loss);
    check_recovery_of_ours(&report);
}
