//! The SYN cache: RFC 4987 §3.3. What a half-open connection answers, and how long it lives.

use crate::segment::seg;
use crate::*;
use lastack::engine::{ListenOptions, Request};
use lastack::tcp::SynCookies;
use lastack::wire::tcp::Flags;

fn half_open(tcp: &Exchange) -> u64 {
    tcp.engine.metrics().syn_cache.get()
}

/// A connection in the cache: the peer is at 300, we are at 100.
fn asked(config: lastack::engine::Config) -> Exchange {
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    assert_eq!((half_open(&tcp), tcp.engine.connections()), (1, 0));
    tcp
}

#[test]
fn a_connection_is_made_when_the_handshake_is_complete() {
    let mut tcp = asked(plain());
    tcp.receives(data("hello").seq(301).ack(101));
    assert_eq!((half_open(&tcp), tcp.engine.connections()), (0, 1));
    tcp.accepts();
    tcp.reads("hello");
    tcp.sends(ack().seq(101).ack(306));
}

/// The SYN again and again gets the same answer, and each is waited for as the first.
#[test]
fn a_repeated_syn_changes_nothing() {
    let mut tcp = asked(plain());
    for at in [100, 200, 900] {
        tcp.at(at);
        tcp.receives(syn().seq(300));
        tcp.sends(syn_ack().seq(100).ack(301));
    }
    tcp.at(1_899);
    tcp.sends_nothing();
    tcp.about(1_900);
    tcp.sends(syn_ack().seq(100).ack(301));
    assert_eq!((half_open(&tcp), tcp.counters().synack_retrans.get()), (1, 1));
    tcp.at(3_000);
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.at(4_999);
    tcp.sends_nothing();
    tcp.about(5_000); // two seconds, after one retransmission
    tcp.sends(syn_ack().seq(100).ack(301));
}

/// A full cache keeps an entry for a second; whoever asks again within it, as peers do after a second,
/// has another one to complete the handshake.
#[test]
fn a_repeated_syn_is_waited_for_in_a_full_cache() {
    let mut config = plain();
    config.limits.syn_cache = 1;
    config.tcp.syn_cookies = SynCookies::Off;
    let mut tcp = asked(config);
    tcp.at(990);
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.at(1_500);
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
}

/// RFC 9293 §3.10.7.4 in SYN-RECEIVED, with RFC 5961.
#[test]
fn what_a_half_open_connection_answers() {
    let mut tcp = asked(plain());
    tcp.receives(syn().seq(5_000)); // another SYN in the window
    tcp.sends(ack().seq(101).ack(301));
    tcp.receives(syn().seq(200)); // an old one
    tcp.sends(ack().seq(101).ack(301));
    tcp.receives(ack().seq(301).ack(102)); // an ACK of what was never sent
    tcp.sends(rst().seq(102));
    tcp.receives(ack().seq(301).ack(100));
    tcp.sends(rst().seq(100));
    tcp.receives(ack().seq(300).ack(101)); // below the window
    tcp.sends(ack().seq(101).ack(301));
    tcp.receives(rst().seq(302)); // in the window, but not exact
    tcp.sends(ack().seq(101).ack(301));
    tcp.receives(rst().seq(299)); // out of it
    tcp.receives(seg(Flags::FIN).seq(301)); // no ACK
    tcp.sends_nothing();
    assert_eq!(half_open(&tcp), 1);
    tcp.receives(rst().seq(301));
    assert_eq!((half_open(&tcp), tcp.counters().attempt_fails.get()), (0, 1));
    tcp.receives(ack().seq(301).ack(101));
    tcp.sends(rst().seq(101));
}

#[test]
fn paws_protects_the_handshake() {
    let mut config = plain();
    config.tcp.timestamps = true;
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300).ts(5_000));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101)); // RFC 7323 §3.2
    tcp.sends_nothing();
    tcp.receives(ack().seq(301).ack(101).ts(4_999)); // RFC 7323 §5.3
    tcp.sends(ack().seq(101).ack(301));
    tcp.receives(ack().seq(301).ack(101).ts(5_000));
    tcp.accepts();
}

