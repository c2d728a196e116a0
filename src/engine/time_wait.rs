//! TIME-WAIT in the stack: how it is entered, what it answers, how it is left.

use super::error::Error;
use super::flow_table::Kind;
use super::gauges::Calendar;
use super::output::LastAck;
use super::receive::Staged;
use super::stack::{Mark, Stack, keyed};
use super::time_waits::Family;
use crate::tcp::isn::isn_after;
use crate::tcp::time_wait::{Addresses, Farewell, ReopenBy, TimeWait, Verdict};
use crate::tcp::{CloseReason, Config, Counters, Flag, State, TimeWaitPolicy, Tuple};
use crate::time::Instant;
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::Segment;

impl Stack {
    /// A connection has closed on both sides, and we closed first: a compact entry takes its place.
    pub(super) fn enter_time_wait(&mut self, index: u32) {
        let tcp = &mut self.conns[index].tcp;
        let farewell = tcp.farewell(&self.config, &self.pool);
        let owes_ack = tcp.is(Flag::AckNow);
        tcp.stop_timers();
        tcp.state = State::TimeWait;
        if owes_ack {
            let Farewell { snd_nxt: seq, rcv_nxt: ack, window, ts_recent, .. } = farewell;
            let last = LastAck { seq, ack, window, ts_recent };
            self.send_last(index, self.bare_ack(&farewell.tuple, &last));
        }
        if self.config.time_wait != TimeWaitPolicy::Off {
            self.file_time_wait(index, &farewell);
        }
        self.finish(index, CloseReason::Finished);
    }

    fn file_time_wait(&mut self, index: u32, farewell: &Farewell) {
        let until = self.end_of_time_wait(&farewell.tuple);
        let Some((kind, entry)) = self.store_time_wait(farewell, until) else { return };
        let hash = self.hash(&farewell.tuple);
        let replaced = self.table.replace(hash, (Kind::Connection, index), (kind, entry));
        debug_assert!(replaced, "a connection that is not detached is in the table");
        self.conns[index].mark(Mark::Detached);
        self.leave_backlog(index);
    }

    /// Stores an entry, instead of the oldest one if the limit is reached. The flow table does not
    /// know it yet.
    fn store_time_wait(&mut self, farewell: &Farewell, until: Instant) -> Option<(Kind, u32)> {
        self.metrics.tcp.tw_entered.bump();
        self.entered += 1;
        if self.time_waits.is_full() {
            self.recycle_oldest(farewell.tuple.is_v4());
        }
        let now = self.now;
        let (kind, entry, deadline) = if farewell.tuple.is_v4() {
            let entry = self.time_waits.v4.enter(farewell, now, until)?;
            (Kind::TimeWait4, entry, self.time_waits.v4[entry].deadline)
        } else {
            let entry = self.time_waits.v6.enter(farewell, now, until)?;
            (Kind::TimeWait6, entry, self.time_waits.v6[entry].deadline)
        };
        self.metrics.time_wait_left.add(deadline);
        self.count_time_wait();
        Some((kind, entry))
    }

    /// Takes over a 4-tuple in TIME-WAIT from elsewhere, to last until `until`: from an engine that
    /// has ended, say, so that its dead stay apart from the living after a restart. At the limit the
    /// oldest entry gives way, as always.
    ///
    /// # Errors
    /// [`Error::AddressInUse`] if something is known of the 4-tuple, [`Error::Invalid`] if `until` has
    /// passed, is further away than twice [`Config::MAX_MSL`], or the policy is
    /// [off](TimeWaitPolicy::Off), [`Error::AddressNotAvailable`] if the local address is not ours.
    pub fn adopt_time_wait(&mut self, farewell: &Farewell, until: Instant) -> Result<(), Error> {
        let in_time = until > self.now && until <= self.now + Config::MAX_MSL * 2;
        if !in_time || self.config.time_wait == TimeWaitPolicy::Off {
            return Err(Error::Invalid);
        }
        if !self.routes.is_ours(farewell.tuple.local.to_std()) {
            return Err(Error::AddressNotAvailable);
        }
        let hash = self.hash(&farewell.tuple);
        if self.look_up(&farewell.tuple, hash).is_some() {
            return Err(Error::AddressInUse);
        }
        let (kind, entry) = self.store_time_wait(farewell, until).ok_or(Error::NoBuffers)?;
        if self.table.insert(hash, kind, entry).is_err() {
            self.release_time_wait(kind, entry);
            return Err(Error::NoBuffers);
        }
        Ok(())
    }

