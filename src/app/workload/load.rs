//! What the workloads share: when to begin, what to record, how to end.

use super::control::{Control, Measured};
use super::http;
use super::schedule::{Arrival, Schedule};
use super::stream::Direction;
use crate::app::tally::{Ending, Tally};
use crate::engine::{ConnId, ConnectOptions, Error, Stack};
use crate::net::range::HostRange;
use crate::tcp::CloseReason;
use crate::time::Instant;
use core::net::SocketAddr;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

/// How long what is under way may go on after the stop if nothing is said: enough for a few retransmission time-outs
/// that began at 1 s (RFC 6298 §2.1) or were set to 3 s by a lost SYN (§5.7).
pub const DRAIN: Duration = Duration::from_secs(10);
/// How long no connection is tried after one could not even be begun.
const RETRY: Duration = Duration::from_millis(1);

/// A loop that comes round later than this has been away: the system gave its processor to others, or a
/// turn took too long.
const ABSENCE_NS: u64 = 50_000;
/// Absences that are remembered for what waits.
const ABSENCES: usize = 64;

/// Who closes a connection first, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseBy {
    /// The client, by FIN: TIME-WAIT is the client's.
    Client,
    /// The server, by FIN: TIME-WAIT is the server's.
    Server,
    /// The client, by RST: no TIME-WAIT.
    Reset,
}

/// Sizes that client and server have to agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Octets of a request, at least 1.
    pub request_size: u32,
    /// Octets of a response, at least 1.
    pub response_size: u32,
}

/// What a workload shall do.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadConfig {
    /// The server.
    pub remote: SocketAddr,
    /// The addresses that connections come from by turns; `None` = the one that the stack chooses.
    pub sources: Option<HostRange>,
    /// Connections at a time, at least 1.
    pub connections: u32,
    /// Requests under way on each connection, at least 1.
    pub pipeline: u16,
    /// Arrivals in a second and their spacing for an open loop; `None` = closed loop.
    pub pace: Option<(f64, Arrival)>,
    /// Sizes.
    pub shape: Shape,
    /// What the workload `http` asks for.
    pub http: Option<http::Request>,
    /// Which way octets go in the workload [`Stream`](super::Stream).
    pub direction: Direction,
    /// Requests before a connection is closed; `None` = it stays.
    pub requests_per_connection: Option<u32>,
    /// Who closes it then.
    pub close: CloseBy,
    /// What begins within this time from the start is not recorded.
    pub warmup: Duration,
    /// How long the rate (open loop) or the number of connections (closed loop) grows from nothing.
    pub ramp: Duration,
    /// How long the workload [`Stream`](super::Stream) holds a connection; `None` = to the end.
    pub hold: Option<Duration>,
    /// How long what is under way may go on after the stop.
    pub drain: Duration,
    /// Are times recorded?
    pub record: bool,
    /// Seed of the schedule.
    pub seed: u64,
}