/// The fuller the cache, the fewer times a SYN-ACK is sent again.
#[test]
fn life_is_shorter_in_a_full_cache() {
    for (entries, retries) in [(1_u16, 5_u8), (4, 2), (8, 1), (12, 0), (16, 0)] {
        let mut config = plain();
        config.limits.syn_cache = 16;
        config.tcp.syn_cookies = SynCookies::Off;
        let mut tcp = Exchange::listening(config);
        for n in 0..entries {
            tcp.remote.set_port(40_000 + n);
            tcp.next_incarnation();
            tcp.receives(syn().seq(300));
            tcp.sends(syn_ack().seq(100).ack(301));
        }
        // by time the first ones go, the others may have a longer life: look at the very first round
        tcp.engine.poll(tcp.now() + core::time::Duration::from_millis(1_002));
        while tcp.engine.output().is_some() {}
        let left = half_open(&tcp);
        assert_eq!(left, if retries == 0 { 0 } else { entries.into() }, "{entries}");
        let mut now = tcp.now();
        for _ in 0..80_000 {
            now = now + core::time::Duration::from_millis(1);
            tcp.engine.poll(now);
            while tcp.engine.output().is_some() {}
        }
        let sent = tcp.counters().synack_retrans.get();
        assert!(sent >= u64::from(retries) * u64::from(entries), "{entries}: {sent}");
        assert!(sent <= 5 * u64::from(entries), "{entries}: {sent}");
        assert_eq!((half_open(&tcp), tcp.counters().attempt_fails.get()), (0, entries.into()));
        tcp.at_instant(now);
    }
}

/// Half-open connections go with their listener.
#[test]
fn the_listener_goes() {
    let mut tcp = asked(plain());
    let listener = tcp.listener.take().unwrap();
    tcp.engine.unlisten(listener).unwrap();
    assert_eq!(half_open(&tcp), 0);
    tcp.receives(ack().seq(301).ack(101));
    tcp.sends(rst().seq(101));
}

/// IPv6 has its entries in the same cache.
#[test]
fn over_ipv6() {
    let mut tcp = Exchange::new(plain());
    tcp.local = "[2001:db8::1]:80".parse().unwrap();
    tcp.remote = "[2001:db8::2]:40000".parse().unwrap();
    tcp.listen(ListenOptions::default()).unwrap();
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.about(1_000);
    tcp.sends(syn_ack().seq(100).ack(301));
    assert_eq!(half_open(&tcp), 1);
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    assert_eq!(half_open(&tcp), 0);
}

/// A source has its number of SYNs in a second; what goes beyond is dropped and counted.
#[test]
fn the_limit_of_a_source() {
    let mut config = plain();
    config.tcp.syn_limit_per_s = Some(3);
    let mut tcp = Exchange::listening(config);
    for (second, ports) in [(0, 40_000..40_005), (1, 41_000..41_005)] {
        tcp.at(second * 1_000 + 100);
        while tcp.sent_segments_now() > 0 {}
        let taken = ports.filter(|&port| {
            tcp.remote.set_port(port);
            tcp.next_incarnation();
            tcp.receives(syn().seq(300));
            let answered = tcp.sent_segments_now() > 0;
            tcp.receives(rst().seq(301));
            answered
        });
        assert_eq!(taken.count(), 3);
    }
    assert_eq!(tcp.counters().syn_limited.get(), 4);
    tcp.engine.mailbox().send(Request::SetSynLimit(None)).unwrap();
    tcp.at(1_200);
    tcp.next_incarnation();
    tcp.handshake();
}

/// What a challenge ACK announced before the handshake was complete is not taken back after it.
#[test]
fn the_window_of_a_challenge_is_kept() {
    let mut config = plain();
    config.tcp.window_scale = true;
    (config.tcp.receive_buffer, config.tcp.receive_window) = (700_001, 30_001);
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300).scale(7));
    let answer = tcp.sent_segment(String::new);
    assert_eq!(answer.window, Some(30_001));
    let shift = answer.options.unwrap().window_scale.unwrap();
    tcp.receives(syn().seq(5_000));
    let challenge = tcp.sent_segment(String::new);
    tcp.receives(data("x").seq(301).ack(101));
    tcp.accepts();
    let first = tcp.sent_segment(String::new);
    let edge = |of: &crate::segment::Seg| of.ack + (u32::from(of.window.unwrap()) << shift);
    assert_eq!((challenge.ack, first.ack), (301, 302));
    assert!(edge(&challenge) >= 301 + 30_001 && edge(&first) >= edge(&challenge));
    tcp.reads("x");
}