    /// When 2·MSL that begin now are over for this 4-tuple: the listener's MSL goes before that for
    /// hosts on the link, and that before the one for all.
    fn end_of_time_wait(&self, tuple: &Tuple) -> Instant {
        let listener = self.listeners.find(tuple.local, tuple.local_port);
        let of_listener =
            listener.and_then(|id| self.listeners.get(id)).and_then(|found| found.options.msl);
        let on_link = || {
            let msl = self.config.msl_on_link?;
            self.routes.is_neighbour(tuple.remote.to_std()).then_some(msl)
        };
        self.now + of_listener.or_else(on_link).unwrap_or(self.config.msl) * 2
    }

    pub(super) fn count_time_wait(&self) {
        let waiting = self.time_waits.len() as u64;
        self.metrics.time_wait.set(waiting);
        self.metrics.time_wait_peak.raise_to(waiting);
    }

    /// The limit is reached: the oldest entry gives way, of this family if it has any.
    fn recycle_oldest(&mut self, ipv4: bool) {
        let (all, now) = (&mut self.time_waits, self.now);
        let v4 = all.v4.oldest(now).map(|index| (Kind::TimeWait4, index));
        let v6 = all.v6.oldest(now).map(|index| (Kind::TimeWait6, index));
        if let Some((kind, index)) = if ipv4 { v4.or(v6) } else { v6.or(v4) } {
            self.metrics.tcp.tw_recycled.bump();
            self.forget_time_wait(kind, index);
        }
    }

    /// Removes a TIME-WAIT entry that is filed in the wheel.
    pub(super) fn forget_time_wait(&mut self, kind: Kind, index: u32) {
        let tuple = match kind {
            Kind::TimeWait4 => self.time_waits.v4[index].tuple(),
            _ => self.time_waits.v6[index].tuple(),
        };
        let hash = self.hash(&tuple);
        let removed = self.table.remove(hash, kind, index);
        debug_assert!(removed, "a TIME-WAIT entry is in the table");
        self.release_time_wait(kind, index);
    }

    /// Removes a TIME-WAIT entry that the flow table does not know.
    fn release_time_wait(&mut self, kind: Kind, index: u32) {
        let deadline = match kind {
            Kind::TimeWait4 => self.time_waits.v4.remove(index),
            _ => self.time_waits.v6.remove(index),
        };
        self.metrics.time_wait_left.sub(deadline, 1);
        self.count_time_wait();
    }

    /// A segment for a 4-tuple in TIME-WAIT (RFC 9293 §3.10.7.4, RFC 6191, RFC 1337). The index of a
    /// connection if a cookie has made one: the segment is its first.
    pub(super) fn time_wait_arrives(
        &mut self,
        kind: Kind,
        index: u32,
        staged: &Staged,
        segment: &Segment<'_>,
    ) -> Option<u32> {
        if let Some(index) = self.cookie_reopens((kind, index), staged, segment) {
            return Some(index);
        }
        let until = self.end_of_time_wait(&staged.tuple);
        let asked = Asked { segment, config: &self.config, counters: &self.metrics.tcp, until };
        let (calendar, now) = (&self.metrics.time_wait_left, self.now);
        let (outcome, last) = match kind {
            Kind::TimeWait4 => asked.of(&mut self.time_waits.v4, index, now, calendar),
            _ => asked.of(&mut self.time_waits.v6, index, now, calendar),
        };
        match outcome {
            Outcome::Nothing => {}
            Outcome::Answer => {
                let ack = self.bare_ack(&staged.tuple, &last);
                self.send_bare(&staged.tuple, staged.from, &ack);
            }
            Outcome::Kill => self.forget_time_wait(kind, index),
            Outcome::Reopen(reason) => self.reopen(kind, index, reason, staged, segment, &last),
        }
        None
    }

    /// The last ACK of an entry.
    pub(super) fn last_of(&self, (kind, index): (Kind, u32)) -> LastAck {
        match kind {
            Kind::TimeWait4 => LastAck::of(&self.time_waits.v4[index]),
            _ => LastAck::of(&self.time_waits.v6[index]),
        }
    }

