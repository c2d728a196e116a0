use super::*;
use crate::tcp::congestion::{Algorithm, Controller};
use crate::wire::seq::SeqNumber;
use proptest::prelude::*;

const MSS: u32 = 1_448;

fn ack(acked: u32, flight: u32, now_us: u32, srtt_us: u32) -> Ack {
    Ack {
        acked,
        flight,
        mss: MSS,
        now_us,
        rtt_us: None,
        srtt_us,
        limited: true,
        una: SeqNumber::new(0),
        nxt: SeqNumber::new(0),
    }
}

#[test]
fn cube_root_is_exact() {
    for root in [0u64, 1, 2, 3, 10, 999, 1_000, 42_171, 2_642_245] {
        let cube = root * root * root;
        assert_eq!(cube_root(cube), root);
        assert_eq!(cube_root(cube + 1), if root == 0 { 1 } else { root });
        if cube > 0 {
            assert_eq!(cube_root(cube - 1), root - 1);
        }
    }
    assert_eq!(cube_root(u64::MAX), 2_642_245);
}

/// RFC 9438 §4.2, figures 1 and 2, with real numbers.
#[test]
fn the_curve_is_that_of_the_figure() {
    let mut cubic = Cubic::new(1_000 * MSS, false);
    cubic.on_congestion(1_000 * MSS, MSS, 0);
    assert_eq!(cubic.window(), 700 * MSS);
    let k = (300.0f64 / 0.4).cbrt();
    let rtt = 100_000;
    for round in 0..200u32 {
        let now = round * rtt;
        // a window of ACKs, at once
        for _ in 0..cubic.window() / MSS {
            cubic.on_ack(&ack(MSS, cubic.window(), now, rtt));
        }
        let t = f64::from(now + rtt) / 1e6;
        let expected = 0.4 * (t - k).powi(3) + 1_000.0;
        let found = f64::from(cubic.window()) / f64::from(MSS);
        assert!((found / expected - 1.0).abs() < 0.02, "t = {t}: {found} and {expected}");
    }
}

#[test]
fn fast_convergence_gives_way() {
    let mut cubic = Cubic::new(100 * MSS, false);
    cubic.on_congestion(100 * MSS, MSS, 0);
    let Growth::Epoch(first) = cubic.growth else { panic!("in an epoch") };
    assert_eq!(first.w_max, 100 * MSS);
    cubic.on_congestion(70 * MSS, MSS, 0);
    let Growth::Epoch(second) = cubic.growth else { panic!("in an epoch") };
    assert_eq!(second.w_max, (70.0 * 0.85 * f64::from(MSS)) as u32);
}

#[test]
fn a_needless_reduction_is_undone() {
    for algorithm in Algorithm::ALL {
        let mut control = Controller::new(algorithm, true, 10, MSS);
        control.on_ack(&ack(10 * MSS, 10 * MSS, 0, 1_000));
        let before = control;
        control.on_timeout(20 * MSS, MSS, 0, true);
        assert_eq!(control.window(), MSS);
        control.undo(&before);
        assert_eq!(control, before);
        control.on_congestion(20 * MSS, MSS, 0);
        control.undo(&before);
        assert_eq!(control, before);
    }
}

#[test]
fn a_time_out_leaves_one_segment_and_begins_anew() {
    let mut cubic = Cubic::new(100 * MSS, false);
    cubic.on_timeout(100 * MSS, MSS, 0, true);
    cubic.on_timeout(MSS, MSS, 0, false);
    assert_eq!((cubic.window(), cubic.threshold()), (MSS, 70 * MSS));
    while cubic.window() < cubic.threshold() {
        cubic.on_ack(&ack(MSS, MSS, 0, 1_000));
    }
    let before = cubic.window();
    cubic.on_ack(&ack(MSS, before, 1_000, 1_000));
    let Growth::Epoch(epoch) = cubic.growth else { panic!("in an epoch") };
    assert_eq!((epoch.k_ms, epoch.w_max), (0, before));
}

