//! What is left of a run: what the workloads measured, as a report and as files.

use super::engines::OnPort;
use super::outcome;
use super::readings::Readings;
use super::rig::Drained;
use super::screen::Screen;
use super::session::Job;
use super::side::Window;
use super::verdict;
use crate::app::workload::{self, CloseBy, Failures, Measured, Trouble, Workload};
use crate::cli::Failure;
use crate::cli::files::save;
use crate::cli::load_args::LoadArgs;
use crate::cli::profile::Profile;
use crate::engine::Error;
use crate::measure::histogram::human_ns;
use crate::measure::report::{
    Connections, FailureRow, KINDS, LoopbackSide, Pacing, Report, Requests, RunError,
};
use crate::measure::{Interval, interval};

/// A client that was busy for so much of its time was the bottleneck, or near it.
const SATURATED: f64 = 0.97;
/// A client that is late by less is not spoken of: ten turns of its loop or so.
const FELT_NS: u64 = 5_000;

/// What the workloads of all engines measured.
pub struct Results {
    measured: Measured,
    intervals: Vec<Interval>,
    not_started: u64,
    trouble: Option<Trouble>,
    failures: Failures,
    /// Was the log of histograms written?
    logged: Result<(), Failure>,
}

impl Results {
    /// Collects it: what `readings` had taken before, and what the engines still have.
    pub fn of<W: Workload>(runners: &[OnPort<W>], readings: Readings) -> Self {
        let (mut left, mut not_started, mut trouble) = (Measured::default(), 0, None);
        let mut failures = Failures::default();
        for load in runners.iter().map(|runner| runner.engine().app().load()) {
            left.merge(load.measured());
            not_started += load.not_started();
            trouble = trouble.or(load.trouble());
            failures.merge(load.failures());
        }
        let (measured, intervals, logged) = readings.finish(&left);
        Results { measured, intervals, not_started, trouble, failures, logged }
    }

    /// The result of a run of clients. `sides` are those that there are, the client's first.
    pub fn report(
        &self,
        job: &Job<'_>,
        load: &LoadArgs,
        profile: &Profile,
        window: &Window,
        sides: Vec<LoopbackSide>,
    ) -> Report {
        let Measured { latency, service, connect, close, behind, unanswered } = &self.measured;
        let open = load.rate.is_some();
        let mut report = of_sides(job, profile, window, sides);
        report.requests.not_started = self.not_started;
        let Connections { failed, reset, .. } = report.connections;
        let Requests { refused, unanswered: unanswered_requests, timed_out, .. } = report.requests;
        let asked_for = if load.close() == CloseBy::Reset { reset } else { 0 };
        Report {
            pacing: if open { Pacing::Open } else { Pacing::Closed },
            latency: open.then(|| latency.summary()),
            service: Some(service.summary()),
            connect: Some(connect.summary()),
            close: Some(close.summary()),
            behind: open.then(|| behind.summary()),
            unanswered: Some(unanswered.summary()),
            intervals: self.intervals.clone(),
            errors: failed + reset - asked_for + refused + unanswered_requests + timed_out,
            failures: self.failures.rows().iter().map(failure_row).collect(),
            ..report
        }
    }

    /// Writes the results, and says whether the run was one.
    pub fn publish(
        &self,
        report: &mut Report,
        job: &Job<'_>,
        load: &LoadArgs,
        window: &Window,
        drained: Drained,
        screen: &Screen,
    ) -> Result<(), Failure> {
        let expected = outcome::judge(report, &load.expect);
        let mut written = self.logged.clone();
        if let Some(path) = load.hgrm.as_deref() {
            let [latency, service, ..] = KINDS;
            let open = load.rate.is_some();
            let (kind, histogram) =
                (if open { latency } else { service }, self.measured.of_requests(open));
            written = written.and(save("--hgrm", path, |out| histogram.write_hgrm(kind, out)));
        }
        if let Some(path) = &load.csv {
            let csv = save("--csv", path, |out| interval::write_csv(&self.intervals, out));
            written = written.and(csv);
        }
        let verdict = verdict::of(report, load, job.remote, self.trouble, drained);
        let unwritten =
            written.as_ref().err().map(|failure| RunError::new("output", failure.to_string()));
        report.error = verdict.clone().or(unwritten);
        written = written.and(outcome::publish(report, job.common.json.as_deref(), screen));
        let ended = verdict.map_or(Ok(()), |error| Err(Failure::Run(error.message)));
        let failed_at_all = ended.is_err();
        let ended = ended.and(expected).and(written);
        remarks(report, window).iter().for_each(|line| screen.say(&format!("lastack: {line}")));
        let failed = report.connections.failed;
        match self.trouble {
            _ if failed_at_all => ended,
            Some(error) => {
                let hint = match (error, load.client_addresses) {
                    (Trouble::Connection(Error::AddressNotAvailable), None) => {
                        "; --client-addresses gives more ports"
                    }
                    _ => "",
                };
                screen.say(&format!(
                    "lastack: {failed} connections failed, the latest one: {error}{hint}"
                ));
                ended
            }
            None => ended,
        }
    }
}

