//! `client`: loads a server at the other end of a port. What it builds serves `loopback` too.

use super::engines::{self, Gauges, OnPort};
use super::outcome;
use super::prompt::{Prompt, Script};
use super::readings::Readings;
use super::setup::{self, Plug, Setup, Sides, Wait};
use super::side::{SideGauges, Window};
use super::watch::{Signals, Timing, wait_until, watch};
use crate::app::Tally;
use crate::app::workload::http::Http;
use crate::app::workload::{
    CloseBy, Control, Crr, DRAIN, Load, LoadConfig, Measured, Rr, Stream, Workload,
};
use crate::cli::Failure;
use crate::cli::args::{self, Client, Common, LoadArgs, ShapeArgs};
use crate::cli::files::save;
use crate::cli::profile::{Kind, Profile};
use crate::engine::{Config, Error};
use crate::measure::histogram::Summary;
use crate::measure::report::{Pacing, Report};
use crate::measure::{Interval, interval};
use crate::net::range::HostRange;
use crate::port::Port;
use crate::port::dpdk::LcoreHandle;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// How much longer than its drain a workload may take to say that it has finished.
const GRACE: Duration = Duration::from_secs(2);

/// A client that was busy for so much of its time was the bottleneck, or near it.
const SATURATED: f64 = 0.97;

/// Runs the command.
pub fn run(eal: &[String], arguments: &Client) -> Result<(), Failure> {
    match arguments.load.workload {
        args::Workload::Crr => run_workload::<Crr>(eal, arguments),
        args::Workload::Rr => run_workload::<Rr>(eal, arguments),
        args::Workload::Http => run_workload::<Http>(eal, arguments),
        args::Workload::Connect | args::Workload::Stream => run_workload::<Stream>(eal, arguments),
    }
}

fn run_workload<W: Workload + Send + 'static>(
    eal: &[String],
    arguments: &Client,
) -> Result<(), Failure> {
    let Client { common, load, shape } = arguments;
    let profile = profile(common, None)?;
    check_device(common, &profile)?;
    check_outputs(common, load)?;
    let script = Script::of(common)?;
    let remote = remote(load, &profile)?;
    let addresses = engines::addresses(&common.address, &profile.client);
    let connections = Some(load.connections);
    let mut config = engines::config(common, &profile, &profile.client, &addresses, connections)?;
    widen(&mut config, load, remote)?;
    let setup = Setup::start(profile, eal, &setup::client_processor(), Sides::Client(&addresses))?;
    let signals = Signals::catch()?;
    let plug = setup.device(&setup.profile.client, common.burst, Wait::ForLink)?;
    let parts = load_parts(common, load, shape, remote, 1)?;
    let mut clients = Clients::<W>::build(plug, &config, &setup, parts)?;

    let halt = Arc::new(AtomicBool::new(false));
    let down = Alarm::default();
    let runner = clients.runners.remove(0);
    let handle = launch(&setup, 0, &down, {
        let halt = halt.clone();
        move || engines::drive(runner, &halt)
    })?;
    let timing = timing(common, common.duration_of_client());
    let mut readings = Readings::of(&clients.controls, common, load)?;
    let steered = readings.steered();
    let prompt = Prompt::start(script, &[&clients.gauges], Some(steered));
    let ended = || down.rang() || prompt.wants_to_end();
    let windows = watch(&timing, &signals, &[&clients.gauges], &mut readings, ended);
    clients.stop(&down);
    halt.store(true, Ordering::Relaxed);
    let runners = vec![join(handle)?];

    let results = Results::of(&runners, readings)?;
    let mut report = Report {
        command: "client".to_owned(),
        side: Some(clients.gauges.side(&windows[0], setup.clock.hz(), &port_drops(&runners))),
        ..results.report(common, load, &setup.profile, &clients.gauges, &windows[0])
    };
    drop(runners);
    let told = prompt.end();
    results.publish(&mut report, common, load).and(told)
}

/// The profile of a command; `otherwise` if none is named.
pub fn profile(common: &Common, otherwise: Option<&str>) -> Result<Profile, Failure> {
    let name = common.profile.as_deref().or(otherwise).ok_or_else(|| {
        let known: Vec<&str> = Profile::names().filter(|name| *name != "ring").collect();
        Failure::Arguments(format!("--profile is needed: {}, or a file", known.join(", ")))
    })?;
    Profile::load(name)?.with_device(common.device.as_deref())
}

/// Commands on a device need one, and have one engine, since flows are not spread over queues.
pub fn check_device(common: &Common, profile: &Profile) -> Result<(), Failure> {
    if profile.device.kind == Kind::Ring {
        return Err(Failure::Arguments(format!(
            "--profile {}: rings are for loopback; server and client want another profile",
            profile.name
        )));
    }
    if common.cores == 1 {
        return Ok(());
    }
    Err(Failure::Arguments(format!(
        "--cores {}: 1 is expected; a port of profile {} is polled by one engine",
        common.cores, profile.name
    )))
}

/// Are the files of the results such that they can be written?
pub fn check_outputs(common: &Common, load: &LoadArgs) -> Result<(), Failure> {
    outcome::check_writable("--json", common.json.as_deref())?;
    outcome::check_writable("--hlog", load.hlog.as_deref())?;
    outcome::check_writable("--csv", load.csv.as_deref())?;
    outcome::check_writable("--hgrm", load.hgrm.as_deref())
}

