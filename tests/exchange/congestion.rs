//! What the congestion window grows by: what was used of it in a round trip (RFC 7661 §4.3, RFC 9438
//! §5.8), whatever is left in flight at the last ACKs of a burst. The round trip is 20 ms.

use crate::*;
use lastack::engine::Config;
use lastack::tcp::congestion::Algorithm;

const MSS: u32 = 1_000;

/// Where segment `n` begins.
fn at(n: u32) -> u32 {
    101 + n * MSS
}

fn window(tcp: &Exchange) -> u32 {
    tcp.engine.info(tcp.conn()).unwrap().snd_cwnd / MSS
}

fn config(algorithm: Algorithm, hystart: bool) -> Config {
    let mut config = plain();
    config.tcp.sack = true;
    config.tcp.congestion = algorithm;
    config.tcp.hystart = hystart;
    config
}

fn established(config: Config) -> Exchange {
    let mut tcp = Exchange::listening(config);
    tcp.receives(syn().seq(300).mss(MSS as u16).sack_permitted());
    tcp.sent_segment(String::new);
    tcp.at(20);
    tcp.receives(ack().seq(301).ack(101));
    tcp.accepts();
    tcp
}

/// The application writes `segments`, from `first` on; how many leave at once.
fn bursts(tcp: &mut Exchange, first: u32, segments: u32) -> u32 {
    tcp.write(vec![b'x'; (segments * MSS) as usize]);
    let sent = tcp.sent_segments();
    assert!(sent.iter().zip(first..).all(|(segment, n)| segment.seq == at(n)), "{sent:?}");
    sent.len() as u32
}

/// A round trip later the peer acknowledges `segments` from `first` on, `each` at a time, in a burst
/// of ACKs between which nothing is sent.
fn acknowledges(tcp: &mut Exchange, first: u32, segments: u32, each: u32) {
    let now = tcp.now() + core::time::Duration::from_millis(20);
    tcp.at_instant(now);
    let mut acked = 0;
    while acked < segments {
        acked = (acked + each).min(segments);
        tcp.receives(ack().seq(301).ack(at(first + acked)));
        tcp.sends_nothing();
    }
}

/// RFC 5681 §3.1: slow start doubles the window that a burst has used, however it is acknowledged.
#[test]
fn slow_start_counts_all_acks_of_a_burst() {
    for algorithm in Algorithm::ALL {
        for hystart in [true, false] {
            for each in [1, 2, 5] {
                let mut tcp = established(config(algorithm, hystart));
                assert_eq!(bursts(&mut tcp, 0, 10), 10);
                acknowledges(&mut tcp, 0, 10, each);
                assert_eq!(window(&tcp), 20, "{algorithm} {hystart} {each}");
                assert_eq!(bursts(&mut tcp, 10, 20), 20);
                acknowledges(&mut tcp, 10, 20, each);
                assert_eq!(window(&tcp), 40, "{algorithm} {hystart} {each}");
            }
        }
    }
}

/// The same while something is out of order, when no segment is timed.
#[test]
fn slow_start_counts_all_acks_of_a_burst_that_was_reordered() {
    for algorithm in Algorithm::ALL {
        let mut tcp = established(config(algorithm, true));
        let mut first = 0;
        for segments in [10, 20] {
            assert_eq!(bursts(&mut tcp, first, segments), segments);
            let now = tcp.now() + core::time::Duration::from_millis(20);
            tcp.at_instant(now);
            for n in (first..first + segments).step_by(2) {
                tcp.receives(ack().seq(301).ack(at(n)).sack(&[(at(n + 1), at(n + 2))]));
                tcp.receives(ack().seq(301).ack(at(n + 2)));
            }
            tcp.sends_nothing();
            first += segments;
            assert_eq!(window(&tcp), 2 * segments, "{algorithm}");
        }
        assert_eq!(tcp.counters().retrans_segs.get(), 0);
    }
}

/// An application that sends two segments a round trip does not use the window, which stays.
#[test]
fn a_window_that_is_not_used_does_not_grow() {
    for algorithm in Algorithm::ALL {
        for (each, reordered) in [(1, false), (2, false), (1, true)] {
            let mut tcp = established(config(algorithm, true));
            for n in (0..400).step_by(2) {
                assert_eq!(bursts(&mut tcp, n, 2), 2);
                if reordered {
                    let now = tcp.now() + core::time::Duration::from_millis(20);
                    tcp.at_instant(now);
                    tcp.receives(ack().seq(301).ack(at(n)).sack(&[(at(n + 1), at(n + 2))]));
                    tcp.receives(ack().seq(301).ack(at(n + 2)));
                } else {
                    acknowledges(&mut tcp, n, 2, each);
                }
            }
            assert_eq!(window(&tcp), 10, "{algorithm} {each}");
        }
    }
}

/// One full window grows the window once; what comes after it does not.
#[test]
fn a_burst_counts_for_its_own_round_trip() {
    for algorithm in Algorithm::ALL {
        let mut tcp = established(config(algorithm, true));
        assert_eq!(bursts(&mut tcp, 0, 10), 10);
        acknowledges(&mut tcp, 0, 10, 2);
        for n in (10..200).step_by(2) {
            assert_eq!(bursts(&mut tcp, n, 2), 2);
            acknowledges(&mut tcp, n, 2, 1);
        }
        assert_eq!(window(&tcp), 20, "{algorithm}");
        // five of 20 are less than half, ten are half
        assert_eq!(bursts(&mut tcp, 200, 5), 5);
        acknowledges(&mut tcp, 200, 5, 1);
        assert_eq!(window(&tcp), 20, "{algorithm}");
        assert_eq!(bursts(&mut tcp, 205, 10), 10);
        acknowledges(&mut tcp, 205, 10, 1);
        assert_eq!(window(&tcp), 30, "{algorithm}");
    }
}

/// RFC 5681 §3.1, congestion avoidance: a burst that fills the window adds one segment, since all of its
/// ACKs count.
#[test]
fn congestion_avoidance_counts_all_acks_of_a_burst() {
    let mut tcp = established(config(Algorithm::NewReno, false));
    assert_eq!(bursts(&mut tcp, 0, 10), 10);
    let now = tcp.now() + core::time::Duration::from_millis(20);
    tcp.at_instant(now);
    for end in 2..=10 {
        tcp.receives(ack().seq(301).ack(at(0)).sack(&[(at(1), at(end))]));
    }
    assert_eq!(tcp.sent_segments().len(), 1);
    tcp.at_instant(now + core::time::Duration::from_millis(20));
    tcp.receives(ack().seq(301).ack(at(10)));
    let begin = window(&tcp);
    assert!((4..=5).contains(&begin), "{begin}");
    let mut first = 10;
    for more in 0..8 {
        let segments = begin + more;
        assert_eq!(bursts(&mut tcp, first, segments), segments);
        acknowledges(&mut tcp, first, segments, 1);
        first += segments;
        assert_eq!(window(&tcp), segments + 1);
    }
}
