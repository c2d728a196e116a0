//! The engines of a run, of one side or of both: at rest, or each in the loop of an lcore.
//!
//! ```text
//! at rest ──launch──▶ on lcores ──halt──▶ at rest          begin: at rest, workloads anew, launched
//! ```
//!
//! Engines outlive runs. Between two of them they go on polling, so that neighbours are answered and
//! TIME-WAIT runs out, with workloads that have come to their end.

use super::calibrate::calibrate;
use super::client::Clients;
use super::engines::{self, OnPort};
use super::hearing::Hearing;
use super::lcores::{Alarm, Switch, join, launch};
use super::presence::take_addresses;
use super::server::Servers;
use super::setup::Setup;
use super::side::{SideGauges, Window};
use super::watch::{Signals, wait_until};
use crate::app::workload::{Control, Workload};
use crate::cli::Failure;
use crate::engine::App;
use crate::measure::Overhead;
use crate::measure::histogram::human_duration;
use crate::measure::report::LoopbackSide;
use crate::port::Port;
use crate::port::dpdk::LcoreHandle;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// A peer that owes an answer for so long is not waited for: two SYNs that were lost are not yet so late
/// (RFC 6298 §2.1, §5.5).
const SILENCE: Duration = Duration::from_secs(3);
/// An answer that is owed for less is no news.
const OWED: Duration = Duration::from_secs(1);
/// An end that takes less is not spoken of.
const UNTOLD: Duration = Duration::from_millis(300);
/// How much longer than its drain a workload may take to say that it has finished.
const GRACE: Duration = Duration::from_secs(2);
/// How long a server's side may take to see the end of what the client's side has ended.
const SETTLE: Duration = Duration::from_secs(2);

/// Engines of clients with workloads `W`, of servers with applications `S`, or of both.
pub struct Rig<W, S> {
    /// What they stand on.
    pub setup: Setup,
    /// The sides that there are, the client's first.
    pub sides: Vec<SideGauges>,
    /// The switches of workloads.
    pub controls: Vec<Arc<Control>>,
    /// Those of loops.
    switches: Vec<Arc<Switch>>,
    engines: Engines<W, S>,
    down: Alarm,
}

/// How the connections ended that were under way at the end of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drained {
    /// How long the other end owed an answer by then, if it did.
    pub silence: Option<Duration>,
    /// Connections that were not waited for any longer.
    pub given_up: u64,
}

enum Engines<W, S> {
    AtRest(Vec<OnPort<W>>, Vec<OnPort<S>>),
    /// Each engine has a loop of its own.
    Apart(Vec<LcoreHandle<OnPort<W>>>, Vec<LcoreHandle<OnPort<S>>>),
    /// One loop polls both sides in turn.
    Together(LcoreHandle<(OnPort<W>, OnPort<S>)>),
    /// A loop could not be launched, or ended in a panic.
    Lost,
}

impl<W: Workload + Send + 'static, S: App + Send + 'static> Rig<W, S> {
    /// Engines at rest.
    pub fn new(setup: Setup, clients: Option<Clients<W>>, servers: Option<Servers<S>>) -> Self {
        let (mut sides, mut controls) = (Vec::new(), Vec::new());
        let (mut at_client, mut at_server) = (Vec::new(), Vec::new());
        if let Some(Clients { runners, gauges, controls: switches }) = clients {
            sides.push(gauges);
            (at_client, controls) = (runners, switches);
        }
        if let Some(Servers { runners, gauges }) = servers {
            sides.push(gauges);
            at_server = runners;
        }
        let lcores = setup.eal.lcores();
        let together = lcores.len() == 1 && sides.len() == 2;
        let loops = if together { 1 } else { at_client.len() + at_server.len() };
        // servers have the first
        let first_client = if together { 0 } else { at_server.len() };
        let switches: Vec<Arc<Switch>> = (0..loops).map(|_| Arc::default()).collect();
        for side in &mut sides {
            let first = if side.name == "client" { first_client } else { 0 };
            let places = first..(first + side.engines.len()).min(loops);
            side.lcores = lcores[places.clone()].to_vec();
            side.switches = switches[places].to_vec();
        }
        Rig {
            setup,
            sides,
            controls,
            switches,
            engines: Engines::AtRest(at_client, at_server),
            down: Alarm::default(),
        }
    }

    /// Has a loop ended that was not told to?
    pub fn is_down(&self) -> bool {
        self.down.rang()
    }

    /// Are engines gone, so that nothing more can be begun?
    pub fn is_lost(&self) -> bool {
        matches!(self.engines, Engines::Lost)
    }

