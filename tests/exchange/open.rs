//! Opening: RFC 9293 §3.5, RFC 6528, RFC 6056.

use crate::*;
use core::net::SocketAddr;
use lastack::engine::{ConnectOptions, Error};
use lastack::tcp::State;
use lastack::wire::options::{Options, Timestamps};

#[test]
fn passive_open() {
    let mut tcp = Exchange::listening(plain());
    tcp.receives(syn().seq(300).mss(1_460));
    tcp.sends(syn_ack().seq(100).ack(301).win(65_535).mss(1_460));
    assert_eq!(tcp.engine.accept(tcp.listener.unwrap()), Err(Error::WouldBlock));
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    tcp.is_in(State::Established);
    tcp.sends_nothing();
    assert_eq!(tcp.counters().passive_opens.get(), 1);
}

#[test]
fn active_open() {
    let mut tcp = Exchange::new(plain());
    let conn = tcp.connect();
    tcp.sends(syn().seq(100).win(65_535).mss(1_460)); // figure 6
    tcp.is_in(State::SynSent);
    assert_eq!(tcp.engine.status(conn), Err(Error::InProgress));
    tcp.receives(syn_ack().seq(300).ack(101).mss(1_460));
    tcp.sends(ack().seq(101).ack(301));
    tcp.is_in(State::Established);
    assert_eq!(tcp.engine.status(conn), Ok(()));
    assert_eq!(tcp.counters().active_opens.get(), 1);
}

/// All options of ours in the SYN, and those that both sides have in what follows.
#[test]
fn options_are_agreed_on() {
    let mut config = plain();
    config.tcp.timestamps = true;
    config.tcp.window_scale = true;
    let mut tcp = Exchange::listening(config.clone());
    tcp.receives(syn().seq(300).win(1_000).mss(1_200).scale(7).ts(5_000));
    let answer = tcp.sent_segment(String::new);
    let options = answer.options.unwrap();
    let ours = options.timestamps.unwrap();
    assert_eq!(ours.echo, 5_000);
    let wanted = Options {
        mss: Some(1_460),
        window_scale: Some(5), // the smallest that can say 1 MiB
        timestamps: Some(ours),
        ..Options::NONE
    };
    assert_eq!((options, answer.window), (wanted, Some(65_535)), "a SYN's window is not scaled");
    tcp.receives(ack().seq(301).ack(101).win(10).ts(5_001));
    let conn = tcp.accepts();
    let info = tcp.engine.info(conn).unwrap();
    assert_eq!((info.window_scale, info.timestamps, info.snd_wnd), (Some((7, 5)), true, 10 << 7));
    assert_eq!(info.snd_mss, 1_200 - 12, "timestamps take their room");
    tcp.write("x");
    let timestamps = Some(Timestamps { value: ours.value, echo: 5_001 });
    let options = Options { timestamps, ..Options::NONE };
    tcp.sends(data("x").seq(101).ack(301).options(options));
    drop(tcp);

    // a peer that offers nothing gets nothing
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301).mss(1_460));
    tcp.receives(ack().seq(301).ack(101));
    let conn = tcp.accepts();
    let info = tcp.engine.info(conn).unwrap();
    assert_eq!((info.window_scale, info.timestamps, info.snd_mss), (None, false, 536)); // MUST-15
}

/// RFC 9293 figure 7.
#[test]
fn simultaneous_open() {
    let mut tcp = Exchange::new(plain());
    tcp.connect();
    tcp.sends(syn().seq(100));
    tcp.receives(syn().seq(300)); // theirs crossed ours
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.is_in(State::SynReceived);
    tcp.receives(syn_ack().seq(300).ack(101));
    tcp.is_in(State::Established);
    tcp.write("a");
    tcp.sends(data("a").seq(101).ack(301));
}

/// RFC 9293 figure 8: an old duplicate SYN meets an active open of ours... and figure 9's answer to
/// an ACK of something that was never sent.
#[test]
fn a_wrong_ack_in_syn_sent_is_reset() {
    let mut tcp = Exchange::new(plain());
    tcp.connect();
    tcp.sends(syn().seq(100));
    for wrong in [99, 100, 102, 5_000] {
        tcp.receives(syn_ack().seq(300).ack(wrong));
        tcp.sends(rst().seq(wrong));
    }
    tcp.is_in(State::SynSent);
    tcp.receives(syn_ack().seq(300).ack(101));
    tcp.sends(ack().seq(101).ack(301));
}

/// RFC 9293 figure 8.
#[test]
fn recovery_from_an_old_duplicate_syn() {
    let mut tcp = Exchange::listening(plain());
    tcp.receives(syn().seq(90)); // the old duplicate
    tcp.sends(syn_ack().seq(100).ack(91));
    tcp.receives(rst().seq(91)); // the peer does not know of it
    tcp.next_incarnation();
    assert_eq!(tcp.engine.connections(), 0);
    tcp.handshake();
}