impl LoadConfig {
    /// A closed loop of one connection to `remote` at a time, that never ends by itself and carries one
    /// octet each way; all of it is recorded.
    pub const fn new(remote: SocketAddr) -> Self {
        LoadConfig {
            remote,
            sources: None,
            connections: 1,
            pipeline: 1,
            pace: None,
            shape: Shape { request_size: 1, response_size: 1 },
            http: None,
            direction: Direction::Idle,
            requests_per_connection: None,
            close: CloseBy::Client,
            warmup: Duration::ZERO,
            ramp: Duration::ZERO,
            hold: None,
            drain: DRAIN,
            record: true,
            seed: 0,
        }
    }
}

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
    next_source: u32,
    not_started: u64,
    trouble: Option<Error>,
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
            next_source: 0,
            not_started: 0,
            trouble: None,
        }
    }

    /// Once a poll, before anything else: how far the run is.
    #[inline]
    pub fn tick(&mut self, now: Instant) -> Stage {
        if !self.started {
            self.start(now);
        }
        if now.nanos_since(self.last_turn) > ABSENCE_NS {
            self.was_away(now);
        }
        self.last_turn = now;
        if self.control.wanted.load(Ordering::Acquire) {
            self.attend(now);
        }
        if let Some(until) = self.drain_until {
            let over = self.tally.open_now.get() == 0;
            if over {
                self.control.finished.store(true, Ordering::Release);
            }
            let late = now >= until || self.control.given_up.load(Ordering::Relaxed);
            return if over || !late { Stage::Draining } else { Stage::Overdue };
        }
        if self.control.stop.load(Ordering::Relaxed) {
            self.drain_until = Some(now + self.config.drain);
            self.not_started += self.schedule.take().map_or(0, |mut s| s.take_all_due(now));
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
            if let Some(schedule) = &mut self.schedule {
                self.not_started += schedule.take_all_due(now);
                *schedule = Schedule::new(rate, *arrival, now, self.config.seed);
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
        self.not_started = 0;
        self.trouble = None;
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
        self.tally.open_now.get() < self.connections_at(now) && self.retry_at <= now
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
        let wanted = u128::from(self.tally.open_now.get() + 1).min(all);
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
    fn was_away(&mut self, now: Instant) {
        let Some(schedule) = &self.schedule else { return };
        while self.absences.len() == ABSENCES
            || self.absences.front().is_some_and(|&(_, to)| to <= schedule.next())
        {
            self.absences.pop_front();
        }
        self.absences.push_back((self.last_turn, now));
    }

    /// Nothing can be begun now, for want of a free connection: what waits does not wait for us.
    #[inline]
    pub fn blocked(&mut self, now: Instant) {
        self.free_since = now;
    }

    /// Nothing can be begun now: if there are as many connections as there may be, for want of one.
    #[inline]
    pub fn refused(&mut self, now: Instant) {
        if self.tally.open_now.get() >= self.connections_at(now) {
            self.blocked(now);
        }
    }

    /// Passes over the arrivals that are due, since there is nothing for them to do.
    #[inline]
    pub fn pass_over(&mut self, now: Instant) {
        if let Some(schedule) = &mut self.schedule {
            schedule.take_all_due(now);
        }
    }

    /// Begins a connection to the server, with this value attached.
    ///
    /// # Errors
    /// Those of [`Stack::connect`].
    #[inline]
    pub fn connect(&mut self, stack: &mut Stack, user: u64) -> Result<ConnId, Error> {
        let local = self.config.sources.map(|sources| {
            self.next_source = self.next_source.wrapping_add(1);
            SocketAddr::new(sources.nth(self.next_source), 0)
        });
        stack.connect(self.config.remote, ConnectOptions { local, user })
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
            return (!finished).then_some(if empty { Instant::ZERO } else { until });
        }
        match &self.schedule {
            _ if !idle => None,
            None => Some(self.next_place().max(self.retry_at)),
            Some(schedule) => Some(schedule.next().max(self.retry_at)),
        }
    }

    /// A connection could not be begun: nothing was sent. Counted as failed, and none is tried for
    /// a moment.
    pub fn not_begun(&mut self, error: Error, now: Instant) {
        self.tally.opened();
        self.tally.ended(Ending::Failed);
        self.trouble = Some(error);
        self.retry_at = now + RETRY;
    }

    /// A connection ended.
    #[inline]
    pub fn ended(&mut self, ending: Ending, reason: CloseReason) {
        self.tally.ended(ending);
        if ending == Ending::Failed {
            self.trouble = Some(reason.into());
        }
    }

    /// A connection that was closed long ago, whose end never came, is given up.
    pub fn given_up(&mut self) {
        self.ended(Ending::Failed, CloseReason::TimedOut);
    }

    /// Why the latest of the connections that failed did so.
    pub fn trouble(&self) -> Option<Error> {
        self.trouble
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
