//! What is left of a run: what the workloads measured, as a report and as files.

use super::engines::OnPort;
use super::outcome;
use super::readings::Readings;
use super::side::{SideGauges, Window};
use crate::app::workload::{CloseBy, Measured, Workload};
use crate::cli::Failure;
use crate::cli::args::{Common, LoadArgs};
use crate::cli::files::save;
use crate::cli::profile::Profile;
use crate::engine::Error;
use crate::measure::histogram::Summary;
use crate::measure::report::{Pacing, Report};
use crate::measure::{Interval, interval};
use crate::port::Port;
use std::collections::BTreeMap;
use std::path::Path;

/// A client that was busy for so much of its time was the bottleneck, or near it.
const SATURATED: f64 = 0.97;
/// Frames that ports lost, by reason.
pub fn port_drops<A: crate::engine::App>(runners: &[OnPort<A>]) -> BTreeMap<String, u64> {
    let mut drops = BTreeMap::new();
    for runner in runners {
        for (name, count) in runner.port().stats().losses() {
            *drops.entry(name.to_owned()).or_default() += count;
        }
    }
    drops
}

/// What the workloads of all engines measured.
pub struct Results {
    measured: Measured,
    intervals: Vec<Interval>,
    not_started: u64,
    trouble: Option<Error>,
}

impl Results {
    /// Collects it: what `readings` had taken before, and what the engines still have.
    pub fn of<W: Workload>(runners: &[OnPort<W>], readings: Readings) -> Result<Self, Failure> {
        let (mut left, mut not_started, mut trouble) = (Measured::default(), 0, None);
        for load in runners.iter().map(|runner| runner.engine().app().load()) {
            left.merge(load.measured());
            not_started += load.not_started();
            trouble = trouble.or(load.trouble());
        }
        let (measured, intervals) = readings.finish(&left)?;
        Ok(Results { measured, intervals, not_started, trouble })
    }

    /// The part of a report that is the client's.
    pub fn report(
        &self,
        common: &Common,
        load: &LoadArgs,
        profile: &Profile,
        gauges: &SideGauges,
        window: &Window,
    ) -> Report {
        let Measured { latency, service, connect, close } = &self.measured;
        let open = load.rate.is_some();
        let summary = |histogram: &crate::measure::Histogram| -> Option<Summary> {
            Some(histogram.summary())
        };
        let connections = gauges.connections(window);
        let requests = gauges.requests(window, self.not_started);
        let asked_for = if load.close() == CloseBy::Reset { connections.reset } else { 0 };
        Report {
            workload: load.workload.name().to_owned(),
            profile: profile.name.clone(),
            cores: common.cores.into(),
            duration_s: window.span.as_secs_f64(),
            pacing: if open { Pacing::Open } else { Pacing::Closed },
            connections,
            requests,
            bytes: gauges.bytes(window),
            latency: if open { summary(latency) } else { None },
            service: summary(service),
            connect: summary(connect),
            close: summary(close),
            intervals: self.intervals.clone(),
            errors: connections.failed + connections.reset - asked_for + requests.refused,
            side: None,
            ..Report::blank()
        }
    }

    /// Writes the results, and says whether the run was one.
    pub fn publish(
        &self,
        report: &mut Report,
        common: &Common,
        load: &LoadArgs,
    ) -> Result<(), Failure> {
        let expected = outcome::judge(report, &load.expect);
        outcome::publish(report, common.json.as_deref())?;
        if let Some(path) = load.hgrm.as_deref().filter(|path| *path != Path::new("-")) {
            let open = load.rate.is_some();
            let Measured { latency, service, .. } = &self.measured;
            let histogram = if open { latency } else { service };
            save("--hgrm", path, |out| histogram.write_hgrm(out))?;
        }
        if let Some(path) = &load.csv {
            save("--csv", path, |out| interval::write_csv(&self.intervals, out))?;
        }
        let busy = report.client.as_ref().map(|client| &client.side).or(report.side.as_ref());
        if busy.is_some_and(|side| side.cycles.busy >= SATURATED) {
            eprintln!(
                "lastack: the client was busy all the time: these may be its own limits, and not the server's"
            );
        }
        let failed = report.connections.failed;
        match self.trouble {
            Some(error) if report.connections.established == 0 => {
                Err(Failure::Run(format!("no connection was established: {error}")))
            }
            Some(error) => {
                let hint = match (error, load.client_addresses) {
                    (Error::AddressNotAvailable, None) => "; --client-addresses gives more ports",
                    _ => "",
                };
                eprintln!("lastack: {failed} connections failed, the latest one: {error}{hint}");
                expected
            }
            None => expected,
        }
    }
}
