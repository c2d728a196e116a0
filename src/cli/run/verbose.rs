//! A line for each frame while a run goes on, as `set verbose` of testpmd has it.
//!
//! ```text
//! engines' lcores ─▶ callbacks of DPDK ─▶ bounded queues ─▶ the thread here: sort, count, format ─▶ tell
//! ```
//!
//! While nothing is to be shown there are neither callbacks nor a thread.

use crate::port::dpdk::{Direction, EthDev, Seen, Sniffer, Tsc};
use crate::time::Instant;
use crate::wire::summary;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::thread::JoinHandle;

/// How many lines are told in a second; of what is above only the number is.
pub const LINES_PER_SECOND: u32 = 1_000;
/// How many frames of a device wait in each direction.
const CAPACITY: usize = 4_096;
/// How often the thread looks.
const PAUSE: Duration = Duration::from_millis(2);

/// To whom lines go, without their ends.
pub type Tell = Box<dyn Fn(&str) + Send>;

/// Shows the frames of devices.
pub struct Verbose {
    devices: Vec<(&'static str, EthDev)>,
    state: State,
}

enum State {
    /// Nothing is shown.
    Off(Printer),
    /// The thread has the printer until it is told to end.
    On(Arc<AtomicBool>, JoinHandle<Printer>),
    /// The thread panicked, or there was none.
    Lost,
}

impl Verbose {
    /// Shows nothing yet. The devices come with the names that lines have; `clock` is what their
    /// times are told by.
    pub fn new(
        devices: impl IntoIterator<Item = (&'static str, EthDev)>,
        clock: Tsc,
        tell: Tell,
    ) -> Self {
        let printer = Printer {
            sources: Vec::new(),
            waiting: Vec::new(),
            pace: Pace { begun: clock.now(), told: 0, untold: 0 },
            clock,
            tell,
        };
        Verbose { devices: devices.into_iter().collect(), state: State::Off(printer) }
    }

    /// From now on shows nothing (0), what devices receive (1), what they send (2), or both (3). What
    /// passed before is told before this returns.
    ///
    /// # Errors
    /// If there is no such level, or the frames of a device cannot be looked at; then nothing is
    /// shown.
    pub fn set(&mut self, level: u8) -> Result<(), String> {
        let directions: &[Direction] = match level {
            0 => &[],
            1 => &[Direction::Received],
            2 => &[Direction::Sent],
            3 => &[Direction::Received, Direction::Sent],
            _ => {
                return Err(format!(
                    "{level}: 0 (nothing), 1 (received frames), 2 (sent ones) or 3 (both) is expected"
                ));
            }
        };
        let mut printer =
            self.stop().ok_or("no frames can be shown any more: its thread failed")?;
        printer.sources.retain(|source| directions.contains(&source.direction));
        let added = self.add_missing(&mut printer, directions);
        if added.is_err() {
            printer.sources.clear();
        }
        self.state = if printer.sources.is_empty() { State::Off(printer) } else { spawn(printer)? };
        added
    }

    fn add_missing(&self, printer: &mut Printer, directions: &[Direction]) -> Result<(), String> {
        for (name, device) in &self.devices {
            for &direction in directions {
                let same = |of: &Source| of.direction == direction && of.port == device.port_id();
                if !printer.sources.iter().any(same) {
                    let sniffer = device.sniff(direction, CAPACITY);
                    let sniffer = sniffer.map_err(|error| error.to_string())?;
                    let port = device.port_id();
                    printer.sources.push(Source { name, port, direction, sniffer, missed: 0 });
                }
            }
        }
        Ok(())
    }

    /// Ends the thread, if there is one, when it has told all that has passed.
    fn stop(&mut self) -> Option<Printer> {
        match core::mem::replace(&mut self.state, State::Lost) {
            State::Off(printer) => Some(printer),
            State::On(over, thread) => {
                over.store(true, Ordering::Relaxed);
                thread.join().ok()
            }
            State::Lost => None,
        }
    }
}

impl Drop for Verbose {
    fn drop(&mut self) {
        drop(self.stop());
    }
}

fn spawn(printer: Printer) -> Result<State, String> {
    let over = Arc::new(AtomicBool::new(false));
    let told = over.clone();
    let builder = std::thread::Builder::new().name("lastack-verbose".to_owned());
    let thread = builder.spawn(move || printer.run(&told));
    let thread = thread.map_err(|error| format!("no thread to show frames ({error})"))?;
    Ok(State::On(over, thread))
}

/// One direction of a device.
struct Source {
    name: &'static str,
    port: u16,
    direction: Direction,
    sniffer: Sniffer,
    /// How many it had missed when that was last looked at.
    missed: u64,
}

/// What the thread works with.
struct Printer {
    sources: Vec<Source>,
    /// Frames that are not told yet, each with the index of its source.
    waiting: Vec<(usize, Seen)>,
    pace: Pace,
    clock: Tsc,
    tell: Tell,
}

impl Printer {
    fn run(mut self, over: &AtomicBool) -> Self {
        while !over.load(Ordering::Relaxed) {
            let now = self.clock.cycles();
            self.collect();
            self.tell_before(now);
            std::thread::sleep(PAUSE);
        }
        self.collect();
        self.tell_before(u64::MAX);
        let untold = self.pace.rest();
        self.tell_untold(untold);
        self
    }