    /// The server's side.
    fn server(&self) -> Option<&SideGauges> {
        self.sides.last().filter(|side| side.name == "server")
    }

    /// Has engines take their addresses before anything is begun (RFC 5227 §2.1, RFC 4862 §5.4).
    ///
    /// # Errors
    /// Another station has one of them.
    pub fn take_addresses(&mut self, signals: &Signals) -> Result<(), Failure> {
        self.controls.iter().for_each(|control| control.stop());
        let is_up = self.sides.first().is_some_and(|side| side.device.link().up);
        let Engines::AtRest(clients, servers) = &mut self.engines else { return Ok(()) };
        let setup = &self.setup;
        if !clients.is_empty() {
            let place = if self.switches.len() == 1 { 0 } else { servers.len() };
            let runner = take_addresses(setup, place, is_up, clients.remove(0), signals)?;
            clients.insert(0, runner);
        }
        if !servers.is_empty() {
            let runner = take_addresses(setup, 0, is_up, servers.remove(0), signals)?;
            servers.insert(0, runner);
        }
        Ok(())
    }

    /// What measuring costs the first client, which is at rest, on its lcore; `None` without clients.
    pub fn calibrate(&mut self) -> Result<Option<Overhead>, Failure> {
        self.controls.iter().for_each(|control| control.stop());
        let Engines::AtRest(clients, servers) = &mut self.engines else { return Ok(None) };
        if clients.is_empty() {
            return Ok(None);
        }
        let place = if self.switches.len() == 1 { 0 } else { servers.len() };
        let mut runner = clients.remove(0);
        let work = move || {
            let overhead = calibrate(&mut runner);
            (runner, overhead)
        };
        let (runner, overhead) = join(launch(&self.setup, place, &Alarm::default(), work)?)?;
        clients.insert(0, runner);
        Ok(Some(overhead))
    }

    /// Begins a run, and returns what the sides had counted before.
    pub fn begin(&mut self) -> Result<Vec<LoopbackSide>, Failure> {
        self.halt()?;
        if let Engines::AtRest(clients, _) = &mut self.engines {
            for runner in clients {
                runner.engine_mut().app_mut().load_mut().begin_anew();
            }
        }
        self.sides.iter().for_each(SideGauges::lower_peaks);
        let before = self.counted(&[]);
        self.launch()?;
        Ok(before)
    }

    /// Lets engines poll that shall begin nothing.
    pub fn idle(&mut self) -> Result<(), Failure> {
        self.controls.iter().for_each(|control| control.stop());
        self.launch()
    }

    /// Ends a run. Workloads finish what is under way within the time `drain`, or sooner if the peer, which
    /// `hearing` listens to, does not answer. Then the engines rest. Tells what it waits for.
    pub fn end(
        &mut self,
        drain: Duration,
        mut hearing: Hearing,
        tell: impl Fn(&str),
    ) -> Result<Drained, Failure> {
        let began = Instant::now();
        self.controls.iter().for_each(|control| control.stop());
        let mut drained = Drained { silence: None, given_up: 0 };
        if !self.controls.is_empty() {
            let side = &self.sides[0];
            drained.silence = hearing.silence(side, began).filter(|silence| *silence >= OWED);
            let given_up = |open: u64| {
                let time = human_duration(drain);
                tell(&format!("{} did not end in {time} (--drain): given up", under_way(open)));
            };
            let (mut told, mut last) = (false, 0);
            wait_until(drain.saturating_add(GRACE), || {
                let mut open = side.open_now(); // first, so that it is what was open before `now`
                let now = Instant::now();
                hearing.look(side, now);
                let waited = now - began;
                // From the limit on the engines give up by themselves: what was open before counts.
                if waited < drain {
                    last = open;
                } else {
                    open = open.max(last);
                }
                let silence = hearing.silence(side, now).filter(|silence| *silence >= SILENCE);
                if drained.given_up == 0 && open > 0 {
                    if let Some(silence) = silence {
                        let silence = silence.as_secs_f64();
                        tell(&format!(
                            "no answer for {silence:.1} s: {}, given up",
                            under_way(open)
                        ));
                    } else if waited >= drain {
                        given_up(open);
                    } else if waited >= UNTOLD && !told {
                        told = true;
                        let time = human_duration(drain);
                        tell(&format!(
                            "waiting for {} to end, {time} at most (--drain)",
                            under_way(open)
                        ));
                    }
                    if silence.is_some() || waited >= drain {
                        (drained.silence, drained.given_up) = (silence.or(drained.silence), open);
                        self.controls.iter().for_each(|control| control.give_up());
                    }
                }
                self.is_down() || self.controls.iter().all(|control| control.is_finished())
            });
            // the engines know the time, too, and may have been first
            if drained.given_up == 0 && last > 0 && began.elapsed() >= drain {
                given_up(last);
                drained.given_up = last;
            }
            if let Some(server) = self.server() {
                wait_until(SETTLE, || self.is_down() || server.open_now() == 0);
            }
        }
        self.halt()?;
        Ok(drained)
    }

