//! SYN cookies: RFC 4987 §3.6. Nothing is kept of a SYN, and a connection comes out of its ACK.

use crate::segment::Seg;
use crate::*;
use core::time::Duration;
use lastack::engine::{Config, Error, ListenOptions, Request};
use lastack::port::{Frames, RxChecksum, RxFrame};
use lastack::tcp::cookie::{CLASSES_V4, CLASSES_V6, CookieSecret, SLOT_S};
use lastack::tcp::{SynCookies, TimeWaitPolicy};
use lastack::wire::tcp::{Flags, Segment};

/// A slot, and a little more than the life of a cookie, in milliseconds.
const SLOT_MS: u64 = SLOT_S * 1_000;
const LIFE_MS: u64 = 2 * SLOT_MS;

fn always() -> Config {
    let mut config = plain();
    config.tcp.syn_cookies = SynCookies::Always;
    config
}

fn with_everything(mode: SynCookies) -> Config {
    let mut config = plain();
    config.tcp.timestamps = true;
    config.tcp.window_scale = true;
    config.tcp.sack = true;
    config.tcp.ecn = true;
    config.tcp.syn_cookies = mode;
    config
}

/// Nothing is known of any handshake.
fn nothing_kept(tcp: &Exchange) {
    let metrics = tcp.engine.metrics();
    assert_eq!((tcp.engine.connections(), metrics.syn_cache.get(), tcp.engine.timers()), (0, 0, 0));
}

#[test]
fn a_cookie_makes_a_connection() {
    let mut tcp = Exchange::listening(always());
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    nothing_kept(&tcp);
    tcp.at(30_000); // no SYN-ACK goes out again, since nobody knows of it
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    tcp.write("hello");
    tcp.sends(data("hello").seq(101).ack(301));
    let counters = tcp.counters();
    assert_eq!((counters.cookies_sent.get(), counters.cookies_received.get()), (1, 1));
    assert_eq!((counters.cookies_failed.get(), counters.passive_opens.get()), (0, 1));
    tcp.receives(ack().seq(301).ack(106));
}

/// Whatever the peer offers, a cookie restores what fits into it: all with timestamps, the MSS alone
/// without.
#[test]
fn every_combination_of_options_comes_back() {
    for (case, local, remote) in [
        (0, "198.18.0.1:80", "198.18.0.2:40000"),
        (1, "[2001:db8::1]:80", "[2001:db8::2]:40000"),
        (2, "198.18.0.1:80", "198.18.0.2:40000"),
    ] {
        for bits in 0..16_u8 {
            let [ts, scale, sack, ecn] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
            let mut found = [SynCookies::Off, SynCookies::Always].map(|mode| {
                let mut config = with_everything(mode);
                config.interface.vlan = (case == 2).then_some(7);
                let mut tcp = Exchange::new(config);
                (tcp.local, tcp.remote) = (local.parse().unwrap(), remote.parse().unwrap());
                tcp.listen(ListenOptions::default()).unwrap();
                let mut ask = syn().seq(300).mss(1_360);
                ask = if ts { ask.ts(5_000) } else { ask };
                ask = if scale { ask.scale(9) } else { ask };
                ask = if sack { ask.sack_permitted() } else { ask };
                ask = if ecn { ask.with(Flags::ECE | Flags::CWR) } else { ask };
                tcp.receives(ask);
                let answer = tcp.sent_segment(String::new);
                let stamp = answer.options.unwrap().timestamps;
                assert_eq!(stamp.map(|ts| ts.echo), ts.then_some(5_000));
                let first = ack().seq(301).ack(101).win(500);
                tcp.receives(match stamp {
                    Some(ts) => first.echo(5_001, ts.value),
                    None => first,
                });
                let conn = tcp.accepts();
                let info = tcp.engine.info(conn).unwrap();
                let agreed = answer.options.unwrap();
                assert_eq!(agreed.sack_permitted, info.sack, "what was said is what is done");
                assert_eq!(agreed.window_scale.is_some(), info.window_scale.is_some());
                assert_eq!(answer.flags.contains(Flags::ECE), info.ecn);
                (
                    info.timestamps,
                    info.window_scale,
                    info.sack,
                    info.ecn,
                    info.snd_mss,
                    info.snd_wnd,
                )
            });
            if !ts {
                assert_eq!(found[1], (false, None, false, false, 1_360, 500), "{bits}");
                found[0] = found[1];
            }
            assert_eq!(found[0], found[1], "{case} {bits}");
        }
    }
}

