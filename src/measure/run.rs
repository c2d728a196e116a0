//! Runs as their files tell them: a result, a log of histograms, a percentile distribution, or several
//! of them under one name.

use super::report::{KINDS, SCHEMA};
use super::{Histogram, Report, Summary};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use std::path::Path;

/// Nanoseconds of a unit of an `.hgrm` file.
const NS_PER_US: f64 = 1e3;

/// A point of a distribution: the part of all values, from 0 to 1, that is not above so many
/// nanoseconds.
pub type Point = (f64, f64);

/// A run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Its files' name without the ending.
    pub name: String,
    /// The result, if there is one.
    pub report: Option<Report>,
    /// All that was recorded of each kind of time, if there is a log.
    histograms: Vec<(&'static str, Histogram)>,
    /// A distribution, if there is one.
    points: Vec<Point>,
}

impl Run {
    /// Reads runs: files of one name are of one run.
    ///
    /// # Errors
    /// One line that names the file.
    pub fn read(files: &[impl AsRef<Path>]) -> Result<Vec<Self>, String> {
        let mut runs: Vec<(std::path::PathBuf, Run)> = Vec::new();
        for (at, file) in files.iter().map(AsRef::as_ref).enumerate() {
            if files[..at].iter().any(|other| other.as_ref() == file) {
                return Err(format!("{}: given twice, once is expected", file.display()));
            }
            let place = file.with_extension("");
            let content = std::fs::read(file)
                .map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
            let known = runs.iter().position(|(other, _)| *other == place);
            let at = known.unwrap_or_else(|| {
                let name = place.file_name().unwrap_or(place.as_os_str());
                let name = name.to_string_lossy().into_owned();
                runs.push((place, Run { name, ..Run::default() }));
                runs.len() - 1
            });
            runs[at].1.add(&content).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        Ok(runs.into_iter().map(|(_, run)| run).collect())
    }

    /// Adds what a file says, which it tells by its first line.
    fn add(&mut self, content: &[u8]) -> Result<(), String> {
        let text = core::str::from_utf8(content).unwrap_or_default().trim_start();
        if text.starts_with('{') {
            let report: Report = serde_json::from_str(text)
                .map_err(|error| format!("it is no result of --json: {error}"))?;
            if report.schema != SCHEMA {
                return Err(format!(
                    "its schema is {}, {SCHEMA} is expected: use the lastack that wrote it",
                    report.schema
                ));
            }
            self.report = Some(report);
            return Ok(());
        }
        if text.starts_with('#') {
            return self.add_log(content);
        }
        if text.starts_with("Value") {
            self.points = distribution(text);
            if !self.points.is_empty() {
                return Ok(());
            }
        }
        Err("a result of --json, a log of --hlog or a distribution of --hgrm is expected"
            .to_owned())
    }

    fn add_log(&mut self, content: &[u8]) -> Result<(), String> {
        let broken = |what: &str| format!("it is no log of histograms: {what}");
        let mut deserializer = Deserializer::new();
        for entry in IntervalLogIterator::new(content) {
            let Ok(LogEntry::Interval(interval)) = entry else {
                entry.map_err(|_| broken("a line cannot be read"))?;
                continue;
            };
            let tag = interval.tag().map_or(KINDS[0], |tag| tag.as_str());
            let Some(tag) = KINDS.into_iter().find(|known| *known == tag) else { continue };
            let octets = STANDARD
                .decode(interval.encoded_histogram())
                .map_err(|error| broken(&error.to_string()))?;
            let read: hdrhistogram::Histogram<u64> = deserializer
                .deserialize(&mut octets.as_slice())
                .map_err(|error| broken(&error.to_string()))?;
            let at = self.histograms.iter().position(|(known, _)| *known == tag);
            let at = at.unwrap_or_else(|| {
                self.histograms.push((tag, Histogram::new()));
                self.histograms.len() - 1
            });
            let whole = &mut self.histograms[at].1;
            read.iter_recorded().for_each(|step| {
                whole.record_ns_n(step.value_iterated_to(), step.count_at_value());
            });
        }
        Ok(())
    }

    /// The kind of time that says most of this run: the latency of an open loop, else the service time,
    /// else that of connecting.
    pub fn kind(&self) -> &'static str {
        let counts = |tag: &&str| self.summary(tag).is_some_and(|summary| summary.count > 0);
        KINDS.into_iter().find(counts).unwrap_or(KINDS[1])
    }

