//! What the workloads share: when to begin, what to record, how to end.

mod config;

use super::control::{Control, Measured};
use super::rest::{self, Rest};
use super::schedule::Schedule;
use super::trouble::{Failures, Trouble};
use crate::app::tally::{Ending, Tally};
use crate::engine::{ConnId, ConnectOptions, Error, Stack};
use crate::tcp::CloseReason;
use crate::time::Instant;
pub use config::{CloseBy, LoadConfig, Shape};
use core::net::SocketAddr;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How long what is under way may go on after the stop if nothing is said: enough for a few retransmission time-outs
/// that began at 1 s (RFC 6298 §2.1) or were set to 3 s by a lost SYN (§5.7).
pub const DRAIN: Duration = Duration::from_secs(10);
/// How long a server that was asked to close has for it, before we do (RFC 9112 §9.6): enough for its FIN
/// to be lost once.
pub const CLOSE_GRACE: Duration = Duration::from_millis(250);
/// Intended starts of lost requests are kept as multiples of 2^23 ns, about 8 ms.
const LOST_SHIFT: u32 = 23;

/// A loop that comes round later than this has been away: the system gave its processor to others, or a
/// turn took too long.
const ABSENCE_NS: u64 = 50_000;
/// Absences that are remembered for what waits.
const ABSENCES: usize = 64;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// New work is begun.
    Running,
    /// What is under way may end.
    Draining,
    /// It had its time: abort what is left.
    Overdue,
}

/// The part of a client that all workloads share.
#[derive(Debug)]
pub struct Load {
    /// What it shall do.
    pub config: LoadConfig,
    /// What it counts for everyone to read.
    pub tally: Arc<Tally>,
    control: Arc<Control>,
    measured: Box<Measured>,
    schedule: Option<Schedule>,
    record_from: Instant,
    /// The last time that nothing more could be begun, for want of a free connection.
    free_since: Instant,
    /// When the last turn began.
    last_turn: Instant,
    /// From when to when the loop was away, as far as something waits that was due before its end.
    absences: VecDeque<(Instant, Instant)>,
    /// When all connections may be there.
    ramp_ends: Instant,
    started: bool,
    drain_until: Option<Instant>,
    retry_at: Instant,
    /// How often in a row no connection could be begun.
    refusals: u8,
    rest: Rest,
    next_source: u32,
    /// Are connections held to the end of the run?
    keeps_connections: bool,
    not_started: u64,
    /// Requests that wait to be sent again.
    waiting: usize,
    /// Intended starts of requests that are lost, in steps of 2^[`LOST_SHIFT`] ns, and how many of each.
    lost: BTreeMap<u64, u64>,
    trouble: Option<Trouble>,
    failures: Failures,
}

impl Load {
    /// A load that begins with the first [`tick`](Self::tick).
    pub fn new(config: LoadConfig, tally: Arc<Tally>, control: Arc<Control>) -> Self {
        Load {
            config,
            tally,
            control,
            measured: Box::default(),
            schedule: None,
            record_from: Instant::ZERO,
            free_since: Instant::ZERO,
            last_turn: Instant::ZERO,
            absences: VecDeque::with_capacity(ABSENCES),
            ramp_ends: Instant::ZERO,
            started: false,
            drain_until: None,
            retry_at: Instant::ZERO,
            refusals: 0,
            rest: Rest::default(),
            next_source: 0,
            keeps_connections: false,
            not_started: 0,
            waiting: 0,
            lost: BTreeMap::new(),
            trouble: None,
            failures: Failures::default(),
        }
    }

    /// Once a poll, before anything else: how far the run is.
    #[inline]
    pub fn tick(&mut self, now: Instant) -> Stage {
        if !self.started {
            self.start(now);
        }
        if now.nanos_since(self.last_turn) > ABSENCE_NS {
            self.note_absence(now);
        }
        self.last_turn = now;
        if self.control.wanted.load(Ordering::Acquire) {
            self.attend(now);
        }
        if self.rest.len() > 0 {
            self.rest.wake(now);
        }
        if let Some(until) = self.drain_until {
            let over = self.tally.open_now.get() == 0 && self.waiting == 0;
            if over {
                self.settle(now);
                self.control.finished.store(true, Ordering::Release);
            }
            let late = now >= until || self.control.given_up.load(Ordering::Relaxed);
            return if over || !late { Stage::Draining } else { Stage::Overdue };
        }
        if self.control.stop.load(Ordering::Relaxed) {
            self.drain_until = Some(now + self.config.drain);
            self.pass_over(now);
            self.schedule = None;
            return Stage::Draining;
        }
        Stage::Running
    }