/// Frames in buffers of their own.
struct Buffers {
    frames: Vec<Vec<u8>>,
    answers: Vec<Vec<u8>>,
}

impl Frames for Buffers {
    fn frame(&self, index: usize) -> RxFrame<'_> {
        RxFrame { bytes: &self.frames[index], checksum: RxChecksum::Unknown }
    }

    fn answer(
        &mut self,
        index: usize,
        longest: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
        let mut buffer = std::mem::take(&mut self.frames[index]);
        buffer.resize(buffer.len().max(longest), 0xee);
        let len = write(&mut buffer);
        assert!(len <= longest);
        buffer.truncate(len);
        self.answers.push(buffer);
        true
    }
}

/// A SYN that is answered where it lies gets, octet for octet, the frame that it would get otherwise.
#[test]
fn an_answer_in_place_is_the_same_frame() {
    for (vlan, local, remote) in [
        (None, "198.18.0.1:80", "198.18.0.2:40000"),
        (Some(7), "198.18.0.1:80", "198.18.0.2:40000"),
        (None, "[2001:db8::1]:80", "[2001:db8::2]:40000"),
        (Some(7), "[2001:db8::1]:80", "[2001:db8::2]:40000"),
    ] {
        for bits in 0..16_u8 {
            let [ts, scale, sack, ecn] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
            let mut ask = syn().seq(300 + u32::from(bits));
            ask = if ts { ask.mss(1_360).ts(5_000) } else { ask };
            ask = if scale { ask.scale(9) } else { ask };
            ask = if sack { ask.sack_permitted() } else { ask };
            ask = if ecn { ask.with(Flags::ECE | Flags::CWR) } else { ask };
            let mut two = [(); 2].map(|()| {
                let mut config = with_everything(SynCookies::Always);
                config.interface.vlan = vlan;
                let mut tcp = Exchange::new(config);
                (tcp.local, tcp.remote) = (local.parse().unwrap(), remote.parse().unwrap());
                tcp.listen(ListenOptions::default()).unwrap();
                tcp
            });
            let frame = two[0].frame_of(&ask);
            two[0].receives_frame(&frame);
            let queued = two[0].sent_frame();
            // a stray beside it is answered as ever
            let stray = two[1].frame_of(&ack().seq(1).ack(77));
            let mut burst = Buffers { frames: vec![stray, frame], answers: Vec::new() };
            let now = two[1].now();
            two[1].engine.input_burst(2, &mut burst, now);
            assert_eq!(burst.answers, [queued], "{local} {bits}");
            assert!(two[1].sent_segment(String::new).flags.contains(Flags::RST));
            two[1].sends_nothing();
            let [a, b] = two.map(|tcp| {
                let metrics = tcp.engine.metrics().clone();
                let counters = &metrics.tcp;
                let sent = (metrics.tx_packets.get(), metrics.tx_bytes.get());
                (
                    sent,
                    counters.out_segs.get(),
                    counters.out_rsts.get(),
                    counters.cookies_sent.get(),
                )
            });
            let rst_len = b.0.1 - a.0.1;
            let with_rst = ((a.0.0 + 1, a.0.1 + rst_len), a.1 + 1, a.2 + 1, a.3);
            assert_eq!(b, with_rst);
        }
    }
}

/// The MSS comes back as the class below it, never as more than the peer takes.
#[test]
fn the_mss_comes_back_as_its_class() {
    let classes = |classes: [u16; 8], mss: u16| classes.into_iter().rfind(|&c| c <= mss.max(64));
    for mss in [64, 535, 536, 1_000, 1_220, 1_379, 1_400, 1_459, 1_460, 9_000] {
        for (table, local, remote) in [
            (CLASSES_V4, "198.18.0.1:80", "198.18.0.2:40000"),
            (CLASSES_V6, "[2001:db8::1]:80", "[2001:db8::2]:40000"),
        ] {
            let mut tcp = Exchange::new(always());
            (tcp.local, tcp.remote) = (local.parse().unwrap(), remote.parse().unwrap());
            tcp.listen(ListenOptions::default()).unwrap();
            tcp.receives(syn().seq(300).mss(mss));
            tcp.sends(syn_ack().seq(100).ack(301));
            tcp.receives(ack().seq(301).ack(101));
            let conn = tcp.accepts();
            let link = if tcp.local.is_ipv4() { 1_460 } else { 1_440 };
            let expected = classes(table, mss).unwrap().min(link);
            assert_eq!(tcp.engine.info(conn).unwrap().snd_mss, u32::from(expected), "{mss}");
        }
    }
}