/// When to measure and what to tell.
pub fn timing(common: &Common, duration: Option<Duration>) -> Timing {
    Timing { duration, warmup: common.warmup, period: common.stats_period() }
}

/// The server to connect to.
fn remote(load: &LoadArgs, profile: &Profile) -> Result<SocketAddr, Failure> {
    let first = profile.server.addresses.first().map(|cidr| cidr.addr);
    let port = load.server().port();
    let habit = profile.client.peer.or(first).map(|addr| SocketAddr::new(addr, port));
    load.connect.or(habit).ok_or_else(|| {
        Failure::Arguments(format!("--connect is needed: profile {} has no peer", profile.name))
    })
}

/// Gives a client all the addresses that its connections are to come from.
pub fn widen(config: &mut Config, load: &LoadArgs, remote: SocketAddr) -> Result<(), Failure> {
    let Some(net) = load.client_addresses else { return Ok(()) };
    let wrong = |line| Err(Failure::Arguments(format!("--client-addresses {net}: {line}")));
    let range = HostRange::of(net);
    if range.is_ipv4() != remote.is_ipv4() {
        return wrong(format!("addresses of the server's family are expected, it is {remote}"));
    }
    if range.has(remote.ip()) {
        return wrong(format!("the server's address {} is one of them", remote.ip()));
    }
    config.interface.ranges.push(net);
    match config.check() {
        Ok(()) => Ok(()),
        Err(error) => wrong(error.to_string()),
    }
}

/// What each of `engines` engines does of a load: connections and rate are divided.
pub fn load_parts(
    common: &Common,
    load: &LoadArgs,
    shape: &ShapeArgs,
    remote: SocketAddr,
    engines: u64,
) -> Result<Vec<LoadConfig>, Failure> {
    let http = match load.workload {
        args::Workload::Http => Some(load.request(&host(remote))?),
        _ => None,
    };
    let part = |index: u64| LoadConfig {
        remote,
        sources: load.client_addresses.map(HostRange::of),
        connections: (load.connections / engines + u64::from(index < load.connections % engines))
            as u32,
        pipeline: load.pipeline,
        pace: load.pace().map(|(rate, arrival)| (rate / engines as f64, arrival)),
        shape: shape.shape(),
        http: http.clone(),
        direction: load.direction(),
        requests_per_connection: load.requests_per_connection(),
        close: load.close(),
        warmup: common.warmup,
        ramp: load.ramp,
        seed: index,
    };
    Ok((0..engines).map(part).filter(|part| part.connections > 0).collect())
}

/// The host that a request names if no other is given (RFC 9110 §7.2): without the usual port.
fn host(remote: SocketAddr) -> String {
    match remote {
        SocketAddr::V6(v6) if v6.port() == 80 => format!("[{}]", v6.ip()),
        _ if remote.port() == 80 => remote.ip().to_string(),
        _ => remote.to_string(),
    }
}

/// The engines of the client's side.
pub struct Clients<W> {
    /// On their ports, until they are launched.
    pub runners: Vec<OnPort<W>>,
    /// What they count.
    pub gauges: SideGauges,
    /// The switches of their workloads.
    pub controls: Vec<Arc<Control>>,
}

impl<W: Workload + Send + 'static> Clients<W> {
    /// An engine for each part of the load.
    pub fn build(
        mut plug: Plug,
        config: &Config,
        setup: &Setup,
        parts: Vec<LoadConfig>,
    ) -> Result<Self, Failure> {
        plug.queues.truncate(parts.len());
        let device = plug.device.clone();
        let mut controls = Vec::new();
        let mut tallies = Vec::new();
        let runners = engines::on_port(plug, config, setup.clock, |index| {
            let (tally, control) = (Arc::<Tally>::default(), Arc::<Control>::default());
            let load = Load::new(parts[index].clone(), tally.clone(), control.clone());
            controls.push(control);
            tallies.push(tally);
            W::new(load, config.limits.max_connections)
        })?;
        let engines = runners.iter().zip(&tallies).map(|(r, tally)| Gauges::of(r, tally)).collect();
        Ok(Clients { runners, gauges: SideGauges { name: "client", engines, device }, controls })
    }

    /// Brings the workloads to their end.
    pub fn stop(&self, down: &Alarm) {
        for control in &self.controls {
            control.stop();
        }
        wait_until(DRAIN + GRACE, || {
            down.rang() || self.controls.iter().all(|control| control.is_finished())
        });
    }
}

/// Rings when a loop has ended, by a panic say.
#[derive(Clone, Debug, Default)]
pub struct Alarm(Arc<AtomicBool>);

impl Alarm {
    /// Has one ended?
    pub fn rang(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct RingOnDrop(Alarm);

impl Drop for RingOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a loop on the lcore with this place among EAL's.
pub fn launch<T: Send + 'static>(
    setup: &Setup,
    place: usize,
    down: &Alarm,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<LcoreHandle<T>, Failure> {
    let ring = RingOnDrop(down.clone());
    let lcore = setup.eal.lcores()[place];
    let launched = setup.eal.launch(lcore, move || {
        let _ring = ring;
        work()
    });
    launched.map_err(Failure::run)
}

/// Takes back what a loop gives back.
pub fn join<T>(handle: LcoreHandle<T>) -> Result<T, Failure> {
    let lcore = handle.lcore();
    handle.join().map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or(panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Failure::Run(format!("the engine on lcore {lcore} panicked: {text}"))
    })
}

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
