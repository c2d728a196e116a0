//! A 4-tuple in TIME-WAIT is opened again, by the peer or by ourselves, or not: RFC 6191,
//! RFC 9293 §3.6.1 MAY-2, and the three hazards of RFC 1337 §2.

use crate::time_wait::{close_first, in_time_wait, in_time_wait_with_timestamps, lasts_from};
use crate::*;
use core::time::Duration;
use lastack::engine::{Config, ConnectOptions, Error, ListenOptions};
use lastack::tcp::TimeWaitPolicy;
use lastack::wire::tcp::Flags;

fn with_timestamps() -> Config {
    let mut config = plain();
    config.tcp.timestamps = true;
    config
}

/// Each way of reuse has a counter of its own, and so has the refusal.
#[test]
fn the_reasons_are_counted() {
    let mut tcp = in_time_wait_with_timestamps();
    tcp.receives(syn().seq(10).ts(5_003)); // neither later nor higher
    tcp.sends(ack().seq(102).ack(302));
    tcp.receives(syn().seq(302).ts(5_003)); // the same timestamp, a higher number
    tcp.next_incarnation();
    tcp.sends(syn_ack().seq(100).ack(303));
    let counters = tcp.counters();
    assert_eq!((counters.tw_refused.get(), counters.tw_reused.get()), (1, 1));
    assert_eq!((counters.tw_reused_timestamp.get(), counters.tw_reused_sequence.get()), (0, 1));

    let mut tcp = in_time_wait_with_timestamps();
    tcp.receives(syn().seq(10).ts(5_004));
    tcp.next_incarnation();
    tcp.sends(syn_ack().seq(100).ack(11));
    let counters = tcp.counters();
    assert_eq!((counters.tw_reused_timestamp.get(), counters.tw_reused_sequence.get()), (1, 0));
}

/// SYNs of strangers, each from a port of its own, which are answered and never complete.
fn strangers(tcp: &mut Exchange, count: u16) {
    let ours = tcp.remote;
    for n in 0..count {
        tcp.remote.set_port(50_000 + n);
        tcp.next_incarnation();
        tcp.receives(syn().seq(300));
        tcp.sends(syn_ack().seq(100).ack(301));
    }
    tcp.remote = ours;
    tcp.next_incarnation();
}

/// A flood, or peers that we cannot answer, have filled the SYN cache. A 4-tuple that only numbers can
/// reopen cannot have a cookie, so there is room that is kept for it.
#[test]
fn a_full_cache_has_room_for_who_reopens_by_number() {
    let mut config = plain();
    config.limits.syn_cache = 64;
    let mut tcp = in_time_wait(config);
    strangers(&mut tcp, 70);
    let counters = tcp.counters();
    assert!(counters.cookies_sent.get() > 0 && tcp.engine.limits().max_connections > 1);
    tcp.receives(syn().seq(302));
    tcp.sends(syn_ack().seq(100).ack(303));
    tcp.receives(ack().seq(303).ack(101));
    tcp.accepts();
    let counters = tcp.counters();
    assert_eq!((counters.listen_drops.get(), counters.tw_reused_sequence.get()), (0, 1));
    assert!(tcp.engine.metrics().syn_cache_peak.get() <= 64);
}

/// So it is if strangers in the handshake have filled the backlog; connections that nobody accepts are
/// another matter.
#[test]
fn a_backlog_full_of_handshakes_has_room_for_who_reopens_by_number() {
    let mut tcp = Exchange::new(plain());
    tcp.listen(ListenOptions { backlog: 2, ..ListenOptions::default() }).unwrap();
    tcp.handshake();
    close_first(&mut tcp);
    strangers(&mut tcp, 3);
    tcp.receives(syn().seq(302));
    tcp.sends(syn_ack().seq(100).ack(303));
    assert_eq!((tcp.counters().cookies_sent.get(), tcp.counters().listen_drops.get()), (1, 0));

    let mut tcp = Exchange::new(plain());
    tcp.listen(ListenOptions { backlog: 1, ..ListenOptions::default() }).unwrap();
    tcp.handshake();
    close_first(&mut tcp);
    let ours = tcp.remote;
    tcp.remote.set_port(50_000);
    tcp.next_incarnation();
    tcp.handshake_unaccepted();
    tcp.remote = ours;
    tcp.receives(syn().seq(302));
    tcp.sends_nothing();
    let counters = tcp.counters();
    assert_eq!((counters.listen_drops.get(), counters.listen_overflows.get()), (1, 1));
}

