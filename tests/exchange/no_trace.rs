//! A segment that is discarded leaves no trace: nothing of it is kept before all checks have passed
//! (RFC 5961 §5.2, RFC 9293 §3.10.7.4).

use crate::*;
use core::time::Duration;
use lastack::engine::{Config, Error};
use lastack::tcp::{KeepAlive, State};
use lastack::wire::tcp::Flags;

/// An ACK of what was never sent.
const NEVER_SENT: u32 = 101 + 70_000;

fn with_timestamps() -> Config {
    let mut config = plain();
    config.tcp.timestamps = true;
    config
}

fn established_with_timestamps() -> Exchange {
    let mut tcp = Exchange::listening(with_timestamps());
    tcp.receives(syn().seq(300).mss(1_460).ts(5_000));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101).ts(5_001));
    tcp.accepts();
    tcp
}

/// The timestamp that our next segment echoes.
#[track_caller]
fn next_echo(tcp: &mut Exchange) -> Option<u32> {
    let sent = tcp.sent_segment(|| "a segment".to_owned());
    sent.options.and_then(|options| options.timestamps).map(|ts| ts.echo)
}

#[test]
fn the_timestamp_of_a_bad_ack() {
    let mut tcp = established_with_timestamps();
    tcp.receives(ack().seq(301).ack(NEVER_SENT).ts(905_001));
    assert_eq!(next_echo(&mut tcp), Some(5_001));
    // older than any window
    tcp.receives(ack().seq(301).ack(101_u32.wrapping_sub(64_001)).ts(905_001));
    assert_eq!(next_echo(&mut tcp), Some(5_001));
    tcp.receives(data("good").seq(301).ack(101).ts(5_002));
    assert_eq!(next_echo(&mut tcp), Some(5_002));
    tcp.reads("good");
}

/// A wrong ACK in SYN-RECEIVED is answered by a RST, and that is all.
#[test]
fn the_timestamp_of_a_bad_ack_in_syn_received() {
    let mut tcp = Exchange::new(with_timestamps());
    tcp.connect();
    tcp.sends(syn().seq(100));
    tcp.receives(syn().seq(300).ts(5_000));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.is_in(State::SynReceived);
    tcp.receives(ack().seq(301).ack(7_777).ts(905_000));
    assert_eq!(next_echo(&mut tcp), Some(5_000)); // of the RST
    tcp.receives(syn_ack().seq(300).ack(101).ts(5_001));
    tcp.is_in(State::Established);
    tcp.receives(data("good").seq(301).ack(101).ts(5_002));
    assert_eq!(next_echo(&mut tcp), Some(5_002));
}

/// A RST that is a SYN too establishes nothing.
#[test]
fn a_reset_with_syn_in_syn_received() {
    let mut tcp = Exchange::new(plain());
    tcp.connect();
    tcp.sends(syn().seq(100));
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(syn_ack().seq(300).ack(101).with(Flags::RST));
    tcp.sends_nothing();
    tcp.is_in(State::SynReceived);
    tcp.receives(syn_ack().seq(300).ack(101));
    tcp.is_in(State::Established);
}

#[test]
fn the_urgent_pointer_and_the_window_of_a_bad_ack() {
    let mut tcp = Exchange::established(plain());
    tcp.receives(data("x").seq(301).ack(NEVER_SENT).win(0).urgent(1));
    tcp.sends(ack().seq(101).ack(301));
    assert_eq!(tcp.engine.info(tcp.conn()).unwrap().urgent, None);
    assert_eq!(tcp.read(), Err(Error::WouldBlock));
    tcp.write("hello"); // into a window that is still open
    tcp.sends(data("hello").seq(101).ack(301));
}

#[test]
fn the_keep_alive_clock_and_a_bad_ack() {
    let mut config = plain();
    let (idle, interval) = (Duration::from_secs(10), Duration::from_secs(1));
    config.tcp.keep_alive = Some(KeepAlive { idle, interval, count: 2 });
    let mut tcp = Exchange::established(config);
    tcp.at(9_000);
    tcp.receives(ack().seq(301).ack(NEVER_SENT));
    tcp.sends(ack().seq(101).ack(301));
    tcp.at(10_000);
    tcp.sends(ack().seq(100).ack(301)); // the probe is not put off
}

/// RFC 2883 reports what the peer sent twice, not what somebody else did.
#[test]
fn old_text_with_a_bad_ack_is_no_duplicate() {
    let mut config = plain();
    config.tcp.sack = true;
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300).mss(1_460).sack_permitted());
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    tcp.receives(data("hello").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(306));
    tcp.receives(data("hello").seq(301).ack(NEVER_SENT));
    tcp.sends(ack().seq(101).ack(306).sack(&[]));
    tcp.receives(data("hello").seq(301).ack(101));
    tcp.sends(ack().seq(101).ack(306).sack(&[(301, 306)]));
}
