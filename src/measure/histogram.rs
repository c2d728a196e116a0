//! Latency histograms: three significant digits from a nanosecond to an hour, of a fixed size.
//!
//! Recording never allocates and never fails: what is longer than an hour is counted as an hour.

use super::formats::kind_line;
use core::time::Duration;
use hdrhistogram::Histogram as Hdr;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// The longest time that is told apart, in nanoseconds: one hour.
const LONGEST_NS: u64 = 3_600 * 1_000_000_000;
/// Significant decimal digits that are kept of each value.
const DIGITS: u8 = 3;
/// Steps for each halving of the distance to 100 % in an `.hgrm` file, as HdrHistogram's tools do.
const STEPS_PER_HALF: u32 = 5;

/// Counts times, with three significant digits.
///
/// ```
/// use lastack::measure::Histogram;
///
/// let mut histogram = Histogram::new();
/// for micros in 1..=1_000 {
///     histogram.record_ns(micros * 1_000);
/// }
/// let summary = histogram.summary();
/// assert_eq!(summary.count, 1_000);
/// assert!((499_000..=501_000).contains(&summary.p50));
/// ```
#[derive(Clone, Debug)]
pub struct Histogram(pub(super) Hdr<u64>);

impl Histogram {
    /// An empty histogram. All its memory (about 270 kB, touched as it is used) is reserved here.
    pub fn new() -> Self {
        Histogram(Hdr::new_with_bounds(1, LONGEST_NS, DIGITS).expect("constant bounds are valid"))
    }

    /// Records one time in nanoseconds.
    #[inline]
    pub fn record_ns(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    /// Records `count` times of `nanos` nanoseconds.
    #[inline]
    pub fn record_ns_n(&mut self, nanos: u64, count: u64) {
        self.0.saturating_record_n(nanos, count);
    }

    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Histogram) {
        self.0.add(&other.0).expect("all histograms have the same bounds");
    }

    /// Takes away all that `part` counted, which has been counted here, too.
    pub fn subtract(&mut self, part: &Histogram) {
        self.0.subtract(&part.0).expect("it is a part");
    }

    /// Forgets all that was recorded.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The figures of a report, all zero if nothing was recorded.
    pub fn summary(&self) -> Summary {
        if self.0.is_empty() {
            return Summary::default();
        }
        let at = |quantile| self.0.value_at_quantile(quantile);
        Summary {
            count: self.0.len(),
            min: self.0.min(),
            mean: self.0.mean(),
            p50: at(0.50),
            p90: at(0.90),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.999_9),
            max: self.0.max(),
        }
    }

    /// The percentile distribution: parts of all values, from 0 to below 1, and how many nanoseconds
    /// they are not above, in steps that grow finer towards the end.
    pub fn distribution(&self) -> Vec<(f64, f64)> {
        let most = 1.0 - 1.0 / self.0.len().max(2) as f64;
        let steps = self.0.iter_quantiles(STEPS_PER_HALF);
        let points = steps
            .map(|step| (step.quantile_iterated_to().min(most), step.value_iterated_to() as f64));
        points.collect()
    }

    /// Writes the percentile distribution in the text form of HdrHistogram's plotters (`.hgrm`),
    /// values in microseconds, with a remark that says what kind of time they are.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_hgrm(&self, kind: &str, out: &mut impl Write) -> io::Result<()> {
        const NS_PER_US: f64 = 1_000.0;
        writeln!(
            out,
            "{:>12} {:>14} {:>10} {:>14}",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        )?;
        writeln!(out)?;
        let mut reached = 0;
        for step in self.0.iter_quantiles(STEPS_PER_HALF) {
            reached += step.count_since_last_iteration();
            let value = step.value_iterated_to() as f64 / NS_PER_US;
            let quantile = step.quantile_iterated_to();
            write!(out, "{value:>12.3} {quantile:>14.12} {reached:>10}")?;
            if quantile < 1.0 {
                write!(out, " {:>14.2}", 1.0 / (1.0 - quantile))?;
            }
            writeln!(out)?;
        }
        let us = |ns: f64| ns / NS_PER_US;
        let (mean, deviation) = (us(self.0.mean()), us(self.0.stdev()));
        writeln!(out, "{}", kind_line(kind))?;
        writeln!(out, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]")?;
        let (max, total) = (us(self.0.max() as f64), self.0.len());
        writeln!(out, "#[Max     = {max:>12.3}, Total count    = {total:>12}]")?;
        let sub_buckets = 2 * 10_u64.pow(u32::from(DIGITS)).next_power_of_two();
        let buckets = (LONGEST_NS / sub_buckets).ilog2() + 2;
        writeln!(out, "#[Buckets = {buckets:>12}, SubBuckets     = {sub_buckets:>12}]")
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// What a report says of a histogram. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Values recorded; with 0 the rest means nothing.
    pub count: u64,
    /// The shortest.
    pub min: u64,
    /// The mean.
    pub mean: f64,
    /// Half are not longer.
    pub p50: u64,
    /// 90 % are not longer.
    pub p90: u64,
    /// 99 % are not longer.
    pub p99: u64,
    /// 99.9 % are not longer.
    pub p99_9: u64,
    /// 99.99 % are not longer.
    pub p99_99: u64,
    /// The longest.
    pub max: u64,
}