    /// Does what is wanted: another rate, and what was recorded.
    #[cold]
    fn attend(&mut self, now: Instant) {
        // first, so that what is wanted from now on is seen
        self.control.wanted.store(false, Ordering::Relaxed);
        let rate = f64::from_bits(self.control.rate.swap(0, Ordering::Relaxed));
        if let Some((old, arrival)) = &mut self.config.pace
            && rate > 0.0
        {
            *old = rate;
            let arrival = *arrival;
            self.pass_over(now);
            if let Some(schedule) = &mut self.schedule {
                *schedule = Schedule::new(rate, arrival, now, self.config.seed);
            }
        }
        self.hand_over();
    }

    /// Gives away what was recorded, and goes on with what is empty.
    fn hand_over(&mut self) {
        if self.control.recorded.is_full() {
            // the last answer has not been taken yet
            return self.control.wanted.store(true, Ordering::Relaxed);
        }
        if let Some(spare) = self.control.spare.pop() {
            let recorded = core::mem::replace(&mut self.measured, spare);
            let given = self.control.recorded.push(recorded);
            debug_assert!(given.is_ok(), "there was room");
        }
    }

    /// Lets a load that has come to its end begin again with the next [`tick`](Self::tick). What was
    /// recorded is forgotten; connections and octets are counted on.
    pub fn begin_anew(&mut self) {
        self.control.begin_anew();
        self.measured.clear();
        self.schedule = None;
        self.started = false;
        self.drain_until = None;
        self.retry_at = Instant::ZERO;
        self.refusals = 0;
        self.rest.clear();
        self.not_started = 0;
        self.lost.clear();
        self.trouble = None;
        self.failures.clear();
    }

    #[cold]
    fn start(&mut self, now: Instant) {
        self.started = true;
        self.record_from = if self.config.record { now + self.config.warmup } else { Instant::FAR };
        (self.free_since, self.last_turn) = (now, now);
        self.absences.clear();
        self.schedule = self
            .config
            .pace
            .map(|(rate, arrival)| Schedule::new(rate, arrival, now, self.config.seed))
            .map(|schedule| schedule.with_ramp(self.config.ramp));
        self.ramp_ends = match self.schedule {
            Some(_) => now,
            None => now + self.config.ramp,
        };
    }

    /// Is new work still begun?
    #[inline]
    pub fn is_running(&self) -> bool {
        self.drain_until.is_none()
    }

    /// Is there a schedule?
    #[inline]
    pub fn is_open_loop(&self) -> bool {
        self.config.pace.is_some()
    }

    /// May a connection be begun now, as far as numbers and earlier failures go?
    #[inline]
    pub fn may_connect(&self, now: Instant) -> bool {
        self.places_taken() < self.connections_at(now) && self.retry_at <= now
    }

    /// Open connections, and places that rest after a failure.
    #[inline]
    fn places_taken(&self) -> u64 {
        self.tally.open_now.get() + self.rest.len()
    }

    /// How many connections there may be: in a closed loop they grow with the ramp.
    #[inline]
    fn connections_at(&self, now: Instant) -> u64 {
        let all = u64::from(self.config.connections);
        if now >= self.ramp_ends {
            return all;
        }
        let ramp = self.config.ramp.as_nanos();
        let passed = ramp - u128::from(self.ramp_ends.nanos_since(now));
        ((u128::from(all) * passed / ramp) as u64).max(1)
    }

    /// When there may be one connection more than there are: at once, or as the ramp goes.
    fn next_place(&self) -> Instant {
        let (ramp, all) = (self.config.ramp.as_nanos(), u128::from(self.config.connections));
        if self.schedule.is_some() || ramp == 0 {
            return Instant::ZERO;
        }
        let wanted = u128::from(self.places_taken() + 1).min(all);
        let left = ramp - (ramp * wanted).div_ceil(all);
        Instant::from_nanos(self.ramp_ends.nanos().saturating_sub(left as u64))
    }

    /// Takes the next arrival if it is due and returns its intended start. In a closed loop
    /// everything is due at once.
    #[inline]
    pub fn next_start(&mut self, now: Instant) -> Option<Instant> {
        let Some(schedule) = &mut self.schedule else { return Some(now) };
        let intended = schedule.take_due(now)?;
        if intended >= self.record_from {
            let own = self.own_delay(intended, now);
            self.measured.behind.record_ns(own);
        }
        Some(intended)
    }

