//! What carries no text lies within the window that the peer has announced (RFC 9293 §3.10.7.4, first
//! check): a peer drops the rest, and the ACK with it.

use crate::*;
use lastack::tcp::State;

/// A connection whose peer has closed its window, and that has probed it with the first of "hello".
fn probed(rhythm: Rhythm) -> Exchange {
    let mut tcp = Exchange::established(plain()).in_rhythm(rhythm);
    tcp.receives(ack().seq(301).ack(101).win(0));
    tcp.write("hello");
    tcp.sends_nothing();
    tcp.at(1_000);
    tcp.sends(data("h").without_psh().seq(101).ack(301));
    tcp.receives(ack().seq(301).ack(101).win(0));
    tcp
}

#[test]
fn acks_after_a_probe() {
    at_any_rhythm(|rhythm| {
        let mut tcp = probed(rhythm);
        tcp.receives(data("abc").seq(301).ack(101).win(0));
        tcp.sends(ack().seq(101).ack(304));
        tcp.receives_burst(&[
            data("g").seq(307).ack(101).win(0),
            data("i").seq(309).ack(101).win(0),
        ]);
        tcp.sends(ack().seq(101).ack(304)); // the ACK of a segment of its own
        tcp.sends(ack().seq(101).ack(304));
        tcp.receives(rst().seq(305));
        tcp.sends(ack().seq(101).ack(304)); // a challenge
        tcp.reads("abc");
        // the peer takes the next probe: now SND.NXT is where the window begins
        tcp.at(3_000);
        tcp.sends(data("h").without_psh().seq(101).ack(304));
        tcp.receives(data("d").seq(304).ack(102).win(0));
        tcp.sends(ack().seq(102).ack(305));
    });
}

#[test]
fn resets_after_a_probe() {
    at_any_rhythm(|rhythm| {
        let mut tcp = probed(rhythm);
        let conn = tcp.conn();
        tcp.engine.abort(conn).unwrap();
        tcp.sends(rst_ack().seq(101).ack(301));
        drop(tcp);
        let mut tcp = probed(rhythm); // a close with unread bytes
        tcp.receives(data("abc").seq(301).ack(101).win(0));
        tcp.sends(ack().seq(101).ack(304));
        tcp.close();
        tcp.sends(rst_ack().seq(101).ack(304));
        drop(tcp);
        let mut tcp = probed(rhythm); // data that comes after a close
        tcp.close();
        tcp.receives(data("abc").seq(301).ack(101).win(0));
        tcp.sends(rst().seq(101));
    });
}

/// A FIN that probes the window counts as little as an octet does.
#[test]
fn acks_after_a_fin_that_probes() {
    at_any_rhythm(|rhythm| {
        let mut tcp = Exchange::established(plain()).in_rhythm(rhythm);
        tcp.receives(ack().seq(301).ack(101).win(0));
        tcp.shutdown();
        tcp.sends_nothing();
        tcp.at(1_000);
        tcp.sends(fin().seq(101).ack(301));
        tcp.receives(data("abc").seq(301).ack(101).win(0));
        tcp.sends(ack().seq(101).ack(304));
        tcp.receives(data("d").seq(304).ack(102).win(0));
        tcp.sends(ack().seq(102).ack(305));
        tcp.is_in(State::FinWait2);
    });
}

#[test]
fn acks_in_a_window_that_has_shrunk() {
    let mut tcp = Exchange::established(plain());
    tcp.write([b'x'; 2_920]);
    assert_eq!(tcp.sent_segments().len(), 2);
    tcp.receives(data("abc").seq(301).ack(1_101).win(0));
    tcp.sends(ack().seq(1_101).ack(304));
    tcp.receives(data("d").seq(304).ack(1_101).win(500)); // open, but not as far as it was
    tcp.sends(ack().seq(1_601).ack(305));
    tcp.receives(data("e").seq(305).ack(1_101).win(1_920));
    tcp.sends(ack().seq(3_021).ack(306));
    let conn = tcp.conn();
    tcp.receives(ack().seq(306).ack(1_101).win(100));
    tcp.engine.abort(conn).unwrap();
    tcp.sends(rst_ack().seq(1_201).ack(306));
}

/// RFC 7323 §2.4: an edge that moved left by less than one unit of the scale was only rounded.
#[test]
fn rounding_is_no_shrinking() {
    let mut config = plain();
    config.tcp.window_scale = true;
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300).mss(1_460).scale(7));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101).win(500));
    tcp.accepts();
    tcp.write([b'x'; 2_920]);
    assert_eq!(tcp.sent_segments().len(), 2); // SND.NXT = 3021
    tcp.receives(data("a").seq(301).ack(1_101).win(14)); // to 2893: 128 less
    tcp.sends(ack().seq(2_893).ack(302));
    tcp.receives(data("b").seq(302).ack(1_102).win(14)); // to 2894: 127 less
    tcp.sends(ack().seq(3_021).ack(303));
    tcp.receives(data("c").seq(303).ack(2_921).win(0)); // closed: there is one number
    tcp.sends(ack().seq(2_921).ack(304));
}

/// After a time-out SND.NXT may lie behind what the peer has; the RST does not (RFC 5961 §3.2).
#[test]
fn a_reset_after_a_time_out_is_not_below_what_the_peer_has() {
    let mut config = plain();
    config.limits.recoveries = 1;
    let mut tcp = Exchange::established(config);
    tcp.write([b'x'; 2_920]);
    assert_eq!(tcp.sent_segments().len(), 2);
    tcp.at(1_000);
    assert_eq!(tcp.sent_segments().len(), 1);
    // a second connection finds no block for its recovery: it goes back to SND.UNA
    tcp.remote.set_port(40_001);
    tcp.next_incarnation();
    tcp.handshake();
    tcp.write([b'y'; 2_920]);
    assert_eq!(tcp.sent_segments().len(), 2);
    let conn = tcp.conn();
    tcp.at(2_000);
    assert_eq!(tcp.sent_segments().len(), 1); // SND.NXT is 1561 now
    tcp.engine.abort(conn).unwrap();
    tcp.sends(rst_ack().seq(3_021).ack(301));
}