/// Failures of one kind, for a report.
fn failure_row(row: &workload::FailedAlike) -> FailureRow {
    let workload::FailedAlike { count, first } = row;
    FailureRow { kind: first.kind().to_owned(), count: *count, example: first.to_string() }
}

/// Why the figures may be the client's own, and not the server's.
fn remarks(report: &Report, window: &Window) -> Vec<String> {
    let mut lines = Vec::new();
    if !window.warm {
        let line =
            "the run ended before its warm-up: rates are of that, and no times were recorded";
        lines.push(line.to_owned());
    }
    let client = report.client.as_ref().map(|client| &client.side).or(report.side.as_ref());
    if client.is_some_and(|side| side.cycles.busy >= SATURATED) {
        let line =
            "the client was busy all the time: these may be its own limits, and not the server's";
        lines.push(line.to_owned());
    }
    // connections that are held have no requests, and so no latency
    let latency = report.latency.filter(|latency| latency.count > 0).or(report.connect);
    if let (Some(latency), Some(behind)) = (latency, report.behind)
        && behind.p99 >= FELT_NS
        && behind.p99 * 2 >= latency.p99
    {
        let late = human_ns(behind.p99 as f64);
        lines.push(format!(
            "the client fell behind its own schedule: it came late itself by {late} (p99), which is its part \
             of the latency, and not the server's; its processor had other work, or the rate is too much for it"
        ));
    }
    lines
}

/// The result of a run as its sides counted it, without times. One side alone stands in the middle of it,
/// two have their own places.
pub fn of_sides(
    job: &Job<'_>,
    profile: &Profile,
    window: &Window,
    mut sides: Vec<LoopbackSide>,
) -> Report {
    let LoopbackSide { connections, requests, bytes, .. } = sides[0];
    let (side, client, server) = if sides.len() == 1 {
        (sides.pop().map(|side| side.side), None, None)
    } else {
        let server = sides.pop();
        (None, sides.pop(), server)
    };
    Report {
        command: job.command.to_owned(),
        workload: job.workload.to_owned(),
        profile: profile.name.clone(),
        cores: job.common.cores.into(),
        duration_s: window.span.as_secs_f64(),
        pacing: Pacing::Peer,
        connections,
        requests,
        bytes,
        latency: None,
        service: None,
        connect: None,
        close: None,
        behind: None,
        unanswered: None,
        overhead: None,
        side,
        client,
        server,
        ..Report::blank()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Summary;
    use crate::measure::report::Side;

    #[test]
    fn a_client_that_is_its_own_limit_says_so() {
        let said = |busy, latency, behind| {
            let mut side = Side::default();
            side.cycles.busy = busy;
            let p99 = |p99| Some(Summary { count: 1, p99, ..Summary::default() });
            let report = Report {
                latency: p99(latency),
                behind: p99(behind),
                side: Some(side),
                ..Report::blank()
            };
            let window = Window { warm: true, ..Window::default() };
            let lines = remarks(&report, &window).into_iter();
            lines.map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect()
        };
        let (busy, late) =
            ("the client was busy all the time", "the client fell behind its own schedule");
        let nothing: [&str; 0] = [];
        for (lines, told) in [
            (said(0.5, 100_000, 10_000), &nothing[..]),
            (said(0.98, 100_000, 10_000), &[busy]),
            (said(0.5, 100_000, 60_000), &[late]),
            (said(1.0, 100_000, 100_000), &[busy, late]),
            (said(0.5, 4_000, 3_900), &nothing), // a few turns
        ] {
            let lines: Vec<String> = lines;
            assert_eq!(lines, told);
        }
        let cold = remarks(&Report::blank(), &Window::default());
        assert!(cold[0].starts_with("the run ended before its warm-up"), "{cold:?}");
    }
}
