//! A session: one run, or as many as the prompt asks for.
//!
//! ```text
//! begin ─▶ watch: until its time is over, a signal, stop or quit ─▶ end ─▶ tell the result
//!   ▲                                                                        │
//!   └───────────── start ◀── engines idle, the prompt stays ◀────────────────┘
//! ```

use super::desk::{Asked, Desk};
use super::links::Links;
use super::outcome;
use super::prompt::{Prompt, Script, Steered};
use super::readings::{Board, Readings};
use super::results::{self, Results};
use super::rig::Rig;
use super::screen::Screen;
use super::watch::{Signals, TICK, Timing, watch};
use crate::app::workload::Workload;
use crate::cli::Failure;
use crate::cli::args::Common;
use crate::cli::load_args::LoadArgs;
use crate::cli::units::FOREVER;
use crate::engine::App;
use crate::measure::Overhead;
use crate::port::dpdk::set_log_output;
use core::net::SocketAddr;
use core::time::Duration;
use std::sync::{Arc, Mutex};

/// What runs are called and asked for.
pub struct Job<'a> {
    /// `loopback`, `server` or `client`.
    pub command: &'static str,
    /// The workload, or the application of a server.
    pub workload: &'static str,
    /// Options of every command.
    pub common: &'a Common,
    /// Those of a client.
    pub load: Option<&'a LoadArgs>,
    /// The server that it loads.
    pub remote: Option<SocketAddr>,
}

impl Job<'_> {
    /// Does a run begin before anybody asks for it? A server serves at once.
    fn begins_at_once(&self) -> bool {
        !self.common.interactive || self.common.auto_start || self.load.is_none()
    }

    /// How long a run is; `None` = until somebody ends it.
    fn length(&self) -> Option<Duration> {
        match self.load {
            Some(_) => self.common.duration_of_client(),
            None => self.common.duration_of_server(),
        }
    }
}

/// Runs as the options and the prompt say.
///
/// # Errors
/// That of the last run, else of one before it, else of an engine or of the prompt.
pub fn run<W: Workload + Send + 'static, S: App + Send + 'static>(
    mut rig: Rig<W, S>,
    job: &Job<'_>,
    script: Script,
    signals: &Signals,
) -> Result<(), Failure> {
    let drain = job.load.map_or(Duration::ZERO, |load| load.drain);
    let (screen, desk, board) = (Screen::default(), Arc::new(Desk::new(drain)), Arc::default());
    let steered = job.load.map(|load| Steered {
        controls: rig.controls.clone(),
        open_loop: load.rate.is_some(),
        board: Arc::clone(&board),
    });
    let log = screen.clone();
    set_log_output(move |line| log.say(line));
    let mut prompt = Prompt::new(script, desk.clone(), screen.clone(), &rig.sides, steered);
    let overhead = rig.calibrate()?;
    let links = Links::of(&rig.sides, &rig.setup.profile);
    let mut session = Session { overhead, job, signals, screen, desk, board, links };
    let ran = session.all(&mut rig, &mut prompt);
    let halted = rig.halt();
    drop(rig);
    let told = prompt.end();
    session.screen.type_no_more();
    ran.and(halted).and(told)
}

struct Session<'a> {
    /// What measuring costs.
    overhead: Option<Overhead>,
    job: &'a Job<'a>,
    signals: &'a Signals,
    screen: Screen,
    desk: Arc<Desk>,
    board: Arc<Mutex<Board>>,
    links: Links,
}

