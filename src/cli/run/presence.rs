//! Our addresses on the link: checked before a run begins, and defended while it lasts.

use super::engines::OnPort;
use super::lcores::{Alarm, join, launch};
use super::setup::Setup;
use super::side::SideGauges;
use super::watch::Signals;
use crate::cli::Failure;
use crate::cli::args::AddressCheck;
use crate::cli::files;
use crate::engine::{App, PresenceGauge};
use crate::net::claim::Phase;
use core::time::Duration;
use std::time::Instant;

/// A conflict is not told again within this time, as it is not answered again (RFC 5227 §2.4).
const TELL: Duration = Duration::from_secs(10);

/// Has an engine take its addresses, on the lcore that it will run on. A link that is down has nobody
/// to ask: the addresses are announced when it comes up.
///
/// # Errors
/// Another station has one of them, and that ends the run.
pub fn take_addresses<A: App + Send + 'static>(
    setup: &Setup,
    place: usize,
    is_up: bool,
    mut runner: OnPort<A>,
    signals: &Signals,
) -> Result<OnPort<A>, Failure> {
    let signals = signals.clone();
    let work = move || {
        if !is_up {
            runner.engine_mut().stack_mut().skip_address_check();
        }
        let metrics = runner.engine().stack().metrics().clone();
        loop {
            runner.poll_once();
            if metrics.presence.phase() != Phase::Checking || signals.caught() {
                return runner;
            }
        }
    };
    let runner = join(launch(setup, place, &Alarm::default(), work)?)?;
    let presence = &runner.engine().stack().metrics().presence;
    match (presence.phase(), duplicate(presence)) {
        (Phase::Yielded, Some(line)) => Err(Failure::Run(format!(
            "{line}; choose another --address, or go on with --address-check {}",
            AddressCheck::Warn.name()
        ))),
        (_, Some(line)) => {
            files::say(&format!("lastack: {line}"));
            Ok(runner)
        }
        (_, None) => Ok(runner),
    }
}

/// The last station that was seen with an address of ours, in words.
fn duplicate(presence: &PresenceGauge) -> Option<String> {
    let conflict = presence.last_conflict()?;
    Some(format!("address {} is in use by station {}", conflict.ip, conflict.mac))
}

/// Sees other stations claim our addresses while engines run.
pub struct Conflicts {
    told_at: Option<Instant>,
    /// How many were told.
    told: u64,
}

impl Conflicts {
    /// From now on.
    pub fn new(sides: &[&SideGauges]) -> Self {
        Conflicts { told_at: None, told: conflicts(sides) }
    }

    /// Looks again. Returns the line about new conflicts, if there are any and the last line is not too
    /// recent.
    pub fn look(&mut self, sides: &[&SideGauges], now: Instant) -> Option<String> {
        let count = conflicts(sides);
        let is_quiet = self.told_at.is_some_and(|told| now - told < TELL);
        if count == self.told || is_quiet {
            return None;
        }
        let more = count - self.told;
        (self.told, self.told_at) = (count, Some(now));
        let mut engines = sides.iter().flat_map(|side| &side.engines);
        let line = engines.find_map(|engine| duplicate(&engine.metrics.presence))?;
        Some(format!("lastack: {line} too ({more} of its messages): connections may be lost"))
    }
}

fn conflicts(sides: &[&SideGauges]) -> u64 {
    sides.iter().map(|side| side.sum(|e| e.metrics.drops.address_conflict.get())).sum()
}