    /// All that was recorded of a kind of time.
    pub fn histogram(&self, kind: &str) -> Option<&Histogram> {
        self.histograms.iter().find(|(tag, _)| *tag == kind).map(|(_, histogram)| histogram)
    }

    /// The figures of a kind of time.
    pub fn summary(&self, kind: &str) -> Option<Summary> {
        if let Some(histogram) = self.histogram(kind) {
            return Some(histogram.summary());
        }
        let times = self.report.as_ref()?.times();
        times.into_iter().find(|(known, _)| *known == kind)?.1
    }

    /// The distribution of a kind of time, as finely as the files tell it; `true` if the points are a
    /// few percentiles only.
    pub fn distribution(&self, kind: &str) -> (Vec<Point>, bool) {
        if let Some(histogram) = self.histogram(kind).filter(|histogram| histogram.count() > 0) {
            return (histogram.distribution(), false);
        }
        if !self.points.is_empty() {
            return (self.points.clone(), false);
        }
        let points = |s: Summary| {
            let at = |quantile, nanos: u64| (quantile, nanos as f64);
            let most = 1.0 - 1.0 / s.count.max(2) as f64;
            let all = [
                at(0.0, s.min),
                at(0.5, s.p50),
                at(0.9, s.p90),
                at(0.99, s.p99),
                at(0.999, s.p99_9),
                at(0.999_9, s.p99_99),
                at(most, s.max),
            ];
            let told = all.into_iter().filter(|&(quantile, _)| quantile <= most);
            let mut told: Vec<Point> = told.collect();
            told.sort_by(|a, b| a.0.total_cmp(&b.0));
            told
        };
        let summary = self.summary(kind).filter(|summary| summary.count > 0);
        (summary.map(points).unwrap_or_default(), true)
    }

    /// What several hosts did together: histograms merged, counts and rates added.
    ///
    /// # Errors
    /// A line that says what is missing for it.
    pub fn merge(runs: &[Run]) -> Result<Run, String> {
        let mut whole = Run { name: format!("{} hosts", runs.len()), ..Run::default() };
        for run in runs {
            if run.histograms.is_empty() {
                return Err(format!(
                    "{}: percentiles cannot be added; the log of --hlog is needed to merge",
                    run.name
                ));
            }
            for (tag, histogram) in &run.histograms {
                match whole.histograms.iter_mut().find(|(known, _)| known == tag) {
                    Some((_, sum)) => sum.merge(histogram),
                    None => whole.histograms.push((tag, histogram.clone())),
                }
            }
        }
        let reports: Vec<&Report> = runs.iter().filter_map(|run| run.report.as_ref()).collect();
        if reports.len() == runs.len() {
            whole.report = reports.split_first().map(|(first, others)| {
                let mut sum = Report { client: None, server: None, ..(*first).clone() };
                sum.side = None;
                sum.intervals.clear();
                sum.expect.clear();
                others.iter().for_each(|other| sum.add(other));
                sum
            });
        }
        Ok(whole)
    }
}