    /// How long what is begun now waited for us alone: since a connection was free for it, and before
    /// that, while our loop was away.
    #[inline]
    fn own_delay(&self, intended: Instant, now: Instant) -> u64 {
        let free = now.nanos_since(intended.max(self.free_since));
        let away = self
            .absences
            .iter()
            .map(|&(from, to)| to.min(self.free_since).nanos_since(from.max(intended)));
        free + away.sum::<u64>()
    }

    /// Notes that the loop has been away until now. Those absences are forgotten that nothing waits for.
    #[cold]
    fn note_absence(&mut self, now: Instant) {
        let Some(schedule) = &self.schedule else { return };
        while self.absences.len() == ABSENCES
            || self.absences.front().is_some_and(|&(_, to)| to <= schedule.next())
        {
            self.absences.pop_front();
        }
        self.absences.push_back((self.last_turn, now));
    }

    /// Nothing can be begun now, for want of a free connection or of room in the port: what waits does not
    /// wait for us.
    #[inline]
    pub fn blocked(&mut self, now: Instant) {
        self.free_since = now;
    }

    /// Nothing can be begun now: if there are as many connections as there may be, for want of one.
    #[inline]
    pub fn refused(&mut self, now: Instant) {
        if self.places_taken() >= self.connections_at(now) {
            self.blocked(now);
        }
    }

    /// Connections of this load stay open to the end of the run. Once all are open, arrivals have nothing
    /// to do, and none of them counts as not started.
    pub fn keep_connections(&mut self) {
        self.keeps_connections = true;
    }

    /// Are all connections open, and do they stay?
    #[inline]
    pub fn is_complete(&self) -> bool {
        self.keeps_connections && self.tally.open_now.get() == u64::from(self.config.connections)
    }

    /// Passes over the arrivals that are due. They count as not started, unless there was nothing for them
    /// to do.
    #[inline]
    pub fn pass_over(&mut self, now: Instant) {
        let is_complete = self.is_complete();
        if let Some(schedule) = &mut self.schedule {
            let passed = schedule.take_all_due(now);
            self.not_started += if is_complete { 0 } else { passed };
        }
    }

    /// Begins a connection to the server, with this value attached. Its place comes with it: how often it
    /// has failed in a row, for [`free_place`](Self::free_place) at the end.
    ///
    /// # Errors
    /// Those of [`Stack::connect`].
    #[inline]
    pub fn connect(&mut self, stack: &mut Stack, user: u64) -> Result<(ConnId, u8), Error> {
        let local = self.config.sources.map(|sources| {
            self.next_source = self.next_source.wrapping_add(1);
            SocketAddr::new(sources.nth(self.next_source), 0)
        });
        let conn = stack.connect(self.config.remote, ConnectOptions { local, user })?;
        self.refusals = 0;
        Ok((conn, self.rest.take()))
    }

    /// The place of a connection that has ended is free: at once if the connection was of use, else when
    /// it has rested.
    #[inline]
    pub fn free_place(&mut self, failures: u8, was_of_use: bool, now: Instant) {
        if !was_of_use {
            self.rest.begin(failures, now);
        }
    }

    /// When [`tick`](Self::tick) is wanted at the latest. `idle` says whether there is a connection
    /// that could begin something.
    pub fn next_deadline(&self, idle: bool) -> Option<Instant> {
        if !self.started {
            return Some(Instant::ZERO);
        }
        if let Some(until) = self.drain_until {
            let finished = self.control.is_finished();
            let empty = self.tally.open_now.get() == 0;
            let next = match empty {
                true if self.waiting > 0 => self.next_connection().min(until),
                true => Instant::ZERO,
                false => until,
            };
            return (!finished).then_some(next);
        }
        match &self.schedule {
            _ if !idle => None,
            None => Some(self.next_connection()),
            Some(schedule) => Some(schedule.next().max(self.next_connection())),
        }
    }

    /// When a connection may be begun at the earliest, as far as numbers and earlier failures go.
    pub fn next_connection(&self) -> Instant {
        let all_rest = self.places_taken() >= u64::from(self.config.connections);
        let rested = self.rest.first().filter(|_| all_rest).unwrap_or(Instant::ZERO);
        self.next_place().max(self.retry_at).max(rested)
    }