    /// A new incarnation begins (RFC 6191, RFC 9293 §3.6.1 MAY-2), from a sequence number above all
    /// of the old one. Without a listener the SYN is answered as any old segment, within the limit.
    fn reopen(
        &mut self,
        kind: Kind,
        index: u32,
        reason: ReopenBy,
        staged: &Staged,
        syn: &Segment<'_>,
        last: &LastAck,
    ) {
        let tuple = &staged.tuple;
        match self.listeners.find(tuple.local, tuple.local_port) {
            Some(listener) => {
                // with timestamps PAWS keeps the incarnations apart, whatever their numbers
                let by_timestamp = reason == ReopenBy::Timestamp && last.ts_recent.is_some();
                if !self.admit_reopening(listener, by_timestamp, staged, syn) {
                    return;
                }
                let counters = &self.metrics.tcp;
                counters.tw_reused.bump();
                match reason {
                    ReopenBy::Timestamp => counters.tw_reused_timestamp.bump(),
                    ReopenBy::Sequence => counters.tw_reused_sequence.bump(),
                }
                self.forget_time_wait(kind, index);
                let iss = self.isn_beyond(tuple, last.seq);
                self.open_half(listener, staged, syn, iss);
            }
            None => {
                let (now, limit) = (self.now, self.config.challenge_acks_per_s);
                let may = match kind {
                    Kind::TimeWait4 => self.time_waits.v4[index].take_ack_quota(now, limit),
                    _ => self.time_waits.v6[index].take_ack_quota(now, limit),
                };
                if !may {
                    return self.metrics.tcp.tw_ack_skipped.bump();
                }
                let ack = self.bare_ack(tuple, last);
                self.send_bare(tuple, staged.from, &ack);
            }
        }
    }

    /// Is this an entry in TIME-WAIT whose 4-tuple we may open again ourselves?
    pub(super) fn may_take_over(&self, (kind, index): (Kind, u32)) -> bool {
        match kind {
            Kind::TimeWait4 => self.time_waits.v4[index].may_be_opened(self.now, &self.config),
            Kind::TimeWait6 => self.time_waits.v6[index].may_be_opened(self.now, &self.config),
            Kind::Connection | Kind::SynCache => false,
        }
    }

    /// We open a 4-tuple again ourselves: its entry goes, and what comes back is the sequence number
    /// that the new incarnation is to go beyond.
    pub(super) fn take_over(&mut self, old: (Kind, u32)) -> SeqNumber {
        let last = self.last_of(old);
        self.metrics.tcp.tw_reused.bump();
        self.metrics.tcp.tw_reused_active.bump();
        self.forget_time_wait(old.0, old.1);
        last.seq
    }

    /// The initial sequence number for a 4-tuple whose old incarnation had sent up to `snd_nxt`.
    pub(super) fn isn_beyond(&self, tuple: &Tuple, snd_nxt: SeqNumber) -> SeqNumber {
        isn_after(self.now, keyed(&self.secrets.sequence, tuple).0 as u32, snd_nxt)
    }
}

impl LastAck {
    /// That of an entry, again.
    fn of<A: Addresses>(entry: &TimeWait<A>) -> Self {
        LastAck {
            seq: entry.snd_nxt,
            ack: entry.rcv_nxt,
            window: entry.window,
            ts_recent: entry.ts_recent(),
        }
    }
}

/// What the stack has to do about a segment for TIME-WAIT.
enum Outcome {
    Nothing,
    Answer,
    Kill,
    Reopen(ReopenBy),
}

/// A segment that arrived for an entry, and what judging it takes.
struct Asked<'a> {
    segment: &'a Segment<'a>,
    config: &'a Config,
    counters: &'a Counters,
    until: Instant,
}

impl Asked<'_> {
    fn of<A: Addresses>(
        &self,
        family: &mut Family<A>,
        index: u32,
        now: Instant,
        calendar: &Calendar,
    ) -> (Outcome, LastAck) {
        let counters = self.counters;
        let entry = &mut family[index];
        let last = LastAck::of(entry);
        let verdict = entry.judge(self.segment, self.config);
        let limited = matches!(verdict, Verdict::Ack | Verdict::AckAndRestart);
        let withheld = limited && !entry.take_ack_quota(now, self.config.challenge_acks_per_s);
        if withheld {
            counters.tw_ack_skipped.bump();
        }
        if verdict == Verdict::AckFin {
            entry.note_fin_ack_sent(now);
            counters.tw_fin_reacked.bump();
        }
        if matches!(verdict, Verdict::AckFin | Verdict::AckAndRestart) {
            counters.tw_restarted.bump();
            let (old, new) = family.restart(index, now, self.until);
            calendar.sub(old, 1);
            calendar.add(new);
        }
        let outcome = match verdict {
            Verdict::Ignore => Outcome::Nothing,
            Verdict::MissingTimestamp => {
                counters.missing_timestamp.bump();
                Outcome::Nothing
            }
            Verdict::IgnoreReset => {
                counters.tw_rst_ignored.bump();
                Outcome::Nothing
            }
            Verdict::Ack | Verdict::AckAndRestart if withheld => Outcome::Nothing,
            Verdict::Ack if self.segment.flags.syn() => {
                counters.tw_refused.bump();
                Outcome::Answer
            }
            Verdict::Ack | Verdict::AckAndRestart | Verdict::AckFin => Outcome::Answer,
            Verdict::Reopen(reason) => Outcome::Reopen(reason),
            Verdict::Kill => {
                counters.tw_killed.bump();
                Outcome::Kill
            }
        };
        (outcome, last)
    }
}
