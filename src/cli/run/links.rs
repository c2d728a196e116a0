//! Watches the links of ports while engines run: on the thread that waits for their end, never on the
//! way of a packet.

use super::side::SideGauges;
use crate::cli::Failure;
use crate::cli::machine::{self, Interface};
use crate::cli::profile::Profile;
use crate::engine::Request;
use crate::measure::histogram::human_duration;
use crate::port::dpdk::EthDev;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

/// How often links are looked at.
const PERIOD: Duration = Duration::from_millis(200);
/// From the end of a link to the restart of its device, and from one restart to the next: the driver
/// closes and opens connections on its own thread, which may be late.
const RECONNECT: Duration = Duration::from_millis(500);

/// The links of the sides of a run.
pub struct Links {
    /// In the order of the sides.
    watched: Vec<Watched>,
    looked_at: Instant,
    /// The interface that has gone.
    gone: Option<String>,
}

struct Watched {
    side: &'static str,
    device: EthDev,
    /// The interface of the kernel that it sits on, and the index that it has.
    interface: Option<(String, Option<u32>)>,
    state: State,
    downs: Arc<AtomicU64>,
    /// Does its driver connect to the peer only when the device starts?
    connects: bool,
    restarted_at: Option<Instant>,
}

/// What is known of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has not been up yet.
    Unseen,
    Up,
    /// Since then.
    Down(Instant),
}

impl State {
    /// What comes after this, now that the link is up or not.
    fn after(self, up: bool, now: Instant) -> State {
        match (self, up) {
            (_, true) => State::Up,
            (State::Up, false) => State::Down(now),
            (state, false) => state,
        }
    }
}

impl Links {
    /// The links of the ports of these sides, as they are now.
    pub fn of(sides: &[SideGauges], profile: &Profile) -> Self {
        let now = Instant::now();
        let interfaces = machine::interfaces();
        let watched = sides.iter().map(|side| {
            let role = if side.name == "server" { &profile.server } else { &profile.client };
            let device = role.device.as_deref().unwrap_or_default();
            let mut parts = device.split(',');
            let name = parts.clone().filter_map(|part| part.strip_prefix("iface=")).next_back();
            let listens = parts.any(|part| matches!(part, "role=server" | "role=master"));
            let mut watched = Watched {
                side: side.name,
                device: side.device.clone(),
                interface: name.map(|name| (name.to_owned(), machine::index_of(name))),
                state: State::Unseen,
                downs: side.link_downs.clone(),
                connects: device.starts_with("net_memif") && !listens,
                restarted_at: None,
            };
            // the start has waited for the peer of a driver that connects
            let is_up = watched.connects || watched.read(&interfaces).unwrap_or(false);
            watched.state = State::Unseen.after(is_up, now);
            watched
        });
        Links { watched: watched.collect(), looked_at: now, gone: None }
    }

    /// Looks at all links, if the last look was a while ago, and tells what has changed. The engines of a
    /// side whose link has come up announce their addresses.
    pub fn look(&mut self, sides: &[SideGauges], mut tell: impl FnMut(&str)) {
        let now = Instant::now();
        if now - self.looked_at < PERIOD {
            return;
        }
        self.looked_at = now;
        let on_interfaces = self.watched.iter().any(|watched| watched.interface.is_some());
        let interfaces = if on_interfaces { machine::interfaces() } else { Vec::new() };
        for (watched, side) in self.watched.iter_mut().zip(sides) {
            let change = watched.look(&interfaces, now);
            match &change {
                Some(Change::Gone(name)) => self.gone = Some(name.clone()),
                Some(Change::Up | Change::UpAgain(_)) => {
                    for engine in &side.engines {
                        let _ = engine.mailbox.send(Request::LinkIsUp); // full: told the next time
                    }
                }
                None if watched.is_to_restart(now) => {
                    watched.restarted_at = Some(now);
                    side.switches.iter().for_each(|switch| switch.ask_for_restart());
                }
                _ => {}
            }
            if let Some(line) = change.and_then(|change| watched.line(change)) {
                tell(&line);
            }
        }
    }

    /// Has an interface gone? No run goes on without it.
    pub fn is_one_gone(&self) -> bool {
        self.gone.is_some()
    }

    /// An error if an interface has gone.
    pub fn outcome(&self) -> Result<(), Failure> {
        match &self.gone {
            None => Ok(()),
            Some(name) => Err(Failure::Run(format!(
                "interface {name} has gone, so the run has ended: ip -br link lists the interfaces"
            ))),
        }
    }
}

/// What has changed.
enum Change {
    /// The link has come up for the first time.
    Up,
    /// The link is up again, after this time.
    UpAgain(Duration),
    /// The link went down.
    Down,
    /// This interface is not there any more.
    Gone(String),
}

impl Watched {
    /// Is the link up? `None` if its interface has gone.
    fn read(&self, interfaces: &[Interface]) -> Option<bool> {
        let Some((name, index)) = &self.interface else { return Some(self.device.link().up) };
        // one that was made since under the same name is another
        let known = interfaces.iter().find(|known| known.name == *name);
        let here = known.filter(|_| machine::index_of(name) == *index)?;
        Some(here.up && here.carrier)
    }

    /// Reads the link and counts how often it went down.
    fn look(&mut self, interfaces: &[Interface], now: Instant) -> Option<Change> {
        let Some(is_up) = self.read(interfaces) else {
            let (name, _) = self.interface.as_ref()?;
            return Some(Change::Gone(name.clone()));
        };
        let before = self.state;
        self.state = before.after(is_up, now);
        match (before, self.state) {
            (State::Up, State::Down(_)) => {
                self.downs.fetch_add(1, Ordering::Relaxed);
                Some(Change::Down)
            }
            (State::Down(since), State::Up) => Some(Change::UpAgain(now - since)),
            (State::Unseen, State::Up) => Some(Change::Up),
            _ => None,
        }
    }

    /// Is its device to be restarted, so that the driver connects?
    fn is_to_restart(&self, now: Instant) -> bool {
        let State::Down(since) = self.state else { return false };
        let last = self.restarted_at.map_or(since, |at| at.max(since));
        self.connects && now - last >= RECONNECT
    }

    /// What people are told about a change: nothing about a link that comes up for the first time.
    fn line(&self, change: Change) -> Option<String> {
        let name = self.interface.as_ref().map_or(self.device.name(), |(name, _)| name.as_str());
        let link = format!("lastack: {}: the link of {name}", self.side);
        match change {
            Change::Up | Change::Gone(_) => None,
            Change::Down => Some(format!("{link} is down: nothing arrives until it is up again")),
            Change::UpAgain(time) => {
                Some(format!("{link} is up again, after {}", human_duration(time)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_was_never_up_does_not_go_down() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        assert_eq!(State::Unseen.after(false, now), State::Unseen);
        assert_eq!(State::Unseen.after(true, now), State::Up);
        assert_eq!(State::Up.after(false, now), State::Down(now));
        assert_eq!(State::Down(now).after(false, later), State::Down(now));
        assert_eq!(State::Down(now).after(true, later), State::Up);
    }
}
