//! TIME-WAIT: how long, how often it answers, and what happens at its limits.

use crate::time_wait::{TICK, TWO_MSL, close_first, in_time_wait, lasts_from};
use crate::*;
use core::net::SocketAddr;
use core::time::Duration;
use lastack::engine::{Config, Error, ListenOptions, Request};
use lastack::tcp::time_wait::Farewell;
use lastack::tcp::{Config as Habits, TimeWaitPolicy, Tuple};
use lastack::wire::seq::SeqNumber;

const MSL_1S: Duration = Duration::from_secs(1);

/// Our last ACK is lost n times: each repeated FIN is acknowledged and begins 2·MSL anew.
#[test]
fn a_last_ack_that_is_lost_again_and_again() {
    for losses in [1_u32, 2, 7, 40] {
        let mut tcp = in_time_wait(plain());
        let mut at = 0;
        for n in 0..losses {
            at += 1_000 << n.min(5); // a peer's retransmission time-out doubles
            tcp.at(at);
            tcp.receives(fin().seq(301).ack(102));
            tcp.sends(ack().seq(102).ack(302));
        }
        let counters = tcp.counters();
        assert_eq!(counters.tw_fin_reacked.get(), u64::from(losses));
        assert_eq!(counters.tw_restarted.get(), u64::from(losses));
        let since = tcp.now();
        lasts_from(&mut tcp, since);
    }
}

/// The FIN may come again with the octets before it.
#[test]
fn a_repeated_fin_with_its_data() {
    let mut tcp = Exchange::established(plain());
    tcp.close();
    tcp.sends(fin().seq(101).ack(301));
    tcp.receives(data("last words").seq(301).ack(102).with(lastack::wire::tcp::Flags::FIN));
    tcp.sent_segments(); // our end takes nothing more: a RST, RFC 1122 §4.2.2.13
    drop(tcp);

    let mut tcp = Exchange::established(plain());
    tcp.shutdown();
    tcp.sends(fin().seq(101).ack(301));
    let last_words = || data("last words").seq(301).ack(102).with(lastack::wire::tcp::Flags::FIN);
    tcp.receives(last_words());
    tcp.sends(ack().seq(102).ack(312));
    tcp.reads("last words");
    tcp.close();
    tcp.at(500);
    let since = tcp.now();
    tcp.receives(last_words());
    tcp.sends(ack().seq(102).ack(312));
    assert_eq!(tcp.counters().tw_fin_reacked.get(), 1);
    lasts_from(&mut tcp, since);
}

/// What is acceptable and no FIN is acknowledged within the limit of the entry and begins 2·MSL anew
/// with each; what is not acceptable is acknowledged within the same limit and begins nothing.
#[test]
fn acks_are_limited_for_each_entry() {
    for (limit, expected) in [(10, 10), (3, 3), (200, 15), (0, 0)] {
        let mut config = plain();
        config.tcp.challenge_acks_per_s = limit;
        let mut tcp = in_time_wait(config);
        tcp.at(1_000); // well within a unit of the limiter
        for _ in 0..10 {
            tcp.receives(data("x").seq(400).ack(102));
            tcp.receives(data("x").seq(100).ack(102));
        }
        assert_eq!(tcp.sent_segments().len(), expected, "limit {limit}");
        assert_eq!(tcp.counters().tw_restarted.get(), 10);
        assert_eq!(tcp.counters().tw_ack_skipped.get(), 20 - expected as u64);
        // FINs are not held back by that
        for _ in 0..30 {
            tcp.receives(fin().seq(301).ack(102));
            tcp.sends(ack().seq(102).ack(302));
        }
        let since = tcp.now();
        tcp.at(4_000); // a later unit
        tcp.receives(data("x").seq(100).ack(102));
        assert_eq!(tcp.sent_segments().len(), usize::from(limit > 0));
        lasts_from(&mut tcp, since);
    }
}

