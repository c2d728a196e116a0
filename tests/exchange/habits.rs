//! What a stack does by habit and an application or a configuration may change: cork, urgent data,
//! the growth of the receive window, idle restart, pacing.

use crate::*;
use core::time::Duration;

/// TCP_CORK: only full segments leave, until it is pulled.
#[test]
fn cork() {
    let mut tcp = Exchange::established(plain());
    let conn = tcp.conn();
    tcp.engine.set_cork(conn, true).unwrap();
    tcp.write("a");
    tcp.sends_nothing();
    tcp.write(vec![b'b'; 1_460]);
    let mut full = vec![b'b'; 1_460];
    full[0] = b'a';
    tcp.sends(data(full).without_psh().seq(101).ack(301));
    tcp.at(10);
    tcp.receives(ack().seq(301).ack(1_561));
    tcp.sends_nothing();
    tcp.engine.set_cork(conn, false).unwrap();
    tcp.sends(data("b").seq(1_561).ack(301));
}

/// A FIN takes what is held back with it.
#[test]
fn cork_does_not_hold_a_fin() {
    let mut tcp = Exchange::established(plain());
    let conn = tcp.conn();
    tcp.engine.set_cork(conn, true).unwrap();
    tcp.write("a");
    tcp.sends_nothing();
    tcp.shutdown();
    tcp.sends(data("a").with(lastack::wire::tcp::Flags::FIN).seq(101).ack(301));
    tcp.receives(ack().seq(301).ack(103));
}

/// TCP_CORK of Linux holds back for 200 ms, whatever is on its way.
#[test]
fn cork_holds_for_200_ms() {
    at_any_rhythm(|rhythm| {
        let corked = |config| {
            let mut tcp = Exchange::established(config).in_rhythm(rhythm);
            let conn = tcp.conn();
            tcp.engine.set_cork(conn, true).unwrap();
            tcp
        };
        let mut tcp = corked(plain());
        tcp.write("a");
        tcp.at(200);
        tcp.sends(data("a").seq(101).ack(301));
        tcp.at(250);
        tcp.write("b"); // the cork is still there
        tcp.at(450);
        tcp.sends(data("b").seq(102).ack(301));
        tcp.receives(ack().seq(301).ack(103));
        drop(tcp);
        // full segments meanwhile: their rest was written when they were
        let mut tcp = corked(plain());
        tcp.write([b'x'; 500]);
        tcp.at(150);
        tcp.write([b'y'; 1_500]);
        assert_eq!(tcp.sent_segments().len(), 1);
        tcp.at(350);
        tcp.sends(data([b'y'; 540]).seq(1_561).ack(301));
        drop(tcp);
        // an ACK that is delayed meanwhile
        let mut config = plain();
        config.tcp.quick_acks = 0;
        let mut tcp = corked(config);
        tcp.write("a");
        tcp.at(100);
        tcp.receives(data("b").seq(301).ack(101));
        tcp.at(140);
        tcp.sends(ack().seq(101).ack(302));
        tcp.at(200);
        tcp.sends(data("a").seq(101).ack(302));
        drop(tcp);
        // the cork is no pace: a full segment leaves at once
        let mut config = plain();
        config.tcp.pacing = true;
        let mut tcp = corked(config);
        tcp.write("a");
        tcp.at(50);
        tcp.write([b'y'; 1_459]);
        assert_eq!(tcp.sent_segments().len(), 1);
        drop(tcp);
        // nothing can follow a close, even if there is no room for the FIN
        let mut tcp = corked(plain());
        tcp.receives(ack().seq(301).ack(101).win(5));
        tcp.write("hello");
        tcp.sends_nothing();
        tcp.shutdown();
        tcp.sends(data("hello").seq(101).ack(301));
    });
}

/// RFC 9293 §3.8.5, RFC 6093 §3: the pointer is followed, the octets stay in line.
#[test]
fn urgent_data_is_announced() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(data("ab!c").seq(301).ack(101).urgent(3));
    tcp.sends(ack().seq(101).ack(305));
    assert_eq!(tcp.engine.info(tcp.conn()).unwrap().urgent, Some(3));
    tcp.reads("ab!c");
    assert_eq!(tcp.engine.info(tcp.conn()).unwrap().urgent, None);
    tcp.receives(data("d").seq(305).ack(101).urgent(4)); // ahead of what has arrived
    tcp.sends(ack().seq(101).ack(306));
    assert_eq!(tcp.engine.info(tcp.conn()).unwrap().urgent, Some(4));
    tcp.receives(data("e!!").seq(306).ack(101).urgent(3));
    tcp.sends(ack().seq(101).ack(309));
    tcp.reads("de!!");
    assert_eq!(tcp.engine.info(tcp.conn()).unwrap().urgent, None);
}

#[test]
fn urgent_data_is_sent() {
    let mut tcp = Exchange::established(plain());
    let conn = tcp.conn();
    tcp.write("ab");
    assert_eq!(tcp.engine.write_urgent(conn, b"!"), Ok(1));
    tcp.sends(data("ab!").seq(101).ack(301).urgent(3));
    tcp.at(1_000);
    tcp.sends(data("ab!").seq(101).ack(301).urgent(3)); // again, as it was
    tcp.receives(ack().seq(301).ack(104));
    tcp.write("c");
    tcp.sends(data("c").seq(104).ack(301));
}

