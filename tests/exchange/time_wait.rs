//! TIME-WAIT: RFC 9293 §3.6.1 and §3.10.7.4, RFC 1337, RFC 6191. MSL is 30 s. The entry is counted
//! in ticks of 2^20 ns: it never goes early, and at most one tick late.

use crate::*;
use core::time::Duration;
use lastack::engine::{Config, ListenOptions};
use lastack::tcp::TimeWaitPolicy;
use lastack::time::Instant;

pub const TWO_MSL: Duration = Duration::from_secs(60);
pub const TICK: Duration = Duration::from_nanos(1 << 20);

/// A connection that we closed first: we are at 102, they at 302.
pub fn in_time_wait(config: Config) -> Exchange {
    let mut tcp = Exchange::established(config);
    close_first(&mut tcp);
    tcp.only_time_wait(1);
    tcp
}

pub fn close_first(tcp: &mut Exchange) {
    tcp.close();
    tcp.sends(fin().seq(101).ack(301));
    tcp.receives(fin().seq(301).ack(102));
    tcp.sends(ack().seq(102).ack(302));
}

/// The same with timestamps: the peer's last one was 5003.
pub fn in_time_wait_with_timestamps() -> Exchange {
    let mut config = plain();
    config.tcp.timestamps = true;
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300).ts(5_000));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101).ts(5_001));
    tcp.accepts();
    tcp.close();
    tcp.sends(fin().seq(101).ack(301));
    tcp.receives(fin().seq(301).ack(102).ts(5_003));
    tcp.sends(ack().seq(102).ack(302));
    tcp.only_time_wait(1);
    tcp
}

/// The entry, entered or restarted at `since`, lasts 2·MSL and not a tick more.
#[track_caller]
pub fn lasts_from(tcp: &mut Exchange, since: Instant) {
    let end = since + TWO_MSL;
    tcp.at_instant(end - Duration::from_nanos(1));
    assert_eq!(tcp.engine.time_wait(), 1, "too early");
    tcp.at_instant(end + TICK);
    assert_eq!(tcp.engine.time_wait(), 0, "too late");
}

#[test]
fn lasts_two_msl() {
    at_any_rhythm(|rhythm| {
        let mut tcp = in_time_wait(plain()).in_rhythm(rhythm);
        let since = tcp.now();
        lasts_from(&mut tcp, since);
        let counters = tcp.counters();
        assert_eq!((counters.tw_entered.get(), counters.tw_expired.get()), (1, 1));
    });
}

#[test]
fn msl_is_settable() {
    let mut tcp = Exchange::established(plain());
    tcp.engine.set_msl(Duration::from_secs(1)).unwrap();
    close_first(&mut tcp);
    tcp.at(1_999);
    tcp.only_time_wait(1);
    tcp.at(2_002);
    tcp.only_time_wait(0);
}

/// A lost final ACK is made good, and 2·MSL begin anew.
#[test]
fn a_repeated_fin_is_acknowledged_and_restarts() {
    at_any_rhythm(|rhythm| {
        let mut tcp = in_time_wait(plain()).in_rhythm(rhythm);
        for ms in [1_000, 30_000, 59_999] {
            tcp.at(ms);
            tcp.receives(fin().seq(301).ack(102));
            tcp.sends(ack().seq(102).ack(302).win(65_534)); // the right edge stays
        }
        assert_eq!(tcp.counters().tw_fin_reacked.get(), 3);
        let since = tcp.now();
        lasts_from(&mut tcp, since);
    });
}

#[test]
fn old_data_is_acknowledged_and_restarts_nothing() {
    let mut tcp = in_time_wait(plain());
    let since = tcp.now();
    tcp.at(30_000);
    tcp.receives(data("old").seq(290).ack(102));
    tcp.sends(ack().seq(102).ack(302));
    tcp.receives(ack().seq(302).ack(102)); // asks for nothing
    tcp.sends_nothing();
    lasts_from(&mut tcp, since);
}

/// RFC 1337: assassination.
#[test]
fn rst_is_ignored() {
    let mut tcp = in_time_wait(plain());
    let since = tcp.now();
    tcp.at(10_000);
    for seq in [302, 303, 301] {
        tcp.receives(rst().seq(seq));
        tcp.sends_nothing();
    }
    assert_eq!(tcp.counters().tw_rst_ignored.get(), 3);
    lasts_from(&mut tcp, since);
}

#[test]
fn rst_kills_when_rfc_1337_is_off() {
    let mut config = plain();
    config.tcp.rfc1337 = false;
    let mut tcp = in_time_wait(config);
    tcp.receives(rst().seq(303));
    tcp.only_time_wait(1);
    tcp.receives(rst().seq(302));
    tcp.only_time_wait(0);
}

