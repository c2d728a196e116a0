//! How long ago something was: what waits for how long, and clocks that come round.

use crate::*;
use core::time::Duration;
use lastack::engine::{Config, Error};
use lastack::tcp::KeepAlive;

const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// RFC 9293 §3.8.3, RFC 5482 §2: what was idle before does not count for what waits now.
#[test]
fn the_user_timeout_begins_with_the_data() {
    at_any_rhythm(|rhythm| {
        let established = || {
            let mut config = plain();
            config.tcp.user_timeout = Some(Duration::from_secs(5));
            let mut tcp = Exchange::established(config).in_rhythm(rhythm);
            tcp.at(60_000);
            tcp
        };
        let ends_at = |tcp: &mut Exchange, ms: u64| {
            tcp.at(ms - 10);
            assert_eq!(tcp.engine.status(tcp.conn()), Ok(()));
            tcp.at(ms + 10);
            assert_eq!(tcp.engine.status(tcp.conn()), Err(Error::TimedOut));
        };
        // a write into a window that is closed
        let mut tcp = established();
        tcp.receives(ack().seq(301).ack(101).win(0));
        tcp.write("hello");
        for ms in [61_000, 63_000] {
            tcp.at(ms);
            tcp.sends(data("h").without_psh().seq(101).ack(301));
            tcp.receives(ack().seq(301).ack(101).win(0));
        }
        ends_at(&mut tcp, 65_000);
        drop(tcp);
        // a FIN alone
        let mut tcp = established();
        tcp.receives(ack().seq(301).ack(101).win(0));
        tcp.shutdown();
        for ms in [61_000, 63_000] {
            tcp.at(ms);
            tcp.sends(fin().seq(101).ack(301));
        }
        ends_at(&mut tcp, 65_000);
        drop(tcp);
        // the window closes with what was sent, and later there is more
        let mut tcp = established();
        tcp.write("hello");
        tcp.sends(data("hello").seq(101).ack(301));
        tcp.receives(ack().seq(301).ack(106).win(0));
        tcp.at(100_000);
        tcp.write(", world");
        for ms in [101_000, 103_000] {
            tcp.at(ms);
            tcp.sends(data(",").without_psh().seq(106).ack(301));
        }
        ends_at(&mut tcp, 105_000);
    });
}

fn with_timestamps() -> Config {
    let mut config = plain();
    config.tcp.timestamps = true;
    config
}

fn established(config: Config) -> Exchange {
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300).mss(1_460).sack_permitted().ts(5_000));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101).ts(5_001));
    tcp.accepts();
    tcp
}

/// RFC 7323 §5.5: after 24 days TS.Recent says nothing any more, however long it is ago.
#[test]
fn a_timestamp_grows_old() {
    for days in [1, 23] {
        let mut tcp = established(with_timestamps());
        tcp.at(days * DAY_MS);
        tcp.receives(data("old").seq(301).ack(101).ts(5_000));
        tcp.sends(ack().seq(101).ack(301));
        assert_eq!(tcp.counters().paws_rejected.get(), 1, "{days} days");
    }
    for days in [25, 49, 50, 60, 74, 100, 149, 400, 3_000] {
        let mut tcp = established(with_timestamps());
        tcp.at(days * DAY_MS);
        // a clock of 250 Hz
        let stamp = (5_000 + days * DAY_MS / 4) as u32;
        tcp.receives(data("new").seq(301).ack(101).ts(stamp));
        tcp.sends(ack().seq(101).ack(304));
        tcp.reads("new");
        tcp.receives(data("old").seq(304).ack(101).ts(stamp - 1)); // from now on it counts again
        tcp.sends(ack().seq(101).ack(304));
        assert_eq!(tcp.counters().paws_rejected.get(), 1, "{days} days");
    }
}

