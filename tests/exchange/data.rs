//! Data: acknowledgments, windows, order, PSH and URG. RFC 9293 §3.8, RFC 5681 §4.2.

use crate::*;
use core::time::Duration;
use lastack::engine::{Config, Error};
use lastack::tcp::KeepAlive;

fn without_quick_acks() -> Config {
    let mut config = plain();
    config.tcp.quick_acks = 0;
    config
}

#[test]
fn an_ack_waits_for_company_at_most_40_ms() {
    at_any_rhythm(|rhythm| {
        let mut tcp = Exchange::established(without_quick_acks()).in_rhythm(rhythm);
        tcp.at(5);
        tcp.receives(data("hello").seq(301).ack(101));
        tcp.at(45);
        tcp.sends(ack().seq(101).ack(306));
        assert_eq!(tcp.counters().delayed_acks.get(), 1);
        tcp.reads("hello");
    });
}

#[test]
fn every_second_segment_is_acknowledged_at_once() {
    let mut tcp = Exchange::established(without_quick_acks());
    tcp.receives(data("aa").seq(301).ack(101));
    tcp.sends_nothing();
    tcp.receives(data("bb").seq(303).ack(101));
    tcp.sends(ack().seq(101).ack(305));
    tcp.at(1_000); // and nothing more is owed
    tcp.reads("aabb");
}

#[test]
fn an_ack_rides_on_data() {
    let mut tcp = Exchange::established(without_quick_acks());
    tcp.receives(data("ping").seq(301).ack(101));
    tcp.sends_nothing();
    tcp.reads("ping");
    tcp.write("pong");
    tcp.sends(data("pong").seq(101).ack(305));
    tcp.receives(ack().seq(305).ack(105));
    tcp.at(1_000);
    tcp.sends_nothing();
}

#[test]
fn a_young_connection_acknowledges_at_once() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(data("x").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(302));
}

#[test]
fn out_of_order() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(data("cc").seq(305).ack(101));
    tcp.sends(ack().seq(101).ack(301)); // at once: there is a gap
    tcp.receives(data("bb").seq(303).ack(101));
    tcp.sends(ack().seq(101).ack(301));
    assert_eq!(tcp.read(), Err(Error::WouldBlock));
    tcp.receives(data("aa").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(307));
    tcp.reads("aabbcc");
}

#[test]
fn overlapping_segments_give_each_octet_once() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(data("abcd").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(305));
    tcp.receives(data("cdef").seq(303).ack(101));
    tcp.sends(ack().seq(101).ack(307));
    tcp.reads("abcdef");
}

#[test]
fn psh_marks_the_end_of_a_write() {
    let mut tcp = Exchange::established(plain());
    tcp.write(vec![b'x'; 1_461]);
    tcp.sends(data(vec![b'x'; 1_460]).without_psh().seq(101).ack(301));
    tcp.sends_nothing(); // Nagle: one octet waits for the ACK
    tcp.receives(ack().seq(301).ack(1_561));
    tcp.sends(data("x").seq(1_561).ack(301));
}

#[test]
fn nagle_and_its_switch() {
    let mut tcp = Exchange::established(plain());
    tcp.write("a");
    tcp.sends(data("a").seq(101).ack(301));
    tcp.write("b");
    tcp.write("c");
    tcp.sends_nothing();
    tcp.receives(ack().seq(301).ack(102));
    tcp.sends(data("bc").seq(102).ack(301));
    tcp.write("d");
    tcp.sends_nothing();
    let conn = tcp.conn();
    tcp.engine.set_nodelay(conn, true).unwrap();
    tcp.sends(data("d").seq(104).ack(301));
}

/// RFC 6093: the pointer is heeded by nobody, and the octets stay where they are in the stream.
#[test]
fn urgent_octets_stay_in_line() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(data("ab!c").seq(301).ack(101).urgent(3));
    tcp.sends(ack().seq(101).ack(305));
    tcp.reads("ab!c");
}

#[test]
fn zero_window_probes() {
    at_any_rhythm(|rhythm| {
        let mut tcp = Exchange::listening(plain()).in_rhythm(rhythm);
        tcp.receives(syn().seq(300).win(0));
        tcp.sends(syn_ack().seq(100).ack(301));
        tcp.receives(ack().seq(301).ack(101).win(0));
        tcp.accepts();
        tcp.write("hello");
        tcp.sends_nothing();
        for second in [1, 3, 7, 15, 31, 63, 127] {
            tcp.at(second * 1_000);
            tcp.sends(data("h").without_psh().seq(101).ack(301));
            tcp.receives(ack().seq(301).ack(101).win(0));
        }
        assert_eq!(tcp.counters().window_probes.get(), 7);
        tcp.receives(ack().seq(301).ack(101).win(1_000));
        tcp.sends(data("hello").seq(101).ack(301));
        tcp.receives(ack().seq(301).ack(106));
        tcp.at(1_000_000);
        tcp.sends_nothing();
    });
}

/// A peer that closes its window as it acknowledges has closed it, and is counted once.
#[test]
fn a_window_that_closes_is_counted() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(ack().seq(301).ack(101).win(5));
    tcp.write("hello");
    tcp.sends(data("hello").seq(101).ack(301));
    for _ in 0..2 {
        tcp.receives(ack().seq(301).ack(106).win(0));
        tcp.sends_nothing();
    }
    assert_eq!(tcp.counters().zero_window.get(), 1);
    tcp.write(", world");
    tcp.sends_nothing();
    tcp.receives(ack().seq(301).ack(106).win(100));
    tcp.sends(data(", world").seq(106).ack(301));
}

/// The window that we announce shuts as the application does not read, and opens when it does.
#[test]
fn our_window() {
    let mut config = plain();
    config.tcp.receive_buffer = 4_000;
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300).mss(1_460));
    tcp.sends(syn_ack().seq(100).ack(301).win(4_000));
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    tcp.receives(data([b'x'; 1_000]).seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(1_301).win(3_000));
    tcp.receives(data([b'y'; 3_500]).seq(1_301).ack(101)); // 500 more than was allowed
    tcp.sends(ack().seq(101).ack(4_301).win(0));
    tcp.receives(data("z").seq(4_301).ack(101)); // a probe
    tcp.sends(ack().seq(101).ack(4_301).win(0));
    assert_eq!(tcp.read().map(|read| read.len()), Ok(4_000));
    tcp.sends(ack().seq(101).ack(4_301).win(4_000));
}

#[test]
fn keep_alive() {
    at_any_rhythm(|rhythm| {
        let mut config = plain();
        config.tcp.keep_alive = Some(KeepAlive {
            idle: Duration::from_secs(10),
            interval: Duration::from_secs(1),
            count: 3,
        });
        let mut tcp = Exchange::established(config).in_rhythm(rhythm);
        tcp.at(10_000);
        tcp.sends(ack().seq(100).ack(301)); // an octet that the peer has had
        tcp.receives(ack().seq(301).ack(101));
        for ms in [20_000, 21_000, 22_000] {
            tcp.at(ms);
            tcp.sends(ack().seq(100).ack(301));
        }
        tcp.at(22_999);
        assert_eq!(tcp.read(), Err(Error::WouldBlock));
        tcp.at(23_000);
        assert_eq!(tcp.read(), Err(Error::TimedOut));
    });
}
