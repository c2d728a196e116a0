//! The calling thread of a run: waits, tells what happens, and notes when the measured window began
//! and ended.

use super::hearing::Hearing;
use super::presence::Conflicts;
use super::readings::Readings;
use super::screen::Screen;
use super::side::{SideGauges, Window};
use crate::cli::Failure;
use crate::measure::rate::Totals;
use crate::measure::table::{brief, periodic};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Arriving;
use signal_hook::low_level::exit;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// How often switches and signals are looked at.
pub const TICK: Duration = Duration::from_millis(5);

/// A signal that comes again within this time is the same one: `timeout` sends its signal to the process
/// and then to its group, and a shell's Ctrl-C may reach it twice.
const SAME_SIGNAL: Duration = Duration::from_millis(300);

/// SIGINT, SIGTERM and SIGHUP, as switches: each ends a run, whose result is kept. A second signal of a
/// kind ends the process at once.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    interrupt: Arc<AtomicBool>,
    terminate: Arc<AtomicBool>,
    hang_up: Arc<AtomicBool>,
}

impl Signals {
    /// Takes the signals over. A thread of its own receives them, which runs only then.
    pub fn catch() -> Result<Self, Failure> {
        let signals = Signals::default();
        let mut kinds = vec![SIGINT, SIGTERM];
        // Under `nohup` the program is meant to go on.
        if !is_ignored(SIGHUP) {
            kinds.push(SIGHUP);
        }
        let failed = |error| Failure::Run(format!("signals cannot be caught: {error}"));
        let arriving = Arriving::new(&kinds).map_err(failed)?;
        let switches = signals.clone();
        let receive = move || switches.receive(arriving);
        std::thread::Builder::new().name("signals".to_owned()).spawn(receive).map_err(failed)?;
        Ok(signals)
    }

    /// Turns switches on as signals come.
    fn receive(&self, mut arriving: Arriving) {
        let mut first_at = BTreeMap::new();
        for kind in arriving.forever() {
            let switch = match kind {
                SIGINT => &self.interrupt,
                SIGTERM => &self.terminate,
                _ => &self.hang_up,
            };
            let now = Instant::now();
            if !switch.swap(true, Ordering::Relaxed) {
                first_at.insert(kind, now);
            } else if now - first_at[&kind] >= SAME_SIGNAL {
                exit(128 + kind);
            }
        }
    }

    /// Has there been one?
    pub fn caught(&self) -> bool {
        self.interrupted() || self.terminated()
    }

    /// Has there been a SIGINT?
    pub fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// The SIGINT has done what it is for: the next one is a first one again.
    pub fn forget_interrupt(&self) {
        self.interrupt.store(false, Ordering::Relaxed);
    }

    /// Has there been a SIGTERM or a SIGHUP?
    pub fn terminated(&self) -> bool {
        self.terminate.load(Ordering::Relaxed) || self.hang_up.load(Ordering::Relaxed)
    }
}

/// Does this process ignore a signal, as its parent set it to?
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    ignored.is_some_and(|set| set & 1 << (signal - 1) != 0)
}

/// When to measure and what to tell.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// When to end; `None` = at a signal.
    pub duration: Option<Duration>,
    /// From when on to measure.
    pub warmup: Duration,
    /// Time between lines; zero = none.
    pub period: Duration,
}

/// Watches sides until the time is over, there is a signal, or `ended_early` says so; the first one is
/// that of `readings`. Returns the measured window of each side, and whether the first one's peer answered.
pub fn watch(
    timing: &Timing,
    signals: &Signals,
    sides: &[&SideGauges],
    readings: &mut Readings,
    screen: &Screen,
    mut ended_early: impl FnMut() -> bool,
) -> (Vec<Window>, Hearing) {
    let began = Instant::now();
    let mut hearing = Hearing::new(sides[0], began);
    let read = || sides.iter().map(|side| side.totals()).collect::<Vec<Totals>>();
    let mut base = (began, read());
    let mut warm = timing.warmup.is_zero();
    let mut last = base.clone();
    let mut progress = String::new();
    let mut conflicts = Conflicts::new(sides);
    loop {
        let now = Instant::now();
        if let Some(line) = conflicts.look(sides, now) {
            screen.say(&line);
        }
        let run = now - began;
        hearing.look(sides[0], now);
        if !warm && run >= timing.warmup {
            warm = true;
            base = (now, read());
        }
        if !readings.period.is_zero() && now - last.0 >= readings.period {
            let (totals, span) = (read(), now - last.0);
            for (place, side) in sides.iter().enumerate() {
                let window = totals[place].since(&last.1[place]);
                let row = if place == 0 { readings.row(run, span, &window, side) } else { None };
                if !timing.period.is_zero() {
                    let open = side.open_now();
                    screen.say(&periodic(run, side.name, &window, span, open, row.as_ref()));
                }
                if let (0, Some(row)) = (place, &row) {
                    progress = brief(row);
                }
            }
            last = (now, totals);
        }
        screen.progress(run, timing.duration, &progress);
        let over = timing.duration.is_some_and(|duration| run >= duration);
        if over || signals.caught() || ended_early() {
            break;
        }
        let left = timing.duration.map_or(TICK, |duration| duration.saturating_sub(run));
        // Not sleep(): net_tap signals the process for each packet, and each signal puts the end of a
        // relative sleep off a little, for ever under load. This waits for a point in time.
        std::thread::park_timeout(left.min(TICK));
    }
    let (end, totals) = (Instant::now(), read());
    let rest = end - last.0;
    if !readings.period.is_zero() && rest >= readings.period / 2 {
        readings.row(end - began, rest, &totals[0].since(&last.1[0]), sides[0]);
    }
    let windows = totals
        .iter()
        .zip(&base.1)
        .map(|(now_at, before)| Window { totals: now_at.since(before), span: end - base.0, warm })
        .collect();
    (windows, hearing)
}

/// Waits until `done`, at most for `limit`; true if it is done.
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let until = Instant::now().checked_add(limit); // none: no limit
    loop {
        if done() {
            return true;
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
