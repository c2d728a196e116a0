//! Runs as their files tell them: a result, a log of histograms, a percentile distribution, or several
//! of them under one name.

use super::formats::{self, Content};
use super::report::{KINDS, NoReport, Pacing, SCHEMA};
use super::{Histogram, Report, Summary};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A point of a distribution: the part of all values, from 0 to 1, that is not above so many
/// nanoseconds.
pub type Point = (f64, f64);

/// Lengths of runs of hosts that were started together differ by no more: a part of the longer, and
/// seconds.
const LENGTHS: f64 = 0.1;
const SHORTEST_S: f64 = 0.5;

/// A run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Its files' name without the ending.
    pub name: String,
    /// The result, if there is one.
    pub report: Option<Report>,
    /// All that was recorded of each kind of time, if there is a log.
    histograms: Vec<(&'static str, Histogram)>,
    /// What was recorded under tags of other programs.
    foreign: Vec<(String, Histogram)>,
    /// A distribution, if there is one.
    points: Vec<Point>,
    /// What it is of, if it says so.
    points_kind: Option<&'static str>,
}

/// What a distribution is of that does not say so.
pub const ANY_KIND: &str = "times";

/// The histogram of a tag, which is made if there is none.
fn of_tag<T: PartialEq>(all: &mut Vec<(T, Histogram)>, tag: T) -> &mut Histogram {
    let at = all.iter().position(|(known, _)| *known == tag);
    let at = at.unwrap_or_else(|| {
        all.push((tag, Histogram::new()));
        all.len() - 1
    });
    &mut all[at].1
}

impl Run {
    /// Reads runs: files of one name are of one run. A file that cannot be used is left out, and the line
    /// that says why is the second that is returned.
    ///
    /// # Errors
    /// One line that names the file: it cannot be read, is given twice, or is the only one and of no use.
    pub fn read(files: &[impl AsRef<Path>]) -> Result<(Vec<Self>, Vec<String>), String> {
        let mut runs: Vec<(std::path::PathBuf, Run)> = Vec::new();
        let mut wrong = Vec::new();
        for (at, file) in files.iter().map(AsRef::as_ref).enumerate() {
            if files[..at].iter().any(|other| other.as_ref() == file) {
                return Err(format!("{}: given twice, once is expected", file.display()));
            }
            let place = file.with_extension("");
            let content = read_bounded(file, LONGEST_RESULT)
                .map_err(|why| format!("{}: {why}", file.display()))?;
            let known = runs.iter().position(|(other, _)| *other == place);
            let mut run = match known {
                Some(at) => runs[at].1.clone(),
                None => {
                    let name = place.file_name().unwrap_or(place.as_os_str());
                    Run { name: name.to_string_lossy().into_owned(), ..Run::default() }
                }
            };
            match (run.add(&content), known) {
                (Ok(()), Some(at)) => runs[at].1 = run,
                (Ok(()), None) => runs.push((place, run)),
                (Err(why), _) => wrong.push(format!("{}: {why}", file.display())),
            }
        }
        if runs.is_empty() {
            return Err(wrong.into_iter().next().unwrap_or_default());
        }
        Ok((runs.into_iter().flat_map(|(_, run)| run.parts()).collect(), wrong))
    }

    /// Adds what a file says.
    fn add(&mut self, content: &[u8]) -> Result<(), String> {
        match formats::content(content) {
            Content::Result(text) => self.add_result(&text),
            Content::Log(text) => self.add_log(text.as_bytes()),
            Content::Distribution(points, kind) => {
                (self.points, self.points_kind) = (points, kind);
                Ok(())
            }
            Content::Unknown => {
                Err("a result of --json, a log of --hlog or a distribution of --hgrm is expected"
                    .to_owned())
            }
        }
    }

    fn add_result(&mut self, text: &str) -> Result<(), String> {
        let report: Report =
            serde_json::from_str(text).map_err(|error| match serde_json::from_str(text) {
                Ok(NoReport { error, .. }) => format!("this run failed: {}", error.message),
                Err(_) => format!("it is no result of --json: {error}"),
            })?;
        if report.schema != SCHEMA {
            return Err(format!(
                "its schema is {}, {SCHEMA} is expected: use the lastack that wrote it",
                report.schema
            ));
        }
        self.report = Some(report);
        Ok(())
    }

