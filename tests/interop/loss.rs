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
#[derive(Clone, Copy)]
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
        let mut nft = namespace
            .command("nft", &["-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("nft starts");
        nft.stdin.take().expect("a pipe").write_all(rules.as_bytes()).expect("nft reads");
        assert!(nft.wait().expect("nft ends").success(), "{rules}");
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

/// A turn, if there is nft.
fn turn_with_nft() -> Option<std::sync::MutexGuard<'static, ()>> {
    let turn = turn()?;
    let has = std::process::Command::new("nft").arg("--version").stdout(Stdio::null()).status();
    if has.is_err() {
        eprintln!("skipped: nft is not installed");
        return None;
    }
    Some(turn)
}

/// Each of `congestion`, with SACK and without.
fn settings(congestion: &Congestion) -> Vec<Settings> {
    let with =
        |sack| congestion.names.iter().map(move |name| Settings { sack, ..Settings::usual(name) });
    with(true).chain(with(false)).collect()
}

/// We had to send again what was lost, and mostly need not wait for a time-out to know it.
#[track_caller]
fn check_recovery_of_ours(report: &Value) {
    assert!(count(report, "/tcp/RetransSegs") > 0, "{report}");
    let at = |name: &str| report["tcp"][name].as_u64().unwrap_or(0);
    let recoveries = at("TCPFastRetrans") + at("TCPSackRecovery");
    assert!(recoveries > 0, "{report}");
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

#[test]
fn what_we_send_is_lost() {
    let Some(_turn) = turn_with_nft() else { return };
    let namespace = Namespace::new();
    let server = serve(&namespace, "http", &[]);
    Loss { ours: 2, theirs: 0 }.begin(&namespace);
    let with = |sack| Settings { sack, ..Settings::usual("reno") };
    let settings = vec![with(true), with(false)];
    let role = Role::Get { servers: addresses(80), length: LENGTH, settings };
    let told = Peer::start(&namespace, &role).end();
    for info in &told {
        assert!(info.number("rcv_ooopack") > 0, "{}", info.0);
    }
    let report = server.stop();
    check_orderly(&report, told.len() as u64);
    assert!(Lost::count(&namespace).ours > 0);
    check_recovery_of_ours(&report);
}

#[test]
fn what_the_kernel_sends_is_lost() {
    let Some(_turn) = turn_with_nft() else { return };
    let congestion = Congestion::allow(&["bbr", "cubic", "reno"]);
    let namespace = Namespace::new();
    let server = serve(&namespace, "echo", &[]);
    Loss { ours: 0, theirs: 2 }.begin(&namespace);
    let settings = settings(&congestion);
    let role = Role::Echo { servers: addresses(7), length: LENGTH, settings };
    let told = Peer::start(&namespace, &role).end();
    check_recovery_of_theirs(&told);
    let report = server.stop();
    check_orderly(&report, told.len() as u64);
    assert!(Lost::count(&namespace).theirs > 0);
    assert!(count(&report, "/tcp/TCPOFOQueue") > 0, "{report}");
    assert_eq!(count(&report, "/bytes/received"), (told.len() * LENGTH) as u64);
}

#[test]
fn both_directions_lose() {
    let Some(_turn) = turn_with_nft() else { return };
    let congestion = Congestion::allow(&["bbr", "cubic", "reno"]);
    let namespace = Namespace::new();
    let server = serve(&namespace, "echo", &[]);
    Loss { ours: 1, theirs: 3 }.begin(&namespace);
    let settings = settings(&congestion);
    let role = Role::Echo { servers: addresses(7), length: LENGTH, settings };
    let told = Peer::start(&namespace, &role).end();
    check_recovery_of_theirs(&told);
    let report = server.stop();
    check_orderly(&report, told.len() as u64);
    let lost = Lost::count(&namespace);
    assert!(lost.ours > 0 && lost.theirs > 0);
    check_recovery_of_ours(&report);
}

#[test]
fn our_client_over_a_path_that_loses() {
    let Some(_turn) = turn_with_nft() else { return };
    let congestion = Congestion::allow(&["bbr", "cubic", "reno"]);
    let namespace = Namespace::new();
    let settings = settings(&congestion);
    let connections = settings.len() as u64;
    let role = Role::Serve { length: LENGTH, settings };
    let mut peer = Peer::start(&namespace, &role);
    assert_eq!(peer.tells().0, "listens");
    let server = format!("198.18.0.1:{PORT}");
    let client = load(&namespace, &server, LENGTH, &["--duration", "60s"]);
    Loss { ours: 2, theirs: 1 }.begin(&namespace);
    let told: Vec<Info> = (0..connections).map(|_| peer.tells()).collect();
    check_recovery_of_theirs(&told[1..]); // of the first, a part may have gone before the loss began
    let report = client.stop();
    let opened = count(&report, "/connections/opened");
    assert!(opened >= connections, "{report}");
    check_orderly(&report, opened);
    let lost = Lost::count(&namespace);
    assert!(lost.ours > 0 && lost.theirs > 0);
    check_recovery_of_ours(&report);
}
