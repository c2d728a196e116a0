//! TIME-WAIT in the stack: how it is entered, what it answers, how it is left.

use super::flow_table::Kind;
use super::output::Bare;
use super::receive::Staged;
use super::stack::{Mark, Stack, keyed};
use super::time_waits::Family;
use crate::tcp::isn::isn_after;
use crate::tcp::time_wait::{Addresses, TimeWait, Verdict};
use crate::tcp::{CloseReason, Counters, Flag, State, TimeWaitPolicy};
use crate::time::Instant;
use crate::wire::options::Timestamps;
use crate::wire::seq::SeqNumber;
use crate::wire::tcp::{Flags, Segment};

impl Stack {
    /// A connection has closed on both sides, and we closed first: a compact entry takes its place.
    pub(super) fn enter_time_wait(&mut self, index: u32) {
        let tcp = &mut self.conns[index].tcp;
        let farewell = tcp.farewell(&self.config);
        let owes_ack = tcp.is(Flag::AckNow);
        tcp.stop_timers();
        tcp.state = State::TimeWait;
        if owes_ack {
            let bare =
                last_ack(&TimeWait::<crate::tcp::time_wait::PairV6>::new(&farewell, 0), self.now);
            self.send_bare_for(index, &bare);
        }
        if self.config.time_wait != TimeWaitPolicy::Off {
            self.file_time_wait(index, &farewell);
        }
        self.finish(index, CloseReason::Finished);
    }

    fn file_time_wait(&mut self, index: u32, farewell: &crate::tcp::time_wait::Farewell) {
        self.metrics.tcp.tw_entered.bump();
        if self.time_waits.is_full() {
            self.recycle_oldest(farewell.tuple.is_v4());
        }
        let until = self.now + self.config.msl * 2;
        let entry = if farewell.tuple.is_v4() {
            self.time_waits.v4.enter(farewell, until).map(|entry| (Kind::TimeWait4, entry))
        } else {
            self.time_waits.v6.enter(farewell, until).map(|entry| (Kind::TimeWait6, entry))
        };
        let Some(entry) = entry else { return };
        let hash = self.hash(&farewell.tuple);
        let replaced = self.table.replace(hash, (Kind::Connection, index), entry);
        debug_assert!(replaced, "a connection that is not detached is in the table");
        self.conns[index].mark(Mark::Detached);
        self.leave_backlog(index);
        self.count_time_wait();
    }

    fn count_time_wait(&self) {
        let waiting = self.time_waits.len() as u64;
        let gauge = &self.metrics.time_wait;
        gauge.add(waiting.wrapping_sub(gauge.get()));
        self.metrics.time_wait_peak.raise_to(waiting);
    }

    /// The limit is reached: the oldest entry gives way, of this family if it has any.
    fn recycle_oldest(&mut self, ipv4: bool) {
        let v4 = |stack: &Stack| stack.time_waits.v4.oldest().map(|i| (Kind::TimeWait4, i));
        let v6 = |stack: &Stack| stack.time_waits.v6.oldest().map(|i| (Kind::TimeWait6, i));
        let oldest =
            if ipv4 { v4(self).or_else(|| v6(self)) } else { v6(self).or_else(|| v4(self)) };
        if let Some((kind, index)) = oldest {
            self.metrics.tcp.tw_recycled.bump();
            self.forget_time_wait(kind, index);
        }
    }

    /// Removes a TIME-WAIT entry that is filed in the wheel.
    pub(super) fn forget_time_wait(&mut self, kind: Kind, index: u32) {
        let tuple = match kind {
            Kind::TimeWait4 => self.time_waits.v4.entries[index].tuple(),
            _ => self.time_waits.v6.entries[index].tuple(),
        };
        let hash = self.hash(&tuple);
        let removed = self.table.remove(hash, kind, index);
        debug_assert!(removed, "a TIME-WAIT entry is in the table");
        match kind {
            Kind::TimeWait4 => self.time_waits.v4.remove(index),
            _ => self.time_waits.v6.remove(index),
        }
        self.count_time_wait();
    }

    /// A segment for a 4-tuple in TIME-WAIT (RFC 9293 §3.10.7.4, RFC 6191, RFC 1337).
    pub(super) fn time_wait_arrives(
        &mut self,
        kind: Kind,
        index: u32,
        staged: &Staged,
        segment: &Segment<'_>,
    ) {
        let until = self.now + self.config.msl * 2;
        let (config, counters, now) = (&self.config, &self.metrics.tcp, self.now);
        let found = match kind {
            Kind::TimeWait4 => {
                let family = &mut self.time_waits.v4;
                judge(family, index, segment, config, counters, until, now)
            }
            _ => {
                let family = &mut self.time_waits.v6;
                judge(family, index, segment, config, counters, until, now)
            }
        };
        match found {
            Outcome::Nothing => {}
            Outcome::Answer(bare) => self.send_bare(&staged.tuple, staged.from, &bare),
            Outcome::Kill => self.forget_time_wait(kind, index),
            Outcome::Reopen { old_snd_nxt, otherwise } => {
                let local = staged.tuple.local.to_std();
                match self.listeners.find(local, staged.tuple.local_port) {
                    Some(listener) if !self.backlog_is_full(listener) => {
                        self.metrics.tcp.tw_reused.bump();
                        self.forget_time_wait(kind, index);
                        let hash = keyed(&self.secrets.sequence, &staged.tuple).0 as u32;
                        let iss = isn_after(self.now, hash, old_snd_nxt);
                        self.open_passive(listener, staged, segment, iss);
                    }
                    Some(_) => self.metrics.tcp.listen_overflows.bump(),
                    None => self.send_bare(&staged.tuple, staged.from, &otherwise),
                }
            }
        }
    }
}

/// What the stack has to do about a segment for TIME-WAIT.
enum Outcome {
    Nothing,
    Answer(Bare),
    Kill,
    /// Open a new incarnation, or if nobody listens answer as to any old segment.
    Reopen {
        old_snd_nxt: SeqNumber,
        otherwise: Bare,
    },
}

fn judge<A: Addresses>(
    family: &mut Family<A>,
    index: u32,
    segment: &Segment<'_>,
    config: &crate::tcp::Config,
    counters: &Counters,
    until: Instant,
    now: Instant,
) -> Outcome {
    let entry = &family.entries[index];
    let answer = last_ack(entry, now);
    match entry.judge(segment, config) {
        Verdict::Ignore => Outcome::Nothing,
        Verdict::IgnoreReset => {
            counters.tw_rst_ignored.bump();
            Outcome::Nothing
        }
        Verdict::Ack => Outcome::Answer(answer),
        Verdict::AckAndRestart => {
            if segment.flags.fin() {
                counters.tw_fin_reacked.bump();
            }
            family.restart(index, until);
            Outcome::Answer(answer)
        }
        Verdict::Reopen => Outcome::Reopen { old_snd_nxt: entry.snd_nxt, otherwise: answer },
        Verdict::Kill => {
            counters.tw_killed.bump();
            Outcome::Kill
        }
    }
}

/// The last ACK of a connection, again.
fn last_ack<A: Addresses>(entry: &TimeWait<A>, now: Instant) -> Bare {
    let value = ((now.nanos() / 1_000_000) as u32).wrapping_add(entry.ts_offset);
    Bare {
        seq: entry.snd_nxt,
        ack: Some(entry.rcv_nxt),
        flags: Flags::ACK,
        window: entry.window,
        timestamps: entry.timestamps.then_some(Timestamps { value, echo: entry.ts_recent }),
    }
}