    fn add_log(&mut self, content: &[u8]) -> Result<(), String> {
        let broken = |what: &str| format!("it is no log of histograms: {what}");
        let mut deserializer = Deserializer::new();
        for entry in IntervalLogIterator::new(content) {
            let Ok(LogEntry::Interval(interval)) = entry else {
                entry.map_err(|_| broken("a line cannot be read"))?;
                continue;
            };
            let octets = STANDARD
                .decode(interval.encoded_histogram())
                .map_err(|error| broken(&error.to_string()))?;
            let read: hdrhistogram::Histogram<u64> = deserializer
                .deserialize(&mut octets.as_slice())
                .map_err(|error| broken(&error.to_string()))?;
            let tag = interval.tag().map_or(KINDS[0], |tag| tag.as_str());
            let whole = match KINDS.into_iter().find(|known| *known == tag) {
                Some(kind) => of_tag(&mut self.histograms, kind),
                None => of_tag(&mut self.foreign, tag.to_owned()),
            };
            read.iter_recorded().for_each(|step| {
                whole.record_ns_n(step.value_iterated_to(), step.count_at_value());
            });
        }
        Ok(())
    }

    /// Does it tell nothing at all?
    pub fn is_empty(&self) -> bool {
        let recorded = self.histograms.iter().any(|(_, histogram)| histogram.count() > 0);
        self.report.is_none() && !recorded && self.points.is_empty()
    }

    /// This run and those that the tags of other programs in its log are of.
    fn parts(mut self) -> Vec<Run> {
        let foreign = core::mem::take(&mut self.foreign);
        let parts: Vec<Run> = foreign
            .into_iter()
            .map(|(tag, histogram)| Run {
                name: format!("{} {tag}", self.name),
                histograms: vec![(KINDS[0], histogram)],
                ..Run::default()
            })
            .collect();
        let own = (parts.is_empty() || !self.is_empty()).then_some(self);
        own.into_iter().chain(parts).collect()
    }

