//! Where a connection stands still or ends: windows that close, directions that close one after the
//! other, resets, ports and hosts that do not answer.

use super::count;
use super::loss::{nft, turn_with_nft};
use super::namespace::{Namespace, turn};
use super::peer::{PORT, Peer, Role};
use super::{LENGTH, addresses, check_orderly, load, serve};
use std::time::Duration;

#[test]
fn a_reader_with_little_room_closes_its_window() {
    const SIZE: usize = 300_000;
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    let server = serve(&namespace, "http", &[]);
    let pause = Duration::from_millis(1_500);
    let rest = Duration::from_millis(2);
    let role = Role::Sip { server: addresses(80)[0], length: SIZE, pause, rest };
    Peer::start(&namespace, &role).end();
    let report = server.stop_when_idle(&namespace);
    check_orderly(&report, 1);
    assert!(count(&report, "/tcp/TCPFromZeroWindowAdv") > 0, "{report}");
    assert!(count(&report, "/tcp/TCPWinProbe") >= 2, "{report}");
}

#[test]
fn the_kernel_probes_the_window_that_we_close() {
    /// More than all buffers on the way there and back hold.
    const SIZE: usize = 40_000_000;
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    let server = serve(&namespace, "echo", &[]);
    let pause = Duration::from_millis(1_500);
    let role = Role::Stall { server: addresses(7)[0], length: SIZE, pause };
    let told = Peer::start(&namespace, &role).end();
    assert!(told[0].0.contains("timer:(persist,"), "{}", told[0].0);
    let report = server.stop_when_idle(&namespace);
    check_orderly(&report, 1);
    assert_eq!(count(&report, "/bytes/received"), SIZE as u64);
    assert!(count(&report, "/tcp/TCPFromZeroWindowAdv") > 0, "its window closed too: {report}");
}

#[test]
fn the_kernel_sends_on_after_we_have_closed_our_direction() {
    const SIZE: usize = 50_000;
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    let server = serve(&namespace, "http", &[]);
    let role = Role::SendAfterEnd { server: addresses(80)[0], length: SIZE };
    let told = Peer::start(&namespace, &role).end();
    assert!(told[0].0.starts_with("CLOSE-WAIT"), "{}", told[0].0);
    let report = server.stop_when_idle(&namespace);
    check_orderly(&report, 1);
    assert!(count(&report, "/bytes/received") > SIZE as u64, "the head comes on top: {report}");
    assert_eq!(count(&report, "/time_wait/entered"), 1, "we closed first");
}

#[test]
fn the_kernel_resets() {
    let Some(_turn) = turn() else { return };
    let namespace = Namespace::new();
    let server = serve(&namespace, "chargen", &[]);
    for server in addresses(19) {
        Peer::start(&namespace, &Role::Abandon { server }).end();
    }
    let report = server.stop_when_idle(&namespace);
    assert_eq!(count(&report, "/connections/reset"), 2, "{report}");
    assert_eq!(count(&report, "/tcp/EstabResets"), 2, "{report}");
    assert_eq!(count(&report, "/connections/closed"), 0, "{report}");
    assert_eq!(count(&report, "/tcp/OutRsts"), 0, "a RST is not answered: {report}");
}

#[test]
fn the_kernel_refuses() {
    let Some(_turn) = turn() else { return };
    for address in ["198.18.0.1", "[2001:db8::1]"] {
        let namespace = Namespace::new();
        let arguments = ["--duration", "1s", "--rate", "50"];
        let client = load(&namespace, &format!("{address}:{PORT}"), 1, &arguments);
        let (report, messages) = client.fails();
        assert!(messages.contains("connection refused"), "{messages}");
        let opened = count(&report, "/connections/opened");
        assert!(opened > 0, "{report}");
        assert_eq!(count(&report, "/connections/failed"), opened, "{report}");
        assert_eq!(count(&report, "/connections/established"), 0, "{report}");
        assert_eq!(count(&report, "/tcp/AttemptFails"), opened, "{report}");
        assert_eq!(count(&report, "/tcp/OutRsts"), 0, "a RST is not answered: {report}");
    }
}

/// What makes the kernel's host silent, but for ARP.
const SILENCE: &str = "table inet silence {
    chain input {
        type filter hook input priority 0;
        iifname lastack0 meta l4proto tcp drop;
    }
}\n";

#[test]
fn nobody_answers() {
    let Some(_turn) = turn_with_nft() else { return };
    let namespace = Namespace::new();
    nft(&namespace, SILENCE);
    let arguments = ["--duration", "1500ms", "--user-timeout", "2s"];
    let client = load(&namespace, &format!("198.18.0.1:{PORT}"), LENGTH, &arguments);
    let (report, messages) = client.fails();
    let told = format!("no answer from 198.18.0.1:{PORT} to 2 SYNs");
    assert!(messages.contains(&told), "{messages}");
    let opened = count(&report, "/connections/opened");
    assert_eq!(opened, 1, "one at a time, for longer than the run: {report}");
    assert_eq!(count(&report, "/connections/failed"), opened, "{report}");
    assert_eq!(count(&report, "/tcp/TCPAbortOnTimeout"), opened, "{report}");
    // RFC 6298 §2.1, §5.5: one more SYN after 1 s, the next would come after 3 s.
    assert_eq!(count(&report, "/tcp/RetransSegs"), opened, "{report}");
}

#[test]
fn the_kernel_falls_silent() {
    let Some(_turn) = turn_with_nft() else { return };
    let namespace = Namespace::new();
    let server = serve(&namespace, "chargen", &["--user-timeout", "1s"]);
    let mut peer = Peer::start(&namespace, &Role::Drain { server: addresses(19)[0] });
    peer.tells();
    nft(&namespace, SILENCE);
    let report = server.stop_when_idle(&namespace);
    assert_eq!(count(&report, "/connections/failed"), 1, "{report}");
    assert_eq!(count(&report, "/connections/reset"), 0, "{report}");
    assert_eq!(count(&report, "/tcp/TCPAbortOnTimeout"), 1, "{report}");
    assert!(count(&report, "/tcp/TCPTimeouts") > 0, "{report}");
}