/// Entries keep the MSL that they began with; those that begin later, or anew, take the new one.
#[test]
fn msl_changes_while_entries_wait() {
    let mut tcp = Exchange::listening(plain());
    let open_and_close = |tcp: &mut Exchange, port| {
        tcp.remote.set_port(port);
        tcp.next_incarnation();
        tcp.handshake();
        close_first(tcp);
    };
    open_and_close(&mut tcp, 40_000);
    open_and_close(&mut tcp, 40_001);
    tcp.at(1_000);
    tcp.engine.set_msl(MSL_1S).unwrap();
    open_and_close(&mut tcp, 40_002); // until 3,000
    tcp.remote.set_port(40_001);
    tcp.receives(fin().seq(301).ack(0)); // begins anew, until 3,000: its numbers are of no account
    assert_eq!(tcp.sent_segments().len(), 1);
    tcp.at(2_999);
    assert_eq!(tcp.engine.time_wait(), 3);
    tcp.at(3_002);
    assert_eq!(tcp.engine.time_wait(), 1);
    tcp.engine.set_msl(Duration::from_secs(120)).unwrap();
    open_and_close(&mut tcp, 40_003); // until 243,002
    tcp.at(59_999);
    assert_eq!(tcp.engine.time_wait(), 2);
    tcp.at(60_002);
    assert_eq!(tcp.engine.time_wait(), 1);
    tcp.at(243_000);
    assert_eq!(tcp.engine.time_wait(), 1);
    tcp.at(243_005);
    assert_eq!(tcp.engine.time_wait(), 0);
}

#[test]
fn msl_has_bounds() {
    let mut tcp = Exchange::new(plain());
    for bad in [Duration::ZERO, Habits::MAX_MSL + Duration::from_nanos(1)] {
        assert_eq!(tcp.engine.set_msl(bad), Err(Error::Invalid));
        let options = ListenOptions { msl: Some(bad), ..ListenOptions::default() };
        assert_eq!(tcp.listen(options), Err(Error::Invalid));
        for on_link in [false, true] {
            let mut config = plain();
            if on_link {
                config.tcp.msl_on_link = Some(bad)
            } else {
                config.tcp.msl = bad
            }
            assert!(config.check().unwrap_err().to_string().starts_with("msl"), "{bad:?}");
        }
    }
    assert_eq!(tcp.engine.set_msl(Habits::MAX_MSL), Ok(()));
}

/// The longest MSL is more than a turn of the wheel.
#[test]
fn the_longest_msl() {
    let mut config = plain();
    config.tcp.msl = Habits::MAX_MSL;
    let mut tcp = in_time_wait(config);
    tcp.at(959_999);
    assert_eq!(tcp.engine.time_wait(), 1);
    tcp.at(960_002);
    assert_eq!(tcp.engine.time_wait(), 0);
}

#[test]
fn a_listener_may_have_its_own_msl() {
    let mut tcp = Exchange::new(plain());
    tcp.listen(ListenOptions { msl: Some(MSL_1S), ..ListenOptions::default() }).unwrap();
    tcp.handshake();
    close_first(&mut tcp);
    tcp.at(1_999);
    assert_eq!(tcp.engine.time_wait(), 1);
    tcp.at(2_002);
    assert_eq!(tcp.engine.time_wait(), 0);
}

/// MSL by class: hosts on the link, and those behind a gateway.
#[test]
fn hosts_on_the_link_may_have_an_msl_of_their_own() {
    let config = || {
        let mut config = plain();
        config.interface.gateway_ipv4 = Some("198.18.0.2".parse().unwrap());
        config.tcp.msl_on_link = Some(MSL_1S);
        config
    };
    let ends = [("198.18.0.2:40000", 2_000), ("203.0.113.9:40000", 60_000)];
    for (remote, end) in ends {
        let mut tcp = Exchange::listening(config());
        tcp.remote = remote.parse::<SocketAddr>().unwrap();
        tcp.handshake();
        close_first(&mut tcp);
        tcp.at(end - 1);
        assert_eq!(tcp.engine.time_wait(), 1, "{remote}");
        tcp.at(end + 2);
        assert_eq!(tcp.engine.time_wait(), 0, "{remote}");
    }
}

fn filled(config: Config, entries: u16) -> Exchange {
    let mut tcp = Exchange::listening(config);
    for n in 0..entries {
        tcp.at(u64::from(n) * 100);
        tcp.remote.set_port(40_000 + n);
        tcp.next_incarnation();
        tcp.handshake();
        close_first(&mut tcp);
    }
    tcp
}

/// Is the 4-tuple with this port in TIME-WAIT? A repeated FIN tells.
fn waits(tcp: &mut Exchange, port: u16) -> bool {
    tcp.remote.set_port(port);
    tcp.receives(fin().seq(301).ack(777));
    let answer = tcp.sent_segments();
    assert_eq!(answer.len(), 1);
    !answer[0].flags.rst()
}

