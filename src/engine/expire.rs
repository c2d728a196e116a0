//! Time passes: timers of connections, and 2·MSL. What one poll does is bounded.

use super::flow_table::{FlowHash, Kind};
use super::stack::{Mark, Stack, TIMER_BUDGET, context, keyed};
use super::store::instant_of;
use super::time_waits::{Family, TimeWaits};
use crate::tcp::CloseReason;
use crate::tcp::time_wait::Addresses;
use crate::tcp::timers::Expiry;
use crate::time::Instant;
use crate::timer::Fate;
use core::hint::black_box;
use core::mem;

/// Entries in TIME-WAIT that a poll looks at in which nothing arrived, some microseconds' worth: a
/// frame that arrives meanwhile waits no longer.
const BUDGET_IDLE: usize = 64;
/// Entries that a poll looks at in which frames arrived.
const BUDGET_BUSY: usize = 32;
/// Entries that no poll looks at more of.
const BUDGET_MAX: usize = 256;

impl Stack {
    /// Fires the timers of connections that are due; returns how many.
    pub(super) fn expire_connections(&mut self) -> usize {
        let mut due = mem::take(&mut self.due);
        let (now, conns) = (self.now, &mut self.conns);
        let _ = self.wheel.advance(now, TIMER_BUDGET, |index| {
            let block = &mut conns[index];
            let deadline = block.tcp.deadline();
            block.filed_at = deadline;
            if deadline <= now {
                block.filed_at = Instant::FAR;
                due.push(index);
                Fate::Fired
            } else if deadline == Instant::FAR {
                Fate::Fired
            } else {
                Fate::Later(deadline)
            }
        });
        let fired = due.len();
        for index in due.drain(..) {
            self.timer_fires(index);
        }
        self.due = due;
        fired
    }

    fn timer_fires(&mut self, index: u32) {
        let before = self.conns[index].tcp.unanswered();
        let mut cx = context!(self);
        let expiry = self.conns[index].tcp.on_timer(&mut cx);
        if self.conns[index].tcp.unanswered() > before {
            self.doubt_neighbour(index);
        }
        match expiry {
            Expiry::Ended(reason) => self.finish(index, reason),
            Expiry::Orphaned => self.abort_at(index, CloseReason::TimedOut),
            Expiry::LingerOver => {
                self.conns[index].mark(Mark::LingerOver);
                self.note_ready(index);
                self.sync_timer(index);
            }
            Expiry::Send | Expiry::NotDue => {
                self.set_dirty(index);
                self.sync_timer(index);
            }
        }
    }

    /// Lets go of the TIME-WAIT entries whose 2·MSL is over; returns how many. A poll in which frames
    /// arrived looks at fewer of them, so that the load does not wait for what is long over, but
    /// always at more than have entered, so that what is over never piles up.
    pub(super) fn expire_time_wait(&mut self) -> usize {
        let (arrived, entered) = (mem::take(&mut self.arrived), mem::take(&mut self.entered));
        let least = if arrived == 0 { BUDGET_IDLE } else { BUDGET_BUSY };
        let budget = least.max(2 * entered).min(BUDGET_MAX);
        self.expire_family(Kind::TimeWait4, budget, |all| &mut all.v4)
            + self.expire_family(Kind::TimeWait6, budget, |all| &mut all.v6)
    }

    fn expire_family<A: Addresses>(
        &mut self,
        kind: Kind,
        budget: usize,
        family: impl Fn(&mut TimeWaits) -> &mut Family<A>,
    ) -> usize {
        let mut due = mem::take(&mut self.due);
        let entries = family(&mut self.time_waits);
        let (metrics, now) = (&self.metrics, self.now);
        let _ = entries.expire_all(now, budget, &mut due, |deadline, count| {
            metrics.time_wait_lag.record(now.nanos_since(instant_of(deadline, now)), count.into());
            metrics.time_wait_left.sub(deadline, count);
        });
        let expired = due.len();
        if expired > 0 {
            // all hashes first, then all lines of the table, so that these come in side by side
            let mut hashes = [FlowHash(0); BUDGET_MAX];
            for (hash, &index) in hashes.iter_mut().zip(&due) {
                *hash = keyed(&self.secrets.flows, &entries[index].tuple());
            }
            let lines =
                hashes[..expired].iter().fold(0, |lines, &hash| lines ^ self.table.touch(hash));
            black_box(lines);
            for (&hash, &index) in hashes.iter().zip(&due) {
                let removed = self.table.remove(hash, kind, index);
                debug_assert!(removed, "a TIME-WAIT entry is in the table");
            }
            self.metrics.tcp.tw_expired.add(expired as u64);
            self.count_time_wait();
            due.clear();
        }
        self.due = due;
        expired
    }

    /// When the stack has something to do again, if nothing arrives and nobody calls.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        let connections = self.wheel.next_deadline(|index| self.conns[index].tcp.deadline());
        [
            connections,
            self.time_waits.v4.next_deadline(self.now),
            self.time_waits.v6.next_deadline(self.now),
            self.next_half_open(),
            self.neighbours.next_deadline(),
            self.presence.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