/// Nanoseconds as a person reads them: three or four digits and a unit.
pub fn human_ns(nanos: f64) -> String {
    match nanos {
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e6 => format!("{:.2} us", n / 1e3),
        n if n < 1e9 => format!("{:.2} ms", n / 1e6),
        n => format!("{:.2} s", n / 1e9),
    }
}

/// A duration as a person reads it.
pub fn human_duration(span: Duration) -> String {
    human_ns(span.as_nanos() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn empty_histogram_has_no_figures() {
        assert_eq!(Histogram::new().summary(), Summary::default());
    }

    #[test]
    fn longer_than_an_hour_counts_as_an_hour() {
        let mut histogram = Histogram::new();
        histogram.record_ns(u64::MAX);
        assert_eq!(histogram.count(), 1);
        let max = histogram.summary().max;
        assert!(max.abs_diff(LONGEST_NS) <= LONGEST_NS / 500, "{max}");
    }

    #[test]
    fn hgrm_ends_at_the_largest_value_and_the_whole_count() {
        let mut histogram = Histogram::new();
        for micros in 1..=100_000_u64 {
            histogram.record_ns(micros * 1_000);
        }
        let mut text = Vec::new();
        histogram.write_hgrm("latency", &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .take_while(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|field| field.parse().unwrap()).collect())
            .collect();
        let last = rows.last().unwrap();
        assert_eq!(last[1..], [1.0, 100_000.0]);
        assert!((last[0] - 100_000.0).abs() < 100.0, "{last:?}");
        let half = rows.iter().find(|row| row[1] >= 0.5).unwrap();
        assert!((half[0] - 50_000.0).abs() < 100.0 && half[3] == 2.0, "{half:?}");
        assert!(rows.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][2] <= pair[1][2]));
        assert!(text.contains("Total count    =       100000]"), "{text}");
    }

    #[test]
    fn human_times() {
        assert_eq!(human_ns(999.0), "999 ns");
        assert_eq!(human_ns(12_345.0), "12.35 us");
        assert_eq!(human_ns(1.5e6), "1.50 ms");
        assert_eq!(human_duration(Duration::from_secs(2)), "2.00 s");
    }

    proptest! {
        /// Merging two histograms tells the same as recording everything into one.
        #[test]
        fn merge_is_recording_together(
            a in proptest::collection::vec(1_u64..10_000_000_000, 0..200),
            b in proptest::collection::vec(1_u64..10_000_000_000, 0..200),
        ) {
            let (mut one, mut two, mut all) = (Histogram::new(), Histogram::new(), Histogram::new());
            for &value in &a { one.record_ns(value); all.record_ns(value); }
            for &value in &b { two.record_ns(value); all.record_ns(value); }
            one.merge(&two);
            prop_assert_eq!(one.summary(), all.summary());
        }

        /// A quantile is right within the three digits.
        #[test]
        fn median_is_within_a_thousandth(mut values in proptest::collection::vec(1_000_u64..1_000_000_000, 1..200)) {
            let mut histogram = Histogram::new();
            for &value in &values { histogram.record_ns(value); }
            values.sort_unstable();
            let exact = values[values.len().div_ceil(2) - 1] as f64;
            let told = histogram.summary().p50 as f64;
            prop_assert!((told - exact).abs() <= exact / 999.0, "{told} for {exact}");
        }
    }
}
