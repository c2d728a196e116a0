//! Pass criteria: `--expect 'latency.p99<200us'`.
//!
//! A criterion names a figure of the result file by its path, an operator and a bound. Whether there is
//! such a figure is known before the run.

use super::units;
use crate::engine::Metrics;
use crate::measure::report::{BEHIND, Judged, KINDS, Report, UNANSWERED, is_time};
use crate::port::PortStats;
use crate::tcp::Counters;
use core::fmt;
use core::str::FromStr;
use serde_json::Value;

/// Is this value what is expected, given this bound?
type Comparison = fn(f64, f64) -> bool;

/// Operators, the longer ones first.
const OPERATORS: [(&str, Comparison); 6] = [
    ("<=", |value, bound| value <= bound),
    (">=", |value, bound| value >= bound),
    ("==", |value, bound| value == bound),
    ("!=", |value, bound| value != bound),
    ("<", |value, bound| value < bound),
    (">", |value, bound| value > bound),
];
/// What a result has of engines.
const SIDE: [&str; 8] =
    ["packets", "cycles", "time_wait", "syn", "link_downs", "handled", "drops", "tcp"];

/// A figure of the result, and what it is expected to be.
#[derive(Clone, Debug)]
pub struct Criterion {
    text: String,
    path: Vec<String>,
    met: Comparison,
    bound: f64,
}

impl PartialEq for Criterion {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Criterion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text: String = text.split_whitespace().collect();
        let expected = || {
            "FIGURE OPERATOR BOUND is expected, as in latency.p99<200us, errors==0 or \
             requests.per_s>=1M"
                .to_owned()
        };
        let at = text.find(['<', '>', '=', '!']).ok_or_else(expected)?;
        let (name, rest) = text.split_at(at);
        let (bound, met) = OPERATORS
            .iter()
            .find_map(|&(operator, met)| Some((rest.strip_prefix(operator)?, met)))
            .ok_or_else(expected)?;
        // as people write percentiles
        let name = name.replace("p99.9", "p99_9");
        let path: Vec<String> = name.split('.').map(str::to_owned).collect();
        let template = template();
        if !find(&template, &path).is_some_and(Value::is_number) {
            return Err(format!(
                "no such figure {name}: those of the result file are expected, as requests.per_s, \
                 latency.p99, connections.failed or tcp.RetransSegs"
            ));
        }
        let bound = if is_time(&name) { time(bound) } else { number(bound) }?;
        Ok(Criterion { path, met, bound, text })
    }
}

impl Criterion {
    /// Is it about intended starts, which only an open loop has?
    pub fn needs_open_loop(&self) -> bool {
        ["latency", BEHIND].contains(&self.first_key())
    }

    /// Is it about times that are recorded?
    pub fn needs_times(&self) -> bool {
        KINDS.contains(&self.first_key()) || [BEHIND, UNANSWERED].contains(&self.first_key())
    }

    /// The first word of the figure's path.
    pub fn first_key(&self) -> &str {
        &self.path[0]
    }

    /// Does such a run have the figure? A loopback has what engines do for each side, other runs have one
    /// side.
    ///
    /// # Errors
    /// What is the matter.
    pub fn fits(&self, loopback: bool) -> Result<(), String> {
        let of_side = matches!(self.path[0].as_str(), "client" | "server");
        let of_engines = SIDE.contains(&self.path[0].as_str());
        let name = self.path.join(".");
        match loopback {
            true if of_engines => Err(format!(
                "--expect {self}: a loopback has it for each side: client.{name} or server.{name}"
            )),
            false if of_side => Err(format!(
                "--expect {self}: there is one side only: {} is expected",
                self.path[1..].join(".")
            )),
            _ => Ok(()),
        }
    }

    /// Compares it with a result. What was not measured meets nothing.
    pub fn judge(&self, result: &Value) -> Judged {
        let within = find(result, &self.path[..self.path.len() - 1]);
        let nothing = within.and_then(|all| all.get("count")).is_some_and(|count| *count == 0);
        let is_count = self.path.last().is_some_and(|last| last == "count");
        let value = find(result, &self.path).and_then(Value::as_f64);
        let value = value.filter(|_| is_count || !nothing);
        let met = value.is_some_and(|value| (self.met)(value, self.bound));
        Judged { criterion: self.text.clone(), value, met }
    }
}

