//! What the application sees, and what its calls do: RFC 1122 §4.2.2.13, SO_LINGER.

use crate::*;
use core::time::Duration;
use lastack::engine::{Closing, Error};
use lastack::tcp::State;

#[test]
fn what_came_before_a_reset_is_read_first() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(data("last words").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(311));
    tcp.receives(rst().seq(311));
    tcp.reads("last words");
    assert_eq!(tcp.read(), Err(Error::Reset));
    let conn = tcp.conn();
    assert_eq!(tcp.engine.write(conn, b"x"), Err(Error::Reset));
    assert!(tcp.engine.readiness(tcp.conn()).unwrap().closed);
    assert_eq!(tcp.close(), Closing::Done);
    let conn = tcp.conn();
    assert_eq!(tcp.engine.close(conn), Err(Error::BadHandle));
}

#[test]
fn the_end_of_the_stream_is_no_error() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(data("all").seq(301).ack(101).with(fin().flags));
    tcp.sends(ack().seq(101).ack(305));
    tcp.reads("all");
    tcp.reads_eof();
    tcp.reads_eof();
    let ready = tcp.engine.readiness(tcp.conn()).unwrap();
    assert!(ready.readable && ready.peer_closed && ready.writable && !ready.closed);
}

#[test]
fn close_with_unread_data_resets() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(data("unread").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(307));
    tcp.close();
    tcp.sends(rst_ack().seq(101).ack(307));
    tcp.only_time_wait(0);
    assert_eq!(tcp.counters().abort_on_close.get(), 1);
}

#[test]
fn data_after_close_resets() {
    let mut tcp = Exchange::established(plain());
    tcp.close();
    tcp.sends(fin().seq(101).ack(301));
    tcp.receives(ack().seq(301).ack(102));
    tcp.receives(data("too late").seq(301).ack(102));
    tcp.sends(rst().seq(102));
    tcp.only_time_wait(0);
    assert_eq!(tcp.counters().abort_on_data.get(), 1);
}

#[test]
fn abort() {
    let mut tcp = Exchange::established(plain());
    tcp.write("queued");
    tcp.sends(data("queued").seq(101).ack(301));
    let conn = tcp.conn();
    tcp.engine.abort(conn).unwrap();
    tcp.sends(rst_ack().seq(107).ack(301));
    assert_eq!(tcp.read(), Err(Error::Aborted));
    let conn = tcp.conn();
    assert_eq!(tcp.engine.abort(conn), Err(Error::NotConnected));
}

#[test]
fn without_linger_the_rest_is_delivered_in_the_background() {
    let mut tcp = Exchange::established(plain());
    tcp.write("hello");
    assert_eq!(tcp.close(), Closing::Done);
    let conn = tcp.conn();
    assert_eq!(tcp.engine.close(conn), Err(Error::BadHandle));
    tcp.sends(data("hello").seq(101).ack(301).with(fin().flags));
    tcp.at(1_000);
    tcp.sends(data("hello").seq(101).ack(301).with(fin().flags));
    tcp.receives(fin().seq(301).ack(107));
    tcp.sends(ack().seq(107).ack(302));
    tcp.only_time_wait(1);
}

#[test]
fn linger_until_all_is_acknowledged() {
    let mut tcp = Exchange::established(plain());
    let conn = tcp.conn();
    tcp.engine.set_linger(conn, Some(Duration::from_secs(5))).unwrap();
    tcp.write("hello");
    assert_eq!(tcp.close(), Closing::Pending);
    tcp.sends(data("hello").seq(101).ack(301).with(fin().flags));
    tcp.at(300);
    assert_eq!(tcp.close(), Closing::Pending);
    tcp.receives(ack().seq(301).ack(107));
    assert!(tcp.engine.readiness(tcp.conn()).unwrap().closed);
    assert_eq!(tcp.close(), Closing::Done);
    tcp.receives(fin().seq(301).ack(107));
    tcp.sends(ack().seq(107).ack(302));
    tcp.only_time_wait(1);
}

#[test]
fn linger_whose_time_is_over() {
    at_any_rhythm(|rhythm| {
        let mut tcp = Exchange::established(plain()).in_rhythm(rhythm);
        let conn = tcp.conn();
        tcp.engine.set_linger(conn, Some(Duration::from_secs(5))).unwrap();
        tcp.write("hello");
        assert_eq!(tcp.close(), Closing::Pending);
        tcp.sends(data("hello").seq(101).ack(301).with(fin().flags));
        for second in [1, 3] {
            tcp.at(second * 1_000);
            tcp.sends(data("hello").seq(101).ack(301).with(fin().flags));
        }
        tcp.at(4_999);
        assert_eq!(tcp.close(), Closing::Pending);
        tcp.at(5_000);
        assert_eq!(tcp.close(), Closing::Expired { left: 5 });
        tcp.at(7_000); // it still goes on in the background
        tcp.sends(data("hello").seq(101).ack(301).with(fin().flags));
        tcp.receives(fin().seq(301).ack(107));
        tcp.sends(ack().seq(107).ack(302));
        tcp.only_time_wait(1);
    });
}

#[test]
fn linger_of_zero_resets() {
    let mut tcp = Exchange::established(plain());
    let conn = tcp.conn();
    tcp.engine.set_linger(conn, Some(Duration::ZERO)).unwrap();
    tcp.write("never");
    assert_eq!(tcp.close(), Closing::Done);
    tcp.sends(rst_ack().seq(101).ack(301));
    tcp.only_time_wait(0);
    assert_eq!(tcp.counters().abort_on_linger.get(), 1);
}

#[test]
fn readiness_comes_to_those_who_wait() {
    let mut tcp = Exchange::established(plain());
    let conn = tcp.conn();
    while tcp.engine.next_ready().is_some() {}
    assert!(!tcp.engine.readiness(conn).unwrap().readable);
    tcp.receives(data("x").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(302));
    assert_eq!(tcp.engine.next_ready(), Some(conn));
    assert_eq!(tcp.engine.next_ready(), None);
    assert_eq!((tcp.engine.unread(conn), tcp.engine.unacked(conn)), (Ok(1), Ok(0)));
    tcp.reads("x");
    assert_eq!(tcp.engine.unread(conn), Ok(0));
}

#[test]
fn a_full_send_buffer_would_block() {
    let mut config = plain();
    config.tcp.send_buffer = 4_096;
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300).win(0));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101).win(0));
    let conn = tcp.accepts();
    assert_eq!(tcp.engine.write(conn, &[0; 5_000]), Ok(4_096));
    assert_eq!(tcp.engine.write(conn, &[0; 5_000]), Err(Error::WouldBlock));
    assert_eq!(tcp.engine.unacked(conn), Ok(4_096));
    assert!(!tcp.engine.readiness(conn).unwrap().writable);
    tcp.is_in(State::Established);
}

#[test]
fn a_handle_is_for_one_connection() {
    let mut tcp = Exchange::established(plain());
    let old = tcp.conn();
    tcp.receives(rst().seq(301));
    tcp.close();
    tcp.at(10);
    tcp.next_incarnation();
    tcp.handshake();
    assert_eq!(old.index, tcp.conn().index, "the place is taken again");
    assert_eq!(tcp.engine.read(old, &mut [0; 1]), Err(Error::BadHandle));
    assert_eq!(tcp.engine.status(old), Err(Error::BadHandle));
}
