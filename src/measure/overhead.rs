//! What measuring itself costs, and how fine its times are.

use serde::{Deserialize, Serialize};

/// The client's own part in what it tells, in nanoseconds, measured on its lcore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Overhead {
    /// Reading the clock, which is done twice in each turn of the loop.
    pub clock_ns: f64,
    /// Recording a time in a histogram.
    pub record_ns: f64,
    /// A turn of the loop in which there is nothing to do.
    pub idle_turn_ns: f64,
    /// A turn on average, in the measured window. What arrives in a turn has the time of its beginning,
    /// so times are no finer than this.
    pub turn_ns: f64,
}

impl Overhead {
    /// As a table tells it.
    pub fn line(&self) -> String {
        let Overhead { clock_ns, record_ns, idle_turn_ns, turn_ns } = self;
        format!(
            "clock {clock_ns:.0} ns  recording {record_ns:.0} ns a value  a turn {turn_ns:.0} ns on average, \
             {idle_turn_ns:.0} ns idle: times are no finer than a turn"
        )
    }
}

/// The figure in the middle; 0 if there is none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_no_mean() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![1e9, 2.0, 1.0]), 2.0);
    }

    #[test]
    fn the_line_has_every_figure() {
        let overhead =
            Overhead { clock_ns: 8.2, record_ns: 5.6, idle_turn_ns: 41.0, turn_ns: 312.4 };
        let line = overhead.line();
        for figure in ["clock 8 ns", "recording 6 ns", "a turn 312 ns", "41 ns idle"] {
            assert!(line.contains(figure), "{line}");
        }
    }
}