#[test]
fn what_rides_on_the_ack_is_not_lost() {
    let mut tcp = Exchange::listening(always());
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(data("first words").seq(301).ack(101));
    tcp.accepts();
    tcp.reads("first words");
    tcp.sends(ack().seq(101).ack(312));
    drop(tcp);

    // a FIN with them
    let mut tcp = Exchange::listening(always());
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(data("all of it").seq(301).ack(101).with(Flags::FIN));
    tcp.accepts();
    tcp.sends(ack().seq(101).ack(311));
    tcp.reads("all of it");
    tcp.reads_eof();
    drop(tcp);

    // a RST makes nothing
    let mut tcp = Exchange::listening(always());
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(rst_ack().seq(301).ack(101));
    tcp.sends_nothing();
    nothing_kept(&tcp);
}

/// What is no cookie of ours is answered as any ACK for nothing: RFC 9293 §3.10.7.1.
#[test]
fn forged_cookies_are_refused() {
    let mut tcp = Exchange::listening(always());
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    let remote = tcp.remote;
    let mut refused = 0;
    let mut refuses = |tcp: &mut Exchange, segment: Seg| {
        let seq = segment.ack;
        tcp.receives(segment);
        tcp.sends(rst().seq(seq));
        refused += 1;
        assert_eq!(tcp.counters().cookies_failed.get(), refused);
        nothing_kept(tcp);
    };
    for class in 1..8_u32 {
        refuses(&mut tcp, ack().seq(301).ack(101_u32.wrapping_add(class << 29)));
    }
    for bit in 0..29 {
        refuses(&mut tcp, ack().seq(301).ack(101 + (1 << bit)));
    }
    refuses(&mut tcp, ack().seq(302).ack(101)); // another initial sequence number of theirs
    tcp.remote.set_port(40_001);
    refuses(&mut tcp, ack().seq(301).ack(101));
    tcp.remote = "198.18.0.3:40000".parse().unwrap();
    refuses(&mut tcp, ack().seq(301).ack(101));
    tcp.remote = remote;
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
}

/// A cookie is good in its slot and in the next one, and never again.
#[test]
fn cookies_have_a_life() {
    for (at, good) in
        [(SLOT_MS - 10_100, true), (SLOT_MS, true), (LIFE_MS, false), (3 * SLOT_MS, false)]
    {
        let mut tcp = Exchange::listening(always());
        tcp.receives(syn().seq(300));
        tcp.sends(syn_ack().seq(100).ack(301));
        tcp.at(at);
        tcp.receives(ack().seq(301).ack(101));
        if good {
            tcp.accepts();
            continue;
        }
        tcp.sends(rst().seq(101));
        nothing_kept(&tcp);
    }
}

/// After a connection has ended by RST its ACK may make another one while the cookie lives, and that
/// is all that a replay can do.
#[test]
fn a_replay_is_good_for_the_life_of_the_cookie_only() {
    let mut tcp = Exchange::listening(always());
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    for at in [100, 200] {
        tcp.at(at);
        tcp.receives(ack().seq(301).ack(101));
        tcp.accepts();
        tcp.receives(rst().seq(301));
        assert_eq!(tcp.read(), Err(Error::Reset));
        tcp.close();
        nothing_kept(&tcp);
    }
    tcp.at(LIFE_MS);
    tcp.receives(ack().seq(301).ack(101));
    tcp.sends(rst().seq(101));
    nothing_kept(&tcp);
}

/// Listeners that have sent no cookie do not look for one.
#[test]
fn nothing_is_expected_where_nothing_was_sent() {
    for mode in [SynCookies::Off, SynCookies::Auto, SynCookies::Always] {
        let mut tcp = Exchange::listening(with_everything(mode));
        tcp.receives(ack().seq(301).ack(101));
        tcp.sends(rst().seq(101));
        assert_eq!(tcp.counters().cookies_failed.get(), 0);
    }
}