/// Urgent data waits for no company: neither Nagle's algorithm nor the cork holds it.
#[test]
fn urgent_data_goes_at_once() {
    let mut tcp = Exchange::established(plain());
    let conn = tcp.conn();
    tcp.write("a");
    tcp.sends(data("a").seq(101).ack(301));
    tcp.write("b");
    tcp.sends_nothing();
    assert_eq!(tcp.engine.write_urgent(conn, b"!"), Ok(1));
    tcp.sends(data("b!").seq(102).ack(301).urgent(2));
    tcp.write("c"); // what comes later waits as usual
    tcp.sends_nothing();
    tcp.receives(ack().seq(301).ack(104));
    tcp.sends(data("c").seq(104).ack(301));
    tcp.receives(ack().seq(301).ack(105));
    tcp.engine.set_cork(conn, true).unwrap();
    tcp.write("d");
    tcp.sends_nothing();
    assert_eq!(tcp.engine.write_urgent(conn, b"!"), Ok(1));
    tcp.sends(data("d!").seq(105).ack(301).urgent(2));
    tcp.write("e");
    tcp.sends_nothing();
}

/// The window doubles each time that the peer fills it within two round trips, up to the buffer.
#[test]
fn the_receive_window_grows_as_it_is_used() {
    let mut config = plain();
    config.tcp.window_scale = true;
    config.tcp.receive_buffer = 16_000;
    config.tcp.receive_window = 4_000;
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300).mss(1_000).scale(0));
    tcp.sends(syn_ack().seq(100).ack(301).win(4_000));
    tcp.at(20);
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    let (mut seq, mut windows) = (301, Vec::new());
    for round in 1..=6 {
        tcp.at(20 + 20 * round);
        let window = tcp.engine.info(tcp.conn()).unwrap().rcv_wnd;
        windows.push(window);
        for _ in 0..window / 1_000 {
            tcp.receives(data(vec![b'x'; 1_000]).seq(seq).ack(101));
            seq += 1_000;
            while tcp.read().is_ok() {}
            tcp.sent_segments();
        }
    }
    assert_eq!(windows[0], 4_000);
    assert!(windows[1] < windows[2] && windows[2] < windows[3], "{windows:?}");
    assert_eq!(windows.iter().max(), Some(&16_000), "{windows:?}");
}

/// A peer that is slow leaves the window small.
#[test]
fn the_receive_window_stays_where_it_is_enough() {
    let mut config = plain();
    config.tcp.receive_window = 4_000;
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300).mss(1_000));
    tcp.sends(syn_ack().seq(100).ack(301).win(4_000));
    tcp.at(20);
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    for n in 0..40 {
        tcp.at(40 + 20 * n);
        tcp.receives(data(vec![b'x'; 1_000]).seq(301 + 1_000 * n as u32).ack(101));
        assert!(tcp.read().is_ok());
        tcp.sent_segments();
        assert!(tcp.engine.info(tcp.conn()).unwrap().rcv_wnd <= 4_000);
    }
}

/// RFC 5681 §4.1: after a time-out of silence a window begins small again.
#[test]
fn idle_restart() {
    let mut config = plain();
    config.tcp.initial_window = 2;
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300).mss(1_000));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    let burst = |tcp: &mut Exchange| tcp.sent_segments();
    tcp.write(vec![b'x'; 30_000]);
    let mut acked = 101;
    let mut largest = 0;
    while acked < 30_101 {
        let sent = burst(&mut tcp);
        assert!(!sent.is_empty());
        largest = largest.max(sent.len());
        acked += sent.iter().map(|segment| segment.payload.len() as u32).sum::<u32>();
        tcp.receives(ack().seq(301).ack(acked));
    }
    assert!(largest > 4, "the window has grown: {largest}");
    tcp.at(500);
    tcp.write(vec![b'x'; 4_000]);
    assert_eq!(burst(&mut tcp).len(), 4, "within a time-out it is still good");
    tcp.receives(ack().seq(301).ack(acked + 4_000));
    tcp.at(5_000);
    tcp.write(vec![b'x'; 4_000]);
    assert_eq!(burst(&mut tcp).len(), 2);
}

/// With pacing a window leaves over a round trip: the ten segments of 20 ms in half of that, since
/// slow start is to double.
#[test]
fn pacing_spreads_a_window() {
    let mut config = plain();
    config.tcp.pacing = true;
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300).mss(1_000));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.at(20);
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    tcp.write(vec![b'x'; 10_000]);
    let begin = tcp.now();
    for n in 0..10 {
        if n > 0 {
            tcp.at_instant(begin + Duration::from_millis(n));
        }
        let sent = tcp.sent_segment(|| format!("segment {n}"));
        assert_eq!(sent.seq, 101 + 1_000 * n as u32);
        tcp.sends_nothing();
    }
    tcp.receives(ack().seq(301).ack(10_101));
}

/// However much is written, there is memory for a segment that arrives.
#[test]
fn writing_leaves_memory_for_reading() {
    let mut config = plain();
    config.limits.buffer_bytes = 1 << 16;
    let mut tcp = Exchange::established(config);
    let conn = tcp.conn();
    let written = tcp.engine.write(conn, &[b'x'; 1 << 17]).unwrap();
    assert!((40_000..1 << 16).contains(&written), "{written}");
    tcp.sent_segments();
    tcp.receives(data("hello").seq(301).ack(101));
    tcp.sent_segments();
    tcp.reads("hello");
    assert_eq!(tcp.counters().rcvq_drop.get(), 0);
}
