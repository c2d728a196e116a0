//! Back-pressure: what the engine does when the port has no room.
//!
//! Output stops and nothing of ours is dropped. Connections stay on the list of those with something to
//! send, where their ACKs merge; time-outs of segments that wait in the port are put off
//! ([`Departures`](crate::tcp::Departures)); the last segments of connections are remembered; what the
//! peer will ask for again is not queued once the control queue is half full (`answer_shed`), and from
//! then on SYNs are dropped before anything is done for them (`syn_shed`), and workloads begin nothing.

use super::app::App;
use super::dispatch::Engine;
use super::output::Owed;
use super::stack::Stack;
use crate::wire::tcp::Flags;

/// What became of the output of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlet {
    /// All of it was handed to the port.
    Open,
    /// The port had no room for more.
    Blocked,
}

impl<A: App> Engine<A> {
    /// Tells at the end of a turn what became of its output, and how many frames wait in the port.
    /// Whoever drives an engine without a [`Runner`](super::Runner) calls this if its port can be full.
    #[inline]
    pub fn note_output(&mut self, outlet: Outlet, waiting: usize) {
        let stack = self.stack_mut();
        let idle = waiting == 0 && outlet == Outlet::Open;
        if !idle || stack.output_blocked || stack.departures.any_waits() {
            stack.output_waits(outlet, waiting);
        }
    }
}

impl Stack {
    #[cold]
    fn output_waits(&mut self, outlet: Outlet, waiting: usize) {
        self.output_blocked = outlet == Outlet::Blocked && self.has_output();
        if self.output_blocked {
            self.metrics.tcp.output_blocked.bump();
        }
        // control frames have their time from when they were queued
        let queued = self.control.len() as u64;
        let handed_over = self.metrics.tx_packets.get() + queued;
        self.departures.note(self.now, waiting as u64 + queued, handed_over);
    }

    /// Did something have to wait at the end of the last turn, because the port had no room? Then no new
    /// work should be begun.
    #[inline]
    pub fn is_output_blocked(&self) -> bool {
        self.output_blocked
    }

    /// Is there a frame to send?
    pub(super) fn has_output(&self) -> bool {
        !self.dirty.is_empty() || !self.control.is_empty() || !self.owed.is_empty()
    }

    /// Is this segment a SYN that is dropped before anything is done for it? Answers to those before it
    /// wait already, and the peer will send it again; established connections go on.
    #[inline]
    pub(super) fn sheds(&self, segment: &[u8]) -> bool {
        const FLAGS_AT: usize = 13;
        self.control.is_pressed()
            && segment.get(FLAGS_AT).is_some_and(|&flags| Flags(flags).syn() && !Flags(flags).ack())
    }

    /// Remembers a segment that the control queue had no room for: its connection is gone, and an idle peer
    /// would not ask for it. There are no more of them than connections that may be open.
    #[cold]
    pub(super) fn remember(&mut self, owed: Owed) {
        if self.owed.len() < self.limits.max_connections as usize {
            self.owed.push_back(owed);
        } else {
            self.metrics.drops.control_queue.bump();
        }
    }

    /// Puts the next remembered segment into the queue, which is empty.
    #[cold]
    pub(super) fn recall_owed(&mut self) {
        if let Some(Owed { tuple, to, bare }) = self.owed.pop_front() {
            self.send_bare(&tuple, to, &bare);
        }
    }
}
