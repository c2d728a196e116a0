//! Connections that the application has closed end in bounded time, in every state: RFC 9293 §3.8.6.1,
//! RFC 6429.

use crate::*;
use core::time::Duration;
use lastack::engine::Closing;
use lastack::tcp::{KeepAlive, State};

/// Time passes, and the peer answers each segment of ours with this.
fn answered_until(tcp: &mut Exchange, ms: u64, answer: impl Fn() -> segment::Seg) {
    let until = START + Duration::from_millis(ms);
    while let Some(at) = tcp.engine.next_deadline().filter(|at| *at < until) {
        tcp.step_to(at);
        let sent = tcp.sent_segments();
        assert!(sent.iter().all(|segment| !segment.flags.rst()), "no RST before its time");
        if !sent.is_empty() && tcp.engine.connections() > 0 {
            tcp.receives(answer());
        }
    }
    tcp.step_to(until);
}

/// FIN-WAIT-1: the window is kept shut, and every probe answered.
#[test]
fn fin_wait_1_with_a_window_kept_shut() {
    let mut tcp = Exchange::established(plain());
    tcp.write("unwanted");
    tcp.close();
    tcp.sends(data("unwanted").seq(101).ack(301).with(fin().flags));
    let shut = || ack().seq(301).ack(101).win(0);
    tcp.receives(shut());
    answered_until(&mut tcp, 99_999, shut);
    assert_eq!(tcp.engine.connections(), 1);
    tcp.step_to(START + Duration::from_millis(100_000));
    let sent = tcp.sent_segments();
    assert!(sent.last().is_some_and(|last| last.flags.rst()), "{sent:?}");
    tcp.only_time_wait(0);
    assert_eq!(tcp.counters().orphan_timeout.get(), 1);
}

/// LAST-ACK and CLOSING, with keep-alive, which does not put the end off.
#[test]
fn last_ack_and_closing_with_a_window_kept_shut() {
    for simultaneous in [false, true] {
        let mut config = plain();
        config.tcp.orphan_timeout = Duration::from_secs(20);
        config.tcp.keep_alive = Some(KeepAlive::default());
        let mut tcp = Exchange::established(config);
        if !simultaneous {
            tcp.receives(fin().seq(301).ack(101));
            tcp.sends(ack().seq(101).ack(302));
        }
        tcp.write("unwanted");
        tcp.close();
        tcp.sent_segments();
        if simultaneous {
            tcp.receives(fin().seq(301).ack(101).win(0));
            tcp.sent_segments();
        }
        let shut = || ack().seq(302).ack(101).win(0);
        tcp.receives(shut());
        answered_until(&mut tcp, 19_999, shut);
        assert_eq!(tcp.engine.connections(), 1, "simultaneous: {simultaneous}");
        tcp.step_to(START + Duration::from_millis(20_000));
        assert!(tcp.sent_segments().last().is_some_and(|last| last.flags.rst()));
        tcp.only_time_wait(0);
    }
}

/// A peer that takes an octet now and then does not hold us for ever; one that takes its eighth of a
/// send buffer in time is waited for.
#[test]
fn enough_must_be_acknowledged_in_time() {
    let mut config = plain();
    config.tcp.send_buffer = 8 * 1_460;
    config.tcp.orphan_timeout = Duration::from_secs(10);
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300).mss(1_460));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101).win(1_460));
    tcp.accepts();
    tcp.write([7; 8 * 1_460]);
    tcp.close();
    tcp.sent_segments();
    for turn in 1..=4 {
        tcp.step_to(START + Duration::from_millis(turn * 9_000));
        tcp.receives(ack().seq(301).ack(101 + turn as u32 * 1_460).win(1_460));
        tcp.sent_segments();
    }
    assert_eq!(tcp.engine.connections(), 1, "it makes progress");
    for octet in 1..=30 {
        tcp.step_to(tcp.now() + Duration::from_secs(1));
        tcp.sent_segments();
        if tcp.engine.connections() == 0 {
            break;
        }
        tcp.receives(ack().seq(301).ack(101 + 4 * 1_460 + octet).win(1_460));
        tcp.sent_segments();
    }
    tcp.only_time_wait(0);
    assert_eq!(tcp.counters().orphan_timeout.get(), 1);
}

/// A half-close is the application's business for as long as it holds the handle, and bounded from when
/// it lets go.
#[test]
fn a_half_close_that_is_let_go_ends() {
    let mut tcp = Exchange::established(plain());
    tcp.shutdown();
    tcp.sends(fin().seq(101).ack(301));
    tcp.receives(ack().seq(301).ack(102));
    tcp.at(3_600_000);
    tcp.is_in(State::FinWait2);
    assert_eq!(tcp.close(), Closing::Done);
    tcp.at(3_659_999);
    assert_eq!(tcp.engine.connections(), 1);
    tcp.at(3_660_000);
    tcp.sends(rst_ack().seq(102).ack(301));
    tcp.only_time_wait(0);
    assert_eq!(tcp.counters().fin_wait_2_timeout.get(), 1);
}

/// A lingering close whose outcome is known: the handle is ready at once, and switching keep-alive off
/// does not take the bound away.
#[test]
fn a_lingering_close_is_told_of_its_outcome() {
    let mut config = plain();
    config.tcp.keep_alive = Some(KeepAlive::default());
    let mut tcp = Exchange::established(config);
    let conn = tcp.conn();
    tcp.engine.set_keep_alive(conn, true).unwrap();
    tcp.engine.set_linger(conn, Some(Duration::from_secs(5))).unwrap();
    tcp.write("hello");
    assert_eq!(tcp.close(), Closing::Pending);
    tcp.sends(data("hello").seq(101).ack(301).with(fin().flags));
    tcp.engine.set_keep_alive(conn, false).unwrap();
    assert_eq!(tcp.engine.stuck(), None);
    while tcp.engine.next_ready().is_some() {}
    tcp.receives(ack().seq(301).ack(107));
    assert_eq!(tcp.engine.next_ready(), Some(conn));
    assert!(tcp.engine.readiness(conn).unwrap().closed);
    assert_eq!(tcp.close(), Closing::Done);
    tcp.at(59_999);
    assert_eq!(tcp.engine.connections(), 1);
    tcp.at(60_000);
    tcp.sends(rst_ack().seq(107).ack(301));
    tcp.only_time_wait(0);
}