/// The average window in segments, if one of `1 / p` segments is lost, evenly.
fn average_window(algorithm: Algorithm, p: f64, rtt_us: u32) -> f64 {
    let mut control = Controller::new(algorithm, false, 10, MSS);
    control.on_congestion(40 * MSS, MSS, 0);
    let period = (1.0 / p) as u64;
    let (mut now, mut until_loss, mut losses) = (0u32, period, 0);
    let (mut sum, mut rounds) = (0.0, 0u64);
    while losses < 120 {
        let window = control.window();
        let segments = u64::from(window / MSS).max(1);
        if losses >= 20 {
            sum += f64::from(window) / f64::from(MSS);
            rounds += 1;
        }
        if until_loss <= segments {
            until_loss = period;
            losses += 1;
            control.on_congestion(window, MSS, now);
        } else {
            until_loss -= segments;
            for n in 0..segments {
                let at = now.wrapping_add((u64::from(rtt_us) * n / segments) as u32);
                control.on_ack(&ack(MSS, window, at, rtt_us));
            }
        }
        now = now.wrapping_add(rtt_us);
    }
    sum / rounds as f64
}

/// RFC 9438 §5, equation 6 with beta = 0.7 and C = 0.4, or the Reno-friendly window where that is
/// greater; RFC 5681 gives sqrt(1.5 / p).
#[test]
fn the_average_window_follows_the_response_function() {
    for rtt_us in [20_000, 50_000, 100_000] {
        for p in [1e-3, 1e-4, 1e-5] {
            let rtt = f64::from(rtt_us) / 1e6;
            let reno = (1.5f64 / p).sqrt();
            let cubic = (0.4f64 * 3.7 / 1.2).powf(0.25) * rtt.powf(0.75) / p.powf(0.75);
            let found = average_window(Algorithm::Cubic, p, rtt_us);
            let expected = cubic.max(reno);
            assert!((0.85..1.3).contains(&(found / expected)), "{rtt_us} {p}: {found} {expected}");
            let found = average_window(Algorithm::NewReno, p, rtt_us);
            assert!((0.85..1.15).contains(&(found / reno)), "{rtt_us} {p}: {found} {reno}");
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Ack(u32, u32, Option<u32>, u32, bool),
    Congestion(u32),
    Timeout(u32, bool),
    Idle(u32),
    Wait(u32),
}

fn event() -> impl Strategy<Value = Event> {
    let any_u32 = || prop_oneof![any::<u32>(), 0..100_000u32];
    prop_oneof![
        6 => (any_u32(), any_u32(), any::<Option<u32>>(), any_u32(), any::<bool>())
            .prop_map(|(a, f, r, s, l)| Event::Ack(a, f, r, s, l)),
        1 => any_u32().prop_map(Event::Congestion),
        1 => (any_u32(), any::<bool>()).prop_map(|(f, first)| Event::Timeout(f, first)),
        1 => any_u32().prop_map(Event::Idle),
        3 => any_u32().prop_map(Event::Wait),
    ]
}

proptest! {
    /// Whatever it is told: no overflow, never less than a segment, no growth that was not earned.
    #[test]
    fn windows_stay_sensible(
        events in prop::collection::vec(event(), 1..200),
        mss in 64u32..=65_495,
        newreno: bool,
        hystart: bool,
    ) {
        let algorithm = if newreno { Algorithm::NewReno } else { Algorithm::Cubic };
        let mut control = Controller::new(algorithm, hystart, 10, mss);
        let mut now_us = 0u32;
        for event in events {
            let before = control.window();
            match event {
                Event::Ack(acked, flight, rtt_us, srtt_us, limited) => {
                    let (una, nxt) = (SeqNumber::new(acked), SeqNumber::new(flight));
                    let ack = Ack { acked, flight, mss, now_us, rtt_us, srtt_us, limited, una, nxt };
                    control.on_ack(&ack);
                    prop_assert!(control.window() >= before);
                    prop_assert!(limited || control.window() == before);
                }
                Event::Congestion(flight) => {
                    control.on_congestion(flight, mss, now_us);
                    prop_assert_eq!(control.window(), control.threshold());
                }
                Event::Timeout(flight, first) => {
                    control.on_timeout(flight, mss, now_us, first);
                    prop_assert_eq!(control.window(), mss);
                }
                Event::Idle(us) => control.after_idle(10 * mss, mss, us, now_us),
                Event::Wait(us) => now_us = now_us.wrapping_add(us),
            }
            prop_assert!(control.window() >= mss);
            prop_assert!(control.threshold() >= 2 * mss);
        }
    }
}