/// `auto`: cookies from when the cache is full until it is half empty, and its state can be seen.
#[test]
fn auto_begins_when_the_cache_is_full_and_ends_when_it_is_half_empty() {
    let mut config = plain();
    config.limits.syn_cache = 8;
    let mut tcp = Exchange::listening(config);
    let ask = |tcp: &mut Exchange, port| {
        tcp.remote.set_port(port);
        tcp.next_incarnation();
        tcp.receives(syn().seq(300));
        tcp.sends(syn_ack().seq(100).ack(301));
        let metrics = tcp.engine.metrics();
        (
            metrics.syn_cache.get(),
            metrics.syn_cookies_active.get(),
            tcp.counters().cookies_sent.get(),
        )
    };
    for n in 1..=8 {
        assert_eq!(ask(&mut tcp, 40_000 + n), (n.into(), 0, 0));
    }
    assert_eq!(ask(&mut tcp, 50_000), (8, 1, 1));
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    // three fewer are too few for relief
    let forget = |tcp: &mut Exchange, port| {
        tcp.remote.set_port(port);
        tcp.receives(rst().seq(301));
    };
    (40_001..=40_003).for_each(|port| forget(&mut tcp, port));
    assert_eq!(ask(&mut tcp, 50_001), (5, 1, 2));
    forget(&mut tcp, 40_004);
    assert_eq!(ask(&mut tcp, 50_002), (5, 0, 2));
    assert_eq!(tcp.counters().full_do_cookies.get(), 2);
    (40_005..=40_008).chain([50_002]).for_each(|port| forget(&mut tcp, port));
    assert_eq!(tcp.engine.metrics().syn_cache.get(), 0);
}

/// With `off` a full cache drops, and counts.
#[test]
fn off_drops_when_the_cache_is_full() {
    let mut config = plain();
    config.limits.syn_cache = 1;
    config.tcp.syn_cookies = SynCookies::Off;
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    let first = tcp.remote;
    tcp.remote.set_port(40_001);
    tcp.receives(syn().seq(300));
    tcp.sends_nothing();
    let counters = tcp.counters();
    assert_eq!((counters.full_drop.get(), counters.listen_drops.get()), (1, 1));
    tcp.remote = first;
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
}

/// A listener may have its own mode, and the engine's can be changed while it runs.
#[test]
fn the_mode_by_listener_and_by_mailbox() {
    let mut tcp = Exchange::new(plain());
    let syn_cookies = Some(SynCookies::Always);
    tcp.listen(ListenOptions { syn_cookies, ..ListenOptions::default() }).unwrap();
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    nothing_kept(&tcp);
    drop(tcp);

    let mut tcp = Exchange::listening(plain());
    tcp.engine.mailbox().send(Request::SetSynCookies(SynCookies::Always)).unwrap();
    tcp.at(10);
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    nothing_kept(&tcp);
    // what was sent with a cookie is no longer taken when cookies are off
    tcp.engine.set_syn_cookies(SynCookies::Off);
    tcp.receives(ack().seq(301).ack(101));
    tcp.sends(rst().seq(101));
}

/// There is no room for another connection: its ACK is ignored, and data that comes again finds room
/// later.
#[test]
fn a_full_backlog_puts_a_cookie_off() {
    let mut tcp = Exchange::new(always());
    tcp.listen(ListenOptions { backlog: 1, ..ListenOptions::default() }).unwrap();
    tcp.handshake_unaccepted();
    let first = tcp.remote;
    tcp.remote.set_port(40_001);
    tcp.next_incarnation();
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.receives(ack().seq(301).ack(101));
    tcp.sends_nothing();
    assert_eq!(tcp.counters().listen_overflows.get(), 1);
    let second = tcp.remote;
    tcp.remote = first;
    tcp.accepts();
    tcp.remote = second;
    tcp.receives(data("again").seq(301).ack(101));
    tcp.accepts();
    tcp.reads("again");
    tcp.sends(ack().seq(101).ack(306));
}