    /// The clients, which are at rest.
    pub fn clients(&self) -> &[OnPort<W>] {
        match &self.engines {
            Engines::AtRest(clients, _) => clients,
            _ => &[],
        }
    }

    /// What the sides have counted, with the rates of their windows. Ports tell what they lost only
    /// while engines are at rest.
    pub fn counted(&self, windows: &[Window]) -> Vec<LoopbackSide> {
        let blank = Window::default();
        let windows = windows.iter().chain(core::iter::repeat(&blank));
        let hz = self.setup.clock.hz();
        let drops = |side: &SideGauges| match &self.engines {
            Engines::AtRest(clients, _) if side.name == "client" => losses(clients),
            Engines::AtRest(_, servers) => losses(servers),
            _ => BTreeMap::new(),
        };
        self.sides.iter().zip(windows).map(|(side, w)| side.whole(w, hz, &drops(side))).collect()
    }

    fn launch(&mut self) -> Result<(), Failure> {
        let launched = self.launch_all();
        if launched.is_err() {
            self.switches.iter().for_each(|switch| switch.halt()); // those that have been
        }
        launched
    }

    fn launch_all(&mut self) -> Result<(), Failure> {
        let taken = core::mem::replace(&mut self.engines, Engines::Lost);
        let Engines::AtRest(mut clients, mut servers) = taken else {
            self.engines = taken;
            return Ok(());
        };
        let bursts = servers.iter().map(burst).chain(clients.iter().map(burst));
        self.switches.iter().zip(bursts).for_each(|(switch, burst)| switch.release(burst));
        self.down = Alarm::default();
        let (setup, down) = (&self.setup, &self.down);
        if self.switches.len() == 1 && !clients.is_empty() && !servers.is_empty() {
            let (client, server) = (clients.remove(0), servers.remove(0));
            let switch = self.switches[0].clone();
            let work = move || engines::drive_both(client, server, &switch);
            self.engines = Engines::Together(launch(setup, 0, down, work)?);
            return Ok(());
        }
        let first_client = servers.len();
        let servers = on_lcores(setup, down, &self.switches, 0, servers)?;
        let clients = on_lcores(setup, down, &self.switches, first_client, clients)?;
        self.engines = Engines::Apart(clients, servers);
        Ok(())
    }

    /// Takes the engines from their loops.
    pub fn halt(&mut self) -> Result<(), Failure> {
        self.switches.iter().for_each(|switch| switch.halt());
        self.engines = match core::mem::replace(&mut self.engines, Engines::Lost) {
            Engines::Apart(clients, servers) => {
                // all of them, before one that panicked is told
                let clients: Vec<_> = clients.into_iter().map(join).collect();
                let servers: Vec<_> = servers.into_iter().map(join).collect();
                let clients = clients.into_iter().collect::<Result<_, _>>()?;
                Engines::AtRest(clients, servers.into_iter().collect::<Result<_, _>>()?)
            }
            Engines::Together(handle) => {
                let (client, server) = join(handle)?;
                Engines::AtRest(vec![client], vec![server])
            }
            rest => rest,
        };
        Ok(())
    }
}

fn on_lcores<A: App + Send + 'static>(
    setup: &Setup,
    down: &Alarm,
    switches: &[Arc<Switch>],
    first: usize,
    runners: Vec<OnPort<A>>,
) -> Result<Vec<LcoreHandle<OnPort<A>>>, Failure> {
    let places = (first..).zip(runners);
    places
        .map(|(place, runner)| {
            let switch = switches[place].clone();
            launch(setup, place, down, move || engines::drive(runner, &switch))
        })
        .collect()
}

fn burst<A: App>(runner: &OnPort<A>) -> usize {
    runner.port().burst()
}

/// Frames that ports lost, by reason.
fn losses<A: App>(runners: &[OnPort<A>]) -> BTreeMap<String, u64> {
    let mut drops = BTreeMap::new();
    for (name, count) in runners.iter().flat_map(|runner| runner.port().stats().losses()) {
        *drops.entry(name.to_owned()).or_default() += count;
    }
    drops
}

/// How many connections have not ended, in words.
fn under_way(open: u64) -> String {
    let plural = if open == 1 { "" } else { "s" };
    format!("{open} connection{plural} under way")
}