/// RFC 9293 §3.6.1, MAY-2: a higher sequence number opens anew, from higher numbers of ours.
#[test]
fn reopened_by_sequence_number() {
    let mut tcp = in_time_wait(plain());
    tcp.at(10);
    tcp.receives(syn().seq(302));
    let answer = tcp.sent_segment(String::new);
    assert_eq!((answer.flags, answer.ack), (syn_ack().flags, 303));
    let ahead = answer.seq.wrapping_sub(102);
    assert!((65_536..1 << 31).contains(&ahead), "beyond the old incarnation, by {ahead}");
    tcp.receives(ack().seq(303).ack(answer.seq.wrapping_add(1)));
    tcp.accepts();
    assert_eq!((tcp.engine.time_wait(), tcp.counters().tw_reused.get()), (0, 1));
}

/// RFC 6191: a later timestamp opens anew whatever the sequence number.
#[test]
fn reopened_by_timestamp() {
    let mut tcp = in_time_wait_with_timestamps();
    tcp.at(10);
    tcp.receives(syn().seq(10).ts(5_004));
    let answer = tcp.sent_segment(String::new);
    assert_eq!((answer.flags, answer.ack), (syn_ack().flags, 11));
    assert_eq!(tcp.engine.time_wait(), 0);
}

#[test]
fn a_syn_that_may_not_reopen_is_acknowledged() {
    let mut tcp = in_time_wait_with_timestamps();
    tcp.at(10);
    for old in [syn().seq(9_000).ts(5_002), syn().seq(301).ts(5_003), syn().seq(300).ts(4_000)] {
        tcp.receives(old);
        tcp.sends(ack().seq(102).ack(302));
    }
    tcp.only_time_wait(1);
    drop(tcp);

    let mut tcp = in_time_wait(plain());
    tcp.receives(syn().seq(301));
    tcp.sends(ack().seq(102).ack(302));
    drop(tcp);

    let mut config = plain();
    config.tcp.time_wait = TimeWaitPolicy::Strict;
    let mut tcp = in_time_wait(config);
    tcp.receives(syn().seq(9_000));
    tcp.sends(ack().seq(102).ack(302));
}

/// Nobody listens any more: an acceptable SYN is answered as any old segment.
#[test]
fn without_a_listener_nothing_reopens() {
    let mut tcp = in_time_wait(plain());
    let listener = tcp.listener.take().unwrap();
    tcp.engine.unlisten(listener).unwrap();
    tcp.receives(syn().seq(9_000));
    tcp.sends(ack().seq(102).ack(302));
    tcp.only_time_wait(1);
}

/// Old duplicates never reach a later incarnation.
#[test]
fn old_duplicates_do_not_reach_the_next_incarnation() {
    let mut tcp = in_time_wait_with_timestamps();
    tcp.at(10);
    tcp.receives(syn().seq(10).ts(6_000));
    tcp.next_incarnation();
    // the engine was asked, the answer is looked at with numbers of its own
    tcp.sends(syn_ack().seq(100).ack(11));
    tcp.receives(ack().seq(11).ack(101).ts(6_001));
    tcp.accepts();
    tcp.receives(data("old").seq(11).ack(101).ts(5_002));
    tcp.sends(ack().seq(101).ack(11));
    assert_eq!(tcp.counters().paws_rejected.get(), 1);
    assert!(tcp.read().is_err());
}

#[test]
fn the_limit_recycles_the_oldest() {
    let mut config = plain();
    config.limits.max_time_wait = 2;
    let mut tcp = Exchange::listening(config);
    for n in 0..3 {
        tcp.at(u64::from(n) * 100);
        tcp.remote.set_port(40_000 + n);
        tcp.next_incarnation();
        tcp.handshake();
        close_first(&mut tcp);
    }
    assert_eq!((tcp.engine.time_wait(), tcp.counters().tw_recycled.get()), (2, 1));
    tcp.receives(fin().seq(301).ack(102)); // the youngest is known
    tcp.sends(ack().seq(102).ack(302));
    tcp.remote.set_port(40_000);
    tcp.next_incarnation();
    tcp.receives(fin().seq(301).ack(777)); // the oldest is not
    tcp.sends(rst().seq(777));
}

#[test]
fn policy_off_leaves_nothing() {
    let mut config = plain();
    config.tcp.time_wait = TimeWaitPolicy::Off;
    let mut tcp = Exchange::established(config);
    close_first(&mut tcp);
    tcp.only_time_wait(0);
}

/// A thousand entries that end in one tick take a few polls, not one long one, and none is early.
#[test]
fn expiry_is_bounded_and_complete() {
    let mut config = plain();
    config.limits.max_time_wait = 1_000;
    let mut tcp = Exchange::new(config);
    tcp.listen(ListenOptions { backlog: 10, ..ListenOptions::default() }).unwrap();
    for n in 0..1_000 {
        tcp.remote.set_port(30_000 + n);
        tcp.next_incarnation();
        tcp.handshake();
        close_first(&mut tcp);
    }
    tcp.at(59_999);
    tcp.only_time_wait(1_000);
    let end = tcp.now() + Duration::from_millis(1) + TICK;
    tcp.engine.poll(end);
    let left = tcp.engine.time_wait();
    assert!((1..1_000).contains(&left), "one poll leaves {left}");
    assert!(tcp.engine.next_deadline().unwrap() <= end, "there is more to do now");
    tcp.at_instant(end);
    tcp.only_time_wait(0);
}