/// The points of an `.hgrm` file.
fn distribution(text: &str) -> Vec<Point> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().map(str::parse::<f64>);
            let (value, quantile) = (fields.next()?.ok()?, fields.next()?.ok()?);
            (quantile < 1.0).then_some((quantile, value * NS_PER_US))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::hlog::HLog;
    use core::time::Duration;
    use std::time::UNIX_EPOCH;

    fn recorded(millis: core::ops::RangeInclusive<u64>) -> Histogram {
        let mut histogram = Histogram::new();
        millis.for_each(|ms| histogram.record_ns(ms * 1_000_000));
        histogram
    }

    fn log(histogram: &Histogram) -> Vec<u8> {
        let mut log = Vec::new();
        let mut writer = HLog::begin(&mut log, UNIX_EPOCH).unwrap();
        for second in 0..2 {
            let at = Duration::from_secs(second);
            writer.write("latency", at, Duration::from_secs(1), histogram).unwrap();
        }
        log
    }

    fn run(name: &str, files: &[&[u8]]) -> Run {
        let mut run = Run { name: name.to_owned(), ..Run::default() };
        files.iter().for_each(|file| run.add(file).unwrap());
        run
    }

    #[test]
    fn a_log_says_more_than_a_result() {
        let mut report = Report::blank();
        report.latency = Some(Summary { count: 1, p50: 7, max: 7, ..Summary::default() });
        let json = serde_json::to_vec(&report).unwrap();
        let alone = run("a", &[&json]);
        assert_eq!((alone.kind(), alone.summary("latency").unwrap().p50), ("latency", 7));
        assert!(alone.distribution("latency").1, "percentiles only");
        let both = run("a", &[&json, &log(&recorded(1..=100))]);
        assert_eq!(both.summary("latency").unwrap().count, 200);
        let (points, coarse) = both.distribution("latency");
        assert!(!coarse && points.len() > 20);
        let median = points.iter().find(|point| point.0 >= 0.5).unwrap().1;
        assert!((median / 50e6 - 1.0).abs() < 0.02, "{median}");
    }

    #[test]
    fn a_distribution_is_read_as_it_was_written() {
        let mut text = Vec::new();
        recorded(1..=1_000).write_hgrm(&mut text).unwrap();
        let (points, coarse) = run("b", &[&text]).distribution("service");
        assert!(!coarse);
        let p90 = points.iter().find(|point| point.0 >= 0.9).unwrap().1;
        assert!((p90 / 900e6 - 1.0).abs() < 0.02, "{p90}");
        assert!(points.iter().all(|point| point.0 < 1.0));
    }

    #[test]
    fn hosts_are_merged_by_their_logs() {
        let mut report = Report::blank();
        report.requests.per_s = 100.0;
        report.connections.opened = 3;
        let json = serde_json::to_vec(&report).unwrap();
        let (low, high) = (recorded(1..=100), recorded(101..=200));
        let hosts = [run("a", &[&json, &log(&low)]), run("b", &[&json, &log(&high)])];
        let whole = Run::merge(&hosts).unwrap();
        let summary = whole.summary("latency").unwrap();
        assert_eq!(summary.count, 400);
        assert!((summary.p50 as f64 / 100e6 - 1.0).abs() < 0.02, "{summary:?}");
        let report = whole.report.unwrap();
        assert_eq!((report.requests.per_s, report.connections.opened), (200.0, 6));
        let error = Run::merge(&[hosts[0].clone(), run("c", &[&json])]).unwrap_err();
        assert_eq!(error, "c: percentiles cannot be added; the log of --hlog is needed to merge");
    }

    #[test]
    fn what_is_none_of_the_three_is_told() {
        let mut later = Report::blank();
        later.schema = 2;
        let later = serde_json::to_vec(&later).unwrap();
        let none = "a result of --json, a log of --hlog or a distribution of --hgrm is expected";
        let no_log = |what: &str| format!("it is no log of histograms: {what}");
        let head = "#[Histogram log format version 1.3]\n";
        for (content, told) in [
            (&b"hello"[..], none.to_owned()),
            (b"", none.to_owned()),
            (b"Value\n1 x\n", none.to_owned()),
            (b"\xff\xfe", none.to_owned()),
            (
                b"{\"schema\": 1}",
                "it is no result of --json: missing field `version` at line 1 column 13".to_owned(),
            ),
            (
                b"{",
                "it is no result of --json: EOF while parsing an object at line 1 column 1"
                    .to_owned(),
            ),
            (&later, "its schema is 2, 1 is expected: use the lastack that wrote it".to_owned()),
            (b"#\nnot,a,log", no_log("a line cannot be read")),
            (
                format!("{head}Tag=latency,0.0,1.0,1.0,%%\n").as_bytes(),
                no_log("Invalid symbol 37, offset 0."),
            ),
            (
                format!("{head}Tag=latency,0.0,1.0,1.0,AAAA\n").as_bytes(),
                no_log("An i/o operation failed: failed to fill whole buffer"),
            ),
        ] {
            let text = String::from_utf8_lossy(content);
            assert_eq!(Run::default().add(content), Err(told), "{text}");
        }
    }

    #[test]
    fn files_that_cannot_be_read_are_named() {
        let file = std::env::temp_dir().join(format!("lastack-run-{}.hlog", std::process::id()));
        let name = file.display();
        assert_eq!(
            Run::read(&[&file]).unwrap_err(),
            format!("{name}: cannot be read: No such file or directory (os error 2)")
        );
        std::fs::write(&file, log(&recorded(1..=9))).unwrap();
        let (once, twice) = (Run::read(&[&file]), Run::read(&[&file, &file]));
        std::fs::write(&file, "hello").unwrap();
        let none = Run::read(&[&file]).unwrap_err();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(once.unwrap()[0].summary("latency").unwrap().count, 18);
        assert_eq!(twice.unwrap_err(), format!("{name}: given twice, once is expected"));
        assert!(none.starts_with(&format!("{name}: a result of --json, a log")), "{none}");
    }
}