/// The same while probes of keep-alive go back and forth all the time.
#[test]
fn a_timestamp_that_is_renewed_does_not() {
    let mut config = with_timestamps();
    let (idle, interval) = (Duration::from_secs(7_200), Duration::from_secs(75));
    config.tcp.keep_alive = Some(KeepAlive { idle, interval, count: 9 });
    let mut tcp = established(config);
    let mut stamp = 5_001;
    for hours in (2..=100 * 24).step_by(2) {
        tcp.at(hours * 3_600_000);
        tcp.sends(ack().seq(100).ack(301));
        stamp += 2 * 3_600 * 250;
        tcp.receives(ack().seq(301).ack(101).ts(stamp));
    }
    tcp.receives(data("old").seq(301).ack(101).ts(stamp - 1));
    tcp.sends(ack().seq(101).ack(301));
    tcp.receives(data("new").seq(301).ack(101).ts(stamp + 1));
    tcp.sends(ack().seq(101).ack(304));
}

/// RFC 5681 §4.1: after a silence the congestion window begins as at first, also if the clock of
/// milliseconds has come round.
#[test]
fn a_long_silence_restarts_the_window() {
    let turn = 1 << 32;
    for silence in [10_000, 25 * DAY_MS, turn - 100, turn + 100, 100 * DAY_MS, 3 * turn + 100] {
        let mut tcp = Exchange::established(plain());
        tcp.write([b'x'; 14_600]);
        assert_eq!(tcp.sent_segments().len(), 10);
        tcp.receives(ack().seq(301).ack(14_701));
        tcp.at(silence);
        tcp.write([b'y'; 40_000]);
        assert_eq!(tcp.sent_segments().len(), 10, "after {silence} ms");
    }
}

/// The receive window does not grow for a peer that took more than an hour to fill it, also if the
/// clock of microseconds has come round.
#[test]
fn a_slow_peer_gets_no_larger_window() {
    let turn_ms = (1_u64 << 32) / 1_000;
    for (silence, doubled) in [(5, true), (3_000, false), (turn_ms + 2, false)] {
        let mut config = plain();
        config.tcp.window_scale = true;
        config.tcp.receive_buffer = 16_000;
        config.tcp.receive_window = 4_000;
        let mut tcp = Exchange::listening(config);
        tcp.receives(syn().seq(300).mss(1_000).scale(0));
        tcp.sends(syn_ack().seq(100).ack(301).win(4_000));
        tcp.at(10);
        tcp.receives(ack().seq(301).ack(101));
        tcp.accepts();
        tcp.at(10 + silence);
        for n in 0..4 {
            tcp.receives(data([b'x'; 1_000]).seq(301 + 1_000 * n).ack(101));
            let mut out = [0; 1_000];
            let conn = tcp.conn();
            assert_eq!(tcp.engine.read(conn, &mut out), Ok(1_000));
        }
        let _ = tcp.sent_segments();
        let window = tcp.engine.info(tcp.conn()).unwrap().rcv_wnd;
        assert_eq!(window > 4_000, doubled, "after {silence} ms: {window}");
    }
}

/// RFC 3522: an echo is from before a retransmission or it is not, also if that is 25 days ago: the
/// peer has dropped what was sent and keeps its window closed.
#[test]
fn an_echo_is_not_early_because_the_clock_came_round() {
    let mut config = with_timestamps();
    config.tcp.sack = true;
    let mut tcp = established(config);
    tcp.write([b'x'; 2_896]);
    assert_eq!(tcp.sent_segments().len(), 2);
    let closed = |stamp| ack().seq(301).ack(101).win(0).ts(stamp);
    tcp.receives(closed(5_002));
    let end = tcp.now() + Duration::from_millis(26 * DAY_MS);
    let mut last = 0;
    while tcp.now() < end {
        let due = tcp.engine.next_deadline().expect("a timer runs");
        tcp.at_instant(due);
        for sent in tcp.sent_segments() {
            last = sent.options.and_then(|options| options.timestamps).map_or(0, |ts| ts.value);
            tcp.receives(closed(5_003));
        }
    }
    tcp.receives(ack().seq(301).ack(1_549).echo(5_004, last));
    let _ = tcp.sent_segments();
    assert!(tcp.counters().timeouts.get() > 10_000);
    assert_eq!(tcp.counters().spurious_rtos.get(), 0);
}