impl Session<'_> {
    /// All runs. The failure is that of the last one, else the first of those before it.
    fn all<W: Workload + Send + 'static, S: App + Send + 'static>(
        &mut self,
        rig: &mut Rig<W, S>,
        prompt: &mut Prompt,
    ) -> Result<(), Failure> {
        let mut next = self.job.begins_at_once().then(|| self.job.length());
        if next.is_none() {
            rig.idle()?;
            prompt.open();
            next = self.wait(rig, prompt);
        }
        let (mut last, mut earlier): (Result<(), Failure>, _) = (Ok(()), Ok(()));
        while let Some(length) = next {
            if let Err(failure) = core::mem::replace(&mut last, Ok(())) {
                if !prompt.is_typed() {
                    self.screen.say(&format!("lastack: {failure}"));
                }
                earlier = earlier.and(Err(failure.before("an earlier run: ")));
            }
            last = self.run(rig, length, prompt);
            let goes_on = !rig.is_lost() && !self.links.is_one_gone() && self.goes_on(prompt);
            if goes_on {
                if let (Err(failure), true) = (&last, prompt.is_typed()) {
                    self.screen.say(&format!("lastack: {failure}"));
                }
                rig.idle()?;
            }
            self.desk.told();
            if !goes_on {
                break;
            }
            next = self.wait(rig, prompt);
        }
        // an interface that has gone explains the rest
        self.links.outcome().and(last).and(earlier)
    }

    /// One run, of this length.
    fn run<W: Workload + Send + 'static, S: App + Send + 'static>(
        &mut self,
        rig: &mut Rig<W, S>,
        length: Option<Duration>,
        prompt: &mut Prompt,
    ) -> Result<(), Failure> {
        let Job { common, load, .. } = *self.job;
        let (warmup, period) = (common.warmup, common.stats_period());
        let timing = Timing { duration: length, warmup, period };
        let mut readings = match load {
            Some(load) => Readings::of(&rig.controls, common, load, &self.board)?,
            None => Readings::none(period),
        };
        let before = rig.begin()?;
        self.desk.begins();
        prompt.open();
        if !common.interactive {
            self.screen.begin(length);
        }
        let (links, desk, screen) = (&mut self.links, &self.desk, &self.screen);
        let ended = || {
            links.look(&rig.sides, |line| screen.say(line));
            rig.is_down() || links.is_one_gone() || desk.wants_to_end() || desk.wants_to_stop()
        };
        let sides: Vec<_> = rig.sides.iter().collect();
        let (windows, hearing) =
            watch(&timing, self.signals, &sides, &mut readings, &self.screen, ended);
        self.screen.end();
        if self.signals.interrupted() && prompt.is_typed() {
            self.signals.forget_interrupt();
            self.desk.interrupt();
        }
        let drain = load.map_or(Duration::ZERO, |load| load.drain);
        let say = |line: &str| self.screen.say(&format!("lastack: {line}"));
        let drained = rig.end(drain, hearing, say)?;

        let after = rig.counted(&windows);
        let sides = after.into_iter().zip(&before).map(|(side, before)| side.since(before));
        let sides = sides.collect();
        let profile = &rig.setup.profile;
        let Some(load) = load else {
            let report = results::of_sides(self.job, profile, &windows[0], sides);
            return outcome::publish(&report, common.json.as_deref(), &self.screen);
        };
        let results = Results::of(rig.clients(), readings);
        let mut report = results.report(self.job, load, profile, &windows[0], sides);
        let turn_ns = windows[0].turn_ns(rig.setup.clock.hz());
        report.overhead = self.overhead.map(|overhead| Overhead { turn_ns, ..overhead });
        report.no_answer_s = drained.silence.map(|silence| silence.as_secs_f64());
        results.publish(&mut report, self.job, load, &windows[0], drained, &self.screen)
    }

    /// May there be another run? As long as there are commands to be carried out.
    fn goes_on(&self, prompt: &Prompt) -> bool {
        let ended = self.signals.terminated() || (self.signals.interrupted() && !prompt.is_typed());
        prompt.is_open() && !self.desk.wants_to_end() && !ended
    }

    /// Waits for the prompt to start a run. Returns its length, or `None` if there will be none.
    fn wait<W: Workload + Send + 'static, S: App + Send + 'static>(
        &mut self,
        rig: &Rig<W, S>,
        prompt: &Prompt,
    ) -> Option<Option<Duration>> {
        loop {
            // before what was asked for: one that has left asks for nothing more
            let left = !prompt.is_open();
            match self.desk.take() {
                Some(Asked::Start(Some(FOREVER))) => return Some(None),
                Some(Asked::Start(length)) => return Some(length.or(self.job.length())),
                Some(Asked::Stop) | None => {}
            }
            let (links, screen) = (&mut self.links, &self.screen);
            links.look(&rig.sides, |line| screen.say(line));
            if links.is_one_gone() {
                return None;
            }
            if left || self.desk.wants_to_end() || self.signals.terminated() || rig.is_down() {
                return None;
            }
            if self.signals.interrupted() {
                if !prompt.is_typed() {
                    return None;
                }
                self.signals.forget_interrupt();
                self.desk.interrupt();
            }
            std::thread::park_timeout(TICK);
        }
    }
}
