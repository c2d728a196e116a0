//! Congestion control, told anything: nothing overflows, no window is less than a segment, and none
//! grows that was not used.

use super::input::Input;
use lastack::tcp::congestion::{Ack, Algorithm, Control, Controller};
use lastack::wire::seq::SeqNumber;

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let algorithm = Algorithm::ALL[usize::from(input.below(2))];
    let mss = 64 + u32::from(input.u16()).min(65_431);
    let mut control = Controller::new(algorithm, input.flip(), input.u8(), mss);
    let mut saved = control;
    let mut now_us = input.u32();
    while !input.is_empty() {
        let before = control.window();
        match input.below(10) {
            0..=4 => {
                let limited = input.below(4) != 0;
                control.on_ack(&Ack {
                    acked: input.small(),
                    flight: input.small(),
                    mss,
                    now_us,
                    rtt_us: input.flip().then(|| input.small()),
                    srtt_us: input.small(),
                    limited,
                    una: SeqNumber::new(input.small()),
                    nxt: SeqNumber::new(input.small()),
                });
                assert!(control.window() >= before);
                assert!(limited || control.window() == before);
            }
            5 => {
                saved = control;
                control.on_congestion(input.small(), mss, now_us);
                assert_eq!(control.window(), control.threshold());
            }
            6 => {
                saved = control;
                control.on_timeout(input.small(), mss, now_us, input.flip());
                assert_eq!(control.window(), mss);
            }
            7 => {
                let window = control.window();
                control.undo(&saved);
                assert!(control.window() >= window.max(saved.window()));
                assert_eq!(control.threshold(), saved.threshold());
            }
            8 => {
                control.after_idle(10 * mss, mss, input.u32(), now_us);
                assert!(control.window() <= before);
            }
            _ => now_us = now_us.wrapping_add(input.u32()),
        }
        assert!(control.window() >= mss && control.threshold() >= 2 * mss);
    }
}
