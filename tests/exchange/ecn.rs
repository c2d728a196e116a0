//! Explicit congestion notification: RFC 3168.

use crate::*;
use lastack::engine::Config;
use lastack::wire::tcp::Flags;

const ECT_0: u8 = 2;
const CE: u8 = 3;

fn with_ecn() -> Config {
    let mut config = plain();
    config.tcp.ecn = true;
    config
}

fn established() -> Exchange {
    let mut tcp = Exchange::listening(with_ecn());
    tcp.receives(syn().seq(300).mss(1_460).with(Flags::ECE | Flags::CWR));
    tcp.sends(syn_ack().seq(100).ack(301).with(Flags::ECE));
    assert_eq!(tcp.our_ecn, 0, "no SYN is ECT (RFC 3168 §6.1.1)");
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    tcp
}

/// RFC 3168 §6.1.1.
#[test]
fn is_negotiated() {
    let mut tcp = Exchange::new(with_ecn());
    tcp.connect();
    tcp.sends(syn().seq(100).with(Flags::ECE | Flags::CWR));
    tcp.receives(syn_ack().seq(300).ack(101).with(Flags::ECE));
    tcp.sends(ack().seq(101).ack(301));
    assert!(tcp.engine.info(tcp.conn()).unwrap().ecn);
    drop(tcp);
    // a peer that echoes both flags is one that echoes everything
    let mut tcp = Exchange::new(with_ecn());
    tcp.connect();
    tcp.sends(syn().seq(100).with(Flags::ECE | Flags::CWR));
    tcp.receives(syn_ack().seq(300).ack(101).with(Flags::ECE | Flags::CWR));
    tcp.sends(ack().seq(101).ack(301));
    assert!(!tcp.engine.info(tcp.conn()).unwrap().ecn);
}

#[test]
fn is_off_unless_wanted() {
    let mut tcp = Exchange::listening(plain());
    tcp.receives(syn().seq(300).mss(1_460).with(Flags::ECE | Flags::CWR));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    tcp.write("x");
    tcp.sends(data("x").seq(101).ack(301));
    assert_eq!(tcp.our_ecn, 0);
}

/// A SYN that went again because of the peer's old connection was not lost to anybody who drops ECN.
#[test]
fn a_syn_behind_a_rst_asks_again() {
    let mut tcp = Exchange::new(with_ecn());
    tcp.connect();
    tcp.sends(syn().seq(100).with(Flags::ECE | Flags::CWR));
    tcp.at(10);
    tcp.receives(ack().seq(700).ack(5_000));
    tcp.sends(rst().seq(5_000));
    tcp.at(12);
    tcp.sends(syn().seq(100).with(Flags::ECE | Flags::CWR));
    tcp.receives(syn_ack().seq(300).ack(101).with(Flags::ECE));
    tcp.sends(ack().seq(101).ack(301));
    assert!(tcp.engine.info(tcp.conn()).unwrap().ecn);
}

/// RFC 3168 §6.1.1.1: some networks drop a SYN that asks.
#[test]
fn a_syn_that_is_sent_again_does_not_ask() {
    let mut tcp = Exchange::new(with_ecn());
    tcp.connect();
    tcp.sends(syn().seq(100).with(Flags::ECE | Flags::CWR));
    tcp.at(1_000);
    tcp.sends(syn().seq(100));
    tcp.receives(syn_ack().seq(300).ack(101));
    tcp.sends(ack().seq(101).ack(301));
}

/// RFC 3168 §6.1.2 and §6.1.5: new data is ECT, ACKs and what is sent again are not.
#[test]
fn only_new_data_can_be_marked() {
    let mut tcp = established();
    tcp.write("x");
    tcp.sends(data("x").seq(101).ack(301));
    assert_eq!(tcp.our_ecn, ECT_0);
    tcp.at(1_000);
    tcp.sends(data("x").seq(101).ack(301));
    assert_eq!(tcp.our_ecn, 0);
    tcp.receives(data("y").seq(301).ack(102));
    tcp.sends(ack().seq(102).ack(302));
    assert_eq!(tcp.our_ecn, 0);
}

/// RFC 3168 §6.1.3: congestion is echoed until the peer has reduced its window.
#[test]
fn congestion_is_echoed_until_cwr() {
    let mut tcp = established();
    tcp.ecn = CE;
    tcp.receives(data("a").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(302).with(Flags::ECE));
    tcp.ecn = ECT_0;
    tcp.receives(data("b").seq(302).ack(101));
    tcp.sends(ack().seq(101).ack(303).with(Flags::ECE));
    tcp.receives(data("c").seq(303).ack(101).with(Flags::CWR));
    tcp.sends(ack().seq(101).ack(304));
    assert_eq!(tcp.counters().ce_received.get(), 1);
}

/// RFC 3168 §6.1.2: an echo halves the window once a round trip, and is answered by CWR.
#[test]
fn an_echo_reduces_the_window_once() {
    let mut tcp = established();
    tcp.write(vec![b'x'; 14_600]);
    for n in 0..10 {
        let sent = tcp.sent_segment(String::new);
        assert_eq!((sent.seq, sent.flags.cwr()), (101 + 1_460 * n, false));
    }
    let before = tcp.engine.info(tcp.conn()).unwrap().snd_cwnd;
    for n in [2, 4, 6] {
        tcp.receives(ack().seq(301).ack(101 + 1_460 * n).with(Flags::ECE));
    }
    assert_eq!(tcp.counters().ecn_reductions.get(), 1);
    let after = tcp.engine.info(tcp.conn()).unwrap().snd_cwnd;
    assert!(after <= before * 8 / 10, "{before} {after}");
    tcp.receives(ack().seq(301).ack(14_701).with(Flags::ECE));
    tcp.write("yz");
    tcp.sends(data("yz").seq(14_701).ack(301).with(Flags::CWR));
    tcp.receives(ack().seq(301).ack(14_703));
    tcp.write("z");
    tcp.sends(data("z").seq(14_703).ack(301));
}

/// RFC 3168 §6.1.5: what lies outside of the window says nothing of the path.
#[test]
fn a_mark_outside_of_the_window_is_nothing() {
    let mut config = with_ecn();
    (config.tcp.receive_window, config.tcp.receive_buffer) = (2_048, 2_048);
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300).mss(1_460).with(Flags::ECE | Flags::CWR));
    tcp.sends(syn_ack().seq(100).ack(301).with(Flags::ECE));
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    for seq in [301, 1_325] {
        tcp.receives(data([b'x'; 1_024]).seq(seq).ack(101));
        tcp.sends(ack().seq(101).ack(seq + 1_024));
    }
    tcp.ecn = CE; // a probe of the closed window
    tcp.receives(data("y").seq(2_349).ack(101));
    tcp.sends(ack().seq(101).ack(2_349).win(0));
    assert_eq!(tcp.counters().ce_received.get(), 0);
}
