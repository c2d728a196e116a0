//! Watches the links of ports while engines run: on the thread that waits for their end, never on the
//! way of a packet.

use super::side::SideGauges;
use crate::cli::Failure;
use crate::cli::machine::{self, Interface};
use crate::cli::profile::Profile;
use crate::measure::histogram::human_duration;
use crate::port::dpdk::EthDev;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

/// How often links are looked at.
const PERIOD: Duration = Duration::from_millis(500);

/// The links of the sides of a run.
pub struct Links {
    watched: Vec<Watched>,
    looked_at: Option<Instant>,
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
    /// The links of the ports of these sides, of which nothing is known yet.
    pub fn of(sides: &[SideGauges], profile: &Profile) -> Self {
        let watched = sides.iter().map(|side| {
            let role = if side.name == "server" { &profile.server } else { &profile.client };
            let parts = role.device.iter().flat_map(|device| device.split(','));
            let name = parts.filter_map(|part| part.strip_prefix("iface=")).next_back();
            Watched {
                side: side.name,
                device: side.device.clone(),
                interface: name.map(|name| (name.to_owned(), machine::index_of(name))),
                state: State::Unseen,
                downs: side.link_downs.clone(),
            }
        });
        Links { watched: watched.collect(), looked_at: None, gone: None }
    }

    /// Looks at all links, if the last look was a while ago, and tells what has changed.
    pub fn look(&mut self, mut tell: impl FnMut(&str)) {
        let now = Instant::now();
        if self.looked_at.is_some_and(|at| now - at < PERIOD) {
            return;
        }
        self.looked_at = Some(now);
        let on_interfaces = self.watched.iter().any(|watched| watched.interface.is_some());
        let interfaces = if on_interfaces { machine::interfaces() } else { Vec::new() };
        for watched in &mut self.watched {
            match watched.look(&interfaces, now) {
                Some(Change::Link(line)) => tell(&line),
                Some(Change::Gone(name)) => self.gone = Some(name),
                None => {}
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
                "interface {name} has gone, so the run has ended: ip -br link lists those that there are"
            ))),
        }
    }
}

/// What has changed.
enum Change {
    /// A link went down or up: the line that says so.
    Link(String),
    /// This interface is not there any more.
    Gone(String),
}

impl Watched {
    fn look(&mut self, interfaces: &[Interface], now: Instant) -> Option<Change> {
        let up = match &self.interface {
            Some((name, index)) => {
                // one that was made since under the same name is another
                let known = interfaces.iter().find(|known| known.name == *name);
                let here = known.filter(|_| machine::index_of(name) == *index);
                let Some(here) = here else { return Some(Change::Gone(name.clone())) };
                here.up && here.carrier
            }
            None => self.device.link().up,
        };
        let before = self.state;
        self.state = before.after(up, now);
        let name = match &self.interface {
            Some((name, _)) => name.as_str(),
            None => self.device.name(),
        };
        let side = self.side;
        match (before, self.state) {
            (State::Up, State::Down(_)) => {
                self.downs.fetch_add(1, Ordering::Relaxed);
                Some(Change::Link(format!(
                    "lastack: {side}: the link of {name} is down: nothing arrives until it is up again"
                )))
            }
            (State::Down(since), State::Up) => Some(Change::Link(format!(
                "lastack: {side}: the link of {name} is up again, after {}",
                human_duration(now - since)
            ))),
            _ => None,
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