/// A result with every figure that there can be.
fn template() -> Value {
    let mut blank = Report::blank();
    let tcp = Counters::default().iter().map(|(name, _)| (name.to_owned(), 0)).collect();
    let side = blank.side.get_or_insert_default();
    side.tcp = tcp;
    let metrics = Metrics::default();
    side.handled = metrics.handled.iter().map(|(name, none)| (name.to_owned(), none)).collect();
    let drops = metrics.drops.iter().chain(PortStats::default().losses());
    side.drops = drops.map(|(name, none)| (name.to_owned(), none)).collect();
    for both in [&mut blank.client, &mut blank.server] {
        both.get_or_insert_default().side = side.clone();
    }
    serde_json::to_value(blank).unwrap_or_default()
}

fn find<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

/// A bound in nanoseconds.
fn time(text: &str) -> Result<f64, String> {
    units::time(text).map(|time| time.as_nanos() as f64)
}

/// A bound that is no time: a number with k, M, G (powers of 1000) or %.
fn number(text: &str) -> Result<f64, String> {
    let units = [("k", 1e3), ("M", 1e6), ("G", 1e9), ("%", 0.01), ("", 1.0)];
    units::fraction(text, &units)
        .ok_or_else(|| "a number is expected after the operator, as in 0, 1.5M or 90%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Summary;
    use crate::measure::report::LoopbackSide;

    fn judged(text: &str, report: &Report) -> (Option<f64>, bool) {
        let criterion: Criterion = text.parse().expect(text);
        let Judged { value, met, .. } = criterion.judge(&serde_json::to_value(report).unwrap());
        (value, met)
    }

    #[test]
    fn figures_are_compared() {
        let mut report = Report::blank();
        report.latency =
            Some(Summary { count: 9, p99: 150_000, p99_9: 300_000, ..Summary::default() });
        report.requests.per_s = 1.5e6;
        let side = LoopbackSide::default();
        report.client = Some(side);
        report.client.as_mut().unwrap().side.cycles.busy = 0.5;
        for (text, met) in [
            ("latency.p99<200us", true),
            ("latency.p99 < 200us", true),
            ("latency.p99<=150us", true),
            ("latency.p99>150us", false),
            ("latency.p99.9<0.3ms", false),
            ("latency.p99_9==300us", true),
            ("latency.count>=9", true),
            ("requests.per_s>=1.5M", true),
            ("errors==0", true),
            ("errors!=0", false),
            ("client.cycles.busy<=50%", true),
            ("client.drops.checksum==0", false), // of which there is none in this one
        ] {
            let found = judged(text, &Report { side: None, ..report.clone() });
            assert_eq!(found.1, met, "{text}: {found:?}");
        }
    }

    #[test]
    fn what_was_not_measured_meets_nothing() {
        let report = Report { latency: None, ..Report::blank() };
        assert_eq!(judged("latency.p99<1s", &report), (None, false));
        assert_eq!(judged("service.p99<1s", &report), (None, false), "no value was recorded");
        assert_eq!(judged("service.count==0", &report), (Some(0.0), true));
    }

    #[test]
    fn a_run_has_one_side_or_two() {
        let fits = |text: &str, loopback| text.parse::<Criterion>().unwrap().fits(loopback);
        for (text, alone, both) in [
            ("requests.per_s>1", true, true),
            ("tcp.RetransSegs==0", true, false),
            ("drops.port_rx_missed==0", true, false),
            ("server.tcp.RetransSegs==0", false, true),
            ("client.cycles.per_request<900", false, true),
        ] {
            assert_eq!(
                (fits(text, false).is_ok(), fits(text, true).is_ok()),
                (alone, both),
                "{text}"
            );
        }
        let told = fits("tcp.RetransSegs==0", true).unwrap_err();
        assert!(told.ends_with("client.tcp.RetransSegs or server.tcp.RetransSegs"), "{told}");
    }

    #[test]
    fn what_makes_no_criterion_is_told() {
        for (text, why) in [
            ("latency.p99", "FIGURE OPERATOR BOUND"),
            ("latency.p99=1us", "FIGURE OPERATOR BOUND"),
            ("latency.p98<1us", "no such figure latency.p98"),
            ("latency<1us", "no such figure latency"),
            ("<1us", "no such figure"),
            ("tcp.Nothing==0", "no such figure tcp.Nothing"),
            ("latency.p99<200", "a time with its unit"),
            ("errors==few", "a number is expected"),
            ("errors==1us", "a number is expected"),
        ] {
            let error = text.parse::<Criterion>().expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