/// An entry that began anew is not the oldest.
#[test]
fn the_limit_recycles_what_has_waited_longest() {
    let mut config = plain();
    config.limits.max_time_wait = 4;
    let mut tcp = filled(config, 4);
    assert!(waits(&mut tcp, 40_000), "and begins anew");
    tcp.at(500);
    tcp.remote.set_port(40_004);
    tcp.next_incarnation();
    tcp.handshake();
    close_first(&mut tcp);
    assert_eq!((tcp.engine.time_wait(), tcp.counters().tw_recycled.get()), (4, 1));
    let waiting = [40_000, 40_001, 40_002, 40_003, 40_004].map(|port| waits(&mut tcp, port));
    assert_eq!(waiting, [true, false, true, true, true]);
    let since = tcp.now();
    tcp.at_instant(since + TWO_MSL + TICK);
    tcp.only_time_wait(0);
    let counters = tcp.counters();
    assert_eq!((counters.tw_entered.get(), counters.tw_expired.get()), (5, 4));
}

/// The limit is one for both families.
#[test]
fn the_limit_counts_ipv4_and_ipv6_together() {
    let mut config = plain();
    config.limits.max_time_wait = 3;
    let mut tcp = filled(config, 3);
    tcp.local = "[2001:db8::1]:80".parse().unwrap();
    tcp.listen(ListenOptions::default()).unwrap();
    tcp.remote = "[2001:db8::2]:40000".parse().unwrap();
    tcp.next_incarnation();
    tcp.handshake();
    close_first(&mut tcp);
    assert_eq!((tcp.engine.time_wait(), tcp.counters().tw_recycled.get()), (3, 1));
}

/// What the gauges say of a crowd that ends in one tick.
#[test]
fn gauges_tell_how_late_and_how_many() {
    let mut config = plain();
    config.limits.max_time_wait = 1_000;
    let mut tcp = Exchange::listening(config);
    for n in 0..1_000 {
        tcp.remote.set_port(30_000 + n);
        tcp.next_incarnation();
        tcp.handshake();
        close_first(&mut tcp);
    }
    let left = |tcp: &Exchange| {
        let edges = [1, 30, 60].map(Duration::from_secs);
        tcp.engine.metrics().time_wait_left.left(tcp.now(), &edges)
    };
    assert_eq!(left(&tcp).iter().sum::<u64>(), 1_000);
    tcp.at(30_500);
    assert_eq!(left(&tcp), [0, 1_000, 0, 0]);
    tcp.at(59_500);
    assert_eq!(left(&tcp), [1_000, 0, 0, 0]);
    let metrics = tcp.engine.metrics().clone();
    let late = tcp.now() + Duration::from_millis(1_500);
    assert_eq!(metrics.time_wait_left.overdue(late), 1_000);
    // the engine was not polled for a second: it is told in one poll after the other
    let mut polls = 0;
    while tcp.engine.time_wait() > 0 {
        assert!((1..=64).contains(&tcp.engine.poll(late)), "bounded, and it gets further");
        polls += 1;
    }
    assert!(polls >= 16);
    assert_eq!(metrics.time_wait_left.overdue(late), 0);
    assert_eq!(metrics.time_wait_lag.count(), 1_000);
    let second = 1_000_000_000;
    let (p99, max) = (metrics.time_wait_lag.quantile_ns(0.99), metrics.time_wait_lag.max_ns());
    assert!((second - 2_000_000..=second).contains(&max), "{max}");
    assert!((max..=max + max / 4).contains(&p99.max(max)), "{p99}");
    assert_eq!((metrics.time_wait.get(), metrics.time_wait_peak.get()), (0, 1_000));
    tcp.at_instant(late);
}

