//! `server`: serves an application on a port. What it builds serves `loopback` too.

use super::client::{check_device, profile};
use super::engines::{self, Gauges, OnPort};
use super::outcome;
use super::prompt::Script;
use super::rig::Rig;
use super::session::{self, Job};
use super::setup::{self, Plug, Setup, Sides, Wait};
use super::side::SideGauges;
use super::watch::Signals;
use crate::app::Tally;
use crate::app::chargen::Chargen;
use crate::app::discard::Discard;
use crate::app::echo::Echo;
use crate::app::http::Http;
use crate::app::workload::{Responder, Rr};
use crate::cli::Failure;
use crate::cli::args::{AppName, Server};
use crate::cli::files;
use crate::engine::{App, Config};
use std::sync::Arc;

/// Runs the command.
pub fn run(eal: &[String], arguments: &Server) -> Result<(), Failure> {
    match arguments.app {
        AppName::Echo => serve(eal, arguments, |tally, _| Echo::new(tally)),
        AppName::Discard => serve(eal, arguments, |tally, _| Discard::new(tally)),
        AppName::Chargen => serve(eal, arguments, Chargen::new),
        AppName::Http => {
            let patience = arguments.patience();
            serve(eal, arguments, move |tally, most| Http::new(tally, most).with_patience(patience))
        }
        AppName::Rr => {
            let shape = arguments.shape.shape();
            serve(eal, arguments, move |tally, most| Responder::new(shape, tally, most))
        }
    }
}

fn serve<A: App + Send + 'static>(
    eal: &[String],
    arguments: &Server,
    app: impl Fn(Arc<Tally>, u32) -> A,
) -> Result<(), Failure> {
    let Server { common, .. } = arguments;
    let profile = profile(common, None)?;
    check_device(common, &profile)?;
    outcome::check_outputs(common, None)?;
    let script = Script::of(common)?;
    let port = arguments.port.unwrap_or(arguments.app.port());
    let addresses = engines::addresses(&common.address, &profile.server);
    let config = engines::config(common, &profile, &profile.server, &addresses, None)?;
    let setup = Setup::start(
        profile,
        eal,
        &setup::server_processor(),
        Sides::Server(&addresses),
        &[config.limits],
    )?;
    let signals = Signals::catch()?;
    let plug = setup.device(&setup.profile.server, common.burst, Wait::No)?;
    let servers = Servers::build(plug, &config, &setup, app, port)?;
    let mut rig = Rig::<Rr, A>::new(setup, None, Some(servers));
    rig.take_addresses(&signals)?;
    let list: Vec<String> = addresses.iter().map(|cidr| cidr.addr.to_string()).collect();
    files::say(&format!("lastack: {} at port {port} of {}", arguments.app.name(), list.join(", ")));
    let job =
        Job { command: "server", workload: arguments.app.name(), common, load: None, remote: None };
    session::run(rig, &job, script, &signals)
}

/// The engines of the server's side.
pub struct Servers<S> {
    /// On their ports, until they are launched.
    pub runners: Vec<OnPort<S>>,
    /// What they count.
    pub gauges: SideGauges,
}

impl<S: App> Servers<S> {
    /// An engine for each queue, that listens at `port`. `app` is given what it counts with and how
    /// many connections there may be.
    pub fn build(
        plug: Plug,
        config: &Config,
        setup: &Setup,
        app: impl Fn(Arc<Tally>, u32) -> S,
        port: u16,
    ) -> Result<Self, Failure> {
        let (mut tallies, device) = (Vec::new(), plug.device.clone());
        let mut runners = engines::on_port(plug, config, setup.clock, |_| {
            let tally = Arc::<Tally>::default();
            tallies.push(tally.clone());
            app(tally, config.limits.max_connections)
        })?;
        for runner in &mut runners {
            engines::listen(runner, config, port)?;
        }
        let engines = runners.iter().zip(&tallies).map(|(r, tally)| Gauges::of(r, tally)).collect();
        let gauges = SideGauges {
            name: "server",
            engines,
            device,
            link_downs: Default::default(),
            descriptors: setup.profile.buffers.queue,
            lcores: Vec::new(),
            switches: Vec::new(),
        };
        Ok(Servers { runners, gauges })
    }
}
