//! What TIME-WAIT makes of each kind of segment: RFC 9293 §3.10.7.4, check by check. We are at 102, the
//! peer at 302, and the window is 65,534 octets.

use crate::segment::{Seg, seg};
use crate::time_wait::{in_time_wait, in_time_wait_with_timestamps, lasts_from};
use crate::*;
use lastack::wire::tcp::Flags;

/// What an entry does about a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Nothing,
    /// The last ACK again.
    Acks,
    /// The same, and 2·MSL begin again.
    Restarts,
}

use Does::{Acks, Nothing, Restarts};

#[track_caller]
fn check(mut tcp: Exchange, what: &str, segment: Seg, does: Does) {
    let since = tcp.now();
    tcp.at(30_000);
    tcp.receives(segment);
    let sent = tcp.sent_segments();
    assert_eq!(sent.len(), usize::from(does != Nothing), "{what}: {sent:?}");
    assert!(sent.iter().all(|sent| ack().seq(102).ack(302).is_met_by(sent)), "{what}: {sent:?}");
    let restarted = tcp.counters().tw_restarted.get();
    assert_eq!(restarted, u64::from(does == Restarts), "{what}");
    let since = if does == Restarts { tcp.now() } else { since };
    lasts_from(&mut tcp, since);
}

#[test]
fn each_kind_of_segment() {
    let text = |flags: Flags, seq| Seg { payload: b"x".to_vec(), ..seg(flags).seq(seq).ack(102) };
    let none = Flags(0);
    let psh_urg = Flags::PSH | Flags::URG;
    let widest = 65_535 << 14;
    let table = [
        // first check: the sequence number
        ("keep-alive", ack().seq(301).ack(102), Acks),
        ("keep-alive with an octet", data("x").seq(301).ack(102), Acks),
        ("an older ACK", ack().seq(200).ack(102), Acks),
        ("an ACK at the right edge", ack().seq(302 + 65_534).ack(102), Acks),
        ("old text", data("x").seq(250).ack(102), Acks),
        ("text at the right edge", data("x").seq(302 + 65_534).ack(102), Acks),
        ("the last octet of the window", data("x").seq(302 + 65_533).ack(102), Restarts),
        ("an older FIN", fin().seq(300).ack(102), Acks),
        // second check: RST
        ("RST", rst().seq(302), Nothing),
        ("RST in the window", rst().seq(310), Nothing),
        ("RST and ACK", rst_ack().seq(302).ack(102), Nothing),
        // fourth check: SYN
        ("an old SYN", syn().seq(200), Acks),
        ("SYN-ACK", syn_ack().seq(302).ack(102), Acks),
        // fifth check: no ACK
        ("the FIN without ACK", seg(Flags::FIN).seq(301), Nothing),
        ("a FIN in the window without ACK", seg(Flags::FIN).seq(302), Nothing),
        ("text without ACK", text(none, 302), Nothing),
        ("old text without ACK", text(none, 250), Nothing),
        ("text with PSH and URG alone", text(psh_urg, 302), Nothing),
        ("no flag at all", seg(none).seq(302), Nothing),
        ("no flag at all, before the window", seg(none).seq(301), Nothing),
        // fifth check: the range of the ACK (RFC 5961 §5.2)
        ("text with an ACK of what was never sent", data("x").seq(302).ack(103), Acks),
        ("text with an ancient ACK", data("x").seq(302).ack(102u32.wrapping_sub(widest + 1)), Acks),
        ("text with an old ACK", data("x").seq(302).ack(50), Restarts),
        ("a FIN with an ACK of what was never sent", fin().seq(302).ack(103), Acks),
        ("an ACK of what was never sent", ack().seq(302).ack(103), Acks),
        // what is acceptable
        ("an ACK", ack().seq(302).ack(102), Nothing),
        ("an ACK in the window", ack().seq(310).ack(102), Nothing),
        ("the FIN", fin().seq(301).ack(102), Restarts),
        ("the FIN of a simultaneous close", fin().seq(301).ack(101), Restarts),
        ("text", data("x").seq(302).ack(102), Restarts),
        ("a FIN in the window", fin().seq(302).ack(102), Restarts),
    ];
    for (what, segment, does) in table {
        check(in_time_wait(plain()), what, segment, does);
    }
}

/// With timestamps: an old one is acknowledged whatever it is on (RFC 7323 §5.3 R1); one that is missing is
/// no reason to say anything (§3.2).
#[test]
fn each_kind_of_segment_with_timestamps() {
    let table = [
        ("keep-alive", ack().seq(301).ack(102).ts(5_010), Acks),
        ("an ACK", ack().seq(302).ack(102).ts(5_010), Nothing),
        ("an ACK with an old timestamp", ack().seq(302).ack(102).ts(5_002), Acks),
        ("text with an old timestamp", data("x").seq(302).ack(102).ts(5_002), Acks),
        ("the FIN with an old timestamp", fin().seq(301).ack(102).ts(5_002), Acks),
        ("the FIN", fin().seq(301).ack(102).ts(5_003), Restarts),
        ("the FIN without ACK", seg(Flags::FIN).seq(301).ts(5_010), Nothing),
        ("text without ACK, old", seg(Flags::FIN).seq(301).ts(5_002), Nothing),
        ("keep-alive without timestamp", ack().seq(301).ack(102), Nothing),
        ("RST", rst().seq(302), Nothing),
    ];
    for (what, segment, does) in table {
        check(in_time_wait_with_timestamps(), what, segment, does);
    }
}

/// With RFC 1337 off a RST ends the entry at the exact number, and is nothing elsewhere.
#[test]
fn rst_with_rfc_1337_off() {
    let table =
        [("in the window", 310, Nothing), ("before it", 301, Nothing), ("beyond", 70_000, Nothing)];
    for (what, seq, does) in table {
        let mut config = plain();
        config.tcp.rfc1337 = false;
        check(in_time_wait(config), what, rst().seq(seq), does);
    }
}

/// Keep-alives are answered within the quota of the entry, and two entries that answer each other
/// stop at the first ACK, which is acceptable.
#[test]
fn keep_alives_have_the_quota_of_the_entry() {
    let mut tcp = in_time_wait(plain());
    tcp.at(1_000);
    for _ in 0..100 {
        tcp.receives(ack().seq(301).ack(102));
    }
    assert_eq!(tcp.sent_segments().len(), 10);
    assert_eq!(tcp.counters().tw_ack_skipped.get(), 90);
    tcp.receives(ack().seq(302).ack(102));
    tcp.sends_nothing();
}

/// A SYN that could open the 4-tuple again, if anyone listened, is answered within the same quota.
#[test]
fn a_syn_without_a_listener_has_the_quota_too() {
    let mut tcp = in_time_wait(plain());
    let listener = tcp.listener.take().unwrap();
    tcp.engine.unlisten(listener).unwrap();
    tcp.at(1_000);
    for _ in 0..100 {
        tcp.receives(syn().seq(1_000));
    }
    assert_eq!(tcp.sent_segments().len(), 10);
    assert_eq!(tcp.counters().tw_ack_skipped.get(), 90);
}