/// A poll in which frames arrived expires fewer, but always more than can have entered.
#[test]
fn the_load_goes_before_the_dead() {
    let mut config = plain();
    config.limits.max_time_wait = 1_000;
    config.tcp.msl = MSL_1S;
    let mut tcp = Exchange::listening(config);
    for n in 0..600 {
        tcp.remote.set_port(30_000 + n);
        tcp.next_incarnation();
        tcp.handshake();
        close_first(&mut tcp);
    }
    let last_fins: Vec<Vec<u8>> = (0..40)
        .map(|n| {
            tcp.remote.set_port(40_000 + n);
            tcp.next_incarnation();
            tcp.handshake();
            tcp.close();
            tcp.sends(fin().seq(101).ack(301));
            tcp.receives(ack().seq(301).ack(102));
            tcp.frame_of(&fin().seq(301).ack(102))
        })
        .collect();
    let late = tcp.now() + MSL_1S * 3;
    tcp.engine.poll(tcp.now());
    tcp.receives_burst(&vec![rst().seq(1); 40]);
    assert_eq!(tcp.engine.poll(late), 32);
    assert_eq!(tcp.engine.poll(late), 64);
    last_fins.iter().for_each(|frame| tcp.engine.input(frame, late));
    assert_eq!(tcp.engine.poll(late), 80);
    let answers = std::iter::from_fn(|| tcp.engine.output().map(drop)).count();
    assert_eq!(answers, 40);
    assert_eq!(tcp.engine.time_wait(), 600 + 40 - 32 - 64 - 80);
    while tcp.engine.poll(late) > 0 {}
    assert_eq!(tcp.engine.time_wait(), 40);
    tcp.at_instant(late);
}

/// An entry that comes from elsewhere is one like those of our own.
#[test]
fn an_entry_that_is_adopted() {
    let mut config = plain();
    config.limits.max_time_wait = 2;
    let mut tcp = Exchange::listening(config);
    let farewell = |tcp: &Exchange, port| Farewell {
        tuple: Tuple::new(tcp.local, SocketAddr::new(tcp.remote.ip(), port)),
        snd_nxt: SeqNumber::new(102),
        rcv_nxt: SeqNumber::new(302),
        window: 1_000,
        scale: 0,
        ts_recent: None,
    };
    let mine = farewell(&tcp, tcp.remote.port());
    let (now, until) = (tcp.now(), tcp.now() + TWO_MSL);
    let mut not_ours = mine;
    not_ours.tuple.local = Tuple::new("198.18.0.3:80".parse().unwrap(), tcp.remote).local;
    let refused = [
        (mine, now, Error::Invalid),
        (mine, now + Habits::MAX_MSL * 2 + TICK, Error::Invalid),
        (not_ours, until, Error::AddressNotAvailable),
    ];
    for (farewell, until, error) in refused {
        assert_eq!(tcp.engine.adopt_time_wait(&farewell, until), Err(error));
    }
    tcp.only_time_wait(0);
    tcp.engine.adopt_time_wait(&mine, until).unwrap();
    assert_eq!(tcp.engine.adopt_time_wait(&mine, until), Err(Error::AddressInUse));
    tcp.at(500);
    tcp.receives(fin().seq(301).ack(102));
    tcp.sends(ack().seq(102).ack(302));
    let since = tcp.now();
    // at the limit the oldest goes, which is not the one that was restarted
    for another in [1, 2].map(|port| farewell(&tcp, port)) {
        tcp.engine.adopt_time_wait(&another, until).unwrap();
    }
    assert_eq!((tcp.engine.time_wait(), tcp.counters().tw_recycled.get()), (2, 1));
    tcp.at_instant(until + TICK);
    lasts_from(&mut tcp, since);
}

/// Another thread changes MSL and the policy: the next poll knows.
#[test]
fn settings_by_mailbox() {
    let mut tcp = Exchange::established(plain());
    let mailbox = tcp.engine.mailbox().clone();
    std::thread::spawn(move || {
        mailbox.send(Request::SetMsl(MSL_1S)).unwrap();
        mailbox.send(Request::SetTimeWait(TimeWaitPolicy::Strict)).unwrap();
    })
    .join()
    .unwrap();
    let in_force = |tcp: &Exchange| {
        let in_force = &tcp.engine.metrics().in_force;
        (in_force.msl(), in_force.msl_on_link(), in_force.time_wait())
    };
    assert_eq!(in_force(&tcp), (TWO_MSL / 2, None, TimeWaitPolicy::Reuse));
    tcp.at(100);
    assert_eq!(in_force(&tcp), (MSL_1S, None, TimeWaitPolicy::Strict));
    close_first(&mut tcp);
    tcp.receives(syn().seq(100_000));
    tcp.sends(ack().seq(102).ack(302));
    tcp.at(2_099);
    tcp.only_time_wait(1);
    tcp.engine.set_msl_on_link(Some(MSL_1S * 3)).unwrap();
    assert_eq!(tcp.engine.set_msl_on_link(Some(Duration::ZERO)), Err(Error::Invalid));
    assert_eq!(in_force(&tcp).1, Some(MSL_1S * 3));
    tcp.at(2_102);
    tcp.only_time_wait(0);
}