/// RFC 6191 §2: timestamps that the old incarnation did not have tell the new one from it.
#[test]
fn a_new_incarnation_may_bring_timestamps() {
    let mut tcp = Exchange::listening(with_timestamps());
    tcp.handshake(); // the peer has none
    close_first(&mut tcp);
    tcp.receives(syn().seq(10).ts(1));
    tcp.next_incarnation();
    tcp.sends(syn_ack().seq(100).ack(11));
}

/// A SYN may carry text and FIN; what reopens is the same.
#[test]
fn a_syn_ack_does_not_reopen() {
    let mut tcp = in_time_wait(plain());
    tcp.receives(syn_ack().seq(9_000).ack(102));
    tcp.sends(ack().seq(102).ack(302));
    tcp.only_time_wait(1);
}

#[test]
fn over_ipv6_as_well() {
    let mut tcp = Exchange::new(plain());
    tcp.local = "[2001:db8::1]:80".parse().unwrap();
    tcp.remote = "[2001:db8::2]:40000".parse().unwrap();
    tcp.listen(Default::default()).unwrap();
    tcp.handshake();
    close_first(&mut tcp);
    tcp.only_time_wait(1);
    tcp.receives(fin().seq(301).ack(102));
    tcp.sends(ack().seq(102).ack(302));
    tcp.receives(rst().seq(302));
    tcp.receives(syn().seq(302));
    tcp.next_incarnation();
    tcp.sends(syn_ack().seq(100).ack(303));
    assert_eq!((tcp.engine.time_wait(), tcp.counters().tw_rst_ignored.get()), (0, 1));
}

/// RFC 1337 §2, hazard H1: old data in the window of the new incarnation. The new one begins above
/// all that the old one had, so that old duplicates lie below its window.
#[test]
fn hazard_1_old_data_is_not_accepted() {
    for rfc1337 in [true, false] {
        let mut config = plain();
        config.tcp.rfc1337 = rfc1337;
        let mut tcp = in_time_wait(config);
        tcp.receives(syn().seq(302));
        tcp.next_incarnation();
        tcp.sends(syn_ack().seq(100).ack(303));
        tcp.receives(ack().seq(303).ack(101));
        tcp.accepts();
        tcp.receives(data("old").seq(298).ack(101));
        tcp.sends(ack().seq(101).ack(303));
        assert_eq!(tcp.read(), Err(Error::WouldBlock));
    }
}

/// Hazard H2: an old duplicate is answered by an ACK that the peer does not understand; what it
/// says about that, a RST, ends nothing.
#[test]
fn hazard_2_old_duplicates_do_not_kill_the_entry() {
    let mut tcp = in_time_wait(plain());
    let since = tcp.now();
    tcp.at(100);
    tcp.receives(data("old").seq(250).ack(50));
    tcp.sends(ack().seq(102).ack(302));
    tcp.receives(rst().seq(102)); // what a closed peer makes of that ACK: its number is ours
    tcp.receives(rst().seq(302));
    tcp.sends_nothing();
    assert_eq!(tcp.counters().tw_rst_ignored.get(), 2);
    lasts_from(&mut tcp, since);
}

/// The same with the literal RFC 9293: the RST in the exact place ends TIME-WAIT, and then H1 and H3
/// are open. RFC 1337 calls that assassination.
#[test]
fn hazard_2_is_there_without_rfc_1337() {
    let mut config = plain();
    config.tcp.rfc1337 = false;
    let mut tcp = in_time_wait(config);
    tcp.receives(data("old").seq(250).ack(50));
    tcp.sends(ack().seq(102).ack(302));
    tcp.receives(rst().seq(302));
    tcp.only_time_wait(0);
    assert_eq!(tcp.counters().tw_killed.get(), 1);
}

/// Hazard H3: an old RST ends the new incarnation, if it hits its number exactly; one that does not
/// is challenged (RFC 5961 §3.2).
#[test]
fn hazard_3_an_old_rst_does_not_end_the_new_incarnation() {
    let mut tcp = in_time_wait(plain());
    tcp.receives(syn().seq(1_302));
    tcp.next_incarnation();
    tcp.sends(syn_ack().seq(100).ack(1_303));
    tcp.receives(ack().seq(1_303).ack(101));
    tcp.accepts();
    tcp.receives(rst().seq(302)); // of the old incarnation: below the window
    tcp.sends_nothing();
    tcp.receives(data("new").seq(1_303).ack(101));
    tcp.sends(ack().seq(101).ack(1_306));
    tcp.reads("new");
}

/// A connection of ours to port 80 of the peer, closed by us first: port 5000 is in TIME-WAIT.
fn after_our_own(config: Config, stamp: Option<u32>) -> Exchange {
    let mut tcp = Exchange::new(config);
    open(&mut tcp, stamp);
    close(&mut tcp, stamp);
    tcp
}

