//! What clients record, taken from them now and then while they run: rates over time, and logs of
//! histograms.

use super::outcome::created;
use super::side::SideGauges;
use crate::app::workload::{Control, Measured};
use crate::cli::Failure;
use crate::cli::args::Common;
use crate::cli::load_args::LoadArgs;
use crate::measure::hlog::HLog;
use crate::measure::interval::Interval;
use crate::measure::rate::Totals;
use core::time::Duration;
use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

/// How long an engine may take to answer; a poll is a few microseconds as a rule. What comes later
/// counts in the next interval.
const PATIENCE: Duration = Duration::from_millis(20);
/// Time between rows if there are no periodic lines.
const PERIOD: Duration = Duration::from_secs(1);

/// How late requests were, for whoever wants to see it while the run goes on.
#[derive(Debug, Default)]
pub struct Board {
    /// All that was taken so far.
    pub whole: Measured,
    /// The last interval.
    pub last: Option<Interval>,
    /// What had been taken when it was cleared.
    cleared: Option<Box<Measured>>,
}

impl Board {
    /// Shows what comes from now on. The result of the run does not change.
    pub fn clear(&mut self) {
        self.cleared = Some(Box::new(self.whole.clone()));
        self.last = None;
    }

    /// What was taken since it was cleared.
    pub fn shown(&self) -> Measured {
        let mut shown = self.whole.clone();
        if let Some(cleared) = &self.cleared {
            shown.subtract(cleared);
        }
        shown
    }
}

/// What was taken from the clients so far.
pub struct Readings {
    controls: Vec<Arc<Control>>,
    open_loop: bool,
    /// Time between rows.
    pub period: Duration,
    /// Empty ones, to be given for full ones.
    #[expect(clippy::vec_box, reason = "boxes go to the engines and come back")]
    spare: Vec<Box<Measured>>,
    /// Since the last row.
    recent: Measured,
    rows: Vec<Interval>,
    hlog: Option<HLog<BufWriter<File>>>,
    trouble: Option<io::Error>,
    /// When it began.
    began: Instant,
    /// What is shown of it.
    board: Arc<Mutex<Board>>,
}

impl Readings {
    /// Of a side that records nothing.
    pub fn none(period: Duration) -> Self {
        Readings {
            controls: Vec::new(),
            open_loop: false,
            period,
            spare: Vec::new(),
            recent: Measured::default(),
            rows: Vec::new(),
            hlog: None,
            trouble: None,
            began: Instant::now(),
            board: Arc::default(),
        }
    }

    /// Of these clients, from now on.
    pub fn of(
        controls: &[Arc<Control>],
        common: &Common,
        load: &LoadArgs,
        board: &Arc<Mutex<Board>>,
    ) -> Result<Self, Failure> {
        let talks = common.interactive || common.cmdline_file.is_some();
        let wanted = talks || load.hlog.is_some() || load.csv.is_some();
        let period = match common.stats_period() {
            none if none.is_zero() && wanted => PERIOD,
            period => period,
        };
        let begin = |file| HLog::begin(BufWriter::new(file), SystemTime::now());
        let hlog = created("--hlog", load.hlog.as_deref())?.map(begin).transpose();
        *board.lock().unwrap_or_else(PoisonError::into_inner) = Board::default();
        Ok(Readings {
            board: board.clone(),
            controls: controls.to_vec(),
            open_loop: load.rate.is_some(),
            spare: controls.iter().map(|_| Box::default()).collect(),
            hlog: hlog.map_err(|error| Failure::Run(format!("--hlog: {error}")))?,
            ..Readings::none(period)
        })
    }

    /// Ends an interval of `span` at `end`, in which the client did what `done` says. Returns its row,
    /// or `None` if nothing is recorded.
    pub fn row(
        &mut self,
        end: Duration,
        span: Duration,
        done: &Totals,
        side: &SideGauges,
    ) -> Option<Interval> {
        if self.controls.is_empty() {
            return None;
        }
        self.take();
        let times = self.recent.of_requests(self.open_loop).summary();
        let row = Interval::of(end, span, done, side.open_now(), &times);
        self.rows.push(row);
        self.end_interval(end, span);
        self.board.lock().unwrap_or_else(PoisonError::into_inner).last = Some(row);
        Some(row)
    }

    /// Takes what the engines have recorded since the last time.
    fn take(&mut self) {
        let Readings { controls, spare, recent, .. } = self;
        let mut collect = |control: &Control, spare: &mut Vec<Box<Measured>>| {
            let Some(mut recorded) = control.answer() else { return false };
            recent.merge(&recorded);
            recorded.clear();
            spare.push(recorded);
            true
        };
        for control in controls.iter() {
            collect(control, spare); // an answer that came late
            if let Some(empty) = spare.pop() {
                spare.extend(control.ask(empty));
            }
        }
        let until = Instant::now() + PATIENCE;
        let mut waiting: Vec<&Arc<Control>> = controls.iter().collect();
        while !waiting.is_empty() && Instant::now() < until {
            waiting.retain(|control| !collect(control, spare));
            std::thread::park_timeout(Duration::from_micros(100));
        }
    }

    fn end_interval(&mut self, end: Duration, span: Duration) {
        if let Some(hlog) = &mut self.hlog {
            let start = end.saturating_sub(span);
            let recorded = self.recent.by_kind().into_iter();
            let written = recorded
                .filter(|(_, histogram)| histogram.count() > 0)
                .try_for_each(|(tag, histogram)| hlog.write(tag, start, span, histogram));
            self.trouble = self.trouble.take().or(written.err());
        }
        self.board.lock().unwrap_or_else(PoisonError::into_inner).whole.merge(&self.recent);
        self.recent.clear();
    }

    /// The end: adds what the engines have `left`, which have stopped. What was recorded in all, and the
    /// rows.
    /// A log that could not be written is the failure.
    pub fn finish(mut self, left: &Measured) -> (Measured, Vec<Interval>, Result<(), Failure>) {
        let end = self.began.elapsed();
        for control in &self.controls {
            if let Some(late) = control.answer() {
                self.recent.merge(&late);
            }
        }
        self.recent.merge(left);
        let last = Duration::from_secs_f64(self.rows.last().map_or(0.0, |row| row.end_s));
        self.end_interval(end, end.saturating_sub(last));
        let flushed = self.hlog.as_mut().map_or(Ok(()), HLog::flush);
        let written = match self.trouble.or(flushed.err()) {
            Some(error) => Err(Failure::Run(format!("--hlog: cannot be written: {error}"))),
            None => Ok(()),
        };
        // the prompt shows it until the next run
        let whole = self.board.lock().unwrap_or_else(PoisonError::into_inner).whole.clone();
        (whole, self.rows, written)
    }
}
