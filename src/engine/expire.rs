//! Time passes: timers of connections, and 2·MSL. What one poll does is bounded.

use super::flow_table::Kind;
use super::stack::{EXPIRY_BUDGET, Mark, Stack, context};
use crate::tcp::timers::Expiry;
use crate::time::Instant;
use crate::timer::Fate;
use core::mem;

impl Stack {
    /// Fires the timers of connections that are due.
    pub(super) fn expire_connections(&mut self) {
        let mut due = mem::take(&mut self.due);
        let (now, conns) = (self.now, &mut self.conns);
        let _ = self.wheel.advance(now, EXPIRY_BUDGET, |index| {
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
        for index in due.drain(..) {
            self.timer_fires(index);
        }
        self.due = due;
    }

    fn timer_fires(&mut self, index: u32) {
        let mut cx = context!(self);
        match self.conns[index].tcp.on_timer(&mut cx) {
            Expiry::Ended(reason) => self.finish(index, reason),
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

    /// Lets go of the TIME-WAIT entries whose 2·MSL is over.
    pub(super) fn expire_time_wait(&mut self) {
        let mut due = mem::take(&mut self.due);
        let _ = self.time_waits.v4.expire(self.now, EXPIRY_BUDGET, &mut due);
        for index in due.drain(..) {
            self.metrics.tcp.tw_expired.bump();
            self.forget_time_wait(Kind::TimeWait4, index);
        }
        let _ = self.time_waits.v6.expire(self.now, EXPIRY_BUDGET, &mut due);
        for index in due.drain(..) {
            self.metrics.tcp.tw_expired.bump();
            self.forget_time_wait(Kind::TimeWait6, index);
        }
        self.due = due;
    }

    /// When the stack has something to do again, if nothing arrives and nobody calls.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        let connections = self.wheel.next_deadline(|index| self.conns[index].tcp.deadline());
        [
            connections,
            self.time_waits.v4.next_deadline(self.now),
            self.time_waits.v6.next_deadline(self.now),
            self.neighbours.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