    /// When the schedule has something due; a closed loop has none.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.schedule.as_ref().map(Schedule::next)
    }

    /// A connection could not be begun: nothing was sent. Counted as failed, and none is tried for a
    /// moment, which is longer each time.
    pub fn not_begun(&mut self, error: Error, now: Instant) {
        self.tally.opened();
        self.tally.ended(Ending::Failed);
        self.tell(Trouble::Connection(error));
        self.retry_at = now + rest::pause(self.refusals);
        self.refusals = self.refusals.saturating_add(1);
    }

    /// A connection ended. Why it failed is told here, or was [before](Self::tell) if it is `None`.
    #[inline]
    pub fn ended(&mut self, ending: Ending, reason: Option<CloseReason>) {
        self.tally.ended(ending);
        let untold = ending == Ending::Failed || reason == Some(CloseReason::Reset);
        if let Some(reason) = reason.filter(|_| untold) {
            self.tell(Trouble::Connection(reason.into()));
        }
    }

    /// Tells why a connection fails.
    #[cold]
    pub fn tell(&mut self, trouble: Trouble) {
        self.trouble = Some(trouble);
        self.failures.note(trouble);
    }

    /// A connection that was closed long ago, whose end never came, is given up.
    pub fn given_up(&mut self) {
        self.ended(Ending::Failed, Some(CloseReason::TimedOut));
    }

    /// Why the latest of the connections that failed did so.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }

    /// Why connections failed.
    pub fn failures(&self) -> &Failures {
        &self.failures
    }

    /// So many requests wait to be sent again: the run is not over before they are.
    #[inline]
    pub fn wait_for(&mut self, waiting: usize) {
        self.waiting = waiting;
    }

    /// A request will never be answered. How long it has waited is known when the run is over.
    #[cold]
    pub fn lost(&mut self, intended: Instant) {
        self.tally.unanswered.bump();
        if intended >= self.record_from {
            // rounded up, so that it will not have waited longer than it has
            *self.lost.entry((intended.nanos() >> LOST_SHIFT) + 1).or_default() += 1;
        }
    }

    /// A request was given up because its answer took longer than allowed.
    #[cold]
    pub fn timed_out(&mut self, intended: Instant, now: Instant) {
        self.tally.timed_out.bump();
        if intended >= self.record_from {
            self.waited(now.nanos_since(intended), 1);
        }
    }

    /// Records how long requests have waited that were not answered. Their latency would have been no less.
    fn waited(&mut self, nanos: u64, count: u64) {
        self.measured.unanswered.record_ns_n(nanos, count);
        if self.is_open_loop() {
            self.measured.latency.record_ns_n(nanos, count);
        }
    }

    /// The run is over: what is lost has waited until now.
    #[cold]
    fn settle(&mut self, now: Instant) {
        for (step, count) in core::mem::take(&mut self.lost) {
            self.waited(now.nanos().saturating_sub(step << LOST_SHIFT), count);
        }
    }

    /// A connection that was begun at `began` is established.
    #[inline]
    pub fn established(&mut self, began: Instant, now: Instant) {
        self.tally.established.bump();
        if began >= self.record_from {
            self.measured.connect.record_ns(now.nanos_since(began));
        }
    }

    /// The response to a request is complete.
    #[inline]
    pub fn answered(&mut self, intended: Instant, sent: Instant, now: Instant) {
        self.tally.requests.bump();
        if intended >= self.record_from {
            self.measured.service.record_ns(now.nanos_since(sent));
            if self.is_open_loop() {
                self.measured.latency.record_ns(now.nanos_since(intended));
            }
        }
    }

    /// Was that the response that was asked for?
    #[inline]
    pub fn judged(&mut self, good: bool) {
        if !good {
            self.tally.refused.bump();
        }
    }

    /// A connection that we began to close at `began` reached its final state.
    #[inline]
    pub fn closed(&mut self, began: Instant, now: Instant) {
        if began >= self.record_from {
            self.measured.close.record_ns(now.nanos_since(began));
        }
    }

    /// Arrivals that were due before the stop and never begun.
    pub fn not_started(&self) -> u64 {
        self.not_started
    }

    /// The histograms, without what was [asked for](Control::ask) and given away.
    pub fn measured(&self) -> &Measured {
        &self.measured
    }
}

#[cfg(test)]
mod tests;