/// Hosts behind one address that share a secret take each other's cookies.
/// One copy of a SYN was answered with a cookie and another filed: the peer believes the answer that it
/// got first.
#[test]
fn a_cookie_is_good_beside_a_half_open_connection() {
    let mut tcp = Exchange::listening(always());
    tcp.receives(syn().seq(300));
    tcp.sends(syn_ack().seq(100).ack(301));
    tcp.engine.mailbox().send(Request::SetSynCookies(SynCookies::Auto)).unwrap();
    tcp.at(1);
    tcp.receives(syn().seq(300));
    let second = tcp.sent_segment(String::new);
    assert_eq!((second.ack, tcp.engine.metrics().syn_cache.get()), (301, 1));
    assert_ne!(second.seq, 100);
    tcp.receives(ack().seq(301).ack(103)); // neither
    tcp.sends(rst().seq(103));
    tcp.receives(data("hello").seq(301).ack(101));
    tcp.accepts();
    tcp.reads("hello");
    tcp.sends(ack().seq(101).ack(306));
    let counters = tcp.counters();
    assert_eq!((counters.cookies_failed.get(), counters.cookies_received.get()), (1, 1));
    assert_eq!((tcp.engine.metrics().syn_cache.get(), tcp.engine.connections()), (0, 1));
}

#[test]
fn a_shared_secret() {
    let shared = |key: u8, epoch: u64, seed: u8| {
        let mut config = always();
        config.seed = [seed; 32];
        config.cookie_secret =
            Some(CookieSecret { key: [key; 16], epoch: Duration::from_secs(epoch) });
        Exchange::listening(config)
    };
    for (key, epoch, good) in [(1, 1_000_000, true), (2, 1_000_000, false), (1, 1_000_200, false)] {
        let mut one = shared(1, 1_000_000, 1);
        one.receives(syn().seq(300));
        let answer = one.sent_frame();
        let number = Segment::parse(&answer[34..]).unwrap().seq;
        let mut other = shared(key, epoch, 2);
        other.receives(ack().seq(301).ack((number + 1).value()));
        if good {
            other.accepts();
            one.receives(rst().seq(301));
        } else {
            other.sends(rst().seq((number + 1).value()));
            assert_eq!(other.counters().cookies_failed.get(), 1);
        }
    }
}

/// A 4-tuple in TIME-WAIT is opened again by a cookie, if timestamps tell the incarnations apart; the
/// entry stays until the ACK comes, and old segments do not end it.
#[test]
fn a_cookie_reopens_time_wait() {
    for policy in [TimeWaitPolicy::Reuse, TimeWaitPolicy::Strict] {
        let mut config = with_everything(SynCookies::Always);
        config.tcp.time_wait = policy;
        let mut tcp = Exchange::listening(config);
        let cookie = |tcp: &mut Exchange, ts| {
            tcp.receives(syn().seq(300).ts(ts));
            tcp.sent_segment(String::new)
        };
        let stamp = cookie(&mut tcp, 5_000).options.unwrap().timestamps.unwrap().value;
        tcp.receives(ack().seq(301).ack(101).echo(5_001, stamp));
        tcp.accepts();
        tcp.close();
        tcp.sends(fin().seq(101).ack(301));
        tcp.receives(fin().seq(301).ack(102).echo(5_002, stamp));
        tcp.sends(ack().seq(102).ack(302));
        tcp.only_time_wait(1);
        let answer = {
            tcp.next_incarnation();
            cookie(&mut tcp, 6_000)
        };
        tcp.only_time_wait(1);
        if policy == TimeWaitPolicy::Strict {
            assert_eq!(answer.flags, Flags::ACK, "as any SYN there");
            continue;
        }
        let stamp = answer.options.unwrap().timestamps.unwrap().value;
        tcp.receives(ack().seq(301).ack(101).echo(5_002, stamp)); // not later than the last one
        tcp.receives(ack().seq(302).ack(101).echo(6_001, stamp)); // no cookie
        let answers = tcp.sent_segments();
        assert!(answers.iter().all(|answer| answer.flags == Flags::ACK && answer.ack == 302));
        // without an ACK bit there is no cookie, whatever the field says
        let unset = segment::Seg { payload: b"new".to_vec(), ..segment::seg(Flags::PSH) };
        let Some(cookie) = tcp.cookie_number() else { panic!("a SYN-ACK was sent") };
        tcp.receives(unset.seq(301).ack(cookie).echo(6_001, stamp));
        tcp.only_time_wait(1);
        tcp.receives(data("new").seq(301).ack(101).echo(6_001, stamp));
        assert_eq!(tcp.engine.time_wait(), 0);
        tcp.accepts();
        tcp.reads("new");
        tcp.sends(ack().seq(101).ack(304));
        let counters = tcp.counters();
        assert_eq!((counters.tw_reused_timestamp.get(), counters.cookies_received.get()), (1, 2));
    }
}