fn stamped(segment: segment::Seg, stamp: Option<u32>) -> segment::Seg {
    match stamp {
        Some(value) => segment.ts(value),
        None => segment,
    }
}

fn open(tcp: &mut Exchange, stamp: Option<u32>) {
    tcp.connect();
    tcp.sends(syn().seq(100));
    tcp.receives(stamped(syn_ack().seq(300).ack(101), stamp));
    tcp.sends(ack().seq(101).ack(301));
}

fn close(tcp: &mut Exchange, stamp: Option<u32>) {
    tcp.close();
    tcp.sends(fin().seq(101).ack(301));
    tcp.receives(stamped(fin().seq(301).ack(102), stamp));
    tcp.sends(ack().seq(102).ack(302));
    tcp.only_time_wait(1);
}

fn connect_again(tcp: &mut Exchange) -> Result<(), Error> {
    let options = ConnectOptions { local: Some(tcp.local), ..ConnectOptions::default() };
    let conn = tcp.engine.connect(tcp.remote, options)?;
    tcp.owns(conn);
    Ok(())
}

/// With timestamps our own port may be opened again when our clock has certainly gone on, beyond the
/// old incarnation's numbers.
#[test]
fn we_open_a_port_of_ours_again() {
    let mut tcp = after_our_own(with_timestamps(), Some(7_000));
    assert_eq!(connect_again(&mut tcp), Err(Error::AddressInUse));
    tcp.at(700);
    assert_eq!(connect_again(&mut tcp), Err(Error::AddressInUse));
    tcp.at(2_200);
    assert_eq!(connect_again(&mut tcp), Ok(()));
    let again = tcp.sent_segment(String::new);
    assert_eq!(again.flags, Flags::SYN);
    let ahead = again.seq.wrapping_sub(102);
    assert!((65_536..1 << 31).contains(&ahead), "beyond the old incarnation, by {ahead}");
    assert_eq!((tcp.engine.time_wait(), tcp.counters().tw_reused_active.get()), (0, 1));
    assert_eq!(tcp.counters().tw_reused.get(), 1);
}

#[test]
fn a_repeated_fin_puts_that_off() {
    let mut tcp = after_our_own(with_timestamps(), Some(7_000));
    tcp.at(2_000);
    tcp.receives(fin().seq(301).ack(102).ts(7_000));
    tcp.sends(ack().seq(102).ack(302));
    tcp.at(2_200);
    assert_eq!(connect_again(&mut tcp), Err(Error::AddressInUse));
    tcp.at(4_400);
    assert_eq!(connect_again(&mut tcp), Ok(()));
    tcp.sent_segment(String::new);
}

#[test]
fn without_timestamps_or_with_strict_we_do_not() {
    let strict = || {
        let mut config = with_timestamps();
        config.tcp.time_wait = TimeWaitPolicy::Strict;
        config
    };
    let cases = [(plain(), None), (with_timestamps(), None), (strict(), Some(7_000))];
    for (config, stamp) in cases {
        let mut tcp = after_our_own(config, stamp);
        tcp.at(30_000);
        assert_eq!(connect_again(&mut tcp), Err(Error::AddressInUse));
        tcp.at(59_990);
        assert_eq!(connect_again(&mut tcp), Err(Error::AddressInUse));
        tcp.at(60_010);
        assert_eq!(connect_again(&mut tcp), Ok(()));
        tcp.sent_segment(String::new);
    }
}

/// When the stack chooses the port, a free one goes before any in TIME-WAIT.
#[test]
fn a_free_port_goes_first() {
    let mut config = with_timestamps();
    config.limits.max_time_wait = 64;
    let mut tcp = Exchange::new(config);
    tcp.remote.set_port(80);
    let mut ports = std::collections::HashSet::new();
    for round in 0..40 {
        tcp.next_incarnation();
        tcp.at(round * 2_000);
        let conn = tcp.engine.connect(tcp.remote, ConnectOptions::default()).unwrap();
        tcp.owns(conn);
        tcp.local = tcp.engine.addresses(conn).unwrap().0;
        assert!(ports.insert(tcp.local.port()), "a port twice, with thousands free");
        tcp.sends(syn().seq(100));
        tcp.receives(syn_ack().seq(300).ack(101).ts(9_000));
        tcp.sends(ack().seq(101).ack(301));
        tcp.close();
        tcp.sends(fin().seq(101).ack(301));
        tcp.receives(fin().seq(301).ack(102).ts(9_001));
        tcp.sends(ack().seq(102).ack(302));
    }
    assert_eq!(tcp.counters().tw_reused.get(), 0);
    tcp.at(40 * 2_000 + 60_000 + Duration::from_millis(2).as_millis() as u64);
}