    /// Takes what has passed.
    fn collect(&mut self) {
        for (index, source) in self.sources.iter_mut().enumerate() {
            // As many as may wait: with more coming all the time there would be no end.
            for _ in 0..CAPACITY {
                let Some(seen) = source.sniffer.next() else { break };
                self.waiting.push((index, seen));
            }
            let missed = source.sniffer.missed();
            self.pace.untold += missed - core::mem::replace(&mut source.missed, missed);
        }
    }

    /// Tells what passed before `cycles`, in the order of its times. What is later waits for what the
    /// other sources have by then.
    fn tell_before(&mut self, cycles: u64) {
        let now = self.clock.now();
        let untold = self.pace.turn(now);
        self.tell_untold(untold);
        self.waiting.sort_by_key(|(_, seen)| seen.cycles);
        let ready = self.waiting.partition_point(|(_, seen)| seen.cycles < cycles);
        for (index, seen) in self.waiting.drain(..ready) {
            if self.pace.admits() {
                (self.tell)(&line(&self.sources[index], &seen, self.clock.at(seen.cycles)));
            }
        }
    }

    fn tell_untold(&self, untold: u64) {
        if untold > 0 {
            (self.tell)(&format!(
                "verbose: {untold} more frames (at most {LINES_PER_SECOND} lines a second)"
            ));
        }
    }
}

/// The line of a frame.
fn line(source: &Source, seen: &Seen, at: Instant) -> String {
    let (seconds, micros) = (at.nanos() / 1_000_000_000, at.nanos() / 1_000 % 1_000_000);
    let way = match source.direction {
        Direction::Received => "rx",
        Direction::Sent => "tx",
    };
    let frame = summary::line(seen.octets(), seen.length);
    format!("{seconds}.{micros:06} {} {way}  {frame}", source.name)
}

/// Keeps the lines of a second within their bound.
struct Pace {
    /// When this second began.
    begun: Instant,
    told: u32,
    /// Frames without a line, since their number was told.
    untold: u64,
}

impl Pace {
    /// May a frame have a line? If not, it is counted.
    fn admits(&mut self) -> bool {
        let admits = self.told < LINES_PER_SECOND;
        if admits {
            self.told += 1;
        } else {
            self.untold += 1;
        }
        admits
    }

    /// Begins a new second if the last is over, and then says how many frames had no line.
    fn turn(&mut self, now: Instant) -> u64 {
        if now.since(self.begun) < Duration::from_secs(1) {
            return 0;
        }
        (self.begun, self.told) = (now, 0);
        self.rest()
    }

    /// How many frames had no line, to be told now.
    fn rest(&mut self) -> u64 {
        core::mem::take(&mut self.untold)
    }
}

#[cfg(test)]
mod tests;
