//! `server`: serves an application on a port.

use super::client::{Alarm, check_device, join, launch, port_drops, profile, timing};
use super::engines::{self, Gauges};
use super::outcome;
use super::prompt::{Prompt, Script};
use super::readings::Readings;
use super::setup::{self, Setup, Sides, Wait};
use super::side::SideGauges;
use super::watch::{Signals, watch};
use crate::app::Tally;
use crate::app::chargen::Chargen;
use crate::app::discard::Discard;
use crate::app::echo::Echo;
use crate::app::http::Http;
use crate::app::workload::Responder;
use crate::cli::Failure;
use crate::cli::args::{AppName, Server};
use crate::engine::{App, Limits};
use crate::measure::report::{Pacing, Report};
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Runs the command.
pub fn run(eal: &[String], arguments: &Server) -> Result<(), Failure> {
    let serve_most = |limits: &Limits| limits.max_connections;
    match arguments.app {
        AppName::Echo => serve(eal, arguments, |tally, _| Echo::new(tally)),
        AppName::Discard => serve(eal, arguments, |tally, _| Discard::new(tally)),
        AppName::Chargen => serve(eal, arguments, |t, l| Chargen::new(t, serve_most(l))),
        AppName::Http => serve(eal, arguments, |t, l| Http::new(t, serve_most(l))),
        AppName::Rr => {
            let shape = arguments.shape.shape();
            serve(eal, arguments, move |t, l| Responder::new(shape, t, serve_most(l)))
        }
    }
}

fn serve<A: App + Send + 'static>(
    eal: &[String],
    arguments: &Server,
    app: impl FnOnce(Arc<Tally>, &Limits) -> A,
) -> Result<(), Failure> {
    let Server { common, .. } = arguments;
    let profile = profile(common, None)?;
    check_device(common, &profile)?;
    outcome::check_writable("--json", common.json.as_deref())?;
    let script = Script::of(common)?;
    let port = arguments.port.unwrap_or(arguments.app.port());
    let addresses = engines::addresses(&common.address, &profile.server);
    let config = engines::config(common, &profile, &profile.server, &addresses, None)?;
    let setup = Setup::start(profile, eal, &setup::server_processor(), Sides::Server(&addresses))?;
    let signals = Signals::catch()?;
    let plug = setup.device(&setup.profile.server, common.burst, Wait::No)?;

    let (tally, device) = (Arc::<Tally>::default(), plug.device.clone());
    let mut app = Some(app(tally.clone(), &config.limits));
    let mut runners = engines::on_port(plug, &config, setup.clock, |_| {
        app.take().expect("a server has one queue")
    })?;
    let mut runner = runners.remove(0);
    engines::listen(&mut runner, &config, port)?;
    let gauges = SideGauges { name: "server", engines: vec![Gauges::of(&runner, &tally)], device };
    let list: Vec<String> = addresses.iter().map(|cidr| cidr.addr.to_string()).collect();
    eprintln!("lastack: {} at port {port} of {}", arguments.app.name(), list.join(", "));

    let halt = Arc::new(AtomicBool::new(false));
    let down = Alarm::default();
    let handle = launch(&setup, 0, &down, {
        let halt = halt.clone();
        move || engines::drive(runner, &halt)
    })?;
    let timing = timing(common, common.duration);
    let prompt = Prompt::start(script, &[&gauges], None);
    let mut readings = Readings::none(timing.period);
    let ended = || down.rang() || prompt.wants_to_end();
    let windows = watch(&timing, &signals, &[&gauges], &mut readings, ended);
    halt.store(true, Ordering::Relaxed);
    let runners = [join(handle)?];

    let window = &windows[0];
    let report = Report {
        command: "server".to_owned(),
        workload: arguments.app.name().to_owned(),
        profile: setup.profile.name.clone(),
        cores: common.cores.into(),
        duration_s: window.span.as_secs_f64(),
        pacing: Pacing::Peer,
        connections: gauges.connections(window),
        requests: gauges.requests(window, 0),
        bytes: gauges.bytes(window),
        latency: None,
        service: None,
        connect: None,
        close: None,
        side: Some(gauges.side(window, setup.clock.hz(), &port_drops(&runners))),
        ..Report::blank()
    };
    drop(runners);
    let told = prompt.end();
    outcome::publish(&report, common.json.as_deref()).and(told)
}