#[test]
fn refused() {
    let mut tcp = Exchange::new(plain());
    let conn = tcp.connect();
    tcp.sends(syn().seq(100));
    tcp.receives(rst_ack().ack(5_000)); // not about our SYN
    tcp.receives(rst()); // acknowledges nothing
    assert_eq!(tcp.engine.status(conn), Err(Error::InProgress));
    tcp.receives(rst_ack().ack(101));
    assert_eq!(tcp.engine.status(conn), Err(Error::Refused));
    assert_eq!(tcp.read(), Err(Error::Refused));
    assert_eq!(tcp.counters().attempt_fails.get(), 1);
}

#[test]
fn nobody_answers() {
    at_any_rhythm(|rhythm| {
        let mut tcp = Exchange::new(plain()).in_rhythm(rhythm);
        let conn = tcp.connect();
        tcp.sends(syn().seq(100));
        for second in [1, 3, 7, 15, 31, 63] {
            tcp.at(second * 1_000);
            tcp.sends(syn().seq(100).mss(1_460));
        }
        tcp.at(126_999);
        assert_eq!(tcp.engine.status(conn), Err(Error::InProgress));
        tcp.at(127_000);
        assert_eq!(tcp.engine.status(conn), Err(Error::TimedOut));
        assert_eq!(tcp.engine.write(conn, b"x"), Err(Error::TimedOut));
    });
}

/// What is written before the handshake is over goes out after it (RFC 9293 §3.10.2).
#[test]
fn writing_before_the_handshake_is_over() {
    let mut tcp = Exchange::new(plain());
    tcp.connect();
    tcp.sends(syn().seq(100));
    tcp.write("early");
    tcp.sends_nothing();
    tcp.receives(syn_ack().seq(300).ack(101));
    tcp.sends(data("early").seq(101).ack(301));
    tcp.sends_nothing();
}

/// The keyed ISN goes up with the clock, 250 a millisecond, and differs between peers (RFC 6528).
#[test]
fn initial_sequence_numbers() {
    let mut tcp = Exchange::listening(plain());
    let isn_of = |tcp: &mut Exchange, peer: &str| {
        tcp.remote = peer.parse().unwrap();
        tcp.next_incarnation();
        tcp.receives(syn().seq(300));
        let frame = tcp.sent_frame();
        tcp.receives(rst().seq(301));
        u32::from_be_bytes(frame[38..42].try_into().unwrap())
    };
    let first = isn_of(&mut tcp, "198.18.0.2:40000");
    let other = isn_of(&mut tcp, "198.18.0.2:40001");
    tcp.at(1_000);
    let second = isn_of(&mut tcp, "198.18.0.2:40000");
    assert_eq!(second.wrapping_sub(first), 250_000);
    assert_ne!(first, other);
}

/// Ephemeral ports differ for connections to one destination, and one in TIME-WAIT is not reused.
#[test]
fn ephemeral_ports() {
    let mut tcp = Exchange::new(plain());
    let mut ports = Vec::new();
    for _ in 0..20 {
        let remote: SocketAddr = "198.18.0.2:80".parse().unwrap();
        let conn = tcp.engine.connect(remote, ConnectOptions::default()).unwrap();
        tcp.owns(conn);
        (tcp.local, tcp.remote) = tcp.engine.addresses(conn).unwrap();
        tcp.next_incarnation();
        tcp.sends(syn().seq(100));
        tcp.receives(syn_ack().seq(300).ack(101));
        tcp.sends(ack().seq(101).ack(301));
        tcp.close();
        tcp.sends(fin().seq(101).ack(301));
        tcp.receives(fin().seq(301).ack(102));
        tcp.sends(ack().seq(102).ack(302));
        assert!(tcp.local.port() >= 32_768 && !ports.contains(&tcp.local.port()));
        ports.push(tcp.local.port());
    }
    tcp.only_time_wait(20);
    let taken = ConnectOptions { local: Some(tcp.local), ..ConnectOptions::default() };
    assert_eq!(tcp.engine.connect(tcp.remote, taken), Err(Error::AddressInUse));
}

#[test]
fn connecting_from_or_to_nowhere() {
    let mut tcp = Exchange::new(plain());
    let mut connect = |local: Option<&str>, remote: &str| {
        let local = local.map(|local| local.parse().unwrap());
        tcp.engine.connect(remote.parse().unwrap(), ConnectOptions { local, user: 0 })
    };
    assert_eq!(connect(None, "198.18.0.2:0"), Err(Error::Invalid));
    assert_eq!(connect(Some("198.18.0.9:1"), "198.18.0.2:80"), Err(Error::AddressNotAvailable));
    assert_eq!(connect(Some("198.18.0.1:1"), "[2001:db8::2]:80"), Err(Error::Invalid));
    assert_eq!(connect(None, "203.0.113.1:80"), Err(Error::Unreachable));
    assert_eq!(connect(None, "[::ffff:198.18.0.2]:80"), Err(Error::Unreachable));
}