    /// The kind of time that says most of this run: the latency of an open loop, else the service time,
    /// else that of connecting.
    pub fn kind(&self) -> &'static str {
        let counts = |tag: &&str| self.summary(tag).is_some_and(|summary| summary.count > 0);
        let of_points = || match self.points[..] {
            [] => KINDS[1],
            _ => self.points_kind.unwrap_or(ANY_KIND),
        };
        KINDS.into_iter().find(counts).unwrap_or_else(of_points)
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
        if !self.points.is_empty() && self.points_kind.is_none_or(|of| of == kind) {
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

    /// Is the other such that the figures of both add up to something?
    ///
    /// # Errors
    /// A line that says what differs.
    fn is_like(&self, other: &Run) -> Result<(), String> {
        let differ = |what: &str, own: &str, others: &str| {
            Err(format!(
                "--merge: {} is {what}{own} and {} is {what}{others}: runs of one load are expected, at \
                 the same time",
                self.name, other.name
            ))
        };
        let is_open = |run: &Run| run.histogram(KINDS[0]).is_some_and(|all| all.count() > 0);
        let (Some(one), Some(two)) = (&self.report, &other.report) else {
            let name = |run| if is_open(run) { "an open loop" } else { "a closed loop" };
            return match is_open(self) == is_open(other) {
                true => Ok(()),
                false => differ("", name(self), name(other)),
            };
        };
        if one.workload != two.workload {
            return differ("of workload ", &one.workload, &two.workload);
        }
        if one.pacing != two.pacing {
            let name = |of: Pacing| match of {
                Pacing::Closed => "a closed loop",
                Pacing::Open => "an open loop",
                Pacing::Peer => "a server",
            };
            return differ("", name(one.pacing), name(two.pacing));
        }
        let (short, long) =
            (one.duration_s.min(two.duration_s), one.duration_s.max(two.duration_s));
        if long - short > (LENGTHS * long).max(SHORTEST_S) {
            let seconds = |of: f64| format!("{of:.1} s");
            return differ("of ", &seconds(one.duration_s), &seconds(two.duration_s));
        }
        Ok(())
    }

    /// What several hosts did together: histograms merged, counts and rates added.
    ///
    /// # Errors
    /// A line that says what is missing for it.
    pub fn merge(runs: &[Run]) -> Result<Run, String> {
        if let [first, others @ ..] = runs {
            others.iter().try_for_each(|other| first.is_like(other))?;
        }
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

/// The longest file of results, octets.
const LONGEST_RESULT: u64 = 1 << 28;

/// The octets of a file, at most `most` of them: a device or a pipe may have no end.
///
/// # Errors
/// What is wrong with it, to stand behind its name.
pub fn read_bounded(file: &Path, most: u64) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    let read = File::open(file).and_then(|file| file.take(most + 1).read_to_end(&mut octets));
    match read {
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok(_) if octets.len() as u64 > most => {
            Err(format!("it is longer than {most} octets, a shorter file is expected"))
        }
        Ok(_) => Ok(octets),
    }
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
        recorded(1..=1_000).write_hgrm("service", &mut text).unwrap();
        let read = run("b", &[&text]);
        assert_eq!(read.kind(), "service");
        assert_eq!(read.distribution("latency").0, [], "it is of something else");
        let (points, coarse) = read.distribution("service");
        assert!(!coarse);
        let p90 = points.iter().find(|point| point.0 >= 0.9).unwrap().1;
        assert!((p90 / 900e6 - 1.0).abs() < 0.02, "{p90}");
        assert!(points.iter().all(|point| point.0 < 1.0));
        let without: String = String::from_utf8(text).unwrap().replace("Kind ", "Sort ");
        let read = run("b", &[without.as_bytes()]);
        assert_eq!((read.kind(), read.distribution("latency").0), (ANY_KIND, points));
        let mut text = Vec::new();
        Histogram::new().write_hgrm("latency", &mut text).unwrap();
        assert!(run("none", &[&text]).is_empty(), "of a run without answers");
    }

    /// Each series of another program is a run of its own.
    #[test]
    fn tags_of_other_programs_are_runs() {
        let text = String::from_utf8(log(&recorded(1..=10))).unwrap();
        let [get, put] =
            ["get", "put"].map(|tag| text.replace("Tag=latency", &format!("Tag={tag}")));
        let put: String = put.lines().skip(4).map(|line| format!("{line}\n")).collect();
        let runs = run("redis", &[(get + &put).as_bytes()]).parts();
        let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        assert_eq!(names, ["redis get", "redis put"]);
        assert!(runs.iter().all(|run| run.summary("latency").unwrap().count == 20));
        let both = run("mixed", &[(text + &put).as_bytes()]).parts();
        assert_eq!(both.len(), 2);
        assert_eq!((both[0].name.as_str(), both[1].name.as_str()), ("mixed", "mixed put"));
    }

    #[test]
    fn runs_that_do_not_add_up_are_not_merged() {
        let with = |name: &str, change: fn(&mut Report)| {
            let mut report = Report::blank();
            report.workload = "rr".to_owned();
            (report.pacing, report.duration_s) = (Pacing::Open, 10.0);
            change(&mut report);
            let json = serde_json::to_vec(&report).unwrap();
            run(name, &[&json, &log(&recorded(1..=9))])
        };
        let first = with("a", |_| {});
        let merged = |other: Run| Run::merge(&[first.clone(), other]).map(|_| ());
        let rest = ": runs of one load are expected, at the same time";
        for (other, told) in [
            (
                with("b", |report| report.workload = "crr".to_owned()),
                "a is of workload rr and b is of workload crr",
            ),
            (
                with("b", |report| report.pacing = Pacing::Closed),
                "a is an open loop and b is a closed loop",
            ),
            (with("b", |report| report.duration_s = 5.0), "a is of 10.0 s and b is of 5.0 s"),
        ] {
            assert_eq!(merged(other), Err(format!("--merge: {told}{rest}")));
        }
        assert_eq!(merged(with("b", |report| report.duration_s = 9.6)), Ok(()));
        let text = String::from_utf8(log(&recorded(1..=9))).unwrap();
        let closed = run("c", &[text.replace("latency", "service").as_bytes()]);
        let told = format!("--merge: a is an open loop and c is a closed loop{rest}");
        assert_eq!(merged(closed), Err(told));
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
            (b"#\nnot,a,log", none.to_owned()),
            (format!("{head}not,a,log").as_bytes(), no_log("a line cannot be read")),
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
        assert_eq!(once.unwrap().0[0].summary("latency").unwrap().count, 18);
        assert_eq!(twice.unwrap_err(), format!("{name}: given twice, once is expected"));
        assert!(none.starts_with(&format!("{name}: a result of --json, a log")), "{none}");
    }
}
